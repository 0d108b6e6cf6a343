"""Workbooks, read cell by cell."""

import re
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import docx
import openpyxl
import pptx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl.chart import BarChart
from openpyxl.chart.data_source import (
    AxDataSource,
    NumData,
    NumDataSource,
    NumRef,
    NumVal,
    StrData,
    StrRef,
    StrVal,
)
from openpyxl.chart.series import Series
from openpyxl.drawing.image import Image as SheetImage
from openpyxl.styles import Font
from openpyxl.worksheet.worksheet import Worksheet

from app.converters import sheets, workbook
from app.converters.image import ImageConverter
from app.converters.inlays import Inlays
from app.converters.office import OfficeConverter
from app.converters.office_program import OfficeProgram
from app.document import Align, Block, Paragraph, Picture, Table
from app.engines.stub import StubEngine
from app.errors import InvalidFile, TooLarge
from app.interfaces import Converter, Writer
from app.languages import parse
from app.pipeline import Order, Pipeline
from app.writers.docx import DocxWriter
from app.writers.grid import grid_of
from app.writers.pptx import PptxWriter
from app.writers.txt import TextWriter
from tests.pictures import picture

IMAGES: Converter = ImageConverter(max_pixels=40_000_000, max_pages=20)
WRITERS: dict[str, Writer] = {"txt": TextWriter(), "docx": DocxWriter(), "pptx": PptxWriter()}


def saved(folder: Path, fill: Callable[[Worksheet], object]) -> Path:
    """A workbook of one sheet."""
    book = openpyxl.Workbook()
    with closing(book):
        fill(book.worksheets[0])
        book.save(folder / "book.xlsx")
    return folder / "book.xlsx"


def filled(folder: Path, row: Sequence[object], count: int) -> Path:
    """A workbook with so many equal rows."""

    def fill(sheet: Worksheet) -> None:
        for _ in range(count):
            sheet.append(list(row))

    return saved(folder, fill)


def pages(path: Path, form: str = "txt") -> list[tuple[Block, ...]]:
    source = sheets.open_sheets(path, Inlays(IMAGES, path.parent), form)
    return [page.blocks or () for page in source.pages()]


def only_table(path: Path) -> Table:
    (blocks,) = pages(path)
    (table,) = (block for block in blocks if isinstance(block, Table))
    return table


def made(path: Path, form: str) -> Path:
    """What the pipeline makes of it; a page that had to be laid out would be an error."""
    converter = OfficeConverter(IMAGES, IMAGES, OfficeProgram(timeout_s=1))
    pipeline = Pipeline([converter], {"auto": StubEngine()}, WRITERS)
    target = path.parent / f"out.{form}"
    with tempfile.TemporaryDirectory() as work:
        pipeline.run(Order(form, parse("English")), path, Path(work), target, lambda *_: None)
    return target


def test_cells_are_a_table(tmp_path: Path) -> None:
    """Values as Excel shows them, numbers at the right."""

    def fill(sheet: Worksheet) -> None:
        sheet.append(["Name", "Share", "Day"])
        sheet.append(["Ann", 0.256, 45000])
        sheet["B2"].number_format = "0.0%"
        sheet["C2"].number_format = "yyyy-mm-dd"
        for cell in sheet[1]:
            cell.font = Font(bold=True)

    table = only_table(saved(tmp_path, fill))

    assert grid_of(table) == [["Name", "Share", "Day"], ["Ann", "25.6%", "2023-03-15"]]
    assert table.heads == 1
    assert [cell.paragraphs[0].align for cell in table.cells[3:5]] == [Align.START, Align.END]


def test_merged_cells_span(tmp_path: Path) -> None:
    """Over rows and columns that are used."""

    def fill(sheet: Worksheet) -> None:
        sheet.append(["Over both", None, "c"])
        sheet.append(["a", "b", None])
        sheet.merge_cells("A1:B1")
        sheet.merge_cells("C1:C2")

    spans = {(cell.row, cell.column): cell for cell in only_table(saved(tmp_path, fill)).cells}

    assert spans[0, 0].column_span == 2
    assert spans[0, 2].row_span == 2
    assert len(spans) == 4


def test_empty_rows_part_tables(tmp_path: Path) -> None:
    """A cell that stands alone is text; empty columns are nothing."""

    def fill(sheet: Worksheet) -> None:
        sheet["B2"] = "A title"
        sheet["B4"], sheet["D4"] = "a", "b"
        sheet["XFD1048576"] = "far"

    (blocks,) = pages(saved(tmp_path, fill))

    title, table, far = blocks
    assert isinstance(title, Paragraph)
    assert isinstance(table, Table)
    assert isinstance(far, Paragraph)
    assert (title.text, grid_of(table), far.text) == ("A title", [["a", "b"]], "far")


def test_what_is_hidden_is_left_out(tmp_path: Path) -> None:
    """Sheets, rows and columns; a row that is not seen parts no table."""
    book = openpyxl.Workbook()
    with closing(book):
        first = book.worksheets[0]
        for row in ("abc", "def", "ghi"):
            first.append(list(row))
        first.row_dimensions[2].hidden = True
        first.column_dimensions["B"].hidden = True
        book.create_sheet("secret")["A1"] = "secret"
        book["secret"].sheet_state = "hidden"
        book.create_sheet("Last")["A1"] = "seen"
        book.save(tmp_path / "a.xlsx")

    found, last = pages(tmp_path / "a.xlsx")

    assert isinstance(found[1], Table)
    assert grid_of(found[1]) == [["a", "c"], ["g", "i"]]
    assert [block.text for block in last if isinstance(block, Paragraph)] == ["Last", "seen"]


def test_names_of_sheets_are_headings(tmp_path: Path) -> None:
    """But not one that nobody chose."""
    book = openpyxl.Workbook()
    with closing(book):
        book.worksheets[0].title = "Sheet1"
        book.worksheets[0]["A1"] = "a"
        book.save(tmp_path / "a.xlsx")
        book.worksheets[0].title = "Ducks of the year"
        book.save(tmp_path / "b.xlsx")

    assert [len(blocks) for blocks in pages(tmp_path / "a.xlsx")] == [1]
    assert [len(blocks) for blocks in pages(tmp_path / "b.xlsx")] == [2]


def test_formulas_are_not_worked_out(tmp_path: Path) -> None:
    """One that was stored without a value stands for itself."""
    path = saved(tmp_path, lambda sheet: sheet.append(["a", "=1+1"]))

    assert grid_of(only_table(path)) == [["a", "=1+1"]]


@pytest.mark.parametrize("value", ["12", "13"])
def test_values_of_charts_are_said_once(tmp_path: Path, value: str) -> None:
    """Those that stand in no cell that is seen are a table."""

    def fill(sheet: Worksheet) -> None:
        sheet.append(["Oak", 12])
        chart = BarChart()
        chart.title = "Trees"
        cells = NumData(pt=[NumVal(idx=0, v=value)])
        names = StrData(pt=[StrVal(idx=0, v="Oak")])
        series = Series(
            idx=0,
            order=0,
            cat=AxDataSource(strRef=StrRef("A1", strCache=names)),
            val=NumDataSource(numRef=NumRef("B1", numCache=cells)),
        )
        chart.series.append(series)
        sheet.add_chart(chart, "A3")

    (blocks,) = pages(saved(tmp_path, fill))

    first, title, *others = blocks
    assert isinstance(first, Table)
    assert isinstance(title, Paragraph)
    assert title.text == "Trees"
    assert [grid_of(block) for block in others if isinstance(block, Table)] == (
        [] if value == "12" else [[["Oak", "13"]]]
    )


def test_pictures_are_read(tmp_path: Path) -> None:
    """The words in a picture come with it."""

    def fill(sheet: Worksheet) -> None:
        sheet["A1"] = "above"
        (tmp_path / "a.png").write_bytes(picture())
        sheet.add_image(SheetImage(str(tmp_path / "a.png")), "B3")

    path = saved(tmp_path, fill)
    (blocks,) = pages(path)

    assert isinstance(blocks[1], Picture)
    assert len(made(path, "txt").read_text(encoding="utf-8")) > len("above\n\n")


def test_too_many_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page is in memory as a whole: there is a limit, and it is told."""
    path = filled(tmp_path, "abcdef", 5)

    monkeypatch.setattr(sheets, "MAX_PLACES_OF_TABLES", 29)
    with pytest.raises(TooLarge, match="29 cells"):
        pages(path, "docx")
    monkeypatch.setattr(workbook, "MAX_CELLS", 29)
    with pytest.raises(TooLarge, match="29 filled cells"):
        pages(path)
    monkeypatch.setattr(workbook, "MAX_CHARACTERS", 2)
    with pytest.raises(TooLarge, match="2 characters"):
        pages(path)


def test_merged_cells_that_cover_all(tmp_path: Path) -> None:
    """Thousands of them cost no more than the sheet has cells."""
    path = filled(tmp_path, "abcdefgh", 200)
    ranges = '<mergeCell ref="A1:XFD1048576"/>' * 5000
    _change(path, "xl/worksheets/sheet1.xml", "</sheetData>", f"</sheetData><x>{ranges}</x>")

    assert only_table(path).rows == 200


@pytest.mark.parametrize(
    ("part", "old", "new"),
    [
        ("xl/workbook.xml", "<workbook", '<!DOCTYPE a [<!ENTITY b "c">]><workbook'),
        ("xl/workbook.xml", "</workbook>", ""),
        ("xl/worksheets/sheet1.xml", 'r="A1"', 'r="ZZZZ1"'),
        ("xl/_rels/workbook.xml.rels", "sheet1", "../../../etc/passwd"),
    ],
)
def test_damaged_workbooks(tmp_path: Path, part: str, old: str, new: str) -> None:
    """Told apart, so that LibreOffice can try."""
    path = saved(tmp_path, lambda sheet: sheet.append(["a"]))
    _change(path, part, old, new)

    with pytest.raises(InvalidFile):
        pages(path)


def test_tables_wider_than_word_takes(tmp_path: Path) -> None:
    """They are cut into several."""
    path = filled(tmp_path, range(150), 2)

    file = docx.Document(str(made(path, "docx")))

    assert [len(table.columns) for table in file.tables] == [63, 63, 24]
    assert file.tables[2].cell(1, 23).text == "149"


def test_wide_sheets_lie_on_their_side(tmp_path: Path) -> None:
    """In Word, on paper that is wider than high."""
    path = filled(tmp_path, range(20), 500)

    section = docx.Document(str(made(path, "docx"))).sections[0]

    assert section.page_width is not None
    assert section.page_height is not None
    assert section.page_width > section.page_height


_texts = st.text("abcxyz 0123456789=+-.,;@\n文字列", max_size=80)


@given(st.lists(st.lists(_texts, max_size=5), max_size=6))
@settings(max_examples=20, deadline=None)
def test_each_cell_is_in_each_output(rows: list[list[str]]) -> None:
    """No text is lost."""
    with tempfile.TemporaryDirectory() as name:

        def fill(sheet: Worksheet) -> None:
            for y, row in enumerate(rows, 1):
                for x, text in enumerate(row, 1):
                    sheet.cell(y, x).value = text
                    sheet.cell(y, x).data_type = "s"

        path = saved(Path(name), fill)
        wanted = [_solid(text) for row in rows for text in row if _solid(text)]

        found = {
            "txt": _solid(made(path, "txt").read_text(encoding="utf-8")),
            "docx": _solid(_words(made(path, "docx"))),
            "pptx": _solid(_slides(made(path, "pptx"))),
        }

        for form, text in found.items():
            assert all(each in text for each in wanted), form
            assert len(text) == sum(map(len, wanted)), form


def _solid(text: str) -> str:
    return re.sub(r"\s", "", text)


def _words(path: Path) -> str:
    file = docx.Document(str(path))
    cells = [cell.text for table in file.tables for row in table.rows for cell in row.cells]
    return "".join(cells + [paragraph.text for paragraph in file.paragraphs])


def _slides(path: Path) -> str:
    found = []
    for slide in pptx.Presentation(str(path)).slides:
        for shape in slide.shapes:
            if shape.has_table:
                found += [cell.text for row in shape.table.rows for cell in row.cells]
            else:
                found.append(shape.text_frame.text)
    return "".join(found)


def _change(path: Path, part: str, old: str, new: str) -> None:
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    assert old.encode() in parts[part]
    parts[part] = parts[part].replace(old.encode(), new.encode())
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)

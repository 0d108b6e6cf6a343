"""Tables that go on over the end of a page, and what the writers make of them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import docx
import openpyxl
import pytest
from docx.oxml.ns import qn

from app.document import Block, Box, Cell, Document, Kind, Line, Page, Paragraph, Table, Word
from app.layout.breaks import continued
from app.writers.docx import DocxWriter
from app.writers.xlsx import XlsxWriter

HEADS = ("name", "amount")


def paragraph(text: str, left: float, top: float, kind: Kind = Kind.TEXT) -> Paragraph:
    box = Box(left, top, left + 10 * len(text), top + 20)
    words = tuple(Word(word, box) for word in text.split())
    return Paragraph((Line(words, box),), box, kind)


def table(rows: Sequence[Sequence[str]], top: float, wide: float = 400) -> Table:
    cells = []
    for r, row in enumerate(rows):
        for c, text in enumerate(row):
            left, upper = 100 + wide * c, top + 40 * r
            box = Box(left, upper, left + wide, upper + 40)
            cells.append(Cell(r, c, 1, 1, (paragraph(text, left + 5, upper + 10),), box))
    columns = len(rows[0])
    around = Box(100, top, 100 + wide * columns, top + 40 * len(rows))
    return Table(tuple(cells), len(rows), columns, around, column=around)


def page(number: int, *blocks: Block) -> Page:
    return Page(number, 1000, 1400, 100, blocks, recognized=False)


def document(*pages: Page) -> list[Page]:
    found: list[Page] = []
    for each in pages:
        found.append(continued(each, found[-1] if found else None))
    return found


FIRST = page(
    1,
    paragraph("The report", 100, 60),
    table([HEADS, *((f"a{n}", str(n)) for n in range(5))], 1000),
    paragraph("page 1", 450, 1350, Kind.FOOTER),
)
SECOND = page(
    2,
    paragraph("The report", 100, 62),
    table([HEADS, ("b", "11"), ("c", "12")], 100),
    paragraph("Afterwards", 100, 600),
    paragraph("page 2", 450, 1350, Kind.FOOTER),
)

LONG = page(2, table([HEADS, *((f"b{n}", str(10 + n)) for n in range(30))], 100))


def rows_in_word(path: Path) -> list[list[list[str]]]:
    tables = docx.Document(str(path)).tables
    return [[[cell.text for cell in row.cells] for row in each.rows] for each in tables]


def test_a_table_goes_on_below_running_heads() -> None:
    """What stands at the same place of both pages does not end a table."""
    _, second = document(FIRST, SECOND)

    (found,) = (block for block in second.blocks if isinstance(block, Table))
    assert (found.continues, found.repeats) == (True, 1)
    assert next(b.kind for b in second.blocks if isinstance(b, Paragraph)) is Kind.HEADER


@pytest.mark.parametrize(
    "second",
    [
        page(2, paragraph("Another one", 100, 60), table([HEADS, ("b", "11")], 100)),
        page(2, table([HEADS, ("b", "11")], 100, wide=90)),
        page(2, table([("b", "11", "12")], 100, wide=260)),
        page(2, table([HEADS, ("b", "11")], 700)),
        page(2, replace(table([HEADS, ("b", "11")], 100), drawn=False)),
        page(2, table([HEADS, *((f"a{n}", str(9 - n)) for n in range(5))], 100)),
        page(2, table([HEADS, *((f"a{n}", str(n)) for n in range(5))], 100)),
        replace(page(2, table([HEADS, ("b", "11")], 100)), width=1400.0, height=1000.0),
        page(2),
    ],
    ids=["title", "narrow", "columns", "below", "no rules", "form", "copy", "turned", "empty"],
)
def test_other_tables_begin_anew(second: Page) -> None:
    """Only what clearly goes on is taken for the same table."""
    _, found = document(FIRST, second)

    assert found == second


def test_word_has_one_table_with_its_headings_once(tmp_path: Path) -> None:
    """Word shows the headings again on each page by itself."""
    third = page(3, table([HEADS, ("d", "13")], 100))

    DocxWriter().write(Document(document(FIRST, LONG, third)), tmp_path / "out.docx")

    (rows,) = rows_in_word(tmp_path / "out.docx")
    assert [row[0] for row in rows] == [
        *("name", "a0", "a1", "a2", "a3", "a4"),
        *(f"b{n}" for n in range(30)),
        "d",
    ]
    written_file = docx.Document(str(tmp_path / "out.docx"))
    (written,) = written_file.tables
    heads = [row._tr.find(f".//{qn('w:tblHeader')}") is not None for row in written.rows]
    assert heads == [True] + [False] * 36
    breaks = [p.paragraph_format.page_break_before for p in written_file.paragraphs]
    assert not any(breaks)


def test_word_has_what_follows_the_table_behind_it(tmp_path: Path) -> None:
    """A running head is said once, a number of a page each time."""
    DocxWriter().write(Document(document(FIRST, SECOND)), tmp_path / "out.docx")

    texts = [p.text for p in docx.Document(str(tmp_path / "out.docx")).paragraphs if p.text]
    assert texts == ["The report", "page 1", "Afterwards", "page 2"]


def test_excel_has_the_table_on_its_first_sheet(tmp_path: Path) -> None:
    """A page that holds nothing but more of a table has no sheet."""
    third = page(3, table([("d", "13")], 100), paragraph("The end", 100, 800))

    first = replace(FIRST, blocks=FIRST.blocks[:2])

    XlsxWriter().write(Document(document(first, LONG, third)), tmp_path / "out.xlsx")

    book = openpyxl.load_workbook(tmp_path / "out.xlsx")
    assert book.sheetnames == ["Page 1", "Page 3"]
    names = [row[0].value for row in book["Page 1"].iter_rows()]
    assert names[:8] == ["The report", None, "name", "a0", "a1", "a2", "a3", "a4"]
    assert names[8:] == [*(f"b{n}" for n in range(30)), "d"]
    assert [row[0].value for row in book["Page 3"].iter_rows()] == ["The end"]


def test_a_table_that_has_nothing_to_go_on_with_is_whole(tmp_path: Path) -> None:
    """Writers lose no row, whatever a table says of itself."""
    alone = page(1, replace(table([HEADS, ("b", "11")], 100), continues=True, repeats=1))

    DocxWriter().write(Document([alone]), tmp_path / "out.docx")
    XlsxWriter().write(Document([alone]), tmp_path / "out.xlsx")

    assert rows_in_word(tmp_path / "out.docx") == [[["name", "amount"], ["b", "11"]]]
    sheet = openpyxl.load_workbook(tmp_path / "out.xlsx")["Page 1"]
    assert [[cell.value for cell in row] for row in sheet.iter_rows()] == [
        ["name", "amount"],
        ["b", 11],
    ]

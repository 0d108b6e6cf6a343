import re
import zipfile
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from unicodedata import normalize

import docx
import openpyxl
import pptx
import pypdfium2
import pytest
from docx.oxml.ns import qn
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pptx.util import Pt

from app.document import Box, Document, Line, Page, Paragraph, Word
from app.interfaces import Writer
from app.writers.docx import DocxWriter
from app.writers.pdf import PdfWriter
from app.writers.pptx import PptxWriter
from app.writers.text_limits import storable
from app.writers.txt import TextWriter
from app.writers.xlsx import XlsxWriter

WRITERS: dict[str, Writer] = {
    "txt": TextWriter(),
    "pdf": PdfWriter(),
    "docx": DocxWriter(),
    "xlsx": XlsxWriter(),
    "pptx": PptxWriter(),
}
each_writer = pytest.mark.parametrize("name", WRITERS)

WIDTH, HEIGHT, DPI = 1240, 1754, 150


def line(text: str, top: float = 100, left: float = 100, height: float = 40) -> Line:
    """A line whose words are what spaces part."""
    words, at = [], left
    for word in text.split(" "):
        width = max(20.0 * len(word), 20)
        words.append(Word(word, Box(at, top, at + width, top + height)))
        at += width + 14
    return Line(tuple(words), Box.around(word.box for word in words))


def paragraph(*texts: str, top: float = 100, left: float = 100, height: float = 40) -> Paragraph:
    lines = tuple(line(text, top + 1.4 * n * height, left, height) for n, text in enumerate(texts))
    return Paragraph(lines, Box.around(one.box for one in lines))


def page(
    *paragraphs: Paragraph, number: int = 1, width: float = WIDTH, height: float = HEIGHT
) -> Page:
    return Page(number, width, height, DPI, paragraphs, recognized=True)


def stacked(texts: Iterable[Iterable[str]], number: int = 1) -> Page:
    """A page of paragraphs, each below the one before."""
    paragraphs, top = [], 50.0
    for lines in texts:
        made = paragraph(*lines, top=top, height=20)
        paragraphs.append(made)
        top = made.box.bottom + 30
    return page(*paragraphs, number=number)


def write(name: str, target: Path, *pages: Page) -> Path:
    WRITERS[name].write(Document(iter(pages)), target)
    return target


def read(name: str, path: Path) -> list[str]:
    """The text of each page; of a docx, all of it as one."""
    if name == "txt":
        return path.read_bytes().decode("utf-8").split("\f")
    if name == "pdf":
        with pypdfium2.PdfDocument(path) as pdf:
            return [each.get_textpage().get_text_range() for each in pdf]
    if name == "docx":
        return ["\n".join(each.text for each in docx.Document(str(path)).paragraphs)]
    if name == "xlsx":
        return [
            # As Excel reads it; openpyxl leaves the escape in.
            "\n".join(
                str(cell.value).replace("_x005F_", "_")
                for row in sheet
                for cell in row
                if cell.value is not None
            )
            for sheet in openpyxl.load_workbook(path)
        ]
    return [
        "\n".join(shape.text_frame.text for shape in slide.shapes if shape.has_text_frame)
        for slide in pptx.Presentation(str(path)).slides
    ]


# Words as engines give them, and words as no engine should. Right-to-left words and combining
# marks have their own tests, for their order in PDF is a matter of its own.
plain_words = st.text(
    st.characters(categories=["Lu", "Ll", "Lo"], max_codepoint=0x4FF), min_size=1, max_size=12
) | st.text(st.sampled_from("今天气很好我们去公园。"), min_size=1, max_size=8)
hostile_words = st.text(
    st.characters()
    | st.sampled_from(
        "\0\x0b\x0c\x1b\n\r\t\ud800\udfff\ufffe\uffff\u200f\u202e\u2028=+-@_x\\<&'\""
    ),
    max_size=30,
)


def texts_of(words: st.SearchStrategy[str]) -> st.SearchStrategy[list[list[list[str]]]]:
    """Pages of paragraphs of lines."""
    lines = st.lists(words, min_size=1, max_size=4).map(" ".join)
    paragraphs = st.lists(lines, min_size=1, max_size=3)
    return st.lists(st.lists(paragraphs, max_size=3), min_size=1, max_size=3)


def characters(text: str) -> str:
    """Without white space, which each format treats in its own way."""
    return re.sub(r"\s", "", text)


@each_writer
@settings(max_examples=15, deadline=None)
@given(texts=texts_of(plain_words))
def test_text_read_back_equals_the_documents(name: str, texts: list[list[list[str]]]) -> None:
    """No word is lost, invented or moved."""
    pages = [stacked(each, number) for number, each in enumerate(texts, 1)]

    with TemporaryDirectory() as folder:
        found = read(name, write(name, Path(folder, f"out.{name}"), *pages))

    wanted = [characters("".join(one.text for one in each.lines)) for each in pages]
    if name == "docx":
        wanted = ["".join(wanted)]
    # PDFium takes ligatures apart.
    assert [normalize("NFKC", characters(text)) for text in found] == [
        normalize("NFKC", text) for text in wanted
    ]


@each_writer
@settings(max_examples=20, deadline=None)
@given(words=st.lists(hostile_words, max_size=6))
@example(words=["\ud83d", "\0", "\ufffe\uffff", "=1+1", "\u202eabc", "_x0041_", "x" * 400])
def test_no_text_breaks_a_writer(name: str, words: list[str]) -> None:
    """Characters that a format cannot hold are dropped; all others are there."""
    one = Line(
        tuple(Word(text, Box(10, 100 + 50 * n, 900, 140 + 50 * n)) for n, text in enumerate(words)),
        Box(10, 100, 900, 140),
    )
    whole = Paragraph((one,), one.box)

    with TemporaryDirectory() as folder:
        found = read(name, write(name, Path(folder, f"out.{name}"), page(whole), page(number=2)))

    if name != "pdf":  # PDFium orders and drops some characters on its own.
        assert characters("".join(found)) == characters(storable(one.text))


@each_writer
def test_a_document_without_pages_makes_a_file(name: str, tmp_path: Path) -> None:
    """Nothing in, a valid file out."""
    target = write(name, tmp_path / f"out.{name}")

    assert target.exists()
    if name != "pdf":  # PDFium opens no PDF without pages, valid or not.
        assert characters("".join(read(name, target))) == ""


@each_writer
def test_pages_are_taken_one_at_a_time(name: str, tmp_path: Path) -> None:
    """A writer walks through the pages once and keeps none."""
    asked: list[int] = []

    def pages() -> Iterable[Page]:
        for number in range(1, 4):
            asked.append(number)
            yield stacked([["Text"]], number)

    WRITERS[name].write(Document(pages()), tmp_path / "out")

    assert asked == [1, 2, 3]


@pytest.mark.parametrize("name", ["docx", "xlsx", "pptx"])
def test_properties_are_not_the_librarys(name: str, tmp_path: Path) -> None:
    """The file names no author, and the time it was made."""
    target = write(name, tmp_path / f"out.{name}", stacked([["Text"]]))

    with zipfile.ZipFile(target) as archive:
        properties = archive.read("docProps/core.xml").decode()
    assert not re.search("python|openpyxl|Canny|generated", properties)
    (created,) = re.findall(r"<dcterms:created[^>]*>([^<]*)", properties)
    age = datetime.now(UTC) - datetime.fromisoformat(created.replace("Z", "+00:00"))
    assert abs(age) < timedelta(minutes=5)


# Plain text.


def test_txt_keeps_lines_paragraphs_and_pages(tmp_path: Path) -> None:
    """Line ends stay, a blank line parts paragraphs, a form feed pages; an empty page is empty."""
    pages = [stacked([["One", "two"], ["Three"]], 1), page(number=2), stacked([["四"]], 3)]

    target = write("txt", tmp_path / "out.txt", *pages)

    assert target.read_bytes() == "One\ntwo\n\nThree\f\f四".encode()


# Word.


def test_txt_and_xlsx_put_divided_words_together(tmp_path: Path) -> None:
    """Where they begin, or end if they fill lines; lines stay lines."""
    lines = [line("one contin-", 100), line("ued incompre-", 150), line("hensi-", 200)]
    lines += [line("ble non-", 250), line("stop", 300)]
    whole = Paragraph(tuple(lines), Box.around(each.box for each in lines))
    document = [Page(1, 1240, 1754, 150, (whole,), recognized=True)]

    TextWriter().write(Document(document), tmp_path / "a.txt")
    XlsxWriter().write(Document(document), tmp_path / "a.xlsx")

    expected = ["one continued", "incomprehensible", "non-", "stop"]
    assert (tmp_path / "a.txt").read_text(encoding="utf-8").split("\n") == expected
    sheet = openpyxl.load_workbook(tmp_path / "a.xlsx")["Page 1"]
    assert [cell.value for (cell,) in sheet.iter_rows()] == expected


def test_docx_paragraphs_flow(tmp_path: Path) -> None:
    """Lines become one paragraph: joined by spaces, but not within Chinese."""
    target = write("docx", tmp_path / "out.docx", stacked([["One two", "three"], ["今天", "很好"]]))

    assert read("docx", target) == ["One two three\n今天很好"]


def test_docx_pages_begin_on_pages(tmp_path: Path) -> None:
    """Every page but the first begins with a break, empty ones as well."""
    pages = [page(number=1), stacked([["A"], ["B"]], 2), page(number=3), stacked([["C"]], 4)]

    target = write("docx", tmp_path / "out.docx", *pages)

    found = [
        (each.text, bool(each.paragraph_format.page_break_before))
        for each in docx.Document(str(target)).paragraphs
    ]
    assert found == [("", False), ("A", True), ("B", False), ("", True), ("C", True)]


def test_docx_sections_follow_the_size(tmp_path: Path) -> None:
    """A page of another size begins a section, and no empty paragraph is added for it."""
    pages = [
        stacked([["A"]], 1),
        page(paragraph("B"), number=2, width=HEIGHT, height=WIDTH),
        page(paragraph("C"), number=3, width=HEIGHT + 3, height=WIDTH),
        page(paragraph("D"), number=4, width=100_000, height=20),
    ]

    target = write("docx", tmp_path / "out.docx", *pages)

    file = docx.Document(str(target))
    assert read("docx", target) == ["A\nB\nC\nD"]
    sizes = [
        tuple(round(side.pt) for side in (each.page_width, each.page_height) if side)
        for each in file.sections
    ]
    assert sizes == [(595, 842), (842, 595), (1584, 7)]
    assert [int(each.orientation) for each in file.sections] == [0, 1, 1]


def test_docx_marks_right_to_left(tmp_path: Path) -> None:
    """Arabic and Hebrew paragraphs begin at the right."""
    target = write(
        "docx", tmp_path / "out.docx", stacked([["مرحبا بالعالم 123"], ["Hello שלום !"]])
    )

    found = [
        each._p.pPr is not None and each._p.pPr.find(qn("w:bidi")) is not None
        for each in docx.Document(str(target)).paragraphs
    ]
    assert found == [True, False]


def test_docx_keeps_the_order_of_the_schema(tmp_path: Path) -> None:
    """Word takes what is set for a paragraph and its text in one order only."""
    target = write("docx", tmp_path / "out.docx", stacked([["مرحبا بالعالم"]]))

    (found,) = docx.Document(str(target)).paragraphs
    assert [each.tag for each in found._p.get_or_add_pPr()] == [qn("w:bidi"), qn("w:spacing")]
    assert [each.tag for each in found.runs[0]._r] == [qn("w:rPr"), qn("w:t")]


def test_docx_names_fonts_for_each_script(tmp_path: Path) -> None:
    """Chinese text has a font of its own, not one without Chinese."""
    target = write("docx", tmp_path / "out.docx", stacked([["今天"]]))

    fonts = docx.Document(str(target)).styles["Normal"].element.rPr.rFonts
    assert fonts.get(qn("w:ascii")) == "Times New Roman"
    assert fonts.get(qn("w:eastAsia")) == "SimSun"


def test_docx_headings_are_larger(tmp_path: Path) -> None:
    """A line much taller than the others keeps its size."""
    pages = [page(paragraph("Text", height=30), paragraph("Head", top=300, height=60))]

    target = write("docx", tmp_path / "out.docx", *pages)

    file = docx.Document(str(target))
    normal = file.styles["Normal"].font.size
    assert file.paragraphs[0].runs[0].font.size is None
    assert file.paragraphs[1].runs[0].font.size == 2 * normal


# Excel.


@pytest.mark.parametrize(
    ("text", "value", "number_format"),
    [
        ("42", 42, "General"),
        ("0", 0, "General"),
        ("-7", -7, "General"),
        ("123456789012345", 123456789012345, "General"),
        ("3.140", 3.14, "0.000"),
        ("1,234.50", 1234.5, "#,##0.00"),
        ("1,234,567", 1234567, "#,##0"),
        ("12.5%", 0.125, "0.0%"),
        ("50%", 0.5, "0%"),
        ("007", "007", "@"),
        ("-0", "-0", "General"),
        ("110101199003078515", "110101199003078515", "@"),
        ("13800138000", "13800138000", "@"),
        ("138-0013-8000", "138-0013-8000", "@"),
        ("12,34", "12,34", "@"),
        ("0.1234567890123456", "0.1234567890123456", "@"),
        ("１２", "１２", "@"),
        ("1e5", "1e5", "@"),
        ("2024-01-02", datetime.fromisoformat("2024-01-02"), r"yyyy\-mm\-dd"),
        ("2024/1/2", datetime.fromisoformat("2024-01-02"), r"yyyy\/m\/d"),
        ("2024年12月2日", datetime.fromisoformat("2024-12-02"), 'yyyy"年"mm"月"d"日"'),
        ("02.01.2024", datetime.fromisoformat("2024-01-02"), r"dd\.mm\.yyyy"),
        ("2024-02-30", "2024-02-30", "@"),
        ("1/2/2024", "1/2/2024", "@"),
        ("1900-01-01", "1900-01-01", "@"),
        ("2024-01/02", "2024-01/02", "@"),
        ("$1,234.50", 1234.5, '"$"#,##0.00'),
        ("-¥20", -20, '"¥"0'),
        ("12.00 €", 12.0, '0.00" €"'),
        ("HK$ 7", 7, '"HK$ "0'),
        ("5元", 5, '0"元"'),
        ("$-5", "$-5", "General"),
        ("$007", "$007", "General"),
        ("-$0", "-$0", "General"),
        ("$1.234,50", "$1.234,50", "General"),
        ("nan", "nan", "General"),
        ("TRUE", "TRUE", "General"),
    ],
)
def test_xlsx_numbers(text: str, value: object, number_format: str, tmp_path: Path) -> None:
    """What is certainly a number is one; nothing else is, and nothing is lost."""
    target = write("xlsx", tmp_path / "out.xlsx", stacked([[text]]))

    cell = openpyxl.load_workbook(target)["Page 1"]["A1"]
    assert (cell.value, cell.number_format) == (value, number_format)
    assert type(cell.value) is type(value)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-x", "@a", "#N/A", "=HYPERLINK(1)"])
def test_xlsx_text_is_never_a_formula(text: str, tmp_path: Path) -> None:
    """A document cannot make the reader's Excel compute or fetch anything."""
    target = write("xlsx", tmp_path / "out.xlsx", stacked([[text]]))

    cell = openpyxl.load_workbook(target)["Page 1"]["A1"]
    assert (cell.value, cell.data_type) == (text, "s")
    assert cell.quotePrefix == (text[0] != "#")


def test_xlsx_puts_side_by_side_in_a_row(tmp_path: Path) -> None:
    """Lines of different paragraphs at one height share a row, left to right."""
    right = paragraph("r1", "r2", "r3", top=105, left=700)
    left = paragraph("l1", "l2", top=100, left=100)
    below = paragraph("below", top=900)

    target = write("xlsx", tmp_path / "out.xlsx", page(right, left, below))

    rows = list(openpyxl.load_workbook(target)["Page 1"].values)
    assert rows == [("l1", "r1"), ("l2", "r2"), ("r3", None), ("below", None)]


def test_xlsx_splits_what_no_cell_can_hold(tmp_path: Path) -> None:
    """More than 32,767 characters go on in the rows below."""
    text = "长" * 70_000

    target = write("xlsx", tmp_path / "out.xlsx", stacked([[text], ["next"]]))

    values = [row[0] for row in openpyxl.load_workbook(target)["Page 1"].values]
    assert [len(str(value)) for value in values] == [32_767, 32_767, 4_466, 4]


def test_xlsx_sheets_are_named_by_page(tmp_path: Path) -> None:
    """Each page is a sheet, empty pages as well."""
    target = write("xlsx", tmp_path / "out.xlsx", *(page(number=n) for n in (1, 2, 3)))

    assert openpyxl.load_workbook(target).sheetnames == ["Page 1", "Page 2", "Page 3"]


# PowerPoint.


def test_pptx_boxes_stand_where_the_text_stood(tmp_path: Path) -> None:
    """Slides are as large as the first page; a page of another size is fitted into it."""
    pages = [
        page(paragraph("one", top=100, left=100)),
        page(paragraph("two", top=0, left=0), number=2, width=HEIGHT, height=WIDTH),
    ]

    target = write("pptx", tmp_path / "out.pptx", *pages)

    file = pptx.Presentation(str(target))
    assert (file.slide_width, file.slide_height) == (
        round(WIDTH / DPI * 914_400),
        round(HEIGHT / DPI * 914_400),
    )
    first, second = ([*slide.shapes] for slide in file.slides)
    assert (len(first), len(second)) == (1, 1)
    assert first[0].left == pytest.approx(100 / DPI * 914_400, abs=2)
    assert first[0].top == pytest.approx(100 / DPI * 914_400, abs=2)
    assert first[0].width == pytest.approx(60 / DPI * 914_400, abs=2)
    scale = WIDTH / HEIGHT
    assert second[0].left == pytest.approx(0, abs=2)
    assert second[0].top == pytest.approx((HEIGHT - WIDTH * scale) / 2 / DPI * 914_400, abs=2)


@pytest.mark.parametrize(("width", "height"), [(100_000, 100), (10, 10), (10, 100_000)])
def test_pptx_slides_stay_within_the_limits(width: int, height: int, tmp_path: Path) -> None:
    """PowerPoint opens only slides of 1 to 56 inches."""
    target = write("pptx", tmp_path / "out.pptx", page(paragraph("x"), width=width, height=height))

    file = pptx.Presentation(str(target))
    for side in (file.slide_width, file.slide_height):
        assert 914_400 <= (side or 0) <= 56 * 914_400


def test_pptx_text_fits_its_box(tmp_path: Path) -> None:
    """Letters are as tall as the line allows, and smaller where it is long."""
    short = paragraph("Wide", height=40)
    squeezed = Paragraph(
        (Line((Word("今" * 40, Box(100, 300, 500, 340)),), Box(100, 300, 500, 340)),),
        Box(100, 300, 500, 340),
    )

    target = write("pptx", tmp_path / "out.pptx", page(short, squeezed))

    tall, small = (
        shape.text_frame.paragraphs[0].runs[0].font.size
        for shape in pptx.Presentation(str(target)).slides[0].shapes
    )
    assert Pt(12) < tall < Pt(40 / DPI * 72)
    assert small == pytest.approx(Pt(400 / 40 / DPI * 72), rel=0.05)

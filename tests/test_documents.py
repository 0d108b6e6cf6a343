"""What Word and PowerPoint make of headings, lists, columns, tables and pictures."""

from collections import Counter
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import docx
import PIL.Image
import pptx
import pytest
from docx.enum.section import WD_SECTION
from docx.oxml.ns import qn
from docx.shared import Pt
from hypothesis import given, settings
from hypothesis import strategies as st
from pptx.oxml.ns import qn as a

from app.document import (
    Align,
    Block,
    Box,
    Cell,
    Document,
    Kind,
    Line,
    Page,
    Paragraph,
    Picture,
    Style,
    Table,
    Word,
)
from app.languages import parse
from app.layout.marks import BULLETS
from app.writers.docx import DocxWriter
from app.writers.pptx import PptxWriter
from app.writers.text_limits import storable

BODY = Style(20)
WHOLE, LEFT, RIGHT = Box(100, 0, 900, 1400), Box(100, 200, 480, 1400), Box(520, 200, 900, 1400)


def line(text: str, left: float, top: float, width: float, style: Style = BODY) -> Line:
    box = Box(left, top, left + width, top + 1.3 * style.size)
    words = tuple(Word(word, box) for word in text.split())
    return Line(words, box, style=style)


def paragraph(
    *texts: str,
    top: float = 100,
    left: float = 100,
    column: Box = WHOLE,
    style: Style = BODY,
    **more: Any,
) -> Paragraph:
    step = 1.4 * style.size
    lines = tuple(
        line(text, left, top + step * n, 10.0 * len(text), style) for n, text in enumerate(texts)
    )
    box = Box.around(each.box for each in lines)
    return Paragraph(lines, box, column=column, **more)


def picture(top: float = 400) -> Picture:
    stream = BytesIO()
    PIL.Image.new("RGB", (200, 100), "green").save(stream, "PNG")
    inside = (paragraph("labels of the chart", top=top + 20),)
    return Picture(Box(300, top, 700, top + 200), stream.getvalue(), inside, WHOLE)


def table(drawn: bool = True) -> Table:
    def cell(row: int, column: int, wide: int, text: str) -> Cell:
        box = Box(100 + 200 * column, 600 + 40 * row, 100 + 200 * (column + wide), 640 + 40 * row)
        return Cell(row, column, 1, wide, (paragraph(text, top=box.top + 5, left=box.left),), box)

    cells = (cell(0, 0, 2, "head"), cell(1, 0, 1, "a"), cell(1, 1, 1, "b"))
    return Table(cells, 2, 2, Box(100, 600, 500, 680), drawn, heads=1, column=WHOLE)


def page(*blocks: Block, number: int = 1) -> Page:
    return Page(number, 1000, 1400, 120, blocks, recognized=True)


def word(tmp_path: Path, *pages: Page) -> Any:
    DocxWriter().write(Document(pages), tmp_path / "d.docx")
    return docx.Document(str(tmp_path / "d.docx"))


def slides(tmp_path: Path, *pages: Page) -> Any:
    PptxWriter().write(Document(pages), tmp_path / "p.pptx")
    return pptx.Presentation(str(tmp_path / "p.pptx")).slides


def test_headings_and_lists_have_styles(tmp_path: Path) -> None:
    """A bullet is drawn by the style; a number stays, since it may be referred to."""
    file = word(
        tmp_path,
        page(
            paragraph("Title", style=Style(40, bold=True), kind=Kind.HEADING, level=1),
            paragraph("Part", top=180, style=Style(24, bold=True), kind=Kind.HEADING, level=3),
            paragraph("• first", top=240, kind=Kind.ITEM),
            paragraph("1. second", top=280, left=140, kind=Kind.ITEM),
            paragraph("Figure 1: it", top=320, kind=Kind.CAPTION),
            paragraph("running text", top=360),
        ),
    )

    found = [(each.style.name, each.text) for each in file.paragraphs]
    assert found == [
        ("Heading 1", "Title"),
        ("Heading 3", "Part"),
        ("List Bullet", "first"),
        ("List Paragraph", "1.\tsecond"),
        ("Caption", "Figure 1: it"),
        ("Normal", "running text"),
    ]
    assert file.paragraphs[0].runs[0].font.size == Pt(24)
    assert file.paragraphs[3].paragraph_format.first_line_indent < 0


def test_looks_are_kept(tmp_path: Path) -> None:
    style = Style(20, bold=True, italic=True, colour=0xC00000, family="sans")
    file = word(
        tmp_path,
        page(paragraph("plain text of the page"), paragraph("loud", top=140, style=style),
             paragraph("middle", top=180, align=Align.CENTER)),
    )  # fmt: skip

    font = file.paragraphs[1].runs[0].font
    assert (font.bold, font.italic, str(font.color.rgb)) == (True, True, "C00000")
    assert font.name == "Arial"
    assert file.paragraphs[2].alignment is not None
    assert file.paragraphs[0].runs[0].font.bold is None


def test_divided_words_flow(tmp_path: Path) -> None:
    """A hyphen that only stands where a line ends goes; one that belongs to the word stays."""
    file = word(tmp_path, page(paragraph("the con-", "tinued non-", "stop Anglo-", "Saxon")))

    assert file.paragraphs[0].text == "the continued non-stop Anglo-Saxon"


def test_columns_side_by_side_are_columns(tmp_path: Path) -> None:
    """A continuous section with columns of their widths, and one column after it."""
    left = [paragraph("left text", top=300 + 40 * n, column=LEFT) for n in range(4)]
    right = [paragraph("right text", top=300 + 40 * n, left=520, column=RIGHT) for n in range(4)]
    below = paragraph("below all", top=600)

    file = word(tmp_path, page(paragraph("title"), *left, *right, below))

    counts = []
    for section in file.sections:
        (columns,) = section._sectPr.findall(qn("w:cols"))
        counts.append(int(columns.get(qn("w:num"), "1")))
    assert counts == [1, 2, 1]
    breaks = [b for b in file.element.iter(qn("w:br")) if b.get(qn("w:type")) == "column"]
    assert len(breaks) == 1
    assert [each.text.strip() for each in file.paragraphs] == [
        "title", *["left text"] * 4, "", *["right text"] * 4, "below all",
    ]  # fmt: skip
    distance = file.paragraphs[0].paragraph_format.space_after
    assert distance is not None
    assert distance.pt == pytest.approx((300 - 126) * 72 / 120 * 0.9, abs=3)
    for first in (file.paragraphs[1], file.paragraphs[6]):
        assert first.paragraph_format.space_before <= Pt(1)


def test_pictures_stand_in_the_text_with_their_words_hidden(tmp_path: Path) -> None:
    file = word(tmp_path, page(paragraph("above"), picture(), paragraph("below", top=620)))

    assert len(file.inline_shapes) == 1
    assert file.inline_shapes[0].width == Pt(240)
    carrier = file.paragraphs[1]
    assert carrier.text == "labels of the chart"
    assert carrier.runs[-1].font.hidden
    (described,) = file.element.iter(qn("wp:docPr"))
    assert described.get("descr") == "labels of the chart"


def test_a_picture_with_text_beside_it_hangs_on_its_own_page(tmp_path: Path) -> None:
    """Where it stood; not on the last paragraph of the page before, nor in a line of its own."""
    beside = [paragraph("beside the picture", top=420 + 40 * n) for n in range(3)]
    wide = Page(2, 1400, 1000, 120, (picture(), *beside), recognized=True)

    file = word(tmp_path, page(paragraph("first page")), wide, page(*beside, picture(), number=3))

    assert file.paragraphs[0].text == "first page"
    anchors = list(file.element.iter(qn("wp:anchor")))
    assert len(anchors) == 2
    assert not list(file.element.iter(qn("wp:inline")))
    for anchor in anchors:
        (across,) = anchor.iter(qn("wp:positionH"))
        assert across[0].text == str(int(Pt(180)))


def test_a_row_of_pieces_begins_where_the_first_does(tmp_path: Path) -> None:
    """A tab leads to the second, whose indent is none of the row's, nor is its style."""
    head = replace(paragraph("2 - an item to the right", left=600), kind=Kind.ITEM)

    file = word(tmp_path, page(paragraph("left"), head, paragraph("below", top=200)))

    row = file.paragraphs[0]
    assert row.text == "left\t2 - an item to the right"
    assert row.style is not None
    assert (row.style.name, row.paragraph_format.left_indent) == ("Normal", None)


def test_vertical_text_is_set_smaller_to_fit(tmp_path: Path) -> None:
    """A page that is full of columns stays one page: sizes follow from how far they are apart."""

    def column(n: int) -> Paragraph:
        box = Box(950 - 30 * n, 100, 980 - 30 * n, 1300)
        found = Line((Word("字" * 44, box),), box, vertical=True, style=Style(30))
        return Paragraph((found,), box, column=WHOLE)

    file = word(tmp_path, page(*(column(n) for n in range(30))))

    (size,) = {
        run.font.size or file.styles["Normal"].font.size for p in file.paragraphs for run in p.runs
    }
    assert size is not None
    assert 44 * size.pt < (1300 - 100) / 120 * 72
    assert 30 * 1.2 * size.pt < 1000 / 120 * 72


def test_tables_look_as_they_did(tmp_path: Path) -> None:
    """Heading rows are repeated on each page; a table without rules gets none inside."""
    file = word(tmp_path, page(table(), paragraph("between", top=700), table(drawn=False)))

    drawn, plain = file.tables
    assert len(list(drawn._tbl.iter(qn("w:tblHeader")))) == 1
    assert list(drawn._tbl.iter(qn("w:insideV")))
    assert not list(plain._tbl.iter(qn("w:insideV")))
    assert [cell.text for cell in plain.rows[1].cells] == ["a", "b"]


def test_upright_text_on_a_level_page_keeps_its_place(tmp_path: Path) -> None:
    box = Box(20, 100, 50, 400)
    upright = Paragraph((Line((Word("竖排文字", box),), box, True, style=Style(24)),), box)
    texts = [paragraph("level text of the page", top=100 + 40 * n) for n in range(3)]

    file = word(tmp_path, page(texts[0], upright, *texts[1:]))

    (frame,) = file.element.iter(qn("w:framePr"))
    assert frame.get(qn("w:x")) == "240"
    assert "竖排文字" in [each.text for each in file.paragraphs]


def test_later_pages_begin_on_pages(tmp_path: Path) -> None:
    """Also after columns, whose section ends the page."""
    left = [paragraph("left text", top=300 + 40 * n, column=LEFT) for n in range(4)]
    right = [paragraph("right text", top=300 + 40 * n, left=520, column=RIGHT) for n in range(4)]

    file = word(tmp_path, page(*left, *right), page(*left, *right, number=2), page(table()))

    body = file.element.body.xml
    starts = [section.start_type for section in file.sections]
    assert body.count('w:type="column"') == 2
    assert body.count("pageBreakBefore") + starts[1:].count(WD_SECTION.NEW_PAGE) == 2


def test_slides_have_tables_and_pictures(tmp_path: Path) -> None:
    """The words in a picture are there, and not seen twice."""
    (slide,) = slides(tmp_path, page(paragraph("title"), picture(), table()))

    tables = [shape.table for shape in slide.shapes if shape.has_table]
    pictures = [shape for shape in slide.shapes if shape.shape_type == 13]
    texts = {shape.text_frame.text: shape for shape in slide.shapes if shape.has_text_frame}
    assert [[cell.text for cell in row.cells] for row in tables[0].rows] == [
        ["head", ""],
        ["a", "b"],
    ]
    assert tables[0].cell(0, 0).is_merge_origin
    assert len(pictures) == 1
    assert set(texts) == {"title", "labels of the chart"}
    assert 'alpha val="0"' in texts["labels of the chart"]._element.xml
    assert "alpha" not in texts["title"]._element.xml


@pytest.mark.parametrize("drawn", [True, False])
def test_tables_on_slides_have_rules_if_they_had(tmp_path: Path, drawn: bool) -> None:
    (slide,) = slides(tmp_path, page(table(drawn)))

    (frame,) = slide.shapes
    assert ("5940675A" in frame._element.xml) == drawn
    assert frame.table.columns[0].width == frame.table.columns[1].width


def test_word_knows_the_languages(tmp_path: Path) -> None:
    """For its spelling, and for the shapes of Han characters."""
    languages = tuple(each.tag for each in parse("ChineseTaiwan,German,Hebrew"))
    DocxWriter().write(Document([page(paragraph("Wort"))], None, languages), tmp_path / "d.docx")

    file = docx.Document(str(tmp_path / "d.docx"))
    (found,) = file.styles["Normal"].element.iter(qn("w:lang"))
    assert found.get(qn("w:val")) == "de-DE"
    assert found.get(qn("w:eastAsia")) == "zh-TW"
    assert found.get(qn("w:bidi")) == "he-IL"


def test_vertical_pages_are_vertical(tmp_path: Path) -> None:
    """Their sections say so; a level page after them begins another."""
    box = Box(800, 100, 830, 900)
    lines = Paragraph((Line((Word("竖排文字" * 5, box),), box, True, style=Style(24)),), box)

    file = word(tmp_path, page(lines), page(paragraph("level"), number=2))

    directions = [len(list(s._sectPr.iter(qn("w:textDirection")))) for s in file.sections]
    assert directions == [1, 0]
    assert not file.paragraphs[0].paragraph_format.space_before


hostile = st.text(
    st.characters() | st.sampled_from("\0\x0b\n\t\ud800\ufffe\u200f\u202e=+-@<&'\"_x\u00ad"),
    min_size=1,
    max_size=8,
)


def written_paragraph(text: str, top: float, kind: Kind, level: int) -> Paragraph:
    box = Box(100, top, 300, top + 26)
    found = Line((Word(text, box),), box, style=Style(20))
    return Paragraph((found,), box, kind, level, column=WHOLE)


blocks = st.one_of(
    st.builds(
        written_paragraph,
        hostile,
        st.floats(0, 1300),
        st.sampled_from(list(Kind)),
        st.integers(1, 3),
    ),
    st.builds(
        lambda texts, top, drawn: Table(
            tuple(
                Cell(
                    n,
                    0,
                    1,
                    1,
                    (written_paragraph(text, top + 30 * n, Kind.TEXT, 1),),
                    Box(100, top + 30 * n, 300, top + 30 * n + 30),
                )
                for n, text in enumerate(texts)
            ),
            len(texts),
            1,
            Box(100, top, 300, top + 30 * len(texts)),
            drawn,
            column=WHOLE,
        ),
        st.lists(hostile, min_size=1, max_size=3),
        st.floats(0, 1300),
        st.booleans(),
    ),
    st.builds(
        lambda text, top: Picture(
            Box(100, top, 300, top + 100),
            picture().data,
            (written_paragraph(text, top, Kind.TEXT, 1),),
            WHOLE,
        ),
        hostile,
        st.floats(0, 1300),
    ),
)


@given(st.lists(st.lists(blocks, max_size=6), min_size=1, max_size=2))
@settings(max_examples=60, deadline=None)
def test_whatever_stands_on_pages_is_in_the_files(given_pages: list[list[Block]]) -> None:
    """Each character that a file can hold, in each file, once."""
    pages = [page(*each, number=n) for n, each in enumerate(given_pages, 1)]
    expected = Counter("".join(storable(w.text) for p in pages for ln in p.lines for w in ln.words))
    with TemporaryDirectory() as name:
        folder = Path(name)

        document = word(folder, *pages)
        presentation = slides(folder, *pages)

        texts = document.element.body.iter(qn("w:t"))
        in_word = "".join(each.text or "" for each in texts)
        in_slides = "".join(
            each.text or "" for slide in presentation for each in slide._element.iter(a("a:t"))
        )
    ignored = " \t\n\u00ad•-" + "".join(BULLETS)
    for found in (in_word, in_slides):
        for character in {*expected, *found} - set(ignored):
            assert Counter(found)[character] == expected[character], repr(character)

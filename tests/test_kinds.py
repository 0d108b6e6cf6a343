"""What paragraphs are, how they look, and where pictures stand."""

import cv2
import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
import pytest

from app.document import Align, Box, Kind, Line, Paragraph, Picture, Style, Word
from app.interfaces import Image
from app.layout.blocks import blocks
from app.layout.kinds import aligned, classified
from app.layout.marks import is_mark, is_number, item_mark
from app.layout.pictures import cut_out, find_pictures
from app.layout.styles import styled

BODY, TITLE = Style(20), Style(36, bold=True)


def line(text: str, left: float, top: float, width: float = 600, style: Style = BODY) -> Line:
    box = Box(left, top, left + width, top + 1.3 * style.size)
    return Line((Word(text, box),), box, style=style)


def paragraph(*lines: Line) -> Paragraph:
    return Paragraph(lines, Box.around(each.box for each in lines))


def kinds(*paragraphs: Paragraph) -> list[str]:
    found = classified(paragraphs, 1400)
    return [
        f"{each.kind} {each.level}" if each.kind is Kind.HEADING else str(each.kind)
        for each in found
        if isinstance(each, Paragraph)
    ]


TEXT = [paragraph(line("running text that goes on", 100, 400 + 30 * n)) for n in range(6)]


def test_larger_or_bold_text_is_a_heading() -> None:
    big = paragraph(line("A title", 100, 200, style=TITLE))
    middle = paragraph(line("A section", 100, 280, style=Style(27)))
    bold = paragraph(line("A paragraph's name", 100, 340, style=Style(20, bold=True)))

    assert kinds(big, middle, bold, *TEXT)[:3] == ["heading 1", "heading 2", "heading 3"]


def test_long_bold_text_is_none() -> None:
    bold = paragraph(line("a bold warning to all who " * 6, 100, 200, style=Style(20, bold=True)))
    sentence = paragraph(line("This is important.", 100, 240, style=Style(20, bold=True)))

    assert kinds(bold, sentence, *TEXT)[:2] == ["text", "text"]


def test_without_styles_there_are_no_headings() -> None:
    plain = [Line(each.words, each.box) for each in (line("A title", 100, 200, style=TITLE),)]

    assert kinds(paragraph(*plain)) == ["text"]


@pytest.mark.parametrize(
    "text", ["• one", "1. one", "(a) one", "（一）第一", "3）第三", "– one", "b) one", "12、十二"]
)
def test_items_have_marks(text: str) -> None:
    assert kinds(paragraph(line(text, 100, 200)), *TEXT)[0] == "item"
    assert item_mark(text)


@pytest.mark.parametrize(
    "text", ["2019. The year", "A. Smith said", "1.5 kg", "-5 degrees", "I am"]
)
def test_what_only_looks_like_a_mark(text: str) -> None:
    assert item_mark(text) == ""


def test_marks_alone() -> None:
    assert all(map(is_mark, ["•", "1.", "(a)", "(iv)", "一、"]))
    assert not any(map(is_mark, ["12", "ab", "1.5", ""]))
    assert all(map(is_number, ["2", "6.2", "1.2.3"]))
    assert not any(map(is_number, ["2019", "6.", "a"]))


def test_items_have_levels_by_their_indent() -> None:
    found = classified(
        [paragraph(line("• x", 100 + 50 * n, 300 + 30 * n)) for n in (0, 1, 0)], 1400
    )

    assert [each.level for each in found if isinstance(each, Paragraph)] == [1, 2, 1]


def test_heads_and_feet_stand_apart_at_the_edges() -> None:
    head, foot = paragraph(line("Journal 7", 100, 40)), paragraph(line("12", 100, 1340))

    found = kinds(head, *TEXT, foot)

    assert found[0] == "header"
    assert found[-1] == "footer"
    assert "header" not in kinds(*TEXT)


def test_captions() -> None:
    texts = ["Figure 3: a ship", "表 2 人口", "Table 1", "Tabelle 4. Orte"]
    assert kinds(*(paragraph(line(text, 100, 300)) for text in texts)) == ["caption"] * 4


def test_where_lines_stand_in_their_column() -> None:
    column = Box(100, 0, 900, 1400)
    centred = paragraph(line("title", 400, 100, 200))
    right = paragraph(line("date", 700, 100, 200))
    left = paragraph(line("name", 100, 100, 200))
    even = paragraph(
        *(line("full", 100, 100 + 30 * n, 800) for n in range(3)), line("", 100, 190, 90)
    )
    ragged = paragraph(*(line("verse", 500 - 40 * n, 100 + 30 * n, 80 * n + 40) for n in range(3)))

    found = [aligned(each, column).align for each in (centred, right, left, even, ragged)]

    assert found == [Align.CENTER, Align.END, Align.START, Align.JUSTIFY, Align.CENTER]


def written(texts: list[tuple[str, int, int, bool, str]]) -> tuple[list[Line], Image]:
    """A page with texts: what, how high, where, whether bold, in which colour."""
    image = PIL.Image.new("RGB", (1000, 800), "white")
    draw = PIL.ImageDraw.Draw(image)
    lines = []
    for text, size, top, bold, colour in texts:
        font = PIL.ImageFont.load_default(size)
        draw.text((50, top), text, colour, font, stroke_width=size // 16 if bold else 0)
        left, up, right, down = draw.textbbox((50, top), text, font)
        box = Box(left - 4, up - 4, right + 4, down + 4)
        lines.append(Line((Word(text, box),), box))
    return lines, np.asarray(image)


def test_size_weight_and_colour_are_seen() -> None:
    texts = [(f"plain text that is not bold {n}", 32, 50 * n, False, "black") for n in range(8)]
    lines, image = written(
        [
            *texts,
            ("bold text for once", 32, 450, True, "black"),
            ("A much larger line", 64, 520, False, "black"),
            ("a line in red letters", 32, 620, False, "#c00000"),
        ]
    )

    found = [each.style for each in styled(lines, image)]

    assert all(style is not None for style in found)
    sizes = [style.size for style in found if style is not None]
    assert len(set(sizes[:8])) == 1
    assert 0.8 * 32 < sizes[0] < 1.2 * 32
    assert 0.8 * 64 < sizes[9] < 1.2 * 64
    assert [style.bold for style in found if style is not None][:9] == [False] * 8 + [True]
    red = found[10]
    assert red is not None
    assert red.colour is not None
    assert red.colour >> 16 > 0x90
    assert all(style.colour is None for style in found[:8] if style is not None)


def test_lines_without_ink_have_a_size_too() -> None:
    blank = np.full((100, 400, 3), 255, np.uint8)

    (found,) = styled([Line((Word("x", Box(-5, -5, 50, 30)),), Box(-5, -5, 50, 30))], blank)

    assert found.style is not None
    assert not found.style.bold


def photo(height: int, width: int) -> Image:
    noise = np.random.default_rng(1).integers(0, 255, (height // 8, width // 8, 3), np.uint8)
    return np.asarray(cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


@pytest.mark.parametrize("height", [800, 1100, 1200])
def test_a_speck_at_the_edge(height: int) -> None:
    """It is no picture, wherever it is and whatever is near."""
    for place in ((0, 0), (0, -1), (-1, 0), (-1, -1)):
        page = np.full((height, height * 5 // 7, 3), 255, np.uint8)
        page[place] = 0

        assert find_pictures(page, [], []) == []


def test_photos_are_pictures_and_coloured_grounds_are_none() -> None:
    page = np.full((1400, 1000, 3), 255, np.uint8)
    page[100:400, 100:500] = photo(300, 400)
    page[600:900, 100:900] = (255, 220, 180)
    page[1000:1300, 100:900] = (0, 0, 0)
    page[1004:1296, 104:896] = 255  # A frame.

    found = find_pictures(page, [Box(150, 650, 800, 700)], [])

    assert len(found) == 1
    assert abs(found[0].left - 100) < 12
    assert abs(found[0].bottom - 400) < 12


def test_a_chart_is_a_picture_with_its_words() -> None:
    page = np.full((1400, 1000, 3), 255, np.uint8)
    for n in range(12):
        page[800 - 20 * n : 800, 200 + 40 * n : 225 + 40 * n] = (60, 60, 60)
    words = [line("2019", 300, 810, 60), line("2020", 500, 700, 60)]
    text = [line(f"running text {n}", 100, 100 + 30 * n) for n in range(5)]

    found = blocks([*text, *words], lambda: page, 1000, 1400, looks=True)

    (picture,) = [block for block in found if isinstance(block, Picture)]
    assert picture.box.left < 260
    assert "2020" in " ".join(each.text for each in picture.paragraphs)


def test_paper_on_a_desk_is_no_picture_of_its_text() -> None:
    """Where the text of the page stands in what is painted, that is the page's ground."""
    page = np.full((1400, 1000, 3), 255, np.uint8)
    page[100:1300, 50:950] = photo(1200, 900)
    text = [line(f"running text {n}", 200, 200 + 60 * n, 300) for n in range(15)]

    found = blocks(text, lambda: page, 1000, 1400, looks=True)

    assert all(isinstance(block, Paragraph) for block in found)


def test_a_bold_head_of_a_page_is_a_head() -> None:
    """A title at the top of the first page, larger than the text, is a heading all the same."""
    bold = paragraph(line("Page 6 of 14", 700, 40, 200, style=Style(20, bold=True)))
    title = paragraph(line("A title", 100, 40, 200, style=TITLE))

    assert kinds(bold, *TEXT)[0] == "header"
    assert kinds(title, *TEXT)[0] == "heading 1"


def test_formulas_with_unknown_signs_are_pictures() -> None:
    """With what stands beside them; their text, as far as it is known, is kept."""
    page = np.full((1400, 1000, 3), 255, np.uint8)
    text = [line(f"running text {n} that fills its line", 100, 100 + 30 * n, 800) for n in range(5)]
    formula = [line("s(n) = \ufffd", 350, 300, 120), line("k = 1", 480, 312, 60, Style(12))]
    below = [line(f"more of it {n} that fills its line", 100, 400 + 30 * n, 800) for n in range(5)]

    shown = blocks([*text, *formula, *below], lambda: page, 1000, 1400, looks=True)
    plain = blocks([*text, *formula, *below], lambda: page, 1000, 1400)

    (picture,) = [block for block in shown if isinstance(block, Picture)]
    assert sorted(each.text for each in picture.paragraphs) == ["k = 1", "s(n) = \ufffd"]
    assert (picture.box.left, picture.box.right) == pytest.approx((350, 540), abs=10)
    assert not any(isinstance(block, Picture) for block in plain)


def test_tables_are_no_pictures() -> None:
    page = np.full((1400, 1000, 3), 255, np.uint8)
    page[100:400, 100:500] = photo(300, 400)

    assert find_pictures(page, [], [Box(90, 90, 510, 410)]) == []


@pytest.mark.parametrize(("many", "kind"), [(True, b"\xff\xd8"), (False, b"\x89PNG")])
def test_pictures_are_kept_as_small_files(many: bool, kind: bytes) -> None:
    page = photo(800, 800) if many else np.full((800, 800, 3), 255, np.uint8)

    assert cut_out(page, Box(-5, 10, 700.5, 900)).startswith(kind)

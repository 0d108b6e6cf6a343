"""Reading order and paragraphs, from boxes alone."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from app.document import Box, Line, Style, Word
from app.layout.order import paragraphs

WIDTH, HEIGHT = 1000.0, 1400.0


def line(text: str, left: float, top: float, width: float, height: float = 20) -> Line:
    box = Box(left, top, left + width, top + height)
    return Line((Word(text, box),), box)


def column(name: str, left: float, width: float, top: float, count: int) -> list[Line]:
    return [line(f"{name}{n}", left, top + 26 * n, width) for n in range(count)]


def order(lines: list[Line]) -> str:
    return " ".join(p.text for p in paragraphs(lines, WIDTH))


def test_one_column_from_the_top() -> None:
    """The order in which lines were found means nothing."""
    found = column("a", 100, 800, 100, 5)

    assert order(found[::-1]) == "a0 a1 a2 a3 a4"


def test_two_columns_one_after_the_other() -> None:
    """The left column is read to its end, though the base lines are the same."""
    found = column("a", 100, 380, 100, 4) + column("b", 520, 380, 100, 4)

    assert order(found) == "a0 a1 a2 a3 b0 b1 b2 b3"


def test_a_heading_over_two_columns() -> None:
    """What spans the columns parts what is above it from what is below."""
    found = [
        line("title", 100, 50, 800, 40),
        *column("a", 100, 380, 120, 4),
        *column("b", 520, 380, 120, 4),
        line("across", 100, 260, 800),
        *column("c", 100, 380, 320, 3),
        *column("d", 520, 380, 320, 3),
    ]

    assert order(found) == "title a0 a1 a2 a3 b0 b1 b2 b3 across c0 c1 c2 d0 d1 d2"


def test_a_table_is_read_row_by_row() -> None:
    """Short cells that stand side by side are no columns of text."""
    found = column("a", 100, 60, 100, 4) + column("b", 400, 60, 100, 4)

    assert order(found) == "a0 b0 a1 b1 a2 b2 a3 b3"


def column_down(name: str, right: float, top: float, height: float, count: int) -> list[Line]:
    """Vertical lines that follow each other to the left."""
    found = []
    for n in range(count):
        box = Box(right - 26 * n - 20, top, right - 26 * n, top + height)
        found.append(Line((Word(f"{name}{n}", box),), box, vertical=True))
    return found


def test_vertical_text_is_read_tier_by_tier() -> None:
    """Headings cross some of the tiers, which are close together and of many heights."""
    found = [
        *column_down("title", 950, 100, 420, 1),
        *column_down("a", 910, 100, 200, 5),
        *column_down("b", 910, 308, 212, 5),
        *column_down("head", 780, 100, 300, 1),
        *column_down("c", 740, 100, 140, 4),
        *column_down("d", 740, 248, 140, 4),
        *column_down("e", 780, 410, 110, 5),
        *column_down("f", 950, 530, 160, 12),
    ]

    assert order(found[::-1]) == (
        "title0 a0 a1 a2 a3 a4 b0 b1 b2 b3 b4 head0 c0 c1 c2 c3 d0 d1 d2 d3 "
        "e0 e1 e2 e3 e4 f0 f1 f2 f3 f4 f5 f6 f7 f8 f9 f10 f11"
    )


def test_a_line_of_pieces_looks_like_the_longest_of_them() -> None:
    """Only what all of a line is makes it bold."""
    pieces = [
        replace(line("a long beginning", 100, 100, 300), style=Style(20, bold=True, family="sans")),
        replace(line("end", 410, 100, 60), style=Style(20, family="sans")),
    ]

    (paragraph,) = paragraphs(pieces, WIDTH)

    assert [line.style for line in paragraph.lines] == [Style(20, family="sans")]


def test_pieces_of_a_line_are_joined() -> None:
    """A detector may cut a line at a wide space."""
    (found,) = paragraphs([line("one", 100, 100, 50), line("two", 160, 101, 50)], WIDTH)

    assert [found_line.text for found_line in found.lines] == ["one two"]


def test_an_indent_begins_a_paragraph() -> None:
    """So does a line after one that ended early."""
    found = [
        line("一一一一一一一一一一一一", 140, 100, 760),
        line("二二二二二二二二二二二二", 100, 126, 800),
        line("三三三", 100, 152, 200),
        line("四四四四四四四四四四四四", 140, 178, 760),
        line("五五五五五五五五五五五五", 100, 204, 800),
    ]

    texts = [p.text for p in paragraphs(found, WIDTH)]

    assert [text[0] for text in texts] == ["一", "四"]


def test_cells_stay_apart() -> None:
    """The last cell of a row and the first of the next are not one paragraph."""
    found = column("a", 100, 60, 100, 3) + column("b", 800, 60, 100, 3)

    assert len(paragraphs(found, WIDTH)) == 6


def test_han_lines_join_without_spaces() -> None:
    """A paragraph's text has no space where a Chinese line broke."""
    found = [line("中文", 100, 100, 800), line("继续", 100, 126, 800)]

    assert order(found) == "中文继续"


def test_vertical_columns_from_the_right() -> None:
    """Vertical text is read from the right column to the left."""
    found = []
    for n in range(3):
        box = Box(800 - 60 * n, 100, 840 - 60 * n, 900)
        found.append(Line((Word("縦書"[n % 2] * 9 + str(n), box),), box, vertical=True))

    assert [c for c in order(found) if c.isdigit()] == ["0", "1", "2"]


def test_right_to_left_rows() -> None:
    """In a row of a right-to-left page the rightmost piece comes first."""
    found = [line("ראשון", 700, 100, 100), line("שני", 300, 100, 100)]

    assert order(found) == "ראשון שני"


boxes = st.builds(
    lambda text, x, y, w, h, vertical: Line(
        (Word(text, Box(x, y, x + w, y + h)),), Box(x, y, x + w, y + h), vertical
    ),
    st.text("ab中文אب ", min_size=1, max_size=5).map(lambda t: t.replace(" ", "") or "x"),
    st.floats(0, 900),
    st.floats(0, 1300),
    st.floats(0, 900),
    st.floats(0, 300),
    st.booleans(),
)


@given(st.lists(boxes, max_size=40))
def test_no_word_is_lost_or_invented(found: list[Line]) -> None:
    """Whatever the geometry, the words stay what they were."""
    read = paragraphs(found, WIDTH)

    words = [w.text for p in read for found_line in p.lines for w in found_line.words]
    assert sorted(words) == sorted(w.text for found_line in found for w in found_line.words)


@given(st.lists(boxes, max_size=20))
def test_paragraphs_hold_their_lines(found: list[Line]) -> None:
    """A paragraph's box holds the boxes of its lines."""
    for paragraph in paragraphs(found, WIDTH):
        for found_line in paragraph.lines:
            assert paragraph.box.left <= found_line.box.left
            assert paragraph.box.bottom >= found_line.box.bottom


def test_skewed_pages_are_read_along_their_lines() -> None:
    """On a page that leans, what stands on one printed line is one row."""
    slope = 0.04  # Over the page's width two lines' heights.

    def leaning(text: str, left: float, top: float) -> Line:
        width = 60
        box = Box(left, top + slope * left, left + width, top + slope * (left + width) + 20)
        return Line((Word(text, box),), box, slope=slope)

    found = [
        leaning(f"{name}{n}", left, 100 + 26 * n)
        for n in range(4)
        for name, left in (("a", 50), ("b", 600))
    ]

    assert order(found[::-1]).split() == ["a0", "b0", "a1", "b1", "a2", "b2", "a3", "b3"]


def test_four_columns_beside_each_other() -> None:
    """Each is text by itself, though the lines of three fill little of their common width."""
    found = [each for n in range(4) for each in column("abcd"[n], 40 + 240 * n, 200, 100, 5)]

    assert order(found) == " ".join(f"{name}{n}" for name in "abcd" for n in range(5))


def test_a_list_beside_text_is_a_column_of_its_own() -> None:
    """Its lines stand at heights of their own; cells of a table would not."""
    text = column("t", 400, 550, 100, 12)
    notes = [line(f"n{n}", 60, 110 + 33 * n, 90) for n in range(9)]

    assert order(text + notes).startswith("n0 n1 n2")


def test_columns_between_headings_are_found_piece_by_piece() -> None:
    """Those at the top need not stand where those at the bottom do."""
    found = [
        *column("a", 50, 400, 100, 4),
        *column("b", 500, 400, 100, 4),
        line("across the whole page", 50, 260, 850),
        *column("c", 50, 200, 320, 4),
        *column("d", 300, 600, 320, 4),
    ]

    words = order(found).split()
    assert words[:8] == ["a0", "a1", "a2", "a3", "b0", "b1", "b2", "b3"]
    assert words[-8:] == ["c0", "c1", "c2", "c3", "d0", "d1", "d2", "d3"]


def test_ten_thousand_lines_are_put_in_order() -> None:
    """A page may be made to keep us busy: columns are looked for so often, and no more."""
    found = [
        line(f"w{n}", (n * 7919) % 1900, (n * 104729) % 1980, 5 + n % 90) for n in range(10000)
    ]

    assert len(order(found).split()) == 10000

"""Tables whose columns are parted by white space, and what is none."""

import numpy as np
import pytest

from app.document import Block, Box, Line, Paragraph, Rule, Table, Word
from app.layout.aligned import aligned_tables, ruled_tables
from app.layout.blocks import blocks
from app.layout.frame import Frame, Item, rows

WIDTH, HEIGHT = 1000.0, 1400.0
LEVEL = Frame(vertical=False, mirrored=False, width=WIDTH)


def line(text: str, left: float, top: float) -> Line:
    """A line of words, 20 pixels high and 10 to each character."""
    words, x = [], left
    for word in text.split():
        words.append(Word(word, Box(x, top, x + 10 * len(word), top + 20)))
        x += 10 * len(word) + 10
    return Line(tuple(words), Box.around(word.box for word in words))


def columns(
    places: list[float], texts: list[str], top: float = 100, step: float = 30
) -> list[Line]:
    """A line for each text between bars; an empty one leaves its place free."""
    return [
        line(cell.strip(), place, top + step * n)
        for n, row in enumerate(texts)
        for place, cell in zip(places, row.split("|"), strict=True)
        if cell.strip()
    ]


def found(lines: list[Line]) -> list[Block]:
    return list(blocks(lines, None, WIDTH, HEIGHT))


def texts(table: Table) -> list[str]:
    """The rows, their cells between bars; a cell that spans several columns is followed by +."""
    shown = []
    for row in range(table.rows):
        cells = [cell for cell in table.cells if cell.row == row]
        shown.append(
            " | ".join(
                " ".join(p.text for p in cell.paragraphs) + "+" * (cell.column_span - 1)
                for cell in cells
            )
        )
    return shown


def items(lines: list[Line]) -> list[Item]:
    return [Item(each, each.box) for each in lines]


def between(lines: list[Line], rules: list[Rule]) -> Table:
    """The one table that the rules bound."""
    (table,), left = ruled_tables(items(lines), rules, LEVEL)
    assert not left
    return table


FIGURES = ["Town | 2019 | 2020", "Aarau | 1.5 | 2", "Bern | 12 | 7", "Chur | 3 | 1"]


def test_short_cells_below_each_other_are_a_table() -> None:
    (table,) = found(columns([100, 300, 500], FIGURES))

    assert isinstance(table, Table)
    assert texts(table) == FIGURES


def test_what_is_above_and_below_stays_text() -> None:
    above, below = (
        line("A table of towns follows this line of text", 100, 40),
        line("End.", 100, 260),
    )

    first, table, last = found([above, *columns([100, 300, 500], FIGURES), below])

    assert isinstance(first, Paragraph)
    assert isinstance(table, Table)
    assert isinstance(last, Paragraph)


def test_a_cell_may_be_empty() -> None:
    given = ["a | b | c | d", "e | | g | h", "i | j | | l", "m | n | | p"]

    (table,) = found(columns([100, 200, 300, 400], given))

    assert isinstance(table, Table)
    assert texts(table) == [row.replace("| |", "|  |") for row in given]


def test_a_wrapped_cell_is_one_cell() -> None:
    given = [
        "Name | Use | No",
        "Rope | to pull and | 7",
        " | to hold fast | ",
        "Nail | to join | 9",
    ]

    (table,) = found(columns([100, 300, 600], given))

    assert isinstance(table, Table)
    assert texts(table)[1:] == ["Rope | to pull and to hold fast | 7", "Nail | to join | 9"]


def test_lines_in_the_middle_of_a_cell_belong_to_its_row() -> None:
    """Two lines at the left, one at the right between them; rows are further apart."""
    lines = []
    for n, (one, two, right) in enumerate(
        (("ab", "cd", "1"), ("ef", "gh", "2"), ("ij", "kl", "3"))
    ):
        top = 100 + 80 * n
        lines += [line(one, 100, top), line(two, 100, top + 24), line(right, 300, top + 12)]

    table = between(lines, [Rule(at, 90, 400) for at in (90, 162, 242, 330)])

    assert texts(table) == ["ab cd | 1", "ef gh | 2", "ij kl | 3"]


def test_a_heading_in_the_middle_spans_its_columns() -> None:
    head = [line("Town", 100, 100), line("Men", 340, 100), line("Women", 650, 100)]
    given = ["| % | all | % | all", "Aarau | 1 | 22 | 3 | 44", "Bern | 5 | 66 | 7 | 88"]

    table = between(
        [*head, *columns([100, 300, 420, 600, 740], given, 130)],
        [Rule(at, 90, 800) for at in (90, 155, 240)],
    )

    assert texts(table)[0] == "Town | Men+ | Women+"
    assert texts(table)[2:] == ["Aarau | 1 | 22 | 3 | 44", "Bern | 5 | 66 | 7 | 88"]


def test_a_short_rule_tells_what_a_heading_spans() -> None:
    head = [line("Town", 100, 100), line("Left at the side", 300, 100)]
    given = ["| a | b | c", "Aarau | 1 | 2 | 3", "Bern | 5 | 6 | 7"]

    table = between(
        [*head, *columns([100, 300, 420, 600], given, 140)],
        [*(Rule(at, 90, 700) for at in (90, 165, 240)), Rule(128, 290, 700)],
    )

    assert texts(table)[0] == "Town | Left at the side++"
    assert table.cells[0].row_span == 2


def test_right_to_left_columns_are_counted_from_the_left() -> None:
    lines = columns([100, 300, 500], ["אחד | שתיים | שלוש", "א | ב | ג", "ד | ה | ו"])

    (table,) = found(lines)

    assert isinstance(table, Table)
    assert texts(table)[0] == "אחד | שתיים | שלוש"


@pytest.mark.parametrize("mark", ["•", "1.", "(a)", "2.3"])
def test_marks_and_their_items_are_no_table(mark: str) -> None:
    lines = []
    for n in range(5):
        lines += [line(mark, 100, 100 + 40 * n), line(f"item number {n}", 150, 100 + 40 * n)]

    blocks_ = found(lines)

    assert [block.text for block in blocks_ if isinstance(block, Paragraph)] == [
        f"{mark} item number {n}" for n in range(5)
    ]


def test_columns_of_text_are_no_table() -> None:
    text = "running text that fills its column well"
    lines = [line(text, left, 100 + 26 * n) for n in range(6) for left in (50, 500)]

    assert all(isinstance(block, Paragraph) for block in found(lines))


def test_a_table_in_one_of_two_columns() -> None:
    """The other column's lines are none of its cells."""
    text = "running text that fills its column well"
    lines = [line(text, 500, 100 + 28 * n) for n in range(12)]
    lines += [line(text, 50, 100 + 26 * n) for n in range(6)]
    lines += columns([50, 200, 320], FIGURES, 290, 28)

    tables = [block for block in found(lines) if isinstance(block, Table)]

    assert [texts(table) for table in tables] == [FIGURES]


def test_rules_around_a_page_of_text_are_no_table() -> None:
    text = "running text that fills its column well"
    lines = [line(text, left, 100 + 26 * n) for n in range(6) for left in (50, 500)]
    given = items(lines)

    tables, left = ruled_tables(given, [Rule(80, 40, 900), Rule(300, 40, 900)], LEVEL)

    assert not tables
    assert left == given


def test_leaders_make_no_table() -> None:
    lines = [line(f"Chapter {n} ................ {n}", 100, 100 + 30 * n) for n in range(5)]
    lines += [line(f"{n}", 600, 100 + 30 * n) for n in range(5)]

    assert not any(isinstance(part, Table) for part in aligned_tables(rows(items(lines)), LEVEL))


def test_a_leaning_table_is_read_along_its_rows() -> None:
    slope = 0.03
    leaning = []
    for each in columns([100, 400, 700], FIGURES):
        box = each.box
        fall = slope * box.left
        moved = Box(box.left, box.top + fall, box.right, box.bottom + fall + slope * box.width)
        leaning.append(Line((Word(each.text, moved),), moved, slope=slope))

    (table,) = found(leaning)

    assert isinstance(table, Table)
    assert texts(table) == FIGURES


def test_a_frame_of_a_bent_page_sets_lines_level() -> None:
    """Lines that fan out, as on a page seen from the side, end up level."""
    lines = []
    for n in range(20):
        slope = 0.05 * (n - 10) / 10
        top = 100 + 60 * n
        middle = top + slope * 450
        box = Box(50, middle - abs(slope) * 450, 950, middle + abs(slope) * 450 + 20)
        lines.append(Line((Word("x" * 80, box),), box, slope=slope))

    frame = Frame.of(lines, WIDTH)

    assert frame.falls is not None
    first = frame.falls.by(950, 100) - frame.falls.by(50, 100)
    last = frame.falls.by(950, 1240) - frame.falls.by(50, 1240)
    assert first == pytest.approx(-45, abs=12)
    assert last == pytest.approx(40, abs=12)
    heights = [frame(each.box).height for each in lines]
    assert max(heights) < 45
    assert np.median(heights) < 25


def test_rows_outside_of_inner_rules_belong_to_the_table() -> None:
    """Often only the headings and the totals have a rule."""
    given = [*FIGURES, "Sum | 9 | 9"]

    table = between(columns([100, 300, 500], given), [Rule(125, 90, 600), Rule(215, 90, 600)])

    assert texts(table) == given

"""Tables from rules and lines, and what the writers make of them."""

from dataclasses import replace
from pathlib import Path

import cv2
import docx
import numpy as np
import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.document import Box, Cell, Document, Line, Page, Paragraph, Rule, Rules, Table, Word
from app.interfaces import Image
from app.layout.blocks import blocks
from app.layout.drawn import drawn_tables, may_hold_tables
from app.layout.rules import find_rules
from app.writers.docx import DocxWriter
from app.writers.txt import TextWriter
from app.writers.xlsx import XlsxWriter

WIDTH, HEIGHT = 1000, 800


def line(text: str, left: float, top: float, width: float = 0) -> Line:
    """A line of words, 20 pixels high and 10 to each character."""
    words, x = [], left
    for word in text.split():
        words.append(Word(word, Box(x, top, x + (width or 10 * len(word)), top + 20)))
        x += 10 * len(word) + 10
    return Line(tuple(words), Box.around(word.box for word in words))


def page(level: list[Rule], upright: list[Rule]) -> Image:
    image = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    ends = [((r.start, r.at), (r.stop, r.at)) for r in level]
    ends += [((r.at, r.start), (r.at, r.stop)) for r in upright]
    for (x0, y0), (x1, y1) in ends:
        cv2.line(image, (int(x0), int(y0)), (int(x1), int(y1)), (0, 0, 0), 2)
    return image


LEVEL = [Rule(y, 100, 700) for y in (100, 150, 200, 250)]
UPRIGHT = [Rule(100, 100, 250), Rule(300, 150, 250), Rule(500, 150, 250), Rule(700, 100, 250)]
RULES = Rules(tuple(LEVEL), tuple(UPRIGHT))
LINES = [
    line("all of it", 350, 115),
    *(line(f"r{r}c{c}", 120 + 200 * c, 165 + 50 * r) for r in range(2) for c in range(3)),
]


def grid(table: Table) -> list[list[str]]:
    found = [["-"] * table.columns for _ in range(table.rows)]
    for cell in table.cells:
        found[cell.row][cell.column] = " ".join(each.text for each in cell.paragraphs)
    return found


def test_rules_are_seen_and_letters_are_not() -> None:
    image = page(LEVEL, UPRIGHT)
    cv2.putText(image, "Letters", (120, 400), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (0, 0, 0), 2)

    found = find_rules(image)

    assert sorted(round(rule.at, -1) for rule in found.level) == [100, 150, 200, 250]
    assert sorted(round(rule.at, -1) for rule in found.upright) == [100, 300, 500, 700]
    for rule in found.level:
        assert (rule.start, rule.stop) == pytest.approx((100, 700), abs=8)


def test_a_drawn_table_has_cells_and_spans() -> None:
    found = blocks([*LINES, line("below", 100, 300)], lambda: page(LEVEL, UPRIGHT), WIDTH, HEIGHT)

    table, below = found
    assert isinstance(table, Table)
    assert isinstance(below, Paragraph)
    assert grid(table) == [
        ["all of it", "-", "-"],
        ["r0c0", "r0c1", "r0c2"],
        ["r1c0", "r1c1", "r1c2"],
    ]
    assert [(c.row_span, c.column_span) for c in table.cells] == [(1, 3)] + 6 * [(1, 1)]


def test_outer_rules_need_not_be_drawn() -> None:
    inner = Rules(RULES.level, RULES.upright[1:3])

    (table,), others = drawn_tables(LINES, inner, WIDTH, HEIGHT)

    assert grid(table) == [["r0c0", "r0c1", "r0c2"], ["r1c0", "r1c1", "r1c2"]]
    assert others == LINES[:1]


def test_rows_of_figures_need_no_rules() -> None:
    level = [Rule(y, 100, 700) for y in (100, 150, 300)]
    upright = [Rule(x, 100, 300) for x in (100, 300, 500, 700)]
    lines = [line(f"h{c}", 120 + 200 * c, 115) for c in range(3)]
    lines += [line(f"{r}{c}", 120 + 200 * c, 155 + 28 * r) for r in range(5) for c in range(3)]

    (table,), _ = drawn_tables(lines, Rules(tuple(level), tuple(upright)), WIDTH, HEIGHT)

    expected = [["h0", "h1", "h2"], *([f"{r}{c}" for c in range(3)] for r in range(5))]
    assert grid(table) == expected


def test_a_flow_chart_is_no_table() -> None:
    """Text between boxes of different widths is not cut where only other boxes have sides."""
    frames = [(100, 100, 700, 160), (300, 160, 500, 220), (100, 300, 700, 360)]
    level = [Rule(y, left, right) for left, top, right, bottom in frames for y in (top, bottom)]
    upright = [Rule(x, top, bottom) for left, top, right, bottom in frames for x in (left, right)]
    upright += [Rule(100, 100, 360), Rule(700, 100, 360)]
    lines = [
        line("the first box", 120, 120),
        line("a second", 320, 180),
        line("what is written between two boxes of the chart", 150, 250),
        line("the last one", 120, 320),
    ]

    tables, others = drawn_tables(lines, Rules(tuple(level), tuple(upright)), WIDTH, HEIGHT)

    assert not tables
    assert others == lines


def test_wrapped_text_is_one_cell() -> None:
    lines = [*LINES[:3], line("and more", 120, 180)]

    (table,), _ = drawn_tables(lines, RULES, WIDTH, HEIGHT)

    assert (table.rows, table.columns) == (3, 3)
    assert grid(table)[1][0] == "r0c0 and more"


def test_headings_over_columns_are_apart() -> None:
    lines = [line("one", 180, 115), line("two", 480, 115), *LINES[1:]]

    (table,), _ = drawn_tables(lines, RULES, WIDTH, HEIGHT)

    assert grid(table)[0] == ["one", "two", "-"]


def test_a_word_that_runs_over_a_rule_is_parted_there() -> None:
    word = Word("甲乙丙丁", Box(260, 165, 340, 185))
    lines = [Line((word,), word.box), *LINES[2:]]

    (table,), _ = drawn_tables(lines, RULES, WIDTH, HEIGHT)

    assert grid(table)[1][:2] == ["甲乙", "丙丁 r0c1"]


def test_a_frame_is_no_table() -> None:
    frame = Rules(tuple(LEVEL[::3]), tuple(UPRIGHT[::3]))

    tables, others = drawn_tables(LINES, frame, WIDTH, HEIGHT)

    assert tables == []
    assert others == LINES


def test_the_picture_is_looked_at_only_where_lines_stand_side_by_side() -> None:
    prose = [line("only one line below another", 100, 100 + 30 * n) for n in range(9)]

    assert not may_hold_tables(prose)
    assert not may_hold_tables([])
    assert may_hold_tables(LINES)


def test_a_hatched_page_full_of_text_is_laid_out() -> None:
    image = np.full((2000, 2000, 3), 255, np.uint8)
    image[::20, :, :] = image[:, ::20, :] = 0
    lines = [line(f"w{n}", 20 * (n % 90), 25 * (n // 90)) for n in range(5000)]

    assert may_hold_tables(lines)
    rules = find_rules(image)

    assert max(len(rules.level), len(rules.upright)) <= 400
    table = blocks(lines, lambda: image, 2000, 2000)[0]
    assert isinstance(table, Table)
    assert (table.rows, table.columns) == (99, 99)


boxes = st.tuples(st.integers(0, 900), st.integers(0, 700), st.integers(1, 400))
rules = st.builds(
    lambda at, start, length: Rule(at, start, start + length),
    st.integers(0, 900),
    st.integers(0, 700),
    st.integers(1, 700),
)


@given(
    st.lists(boxes, max_size=16),
    st.lists(rules, max_size=6),
    st.lists(rules, max_size=6),
    st.floats(-0.1, 0.1),
)
def test_no_character_is_lost_or_invented(
    places: list[tuple[int, int, int]], level: list[Rule], upright: list[Rule], slope: float
) -> None:
    lines = [
        replace(line(f"w{n}x y{n}", x, y, width), slope=slope * (x + y) / 1000)
        for n, (x, y, width) in enumerate(places)
    ]

    found = blocks(lines, lambda: page(level, upright), WIDTH, HEIGHT)

    read = "".join(each.text for each in Page(1, WIDTH, HEIGHT, 96, found, True).lines)
    expected = "".join(each.text for each in lines)
    assert sorted(read.replace(" ", "")) == sorted(expected.replace(" ", ""))
    for table in found:
        if isinstance(table, Table):
            places_taken = [
                (row, column)
                for cell in table.cells
                for row in range(cell.row, cell.row + cell.row_span)
                for column in range(cell.column, cell.column + cell.column_span)
            ]
            assert sorted(places_taken) == [
                (row, column) for row in range(table.rows) for column in range(table.columns)
            ]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 7), st.integers(1, 3)), max_size=40))
def test_rows_of_cells_lose_no_character(places: list[tuple[int, int, int]]) -> None:
    lines = [line(f"{n}" * length, 95 * x, 26 * y) for n, (x, y, length) in enumerate(places)]

    found = blocks(lines, lambda: page(LEVEL, []), WIDTH, HEIGHT)

    read = "".join(each.text for each in Page(1, WIDTH, HEIGHT, 96, found, True).lines)
    assert sorted(read.replace(" ", "")) == sorted("".join(each.text for each in lines))


@pytest.fixture
def document() -> Document:
    (table,), _ = drawn_tables(LINES, RULES, WIDTH, HEIGHT)
    below = line("below", 100, 300)
    paragraph = Paragraph((below,), below.box)
    return Document([Page(1, WIDTH, HEIGHT, 96, (table, paragraph), recognized=True)])


def test_txt_puts_columns_below_each_other(document: Document, tmp_path: Path) -> None:
    TextWriter().write(document, tmp_path / "t.txt")

    text = (tmp_path / "t.txt").read_text(encoding="utf-8")
    assert text == "all of it\nr0c0  r0c1  r0c2\nr1c0  r1c1  r1c2\n\nbelow"


def test_xlsx_keeps_spans(document: Document, tmp_path: Path) -> None:
    XlsxWriter().write(document, tmp_path / "t.xlsx")

    sheet = openpyxl.load_workbook(tmp_path / "t.xlsx").worksheets[0]
    assert [str(span) for span in sheet.merged_cells.ranges] == ["A1:C1"]
    assert [list(row) for row in sheet.iter_rows(values_only=True)] == [
        ["all of it", None, None],
        ["r0c0", "r0c1", "r0c2"],
        ["r1c0", "r1c1", "r1c2"],
        [None, None, None],
        ["below", None, None],
    ]


def test_docx_tables_are_tables(document: Document, tmp_path: Path) -> None:
    DocxWriter().write(document, tmp_path / "t.docx")

    file = docx.Document(str(tmp_path / "t.docx"))
    (table,) = file.tables
    assert [[cell.text for cell in row.cells] for row in table.rows] == [
        ["all of it"] * 3,
        ["r0c0", "r0c1", "r0c2"],
        ["r1c0", "r1c1", "r1c2"],
    ]
    assert [p.text for p in file.paragraphs if p.text] == ["below"]


def test_docx_cells_may_span_rows(tmp_path: Path) -> None:
    def cell(row: int, column: int, rows: int, text: str) -> Cell:
        found = line(text, 100 * column, 50 * row)
        box = Box(100 * column, 50 * row, 100 * column + 100, 50 * (row + rows))
        return Cell(row, column, rows, 1, (Paragraph((found,), found.box),), box)

    cells = (cell(0, 0, 2, "high"), cell(0, 1, 1, "upper"), cell(1, 1, 1, "lower"))
    table = Table(cells, 2, 2, Box(0, 0, 200, 100))
    document = Document([Page(1, 300, 200, 72, (table,), recognized=True)])

    DocxWriter().write(document, tmp_path / "t.docx")

    (found,) = docx.Document(str(tmp_path / "t.docx")).tables
    assert [[each.text for each in row.cells] for row in found.rows] == [
        ["high", "upper"],
        ["high", "lower"],
    ]

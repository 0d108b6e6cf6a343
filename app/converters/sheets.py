"""Workbooks as pages: each sheet is one, with its cells as tables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from app.converters.inlays import Inlays
from app.converters.workbook import Drawn, Filled, Sheet, hidden_sheets, read
from app.document import (
    Align,
    Block,
    Box,
    Cell,
    Kind,
    Line,
    Page,
    Paragraph,
    Picture,
    Style,
    Table,
    Word,
    is_unspaced,
)
from app.errors import InvalidFile, TooLarge
from app.interfaces import Image, SourcePage
from app.package import open_package

MAX_PLACES = 2_000_000
"""In all tables: cells, filled or empty."""

MAX_PLACES_OF_TABLES = 150_000
"""The same, where each becomes a cell of Word or PowerPoint, which take 5 kB each to write."""


def open_sheets(path: Path, inlays: Inlays, form: str) -> SheetSource:
    """The workbook at ``path``, to become a file of the format ``form``.

    Raises InvalidFile, TooLarge.
    """
    with open_package(path) as package:
        sheets, hidden = read(package), hidden_sheets(package)
        drawn = [each for sheet in sheets for each in sheet.drawn if each.part]
        pictures = inlays.extract(package, dict.fromkeys(each.part for each in drawn))
    places = MAX_PLACES if form == "txt" else MAX_PLACES_OF_TABLES
    return SheetSource(sheets, pictures, places, hidden)


class SheetSource:
    """The sheets of a workbook that are not hidden."""

    original = None

    def __init__(
        self,
        sheets: Sequence[Sheet],
        pictures: dict[str, SourcePage],
        max_places: int,
        left_out: tuple[str, ...],
    ) -> None:
        self.page_count = len(sheets)
        self.left_out = left_out
        self._sheets = sheets
        self._pictures = pictures
        self._grids = [list(_grids(sheet)) for sheet in sheets]
        places = sum(grid.places for grids in self._grids for grid in grids)
        drawn = (rows for sheet in sheets for each in sheet.drawn for rows in each.tables)
        if places + sum(len(rows) * len(rows[0]) for rows in drawn) > max_places:
            raise TooLarge(
                f"The workbook has more than {max_places} cells; xlsx takes any number of them."
            )

    def pages(self, first: int = 1) -> Iterator[SourcePage]:
        """A page for each sheet, as large as what stands on it."""
        # The only sheet is called by the name that programs give it where nobody chose one.
        named = len(self._sheets) > 1 or not _UNNAMED.fullmatch(self._sheets[0].name)
        for number in range(first, self.page_count + 1):
            sheet, grids = self._sheets[number - 1], self._grids[number - 1]
            yield _Layout(sheet, grids, self._pictures, named).page(number)

    def shown(self, page: Page) -> Page:
        """``page`` itself: a sheet looks like what stands on it."""
        return page


_UNNAMED = re.compile(r"[^\W\d_]+ ?[0-9]*")


@dataclass(frozen=True, slots=True)
class _Grid:
    """Rows without an empty one between them, and the columns that are used in them."""

    rows: list[int]
    columns: list[int]

    @property
    def places(self) -> int:
        return len(self.rows) * len(self.columns)


def _grids(sheet: Sheet) -> Iterator[_Grid]:
    reach: dict[int, int] = {}  # Of merged cells with something in them: the last row.
    for each in sheet.merged:
        if each.left in sheet.rows.get(each.top, ()):
            reach[each.top] = max(each.bottom, reach.get(each.top, 0))
    rows: list[int] = []
    bottom = -1
    for row in sorted(sheet.rows):
        if rows and not all(n in sheet.hidden for n in range(bottom + 1, row)):
            yield _Grid(rows, _columns(sheet, rows))
            rows = []
        rows.append(row)
        bottom = max(bottom, row, reach.get(row, 0))
    if rows:
        yield _Grid(rows, _columns(sheet, rows))


def _columns(sheet: Sheet, rows: Sequence[int]) -> list[int]:
    return sorted({column for row in rows for column in sheet.rows[row]})


_DPI = 96.0
_MARGIN = 48.0  # Pixels, as all below.
_SIZE, _NAME_SIZE = 13.0, 18.0  # Of letters.
_LINE, _ROOM = 18.0, 4.0  # Height of a line; between a cell's side and its text.
_FIGURE = 7.0
_WIDEST = 40  # Of a column with long texts, in figures.
_PLAIN, _BOLD = Style(_SIZE), Style(_SIZE, bold=True)
_NAME = Style(_NAME_SIZE, bold=True)
_LONGEST_LINE = 120  # Of text that is in no table, in figures.
_MOST_SHOWN = 40_000_000


class _Layout:
    """What stands on one page, from the top."""

    def __init__(
        self, sheet: Sheet, grids: Sequence[_Grid], pictures: dict[str, SourcePage], named: bool
    ) -> None:
        self._sheet = sheet
        self._pictures: dict[int, SourcePage] = {}
        self._bottom = _MARGIN
        self._blocks: list[Block] = []
        if named and sheet.name.strip() and (grids or sheet.drawn):
            self._add_text(sheet.name, _NAME, Kind.HEADING)
        waiting = sorted(sheet.drawn, key=lambda each: each.row)
        seen: set[str] = set()
        for grid in grids:
            # What begins above a grid stands before it.
            while waiting and waiting[0].row < grid.rows[0]:
                self._add_drawn(waiting.pop(0), pictures, seen)
            self._add_grid(grid)
        for drawn in waiting:
            self._add_drawn(drawn, pictures, seen)

    def page(self, number: int) -> SourcePage:
        right = max((block.box.right for block in self._blocks), default=0.0)
        width, height = right + _MARGIN, self._bottom + _MARGIN

        def load() -> Image:
            if width * height > _MOST_SHOWN:
                raise InvalidFile(f"Sheet {number} is too large to be shown.")
            return np.full((int(height), int(width), 3), 255, np.uint8)

        return SourcePage(
            number,
            max(width, 4 * _MARGIN),
            height,
            _DPI,
            load,
            blocks=tuple(self._blocks),
            inside=self._pictures,
        )

    def _add_text(self, text: str, style: Style, kind: Kind = Kind.TEXT) -> None:
        self._blocks += _paragraphs(text, style, _MARGIN, self._bottom, _LONGEST_LINE, kind)
        if self._blocks:
            self._bottom = max(self._bottom, self._blocks[-1].box.bottom) + _LINE / 2

    def _add_drawn(self, drawn: Drawn, pictures: dict[str, SourcePage], seen: set[str]) -> None:
        if drawn.part:
            page = pictures.get(drawn.part)
            if page is None or page.picture is None:
                return
            width = drawn.width or page.width
            height = drawn.height or page.height * width / page.width
            box = Box(_MARGIN, self._bottom, _MARGIN + width, self._bottom + height)
            self._pictures[len(self._blocks)] = page
            self._blocks.append(Picture(box, page.picture.read_bytes()))
            self._bottom = box.bottom + _LINE
            return
        if not seen:
            seen.update(cell.text for row in self._sheet.rows.values() for cell in row.values())
        for text in drawn.texts:
            if text not in seen:  # A chart says again what stands in cells.
                self._add_text(text, _PLAIN)
        for rows in drawn.tables:
            if not seen.issuperset(text for row in rows for text in row if text):
                self._add_values(rows)

    def _add_values(self, rows: Sequence[Sequence[str]]) -> None:
        cells = {
            number: {
                column: Filled(text, bold=not number, is_number=number > 0 < column)
                for column, text in enumerate(row)
                if text
            }
            for number, row in enumerate(rows)
        }
        grid = _Grid(list(range(len(rows))), list(range(len(rows[0]))))
        self._blocks.append(_table(Sheet("", cells), grid, self._bottom))
        self._bottom = self._blocks[-1].box.bottom + _LINE

    def _add_grid(self, grid: _Grid) -> None:
        if len(grid.columns) == 1:
            cells = [self._sheet.rows[row][grid.columns[0]] for row in grid.rows]
            # One column of long texts is no table: titles and notes are written so.
            if len(cells) == 1 or any(_width(cell.text) > _WIDEST for cell in cells):
                for cell in cells:
                    self._add_text(cell.text, _BOLD if cell.bold else _PLAIN)
                return
        self._blocks.append(_table(self._sheet, grid, self._bottom))
        self._bottom = self._blocks[-1].box.bottom + _LINE


def _table(sheet: Sheet, grid: _Grid, top: float) -> Table:
    spans = _spans(sheet, grid)
    wrapped, widths, heights = _sides(sheet, grid, spans)
    lefts, tops = [_MARGIN], [top]
    for width in widths:
        lefts.append(lefts[-1] + width)
    for height in heights:
        tops.append(tops[-1] + height)
    covered = {
        (row + down, column + across)
        for (row, column), (rows, columns) in spans.items()
        for down in range(rows)
        for across in range(columns)
        if down or across
    }
    cells: list[Cell] = []
    for row in range(len(grid.rows)):
        for column in range(len(grid.columns)):
            if (row, column) in covered:
                continue
            rows, columns = spans.get((row, column), (1, 1))
            box = Box(lefts[column], tops[row], lefts[column + columns], tops[row + rows])
            filled = sheet.rows[grid.rows[row]].get(grid.columns[column])
            inside: tuple[Paragraph, ...] = ()
            if filled is not None:
                inside = tuple(_inside(filled, wrapped.get((row, column)), box))
            cells.append(Cell(row, column, rows, columns, inside, box))
    head = sheet.rows[grid.rows[0]].values()
    heads = int(len(grid.rows) > 1 and all(cell.bold for cell in head))
    return Table(
        tuple(cells),
        len(grid.rows),
        len(grid.columns),
        Box(_MARGIN, top, lefts[-1], tops[-1]),
        heads=heads,
    )


def _spans(sheet: Sheet, grid: _Grid) -> dict[tuple[int, int], tuple[int, int]]:
    """How many rows and columns of the grid each merged cell covers, by its place."""
    rows = {number: n for n, number in enumerate(grid.rows)}
    columns = {number: n for n, number in enumerate(grid.columns)}
    taken: set[tuple[int, int]] = set()
    found = {}
    effort = 0  # Merged cells of a hostile file may all cover the whole sheet.
    for each in sheet.merged:
        if effort > MAX_PLACES:
            break
        if each.top not in rows or each.left not in columns:
            continue
        row, column = rows[each.top], columns[each.left]
        down = _count(grid.rows, row, each.bottom)
        across = _count(grid.columns, column, each.right)
        effort += down * across
        if down * across < 2 or effort > MAX_PLACES:
            continue
        places = {(row + y, column + x) for y in range(down) for x in range(across)}
        hides = any(
            grid.columns[x] in sheet.rows[grid.rows[y]]
            for y, x in places
            if (y, x) != (row, column)
        )
        if not hides and not places & taken:
            taken |= places
            found[row, column] = down, across
    return found


def _count(numbers: Sequence[int], start: int, last: int) -> int:
    end = start
    while end < len(numbers) and numbers[end] <= last:
        end += 1
    return end - start


def _sides(
    sheet: Sheet, grid: _Grid, spans: dict[tuple[int, int], tuple[int, int]]
) -> tuple[dict[tuple[int, int], list[list[str]]], list[float], list[float]]:
    """Lines of the cells that have several, widths of columns, heights of rows."""
    widths = [min(sheet.width(column), _WIDEST * _FIGURE) for column in grid.columns]
    for y, row in enumerate(grid.rows):
        cells = sheet.rows[row]
        for x, column in enumerate(grid.columns):
            cell = cells.get(column)
            if cell is not None and (y, x) not in spans:
                longest = max(map(_width, cell.text[: 2 * _WIDEST].split("\n")))
                widths[x] = max(widths[x], min(longest, _WIDEST) * _FIGURE + 2 * _ROOM)
    heights = []
    wrapped = {}
    for y, row in enumerate(grid.rows):
        lines = 1
        for x, column in enumerate(grid.columns):
            cell = sheet.rows[row].get(column)
            if cell is None:
                continue
            rows, columns = spans.get((y, x), (1, 1))
            figures = max(1, int((sum(widths[x : x + columns]) - 2 * _ROOM) / _FIGURE))
            if "\n" in cell.text or len(cell.text) > figures or _width(cell.text) > figures:
                found = [_wrapped(part, figures) for part in cell.text.splitlines() if part.strip()]
                wrapped[y, x] = found
                lines = max(lines, sum(map(len, found)) if rows == 1 else 1)
        heights.append(lines * _LINE + _ROOM)
    return wrapped, widths, heights


def _inside(filled: Filled, wrapped: list[list[str]] | None, box: Box) -> Iterator[Paragraph]:
    style = _BOLD if filled.bold else _PLAIN
    align = Align.END if filled.is_number else Align.START
    top = box.top + _ROOM / 2
    for lines in wrapped if wrapped is not None else [[filled.text]]:
        yield _paragraph(lines, style, box.left + _ROOM, top, box.right - _ROOM, align)
        top += len(lines) * _LINE


def _paragraphs(
    text: str, style: Style, left: float, top: float, figures: int, kind: Kind
) -> Iterator[Paragraph]:
    for part in text.splitlines():
        if part.strip():
            lines = _wrapped(part, figures)
            right = left + max(map(_width, lines)) * _FIGURE * style.size / _SIZE
            yield _paragraph(lines, style, left, top, right, Align.START, kind)
            top += len(lines) * _LINE * style.size / _SIZE


def _paragraph(
    lines: Sequence[str],
    style: Style,
    left: float,
    top: float,
    right: float,
    align: Align,
    kind: Kind = Kind.TEXT,
) -> Paragraph:
    step = _LINE * style.size / _SIZE
    made = []
    for n, text in enumerate(lines):
        # Words share the box of their line: nobody asks where in a cell each of them stands.
        box = Box(left, top + n * step, max(right, left + 1), top + (n + 1) * step - 2)
        words = tuple([Word(word, box) for word in text.split()])
        made.append(Line(words, box, style=style))
    if len(made) != 1:
        box = Box(left, top, max(right, left + 1), top + len(lines) * step - 2)
    return Paragraph(tuple(made), box, kind, align=align)


def _wrapped(text: str, figures: int) -> list[str]:
    """``text`` in lines of at most so many figures, where it can be broken."""
    lines: list[str] = []
    line, width = "", 0
    for piece in _unbroken(text):
        wide = _width(piece)
        if line.strip() and width + wide > figures and not piece.isspace():
            lines.append(line)
            line, width = "", 0
        line += piece
        width += wide
    return [*lines, line] if line.strip() or not lines else lines


def _unbroken(text: str) -> Iterator[str]:
    """White space, characters that lines may end after, and words."""
    word = ""
    for character in text:
        apart = character.isspace() or is_unspaced(character)
        if apart and word:
            yield word
            word = ""
        if apart:
            yield character
        else:
            word += character
    if word:
        yield word


def _width(text: str) -> int:
    """In figures; Han characters are two wide."""
    if text.isascii():
        return len(text)
    return sum(2 if is_unspaced(character) else 1 for character in text)

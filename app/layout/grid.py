"""A grid of rows and columns, and the lines that stand in its cells."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from app.document import Box, Cell, Line, Table, Word
from app.layout.order import paragraphs


@dataclass(frozen=True, slots=True)
class Grid:
    """Where the rows and columns of a table begin and end, and which places are one cell."""

    xs: tuple[float, ...]
    ys: tuple[float, ...]
    groups: tuple[tuple[int, int, int, int], ...]  # Row, column, rows, columns of each cell.

    @property
    def box(self) -> Box:
        """What the rows and columns fill."""
        return Box(self.xs[0], self.ys[0], self.xs[-1], self.ys[-1])

    def cell(self, group: tuple[int, int, int, int]) -> Box:
        """What one of the ``groups`` fills."""
        row, column, high, wide = group
        return Box(self.xs[column], self.ys[row], self.xs[column + wide], self.ys[row + high])


def with_undrawn_rows(grid: Grid, lines: Sequence[Line]) -> Grid:
    """The grid, with rows of figures parted that no rules part."""
    cuts: dict[int, list[float]] = {}
    for row, (top, bottom) in enumerate(pairwise(grid.ys)):
        level = [line.box for line in lines if top <= middle(line.box) <= bottom]
        if len(level) < 2 * _FEWEST_UNDRAWN:
            continue
        cells = [
            [box for box in level if is_inside(box, grid.cell(group))]
            for group in grid.groups
            if group[0] == row and group[2] == 1
        ]
        if found := _undrawn([cell for cell in cells if cell]):
            cuts[row] = found
    if not cuts:
        return grid
    ys: list[float] = []
    first: list[int] = []  # Of the new rows that were one.
    for row, top in enumerate(grid.ys):
        first.append(len(ys))
        ys += [top, *cuts.get(row, ())]
    groups: list[tuple[int, int, int, int]] = []
    for row, column, high, wide in grid.groups:
        top, stop = first[row], first[row + high]
        if high == 1:
            groups += [(new, column, 1, wide) for new in range(top, stop)]
        else:
            groups.append((top, column, stop - top, wide))
    return Grid(grid.xs, tuple(ys), tuple(sorted(groups)))


def _undrawn(cells: Sequence[Sequence[Box]]) -> list[float]:
    """Where the cells of a row are to be parted: nearly all have as many lines, side by side."""
    if len(cells) < 2:
        return []
    rows: list[list[float]] = []  # Top and bottom of lines that stand side by side.
    for box in sorted((box for cell in cells for box in cell), key=lambda b: b.top + b.bottom):
        centre = middle(box)
        if rows and centre < rows[-1][1]:
            rows[-1][1] = max(rows[-1][1], min(box.bottom, centre + box.height / 2))
        else:
            rows.append([box.top, box.bottom])
    if len(rows) < _FEWEST_UNDRAWN:
        return []
    # A cell of running text has fewer lines than others, or more.
    alike = sum(abs(len(cell) - len(rows)) <= 0.1 * len(rows) for cell in cells)
    if alike < max(2, _ALIKE * len(cells)):
        return []
    return [(above[1] + below[0]) / 2 for above, below in pairwise(rows)]


_FEWEST_UNDRAWN = 4  # Headings of up to three lines stand in one row.
_ALIKE = 0.6


def with_undrawn_columns(grid: Grid, lines: Sequence[Line]) -> Grid:
    """The grid, with wide cells parted between texts that stand over different columns."""
    groups: list[tuple[int, int, int, int]] = []
    for group in grid.groups:
        row, column, high, wide = group
        starts = [column]
        inside = (
            [line for line in lines if is_inside(line.box, grid.cell(group))] if wide > 1 else []
        )
        if inside:
            starts += _headings(inside, grid.xs, range(column + 1, column + wide))
        stops = [*starts[1:], column + wide]
        groups += [
            (row, start, high, stop - start) for start, stop in zip(starts, stops, strict=True)
        ]
    return replace(grid, groups=tuple(groups))


def _headings(lines: Sequence[Line], xs: Sequence[float], borders: range) -> Iterator[int]:
    """Those ``borders``, as places in ``xs``, that lie in wide gaps between words."""
    size = min(line.box.height for line in lines)
    ends: list[list[float]] = []  # Left and right of words that stand close.
    for box in sorted((w.box for line in lines for w in line.words), key=lambda b: b.left):
        if ends and box.left - ends[-1][1] < _APART * size:
            ends[-1][1] = max(ends[-1][1], box.right)
        else:
            ends.append([box.left, box.right])
    for before, after in pairwise(ends):
        within = [n for n in borders if before[1] <= xs[n] <= after[0]]
        if within:
            middle = (before[1] + after[0]) / 2
            yield min(within, key=lambda n: abs(xs[n] - middle))


_APART = 1.5  # Line heights.


def is_inside(box: Box, table: Box) -> bool:
    """Whether the middle of ``box`` lies in ``table``."""
    x, y = (box.left + box.right) / 2, (box.top + box.bottom) / 2
    return table.left <= x <= table.right and table.top <= y <= table.bottom


def filled(grid: Grid, lines: Sequence[Line], width: float) -> Table | None:
    """The table of ``lines`` in ``grid``; None where all would stand in one cell."""
    boxes = [grid.cell(group) for group in grid.groups]
    edges = np.array(boxes).T
    owners = {
        (row + down, column + right): n
        for n, (row, column, high, wide) in enumerate(grid.groups)
        for down in range(high)
        for right in range(wide)
    }
    held: list[list[Line]] = [[] for _ in boxes]
    for line in lines:
        box = Box.around(word.box for word in line.words)
        corner = bisect_left(grid.ys, box.top) - 1, bisect_left(grid.xs, box.left) - 1
        owner = owners.get(corner)
        if owner is not None and _is_around(boxes[owner], box):
            held[owner].append(line if box == line.box else replace(line, box=box))
            continue
        for n, part in _parted(line, edges):
            held[n].append(part)
    full = sum(map(bool, held))
    if full < 2 or full < _FEWEST_FULL * len(boxes) or _is_frame(grid, boxes, held):
        return None
    cells = tuple(
        Cell(r, c, high, wide, paragraphs(held[n], width) if held[n] else (), boxes[n])
        for n, (r, c, high, wide) in enumerate(grid.groups)
    )
    return Table(cells, len(grid.ys) - 1, len(grid.xs) - 1, grid.box)


_FEWEST_FULL = 0.1  # Of the cells; where fewer hold text, something else is drawn.


def _is_frame(grid: Grid, boxes: Sequence[Box], held: Sequence[Sequence[Line]]) -> bool:
    """Whether one cell holds most of what there is: then it is the frame of a page or of an ad."""
    area = grid.box.width * grid.box.height
    lines = sum(map(len, held))
    return any(
        box.width * box.height > 0.6 * area and len(inside) > max(_MOST_FRAMED, 0.6 * lines)
        for box, inside in zip(boxes, held, strict=True)
    )


_MOST_FRAMED = 15  # Lines that one cell may hold, however large it is.


def _is_around(cell: Box, box: Box) -> bool:
    return (
        cell.left < box.left
        and cell.top < box.top
        and cell.right > box.right
        and cell.bottom > box.bottom
    )


def _parted(line: Line, edges: NDArray[np.float64]) -> Iterator[tuple[int, Line]]:
    """The parts of ``line`` in each of the cells that it runs through.

    ``edges`` has their left, upper, right and lower ones, shape (4, n).
    """
    parts: dict[int, list[Word]] = {}
    for word in line.words:
        for piece in _pieces(word, edges, line.vertical):
            x, y = (piece.box.left + piece.box.right) / 2, middle(piece.box)
            parts.setdefault(_nearest(x, y, edges), []).append(piece)
    for n, words in parts.items():
        yield n, replace(line, words=tuple(words), box=Box.around(word.box for word in words))


def _nearest(x: float, y: float, edges: NDArray[np.float64]) -> int:
    left, top, right, bottom = edges
    beside = np.maximum(np.maximum(left - x, x - right), 0)
    return int(np.argmin(beside + np.maximum(np.maximum(top - y, y - bottom), 0)))


def _pieces(word: Word, edges: NDArray[np.float64], vertical: bool) -> Iterator[Word]:
    """The word, in parts where it runs over a wall."""
    box = word.box
    if vertical or len(word.text) < 2:
        yield word
        return
    step = box.width / len(word.text)
    _, top, right, bottom = edges
    level = (top <= middle(box)) & (bottom >= middle(box))
    crossed = level & (right > box.left + step / 2) & (right < box.right - step / 2)
    cuts = sorted(set(right[crossed].tolist()))
    places = [0, *(round((cut - box.left) / step) for cut in cuts), len(word.text)]
    for first, last in pairwise(places):
        if last > first:
            yield word._replace(
                text=word.text[first:last],
                box=box._replace(left=box.left + first * step, right=box.left + last * step),
                spaced=word.spaced if first == 0 else False,
            )


def middle(box: Box) -> float:
    """The height at which the middle of ``box`` stands."""
    return (box.top + box.bottom) / 2

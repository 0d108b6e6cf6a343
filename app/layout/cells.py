"""Rows of text to the rows and cells of a table whose columns are parted by white space."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from statistics import median

import numpy as np
from numpy.typing import NDArray

from app.document import Box, Cell, Rule, Table
from app.layout.columns import edge, gaps, has_cells, without_marker
from app.layout.frame import Frame, Item, Row
from app.layout.order import paragraphs
from app.layout.rules import SAME

_SPACE = 0.5  # Heights of a line; no space between words is wider.
_MOST_HEAD = 6  # Rows of headings.
_FEWEST_ROWS = 3  # With several cells, of a table without rules.
_FIGURES = re.compile(r"(?=.*\d)[\W\d_]+[%‰a-zA-Z]?\W*|[-–—.·…*]+|[Nn]/?[Aa]\.?")


def table_of(
    found: Sequence[Row], zone: Sequence[Rule], rules: Sequence[Rule], frame: Frame
) -> Table | None:
    """The table of rows, between and below the rules of a ``zone``; None if there is none."""
    several = [row for row in found if has_cells(row)]
    if len(several) < 2 <= len(zone) - 2:
        # Lines of neighbouring cells may all be at heights of their own.
        several = [row for row in _by_bands(found, zone) if has_cells(row)]
    if len(several) < (2 if zone else _FEWEST_ROWS):
        return None
    size = median([item.box.height for row in several for item in row])
    cuts = gaps([without_marker(row) for row in several], size)
    if not cuts:
        return None
    if not zone and _is_running(several, cuts, size):
        return None
    edges = np.array([edge(cut, found) for cut in cuts])
    parts = [_parts(_cut(row, cuts, frame), edges, size) for row in found]
    if not zone and not _fits(parts):
        return None
    boxes = [item.box for row in found for item in row]
    xs = [min(b.left for b in boxes), *edges.tolist(), max(b.right for b in boxes)]
    floors = _Floors.of(found, zone, rules, xs)
    head = _head(parts, list(floors.bands()))
    _widened(parts, head, floors, _spans(parts[head:], xs))
    starts = _row_starts(parts, found, floors, head)
    grid: list[list[_Part]] = []
    for start, stop in pairwise([*starts, len(parts)]):
        grid.append(_merged([part for row in parts[start:stop] for part in row]))
    free = [
        set(range(len(edges) + 1)) - floors.partial[n - 1] if 0 < n < head else set()
        for n in starts
    ]
    ys = [min(b.top for b in boxes)]
    for n in starts[1:]:
        ys.append((max(i.box.bottom for i in found[n - 1]) + min(i.box.top for i in found[n])) / 2)
    ys.append(max(b.bottom for b in boxes))
    return _filled(grid, free, xs, ys, frame, sum(n < head for n in starts))


@dataclass
class _Part:
    """A cell as it grows: what stands in some columns of some rows."""

    first: int
    last: int
    items: list[Item] = field(default_factory=list)


def _is_running(found: Sequence[Row], cuts: Sequence[tuple[float, float]], size: float) -> bool:
    """Whether the columns are filled as columns of running text are."""
    if len(cuts) > 2:
        return False
    edges = [-np.inf, *((low + high) / 2 for low, high in cuts), np.inf]
    filled = 0
    for left, right in pairwise(edges):
        boxes = [i.box for row in found for i in row if left < i.box.left and i.box.right < right]
        if len(boxes) < 2:
            continue
        width = max(b.right for b in boxes) - min(b.left for b in boxes)
        mean = sum(b.width for b in boxes) / len(boxes)
        filled += mean > 0.75 * width and width > 10 * size
    return filled > len(cuts) / 2 + 0.5


def _by_bands(found: Sequence[Row], zone: Sequence[Rule]) -> list[Row]:
    """All that stands between one rule and the next, from the left."""
    return [
        sorted(
            (item for row in found if above.at < _middle(row) < below.at for item in row),
            key=lambda item: item.box.left,
        )
        for above, below in pairwise(zone)
    ]


def _spans(parts: Sequence[Sequence[_Part]], xs: Sequence[float]) -> list[tuple[float, float]]:
    """Left and right of what stands in each column."""
    spans = list(pairwise(xs))
    for n in range(len(spans)):
        boxes = [i.box for row in parts for p in row if p.first == p.last == n for i in p.items]
        if boxes:
            spans[n] = min(b.left for b in boxes), max(b.right for b in boxes)
    return spans


def _merged(parts: Sequence[_Part]) -> list[_Part]:
    """The parts of several rows of text as cells of one row: those that share a column are one."""
    cells: list[_Part] = []
    for part in sorted(parts, key=lambda p: (p.first, p.last)):
        if cells and part.first <= cells[-1].last:
            cells[-1].items += part.items
            cells[-1].last = max(cells[-1].last, part.last)
        else:
            cells.append(_Part(part.first, part.last, list(part.items)))
    return cells


def _cut(row: Row, cuts: Sequence[tuple[float, float]], frame: Frame) -> Row:
    """The row, its lines parted where two words stand on different sides of a gap."""
    parted: Row = []
    for item in row:
        words = item.line.words
        inner = [c for c in cuts if item.box.left < c[0] and c[1] < item.box.right]
        if not inner or len(words) < 2 or item.line.vertical:
            parted.append(item)
            continue
        starts = [0]
        boxes = [frame(word.box) for word in words]
        for n in range(1, len(words)):
            low, high = sorted((boxes[n - 1].right, boxes[n].left))
            wide = boxes[n].left - boxes[n - 1].right > _SPACE * item.box.height
            if wide and any(low < (c[0] + c[1]) / 2 < high for c in inner):
                starts.append(n)
        for start, stop in zip(starts, [*starts[1:], len(words)], strict=True):
            kept = words[start:stop]
            line = replace(item.line, words=kept, box=Box.around(word.box for word in kept))
            parted.append(Item(line, frame(line.box)) if len(starts) > 1 else item)
    return parted


def _parts(row: Row, edges: NDArray[np.float64], size: float) -> list[_Part]:
    """The cells of a row with the columns that each reaches into."""
    found: list[_Part] = []
    for item in row:
        inset = min(0.3 * size, item.box.width / 4)
        first = int(np.searchsorted(edges, item.box.left + inset))
        last = int(np.searchsorted(edges, item.box.right - inset))
        if found and found[-1].last >= first:
            found[-1].items.append(item)
            found[-1].last = max(found[-1].last, last)
        else:
            found.append(_Part(first, last, [item]))
    return found


def _fits(parts: Sequence[Sequence[_Part]]) -> bool:
    """Whether nearly all texts stand in one column each."""
    single = sum(part.first == part.last for row in parts if len(row) > 1 for part in row)
    wide = sum(part.first < part.last for row in parts if len(row) > 1 for part in row)
    return single >= 4 * wide


@dataclass(frozen=True)
class _Floors:
    """What rules part between each row of text and the next."""

    whole: list[bool]  # Whether a rule runs through all columns.
    partial: list[set[int]]  # The columns under which a shorter one runs.

    @classmethod
    def of(
        cls, found: Sequence[Row], zone: Sequence[Rule], rules: Sequence[Rule], xs: Sequence[float]
    ) -> _Floors:
        """Those of the ``rules`` that run between rows; those of the ``zone`` are whole ones."""
        whole, partial = [], []
        middles = [_middle(row) for row in found]
        short = [r for r in rules if all(abs(r.at - whole.at) >= SAME for whole in zone)]
        for above, below in pairwise(middles):
            whole.append(any(above < rule.at < below for rule in zone))
            partial.append(
                {
                    n
                    for n, (left, right) in enumerate(pairwise(xs))
                    for rule in short
                    if above < rule.at < below
                    and min(rule.stop, right) - max(rule.start, left) > 0.4 * (right - left)
                }
            )
        return cls(whole, partial)

    def run(self, n: int, part: _Part) -> tuple[int, int] | None:
        """First and last column of the short rule below row ``n`` that ``part`` stands at."""
        under = self.partial[n]
        if not under & set(range(part.first, part.last + 1)):
            return None
        first, last = part.first, part.last
        while first - 1 in under:
            first -= 1
        while last + 1 in under:
            last += 1
        return first, last

    def bands(self) -> Iterator[tuple[int, int]]:
        """First and last (not among them) of the rows between rules."""
        starts = [0, *(n + 1 for n, whole in enumerate(self.whole) if whole)]
        yield from zip(starts, [*starts[1:], len(self.whole) + 1], strict=True)


def _middle(row: Row) -> float:
    return sum(item.box.top + item.box.bottom for item in row) / (2 * len(row))


def _head(parts: Sequence[Sequence[_Part]], bands: Sequence[tuple[int, int]]) -> int:
    """How many rows of text at the top are headings."""
    if len(bands) > 1 and bands[0][1] <= _MOST_HEAD:
        return bands[0][1]
    figures = [any(_is_figure(part) for part in row if part.first) for row in parts]
    first = next((n for n, found in enumerate(figures) if found), 0)
    body = figures[first:]
    return first if first <= _MOST_HEAD and sum(body) > 0.6 * len(body) else 0


def _is_figure(part: _Part) -> bool:
    return all(_FIGURES.fullmatch(item.line.text.strip()) for item in part.items)


def _row_starts(
    parts: Sequence[Sequence[_Part]], found: Sequence[Row], floors: _Floors, head: int
) -> list[int]:
    """The rows of text that begin a row of the table."""
    bands = list(floors.bands())
    ruled = len(bands) >= 3 and len(found) <= 2.5 * len(bands)
    middles = [_middle(row) for row in found]
    steps = [b - a for a, b in pairwise(middles)]
    full = [step for step, row in zip(steps, parts[1:], strict=True) if len(row) > 1]
    usual = median(full) if full else 0.0
    tight = _tight(found)
    starts: list[int] = []
    for first, stop in bands:
        if ruled and first >= head and stop - first <= _MOST_HEAD:
            starts += [first] if not _are_alike(parts[first:stop]) else range(first, stop)
            continue
        joined = _wrapped(parts, tight, range(max(first, head), stop))
        for n in range(first, stop):
            if n in (first, head):
                goes_on = False
            elif _overlap(found[n - 1], found[n]) and _are_beside(parts, found, starts[-1], n):
                goes_on = True
            elif n < head:
                wide = any(part.first < part.last for part in parts[n - 1])
                goes_on = not wide and not floors.partial[n - 1]
            else:
                near = steps[n - 1] < 0.8 * usual
                above = [part for row in parts[starts[-1] : n] for part in row]
                goes_on = n in joined or _goes_on(parts[n], above, near)
            if not goes_on:
                starts.append(n)
    return starts


def _tight(found: Sequence[Row]) -> list[bool]:
    """Whether each row of text stands close below the one before, where others stand apart."""
    if len(found) < 2:
        return [False] * len(found)
    size = median(item.box.height for row in found for item in row)
    tops = [median(item.box.top for item in row) for row in found]
    bottoms = [median(item.box.bottom for item in row) for row in found]
    gaps = [0.0, *((top - bottom) / size for bottom, top in zip(bottoms, tops[1:], strict=False))]
    ordered = sorted(gaps[1:])
    jumps = [(above - below, below, above) for below, above in pairwise(ordered)]
    jump, below, above = max(jumps, default=(0.0, 0.0, 0.0))
    parted = jump >= 0.4 and below <= 0.6 and above >= 0.6
    return [False, *(parted and gap <= below for gap in gaps[1:])]


def _wrapped(parts: Sequence[Sequence[_Part]], tight: Sequence[bool], within: range) -> set[int]:
    """Those rows of text that go on with the one before: lines of cells of several lines."""
    joined: set[int] = set()
    start = within.start
    for n in within:
        last = n + 1 not in within or not tight[n + 1]
        if last:
            cluster = range(start, n + 1)
            union = {part.first for m in cluster for part in parts[m]}
            figures = [part.first for m in cluster for part in parts[m] if _is_figure(part)]
            some = any(len(parts[m]) < len(union) for m in cluster)
            if len(cluster) > 1 and some and len(figures) == len(set(figures)):
                joined |= set(cluster[1:])
            start = n + 1
    return joined


def _are_beside(parts: Sequence[Sequence[_Part]], found: Sequence[Row], start: int, n: int) -> bool:
    """Text in the middle of a cell beside lines above and below it, or text turned upwards."""
    if n - start >= _MOST_HEAD:
        return False
    upright = any(item.line.vertical for item in (*found[n - 1], *found[n]))
    return upright or not _columns_of(parts[n - 1]) & _columns_of(parts[n])


def _overlap(above: Row, below: Row) -> bool:
    """Whether two rows of text are not wholly one below the other."""
    bottom = max(item.box.bottom for item in above)
    top = min(item.box.top for item in below)
    return bottom - top > _OVERLAP * min(item.box.height for item in (*above, *below))


_OVERLAP = 0.35


def _columns_of(row: Sequence[_Part]) -> set[int]:
    return {column for part in row for column in range(part.first, part.last + 1)}


def _are_alike(parts: Sequence[Sequence[_Part]]) -> bool:
    """Whether all rows of text fill the same columns."""
    columns = [{part.first for part in row} for row in parts]
    return len(columns) > 1 and len(columns[0]) > 1 and all(c == columns[0] for c in columns)


def _goes_on(row: Sequence[_Part], above: Sequence[_Part], near: bool) -> bool:
    """Whether a row of text goes on with the cells above: none of them new."""
    filled = {part.first for part in above}
    new = {part.first for part in row}
    if not new <= filled or any(part.first < part.last for part in row):
        return False
    if near and len(new) < len(filled):
        return True
    return 0 not in new and 0 in filled and len(new) < len(filled) and not any(map(_is_figure, row))


def _widened(
    parts: Sequence[Sequence[_Part]],
    head: int,
    floors: _Floors,
    spans: Sequence[tuple[float, float]],
) -> None:
    """Let headings reach over the columns that they stand over or between rules with."""
    for n, row in enumerate(parts[:head]):
        below = {c for r in parts[n + 1 : head] for p in r for c in range(p.first, p.last + 1)}
        for at, part in enumerate(row):
            low = row[at - 1].last + 1 if at else min(part.first, 1)
            high = row[at + 1].first - 1 if at + 1 < len(row) else len(spans) - 1
            runs = [floors.run(m, part) for m in (n, n - 1) if 0 <= m < len(floors.partial)]
            run = next((run for run in runs if run), None)
            if run is not None:
                if low <= run[0] and run[1] <= high:
                    part.first, part.last = run
                continue
            best = _centred(part, low, high, below, spans)
            if best is not None:
                part.first, part.last = best


def _centred(
    part: _Part, low: int, high: int, below: set[int], spans: Sequence[tuple[float, float]]
) -> tuple[int, int] | None:
    """The columns in the middle of which ``part`` stands, if that is not where it is."""
    left = min(item.box.left for item in part.items)
    right = max(item.box.right for item in part.items)

    def off(first: int, last: int) -> float:
        return abs(spans[first][0] + spans[last][1] - left - right) / 2

    usual = off(part.first, part.last)
    ways = [
        (off(first, last), last - first, first, last)
        for first in range(low, part.first + 1)
        for last in range(part.last, high + 1)
        if all(c in below for c in range(first, last + 1))
    ]
    if not ways or usual <= 0.8 * part.items[0].box.height:
        return None
    best = min(ways)
    return best[2:] if best[0] < 0.5 * usual else None


def _filled(
    grid: Sequence[Sequence[_Part]],
    free: Sequence[set[int]],
    xs: Sequence[float],
    ys: Sequence[float],
    frame: Frame,
    heads: int,
) -> Table:
    """The table; ``free`` are the columns of each row into which the cell above may reach."""
    columns, height = len(xs) - 1, len(ys) - 1
    taken = np.zeros((height, columns), bool)
    for n, row in enumerate(grid):
        for part in row:
            taken[n, part.first : part.last + 1] = True
    cells: list[Cell] = []

    def add(row: int, first: int, high: int, last: int, items: Sequence[Item]) -> None:
        taken[row : row + high, first : last + 1] = True
        box = frame.back(Box(xs[first], ys[row], xs[last + 1], ys[row + high]))
        lines = [item.line for item in items]
        column = columns - 1 - last if frame.mirrored else first
        texts = paragraphs(lines, frame.width) if lines else ()
        cells.append(Cell(row, column, high, last - first + 1, texts, box))

    for n, row in enumerate(grid):
        for part in row:
            top, high = n, 1
            if part.first == part.last:
                c = part.first
                while top > 0 and c in free[top] and not taken[top - 1, c]:
                    top, high = top - 1, high + 1
                while top + high < height and c in free[top + high] and not taken[top + high, c]:
                    high += 1
            add(top, part.first, high, part.last, part.items)
    for n, c in np.argwhere(~taken).tolist():
        add(n, c, 1, c, ())
    cells.sort(key=lambda cell: (cell.row, cell.column))
    box = frame.back(Box(xs[0], ys[0], xs[-1], ys[-1]))
    return Table(tuple(cells), height, columns, box, drawn=False, heads=heads)

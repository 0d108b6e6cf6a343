"""Columns of cells: the white space that parts them, over all the rows of a table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from app.layout.frame import Row
from app.layout.marks import is_mark

# In heights of a line.
_GAP = 0.5  # Between columns.
_AGREE = 1.5  # So many times more rows must leave a gap free than cross it.
_LEADERS = re.compile(r"(\.\s?){5,}|…{2,}|·{5,}")


def gaps(found: Sequence[Row], size: float) -> list[tuple[float, float]]:
    """The gaps between columns, from the left."""
    places = np.unique([x for row in found for i in row for x in (i.box.left, i.box.right)])
    if len(places) < 3:
        return []
    middles = (places[:-1] + places[1:]) / 2
    free = np.zeros(len(middles), int)
    crossed = np.zeros(len(middles), int)
    for row in found:
        left = np.array([i.box.left for i in row])
        right = np.maximum.accumulate([i.box.right for i in row])
        inside = (middles > left[0]) & (middles < right[-1])
        on = ((middles[:, None] > left) & (middles[:, None] < right)).any(axis=1)
        crossed += on
        free += inside & ~on
    good = (free >= min(2, len(found))) & (free >= _AGREE * crossed)
    found_gaps: list[tuple[float, float]] = []
    edges = np.flatnonzero(np.diff(np.concatenate(([0], good.astype(int), [0]))))
    for start, stop in edges.reshape(-1, 2):
        found_gaps += _narrowed(
            (float(places[start]), float(places[stop])),
            crossed[start:stop],
            places[start : stop + 1],
            found,
            size,
        )
    return [gap for gap in found_gaps if gap[1] - gap[0] >= _GAP * size]


def edge(gap: tuple[float, float], found: Sequence[Row]) -> float:
    """The middle of that part of ``gap`` over which the fewest texts run, headings too."""
    low, high = gap
    boxes = [i.box for row in found for i in row if i.box.right > low and i.box.left < high]
    ends = {x for box in boxes for x in (box.left, box.right) if low < x < high}
    places = np.array(sorted({low, high, *ends}))
    middles = (places[:-1] + places[1:]) / 2
    over = sum(((middles > b.left) & (middles < b.right)).astype(int) for b in boxes)
    widths = np.where(over == np.min(over), np.diff(places), 0)
    return float(middles[int(np.argmax(widths))])


def _narrowed(
    gap: tuple[float, float],
    crossed: NDArray[np.int_],
    places: NDArray[np.float64],
    found: Sequence[Row],
    size: float,
) -> list[tuple[float, float]]:
    """A gap without the cells of a column that few rows fill, which part it in two."""
    low, high = gap
    within: list[tuple[float, float, int]] = []
    for n, row in enumerate(found):
        for at, item in enumerate(row):
            if item.box.left >= low - 0.5 and item.box.right <= high + 0.5:
                # A heading over several columns stands between them too, but alone there.
                beside = [row[k].box for k in (at - 1, at + 1) if 0 <= k < len(row)]
                near = all(
                    box.right > low - 0.5 * (high - low) and box.left < high + 0.5 * (high - low)
                    for box in beside
                )
                within.append((item.box.left, item.box.right, n if near else -1))
    clusters: list[list[float]] = []
    votes: list[set[int]] = []
    for left, right, n in sorted(within):
        if clusters and left < clusters[-1][1]:
            clusters[-1][1] = max(clusters[-1][1], right)
            votes[-1].add(n)
        else:
            clusters.append([left, right])
            votes.append({n})
    kept = [c for c, vote in zip(clusters, votes, strict=True) if len(vote - {-1}) >= 1]
    if not kept:
        # Where the fewest rows cross it; if that is too narrow, but for a heading or two.
        fewest = int(crossed.min())
        for most in (fewest, fewest + max(1, len(found) // 10)):
            clear = np.flatnonzero(crossed <= most)
            runs = np.split(clear, np.flatnonzero(np.diff(clear) > 1) + 1)
            wide = max((places[run[-1] + 1] - places[run[0]], run[0], run[-1] + 1) for run in runs)
            if wide[0] >= _GAP * size:
                break
        return [(float(places[wide[1]]), float(places[wide[2]]))]
    ends = [low, *(end for cluster in kept for end in cluster), high]
    return list(zip(ends[::2], ends[1::2], strict=True))


def has_cells(row: Row) -> bool:
    """Whether a row has several cells: not a mark and the text of an item, nor leaders."""
    if any(_LEADERS.search(item.line.text) for item in row):
        return False
    row = without_marker(row)
    return any(b.box.left - a.box.right > min(a.box.height, b.box.height) for a, b in pairwise(row))


def without_marker(row: Row) -> Row:
    """The row, but for the mark of a list's item at its beginning."""
    return row[1:] if len(row) > 1 and is_mark(row[0].line.text) else row

"""Reading order: columns, rows and paragraphs from the geometry of lines alone."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

import numpy as np

from app.document import Box, Line, Paragraph, Word, is_unspaced

# All in line heights, so that the numbers hold at any resolution.
_WORD_GAP = 1.0  # Pieces of one row that are nearer than this are one line.
_PARAGRAPH_GAP = 0.9  # Lines further apart than this are two paragraphs.
_INDENT = 1.2  # A line that begins this far to the right of its column begins a paragraph.
_SHORT = 2.5  # A line that ends this far before its column does ends a paragraph.
_SIZE_RATIO = 1.5  # Lines whose heights differ more than this are different kinds of text.


def paragraphs(lines: Sequence[Line], width: float, height: float) -> tuple[Paragraph, ...]:
    """The lines of a page of ``width`` × ``height`` pixels as paragraphs in reading order.

    No word is lost or invented. Pieces of one printed line that were found apart are joined.
    Vertical text is read in columns from right to left, right-to-left scripts likewise in rows.
    """
    lines = [line for line in lines if line.words]
    if not lines:
        return ()
    frame = _frame(lines, width, height)
    items = [_Item(line, frame(line.box)) for line in lines]
    found = []
    for region in _regions(items):
        rows = [merged for row in _rows(region) for merged in _joined(row)]
        found += _split(rows)
    return tuple(
        Paragraph(tuple(i.line for i in group), Box.around(i.line.box for i in group))
        for group in found
    )


@dataclass(frozen=True, slots=True)
class _Item:
    """A line, and its box in a frame in which text runs left to right and top to bottom."""

    line: Line
    box: Box


class _Frame:
    """Maps page boxes so that the page's main direction of writing is left to right, downwards."""

    def __init__(self, vertical: bool, mirrored: bool, width: float) -> None:
        self.vertical = vertical
        self.mirrored = mirrored
        self.width = width

    def __call__(self, box: Box) -> Box:
        if self.vertical:  # Columns of characters, the first at the right.
            return Box(box.top, self.width - box.right, box.bottom, self.width - box.left)
        if self.mirrored:
            return Box(self.width - box.right, box.top, self.width - box.left, box.bottom)
        return box


def _frame(lines: Sequence[Line], width: float, height: float) -> _Frame:
    characters = sum(len(line.text) for line in lines)
    vertical = sum(len(line.text) for line in lines if line.vertical) * 2 > characters
    text = "".join(line.text for line in lines)
    strong = [unicodedata.bidirectional(c) for c in text if c.isalpha()]
    rightwards = sum(kind in ("R", "AL") for kind in strong)
    return _Frame(vertical, not vertical and rightwards * 2 > len(strong), width)


def _regions(items: list[_Item]) -> list[list[_Item]]:
    """The items cut into columns and what spans them, in reading order."""
    cut = _gutter(items)
    if cut is None:
        return [items]
    spanning = sorted((i for i in items if _side(i.box, cut) == 0), key=lambda i: i.box.top)
    bounds = [i.box.top + i.box.height / 2 for i in spanning]
    bands: list[tuple[list[_Item], list[_Item]]] = [([], []) for _ in range(len(spanning) + 1)]
    for item in items:
        side = _side(item.box, cut)
        if side:
            middle = item.box.top + item.box.height / 2
            bands[int(np.searchsorted(bounds, middle))][side > 0].append(item)
    ordered: list[list[_Item]] = []
    for n, (left, right) in enumerate(bands):
        for column in (left, right):
            if column:
                ordered += _regions(column)
        if n < len(spanning):
            if ordered and ordered[-1] and n and not (left or right):
                ordered[-1].append(spanning[n])  # A run of spanning lines stays one region.
            else:
                ordered.append([spanning[n]])
    return ordered


def _gutter(items: list[_Item]) -> float | None:
    """The x of the best gap between two columns of text, or None if there is one column."""
    if len(items) < 6:
        return None
    lefts = np.array([i.box.left for i in items])
    rights = np.array([i.box.right for i in items])
    tops = np.array([i.box.top for i in items])
    bottoms = np.array([i.box.bottom for i in items])
    size = float(np.median(bottoms - tops))
    best, best_score = None, 0.0
    for x in np.unique(np.round(rights + size / 4)):
        left, right = rights <= x, lefts >= x
        crossing = len(items) - int(left.sum()) - int(right.sum())
        fewer = min(int(left.sum()), int(right.sum()))
        if fewer < 3 or crossing > fewer / 2:
            continue
        next_left = float(lefts[right].min())
        if next_left - x < size / 4:
            continue
        if not (_is_text(lefts[left], rights[left]) and _is_text(lefts[right], rights[right])):
            continue
        shared = min(bottoms[left].max(), bottoms[right].max()) - max(
            tops[left].min(), tops[right].min()
        )
        least = min(
            np.ptp(np.r_[tops[left], bottoms[left]]), np.ptp(np.r_[tops[right], bottoms[right]])
        )
        if shared < least / 2:
            continue
        score = fewer - 2 * crossing + min(next_left - float(x), 4 * size) / size
        if score > best_score:
            best, best_score = (float(x) + next_left) / 2, score
    return best


def _is_text(lefts: np.ndarray, rights: np.ndarray) -> bool:  # type: ignore[type-arg]
    """Whether lines fill their column as running text does; cells of a table do not."""
    return bool(np.median(rights - lefts) > 0.6 * (rights.max() - lefts.min()))


def _side(box: Box, x: float) -> int:
    """-1 left of the gutter, 1 right of it, 0 across."""
    return -1 if box.right <= x else 1 if box.left >= x else 0


def _rows(items: list[_Item]) -> list[list[_Item]]:
    """Items that stand side by side, row by row; each row from left to right."""
    rows: list[list[_Item]] = []
    for item in sorted(items, key=lambda i: (i.box.top + i.box.bottom, i.box.left)):
        middle = (item.box.top + item.box.bottom) / 2
        if rows:
            first = rows[-1][0].box
            slack = min(first.height, item.box.height) / 2
            if abs(middle - (first.top + first.bottom) / 2) < slack:
                rows[-1].append(item)
                continue
        rows.append([item])
    return [sorted(row, key=lambda i: i.box.left) for row in rows]


def _joined(row: list[_Item]) -> list[_Item]:
    """The row with neighbouring pieces of one line made one."""
    joined = row[:1]
    for item in row[1:]:
        last = joined[-1]
        gap = item.box.left - last.box.right
        size = max(1.0, min(last.box.height, item.box.height))
        alike = max(last.box.height, item.box.height) < _SIZE_RATIO * size
        if (
            alike
            and -size / 2 < gap < _WORD_GAP * size
            and last.line.vertical == item.line.vertical
        ):
            joined[-1] = _Item(_concatenate(last.line, item.line), Box.around((last.box, item.box)))
        else:
            joined.append(item)
    return joined


def _concatenate(first: Line, second: Line) -> Line:
    touching = is_unspaced(first.words[-1].text[-1]) or is_unspaced(second.words[0].text[0])
    head: Word = replace(second.words[0], spaced=not touching)
    return Line(
        (*first.words, head, *second.words[1:]),
        Box.around((first.box, second.box)),
        first.vertical,
    )


def _split(rows: list[_Item]) -> list[list[_Item]]:
    """A region's lines, in reading order, grouped into paragraphs."""
    left = min(i.box.left for i in rows)
    right = max(i.box.right for i in rows)
    size = median(i.box.height for i in rows)
    groups = [rows[:1]]
    for last, item in pairwise(rows):
        gap = item.box.top - last.box.bottom
        low, high = sorted((max(1.0, last.box.height), max(1.0, item.box.height)))
        begun_indented = len(groups[-1]) > 1 and groups[-1][-1].box.left > left + _INDENT * size
        apart = (
            gap < -low / 2  # Beside it, or back at the top: not the next line.
            or gap > _PARAGRAPH_GAP * size
            or high > _SIZE_RATIO * low
            or last.box.right < right - _SHORT * size
            or (item.box.left > left + _INDENT * size and not begun_indented)
            or last.line.vertical != item.line.vertical
        )
        if apart:
            groups.append([item])
        else:
            groups[-1].append(item)
    return groups

"""Reading order: columns, rows and paragraphs from the geometry of lines alone."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median

import numpy as np
from numpy.typing import NDArray

from app.document import Box, Line, Paragraph, Word, is_unspaced

# All in line heights, so that the numbers hold at any resolution.
_WORD_GAP = 1.0  # Pieces of one row that are nearer than this are one line.
_PARAGRAPH_GAP = 0.9  # Lines further apart than this are two paragraphs.
_INDENT = 1.2  # A line that begins this far to the right of its column begins a paragraph.
_SHORT = 1.5  # A line that could have held this and the next word too ends a paragraph.
_GUTTER = 0.3  # Columns are at least this far apart,
_NARROWEST = 7.0  # this wide,
_FEWEST = 3  # and have at least this many lines (a number, not a height).
_LEVEL = 0.002  # The least slope that counts: a sixth of a line on the width of a page.
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
    slope = _slope(lines)
    items = [_Item(line, frame(_level(line.box, slope))) for line in lines]
    found = []
    for region in _regions(items):
        found += _split([_joined(row) for row in _rows(region)])
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


def _slope(lines: Sequence[Line]) -> float:
    """How much the page's lines fall to the right; 0 where they do not to speak of."""
    horizontal = [line for line in lines if not line.vertical]
    if len(horizontal) < _FEWEST:
        return 0.0
    # Long lines tell it best.
    horizontal.sort(key=lambda line: -line.box.width)
    slope = median(line.slope for line in horizontal[: max(_FEWEST, len(horizontal) // 2)])
    return slope if abs(slope) >= _LEVEL else 0.0


def _level(box: Box, slope: float) -> Box:
    """Where ``box`` would stand if the page were not skewed."""
    if not slope:
        return box
    fall = slope * (box.left + box.right) / 2
    lean = min(abs(slope) * box.width, 0.7 * box.height) / 2
    return Box(box.left, box.top - fall + lean, box.right, box.bottom - fall - lean)


def _regions(items: list[_Item]) -> list[list[_Item]]:
    """The items cut into columns and what stands above, between and below them, in order."""
    cut = _gutter(items)
    if cut is None:
        return [items]
    ordered: list[list[_Item]] = []
    flow: list[_Item] = []  # What spans the columns, or stands where there are none.
    for left, right, spanning in _bands(items, cut):
        if min(len(left), len(right)) < _FEWEST:
            flow += left + right
        else:
            if flow:
                ordered += _regions(flow)
                flow = []
            ordered += _regions(left) + _regions(right)
        flow += spanning
    return ordered + (_regions(flow) if flow else [])


def _bands(
    items: list[_Item], cut: float
) -> Iterator[tuple[list[_Item], list[_Item], list[_Item]]]:
    """From the top: what is left and right of the gutter, and the line across that follows."""
    left: list[_Item] = []
    right: list[_Item] = []
    for item in sorted(items, key=lambda i: i.box.top + i.box.bottom):
        if item.box.right <= cut:
            left.append(item)
        elif item.box.left >= cut:
            right.append(item)
        else:
            yield left, right, [item]
            left, right = [], []
    yield left, right, []


def _gutter(items: list[_Item]) -> float | None:
    """The x of the best gap between two columns of text, or None if there is one column."""
    if len(items) < 2 * _FEWEST:
        return None
    items = sorted(items, key=lambda i: i.box.top + i.box.bottom)
    lefts = np.array([i.box.left for i in items])
    rights = np.array([i.box.right for i in items])
    size = float(np.median([i.box.height for i in items]))
    best, best_score = None, 0.0
    for x in np.unique(np.round(rights)) + 0.5:
        left, right = rights <= x, lefts >= x
        # The number of the band between two lines that cross, for each line.
        band = np.cumsum(~(left | right))
        count = band[-1] + 1
        fewer = np.minimum(
            np.bincount(band[left], minlength=count), np.bincount(band[right], minlength=count)
        )
        strong = fewer >= _FEWEST
        score = float(fewer[strong].sum())
        if score <= best_score:
            continue
        left, right = left & strong[band], right & strong[band]
        gap = lefts[right].min() - rights[left].max()
        if gap < _GUTTER * size:
            continue
        if _is_text(lefts[left], rights[left], size) and _is_text(
            lefts[right], rights[right], size
        ):
            best, best_score = float(rights[left].max() + gap / 2), score
    return best


def _is_text(lefts: NDArray[np.float64], rights: NDArray[np.float64], size: float) -> bool:
    """Whether lines fill a column as running text does; cells of a table do not.

    The mean is weighted by width, so that a table below running text does not hide it.
    """
    width, widths = float(rights.max() - lefts.min()), rights - lefts
    return width > _NARROWEST * size and bool(np.average(widths, weights=widths) > 0.6 * width)


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
        first.slope,
    )


def _split(rows: list[list[_Item]]) -> list[list[_Item]]:
    """A region's lines, in reading order, grouped into paragraphs."""
    items = [item for row in rows for item in row]
    right = max(i.box.right for i in items)
    size = max(1.0, median(i.box.height for i in items))
    groups: list[list[_Item]] = []
    growing = False  # Whether the last group may take the next line.
    for row, after in zip(rows, [*rows[1:], []], strict=True):
        # What stands side by side, such as the cells of a table, are paragraphs of their own.
        following = after[0] if len(after) == 1 else None
        if len(row) == 1 and growing and _continues(groups[-1], row[0], following, right, size):
            groups[-1].append(row[0])
        else:
            groups += [[item] for item in row]
        growing = len(row) == 1
    return groups


def _continues(
    group: list[_Item], item: _Item, following: _Item | None, right: float, size: float
) -> bool:
    """Whether ``item`` goes on with the paragraph ``group``."""
    last = group[-1]
    gap = item.box.top - last.box.bottom
    low, high = sorted((max(1.0, last.box.height), max(1.0, item.box.height)))
    step = item.box.left - last.box.left
    hanging = following is not None and abs(following.box.left - item.box.left) < size
    shared = min(last.box.right, item.box.right) - max(last.box.left, item.box.left)
    return not (
        shared < min(last.box.width, item.box.width) / 2
        or gap > _PARAGRAPH_GAP * size
        or high > _SIZE_RATIO * low
        or last.box.right + _first_width(item, size) < right - _SHORT * size
        or (step > _INDENT * size and not (hanging and len(group) == 1))
        or (step < -_INDENT * size and len(group) > 1)
        or last.line.vertical != item.line.vertical
    )


def _first_width(item: _Item, size: float) -> float:
    """How wide the first word is: where it would have fitted, the line above ended early."""
    word = item.line.words[0]
    return size if is_unspaced(word.text[0]) else word.box.width

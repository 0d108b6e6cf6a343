"""Reading order: columns, rows and paragraphs from the geometry of lines alone."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import median

import numpy as np
from numpy.typing import NDArray

from app.document import Box, Line, Paragraph, Style, Word, is_unspaced
from app.layout.frame import Frame, Item, rows
from app.layout.marks import is_mark, is_number, item_mark
from app.layout.tiers import tiers

# All in line heights, so that the numbers hold at any resolution.
_WORD_GAP = 1.0  # Pieces of one row that are nearer than this are one line.
_MARK_GAP = 4.0  # The mark of an item, or the number of a heading, stands this near its text.
_PARAGRAPH_GAP = 0.9  # Lines further apart than this are two paragraphs.
_INDENT = 1.2  # A line that begins this far to the right of its column begins a paragraph.
_SHORT = 1.5  # A line that could have held this and the next word too ends a paragraph.
_GUTTER = 0.3  # Columns are at least this far apart,
_NARROWEST = 7.0  # this wide,
_FEWEST = 3  # and have at least this many lines (a number, not a height).
_MOST_PLACES = 40  # Where columns may part that are looked at closely: pages may have thousands.
_ALIKE = 1.35  # Heights of lines that may be one text; a line may lack tall letters.
_OTHER_SIZE = 1.2  # Of fonts in one paragraph.
_MOST_ENDS = 500  # Of lines, that are looked at at all.
_SIZE_RATIO = 1.5  # Lines whose heights differ more than this are different kinds of text.


def paragraphs(lines: Sequence[Line], width: float) -> tuple[Paragraph, ...]:
    """The lines of a page, ``width`` pixels wide, as paragraphs in reading order.

    No word is lost or invented. Pieces of one printed line that were found apart are joined.
    Vertical text is read in columns from right to left, right-to-left scripts likewise in rows.
    """
    lines = [line for line in lines if line.words]
    if len(lines) == 1:  # As in most cells of tables.
        return (Paragraph(tuple(lines), lines[0].box),)
    frame = Frame.of(lines, width)
    items = [Item(line, frame(line.box)) for line in lines]
    found = regions(items, frame.vertical)
    return tuple(each for region in found for each in flowing(rows(region)))


def flowing(rows: Sequence[Sequence[Item]]) -> Iterator[Paragraph]:
    """The rows of one region as paragraphs; neighbouring pieces of one line are made one."""
    for group in _split(_smoothed([_joined(row) for row in rows])) if rows else ():
        yield Paragraph(tuple(i.line for i in group), Box.around(i.line.box for i in group))


class _Effort:
    """How often two sides of a gap may still be compared: pages may be made to keep us busy."""

    def __init__(self, left: int) -> None:
        self.left = left

    def spend(self) -> bool:
        """One comparison; False when none is left."""
        self.left -= 1
        return self.left >= 0


_MOST_EFFORT = 4000  # Ten times what a newspaper takes;
_MOST_LOOKS = 4_000_000  # at lines, which a comparison looks at all of.


def has_columns(items: Sequence[Item]) -> bool:
    """Whether the items stand in columns of running text."""
    return _gutter(items, _Effort(_MOST_EFFORT // 10)) is not None


def regions(items: list[Item], vertical: bool = False) -> list[list[Item]]:
    """The items cut into columns and what stands above, between and below them, in order.

    Where lines run downwards, they are in the frame and so to the right, too.
    """
    found = tiers(items) if vertical else None
    return found or _regions(items, _Effort(min(_MOST_EFFORT, _MOST_LOOKS // max(1, len(items)))))


def _regions(items: list[Item], effort: _Effort) -> list[list[Item]]:
    cut = _gutter(items, effort)
    if cut is None:
        return [items]
    ordered: list[list[Item]] = []
    flow: list[Item] = []  # What spans the columns, or stands where there are none.
    size = _size(items)
    for left, right, spanning in _bands(items, cut):
        if _is_gutter(_edges(left), _edges(right), size, effort):
            if flow:
                ordered += _regions(flow, effort)
                flow = []
            ordered += _regions(left, effort) + _regions(right, effort)
        else:
            flow += left + right
        flow += spanning
    if len(flow) == len(items):  # There was no effort left to cut them.
        return [items]
    return ordered + (_regions(flow, effort) if flow else [])


def _bands(items: list[Item], cut: float) -> Iterator[tuple[list[Item], list[Item], list[Item]]]:
    """From the top: what is left and right of the gutter, and the line across that follows."""
    left: list[Item] = []
    right: list[Item] = []
    for item in sorted(items, key=lambda i: i.box.top + i.box.bottom):
        if item.box.right <= cut:
            left.append(item)
        elif item.box.left >= cut:
            right.append(item)
        else:
            yield left, right, [item]
            left, right = [], []
    yield left, right, []


def _size(items: Sequence[Item]) -> float:
    return median(item.box.height for item in items)


def _edges(items: Sequence[Item]) -> NDArray[np.float64]:
    """Left, right and middle of the items, shape (3, n), from the top."""
    edges = [(i.box.left, i.box.right, (i.box.top + i.box.bottom) / 2) for i in items]
    return np.array(sorted(edges, key=lambda edge: edge[2])).reshape(-1, 3).T


def _gutter(items: Sequence[Item], effort: _Effort) -> float | None:
    """The x of the best gap between two columns of text, or None if there is one column."""
    return _best_gap(_edges(items), _size(items), effort, _MOST_PLACES) if items else None


def _best_gap(
    edges: NDArray[np.float64], size: float, effort: _Effort, most_places: int
) -> float | None:
    if edges.shape[1] < 2 * _FEWEST:
        return None
    places = np.unique(np.round(edges[1])) + 0.5
    places = places[:: 1 + len(places) // _MOST_ENDS]
    left, right = edges[1] <= places[:, None], edges[0] >= places[:, None]
    # The number of the band between two lines that cross, for each place and line.
    band = np.cumsum(~(left | right), axis=1)
    fewer = _fewer(left, right, band)
    most = np.where(fewer >= _FEWEST, fewer, 0).sum(axis=1)
    # Among places in one gap, that which the fewest lines cross.
    crossed = band[:, -1] / (edges.shape[1] + 1)
    best, best_score = None, -np.inf
    for n in np.argsort(crossed - most, kind="stable")[:most_places]:
        if most[n] == 0 or most[n] - crossed[n] <= best_score:
            break
        score = 0.0
        for number in np.flatnonzero(fewer[n] >= _FEWEST):
            here = band[n] == number
            sides = edges[:, left[n] & here], edges[:, right[n] & here]
            if _is_gutter(*sides, size, effort, most_places):
                score += float(fewer[n, number])
        if score > 0 and score - crossed[n] > best_score:
            best, best_score = float(places[n]), score - crossed[n]
    return best


def _fewer(
    left: NDArray[np.bool_], right: NDArray[np.bool_], band: NDArray[np.int_]
) -> NDArray[np.int_]:
    """How many lines the emptier side has in each band, for each place."""
    places, bands = len(band), int(band[:, -1].max()) + 1
    band = band + bands * np.arange(places)[:, None]
    sides = [np.bincount(band[side], minlength=places * bands) for side in (left, right)]
    return np.minimum(*sides).reshape(places, bands)


def _is_gutter(
    left: NDArray[np.float64],
    right: NDArray[np.float64],
    size: float,
    effort: _Effort,
    most_places: int = _MOST_PLACES,
) -> bool:
    """Whether two columns of text stand side by side; each as by ``_edges``."""
    if min(left.shape[1], right.shape[1]) < _FEWEST or not effort.spend():
        return False
    gap = float(right[0].min() - left[1].max())
    if gap < _GUTTER * size:
        return False
    # Where lines stand side by side: what is above or below them tells nothing of columns.
    near_left, near_right = _near(left[2], right[2]), _near(right[2], left[2])
    beside_left, beside_right = left[:, near_left < 0.7 * size], right[:, near_right < 0.7 * size]
    if min(beside_left.shape[1], beside_right.shape[1]) < 2:
        return False
    fewer = most_places // 5
    text = (
        _is_text(beside_left, size, effort, fewer),
        _is_text(beside_right, size, effort, fewer),
    )
    if not any(text):
        return False
    # Beside running text, a list or a table of its own has lines of its own.
    own = beside_right if text[0] else beside_left
    near = near_right if text[0] else near_left
    apart = float(np.mean(near[near < 0.7 * size] > 0.2 * size))
    return all(text) or (own.shape[1] >= _FEWEST_OWN and gap > size / 2 and apart > 0.5)


_FEWEST_OWN = 8


def _near(middles: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far each of ``middles`` is from the next of ``others``; both ascend."""
    there = np.concatenate(([-np.inf], others, [np.inf]))
    after = np.searchsorted(there, middles)
    return np.minimum(middles - there[after - 1], there[after] - middles)


def _is_text(edges: NDArray[np.float64], size: float, effort: _Effort, most_places: int) -> bool:
    """Whether lines fill one or several columns as running text does; cells of a table do not.

    The means are weighted by width, so that a table below running text does not hide it.
    """
    width, widths = float(edges[1].max() - edges[0].min()), edges[1] - edges[0]
    if width <= _NARROWEST * size:
        return False
    if widths @ widths > _FILLED * width * widths.sum():
        return True
    some = slice(None, None, 1 + len(widths) // _MOST_LINES)
    beside = np.abs(edges[2][some, None] - edges[2]) < size / 2
    if widths[some] @ (beside @ widths) <= _FILLED * width * widths[some].sum():
        return False
    return bool(most_places) and _best_gap(edges, size, effort, most_places) is not None


_FILLED = 0.6
_MOST_LINES = 200  # That are looked at; enough to tell, and quick on pages with thousands.


def _joined(row: Sequence[Item]) -> list[Item]:
    """The row with neighbouring pieces of one line made one, and marks joined to their items."""
    joined = list(row[:1])
    for item in row[1:]:
        last = joined[-1]
        gap = item.box.left - last.box.right
        size = max(1.0, min(last.box.height, item.box.height))
        alike = max(last.box.height, item.box.height) < _SIZE_RATIO * size
        longest = _WORD_GAP * size
        if len(joined) == 1 and (is_mark(last.line.text) or is_number(last.line.text)):
            alike, longest = True, _MARK_GAP * max(last.box.height, item.box.height)
        if alike and -size / 2 < gap < longest and last.line.vertical == item.line.vertical:
            joined[-1] = Item(_concatenate(last.line, item.line), Box.around((last.box, item.box)))
        else:
            joined.append(item)
    return joined


def _concatenate(first: Line, second: Line) -> Line:
    touching = is_unspaced(first.words[-1].text[-1]) or is_unspaced(second.words[0].text[0])
    head: Word = second.words[0]._replace(spaced=not touching)
    return Line(
        (*first.words, head, *second.words[1:]),
        Box.around((first.box, second.box)),
        first.vertical,
        first.slope,
        _common_style(first, second),
        first.given and second.given,
    )


def _common_style(first: Line, second: Line) -> Style | None:
    """That of the longer one; bold, italic or coloured only if both are."""
    a, b = (line.style for line in sorted((first, second), key=lambda line: -len(line.text)))
    if a is None or b is None:
        return a or b
    colour = a.colour if a.colour == b.colour else None
    return replace(a, bold=a.bold and b.bold, italic=a.italic and b.italic, colour=colour)


def _split(rows: list[list[Item]]) -> list[list[Item]]:
    """A region's lines, in reading order, grouped into paragraphs."""
    size = max(1.0, median(item.box.height for row in rows for item in row))
    groups: list[list[Item]] = []
    growing = False  # Whether the last group may take the next line.
    for row, after, right in zip(rows, [*rows[1:], []], _rights(rows, size), strict=True):
        # What stands side by side, such as the cells of a table, are paragraphs of their own.
        following = after[0] if len(after) == 1 else None
        if len(row) == 1 and growing and _continues(groups[-1], row[0], following, right, size):
            groups[-1].append(row[0])
        else:
            groups += [[item] for item in row]
        growing = len(row) == 1
    return groups


def _smoothed(rows: list[list[Item]]) -> list[list[Item]]:
    """The rows, a line that looks different from both above and below made to look like them.

    Only what was seen may be wrong; where a font's family is known, the document says its looks.
    """
    smooth = list(rows)
    for n in range(1, len(rows) - 1):
        above, here, below = smooth[n - 1], rows[n], rows[n + 1]
        if not len(above) == len(here) == len(below) == 1:
            continue
        style, usual = here[0].line.style, above[0].line.style
        if style == usual or usual is None or usual != below[0].line.style or usual.family:
            continue
        size = here[0].box.height
        if _is_below(above[0].box, here[0].box, size) and _is_below(
            here[0].box, below[0].box, size
        ):
            smooth[n] = [here[0]._replace(line=replace(here[0].line, style=usual))]
    return smooth


def _rights(rows: list[list[Item]], size: float) -> list[float]:
    """For each row, how far to the right the lines around it reach that stand below each other."""
    rights: list[float] = []
    run: list[Item] = []
    for row, after in zip(rows, [*rows[1:], []], strict=True):
        run.append(max(row, key=lambda item: item.box.right))
        if not (len(row) == len(after) == 1 and _is_below(row[0].box, after[0].box, size)):
            rights += [max(item.box.right for item in run)] * len(run)
            run = []
    return rights


def _is_below(above: Box, below: Box, size: float) -> bool:
    """Whether two lines of one size stand close below each other."""
    low, high = sorted((above.height, below.height))
    shared = min(above.right, below.right) - max(above.left, below.left)
    close = below.top - above.bottom < 2 * size
    return close and high < _ALIKE * low and shared > min(above.width, below.width) / 2


def _continues(
    group: list[Item], item: Item, following: Item | None, right: float, size: float
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
        or _looks_other(last, item, right, size)
        or (item_mark(item.line.text) and item_mark(group[0].line.text))
    )


def _looks_other(above: Item, below: Item, right: float, size: float) -> bool:
    """Whether size or weight part a heading from its text."""
    a, b = above.line.style, below.line.style
    if a is None or b is None:
        return False
    low, high = sorted((a.size, b.size))
    # A full line goes on in the next; that one of the two looks bold to us says little.
    full = above.box.right > right - size and below.box.top - above.box.bottom < size / 2
    if full:
        return high > _OTHER_SIZE**2 * low
    return a.bold != b.bold or high > _OTHER_SIZE * low


def _first_width(item: Item, size: float) -> float:
    """How wide the first word is: where it would have fitted, the line above ended early."""
    word = item.line.words[0]
    return size if is_unspaced(word.text[0]) else word.box.width

"""A PDF page's text layer: from characters with boxes to lines of words."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from itertools import pairwise, repeat
from typing import NamedTuple
from unicodedata import bidirectional

import numpy as np
from numpy.typing import NDArray

from app.document import Box, Line, Style, Word, is_unspaced

HYPHEN = 0x02
"""PDFium's mark for a hyphen that divides a word at the end of a line."""

REPLACEMENT = 0xFFFD
"""For what is drawn, but nobody knows as which character."""


Styles = Callable[[int], Style | None]


@dataclass(frozen=True, slots=True)
class Characters:
    """The characters of a text layer in the order of the layer.

    ``codes`` has n UTF-16 or UTF-32 code units, ``boxes`` shape (n, 4) with left, top, right,
    bottom in pixels, ``generated`` whether the n-th is a space that only the reader put there,
    ``styles`` gives how the n-th looks.
    """

    codes: NDArray[np.uint32]
    boxes: NDArray[np.float64]
    generated: NDArray[np.bool_]
    styles: Styles | None = None
    places: NDArray[np.intp] | None = None  # In the layer; None for 0, 1, 2 and so on.

    @property
    def visible(self) -> NDArray[np.intp]:
        """The places of the characters that are no white space."""
        return np.flatnonzero(_VISIBLE[np.minimum(self.codes, len(_VISIBLE) - 1)])

    def shown(self, width: float, height: float) -> NDArray[np.intp]:
        """The places of those of them that are on a page of that size."""
        places = self.visible
        left, top, right, bottom = self.boxes[places].T
        inside = (right > 0) & (left < width) & (bottom > 0) & (top < height)
        return np.asarray(places[inside], dtype=np.intp)


def is_legible(codes: NDArray[np.uint32]) -> bool:
    """Whether a layer says what its page shows, by the ``codes`` that are shown.

    It does not if 5 % of the characters on the page have no known meaning, as with a font
    without a mapping to Unicode.
    """
    return len(codes) > 0 and float(_is_unknown(codes).mean()) < 0.05


def lines_of(characters: Characters, width: float, height: float) -> tuple[Line, ...]:
    """Every character but white space, in words, in lines, in the order of the layer.

    Only what lies outside of the page, where nobody can see it, is left out.
    """
    found = _words(_decoded(characters), width, height)
    if found is None:
        return ()
    return tuple(_line(found, part, characters.styles) for row in _rows(found) for part in row)


_HIDDEN = {0x200B, 0x2060, 0xFEFF}  # Have no width, and no other use than to divide or join.
_VISIBLE = np.array(
    [not (chr(code).isspace() or code in _HIDDEN) for code in range(0x10000)], dtype=np.bool_
)
# What no text file can hold: controls, surrogates, noncharacters, and what is beyond Unicode.
# Private characters it can: a font that comes with the document gives them a shape.
_UNFIT = np.zeros(0x110001, dtype=np.bool_)
_UNFIT[np.r_[0x00:0x20, 0x7F:0xA0, 0xD800:0xE000, 0xFFF0:0x10000, 0x110000]] = True
_UNFIT[: len(_VISIBLE)] &= _VISIBLE
_UNFIT[HYPHEN] = False
_BREAKS = np.zeros(0x10000, dtype=np.bool_)
_BREAKS[[0x0A, 0x0D, 0x2028, 0x2029]] = True

# What common symbol fonts draw at private code points, mostly as bullets of lists.
_SYMBOLS = {
    0xF0B7: "•",
    0xF0A7: "▪",
    0xF052: "☑",
    0xF06C: "●",
    0xF06E: "■",
    0xF06F: "□",
    0xF075: "◆",
    0xF076: "❖",
    0xF0A8: "☐",
    0xF0D8: "➢",
    0xF0FC: "✓",
    0xF0FD: "☒",
    0xF0FE: "☑",
    0xF0E0: "→",
    0xF02D: "-",
}


def _is_unknown(codes: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Which codes are no characters with a meaning: controls, private ones, replacements."""
    found: NDArray[np.bool_] = (
        ((codes < 0x20) & (codes != HYPHEN))
        | ((codes >= 0x7F) & (codes < 0xA0))
        | ((codes >= 0xE000) & (codes < 0xF900))
        | ((codes >= 0xFFF0) & (codes <= 0xFFFF))
        | (codes >= 0xF0000)
    )
    return found


def _decoded(characters: Characters) -> Characters:
    """With surrogate pairs put together, and nothing that a text file cannot hold."""
    codes, keep = characters.codes.copy(), np.ones(len(characters.codes), dtype=bool)
    high = (codes >= 0xD800) & (codes < 0xDC00)
    if high.any():
        low = (codes >= 0xDC00) & (codes < 0xE000)
        pairs = np.flatnonzero(high[:-1] & low[1:])
        codes[pairs] = 0x10000 + ((codes[pairs] - 0xD800) << 10) + (codes[pairs + 1] - 0xDC00)
        keep[pairs + 1] = False
    if ((codes >= 0xF000) & (codes < 0xF100)).any():
        for private, symbol in _SYMBOLS.items():
            codes[codes == private] = ord(symbol)
    codes[codes == 0xAD] = ord("-")  # A soft hyphen that a layer has is one that is drawn.
    codes[_UNFIT[np.minimum(codes, len(_UNFIT) - 1)]] = REPLACEMENT
    return Characters(
        codes[keep],
        characters.boxes[keep],
        characters.generated[keep],
        places=np.flatnonzero(keep),
    )


class _Way(IntEnum):
    """Which way a word runs."""

    UNKNOWN = 0  # A single character, or one with a raised one.
    ACROSS = 1
    DOWN = 2  # Or up.
    ASLANT = 3


class _Found(NamedTuple):
    """The words of a page in the order of the layer, and what is known of each."""

    words: list[Word]
    boxes: NDArray[np.float64]  # Shape (4, n).
    continues: NDArray[np.bool_]  # Whether it goes on in the line of the one before.
    ways: NDArray[np.int_]  # Which way it runs.
    vertical: list[bool]  # Whether it is in a script that runs downwards, and does so.
    sizes: NDArray[np.float64]  # The height of its characters, or their width if that is more.
    places: list[int]  # Of its first character, in the layer.


def _words(characters: Characters, width: float, height: float) -> _Found | None:
    """The words on a page of that size; None if there are none."""
    where = characters.visible
    if not len(where):
        return None
    codes, boxes = characters.codes[where], characters.boxes[where]
    left, top, right, bottom = boxes.T
    sizes = np.maximum(right - left, bottom - top)

    # Between each character and the one before it:
    apart = np.diff(where) > 1
    all_codes = np.minimum(characters.codes, 0xFFFF)
    breaks = _any_between(_BREAKS[all_codes], where)
    spaces = _any_between(~_VISIBLE[all_codes] & ~characters.generated, where)
    gap_x = np.maximum(left[1:], left[:-1]) - np.minimum(right[1:], right[:-1])
    gap_y = np.maximum(top[1:], top[:-1]) - np.minimum(bottom[1:], bottom[:-1])
    size = np.maximum(sizes[1:], sizes[:-1])
    marks = (sizes[1:] == 0) | (sizes[:-1] == 0)  # Have no box of their own.
    text = _text(codes)
    unspaced = np.fromiter(map(is_unspaced, text), dtype=np.bool_, count=len(text))
    both = unspaced[1:] & unspaced[:-1]
    far = ((gap_x > np.where(both, 0.3, 0.6) * size) | (gap_y > 0.3 * size)) & ~marks
    # In Han text the reader sees spaces where there are only gaps, of justified lines.
    touching = both & ~spaces & (gap_x < 0.6 * size) & (gap_y < 0.6 * size)
    # The reader begins lines with what is raised, and with what follows it.
    script = _are_scripts(boxes[:-1], boxes[1:]) & ~marks
    breaks &= ~script
    touching |= script & ~spaces & (left[1:] - right[:-1] < _TOUCHING * size)
    begins = apart | breaks | far | (codes[:-1] == HYPHEN)
    for place in _notes(text, boxes, script, begins, breaks):
        begins[place], touching[place] = True, False
    starts = np.flatnonzero(begins) + 1

    firsts = np.concatenate(([0], starts))
    ends = np.concatenate((starts, [len(where)]))
    lasts = ends - 1
    across = np.abs((left + right)[lasts] - (left + right)[firsts])
    down = (top + bottom)[lasts] - (top + bottom)[firsts]
    high = np.maximum.reduceat(sizes, firsts)
    scripts = np.concatenate(([0], np.cumsum(script)))
    raised = (scripts[lasts] > scripts[firsts]) & (np.abs(down) / 2 < _OFF * high)
    ways = np.select(
        [
            (np.maximum(across, np.abs(down)) < 0.2 * high) | raised,
            np.abs(down) <= 0.3 * across,
            across <= 0.3 * np.abs(down),
        ],
        [_Way.UNKNOWN, _Way.ACROSS, _Way.DOWN],
        _Way.ASLANT,
    )
    box = np.stack(
        [
            np.minimum.reduceat(left, firsts),
            np.minimum.reduceat(top, firsts),
            np.maximum.reduceat(right, firsts),
            np.maximum.reduceat(bottom, firsts),
        ]
    )
    kept = (box[2] > 0) & (box[0] < width) & (box[3] > 0) & (box[1] < height)
    if not kept.any():
        return None
    firsts, ends, ways, high = firsts[kept], ends[kept], ways[kept], high[kept]
    box = box[:, kept]
    text = text.replace(chr(HYPHEN), "-")
    texts = [text[first:end] for first, end in zip(firsts.tolist(), ends.tolist(), strict=True)]
    spaced = np.concatenate(([True], ~touching))[firsts]
    places = where if characters.places is None else characters.places[where]
    # This makes tuples of their classes as the classes do, at half the cost.
    sides = map(tuple.__new__, repeat(Box), box.T.tolist())
    words = zip(texts, sides, repeat(1.0), spaced.tolist())
    return _Found(
        list(map(tuple.__new__, repeat(Word), words)),
        box,
        ~np.concatenate(([True], breaks))[firsts] & _continue(box, ways, high),
        ways,
        ((ways == _Way.DOWN) & (down[kept] > 0) & unspaced[firsts]).tolist(),
        high,
        places[firsts].tolist(),
    )


def _are_scripts(firsts: NDArray[np.float64], seconds: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Of pairs of boxes, shape (n, 4) each, which stand beside each other with one raised.

    It is above or below the middle of the other one, but not a line apart.
    """
    _, top, right, bottom = firsts.T
    next_left, next_top, next_right, next_bottom = seconds.T
    high, next_high = bottom - top, next_bottom - next_top
    larger = np.maximum(high, next_high)
    off = np.abs(top + bottom - next_top - next_bottom) / 2
    gap = next_left - right
    found: NDArray[np.bool_] = (
        (off > _LEVEL * larger)
        & (off < _OFF * larger)
        & (gap < larger)
        & (gap > -0.3 * larger)
        & (next_right > right)
    )
    return found


def _notes(
    text: str,
    boxes: NDArray[np.float64],
    script: NDArray[np.bool_],
    begins: NDArray[np.bool_],
    breaks: NDArray[np.bool_],
) -> list[int]:
    """The last characters of raised numbers that begin a line: those of notes, before their words.

    Others belong to what they stand at: a base, a fraction, a chemical element. ``begins`` and
    ``breaks`` tell after which characters words and lines begin.
    """
    found = []
    heads = np.concatenate(([True], begins & breaks))
    middles, heights = boxes[:, 1] + boxes[:, 3], boxes[:, 3] - boxes[:, 1]
    small = heights[:-1] < _SMALL * heights[1:]
    for place in np.flatnonzero(script & (middles[:-1] < middles[1:]) & small).tolist():
        first = place
        while text[first].isdigit() and not heads[first] and place - first < _LONGEST_NOTE:
            first -= 1
        word = text[place + 1 : place + 3]
        is_word = len(word) == 2 and word.isalpha() and not begins[place + 1]
        if heads[first] and text[first].isdigit() and is_word:
            found.append(place)
    return found


_SMALL = 0.85  # Of the height of the words that follow.
_LONGEST_NOTE = 2  # Figures before the last one.

_LEVEL, _OFF = 0.1, 0.75  # Heights of the larger one between the middles of both.
_TOUCHING = 0.05  # Heights; a gap as narrow is none between words.


def _text(codes: NDArray[np.uint32]) -> str:
    return codes.astype("<u4").tobytes().decode("utf-32-le", "replace")


def _any_between(flags: NDArray[np.bool_], where: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Whether any flag is set between one place and the next."""
    found: NDArray[np.bool_] = np.diff(np.cumsum(flags)[where]) > 0
    return found


def _continue(
    boxes: NDArray[np.float64], ways: NDArray[np.int_], sizes: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Which words stand on one base line with the one before, whichever way it runs.

    ``boxes`` have shape (4, n); ``ways`` and ``sizes`` are as in ``_Found``.
    """
    left, top, right, bottom = boxes
    shared_x = np.minimum(right[1:], right[:-1]) - np.maximum(left[1:], left[:-1])
    shared_y = np.minimum(bottom[1:], bottom[:-1]) - np.maximum(top[1:], top[:-1])
    reach = np.maximum(sizes[1:], sizes[:-1])
    most = np.maximum(ways[1:], ways[:-1])
    # Next to each other; where a single character or none tells the way, below each other.
    level = shared_y > 0.4 * np.minimum(*_pairs(bottom - top))
    script = _are_scripts(boxes.T[:-1], boxes.T[1:])
    below = (shared_x > 0.4 * np.minimum(*_pairs(right - left))) & (-shared_y < 1.5 * reach)
    across = (ways[1:] == _Way.ACROSS) | (ways[:-1] == _Way.ACROSS)
    found = np.select(
        [
            (most <= _Way.ACROSS) & (level | script),
            across,
            most == _Way.ASLANT,
        ],
        [
            np.ones(len(most), np.bool_),
            np.zeros(len(most), np.bool_),
            np.maximum(-shared_x, -shared_y) < reach,
        ],
        below,
    )
    return np.concatenate(([False], found))


def _pairs(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return values[1:], values[:-1]


def _rows(found: _Found) -> Iterator[Sequence[Sequence[int]]]:
    """Words on one base line together, those of each line by their numbers.

    A row has several lines where it has gaps: columns and cells stand further apart than words.
    """
    starts = np.flatnonzero(~found.continues)
    stops = [*starts[1:].tolist(), len(found.words)]
    left, _, right, _ = found.boxes
    rows = np.cumsum(~found.continues)
    order = np.lexsort((left, rows))
    # Few rows have gaps: where none is behind any word, there is none behind several.
    gaps = left[order[1:]] - right[order[:-1]] > _COLUMN_GAP * found.sizes[order[1:]]
    gaps &= rows[1:] == rows[:-1]
    split = np.zeros(len(starts), np.bool_)
    split[rows[1:][gaps] - 1] = True
    split &= np.maximum.reduceat(found.ways, starts) <= _Way.ACROSS
    for start, stop, is_split in zip(starts.tolist(), stops, split.tolist(), strict=True):
        row = range(start, stop)
        yield _split_at_gaps(found, order[start:stop].tolist()) if is_split else [row]


def _split_at_gaps(found: _Found, row: Sequence[int]) -> list[list[int]]:
    """The lines of a ``row`` of words, which comes from left to right.

    Looked for that way, because in the order of the layer a change of direction
    leaves a gap as well; each line keeps that order.
    """
    lines: list[list[int]] = [[]]
    reach = found.words[min(row)].box.right
    for number in row:
        box = found.words[number].box
        if lines[-1] and box.left - reach > _COLUMN_GAP * found.sizes[number]:
            lines.append([])
        lines[-1].append(number)
        reach = max(reach, box.right)
    return sorted(sorted(line) for line in lines)


_COLUMN_GAP = 1.25  # In heights of the characters; justified text has gaps of up to one.


def _line(found: _Found, numbers: Sequence[int], styles: Styles | None) -> Line:
    numbers = _from_left(found, numbers)
    words = [found.words[number] for number in numbers]
    vertical = any([found.vertical[number] for number in numbers])
    box = Box.around([word.box for word in words])
    style = None if styles is None else _style(words, [found.places[n] for n in numbers], styles)
    return Line(tuple(words), box, vertical, style=style, given=True)


def _from_left(found: _Found, numbers: Sequence[int]) -> Sequence[int]:
    """The words in their order, or that of their places: some programs draw a line font by font.

    Not where text runs to the left, or words overlap, as those of two lines might.
    """
    words = found.words
    lefts = [words[number].box.left for number in numbers]
    back = sum([a > b for a, b in pairwise(lefts)])
    if back == 0 or 2 * back >= len(numbers):
        return numbers
    placed = sorted(numbers, key=lambda number: words[number].box.left)
    if any(
        words[b].box.left < words[a].box.right - _OVERLAP * found.sizes[a]
        for a, b in pairwise(placed)
    ) or any(
        found.ways[n] > _Way.ACROSS or any(bidirectional(c) in ("R", "AL") for c in words[n].text)
        for n in numbers
    ):
        return numbers
    return placed


_OVERLAP = 0.2  # Heights; characters that lean do so a little.


def _style(words: Sequence[Word], places: Sequence[int], styles: Styles) -> Style | None:
    """That of the longest word; bold, italic or coloured only if both ends of the line are."""
    lengths = [len(word.text) for word in words]
    found = styles(places[lengths.index(max(lengths))])
    if found is None:
        return None
    if not (found.bold or found.italic or found.colour is not None):
        return found
    ends = [styles(place) for place in dict.fromkeys((places[0], places[-1]))]
    return replace(
        found,
        bold=found.bold and all(end is not None and end.bold for end in ends),
        italic=found.italic and all(end is not None and end.italic for end in ends),
        colour=found.colour
        if all(end is not None and end.colour == found.colour for end in ends)
        else None,
    )

"""Reads pieces of text: cuts them out of the page and turns network columns into words."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from app.document import Box, Line, Word, is_unspaced
from app.engines.pieces import Floats, Pieces, bend_at, cut_out
from app.engines.ppocr_spaces import edges_of, lost_spaces, settle, spaces_beside_han
from app.engines.ppocr_width import FULL_WIDTH, by_width
from app.interfaces import Image


@dataclass(frozen=True, slots=True)
class Columns:
    """What a network saw in each column of a strip, from left to right."""

    best: NDArray[np.int32]  # The number of the likeliest character; 0 is none.
    second: NDArray[np.int32]  # The next likely one.
    margin: Floats  # The logarithm of how much likelier the first is.

    @property
    def confidence(self) -> Floats:
        """The probability of the first, if it is one of the two."""
        return np.asarray(1 / (1 + np.exp(-self.margin)), np.float32)


Reader = Callable[[Iterable[Image]], Sequence[Columns]]
"""From strips of shape (1, 48, width, 3) to their columns."""

LONGEST_STRIP = 2400  # Pixels; lines longer than this are read in parts.
COLUMN = 8  # Pixels of a strip behind each column of a network's output.


def bucket(width: int) -> int:
    """The width to which a strip is filled up: each new one costs the runtime tens of ms."""
    step = 32 if width <= 256 else 64 if width <= 768 else 160
    return math.ceil(width / step) * step


WIDTHS = tuple(sorted({bucket(width) for width in range(1, LONGEST_STRIP + 1)}))
"""All widths of strips that there are."""


class Alphabet:
    """The characters behind the numbers 1, 2, ... in ``Columns``, the space among them."""

    def __init__(self, characters: Sequence[str]) -> None:
        self.characters = np.array(["", *characters])
        self.wide = np.isin(self.characters, list("mwMW@%&"))
        self.straight = self.characters == '"'
        self.curly = np.isin(self.characters, ["“", "”"])
        self.dots = np.isin(self.characters, [".", "…"])
        self.space = 1 + list(characters).index(" ")
        self.spaces = np.array([not character.strip() for character in self.characters])
        self.unspaced = np.array([bool(c) and is_unspaced(c) for c in self.characters])
        alnum = np.array([c.isalnum() for c in self.characters.tolist()])
        self.han = self.unspaced & alnum  # Or kana, or another script's letters.
        self.kinds = np.array(
            [
                0 if is_unspaced(c or " ") or not c.isalnum() else 1 + (not c.isdigit())
                for c in self.characters.tolist()
            ],
            np.int8,
        )
        numbers = {character: n for n, character in enumerate(self.characters.tolist())}
        marks = [c if len(c) == 1 and not c.isalnum() else "" for c in numbers]
        # The numbers of the same marks in full and in half width; 0 where there is none.
        self.widths = (
            np.array([numbers.get(c and chr(ord(c) + FULL_WIDTH), 0) for c in marks], np.int32),
            np.array(
                [numbers.get(c and chr(max(0, ord(c) - FULL_WIDTH)), 0) for c in marks], np.int32
            ),
        )
        ascii_ = np.array([c.isascii() for c in self.characters.tolist()])
        self.narrow = (ascii_ | (self.kinds > 0)) & ~self.wide  # With letters such as é.


def read_text(
    image: Image, pieces: Pieces, reader: Reader, alphabet: Alphabet, least: float = 0.0
) -> list[Line | None]:
    """The line at each of ``pieces``.

    None stands where nothing could be read; characters less confident than ``least`` are left out.
    """
    best = _read(image, _first_ways(pieces), reader, alphabet, least)
    doubtful = _other_ways(pieces, best)
    for number, line in _read(image, doubtful, reader, alphabet, least).items():
        if number not in best or line.confidence > best[number].confidence:
            best[number] = line
    lines = [best.get(number) for number in range(len(pieces))]
    return [line if line and line.confidence >= _LEAST_CONFIDENCE else None for line in lines]


def sample_text(
    image: Image, pieces: Pieces, first: int, reader: Reader, alphabet: Alphabet
) -> tuple[float, float]:
    """How well pieces read when their strips begin at the corner ``first``.

    Gives the mean confidence of the characters, 0 where there are none, and the share of those
    that are letters or digits of scripts that put spaces between words.
    """
    ways = [_way(pieces, number, first) for number in range(len(pieces))]
    numbers: list[NDArray[np.int32]] = []
    confidences: list[Floats] = []
    cuts: list[_Cut] = []
    columns = reader(_strips(image, ways, cuts))
    done = 0
    for cut in cuts:
        parts = columns[done : done + len(cut.parts)]
        done += len(cut.parts)
        found, confidence, _ = _characters(cut, parts, 0.0)
        numbers.append(found)
        confidences.append(confidence)
    if not sum(map(len, numbers)):
        return 0.0, 0.0
    letters = alphabet.kinds[np.concatenate(numbers)] > 0
    return float(np.concatenate(confidences).mean()), float(letters.mean())


_HEIGHT = 48  # Of a strip, in pixels; what the network was trained on.
_LEAST_CONFIDENCE = 0.5
_TALL = 1.5  # How much higher than wide a piece is whose text runs downwards or upwards.
_SINGLE = 3.0  # How much higher than wide a single character may be.
_LAG = 3  # Pixels, the median over 1 700 spaces between words.
_CERTAIN = 0.9  # A reading of a high piece from which on no other is tried.


@dataclass(frozen=True, slots=True)
class _Way:
    """One way to read a piece of text: a rectangle with the direction in which it runs."""

    number: int  # Of the piece on the page; it may be read in several ways.
    origin: Floats  # The page's x and y of the strip's top left corner.
    along: Floats  # The page's step for one strip pixel to the right.
    down: Floats
    length: int  # Pixels of the strip.
    vertical: bool
    bend: Floats | None  # Pixels of the page; None where the text is straight.


@dataclass(frozen=True, slots=True)
class _Cut:
    """What is known of a strip when its pixels are gone."""

    parts: tuple[slice, ...]  # The columns of pixels that the network saw, one slice each time.
    gaps: NDArray[np.int64]  # Shape (n, 2): where runs of columns without ink start and stop.


def _first_ways(pieces: Pieces) -> Iterator[_Way]:
    """The likeliest direction: along the longer side, downwards where that is the height."""
    for number, (width, height) in enumerate(zip(pieces.widths, pieces.heights, strict=True)):
        if min(width, height) >= 2:
            # The network was trained to read columns of Han characters lying on their left.
            yield _way(pieces, number, 1 if height >= _TALL * width else 0)


def _other_ways(pieces: Pieces, best: dict[int, Line]) -> Iterator[_Way]:
    """For high pieces that did not read well: upwards, or upright as a single character."""
    for number, (width, height) in enumerate(zip(pieces.widths, pieces.heights, strict=True)):
        if min(width, height) < 2 or height < _TALL * width:
            continue
        if number not in best or best[number].confidence < _CERTAIN:
            yield _way(pieces, number, 3)
            if height < _SINGLE * width:
                yield _way(pieces, number, 0)


def _way(pieces: Pieces, number: int, first: int) -> _Way:
    """The strip whose top left corner is the corner ``first`` of a piece."""
    quad, bend = pieces.corners[number], pieces.bends[number]
    origin, right, bottom = quad[first], quad[(first + 1) % 4], quad[(first + 3) % 4]
    scale = _HEIGHT / math.dist(origin, bottom)
    length = max(1, round(math.dist(origin, right) * scale))
    along, down = (right - origin) / length, (bottom - origin) / _HEIGHT
    bent = first % 2 == 0 and bool(bend.any())
    upside_down = -bend[::-1]
    return _Way(
        number,
        origin,
        along,
        down,
        length,
        first > 0,
        (upside_down if first else bend) if bent else None,
    )


def _read(
    image: Image, ways: Iterable[_Way], reader: Reader, alphabet: Alphabet, least: float
) -> dict[int, Line]:
    """The most confident line for each piece of which anything could be read."""
    # Long ones first: at the end no core waits long for the others.
    ordered = sorted(ways, key=lambda way: -way.length)
    cuts: list[_Cut] = []
    columns = reader(_strips(image, ordered, cuts))
    page = Box(0, 0, image.shape[1], image.shape[0])
    best: dict[int, Line] = {}
    first = 0
    for way, cut in zip(ordered, cuts, strict=True):
        last = first + len(cut.parts)
        line = _line(way, cut, columns[first:last], alphabet, least, page)
        first = last
        if line and (way.number not in best or line.confidence > best[way.number].confidence):
            best[way.number] = line
    return best


def _strips(image: Image, ways: Sequence[_Way], cuts: list[_Cut]) -> Iterator[Image]:
    for way in ways:
        strip = cut_out(image, way.origin, way.along, way.down, (way.length, _HEIGHT), way.bend)
        gaps = _gaps(strip)
        parts = tuple(_parts(way.length, gaps))
        cuts.append(_Cut(parts, gaps))
        for part in parts:
            width = part.stop - part.start
            # Grey is the network's zero.
            padded = np.full((1, _HEIGHT, bucket(width), 3), 127, np.uint8)
            padded[0, :, :width] = strip[:, part]
            yield padded


def _gaps(strip: Image) -> NDArray[np.int64]:
    """Runs of columns that look like the background, shape (n, 2)."""
    green = cv2.extractChannel(strip, 1)
    counts = np.cumsum(cv2.calcHist([green], [0], None, [256], (0, 256)))
    paper = np.uint8(np.searchsorted(counts, green.size / 2))  # The median.
    unlike = np.maximum(green, paper) - np.minimum(green, paper)
    ink = cv2.reduce(unlike, 0, cv2.REDUCE_SUM, dtype=cv2.CV_32F)[0]
    low, high = np.sort(ink)[[int(share * (len(ink) - 1)) for share in (0.02, 0.95)]]
    flat = np.concatenate([[False], ink <= low + 0.12 * (high - low), [False]])
    return np.flatnonzero(flat[1:] != flat[:-1]).reshape(-1, 2)


def _parts(length: int, gaps: NDArray[np.int64]) -> Iterator[slice]:
    """Cuts a strip that is too long in the middle of wide gaps."""
    start = 0
    while length - start > LONGEST_STRIP:
        latest = start + LONGEST_STRIP
        inside = gaps[(gaps[:, 0] > start + LONGEST_STRIP // 2) & (gaps[:, 1] < latest)]
        stop = latest
        if len(inside):
            stop = int(inside[np.argmax(inside[:, 1] - inside[:, 0])].mean())
        yield slice(start, stop)
        start = stop
    yield slice(start, length)


def _line(
    way: _Way,
    cut: _Cut,
    parts: Sequence[Columns],
    alphabet: Alphabet,
    least: float,
    page: Box,
) -> Line | None:
    numbers, confidences, centres = _characters(cut, parts, least)
    spaces = alphabet.spaces[numbers]
    seen = np.flatnonzero(~spaces)
    if not len(seen):
        return None
    spaced = np.zeros(len(seen), bool)
    spaced[1:] = np.diff(seen) > 1
    numbers, confidences, centres = numbers[seen], confidences[seen], centres[seen]
    if not way.vertical:
        numbers = by_width(numbers, centres, spaced, alphabet.han[numbers], alphabet.widths)
    unspaced = alphabet.unspaced[numbers]
    edges = edges_of(centres, cut.gaps, way.length)
    settle(edges, spaced)
    kinds = alphabet.kinds[numbers]
    spaced[1:] |= lost_spaces(edges, kinds, spaced[1:])
    if not way.vertical:  # There, upright figures stand apart.
        spaced[1:] |= spaces_beside_han(centres, edges, kinds, alphabet.han[numbers])
    # A long line is cut in its widest gaps, where the network does not see them from both sides.
    for part in cut.parts[1:]:
        place = int(np.searchsorted(centres, part.start))
        if 0 < place < len(spaced) and not unspaced[place - 1 : place + 1].any():
            starts, stops = cut.gaps.T
            spaced[place] |= ((starts < part.start) & (stops > part.start)).any()
    begins = spaced | np.concatenate([[True], unspaced[1:] != unspaced[:-1]])
    if way.bend is not None:  # Words that have no spaces between them would bend too far.
        begins[np.flatnonzero(unspaced)[::_LONGEST_BENT]] = True
    starts = np.flatnonzero(begins)
    stops = np.append(starts[1:], len(seen))
    lefts, rights = edges[starts, 1], edges[stops, 0]
    flat = _boxes(way, lefts, rights, page, bent=False)
    boxes = flat if way.bend is None else _boxes(way, lefts, rights, page, bent=True)
    characters = alphabet.characters[numbers]
    means = np.add.reduceat(confidences, starts) / (stops - starts)
    words = tuple(
        Word("".join(characters[start:stop]), box, float(mean), bool(spaced[start]) or not start)
        for start, stop, box, mean in zip(starts, stops, boxes, means, strict=True)
    )
    slope = 0.0 if way.vertical else float(way.along[1] / way.along[0])
    # The box of a bent line is that of a straight one: what bends alike is not to overlap.
    return Line(words, Box.around(flat), way.vertical, slope)


_LONGEST_BENT = 6


def _characters(
    cut: _Cut, parts: Sequence[Columns], least: float
) -> tuple[NDArray[np.int32], Floats, Floats]:
    """Numbers, confidences and centres (strip pixels) of the characters: repeats are one."""
    numbers, confidences, centres = [], [], []
    for part, columns in zip(cut.parts, parts, strict=True):
        width = part.stop - part.start
        best = columns.best
        starts = np.flatnonzero(np.diff(best, prepend=0) != 0)
        stops = np.append(starts[1:], len(best))
        # The network speaks up a little after a character's middle.
        middle = (starts + stops) / 2 * COLUMN - _LAG
        confidence = np.maximum.reduceat(columns.confidence, starts) if len(starts) else _NONE
        real = (best[starts] != 0) & (middle < width + COLUMN) & (confidence >= least)
        numbers.append(best[starts][real])
        confidences.append(confidence[real])
        centres.append(np.minimum(middle[real], width) + part.start)
    return np.concatenate(numbers), np.concatenate(confidences), np.concatenate(centres)


_NONE = np.empty(0, np.float32)


def _boxes(way: _Way, lefts: Floats, rights: Floats, page: Box, *, bent: bool) -> list[Box]:
    rights = np.maximum(rights, lefts + 1)
    off = np.zeros((len(lefts), 1), np.float32)
    if bent and way.bend is not None:
        off = bend_at(way.bend, (lefts + rights) / 2 / way.length)[:, None]
    shift = off * (way.down / np.linalg.norm(way.down))
    corners = np.stack(
        [
            way.origin + x[:, None] * way.along + y * way.down + shift
            for x in (lefts, rights)
            for y in (0, _HEIGHT)
        ]
    )
    low = np.maximum(corners.min(axis=0), 0)
    high = np.minimum(corners.max(axis=0), (page.right, page.bottom))
    return [Box(*sides) for sides in np.concatenate([np.minimum(low, high), high], axis=1).tolist()]

"""Reads pieces of text: cuts them out of the page and turns network columns into words."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from app.document import Box, Line, Word, is_unspaced
from app.engines.ppocr_detect import Floats
from app.interfaces import Image


@dataclass(frozen=True, slots=True)
class Columns:
    """What a network saw in each column of a strip, from left to right."""

    best: NDArray[np.int32]  # The number of the likeliest character; 0 is none.
    confidence: Floats


Reader = Callable[[Iterable[Image]], Sequence[Columns]]
"""From strips of shape (1, 48, width, 3) to their columns."""

LONGEST_STRIP = 2400  # Pixels; lines longer than this are read in parts.


class Alphabet:
    """The characters behind the numbers 1, 2, ... in ``Columns``, the space among them."""

    def __init__(self, characters: Sequence[str], least_confidence: float = 0.0) -> None:
        self.characters = np.array(["", *characters])
        self.spaces = np.array([not character.strip() for character in self.characters])
        self.unspaced = np.array([bool(c) and is_unspaced(c) for c in self.characters])
        self.least_confidence = least_confidence  # Characters below it are left out.


def read_text(image: Image, corners: Floats, reader: Reader, alphabet: Alphabet) -> list[Line]:
    """The lines at ``corners``, shape (n, 4, 2), as ``find_text`` gives them."""
    pieces = sorted(_pieces(corners), key=lambda piece: -piece.length)
    cuts: list[_Cut] = []
    columns = reader(_strips(image, pieces, cuts))
    height, width = image.shape[:2]
    best: dict[int, Line] = {}
    first = 0
    for piece, cut in zip(pieces, cuts, strict=True):
        parts = columns[first : first + len(cut.parts)]
        first += len(cut.parts)
        line = _line(piece, cut, parts, alphabet, Box(0, 0, width, height))
        if line and (
            piece.number not in best or _weight(line) > _weight(best[piece.number])
        ):
            best[piece.number] = line
    return [line for line in best.values() if line.confidence >= _LEAST_CONFIDENCE]


_HEIGHT = 48  # Of a strip, in pixels; what the network was trained on.
_LEAST_CONFIDENCE = 0.5
_UPRIGHT_LIMIT = 3.0  # A piece this much higher than wide is no single character any more.


@dataclass(frozen=True, slots=True)
class _Piece:
    """One way to read a piece of text: a rectangle with the direction in which it runs."""

    number: int  # Of the piece on the page; it may be read in several ways.
    origin: Floats  # The page's x and y of the strip's top left corner.
    along: Floats  # The page's step for one strip pixel to the right.
    down: Floats
    length: int  # Pixels of the strip.
    vertical: bool


@dataclass(frozen=True, slots=True)
class _Cut:
    """What is known of a strip when its pixels are gone."""

    parts: tuple[slice, ...]  # The columns of pixels that the network saw, one slice each time.
    gaps: NDArray[np.int64]  # Shape (n, 2): where runs of columns without ink start and stop.


def _pieces(corners: Floats) -> Iterator[_Piece]:
    for number, quad in enumerate(corners):
        width = math.dist(quad[0], quad[1])
        height = math.dist(quad[0], quad[3])
        if min(width, height) < 2:
            continue
        upright = height < 1.5 * width
        if upright or height < _UPRIGHT_LIMIT * width:
            yield _piece(number, quad, 0)
        if not upright:
            # From top to bottom, as Han and some spines run; and from bottom to top.
            yield _piece(number, quad, 1)
            yield _piece(number, quad, 3)


def _piece(number: int, quad: Floats, first: int) -> _Piece:
    """The strip whose top left corner is the corner ``first`` of ``quad``."""
    origin, right, bottom = quad[first], quad[(first + 1) % 4], quad[(first + 3) % 4]
    scale = _HEIGHT / math.dist(origin, bottom)
    length = max(1, round(math.dist(origin, right) * scale))
    return _Piece(
        number, origin, (right - origin) / length, (bottom - origin) / _HEIGHT, length, first > 0
    )


def _strips(image: Image, pieces: Sequence[_Piece], cuts: list[_Cut]) -> Iterator[Image]:
    for piece in pieces:
        strip = _straighten(image, piece)
        gaps = _gaps(strip)
        parts = tuple(_parts(piece.length, gaps))
        cuts.append(_Cut(parts, gaps))
        for part in parts:
            width = part.stop - part.start
            # Grey, the network's zero, fills up to one of few widths: each new one costs the
            # runtime tens of milliseconds.
            step = 32 if width <= 256 else 64 if width <= 768 else 160
            padded = np.full((1, _HEIGHT, math.ceil(width / step) * step, 3), 127, np.uint8)
            padded[0, :, :width] = strip[:, part]
            yield padded


def _straighten(image: Image, piece: _Piece) -> Image:
    size = (piece.length, _HEIGHT)
    shrink = float(np.linalg.norm(piece.down))
    if shrink > 1.0:  # Interpolation alone would skip pixels; area averaging comes second.
        size = (max(1, round(piece.length * shrink)), max(1, round(_HEIGHT * shrink)))
    across = piece.along * (piece.length / size[0])
    down = piece.down * (_HEIGHT / size[1])
    # Pixel centres are at halves on both sides.
    origin = piece.origin + (across + down) / 2 - 0.5
    matrix = np.stack([across, down, origin], axis=1)
    warped = cv2.warpAffine(
        image,
        matrix,
        size,
        flags=(cv2.INTER_LINEAR if shrink > 1.0 else cv2.INTER_CUBIC) | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if shrink > 1.0:
        warped = cv2.resize(warped, (piece.length, _HEIGHT), interpolation=cv2.INTER_AREA)
    return np.asarray(warped, np.uint8)


def _gaps(strip: Image) -> NDArray[np.int64]:
    """Runs of columns that look like the background, shape (n, 2)."""
    grey = strip[:, :, 1].astype(np.float32)
    ink = np.abs(grey - np.median(grey)).mean(axis=0)
    low, high = np.quantile(ink, (0.02, 0.95))
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


def _weight(line: Line) -> float:
    """How much there is to say for one way of reading a piece."""
    return line.confidence


def _line(
    piece: _Piece, cut: _Cut, parts: Sequence[Columns], alphabet: Alphabet, page: Box
) -> Line | None:
    numbers, confidences, centres = _characters(cut, parts, alphabet.least_confidence)
    spaces = alphabet.spaces[numbers]
    seen = np.flatnonzero(~spaces)
    if not len(seen):
        return None
    spaced = np.zeros(len(seen), bool)
    spaced[1:] = np.diff(seen) > 1
    numbers, confidences, centres = numbers[seen], confidences[seen], centres[seen]
    unspaced = alphabet.unspaced[numbers]
    edges = _edges(centres, cut.gaps, piece.length)
    spaced |= _lost_spaces(edges, unspaced)
    starts = np.flatnonzero(spaced | np.concatenate([[True], unspaced[1:] != unspaced[:-1]]))
    stops = np.append(starts[1:], len(seen))
    boxes = _boxes(piece, edges[starts, 1], edges[stops, 0], page)
    characters = alphabet.characters[numbers]
    means = np.add.reduceat(confidences, starts) / (stops - starts)
    words = tuple(
        Word("".join(characters[start:stop]), box, float(mean), bool(spaced[start]) or not start)
        for start, stop, box, mean in zip(starts, stops, boxes, means, strict=True)
    )
    return Line(words, Box.around(boxes), piece.vertical)


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
        # The padding follows the strip: eight pixels make a column.
        middle = (starts + stops) / 2 * 8
        confidence = np.maximum.reduceat(columns.confidence, starts) if len(starts) else _NONE
        real = (best[starts] != 0) & (middle < width + 8) & (confidence >= least)
        numbers.append(best[starts][real])
        confidences.append(confidence[real])
        centres.append(np.minimum(middle[real], width) + part.start)
    return np.concatenate(numbers), np.concatenate(confidences), np.concatenate(centres)


_NONE = np.empty(0, np.float32)


def _edges(centres: Floats, gaps: NDArray[np.int64], length: int) -> Floats:
    """For each place before, between and after characters, where its gap starts and stops."""
    middles = (centres[1:] + centres[:-1]) / 2
    half = float(np.median(np.diff(centres))) / 2 if len(centres) > 1 else length / 2
    first, last = max(0.0, centres[0] - half), min(float(length), centres[-1] + half)
    edges = np.repeat(np.concatenate([[first], middles, [last]]), 2).reshape(-1, 2)
    places = np.searchsorted(centres, gaps.mean(axis=1))
    # Of several gaps in one place, such as inside a split letter, the widest is written last.
    order = np.argsort(gaps[:, 1] - gaps[:, 0], kind="stable")
    edges[places[order]] = gaps[order]
    return edges


def _lost_spaces(edges: Floats, unspaced: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.zeros(len(unspaced), bool)


def _boxes(piece: _Piece, lefts: Floats, rights: Floats, page: Box) -> list[Box]:
    rights = np.maximum(rights, lefts + 1)
    corners = np.stack(
        [
            piece.origin + x[:, None] * piece.along + y * piece.down
            for x in (lefts, rights)
            for y in (0, _HEIGHT)
        ]
    )
    low = np.maximum(corners.min(axis=0), 0)
    high = np.minimum(corners.max(axis=0), (page.right, page.bottom))
    return [Box(*sides) for sides in np.concatenate([np.minimum(low, high), high], axis=1).tolist()]

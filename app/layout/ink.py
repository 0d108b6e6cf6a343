"""The ink of lines: which pixels it is, and how high it stands."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from app.document import Box, Line, is_unspaced

Image = NDArray[np.uint8]


class Ink(NamedTuple):
    """What is seen in a box of a page."""

    part: Image  # Shape (height, width, 3).
    grey: Image
    ink: Image  # 1 where there is ink, 0 on paper.
    level: int  # Of grey, between ink and paper.
    light: bool  # Whether the ink is lighter than the paper.


def ink_in(box: Box, image: Image) -> Ink | None:
    """The ink in ``box`` of ``image``, shape (height, width, 3); None if there is none."""
    left, top = max(0, int(box.left)), max(0, int(box.top))
    right = min(int(np.ceil(box.right)), image.shape[1])
    bottom = min(int(np.ceil(box.bottom)), image.shape[0])
    if right - left < 3 or bottom - top < 3:
        return None
    part = image[top:bottom, left:right]
    grey = np.asarray(cv2.cvtColor(part, cv2.COLOR_RGB2GRAY), np.uint8)
    level, mask = cv2.threshold(grey, 0, 1, cv2.THRESH_BINARY_INV + cv2.THRESH_OTSU)
    ink = np.asarray(mask, np.uint8)
    full = cv2.countNonZero(ink)
    light = 2 * full > int(ink.size)
    if light:  # Light letters on a dark ground.
        ink = np.asarray(1 - ink, np.uint8)
        full = int(ink.size) - full
    return Ink(part, grey, ink, int(level), light) if full >= _LEAST else None


_LEAST = 8  # Pixels that are a letter.


def band_of(ink: Image, fall: float) -> tuple[int, int] | None:
    """From where to where the rows of a line's ink stand; ``fall`` is how far the line falls.

    In a box of the line's whole width; the rows are those of its middle. None without ink.
    """
    height, width = int(ink.shape[0]), int(ink.shape[1])
    if abs(fall) > 1:
        lean = np.array([[1, 0, 0], [fall / width, 1, -fall / 2]], np.float32)
        way = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
        ink = np.asarray(cv2.warpAffine(ink, lean, (width, height), flags=way), np.uint8)
    filled = np.asarray(cv2.reduce(ink, 1, cv2.REDUCE_SUM, dtype=cv2.CV_32S)[:, 0], np.int64)
    filled[filled > 0.9 * width] = 0  # A rule, not a letter.
    there = np.flatnonzero(filled > max(1.0, 0.01 * float(filled.max())))
    if not len(there):
        return None
    # The lines above and below may reach into the box.
    ends = np.flatnonzero(there[1:] - there[:-1] > max(2, 0.06 * height)) + 1
    runs = [(int(run[0]), int(run[-1]) + 1) for run in np.split(there, ends)]
    at = max(range(len(runs)), key=lambda n: int(filled[slice(*runs[n])].sum()))
    first = last = at
    # Some characters are strokes apart from each other, but not at the edge of the box.
    while first and runs[first - 1][0] > 0 and runs[first][0] - runs[first - 1][1] < _GAP * height:
        first -= 1
    while (
        last + 1 < len(runs)
        and runs[last + 1][1] < height
        and runs[last + 1][0] - runs[last][1] < _GAP * height
    ):
        last += 1
    return runs[first][0], runs[last][1]


_GAP = 0.25  # Of the box's height, between strokes of one character, as in 三.


def tightened(line: Line, image: Image) -> Line:
    """The line, if it is a level one, with boxes as high as its ink on ``image``."""
    box = line.box
    found = None if line.vertical else ink_in(box, image)
    if found is None:
        return line
    fall = line.slope * box.width
    band = band_of(found.ink, fall)
    if band is None or band[1] - band[0] < _LEAST_SHARE * (box.height - abs(fall)):
        return line
    top = float(max(0, int(box.top)) + band[0])
    high, middle = float(band[1] - band[0]), (box.left + box.right) / 2
    if not any(map(is_unspaced, line.text)):
        # Few letters reach as high or deep as the line; boxes are to fit most words.
        above = _HIGH * high if any(map(str.islower, line.text)) else 0.0
        below = _DEEP * high if not _DESCENDING.isdisjoint(line.text) else 0.0
        top, high = top + above, high - above - below
    words = []
    for word in line.words:
        begin = top + line.slope * ((word.box.left + word.box.right) / 2 - middle)
        words.append(word._replace(box=word.box._replace(top=begin, bottom=begin + high)))
    return replace(line, words=tuple(words), box=Box.around(word.box for word in words))


_HIGH, _DEEP = 0.06, 0.1
_DESCENDING = frozenset("gjpqyQ")
_LEAST_SHARE = 0.25  # Of the box that ink fills; less is a dash, or not what was read.

"""Which way up a page is: a network's guess by its looks, confirmed by reading a few lines."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from app.engines.pieces import Floats, Pieces
from app.interfaces import Image

Sample = Callable[[Pieces, int], tuple[float, float]]
"""Reads pieces of text from their corner of a number (0 to 3) on, as ``first`` of a strip.

Gives the mean confidence, and the share of letters of scripts that are not written downwards.
"""


def upright(
    image: Image,
    guess: Callable[[Image], Floats],
    find: Callable[[], Pieces],
    sample: Sample | None,
) -> int:
    """How many quarter turns to the left set ``image`` upright, 0 to 3.

    ``find`` says where the text is; it is called only where the guess needs confirmation.
    ``sample`` is None where the page's language cannot be read.
    """
    height, width = image.shape[:2]
    if min(height, width) < _LEAST_SIDE or max(height, width) > _LONGEST * min(height, width):
        return 0
    chances = guess(_middle(image))
    turns = int(chances.argmax())
    sure = bool(chances[turns] >= _SURE)
    if (sure and turns == 0) or sample is None:
        return turns if sure else 0
    pieces = find()
    if not len(pieces):
        return 0
    wide, tall = _longest(pieces)
    if sure and (turns == 2) == (len(wide) >= len(tall)):
        return turns if _reads_better(sample, wide if turns == 2 else tall, turns) else 0
    if len(wide) >= len(tall):
        return 2 if _reads_better(sample, wide, 2) else 0
    ways = {turns: sample(tall, turns) for turns in (1, 3)}
    best = max(ways, key=lambda turns: ways[turns][0])
    confidence, letters = ways[best]
    # Columns of Han characters are read as lines that lie on their side: only letters tell.
    return best if confidence >= _LEGIBLE and letters > 0.5 else 0


_LEAST_SIDE = 48
_LONGEST = 6  # Times the shorter side; more is a cut-out line or a long strip, not a page.
_SURE = 0.8  # The network was trained to be at most about 0.93 sure.
_LEGIBLE = 0.8
_BETTER = 0.05
_SAMPLES = 6
_TALL = 1.5


def _middle(image: Image) -> Image:
    """The middle of the picture, 224 pixels square, its shorter side 256 pixels long."""
    height, width = image.shape[:2]
    step = max(1, min(height, width) // 1024)  # Every nth pixel first: averaging all takes longer.
    if step > 1:
        fewer = (-(-width // step), -(-height // step))
        image = np.asarray(cv2.resize(image, fewer, interpolation=cv2.INTER_NEAREST), np.uint8)
        height, width = image.shape[:2]
    scale = 256 / min(height, width)
    size = (max(224, round(width * scale)), max(224, round(height * scale)))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    small = np.asarray(cv2.resize(image, size, interpolation=way), np.uint8)
    top, left = (small.shape[0] - 224) // 2, (small.shape[1] - 224) // 2
    return np.ascontiguousarray(small[top : top + 224, left : left + 224])


def _longest(pieces: Pieces) -> tuple[Pieces, Pieces]:
    """The longest pieces that are wide and tall; in all as many as are sampled."""
    order: NDArray[np.int64] = np.argsort(-np.maximum(pieces.widths, pieces.heights))[:_SAMPLES]
    tall = pieces.heights[order] > _TALL * pieces.widths[order]
    return pieces[order[~tall]], pieces[order[tall]]


def _reads_better(sample: Sample, pieces: Pieces, turns: int) -> bool:
    return sample(pieces, turns)[0] > sample(pieces, 0)[0] + _BETTER

"""Full-width and half-width marks: a network takes one for the other, the room they take tells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.engines.pieces import Floats

Numbers = NDArray[np.int32]

FULL_WIDTH = 0xFEE0
"""From the code of a mark in ASCII to that of its full-width form."""


def by_width(
    numbers: Numbers,
    centres: Floats,
    spaced: NDArray[np.bool_],
    han: NDArray[np.bool_],
    forms: tuple[Numbers, Numbers],
) -> Numbers:
    """The characters of a line, with marks between two Han characters as wide as their room.

    Where a full-width mark stands, the two are twice a Han character's step apart; where a
    half-width one stands, about one and a half times, unless a space stands there, too.
    ``forms`` are the full-width and the half-width form of each character; 0 where there is none.
    """
    steps = np.diff(centres)
    between = han[1:] & han[:-1]
    if between.sum() < _FEW_HAN:
        return numbers
    enclosed = han[:-2] & han[2:] & ~spaced[1:-1] & ~spaced[2:]
    room = (centres[2:] - centres[:-2]) / np.median(steps[between])
    full, half = (form[numbers[1:-1]] for form in forms)
    other = np.where(room >= _FULL, full, np.where(room <= _HALF, half, 0))
    set_right = numbers.copy()
    set_right[1:-1] = np.where(enclosed & (other > 0), other, numbers[1:-1])
    return set_right


# Of 1274 full-width marks on drawn pages 98 % had at least 1.8 steps of room; of 55 half-width ones
# half had less than 1.75, those with a space beside them included. Where the network does not see
# such a space, the mark is taken for a full-width one.
_FULL, _HALF = 1.8, 1.6
_FEW_HAN = 4

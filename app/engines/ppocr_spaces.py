"""Where words end: what the gaps of a line say of spaces, beside what a network read."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from app.engines.pieces import Floats


def edges_of(centres: Floats, gaps: NDArray[np.int64], length: int) -> Floats:
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


def settle(edges: Floats, spaced: NDArray[np.bool_]) -> None:
    """Gives a space that has no gap of its own the one beside the next character.

    The network at times speaks up for a character, most often an L, before its ink begins.
    """
    widths = edges[:, 1] - edges[:, 0]
    for place in np.flatnonzero(spaced & (widths[:-1] < _NARROW)).tolist():
        for other in (place + 1, place - 1):
            if 0 < other < len(spaced) and not spaced[other] and widths[other] >= 2 * _NARROW:
                edges[place] = edges[other]
                break


def lost_spaces(
    edges: Floats, kinds: NDArray[np.int8], spaced: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Where a space stands between neighbours though the network saw none.

    That is rare, one in a thousand, and so must false alarms be: only a gap counts that is as
    wide as the line's other spaces and four times what is usual between its letters. Next to a
    space it is that space's.
    """
    gaps = (edges[:, 1] - edges[:, 0])[1:-1]
    left, right = kinds[:-1], kinds[1:]
    # Between digits stand wide gaps: next to a 1, in columns of figures.
    letters = (left > 0) & (right > 0) & ((left == _LETTER) | (right == _LETTER))
    usual = float(np.median(gaps[letters & ~spaced])) if (letters & ~spaced).any() else 0.0
    if usual < 1:  # Letters that touch, or a background too unsteady to see gaps.
        return np.zeros(len(gaps), bool)
    others = gaps[letters & spaced]
    least = 0.85 * float(np.median(others)) if len(others) else max(16.0, 5 * usual)
    beside = np.pad(spaced, 1)
    near = beside[:-2] | spaced | beside[2:]
    return np.asarray(letters & ~near & (gaps >= max(12.0, 4 * usual, least)))


def spaces_beside_han(
    centres: Floats, edges: Floats, kinds: NDArray[np.int8], han: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Where a space stands between a Han character or kana and letters or digits beside it.

    The network misses half of them, but they are plain to see: in 325 such places of drawn pages,
    gaps with a space were 0.32 times as wide as a Han character's step and wider, others at most
    0.2 times. Full-width forms, which the network often takes for usual letters, stand apart
    without a space; a single one cannot be told from a usual letter, and is left as it is.
    """
    gaps, steps = (edges[:, 1] - edges[:, 0])[1:-1], np.diff(centres)
    between = han[1:] & han[:-1]
    enough = between.sum() >= _FEW_HAN
    step = float(np.median(steps[between])) if enough else _HAN_STEP
    usual = float(np.median(gaps[between])) if enough else 0.1 * step
    usual_width = np.zeros(len(kinds), bool)
    runs = np.flatnonzero(np.diff(kinds > 0, prepend=False, append=False)).reshape(-1, 2)
    for start, stop in runs.tolist():
        inner = steps[start : stop - 1]
        usual_width[start:stop] = len(inner) > 0 and np.median(inner) < 0.8 * step
    borders = (han[1:] & usual_width[:-1]) | (han[:-1] & usual_width[1:])
    return np.asarray(borders & (gaps - usual > 0.15 * step))


_NARROW = 6  # Pixels; 95 % of the gaps between letters of one word are narrower.
_HAN_STEP = 36.0  # Pixels from one Han character to the next, where a line has too
_FEW_HAN = 3  # few neighbours to tell.
_LETTER = 2  # In ``Alphabet.kinds``: 1 is a digit, 0 anything else.

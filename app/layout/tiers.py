"""Reading order of text in tiers, as in newspapers whose lines run downwards.

All in the frame, in which vertical lines run to the right and follow each other downwards:
tiers are columns there, but unlike columns they are crossed by headings and change their width.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.document import Box
from app.layout.frame import Item

MOST_ITEMS = 3000  # Of which blocks are made; a newspaper has some hundred.
_MOST_BLOCKS = 500
_NEXT = 60  # Items, from the top, among which the one below is looked for.

# In heights of a line.
_NEAR = 0.9  # Between lines of one block.
_ALIKE = 1.35  # Heights of lines in one block.
_SLACK = 0.3
_SHARED = 0.6  # Of the shorter line's length, that two lines of a block have below each other.


def tiers(items: Sequence[Item]) -> list[list[Item]] | None:
    """The items as blocks of lines, in order; None if there are too many to tell.

    Blocks are ordered by T. M. Breuel, "High performance document layout analysis" (2003): what
    stands above comes first; what stands to the left as well, unless something that is as wide
    as both stands between them.
    """
    if len(items) > MOST_ITEMS:
        return None
    blocks = _blocks(sorted(items, key=lambda item: item.box.top + item.box.bottom))
    if len(blocks) > _MOST_BLOCKS:
        return None
    size = float(np.median([item.box.height for item in items])) if items else 0.0
    boxes = [Box.around(item.box for item in block) for block in blocks]
    return [blocks[n] for n in _order(boxes, _SLACK * size)]


def _blocks(items: Sequence[Item]) -> list[list[Item]]:
    """Items, from the top, as runs of lines each of which has one line below it, and no other."""
    below: list[int | None] = [None] * len(items)
    above = [0] * len(items)
    for n, item in enumerate(items):
        gaps = {
            m: items[m].box.top - item.box.bottom
            for m in range(n + 1, min(len(items), n + _NEXT))
            if _touch(item.box, items[m].box)
        }
        nearest = min(gaps.values(), default=0.0)
        close = [m for m, gap in gaps.items() if gap < nearest + _SLACK * item.box.height]
        for m in close:
            above[m] += 1
        if len(close) == 1 and _are_lines(item.box, items[close[0]].box):
            below[n] = close[0]
    blocks: list[list[Item]] = []
    taken = [False] * len(items)
    for n in range(len(items)):
        if taken[n]:
            continue
        block: list[Item] = []
        at: int | None = n
        while at is not None and not taken[at]:
            taken[at] = True
            block.append(items[at])
            following = below[at]
            at = following if following is not None and above[following] == 1 else None
        blocks.append(block)
    return blocks


def _touch(upper: Box, lower: Box) -> bool:
    """Whether two lines stand close below each other."""
    low = min(upper.height, lower.height)
    shared = min(upper.right, lower.right) - max(upper.left, lower.left)
    return (
        lower.top - upper.bottom < _NEAR * low
        and lower.top + lower.bottom > upper.top + upper.bottom + low
        and shared > _SLACK * low
    )


def _are_lines(upper: Box, lower: Box) -> bool:
    """Whether two such lines are of one text."""
    low, high = sorted((upper.height, lower.height))
    shared = min(upper.right, lower.right) - max(upper.left, lower.left)
    return high < _ALIKE * low and shared > _SHARED * min(upper.width, lower.width)


def _order(boxes: Sequence[Box], slack: float) -> list[int]:
    """The boxes' numbers in reading order."""
    before = _before(boxes, slack)
    waiting_for = before.sum(axis=0)
    left = set(range(len(boxes)))
    order: list[int] = []
    while left:
        ready = [n for n in left if waiting_for[n] == 0]
        if not ready:  # Boxes that overlap may wait for each other.
            ready = [min(left, key=lambda n: (waiting_for[n], boxes[n].top))]
        below = [n for n in ready if order and _is_below(boxes[n], boxes[order[-1]], slack)]
        chosen = min(below or ready, key=lambda n: (boxes[n].top, boxes[n].left))
        order.append(chosen)
        left.remove(chosen)
        waiting_for -= before[chosen]
    return order


def _is_below(box: Box, other: Box, slack: float) -> bool:
    shared = min(box.right, other.right) - max(box.left, other.left)
    return shared > slack and box.top >= other.bottom - slack


def _before(boxes: Sequence[Box], slack: float) -> NDArray[np.int_]:
    """Which box has to be read before which, shape (n, n)."""
    left, top, right, bottom = (
        np.array([(box.left, box.top, box.right, box.bottom) for box in boxes]).reshape(-1, 4).T
    )
    shared = np.minimum(right[:, None], right) - np.maximum(left[:, None], left)
    beneath = shared > slack
    before = beneath & ((top + bottom)[:, None] < top + bottom)
    aside = ~beneath & (right[:, None] <= left + slack)
    for n in range(len(boxes)):
        # What is below one of the two and above the other, as wide as to touch both.
        first_end = np.minimum(bottom[n], bottom) - slack
        second_start = np.maximum(top[n], top) + slack
        between = (
            beneath[:, n, None]
            & beneath
            & (top[:, None] >= first_end)
            & (bottom[:, None] <= second_start)
        ).any(axis=0)
        before[n] |= aside[n] & ~between
    np.fill_diagonal(before, False)
    found: NDArray[np.int_] = before.astype(np.int_)
    return found

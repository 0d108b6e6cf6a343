"""What has no characters, such as much of a formula, is shown as it looks."""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.document import Block, Box, Kind, Line, Paragraph, Picture
from app.layout.pictures import Image, cut_out

REPLACEMENT = "\ufffd"


def has_formulas(lines: Sequence[Line]) -> bool:
    """Whether there are signs that nobody knows."""
    return any(REPLACEMENT in line.text for line in lines)


def with_formulas(blocks: Sequence[Block], image: Image, scale: float) -> list[Block]:
    """The blocks, short ones with signs that nobody knows as pictures of the page's ``image``.

    What stands beside them, such as a numerator, goes with them; ``scale`` is pixels of the page
    to one of the image. Their text is kept in the picture.
    """
    found: list[Block] = []
    start = 0
    while start < len(blocks):
        end = _end(blocks, start)
        group = [block for block in blocks[start:end] if isinstance(block, Paragraph)]
        if _may_be_part(blocks[start]) and any(REPLACEMENT in each.text for each in group):
            found.append(_picture(group, image, scale))
        else:
            found += blocks[start:end]
        start = end
    return found


def _end(blocks: Sequence[Block], start: int) -> int:
    """Behind the blocks from ``start`` on that stand beside each other as parts of a formula do."""
    end, first = start + 1, blocks[start]
    if not _may_be_part(first):
        return end
    box = first.box
    while end < len(blocks) and _may_be_part(blocks[end]) and _is_beside(box, blocks[end].box):
        box = Box.around((box, blocks[end].box))
        end += 1
    return end


def _may_be_part(block: Block) -> bool:
    return (
        isinstance(block, Paragraph)
        and len(block.lines) <= _MOST_LINES
        and block.kind in (Kind.TEXT, Kind.HEADING)
        and len(_WORDS.findall(block.text)) <= _MOST_WORDS
    )


_MOST_LINES = 2
_MOST_WORDS = 3  # In a formula, or a part of one; a text with more is a text with a formula in it.
_WORDS = re.compile(r"[^\W\d_]{3,}")
_ROOM = 0.15  # Around a formula, in heights of its lines.
_NEAR = 2.0  # Heights of a line between parts of a formula.


def _is_beside(box: Box, other: Box) -> bool:
    size = min(box.height, other.height)
    common = min(box.bottom, other.bottom) - max(box.top, other.top)
    apart = max(box.left, other.left) - min(box.right, other.right)
    return common > size / 2 and apart < _NEAR * size


def _picture(group: Sequence[Paragraph], image: Image, scale: float) -> Picture:
    box = Box.around(paragraph.box for paragraph in group)
    room = _ROOM * max(line.box.height for paragraph in group for line in paragraph.lines)
    box = Box(box.left - room, box.top - room, box.right + room, box.bottom + room)
    place = Box(*(side / scale for side in (box.left, box.top, box.right, box.bottom)))
    return Picture(box, cut_out(image, place), tuple(group), group[0].column)

"""Room on the page: other fonts run wider, so text may have to be set a little smaller."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.document import Block, Box, Line, Page, Paragraph, Picture, Table, with_lines
from app.writers.docx_sections import Margins, floats, is_vertical, rows, size_of, stretches
from app.writers.docx_text import line_points, points
from app.writers.fonts import width_in_ems
from app.writers.grid import sides
from app.writers.text_limits import storable


def fitted(page: Page, margins: Margins) -> Page:
    """The ``page``, its text smaller and its lines closer where it would not fit on one of Word's.

    By a fifth at most; what is longer even then goes on on the next page.
    """
    page = replace(page, blocks=tuple(map(_with_narrow_cells, page.blocks)))
    width, height = size_of(page)
    room = _Room(width - margins.left - margins.right, height - margins.top - margins.bottom)
    if is_vertical(page):
        return _fitted_across(page, room)
    best = page
    for size in _SIZES:
        for closer in _DISTANCES:
            best = _scaled(page, size, closer)
            if _height(best, room) <= _SAFE * room.height:
                return best
    return best


_SIZES = (1.0, 0.96, 0.92, 0.88, 0.84, 0.8)
_SMALLER_SIZES = (0.75, 0.7, 0.65, 0.6)  # Where lines run downwards: small ones stand between.
_DISTANCES = (1.0, 0.93, 0.86, 0.8)
_SAFE = 0.98  # Of the room: programs differ in how they round.
_WIDER = 1.03  # Lines end ragged: a word that moves to the next line leaves a gap.


@dataclass(frozen=True, slots=True)
class _Room:
    """What the margins leave, in points."""

    width: float
    height: float


def _fitted_across(page: Page, room: _Room) -> Page:
    """The ``page``, whose lines run downwards, with its text smaller where it would not fit."""
    best = page
    for size in (*_SIZES, *_SMALLER_SIZES):
        blocks = tuple(_narrower(block, size) for block in page.blocks)
        best = replace(page, blocks=blocks)
        across = sum(
            _lines(replace(block, column=None), best, room.height) * line_points(block, best)
            if isinstance(block, Paragraph)
            else block.box.width * 72 / page.dpi
            for block in blocks
        )
        if across <= _SAFE * room.width:
            return best
    return best


def _narrower(block: Block, size: float) -> Block:
    """The block with text ``size`` times as large, and lines as much closer."""

    def narrowed(line: Line) -> Line:
        box = replace(line.box, left=line.box.left * size, right=line.box.right * size)
        style = None if line.style is None else replace(line.style, size=line.style.size * size)
        return replace(line, box=box, style=style)

    return with_lines(block, narrowed)


def _height(page: Page, room: _Room) -> float:
    """About how high the page's blocks are in Word, in points."""
    scale, total = 72 / page.dpi, 0.0
    bottom: float | None = None
    for stretch in stretches(page.blocks):
        boxes = stretch.boxes
        alone = len(boxes) == 1
        inside = sum(box.width for box in boxes)
        heights = []
        for column, box in zip(stretch.columns, boxes, strict=True):
            width = room.width if alone else room.width * box.width / max(1.0, inside) * 0.97
            heights.append(_run_height(column, page, width, bottom))
        total += max(heights)
        bottom = max(box.bottom for box in boxes) * scale
    return total


def _run_height(blocks: Sequence[Block], page: Page, width: float, bottom: float | None) -> float:
    scale, total = 72 / page.dpi, 0.0
    for row in rows(blocks):
        block = row[0]
        if bottom is not None:
            total += max(0.0, block.box.top * scale - bottom) * 0.9
        if len(row) > 1:
            last = replace(row[-1], column=None)
            start = (last.box.left - min(each.box.left for each in row)) * scale
            count = _lines(last, page, max(width - start, width / 8))
            total += count * max(line_points(each, page) for each in row)
        elif isinstance(block, Paragraph):
            if any(line.vertical for line in block.lines) or not storable(block.text):
                continue
            total += _lines(block, page, width) * line_points(block, page)
        elif isinstance(block, Picture):
            if floats(block, page):
                continue
            across = block.box.width * scale
            total += block.box.height * scale * min(1.0, width / max(1.0, across))
        else:
            total += _table_height(block, page)
        bottom = block.box.bottom * scale
    return total


def _lines(paragraph: Paragraph, page: Page, width: float) -> int:
    """How many lines the paragraph takes."""
    style = paragraph.style
    family = (style.family if style is not None else None) or "serif"
    across = width_in_ems(storable(paragraph.text), family) * (points(paragraph, page) or 0.0)
    if paragraph.column is not None:
        lefts = [line.box.left for line in paragraph.lines]
        indent = (min(lefts) - paragraph.column.left) * 72 / page.dpi
        width -= max(0.0, min(indent, width / 2))
    there = len(paragraph.lines)
    needed = max(1, math.ceil(across * (_WIDER if there > 1 else 1.0) / max(width, 1.0)))
    # Where lines may not begin or end with some marks, it takes as many as it took.
    return there if needed == there - 1 else needed


def _table_height(table: Table, page: Page) -> float:
    scale = 72 / page.dpi
    widths, heights = sides(table)
    steps = [height * scale for height in heights]
    for cell in table.cells:
        width = sum(widths[cell.column : cell.column + cell.column_span]) * scale - 4
        needed = sum(
            _lines(replace(part, column=None), page, width) * line_points(part, page)
            for part in cell.paragraphs
        )
        if cell.row_span == 1:
            steps[cell.row] = max(steps[cell.row], needed)
    return sum(steps) + 3


def _with_narrow_cells(block: Block) -> Block:
    """A table's text smaller where most of its single lines would not fit their cells."""
    if not isinstance(block, Table):
        return block
    widths = sides(block)[0]
    needed = sorted(
        _across(part) / max(1.0, sum(widths[cell.column : cell.column + cell.column_span]) - 5)
        for cell in block.cells
        for part in cell.paragraphs
        if len(part.lines) == 1
    )
    if not needed:
        return block
    widest = needed[int(0.99 * (len(needed) - 1))]
    return _scaled_block(block, max(_SIZES[-1], 1 / widest), 1.0) if widest > 1 else block


def _across(paragraph: Paragraph) -> float:
    """How wide the paragraph is on one line, in pixels."""
    style = paragraph.style
    if style is None:
        return 0.0
    return width_in_ems(storable(paragraph.text), style.family or "serif") * style.size


def _scaled(page: Page, size: float, closer: float) -> Page:
    """The page with text ``size`` times as large, and all heights ``closer``."""
    if size == closer == 1.0:
        return page
    blocks = tuple(_scaled_block(block, size, closer) for block in page.blocks)
    return replace(page, blocks=blocks)


def _scaled_block(block: Block, size: float, closer: float) -> Block:
    if isinstance(block, Paragraph):
        return _scaled_paragraph(block, size, closer)
    if isinstance(block, Picture):
        box = _lower(block.box, closer)
        less = box.width * (1 - closer) / 2
        return replace(block, box=replace(box, left=box.left + less, right=box.right - less))
    cells = tuple(
        replace(
            cell,
            box=_lower(cell.box, closer),
            paragraphs=tuple(_scaled_paragraph(each, size, closer) for each in cell.paragraphs),
        )
        for cell in block.cells
    )
    return replace(block, cells=cells, box=_lower(block.box, closer))


def _scaled_paragraph(paragraph: Paragraph, size: float, closer: float) -> Paragraph:
    lines = tuple(
        replace(
            line,
            box=_lower(line.box, closer),
            style=None if line.style is None else replace(line.style, size=line.style.size * size),
        )
        for line in paragraph.lines
    )
    return replace(paragraph, lines=lines, box=_lower(paragraph.box, closer))


def _lower(box: Box, closer: float) -> Box:
    return replace(box, top=box.top * closer, bottom=box.bottom * closer)

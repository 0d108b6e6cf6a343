"""Room on the page: other fonts run wider, so text may have to be set a little smaller."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product

from app.document import Block, Box, Line, Page, Paragraph, Picture, Table, with_lines
from app.writers.docx_sections import Margins, floats, is_vertical, rows, size_of, stretches
from app.writers.docx_text import Setting, setting_of
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
    high = _page_height(page, room)
    tries = list(product(_SIZES, _DISTANCES))
    fitting = (each for each in tries if high(*each) <= _SAFE * room.height)
    return _scaled(page, *next(fitting, tries[-1]))


_SIZES = (1.0, 0.96, 0.92, 0.88, 0.84, 0.8)
_SMALLER_SIZES = (0.75, 0.7, 0.65, 0.6)  # Where lines run downwards: small ones stand between.
_DISTANCES = (1.0, 0.93, 0.86, 0.8)
_SAFE = 0.98  # Of the room: programs differ in how they round.
_WIDER = 1.03  # Lines end ragged: a word that moves to the next line leaves a gap.


_Height = Callable[[float, float], float]
"""In points: with text so many times as large, and all heights so many times as high."""


@dataclass(frozen=True, slots=True)
class _Room:
    """What the margins leave, in points."""

    width: float
    height: float


@dataclass(frozen=True, slots=True)
class _Text:
    """What a paragraph's height follows from."""

    setting: Setting
    ems: float  # How wide it is on one line.
    lines: int  # So many it has on the page.

    @classmethod
    def of(cls, paragraph: Paragraph, page: Page) -> _Text:
        """That of the paragraph."""
        style = paragraph.style
        ems = width_in_ems(storable(paragraph.text), (style and style.family) or "serif")
        return cls(setting_of(paragraph, page), ems, len(paragraph.lines))

    def lines_in(self, width: float, points: float | None) -> int:
        """How many lines it takes, with a font of so many ``points``."""
        across = self.ems * (points or 0.0) * (_WIDER if self.lines > 1 else 1.0)
        needed = max(1, math.ceil(across / max(width, 1.0)))
        # Where lines may not begin or end with some marks, it takes as many as it took.
        return self.lines if needed == self.lines - 1 else needed

    def height_in(self, width: float, size: float, across: float, down: float) -> float:
        """How high its lines are together, scaled as ``Setting.scaled`` does."""
        setting = self.setting.scaled(size, across, down)
        return self.lines_in(width, setting.points) * setting.line_points


def _fitted_across(page: Page, room: _Room) -> Page:
    """The ``page``, whose lines run downwards, with its text smaller where it would not fit."""
    texts = [_Text.of(block, page) for block in page.blocks if isinstance(block, Paragraph)]
    others = [block.box.width for block in page.blocks if not isinstance(block, Paragraph)]
    free = _SAFE * room.width - sum(others) * 72 / page.dpi
    sizes = (*_SIZES, *_SMALLER_SIZES)
    fitting = (
        size
        for size in sizes
        if sum(text.height_in(room.height, size, size, 1.0) for text in texts) <= free
    )
    best = next(fitting, sizes[-1])
    return replace(page, blocks=tuple(_narrower(block, best) for block in page.blocks))


def _narrower(block: Block, size: float) -> Block:
    """The block with text ``size`` times as large, and lines as much closer."""

    def narrowed(line: Line) -> Line:
        box = line.box._replace(left=line.box.left * size, right=line.box.right * size)
        style = None if line.style is None else replace(line.style, size=line.style.size * size)
        return replace(line, box=box, style=style)

    return with_lines(block, narrowed)


def _page_height(page: Page, room: _Room) -> _Height:
    """About how high the page's blocks are in Word."""
    found: list[list[_Height]] = []
    bottom: float | None = None
    for stretch in stretches(page.blocks):
        boxes = stretch.boxes
        inside = sum(box.width for box in boxes)
        columns = []
        for column, box in zip(stretch.columns, boxes, strict=True):
            share = box.width / max(1.0, inside) * 0.97 if len(boxes) > 1 else 1.0
            columns.append(_run_height(column, page, room.width * share, bottom))
        found.append(columns)
        bottom = max(box.bottom for box in boxes)
    return lambda size, closer: sum(
        max(column(size, closer) for column in columns) for columns in found
    )


def _run_height(blocks: Sequence[Block], page: Page, width: float, bottom: float | None) -> _Height:
    """That of blocks below each other, and below ``bottom`` on the page."""
    gaps = 0.0
    heights: list[_Height] = []
    for row in rows(blocks):
        block = row[0]
        if bottom is not None:
            gaps += max(0.0, block.box.top - bottom) * 0.9 * 72 / page.dpi
        if isinstance(block, Paragraph):
            if any(line.vertical for line in block.lines) or not storable(block.text):
                continue
            heights.append(_row_height(row, page, width))
        elif isinstance(block, Table):
            heights.append(_table_height(block, page))
        elif floats(block, page):
            continue
        else:
            heights.append(_picture_height(block, page, width))
        bottom = block.box.bottom
    return lambda size, closer: gaps * closer + sum(height(size, closer) for height in heights)


def _row_height(row: Sequence[Paragraph], page: Page, width: float) -> _Height:
    """That of a paragraph, or of single lines side by side, the last of which may go on."""
    scale, last = 72 / page.dpi, row[-1]
    if len(row) > 1:
        start = (last.box.left - min(each.box.left for each in row)) * scale
        width = max(width - start, width / 8)
    elif last.column is not None:
        indent = (min(line.box.left for line in last.lines) - last.column.left) * scale
        width -= max(0.0, min(indent, width / 2))
    texts = [_Text.of(each, page) for each in row]

    def height(size: float, closer: float) -> float:
        settings = [text.setting.scaled(size, 1.0, closer) for text in texts]
        lines = texts[-1].lines_in(width, settings[-1].points)
        return lines * max(setting.line_points for setting in settings)

    return height


def _picture_height(picture: Picture, page: Page, width: float) -> _Height:
    wide, high = (side * 72 / page.dpi for side in (picture.box.width, picture.box.height))
    return lambda _, closer: high * closer * min(1.0, width / max(1.0, wide * closer))


def _table_height(table: Table, page: Page) -> _Height:
    scale = 72 / page.dpi
    widths, heights = sides(table)
    cells = [
        (
            cell.row,
            sum(widths[cell.column : cell.column + cell.column_span]) * scale - 4,
            [_Text.of(part, page) for part in cell.paragraphs],
        )
        for cell in table.cells
        if cell.row_span == 1
    ]

    def height(size: float, closer: float) -> float:
        steps = [height * scale * closer for height in heights]
        for row, width, texts in cells:
            needed = sum(text.height_in(width, size, 1.0, closer) for text in texts)
            steps[row] = max(steps[row], needed)
        return sum(steps) + 3

    return height


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
        return replace(block, box=box._replace(left=box.left + less, right=box.right - less))
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
    return box._replace(top=box.top * closer, bottom=box.bottom * closer)

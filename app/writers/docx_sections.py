"""Sections in Word: size of pages, margins, columns of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

from docx.enum.section import WD_ORIENT
from docx.section import Section
from docx.shared import Pt

from app.document import Block, Box, Page, Paragraph, Picture
from app.writers.docx_xml import child, drop, named, put
from app.writers.text_limits import storable

_SMALLEST_POINTS, _LARGEST_POINTS = 7.2, 22 * 72.0  # Of a page, in Word.
SAME_SIZE_POINTS = 6.0  # Scans of one paper differ by a few pixels.


@dataclass(frozen=True, slots=True)
class Stretch:
    """Blocks that stand in one column, or in several side by side."""

    columns: tuple[tuple[Block, ...], ...]

    @property
    def boxes(self) -> list[Box]:
        """What each column covers."""
        return [Box.around(block.box for block in column) for column in self.columns]


def stretches(blocks: Sequence[Block]) -> Iterator[Stretch]:
    """The blocks of a page, in order, as stretches from the top."""
    alone: list[Block] = []
    for group in _beside([list(run) for _, run in groupby(blocks, key=lambda b: b.column)]):
        if len(group) == 1:
            alone += group[0]
            continue
        if alone:
            yield Stretch((tuple(alone),))
            alone = []
        yield Stretch(tuple(tuple(column) for column in group))
    if alone:
        yield Stretch((tuple(alone),))


def _beside(runs: Sequence[list[Block]]) -> Iterator[list[list[Block]]]:
    """Columns of text that stand side by side together, others alone."""
    group: list[list[Block]] = []
    for run in runs:
        if group and _are_columns(group[-1], run):
            group.append(run)
            continue
        # What stands below a column, in its width, is more of it.
        if len(group) > 1 and _is_within(run, group[-1]):
            group[-1] = group[-1] + run
            continue
        if group:
            yield group
        group = [run]
    if group:
        yield group


def _are_columns(left: Sequence[Block], right: Sequence[Block]) -> bool:
    a, b = (Box.around(block.box for block in side) for side in (left, right))
    common = min(a.bottom, b.bottom) - max(a.top, b.top)
    aside = a.right <= b.left + 1 or b.right <= a.left + 1
    wide = min(a.width, b.width) > _NARROWEST_COLUMN * max(a.right, b.right)
    return aside and wide and common > 0.3 * min(a.height, b.height)


_NARROWEST_COLUMN = 0.08  # Of the page's width.


def _is_within(run: Sequence[Block], column: Sequence[Block]) -> bool:
    a, b = (Box.around(block.box for block in side) for side in (run, column))
    slack = 0.03 * b.width
    return a.top >= b.bottom - 1 and a.left >= b.left - slack and a.right <= b.right + slack


def rows(blocks: Sequence[Block]) -> Iterator[list[Any]]:
    """The blocks, single lines of one height, from left to right, together."""
    row: list[Block] = []
    for block in blocks:
        if row and _is_beside(row[-1], block):
            row.append(block)
            continue
        if row:
            yield row
        row = [block]
    if row:
        yield row


def _is_beside(left: Block, right: Block) -> bool:
    if not all(
        isinstance(block, Paragraph)
        and len(block.lines) == 1
        and not block.lines[0].vertical
        and storable(block.text)
        for block in (left, right)
    ):
        return False
    apart = right.box.left - left.box.right
    off = abs(left.box.top + left.box.bottom - right.box.top - right.box.bottom)
    return apart > 0 and off < min(left.box.height, right.box.height)


def floats(picture: Picture, page: Page) -> bool:
    """Whether blocks of its column stand beside a picture: it cannot stand in a line of its own."""
    box = picture.box
    for block in page.blocks:
        if block is picture or block.column != picture.column:
            continue
        common = min(box.bottom, block.box.bottom) - max(box.top, block.box.top)
        if common > 0.3 * min(box.height, block.box.height):
            return True
    return False


def is_covered(picture: Picture, page: Page) -> bool:
    """Whether text stands on a picture."""
    box = picture.box
    return any(
        min(box.right, block.box.right) - max(box.left, block.box.left) > 1
        and min(box.bottom, block.box.bottom) - max(box.top, block.box.top) > 1
        for block in page.blocks
        if block is not picture
    )


def size_of(page: Page) -> tuple[float, float]:
    """Width and height in points, within what Word takes."""
    if page.endless:
        return _paper(page.width / page.dpi * 72)
    width, height = page.width / page.dpi * 72, page.height / page.dpi * 72
    shrink = min(1.0, _LARGEST_POINTS / max(width, height, 1.0))
    return max(width * shrink, _SMALLEST_POINTS), max(height * shrink, _SMALLEST_POINTS)


def _paper(width: float) -> tuple[float, float]:
    """Paper on which a sheet that is so wide can go on from page to page."""
    if width <= _A4[0]:
        return _A4
    across = min(max(width, _A4[1]), _LARGEST_POINTS)
    return across, across * _A4[0] / _A4[1]


_A4 = (595.3, 841.9)


@dataclass(frozen=True, slots=True)
class Margins:
    """In points."""

    left: float
    top: float
    right: float
    bottom: float

    @classmethod
    def around(cls, page: Page) -> Margins:
        """Those of what stands on ``page``; where its text ends, it gets room to grow into."""
        width, height = size_of(page)
        if not page.blocks:
            return cls(*(min(72.0, side / 8) for side in (width, height, width, height)))
        box, points = Box.around(block.box for block in page.blocks), 72 / page.dpi
        left, right = box.left * points, width - box.right * points
        top, bottom = box.top * points, height - box.bottom * points
        if is_vertical(page):
            return cls(
                _after_text(left, width),
                _within(top, height),
                _within(right, width),
                _within(bottom - _ROOM, height),
            )
        return cls(
            _within(left, width),
            _within(top, height),
            _within(right - _ROOM, width),
            _after_text(bottom, height),
        )


_ROOM = 3.0  # Points: fonts here may be a little wider than those of the page.
_LESS = 0.25  # Of what is free after the text,
_LEAST = 18.0  # or so many points.
_NARROWEST, _WIDEST = 14.0, 0.25


def _within(margin: float, side: float) -> float:
    return min(max(margin, min(_NARROWEST, side / 40)), side * _WIDEST)


def _after_text(margin: float, side: float) -> float:
    return min(_within(margin, side), max(_LEAST, margin * _LESS))


def is_vertical(page: Page) -> bool:
    """Whether most of the page's text runs downwards."""
    lines = page.lines
    downwards = sum(len(line.text) for line in lines if line.vertical)
    return 2 * downwards > sum(len(line.text) for line in lines)


def set_page(section: Section, size: tuple[float, float], margins: Margins, vertical: bool) -> None:
    """Size, orientation, margins and direction of writing of a section's pages."""
    drop(section._sectPr, "w:textDirection")
    if vertical:
        put(section._sectPr, "w:textDirection", val="tbRl")
    width, height = size
    section.page_width, section.page_height = Pt(width), Pt(height)
    section.orientation = WD_ORIENT.LANDSCAPE if width > height else WD_ORIENT.PORTRAIT
    section.left_margin, section.right_margin = Pt(margins.left), Pt(margins.right)
    section.top_margin, section.bottom_margin = Pt(margins.top), Pt(margins.bottom)
    section.header_distance = section.footer_distance = Pt(min(36.0, height / 16))
    section.gutter = Pt(0)


def inside_of(section: Section) -> float:
    """The width between a section's margins, in points."""
    margins = (section.left_margin or 0) + (section.right_margin or 0)
    return ((section.page_width or 0) - margins) / Pt(1)


def set_columns(section: Section, boxes: Sequence[Box], points: float) -> None:
    """Columns as wide as the ``boxes`` that stand side by side; ``points`` are those of a pixel."""
    drop(section._sectPr, "w:cols")
    if len(boxes) < 2:
        put(section._sectPr, "w:cols", space="720")
        return
    places = sorted((box.left, box.right) for box in boxes)
    gaps = [max(4.0, (b[0] - a[1]) * points) for a, b in pairwise(places)]
    widths = [(right - left) * points for left, right in places]
    scale = (inside_of(section) - sum(gaps)) / max(1.0, sum(widths))
    columns = put(section._sectPr, "w:cols", num=str(len(boxes)), equalWidth="0")
    for n, width in enumerate(widths):
        column = child(columns, "w:col", w=str(round(20 * width * scale)))
        if n < len(gaps):
            column.set(named("w:space"), str(round(20 * gaps[n])))

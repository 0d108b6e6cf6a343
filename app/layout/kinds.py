"""What paragraphs are: headings, items of lists, captions, heads and feet of pages."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import replace
from statistics import median

from app.document import Align, Block, Box, Cell, Kind, Paragraph, Table, is_unspaced
from app.layout.marks import item_mark


def classified(blocks: Sequence[Block], height: float) -> tuple[Block, ...]:
    """The ``blocks`` of a page that is ``height`` pixels high, each paragraph with its kind.

    Headings are told by size and weight, so that they are only found where styles are known.
    """
    texts = [block for block in blocks if isinstance(block, Paragraph)]
    body = _body(texts)
    found = [_kind(block, body) if isinstance(block, Paragraph) else block for block in blocks]
    for index, kind in _edges(found, height, body):
        block = found[index]
        if isinstance(block, Paragraph):
            found[index] = replace(block, kind=kind, column=None)
    # Heads are read first and feet last, whatever column they stand over.
    return tuple(_indented(sorted(found, key=_place)))


def _place(block: Block) -> int:
    kind = block.kind if isinstance(block, Paragraph) else Kind.TEXT
    return {Kind.HEADER: 0, Kind.FOOTER: 2}.get(kind, 1)


def _body(paragraphs: Sequence[Paragraph]) -> tuple[float, bool] | None:
    """Size and weight of most of the text; None if styles are not known."""
    counts: dict[tuple[float, bool], int] = {}
    for paragraph in paragraphs:
        for line in paragraph.lines:
            if line.style is not None:
                key = line.style.size, line.style.bold
                counts[key] = counts.get(key, 0) + len(line.text)
    return max(counts, key=lambda key: counts[key]) if counts else None


# In sizes of the body's font.
_LARGER = 1.15  # A heading is so much larger,
_LEVELS = (1.6, 1.3)  # and from these on of the first and of the second level.
_LONGEST_HEADING = 120  # Characters; twice as wide ones count twice.
_MOST_LINES = 3
_ENDS = tuple("。.;；,，、")
_CAPTION = re.compile(
    r"(图|表|圖|図|附图|附表)\s*[\d一二三四五六七八九十]+"
    r"|(figure|fig\.?|table|tab\.|abb\.|abbildung|tabelle|figura|tabla|tableau)\s*\d+",
    re.IGNORECASE,
)


def _kind(paragraph: Paragraph, body: tuple[float, bool] | None) -> Paragraph:
    text = paragraph.text
    if _CAPTION.match(text) and len(paragraph.lines) <= _MOST_LINES:
        return replace(paragraph, kind=Kind.CAPTION)
    mark = item_mark(text)
    level = 0 if mark and not mark[0].isalnum() else _heading_level(paragraph, text, body)
    if level:
        return replace(paragraph, kind=Kind.HEADING, level=level)
    return replace(paragraph, kind=Kind.ITEM) if mark else paragraph


def _heading_level(paragraph: Paragraph, text: str, body: tuple[float, bool] | None) -> int:
    """1 to 3, or 0 for what is no heading."""
    style = paragraph.style
    if body is None or style is None or any(line.vertical for line in paragraph.lines):
        return 0
    size, bold = body
    if len(paragraph.lines) > _MOST_LINES or len(text) > _LONGEST_HEADING:
        return 0
    larger = style.size >= _LARGER * size
    heavier = (
        style.bold
        and not bold
        and all(line.style is not None and line.style.bold for line in paragraph.lines)
    )
    if not (larger or (heavier and style.size > 0.9 * size and not text.endswith(_ENDS))):
        return 0
    long = sum(2 if is_unspaced(c) else 1 for c in text) > _LONGEST_HEADING
    if long or sum(map(str.isalpha, text)) < 2:
        return 0
    for level, times in enumerate(_LEVELS, 1):
        if style.size >= times * size:
            return level
    return 3


_EDGE = 0.09  # Of the page's height; heads and feet stand within,
_APART = 1.2  # and are so many line heights away from the text.


def _edges(
    blocks: Sequence[Block], height: float, body: tuple[float, bool] | None
) -> list[tuple[int, Kind]]:
    """The paragraphs that are heads or feet of the page."""
    if sum(block.rows if isinstance(block, Table) else 1 for block in blocks) < _FEWEST_BLOCKS:
        return []
    found: list[tuple[int, Kind]] = []
    tops = sorted(block.box.top for block in blocks)
    bottoms = sorted(block.box.bottom for block in blocks)
    for index, block in enumerate(blocks):
        if not isinstance(block, Paragraph) or len(block.lines) > 2 or _is_title(block, body):
            continue
        size, box = block.lines[0].box.height, block.box
        if box.bottom < _EDGE * height:
            below = bisect_left(tops, box.bottom - size / 2)
            if below < len(tops) and tops[below] - box.bottom > _APART * size:
                found.append((index, Kind.HEADER))
        elif box.top > (1 - _EDGE) * height:
            above = bisect_right(bottoms, box.top + size / 2) - 1
            if above >= 0 and box.top - bottoms[above] > _APART * size:
                found.append((index, Kind.FOOTER))
    return found


def _is_title(paragraph: Paragraph, body: tuple[float, bool] | None) -> bool:
    """Whether it is a heading, and not for its weight alone: heads of pages are often bold."""
    style = paragraph.style
    if paragraph.kind is not Kind.HEADING or body is None or style is None:
        return False
    return style.size >= _LARGER * body[0]


_FEWEST_BLOCKS = 3  # Or rows of tables: what is smaller is a cut-out, no page.


def _indented(blocks: Sequence[Block]) -> list[Block]:
    """The blocks, items of lists with the level that their indent gives them."""
    found: list[Block] = []
    lefts: list[float] = []  # Of the items of each level, since the last text that is none.
    for block in blocks:
        if not isinstance(block, Paragraph) or block.kind is not Kind.ITEM:
            if not isinstance(block, Paragraph) or block.kind is Kind.HEADING:
                lefts = []
            found.append(block)
            continue
        size = block.lines[0].box.height
        while lefts and block.box.left < lefts[-1] - size:
            lefts.pop()
        if not lefts or block.box.left > lefts[-1] + size:
            lefts.append(block.box.left)
        found.append(replace(block, level=min(len(lefts), _DEEPEST)))
    return found


_DEEPEST = 3


def aligned(paragraph: Paragraph, column: Box) -> Paragraph:
    """The paragraph with its ``column``, of the page, and where its lines stand in it."""
    return replace(paragraph, column=column, align=_align(paragraph, column))


def _align(paragraph: Paragraph, column: Box) -> Align:
    boxes = [line.box for line in paragraph.lines]
    if any(line.vertical for line in paragraph.lines):
        return Align.START
    size = max(1.0, boxes[0].height)
    lefts, rights = [box.left for box in boxes], [box.right for box in boxes]
    if len(boxes) == 1:
        left, right = lefts[0] - column.left, column.right - rights[0]
        if abs(left - right) < size and left > 2 * size:
            return Align.CENTER
        return Align.END if right < size and left > 0.4 * column.width else Align.START
    middles = [(left + right) / 2 for left, right in zip(lefts, rights, strict=True)]
    ragged = max(lefts[1:]) - min(lefts[1:]) > size or abs(lefts[0] - lefts[1]) > 4 * size
    if ragged and max(middles) - min(middles) < size:
        return Align.CENTER
    inner = rights[:-1]
    if len(inner) > 1 and max(inner) - min(inner) < size / 2:
        return Align.JUSTIFY
    return Align.START


def aligned_cells(table: Table) -> Table:
    """The table, its paragraphs with where they stand in their columns, in one size of font."""
    table = _in_one_size(table)
    columns: dict[int, list[Cell]] = {}
    for cell in table.cells:
        if cell.column_span == 1 and cell.paragraphs:
            columns.setdefault(cell.column, []).append(cell)
    aligns = {column: _common(cells) for column, cells in columns.items()}
    return replace(
        table, cells=tuple(_aligned_cell(cell, aligns.get(cell.column)) for cell in table.cells)
    )


def _aligned_cell(cell: Cell, usual: Align | None) -> Cell:
    aligns = [_in_cell(paragraph, cell, usual) for paragraph in cell.paragraphs]
    if all(each.align is align for each, align in zip(cell.paragraphs, aligns, strict=True)):
        return cell
    pairs = zip(cell.paragraphs, aligns, strict=True)
    return replace(cell, paragraphs=tuple(replace(each, align=align) for each, align in pairs))


def _in_one_size(table: Table) -> Table:
    """The table; what was seen of single figures and short words tells little of their size."""
    seen = [
        (line.style.size, len(line.text))
        for cell in table.cells
        for paragraph in cell.paragraphs
        for line in paragraph.lines
        if line.style is not None
    ]
    if len({size for size, _ in seen}) < 2:
        return table
    sizes = sorted(size for size, length in seen for _ in range(length))
    usual = sizes[len(sizes) // 2]

    def resized(paragraph: Paragraph) -> Paragraph:
        lines = tuple(
            replace(line, style=replace(line.style, size=usual))
            if line.style is not None and usual / 2 < line.style.size < _OTHER_SIZE * usual
            else line
            for line in paragraph.lines
        )
        return replace(paragraph, lines=lines)

    cells = tuple(
        replace(cell, paragraphs=tuple(map(resized, cell.paragraphs))) for cell in table.cells
    )
    return replace(table, cells=cells)


_OTHER_SIZE = 1.5


def _common(cells: Sequence[Cell]) -> Align | None:
    """Where the texts of a column's cells are below each other; None if that cannot be told."""
    boxes = [paragraph.box for cell in cells for paragraph in cell.paragraphs[:1]]
    if len(boxes) < _FEWEST_CELLS:
        return None
    size = median(box.height for box in boxes)
    places = {
        Align.START: [box.left for box in boxes],
        Align.CENTER: [(box.left + box.right) / 2 for box in boxes],
        Align.END: [box.right for box in boxes],
    }
    spreads = {align: _spread(values) for align, values in places.items()}
    if spreads[Align.START] < size / 3:
        # Figures of the same length begin and end below each other.
        rights = [cell.box.right - box.right for cell, box in zip(cells, boxes, strict=True)]
        lefts = [box.left - cell.box.left for cell, box in zip(cells, boxes, strict=True)]
        ends = spreads[Align.END] < size / 3 and median(rights) < median(lefts)
        return Align.END if ends else Align.START
    best = min(spreads, key=lambda align: spreads[align])
    return best if spreads[best] < size else None


_FEWEST_CELLS = 3


def _spread(values: Sequence[float]) -> float:
    """How far most of the values are from their median."""
    middle = median(values)
    return median(abs(value - middle) for value in values) + 0.25 * (max(values) - min(values))


def _in_cell(paragraph: Paragraph, cell: Cell, usual: Align | None) -> Align:
    left, right = paragraph.box.left - cell.box.left, cell.box.right - paragraph.box.right
    if usual is not None and cell.column_span == 1:
        return usual
    size = paragraph.lines[0].box.height
    if abs(left - right) < size and min(left, right) > size / 2:
        return Align.CENTER
    return Align.END if right < left - 2 * size else Align.START

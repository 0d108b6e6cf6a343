"""Tables that go on over the end of a page."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import replace

from app.document import Block, Kind, Page, Paragraph, Table


def continued(page: Page, before: Page | None) -> Page:
    """``page``, its first table marked if the last one of the page ``before`` goes on in it.

    It does so if nothing but heads and feet stands between them, the columns stand below each
    other, and it is not the same form again.
    """
    if before is None:
        return page
    upper = next((block for block in reversed(before.blocks) if isinstance(block, Table)), None)
    lower = next((block for block in page.blocks if isinstance(block, Table)), None)
    if upper is None or lower is None:
        return page
    if (
        upper.columns != lower.columns
        or upper.drawn != lower.drawn
        or upper.box.bottom < _ENDS_BELOW * before.height
        or lower.box.top > _BEGINS_ABOVE * page.height
        or lower.box.width < _NARROWEST * page.width
        or abs(_shape(before) / _shape(page) - 1) > _SAME_SHAPE
        or not _are_below(_columns(upper, before), _columns(lower, page))
    ):
        return page
    running = _running(before) & _running(page)
    if _body(before, running)[-1] is not upper or _body(page, running)[0] is not lower:
        return page
    above, below = _texts(upper), _texts(lower)
    repeats = _common(above, below)
    if repeats == lower.rows or repeats > _MOST_HEADS or _is_same_form(above, below, repeats):
        return page
    if any(cell.row < repeats < cell.row + cell.row_span for cell in lower.cells):
        repeats = 0
    marked = replace(lower, continues=True, repeats=repeats)
    return replace(
        page,
        blocks=tuple(
            marked
            if block is lower
            else replace(block, kind=Kind.HEADER, column=None)
            if isinstance(block, Paragraph) and _place(block, page) in running
            else block
            for block in page.blocks
        ),
    )


_ENDS_BELOW, _BEGINS_ABOVE = 0.6, 0.35  # Of the page's height.
_NARROWEST = 0.4  # Of the page's width.
_SAME_SHAPE = 0.03
_MOST_HEADS = 3  # Rows.


def _running(page: Page) -> set[tuple[str, int]]:
    """The page's texts and where they stand: what is on two pages is no part of their text."""
    return {_place(block, page) for block in page.blocks if isinstance(block, Paragraph)}


def _place(paragraph: Paragraph, page: Page) -> tuple[str, int]:
    return "".join(paragraph.text.split()), round(_PLACES * paragraph.box.top / page.height)


_PLACES = 50  # On the height of a page.


def _body(page: Page, running: Set[tuple[str, int]]) -> list[Block]:
    return [
        block
        for block in page.blocks
        if not isinstance(block, Paragraph)
        or (block.kind not in (Kind.HEADER, Kind.FOOTER) and _place(block, page) not in running)
    ]


def _shape(page: Page) -> float:
    return page.width / max(page.height, 1.0)


def _columns(table: Table, page: Page) -> list[tuple[float, float] | None]:
    """From where to where each column reaches, in widths of the page, if a cell tells."""
    found: list[tuple[float, float] | None] = [None] * table.columns
    for cell in table.cells:
        if cell.column_span == 1:
            left, right = cell.box.left / page.width, cell.box.right / page.width
            known = found[cell.column] or (left, right)
            found[cell.column] = min(left, known[0]), max(right, known[1])
    return found


def _are_below(
    above: Sequence[tuple[float, float] | None], below: Sequence[tuple[float, float] | None]
) -> bool:
    pairs = [(a, b) for a, b in zip(above, below, strict=True) if a is not None and b is not None]
    return len(pairs) > 1 and all(
        a[0] < (b[0] + b[1]) / 2 < a[1] and b[0] < (a[0] + a[1]) / 2 < b[1] for a, b in pairs
    )


def _texts(table: Table) -> list[tuple[str, ...]]:
    """The texts of each row without white space, which is not read alike on every page."""
    rows: list[list[str]] = [[""] * table.columns for _ in range(table.rows)]
    for cell in table.cells:
        text = "".join(paragraph.text for paragraph in cell.paragraphs)
        rows[cell.row][cell.column] = "".join(text.split())
    return [tuple(row) for row in rows]


def _common(above: Sequence[tuple[str, ...]], below: Sequence[tuple[str, ...]]) -> int:
    """How many rows at the top are the same."""
    for number, (a, b) in enumerate(zip(above, below, strict=False)):
        if a != b or not any(a):
            return number
    return min(len(above), len(below))


def _is_same_form(
    above: Sequence[tuple[str, ...]], below: Sequence[tuple[str, ...]], repeats: int
) -> bool:
    """Whether the rows have the same labels."""
    labels = [(a[0], b[0]) for a, b in zip(above[repeats:], below[repeats:], strict=False)]
    return 2 * sum(a == b != "" for a, b in labels) > len(labels)

"""Tables in Word: rows, cells and spans, as wide as they were."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from app.document import Box, Cell, Table
from app.writers.docx_xml import child, named, new
from app.writers.grid import is_centred, is_rtl, sides


def table_element(
    table: Table,
    width: float,
    fill: Callable[[Any, Cell], None],
    inset: float = 0.0,
    heights: Sequence[float] = (),
) -> Any:
    """A ``w:tbl`` that is ``width`` points wide; ``fill`` puts the text of a cell into a ``w:tc``.

    It stands ``inset`` points from the margin; rows have at least their ``heights``, in points.
    Word wants at least one paragraph in each cell, as the last thing in it.
    """
    widths = _widths(table, width)
    element = new("w:tbl")
    properties = child(element, "w:tblPr")
    rtl = is_rtl(table)
    if rtl:
        child(properties, "w:bidiVisual")
    child(properties, "w:tblW", w=str(sum(widths)), type="dxa")
    if inset > 1:
        child(properties, "w:tblInd", w=str(round(inset * _TWIPS)), type="dxa")
    borders = child(properties, "w:tblBorders")
    for side in _SIDES if table.drawn else ("top", "bottom"):
        child(borders, f"w:{side}", val="single", sz="4", space="0", color="auto")
    child(properties, "w:tblLayout", type="fixed")
    room = child(properties, "w:tblCellMar")
    for side in ("left", "right"):
        child(room, f"w:{side}", w=str(_CELL_ROOM), type="dxa")
    grid = child(element, "w:tblGrid")
    for each in widths[::-1] if rtl else widths:
        child(grid, "w:gridCol", w=str(each))
    append_rows(element, replace(table, continues=False, repeats=0), fill, heights)
    return element


MOST_COLUMNS = 63
"""In a table; Word opens no file that has more."""


def parts_of(table: Table) -> Iterator[Table]:
    """The table, or several with the columns that Word can take, one below the other."""
    if table.columns <= MOST_COLUMNS:
        yield table
        return
    for start in range(0, table.columns, MOST_COLUMNS):
        end = min(start + MOST_COLUMNS, table.columns)
        cells = [
            replace(
                cell,
                column=max(cell.column, start) - start,
                column_span=min(cell.column + cell.column_span, end) - max(cell.column, start),
                paragraphs=cell.paragraphs if cell.column >= start else (),
            )
            for cell in table.cells
            if cell.column < end and cell.column + cell.column_span > start
        ]
        box = Box.around(cell.box for cell in cells)
        yield replace(table, cells=tuple(cells), columns=end - start, box=box, continues=False)


def append_rows(
    element: Any,
    table: Table,
    fill: Callable[[Any, Cell], None],
    heights: Sequence[float] = (),
) -> None:
    """Add the rows of ``table`` to the ``w:tbl``, in columns as wide as it has.

    Rows that repeat its headings are left out: Word shows those on each page, once told to.
    """
    for row in element.findall(named("w:tr"))[: table.repeats]:
        settings = row.get_or_add_trPr()
        if settings.find(named("w:tblHeader")) is None:
            child(settings, "w:tblHeader")
    rtl = element.tblPr.find(named("w:bidiVisual")) is not None
    grid = element.tblGrid.findall(named("w:gridCol"))
    widths = [int(each.get(named("w:w"))) for each in (grid[::-1] if rtl else grid)]
    covering: list[list[Cell]] = [[] for _ in range(table.rows)]
    for cell in sorted(table.cells, key=lambda cell: cell.column):
        for row in range(cell.row, cell.row + cell.row_span):
            covering[row].append(cell)
    for row in range(table.repeats, table.rows):
        line = child(element, "w:tr")
        high = heights[row] if row < len(heights) else 0.0
        is_head = row < table.heads and not table.continues
        if high > 1 or is_head:
            settings = child(line, "w:trPr")
            if high > 1:
                child(settings, "w:trHeight", val=str(round(high * _TWIPS)), hRule="atLeast")
            if is_head:
                child(settings, "w:tblHeader")
        for cell in reversed(covering[row]) if rtl else covering[row]:
            place = child(line, "w:tc")
            form = child(place, "w:tcPr")
            across = sum(widths[cell.column : cell.column + cell.column_span])
            child(form, "w:tcW", w=str(across), type="dxa")
            if cell.column_span > 1:
                child(form, "w:gridSpan", val=str(cell.column_span))
            if cell.row_span > 1:
                child(form, "w:vMerge", val="restart" if row == cell.row else "continue")
            if is_centred(cell):
                child(form, "w:vAlign", val="center")
            if row == cell.row:
                fill(place, cell)
            if place[-1].tag != named("w:p"):
                child(place, "w:p")


_SIDES = ("top", "left", "bottom", "right", "insideH", "insideV")
_CELL_ROOM = 40  # Twips between a cell's text and its sides.
_TWIPS = 20  # In a point.
_NARROWEST = 200  # Twips.


def row_heights(table: Table, points: float) -> list[float]:
    """How high each row is to be at least, in points, of which a pixel has ``points``."""
    return [height * points * _TIGHT for height in sides(table)[1]]


_TIGHT = 0.95  # The rules around the rows take some room, too.


def _widths(table: Table, width: float) -> list[int]:
    """Of each column, in twips, in proportion to those on the page."""
    found = sides(table)[0]
    scale = width * _TWIPS / max(sum(found), 1.0)
    return [max(_NARROWEST, round(each * scale)) for each in found]

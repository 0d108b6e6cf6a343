"""Tables in Word: rows, cells and spans, as wide as they were."""

from collections.abc import Callable
from typing import Any

from docx.oxml import OxmlElement
from docx.oxml.ns import qn

from app.document import Cell, Table
from app.writers.grid import is_rtl


def table_element(table: Table, width: float, fill: Callable[[Any, Cell], None]) -> Any:
    """A ``w:tbl`` that is ``width`` points wide; ``fill`` puts the text of a cell into a ``w:tc``.

    Word wants at least one paragraph in each cell, as the last thing in it.
    """
    widths = _widths(table, width)
    element = _element("w:tbl")
    properties = child(element, "w:tblPr")
    rtl = is_rtl(table)
    if rtl:
        child(properties, "w:bidiVisual")
    child(properties, "w:tblW", w=str(sum(widths)), type="dxa")
    borders = child(properties, "w:tblBorders")
    for side in ("top", "left", "bottom", "right", "insideH", "insideV"):
        child(borders, f"w:{side}", val="single", sz="4", space="0", color="auto")
    child(properties, "w:tblLayout", type="fixed")
    grid = child(element, "w:tblGrid")
    for each in widths[::-1] if rtl else widths:
        child(grid, "w:gridCol", w=str(each))
    covering = {
        (row, cell.column): cell
        for cell in table.cells
        for row in range(cell.row, cell.row + cell.row_span)
    }
    for row in range(table.rows):
        line = child(element, "w:tr")
        cells = [covering[at] for at in sorted(covering) if at[0] == row]
        for cell in cells[::-1] if rtl else cells:
            place = child(line, "w:tc")
            settings = child(place, "w:tcPr")
            across = sum(widths[cell.column : cell.column + cell.column_span])
            child(settings, "w:tcW", w=str(across), type="dxa")
            if cell.column_span > 1:
                child(settings, "w:gridSpan", val=str(cell.column_span))
            if cell.row_span > 1:
                child(settings, "w:vMerge", val="restart" if row == cell.row else "continue")
            if row == cell.row:
                fill(place, cell)
            if place[-1].tag != qn("w:p"):
                child(place, "w:p")
    return element


_TWIPS = 20  # In a point.
_NARROWEST = 200  # Twips.


def _widths(table: Table, width: float) -> list[int]:
    """Of each column, in twips, in proportion to those on the page."""
    found = [0.0] * table.columns
    for cell in table.cells:
        for column in range(cell.column, cell.column + cell.column_span):
            share = cell.box.width / cell.column_span
            # A cell of one column knows best.
            if not found[column] or cell.column_span == 1:
                found[column] = max(share, 1.0)
    scale = width * _TWIPS / max(sum(found), 1.0)
    return [max(_NARROWEST, round(each * scale)) for each in found]


def _element(name: str, **attributes: str) -> Any:
    element = OxmlElement(name)
    for key, value in attributes.items():
        element.set(qn(f"w:{key}"), value)
    return element


def child(parent: Any, name: str, **attributes: str) -> Any:
    """A new last element of ``parent``, with attributes of Word's."""
    element = _element(name, **attributes)
    parent.append(element)
    return element

"""The texts of a table, row by row."""

import unicodedata

from app.document import Cell, Table
from app.writers.direction import is_mostly_rtl
from app.writers.text_limits import storable


def cell_text(cell: Cell) -> str:
    """The paragraphs of ``cell`` in one line."""
    texts = (storable(paragraph.text) for paragraph in cell.paragraphs)
    return " ".join(text for text in texts if text)


def grid_of(table: Table) -> list[list[str]]:
    """A text for each place, empty where a cell reaches; from left to right as on the page."""
    grid = [[""] * table.columns for _ in range(table.rows)]
    for cell in table.cells:
        grid[cell.row][cell.column] = cell_text(cell)
    return grid


def is_rtl(table: Table) -> bool:
    """Whether the first column is the one at the right."""
    return is_mostly_rtl("".join(map(cell_text, table.cells)))


def width_of(text: str) -> int:
    """How wide ``text`` is in characters of a font in which Han characters are two wide."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    marks = sum(unicodedata.combining(character) != 0 for character in text)
    return len(text) + wide - marks


def sides(table: Table) -> tuple[list[float], list[float]]:
    """How wide each column and how high each row is, in pixels."""
    widths, heights = [0.0] * table.columns, [0.0] * table.rows
    for cell in table.cells:
        for found, first, span, side in (
            (widths, cell.column, cell.column_span, cell.box.width),
            (heights, cell.row, cell.row_span, cell.box.height),
        ):
            for n in range(first, first + span):
                # A cell of one column or row knows best.
                if not found[n] or span == 1:
                    found[n] = max(side / span, 1.0)
    return widths, heights


def is_centred(cell: Cell) -> bool:
    """Whether the text stands in the middle of the height of its cell."""
    if not cell.paragraphs:
        return False
    above = min(paragraph.box.top for paragraph in cell.paragraphs) - cell.box.top
    below = cell.box.bottom - max(paragraph.box.bottom for paragraph in cell.paragraphs)
    return abs(above - below) < 0.25 * cell.box.height

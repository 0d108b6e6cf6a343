"""The texts of a table, row by row."""

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

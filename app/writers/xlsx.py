"""Excel: a sheet per page; tables as they are, of other text a row per line."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, zip_longest
from pathlib import Path

from openpyxl import Workbook
from openpyxl.cell import Cell, WriteOnlyCell
from openpyxl.styles import Alignment, Font
from openpyxl.utils import get_column_letter
from openpyxl.worksheet._write_only import WriteOnlyWorksheet
from openpyxl.worksheet.cell_range import CellRange
from openpyxl.worksheet.worksheet import Worksheet

from app.document import Block, Box, Document, Line, Page, Paragraph, Picture, Table
from app.writers.direction import is_mostly_rtl
from app.writers.grid import grid_of, width_of
from app.writers.text_limits import storable
from app.writers.xlsx_types import typed


class XlsxWriter:
    """Writes Excel workbooks."""

    media_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    looks = False
    exact = False

    def write(self, document: Document, target: Path) -> None:
        """Create ``target``; what stands side by side on a page stands in one row."""
        # Rows go to a temporary file at once, so that memory does not grow with the pages.
        book = Workbook(write_only=True)
        book.properties.creator = ""
        for page in document.pages:
            _add_sheet(book, page)
        if not book.worksheets:
            book.create_sheet("Page 1")
        book.save(target)


_LONGEST_CELL = 32_767  # In UTF-16 units.
_NARROWEST, _WIDEST = 8, 80  # Columns, in characters.
_WRAPPED = Alignment(wrap_text=True, vertical="top")
_TOP = Alignment(vertical="top")
_TEXT_FORMAT = "@"
_BOLD = Font(bold=True)


def _add_sheet(book: Workbook, page: Page) -> None:
    sheet = book.create_sheet(f"Page {page.number}")
    rtl = is_mostly_rtl("".join(line.text for line in page.lines))
    sheet.sheet_view.rightToLeft = rtl
    rows: list[Sequence[str]] = []
    heads: set[int] = set()  # Rows of headings.
    for part in _stretches(page.blocks):
        if rows:  # What stands above a table is none of its rows.
            rows.append(())
        if isinstance(part, Table):
            grid = grid_of(part)
            starts = _append(rows, [row[::-1] for row in grid] if rtl else grid)
            heads.update(range(starts[0], starts[part.heads]))
            for span in _merged(part, starts, rtl):
                sheet.merged_cells.add(span)
        else:
            _append(rows, [row.texts(rtl) for row in _rows(part)])
    for n, column in enumerate(zip_longest(*rows, fillvalue=""), 1):
        widest = max(width_of(text[: _WIDEST + 1]) for text in column)
        sheet.column_dimensions[get_column_letter(n)].width = min(
            max(widest + 2, _NARROWEST), _WIDEST
        )
    for number, row in enumerate(rows):
        cells = [_cell(sheet, text) for text in row]
        for cell in cells:
            if cell is not None and number in heads:
                cell.font = _BOLD
        sheet.append(cells)


def _stretches(blocks: Sequence[Block]) -> Iterator[Table | list[Paragraph]]:
    """Each table, and the paragraphs above, between and below."""
    for is_table, stretch in groupby(blocks, key=lambda block: isinstance(block, Table)):
        if is_table:
            yield from (block for block in stretch if isinstance(block, Table))
        else:
            found: list[Paragraph] = []
            for block in stretch:
                if isinstance(block, Picture):
                    found += block.paragraphs
                elif isinstance(block, Paragraph):
                    found.append(block)
            yield found


def _append(rows: list[Sequence[str]], texts: Iterable[Sequence[str]]) -> list[int]:
    """Add ``texts`` to ``rows``, too long ones in several; tells where each began, and the end."""
    starts = []
    for row in texts:
        starts.append(len(rows))
        rows += zip_longest(*map(_parts, row), fillvalue="") if any(row) else [()]
    return [*starts, len(rows)]


def _merged(table: Table, starts: Sequence[int], rtl: bool) -> Iterator[CellRange]:
    for cell in table.cells:
        if cell.row_span > 1 or cell.column_span > 1:
            first = table.columns - cell.column - cell.column_span if rtl else cell.column
            yield CellRange(
                min_col=first + 1,
                min_row=starts[cell.row] + 1,
                max_col=first + cell.column_span,
                max_row=starts[cell.row + cell.row_span],
            )


@dataclass
class _Row:
    lines: list[tuple[int, Line]] = field(default_factory=list)  # Each with its paragraph.

    def texts(self, rtl: bool) -> list[str]:
        lines = sorted((line for _, line in self.lines), key=lambda line: line.box.left)
        texts = [storable(line.text) for line in lines]
        return texts[::-1] if rtl else texts

    def takes(self, paragraph: int, box: Box) -> bool:
        """Whether ``box`` stands beside all that is in the row."""
        return all(other != paragraph and _is_beside(line.box, box) for other, line in self.lines)


def _rows(paragraphs: Sequence[Paragraph]) -> list[_Row]:
    """The lines in reading order, each beside the earlier ones that stand at its height."""
    rows: list[_Row] = []
    for number, paragraph in enumerate(paragraphs):
        after = -1  # The row of the paragraph's line before.
        for line in paragraph.lines:
            if not storable(line.text):
                continue
            found = next(
                (n for n in range(after + 1, len(rows)) if rows[n].takes(number, line.box)), None
            )
            if found is None:
                found = len(rows) if after < 0 else after + 1
                rows.insert(found, _Row())
            rows[found].lines.append((number, line))
            after = found
    return rows


def _is_beside(a: Box, b: Box) -> bool:
    common = min(a.bottom, b.bottom) - max(a.top, b.top)
    apart = a.right <= b.left or b.right <= a.left
    return apart and common > 0.4 * min(a.height, b.height)


def _parts(text: str) -> list[str]:
    """``text`` in pieces that a cell can hold."""
    longest = _LONGEST_CELL if max(text, default="") <= "\uffff" else _LONGEST_CELL // 2
    return [text[start : start + longest] for start in range(0, len(text), longest)]


def _cell(sheet: Worksheet | WriteOnlyWorksheet, text: str) -> Cell | None:
    if not text:
        return None
    if (number := typed(text)) is not None:
        digits, number_format = number
        cell = WriteOnlyCell(sheet, value=digits)
        cell.data_type = "n"
        cell.number_format = number_format
        cell.alignment = _TOP
        return cell
    # Excel takes _x0041_ for an escaped character: escape what would be read as such.
    cell = WriteOnlyCell(sheet, value=_ESCAPE.sub("_x005F_", text))
    cell.data_type = "s"  # Never a formula (=1+1) nor an error (#N/A).
    cell.alignment = _WRAPPED
    if text[0] in "=+-@":
        cell.quotePrefix = True
    elif text[0].isdigit():
        cell.number_format = _TEXT_FORMAT  # An identity number stays one when it is edited.
    return cell


_ESCAPE = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")

"""Excel: a sheet per page; tables as they are, of other text a row per line."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, zip_longest
from pathlib import Path

from openpyxl import Workbook
from openpyxl.cell import Cell, WriteOnlyCell
from openpyxl.styles import Alignment, Font
from openpyxl.utils import get_column_letter
from openpyxl.worksheet._write_only import WriteOnlyWorksheet
from openpyxl.worksheet.cell_range import CellRange
from openpyxl.worksheet.worksheet import Worksheet

from app.document import Block, Box, Document, Page, Paragraph, Picture, Table
from app.writers.direction import is_mostly_rtl
from app.writers.grid import grid_of, width_of
from app.writers.text_limits import storable
from app.writers.xlsx_types import typed


class XlsxWriter:
    """Writes Excel workbooks."""

    media_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    looks = False
    exact = False
    retells = True

    def write(self, document: Document, target: Path) -> None:
        """Create ``target``; what stands side by side on a page stands in one row.

        A table that goes on over the end of a page is one, on the sheet of the page it begins on.
        """
        # Rows go to a temporary file at once, so that memory does not grow with the pages.
        book = Workbook(write_only=True)
        book.properties.creator = ""
        waiting: list[_Sheet] = []  # Not yet written: the last table may go on.
        for page in document.pages:
            tables = [part for each in waiting for part in each.parts if part.is_table]
            sheet = _Sheet(page, tables[-1] if tables else None)
            if not sheet.goes_on:
                _write(book, waiting)
                waiting = []
            if sheet.parts or not waiting:
                waiting.append(sheet)
        _write(book, waiting)
        if not book.worksheets:
            book.create_sheet("Page 1")
        book.save(target)


_LONGEST_CELL = 32_767  # In UTF-16 units.
_NARROWEST, _WIDEST = 8, 80  # Columns, in characters.
_WRAPPED = Alignment(wrap_text=True, vertical="top")
_TOP = Alignment(vertical="top")
_TEXT_FORMAT = "@"
_BOLD = Font(bold=True)


class _Part:
    """Rows that stand together on a sheet: a table, or running text."""

    def __init__(self, is_table: bool) -> None:
        self.is_table = is_table
        self.rows: list[Sequence[str]] = []
        self.heads = 0  # Rows of headings, at the top.
        self.merged: list[tuple[int, int, int, int]] = []  # First row and column, last ones.

    def add(self, table: Table, rtl: bool) -> None:
        """Add the rows of ``table``, but for headings of this one that it repeats."""
        grid = grid_of(table)[table.repeats :]
        starts = self.append([row[::-1] for row in grid] if rtl else grid)
        if not table.continues:
            self.heads = starts[table.heads]
        for cell in table.cells:
            row = cell.row - table.repeats
            if row >= 0 and (cell.row_span > 1 or cell.column_span > 1):
                first = table.columns - cell.column - cell.column_span if rtl else cell.column
                last = first + cell.column_span - 1
                self.merged.append((starts[row], first, starts[row + cell.row_span] - 1, last))

    def append(self, texts: Iterable[Sequence[str]]) -> list[int]:
        """Add rows, too long texts in several; tells where each began, and the end."""
        starts = []
        for row in texts:
            starts.append(len(self.rows))
            self.rows += zip_longest(*map(_parts, row), fillvalue="") if any(row) else [()]
        return [*starts, len(self.rows)]


class _Sheet:
    """What a page gives, but for the table that goes on with the ``last`` one before it."""

    def __init__(self, page: Page, last: _Part | None) -> None:
        self.name = f"Page {page.number}"
        self.rtl = is_mostly_rtl("".join(line.text for line in page.lines))
        self.parts: list[_Part] = []
        self.goes_on = False
        for found in _stretches(page.blocks):
            if isinstance(found, Table) and found.continues and last is not None:
                last.add(found, self.rtl)
                self.goes_on = True
                continue
            part = _Part(isinstance(found, Table))
            if isinstance(found, Table):
                part.add(replace(found, continues=False, repeats=0), self.rtl)
            else:
                part.append(row.texts(self.rtl) for row in _rows(found))
            self.parts.append(part)


def _write(book: Workbook, sheets: Iterable[_Sheet]) -> None:
    for each in sheets:
        sheet = book.create_sheet(each.name)
        sheet.sheet_view.rightToLeft = each.rtl
        rows: list[Sequence[str]] = []
        heads: set[int] = set()
        for part in each.parts:
            if rows:  # What stands above a table is none of its rows.
                rows.append(())
            start = len(rows)
            heads.update(range(start, start + part.heads))
            for top, left, bottom, right in part.merged:
                sheet.merged_cells.add(
                    CellRange(
                        min_col=left + 1,
                        min_row=start + top + 1,
                        max_col=right + 1,
                        max_row=start + bottom + 1,
                    )
                )
            rows += part.rows
        _fill(sheet, rows, heads)


def _fill(sheet: Worksheet, rows: Sequence[Sequence[str]], heads: set[int]) -> None:
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


@dataclass
class _Row:
    lines: list[tuple[int, Box, str]] = field(default_factory=list)  # Each with its paragraph.

    def texts(self, rtl: bool) -> list[str]:
        texts = [text for _, _, text in sorted(self.lines, key=lambda line: line[1].left)]
        return texts[::-1] if rtl else texts

    def takes(self, paragraph: int, box: Box) -> bool:
        """Whether ``box`` stands beside all that is in the row."""
        return all(other != paragraph and _is_beside(its, box) for other, its, _ in self.lines)


def _rows(paragraphs: Sequence[Paragraph]) -> list[_Row]:
    """The lines in reading order, each beside the earlier ones that stand at its height."""
    rows: list[_Row] = []
    for number, paragraph in enumerate(paragraphs):
        after = -1  # The row of the paragraph's line before.
        for line, said in zip(paragraph.lines, paragraph.line_texts, strict=True):
            text = storable(said)
            if not text:
                continue
            found = next(
                (n for n in range(after + 1, len(rows)) if rows[n].takes(number, line.box)), None
            )
            if found is None:
                found = len(rows) if after < 0 else after + 1
                rows.insert(found, _Row())
            rows[found].lines.append((number, line.box, text))
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


def escaped(text: str) -> str:
    """``text`` for a cell: Excel takes _x0041_ for an escaped character."""
    return _ESCAPE.sub("_x005F_", text)


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
    cell = WriteOnlyCell(sheet, value=escaped(text))
    cell.data_type = "s"  # Never a formula (=1+1) nor an error (#N/A).
    cell.alignment = _WRAPPED
    if text[0] in "=+-@":
        cell.quotePrefix = True
    elif text[0].isdigit():
        cell.number_format = _TEXT_FORMAT  # An identity number stays one when it is edited.
    return cell


_ESCAPE = re.compile(r"_(?=x[0-9A-Fa-f]{4}_)")

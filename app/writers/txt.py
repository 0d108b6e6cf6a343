"""Plain text: pages separated by form feeds."""

from pathlib import Path

from app.document import Document, Page, Paragraph, Picture, Table
from app.writers.grid import grid_of, is_rtl, width_of
from app.writers.text_limits import storable


class TextWriter:
    """Writes UTF-8 text without a byte order mark."""

    media_type = "text/plain"
    looks = False
    exact = False
    retells = True

    def write(self, document: Document, target: Path) -> None:
        """Create ``target``: lines end where they ended, a blank line parts paragraphs.

        Tables are rows of cells with tabs between them.
        """
        with target.open("w", encoding="utf-8", newline="\n") as stream:
            for n, page in enumerate(document.pages):
                stream.write("\f" + _text(page) if n else _text(page))


def _text(page: Page) -> str:
    texts: list[str] = []
    for block in page.blocks:
        if isinstance(block, Table):
            texts.append(_table(block))
        else:
            inside = block.paragraphs if isinstance(block, Picture) else (block,)
            texts += map(_lines, inside)
    return "\n\n".join(text for text in texts if text)


def _lines(paragraph: Paragraph) -> str:
    return "\n".join(text for each in paragraph.line_texts if (text := storable(each)))


def _table(table: Table) -> str:
    """The rows, their columns below each other in a font whose characters are all as wide."""
    rtl = is_rtl(table)
    rows = [row[::-1] if rtl else row for row in grid_of(table)]
    spans = {(cell.row, cell.column) for cell in table.cells if cell.column_span > 1}
    widths = [
        max(
            (
                min(width_of(row[column]), _WIDEST)
                for number, row in enumerate(rows)
                if (number, column) not in spans
            ),
            default=0,
        )
        for column in range(table.columns)
    ]
    return "\n".join(_row(row, widths) for row in rows if any(row))


_WIDEST = 40  # Characters of a column; a longer text moves what follows in its row.
_BETWEEN = "  "


def _row(row: list[str], widths: list[int]) -> str:
    padded = (
        text + " " * (width - width_of(text)) for text, width in zip(row, widths, strict=True)
    )
    return _BETWEEN.join(padded).rstrip()

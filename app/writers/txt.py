"""Plain text: pages separated by form feeds."""

from pathlib import Path

from app.document import Document, Page, Paragraph, Table
from app.writers.grid import grid_of, is_rtl
from app.writers.text_limits import storable


class TextWriter:
    """Writes UTF-8 text without a byte order mark."""

    media_type = "text/plain"

    def write(self, document: Document, target: Path) -> None:
        """Create ``target``: lines end where they ended, a blank line parts paragraphs.

        Tables are rows of cells with tabs between them.
        """
        with target.open("w", encoding="utf-8", newline="\n") as stream:
            for n, page in enumerate(document.pages):
                stream.write("\f" + _text(page) if n else _text(page))


def _text(page: Page) -> str:
    texts = (_table(block) if isinstance(block, Table) else _lines(block) for block in page.blocks)
    return "\n\n".join(text for text in texts if text)


def _lines(paragraph: Paragraph) -> str:
    return "\n".join(text for line in paragraph.lines if (text := storable(line.text)))


def _table(table: Table) -> str:
    rows = (row[::-1] if is_rtl(table) else row for row in grid_of(table))
    return "\n".join("\t".join(row).rstrip("\t") for row in rows if any(row))

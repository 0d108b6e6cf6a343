"""Plain text: pages separated by form feeds."""

from pathlib import Path

from app.document import Document, Page
from app.writers.text_limits import storable


class TextWriter:
    """Writes UTF-8 text without a byte order mark."""

    media_type = "text/plain"

    def write(self, document: Document, target: Path) -> None:
        """Create ``target``: lines end where they ended, a blank line parts paragraphs."""
        with target.open("w", encoding="utf-8", newline="\n") as stream:
            for n, page in enumerate(document.pages):
                stream.write("\f" + _text(page) if n else _text(page))


def _text(page: Page) -> str:
    paragraphs = (
        "\n".join(text for line in paragraph.lines if (text := storable(line.text)))
        for paragraph in page.paragraphs
    )
    return "\n\n".join(text for text in paragraphs if text)

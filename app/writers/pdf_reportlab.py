"""PDF from pictures by reportlab, beside our own writer.

``benchmarks/pdf_writer.py`` compares the two. Documents that come from a PDF are no pictures to
draw: they go to ``PdfWriter`` as they are.
"""

import io
from dataclasses import replace
from pathlib import Path

from reportlab import rl_config
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from app.document import Document, Page
from app.errors import InvalidFile
from app.writers.pdf import PdfWriter
from app.writers.pdf_page import in_points


class ReportlabPdfWriter:
    """Draws the pictures with reportlab, then lays the text under them."""

    media_type = "application/pdf"
    looks = False
    exact = True
    retells = False

    def __init__(self) -> None:
        self._text = PdfWriter()
        rl_config.useA85 = 0  # Text armour is slow and a quarter larger; it has no other switch.

    def write(self, document: Document, target: Path) -> None:
        """Create ``target`` from the document's PDF, or else from the pictures of its pages.

        Raises InvalidFile.
        """
        if document.original is not None:
            self._text.write(document, target)
            return
        drawn = target.with_name(f"{target.name}.drawn")
        try:
            canvas = Canvas(str(drawn), invariant=True)
            pages = [_drawn(canvas, page) for page in document.pages]
            canvas.save()
            self._text.write(Document(pages, drawn), target)
        finally:
            drawn.unlink(missing_ok=True)


def _drawn(canvas: Canvas, page: Page) -> Page:
    """Draw one page; what remains of it is its text, which does not hold its picture."""
    width, height, _ = in_points(page)
    canvas.setPageSize((width, height))
    if page.picture is not None:
        # Its bytes, not its name: the name may stand for another picture on the next page.
        data = page.picture.read_bytes()
        try:
            canvas.drawImage(ImageReader(io.BytesIO(data)), 0, 0, width, height, mask="auto")
        except (OSError, SyntaxError, ValueError) as error:
            raise InvalidFile("A picture of a page is damaged and cannot be read.") from error
    canvas.showPage()
    # With a PDF as their source only recognized pages are given a text layer.
    return replace(page, picture=None, recognized=True)

"""PDF pages as Poppler sees them, for documents and pages that PDFium refuses."""

from pathlib import Path

import numpy as np
import pdf2image
import PIL.Image
from pdf2image.exceptions import PDFPopplerTimeoutError

from app.errors import InvalidFile, TimedOut
from app.interfaces import Image


def page_count(path: Path, timeout_s: float) -> int:
    """How many pages the document has. Raises InvalidFile, TimedOut."""
    try:
        return int(pdf2image.pdfinfo_from_path(str(path), timeout=_whole(timeout_s))["Pages"])
    except PDFPopplerTimeoutError as error:
        raise TimedOut("The document took too long to open.") from error
    except Exception as error:  # The package parses what the program prints, and hopes.
        raise InvalidFile("The document is damaged.") from error


def rasterize(path: Path, number: int, longer_side: int, timeout_s: float) -> Image:
    """The page with ``number`` from 1; its longer side has that many pixels."""
    try:
        found = pdf2image.convert_from_path(
            path,
            first_page=number,
            last_page=number,
            size=longer_side,
            use_cropbox=True,
            timeout=_whole(timeout_s),
        )
        return np.asarray(found[0].convert("RGB"))
    except PDFPopplerTimeoutError as error:
        raise TimedOut(f"Page {number} took too long.") from error
    except Exception as error:
        raise InvalidFile(f"Page {number} is damaged.") from error


def rasterize_as(path: Path, number: int, width: int, height: int, timeout_s: float) -> Image:
    """The page, ``width`` × ``height`` pixels, as another program would have made it."""
    image = rasterize(path, number, max(width, height), timeout_s)
    if image.shape[:2] == (height, width):
        return image
    return np.asarray(PIL.Image.fromarray(image).resize((width, height)))


def _whole(seconds: float) -> int:
    return max(1, round(seconds))

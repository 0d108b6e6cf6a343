"""PDF pages as Poppler sees them, for documents and pages that PDFium refuses."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pdf2image
import PIL.Image
from pdf2image.exceptions import PDFPopplerTimeoutError

from app import proc, sandbox
from app.errors import InvalidFile, TimedOut
from app.interfaces import Image


def page_count(path: Path, timeout_s: float) -> int:
    """How many pages the document has. Raises InvalidFile, TimedOut."""
    try:
        with _programs(path) as folder:
            told = pdf2image.pdfinfo_from_path(
                str(path.absolute()), timeout=_whole(timeout_s), poppler_path=folder
            )
        return int(told["Pages"])
    except PDFPopplerTimeoutError as error:
        raise TimedOut("The document took too long to open.") from error
    except Exception as error:  # The package parses what the program prints, and hopes.
        raise InvalidFile("The document is damaged.") from error


def rasterize(path: Path, number: int, longer_side: int, timeout_s: float) -> Image:
    """The page with ``number`` from 1; its longer side has that many pixels."""
    try:
        with _programs(path) as folder:
            found = pdf2image.convert_from_path(
                path.absolute(),
                first_page=number,
                last_page=number,
                size=longer_side,
                use_cropbox=True,
                timeout=_whole(timeout_s),
                poppler_path=folder,
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


@contextmanager
def _programs(path: Path) -> Iterator[str]:
    """A folder of Poppler's programs, under limits, that see ``path`` and no other file of ours.

    The package starts what has their names.
    """
    with TemporaryDirectory(prefix="ocr-poppler-") as name:
        room = Path(name, "room")
        room.mkdir()
        for program in ("pdfinfo", "pdftoppm"):
            confined = sandbox.strongest().around([program], room, [path.absolute()])
            words = shlex.join(proc.alone(confined, _MAX_MEMORY_BYTES))
            script = Path(name, program)
            script.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
            script.chmod(0o700)
        yield name


_MAX_MEMORY_BYTES = 2 * 2**30


def _whole(seconds: float) -> int:
    return max(1, round(seconds))

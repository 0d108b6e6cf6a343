"""An engine without models, for developers and tests: what it reads depends on the pixels alone.

The rule: with d = the SHA-256 of the shape and the pixels, a page has 1 + d[0] % 3 lines. Line n
(from 1) reads "stub", n, the width, "x", the height and the first eight hexadecimal digits of d,
as words in equal columns of the n-th of equal rows. Of Digits alone, only the numbers remain. A
page of one colour, and one with a side of less than 3 pixels, has no text.
"""

import hashlib
import time
from collections.abc import Sequence

import numpy as np

from app.document import Box, Line, Word
from app.interfaces import Image
from app.languages import Language, digits_only


class StubEngine:
    """Invents the same lines for the same image.

    Each takes it ``page_s`` seconds, in which it needs no processor: so many workers can be
    measured on few cores.
    """

    def __init__(self, page_s: float = 0) -> None:
        self._page_s = page_s

    def turns(self, image: Image, languages: Sequence[Language]) -> int:
        """0: noise has no upside."""
        return 0

    def recognize(self, image: Image, languages: Sequence[Language], dpi: float) -> list[Line]:
        """One to three lines, or none for an image without content."""
        time.sleep(self._page_s)
        height, width = image.shape[:2]
        if min(height, width) < 3 or (image == image[0, 0]).all():
            return []
        digest = hashlib.sha256(
            f"{width}x{height}:".encode() + np.ascontiguousarray(image).tobytes()
        ).digest()
        rows = 1 + digest[0] % 3
        return [
            _line(
                _texts(n + 1, width, height, digest.hex()[:8], digits_only(languages)),
                Box(0, n * height / rows, width, (n + 1) * height / rows),
            )
            for n in range(rows)
        ]

    def prepare(self) -> bool:
        """There is nothing to prepare."""
        return False


def _texts(number: int, width: int, height: int, digest: str, numbers_only: bool) -> list[str]:
    texts = ["stub", str(number), str(width), "x", str(height), digest]
    return [text for text in texts if text.isdecimal()] if numbers_only else texts


def _line(texts: list[str], box: Box) -> Line:
    step = box.width / len(texts)
    words = tuple(
        Word(text, Box(n * step, box.top, (n + 1) * step, box.bottom))
        for n, text in enumerate(texts)
    )
    return Line(words, box)

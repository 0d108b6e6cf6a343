"""The engine for every request: PP-OCR where it can read the language, else both, line by line.

PP-OCR finds the text. Whatever it has no letters for it leaves out, and is sure of the rest: in
Russian or Korean it reads the figures and the Latin words, right and with high confidence, and
nothing else. Tesseract reads the line as a whole, but takes foreign words for its own, with low
confidence. So a line in such a language is Tesseract's, with PP-OCR's words in the place of those.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from app.document import Line
from app.engines.mixing import Taste, doubtful, mix
from app.engines.pieces import Pieces
from app.interfaces import Engine, Image
from app.languages import Language, for_tesseract


class LineReader(Protocol):
    """Reads what a detector found."""

    def read(
        self, image: Image, pieces: Pieces, languages: Sequence[Language]
    ) -> list[Line | None]:
        """What stands at each of ``pieces``; None where nothing could be read."""


class Finder(LineReader, Engine, Protocol):
    """Finds text, too."""

    def find(self, image: Image, *, careful: bool = False) -> Pieces:
        """Where text stands."""


class Tesseract(LineReader, Engine, Protocol):
    """Reads whole pages, too."""


class AutoEngine:
    """Chooses between PP-OCR and Tesseract."""

    def __init__(self, ppocr: Finder, tesseract: Tesseract) -> None:
        self._ppocr = ppocr
        self._tesseract = tesseract

    def turns(self, image: Image, languages: Sequence[Language]) -> int:
        """How many quarter turns to the left set the page upright."""
        turns = self._ppocr.turns(image, languages)
        tesseract_reads = for_tesseract(languages)
        if turns and tesseract_reads:
            # PP-OCR went by the page's looks alone; it could not read it, either way.
            upright = np.ascontiguousarray(np.rot90(image, turns))
            if self._legible(upright, tesseract_reads) <= self._legible(image, tesseract_reads):
                return 0
        return turns

    def _legible(self, image: Image, languages: Sequence[Language]) -> float:
        """The mean confidence with which Tesseract reads the longest lines."""
        pieces = self._ppocr.find(image)
        longest = np.argsort(-np.maximum(pieces.widths, pieces.heights))[:_SAMPLES]
        lines = self._tesseract.read(image, pieces[longest], languages) if len(longest) else []
        return sum(line.confidence for line in lines if line) / max(1, len(lines))

    def prepare(self) -> bool:
        """Do a little that makes later pages quicker; False where nothing is left to do."""
        return self._ppocr.prepare()

    def recognize(self, image: Image, languages: Sequence[Language], dpi: float) -> list[Line]:
        """The lines on ``image``. Raises TimedOut, InternalError."""
        tesseract_reads = for_tesseract(languages)
        if not tesseract_reads:
            return self._ppocr.recognize(image, languages, dpi)
        # Beside the time that Tesseract takes, a close look costs little.
        pieces = self._ppocr.find(image, careful=True)
        lines = self._tesseract.read(image, pieces, tesseract_reads)
        taste = Taste.of(languages)
        parts = [
            (n, part)
            for n, line in enumerate(lines)
            for part in doubtful(line, pieces[n : n + 1], taste)
        ]
        if parts:
            again = Pieces.joined([part for _, part in parts])
            others: list[list[Line | None]] = [[] for _ in lines]
            for (n, _), other in zip(parts, self._ppocr.read(image, again, languages), strict=True):
                others[n].append(other)
            lines = [mix(*both, taste) for both in zip(lines, others, strict=True)]
        found = [line for line in lines if line is not None]
        if found and _read(found) < _HOPELESS * sum(len(line.text) for line in found):
            # Such as a chart of single letters, where no line helps to tell them.
            whole = self._tesseract.recognize(image, tesseract_reads, dpi)
            found = max(found, whole, key=_read)
        return found


_SAMPLES = 6  # Lines that tell which way up a page is.
_HOPELESS = 0.5  # Mean confidence of a page's characters.


def _read(lines: Sequence[Line]) -> float:
    """How many characters are right, if the confidences are."""
    return sum(line.confidence * len(line.text) for line in lines)

"""PP-OCRv6 on OpenVINO: reads Chinese, Japanese and the languages in Latin letters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from app.document import Line
from app.engines.pieces import Pieces
from app.engines.ppocr_cascade import Cascade, Flags
from app.engines.ppocr_context import in_context
from app.engines.ppocr_detect import CLOSE, GLANCE, find_text
from app.engines.ppocr_networks import Networks
from app.engines.ppocr_read import read_text, sample_text
from app.engines.ppocr_script import foreign
from app.engines.ppocr_turns import upright
from app.errors import InternalError
from app.interfaces import Image
from app.languages import Language, digits_only


class PpocrEngine:
    """Finds lines with one network and reads them with another.

    ``threads`` bounds the cores that are used; compiled models are kept in ``cache_dir``. Nothing
    is loaded before the first page.
    """

    def __init__(self, threads: int, cache_dir: Path | None) -> None:
        self.threads = threads
        self.cache_dir = cache_dir
        self._lock = Lock()
        self._networks: Networks | None = None
        self._sizes: Iterator[bool] | None = None
        self._known: dict[frozenset[str], Flags | None] = {}

    def recognize(self, image: Image, languages: Sequence[Language], dpi: float) -> list[Line]:
        """The lines on ``image``; a request for the language Digits alone gives only numbers."""
        pieces = self.find(image)
        read = self.read(image, pieces, languages)
        lines = [line for line in read if line]
        if _doubtful(lines):
            again = self._read_closely(image, pieces, read, languages)
            if _certain(again) >= _certain(lines):
                lines = again
        return lines if digits_only(languages) else in_context(lines)

    def prepare(self) -> bool:
        """Meet the next usual size of strips or pages, each of which is slow the first time."""
        with self._lock, _translated():
            if self._sizes is None:
                self._sizes = self._loaded().usual_sizes()
            return next(self._sizes, False)

    def turns(self, image: Image, languages: Sequence[Language]) -> int:
        """How many quarter turns to the left set the page upright."""
        with self._lock, _translated():
            networks = self._loaded()

            def find() -> Pieces:
                return find_text(image, networks.glance, GLANCE)

            def sample(pieces: Pieces, first: int) -> tuple[float, float]:
                return sample_text(image, pieces, first, networks.draft, networks.alphabet)

            readable = all(language.engine == "ppocr" for language in languages)
            return upright(image, networks.turns, find, sample if readable else None)

    def find(self, image: Image, *, careful: bool = False) -> Pieces:
        """Where text stands."""
        with self._lock, _translated():
            networks = self._loaded()
            if careful:
                found = find_text(image, networks.look, CLOSE)
                networks.rest()
                return found
            return find_text(image, networks.glance, GLANCE)

    def read(
        self, image: Image, pieces: Pieces, languages: Sequence[Language]
    ) -> list[Line | None]:
        """What stands at each of ``pieces``; None where nothing could be read."""
        with self._lock, _translated():
            networks = self._loaded()
            alphabet = networks.alphabet
            if digits_only(languages):
                # So few characters are told apart that both networks can be asked.
                readings = [
                    read_text(image, pieces, reader, alphabet, _LEAST_DIGIT)
                    for reader in (networks.draft_digits, networks.read_digits)
                ]
                return [max(both, key=_confidence) for both in zip(*readings, strict=True)]
            scripts = frozenset(language.script for language in languages)
            draft = None if scripts & _NOT_DRAFTED else networks.draft
            reader = Cascade(draft, networks.read, alphabet, self._foreign(scripts))
            return read_text(image, pieces, reader, alphabet)

    def _read_closely(
        self,
        image: Image,
        pieces: Pieces,
        read: Sequence[Line | None],
        languages: Sequence[Language],
    ) -> list[Line]:
        """What a close look finds; where it sees one of ``pieces`` again, that is not read anew.

        Unless it was not ``read`` well.
        """
        well = [n for n, line in enumerate(read) if line and line.confidence >= _CERTAIN]
        closer = self.find(image, careful=True)
        known = _same(closer.corners, pieces.corners[well])
        lines = [read[well[n]] if n >= 0 else None for n in known.tolist()]
        anew = np.flatnonzero(known < 0)
        for n, line in zip(anew.tolist(), self.read(image, closer[anew], languages), strict=True):
            lines[n] = line
        return [line for line in lines if line]

    def _foreign(self, scripts: frozenset[str]) -> Flags | None:
        if scripts not in self._known:
            characters = self._loaded().alphabet.characters.tolist()
            self._known[scripts] = foreign(characters, scripts)
        return self._known[scripts]

    def _loaded(self) -> Networks:
        if self._networks is None:
            self._networks = Networks(self.threads, self.cache_dir)
        return self._networks


# The tiny network knows too few of their characters: nearly all would be read twice.
_NOT_DRAFTED = frozenset({"Hant", "Jpan"})
# A digit need not be the likeliest character, but a letter must not become one: among all
# characters it has at least this probability.
_LEAST_DIGIT = 0.02


# A line of lower mean confidence is doubtful, and a page with more characters in such lines needs
# a closer look: in print there are none, on photos and in newspapers that a glance does not see
# well, 1 % and more.
_CERTAIN = 0.9
_MOST_DOUBTFUL = 0.008


def _doubtful(lines: Sequence[Line]) -> bool:
    """Whether a page read so badly, or as empty, that a closer look may help."""
    characters = sum(len(line.text) for line in lines)
    doubtful = sum(len(line.text) for line in lines if line.confidence < _CERTAIN)
    return doubtful >= _MOST_DOUBTFUL * characters


def _same(pieces: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.int64]:
    """For each of ``pieces`` which of ``others`` is in its place, -1 if none is.

    Both are of shape (n, 4, 2), corners.
    """
    same = np.full(len(pieces), -1)
    if len(others):
        for n, piece in enumerate(pieces):
            apart = np.linalg.norm(others - piece, axis=2).max(axis=1)
            nearest = int(apart.argmin())
            height = np.linalg.norm(piece[1:3] - piece[0:2], axis=1).min()
            if apart[nearest] <= _APART * height:
                same[n] = nearest
    return same


_APART = 0.3  # Of a line's height; as far as corners are apart that mean the same.


def _confidence(line: Line | None) -> float:
    return line.confidence if line else 0.0


def _certain(lines: Sequence[Line]) -> float:
    """How many characters are right, if the confidences are; doubtful ones count against it."""
    return sum((2 * line.confidence - 1) * len(line.text) for line in lines)


@contextmanager
def _translated() -> Iterator[None]:
    """What OpenVINO raises, whatever goes wrong, as an error of ours."""
    try:
        yield
    except RuntimeError as error:
        raise InternalError("The page could not be read.") from error

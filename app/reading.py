"""How the lines of a page come about: from its text layer, by recognition, or from both."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from enum import IntEnum, StrEnum
from functools import cache
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from app.document import Box, Line
from app.interfaces import Engine, Image, SourcePage, SourcePicture
from app.languages import Language


class Mode(StrEnum):
    """What is recognized of a source that has a text of its own."""

    AUTO = "auto"  # Pages whose text cannot be trusted, and pictures on the others.
    FORCE = "force"  # Every page.
    SKIP = "skip"  # Pages without any text.


@dataclass(frozen=True, slots=True)
class Read:
    """The lines of a page."""

    lines: tuple[Line, ...]
    recognized: bool  # Whether recognition found any of them, or looked at all of the page.
    turns: int = 0  # Quarter turns to the left that set the page upright.
    image: Image | None = None  # The page as it was recognized, upright.


class Reader:
    """Reads the pages of one document."""

    def __init__(self, engine: Engine, languages: tuple[Language, ...], mode: Mode) -> None:
        self._engine = engine
        self._languages = languages
        self.mode = mode
        self._known: dict[bytes, tuple[Line, ...]] = {}  # What was read in pictures.
        self._doubts = _MOST_DOUBTS  # Odd pages that are still to be looked at.

    def read(self, page: SourcePage) -> Read:
        """The lines of ``page``. Raises InvalidFile, TimedOut, InternalError."""
        given = page.lines
        if given and self.mode is Mode.FORCE:
            given = None
        elif given is None and self.mode is Mode.SKIP and page.layer is not None:
            given = page.layer() or None
        image: Image | None = None
        if given and self.mode is Mode.AUTO:
            if self._doubts and is_odd("".join(line.text for line in given)):
                image = page.load()
                if self._differs(given, image, page.dpi):
                    given = None
                else:
                    self._doubts -= 1
            if given and page.pictures:
                more, image = self._in_pictures(page, given, image)
                if more:
                    return Read((*given, *more), recognized=True, image=image)
        if given is not None:
            return Read(given, recognized=False)
        return self._whole(page, page.load() if image is None else image)

    def _whole(self, page: SourcePage, image: Image) -> Read:
        turns = self._engine.turns(image, self._languages)
        image = np.ascontiguousarray(np.rot90(image, turns))
        lines = tuple(self._engine.recognize(image, self._languages, page.dpi))
        return Read(lines, True, turns, image)

    def _differs(self, given: Sequence[Line], image: Image, dpi: float) -> bool:
        """Whether some of the lines are clearly not what the page shows."""
        level = [line for line in given if not line.vertical and abs(line.slope) < _LEVEL]
        longest = sorted(level, key=lambda line: -len(_bare(line.text)))[:_MOST_SAMPLES]
        alike = []
        for line in longest:
            part, _ = _cut(image, line.box, _ROOM * line.box.height)
            seen = self._engine.recognize(part, self._languages, dpi) if part.size else []
            text = "".join(each.text for each in seen)
            if sum(each.confidence * len(each.text) for each in seen) >= _SURE * len(text) > 0:
                alike.append(SequenceMatcher(None, _bare(text), _bare(line.text)).ratio())
                if alike[0] >= _THE_SAME:
                    break  # The longest line says what it shows: it is the text that is odd.
        return bool(alike) and sum(alike) / len(alike) < _ALIKE

    def _in_pictures(
        self, page: SourcePage, given: Sequence[Line], image: Image | None
    ) -> tuple[list[Line], Image | None]:
        """What stands in pictures of the page and not in its text; the page's image if used."""
        found: list[Line] = []
        for picture in page.pictures:
            inside = sum(_common(line.box, picture.box) for line in given)
            if inside > _MOST_WRITTEN * picture.box.width * picture.box.height:
                continue  # It lies under text.
            lines = self._known.get(picture.digest) if picture.digest else None
            if lines is None:
                image = page.load() if image is None else image
                lines = self._read_picture(picture, image, page.dpi)
                if picture.digest:
                    self._known[picture.digest] = lines
            left, top = picture.box.left, picture.box.top
            moved = (_moved(line, left, top) for line in lines)
            found += (line for line in moved if not any(_is_said(line, each) for each in given))
        return found, (page.load() if found and image is None else image)

    def _read_picture(self, picture: SourcePicture, image: Image, dpi: float) -> tuple[Line, ...]:
        """The lines in a picture, seen from its upper left corner."""
        part, corner = _cut(image, picture.box, 0.0)
        if min(part.shape[:2]) < _SMALLEST:
            return ()
        off = corner[0] - picture.box.left, corner[1] - picture.box.top
        return tuple(
            _moved(line, *off)
            for line in self._engine.recognize(part, self._languages, dpi)
            if line.confidence >= _SURE and len(_bare(line.text)) >= _FEWEST_IN_PICTURE
        )


_LEVEL = 0.02  # Pixels that a level line may fall with each to the right.
_MOST_SAMPLES = 3
_MOST_DOUBTS = 3  # After so many odd pages that say what they show, a document is believed.
_ROOM = 0.3  # Around a line, in parts of its height.
_SURE = 0.75  # Confidence from which on we trust what we read more than a text layer.
_ALIKE = 0.5  # Of two texts of one line; recognition that is sure reads more of it right.
_THE_SAME = 0.8  # Of the longest line; a font with wrong characters has hardly one right.
_MOST_WRITTEN = 0.15  # Of a picture's area; what has more text on it is a ground.
_SMALLEST = 16  # Pixels of a picture's side.
_FEWEST_IN_PICTURE = 3  # Letters and figures of a line; drawings look like single ones.


def is_odd(text: str) -> bool:
    """Whether a text is unlike what people write, as where a font gives its characters wrong ones.

    It is a reason to look, not to judge: numbers and lists of parts are odd as well.
    """
    text = _LEADERS.sub("", text)
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    counts = np.bincount(_signs()[np.minimum(codes, 0xFFFF)], minlength=len(_Sign)).tolist()
    letters = counts[_Sign.LETTER] + counts[_Sign.USUAL]
    han = counts[_Sign.HAN] + counts[_Sign.COMMON]
    if letters >= max(_FEWEST, han):  # Those in Han text are names and commands.
        usual = counts[_Sign.USUAL] / letters
        if usual < _LEAST_USUAL:
            return True
    if han >= _FEWEST and counts[_Sign.COMMON] < _COMMON * han:
        return True
    shown = len(codes) - counts[_Sign.SPACE]
    return bool(shown >= _FEWEST and counts[_Sign.STRANGE] > _MOST_STRANGE * shown)


_LEADERS = re.compile(r"(?:[.·…_-]\s*){3,}")
_LETTERS = re.compile("[a-zA-Z]")
_USUAL = re.compile("[aeinorstAEINORST]")
_HAN = re.compile("[\u4e00-\u9fff]")
_STRANGE = re.compile("[!-/:-@\\[-`{-~\u00a1-\u00ff]")  # Marks, and what other encodings become.
_FEWEST = 40  # Characters that tell something.
_LEAST_USUAL = 0.46  # Of letters: from 0.48 in Vietnamese to 0.66 in French, 0.2 to 0.44 if moved.
_COMMON = 0.85  # Of Han characters in running text; even names and old texts have more.
_MOST_STRANGE = 0.4


class _Sign(IntEnum):
    """What a character is, as far as it tells whether people write so."""

    OTHER = 0
    SPACE = 1
    LETTER = 2
    USUAL = 3  # A letter that is.
    HAN = 4
    COMMON = 5  # A Han character that is.
    STRANGE = 6


@cache
def _signs() -> NDArray[np.uint8]:
    """What each character of the basic plane is."""
    signs = np.zeros(0x10000, np.uint8)
    for sign, pattern in (
        (_Sign.SPACE, re.compile(r"\s")),
        (_Sign.LETTER, _LETTERS),
        (_Sign.USUAL, _USUAL),
        (_Sign.HAN, _HAN),
        (_Sign.STRANGE, _STRANGE),
    ):
        signs[list(map(ord, pattern.findall(_BASIC_PLANE)))] = sign
    signs[list(map(ord, filter(_HAN.fullmatch, _common_han())))] = _Sign.COMMON
    return signs


_BASIC_PLANE = "".join(map(chr, range(0x10000)))


@cache
def _common_han() -> frozenset[str]:
    """The first levels of GB 2312 and Big5, and all of JIS X 0208's first: 7,800 characters."""
    found = set()
    for code, (first, last) in {
        "gb2312": (0xB0, 0xD7),
        "big5": (0xA4, 0xC6),
        "euc_jp": (0xB0, 0xCF),
    }.items():
        for high in range(first, last + 1):
            for low in range(0x40, 0xFF):
                found.add(bytes((high, low)).decode(code, "ignore"))
    return frozenset(found)


def _bare(text: str) -> str:
    """Letters and figures alone: marks, such as leaders, are many, and are read with less care."""
    return "".join(filter(str.isalnum, normalize("NFKC", text))).lower()


def _cut(image: Image, box: Box, room: float) -> tuple[Image, tuple[int, int]]:
    """The part of ``image`` in ``box`` and some ``room`` around it, and its left and top."""
    left, top = max(0, int(box.left - room)), max(0, int(box.top - room))
    right, bottom = round(box.right + room), round(box.bottom + room)
    return np.ascontiguousarray(image[top : max(top, bottom), left : max(left, right)]), (left, top)


def _moved(line: Line, right: float, down: float) -> Line:
    def moved(box: Box) -> Box:
        return Box(box.left + right, box.top + down, box.right + right, box.bottom + down)

    words = tuple(word._replace(box=moved(word.box)) for word in line.words)
    return replace(line, words=words, box=moved(line.box))


def _common(a: Box, b: Box) -> float:
    """The area that both cover."""
    across = min(a.right, b.right) - max(a.left, b.left)
    down = min(a.bottom, b.bottom) - max(a.top, b.top)
    return max(0.0, across) * max(0.0, down)


def _is_said(line: Line, given: Line) -> bool:
    """Whether a line that was recognized stands where one stands in the text layer."""
    area = min(line.box.width * line.box.height, given.box.width * given.box.height)
    return _common(line.box, given.box) > area / 3

"""One line of two readings: Tesseract's, and PP-OCR's of those parts of it that are in doubt."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from app.document import Box, Line, Word, is_unspaced
from app.engines.pieces import Floats, Pieces
from app.languages import Language


@dataclass(frozen=True, slots=True)
class Taste:
    """What PP-OCR is believed in a request."""

    latin: bool  # Words in Latin letters: no language in these is Tesseract's.
    han: bool

    @staticmethod
    def of(languages: Sequence[Language]) -> Taste:
        """For a request for ``languages``."""
        own = {language.script for language in languages if language.engine == "tesseract"}
        others = {language.script for language in languages if language.engine == "ppocr"}
        return Taste(own.isdisjoint({"Latn", "Latf"}), not others.isdisjoint(_HAN_SCRIPTS))

    def doubts(self, word: Word) -> bool:
        """Whether PP-OCR might read a word of Tesseract's better."""
        if word.confidence < (_DOUBTFUL_BESIDE_HAN if self.han else _DOUBTFUL):
            return True
        return self.latin and _has_sense([word]) and not self.is_native(word)

    def likes(self, words: Sequence[Word]) -> bool:
        """Whether words of PP-OCR's can be right."""
        letters = [c for word in words for c in word.text if c.isalpha()]
        return (
            _has_sense(words)
            and _confidence(words) >= _SURE
            and all(self.han if _is_han(c) else _is_latin(c) for c in letters)
        )

    def prefers(self, theirs: Sequence[Word], ours: Sequence[Word]) -> bool:
        """Whether PP-OCR's words are likelier right than Tesseract's in the same place."""
        if not any(map(self.is_native, ours)):
            return True
        han = any(_is_han(c) for word in theirs for c in word.text)
        least = _CLEARLY if self.latin or han else _FAR
        return _confidence(theirs) >= _confidence(ours) + least

    def is_native(self, word: Word) -> bool:
        """Whether it has letters that only Tesseract is believed."""
        return any(
            c.isalpha() and not _is_han(c) and not _is_jamo(c) and not (self.latin and _is_latin(c))
            for c in word.text
        )


def doubtful(line: Line | None, piece: Pieces, taste: Taste) -> list[Pieces]:
    """The parts of ``piece``, a single one, that PP-OCR shall read, too.

    ``line`` is what Tesseract read there.
    """
    if line is None:
        return [piece]
    (corners,) = piece.corners
    along = corners[1] - corners[0]
    length = math.hypot(*along.tolist())
    least = math.dist(corners[0], corners[3]) / length  # A gap that may hold text.
    ends = [
        (*_ends(word.box, corners[0], along / length**2), taste.doubts(word)) for word in line.words
    ]
    parts: list[tuple[float, float]] = []
    start, open_since = 0.0, False
    for left, right, doubted in [*sorted(ends), (1.0, 1.0, False)]:
        if doubted:
            open_since = True
            continue
        if open_since or left - start > least:
            parts.append((start, left))
        start, open_since = max(start, right), False
    if sum(stop - begin for begin, stop in parts) > _MOST:
        return [piece]
    return [piece.part(0, begin, stop) for begin, stop in parts]


def mix(line: Line | None, others: Sequence[Line | None], taste: Taste) -> Line | None:
    """Tesseract's ``line`` with those words of PP-OCR's ``others`` that are likelier right."""
    runs = [run for other in others if other for run in _runs(other) if taste.likes(run)]
    words = list(line.words) if line else []
    leftward = len(words) > 1 and words[0].box.left > words[-1].box.left
    taken: list[Word] = []
    for run, ours in _groups(runs, words):
        if not taste.prefers(run, ours):
            continue
        if ours:
            run = [run[0]._replace(spaced=ours[0].spaced), *run[1:]]
        at = words.index(ours[0]) if ours else _place(run[0], words, leftward)
        words = [word for word in words if word not in ours]
        words[at:at] = run
        taken += run
    if not words:
        return None
    if leftward:  # What PP-OCR reads runs to the right, within a line to the left, too.
        stretches = groupby(words, key=lambda word: word in taken)
        words = [
            word
            for theirs, stretch in stretches
            for word in (sorted(stretch, key=lambda one: one.box.left) if theirs else stretch)
        ]
    box = Box.around(word.box for word in words)
    like = line or next(other for other in others if other)
    return Line(tuple(words), box, like.vertical, like.slope)


_HAN_SCRIPTS = frozenset({"Hans", "Hant", "Jpan"})
_DOUBTFUL = 0.85  # A word of Tesseract's below this is looked at again.
_DOUBTFUL_BESIDE_HAN = 0.93  # The same, where it may have taken Han for Hangul.
_SURE = 0.9  # PP-OCR's right words are above this, what it sees in foreign scripts is below.
_CLEARLY = 0.1  # How much surer PP-OCR must be where Tesseract read letters of its own script.
_FAR = 0.35  # The same where it may have left out letters, such as those of Vietnamese.
_MOST = 0.7  # Of a piece; if more of it is in doubt, all of it is read again.


def _ends(box: Box, origin: Floats, along: Floats) -> tuple[float, float]:
    """Where a word begins and ends on the way from ``origin``; the piece's end is at 1."""
    middle = (box.top + box.bottom) / 2
    left, right = (
        float((np.array([x, middle], np.float32) - origin) @ along) for x in (box.left, box.right)
    )
    return left, right


def _runs(line: Line) -> Iterator[list[Word]]:
    """The words of a line that have no spaces between them."""
    run: list[Word] = []
    for word in line.words:
        if run and word.spaced:
            yield run
            run = []
        run.append(word)
    yield run


def _groups(
    runs: Sequence[list[Word]], words: Sequence[Word]
) -> Iterator[tuple[list[Word], list[Word]]]:
    """Words that stand in the same places: of ``runs``, and of ``words``."""
    group: list[Word] = []
    same: list[Word] = []
    for run in runs:
        box = Box.around(word.box for word in run)
        under = [word for word in words if _overlap(box, word.box)]
        if group and not any(word in same for word in under):
            yield group, same
            group, same = [], []
        group = [*group, *run]
        same = [word for word in words if word in same or word in under]
    if group:
        yield group, same


def _overlap(one: Box, other: Box) -> bool:
    shared = min(one.right, other.right) - max(one.left, other.left)
    return shared > 0.4 * min(one.width, other.width)


def _confidence(words: Sequence[Word]) -> float:
    letters = sum(len(word.text) for word in words)
    return sum(word.confidence * len(word.text) for word in words) / letters


def _place(word: Word, words: Sequence[Word], leftward: bool) -> int:
    """Where among ``words`` ``word`` belongs."""
    middle = (word.box.left + word.box.right) / 2
    middles = [(one.box.left + one.box.right) / 2 for one in words]
    return sum((one > middle) if leftward else (one < middle) for one in middles)


def _has_sense(words: Sequence[Word]) -> bool:
    return any(character.isalnum() for word in words for character in word.text)


def _is_latin(character: str) -> bool:
    return character < "\u0250" or "\u1e00" <= character < "\u1f00"


def _is_han(character: str) -> bool:
    return character >= "\u2e80" and is_unspaced(character)


def _is_jamo(character: str) -> bool:
    """Whether it is a part of a Hangul syllable, which in print seldom stands alone."""
    return "\u3131" <= character <= "\u318e"

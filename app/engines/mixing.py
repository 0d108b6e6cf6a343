"""One line of two readings: Tesseract's, with those words that PP-OCR reads better."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from app.document import Box, Line, Word, is_unspaced
from app.languages import Language


@dataclass(frozen=True, slots=True)
class Taste:
    """Which letters PP-OCR is believed."""

    latin: bool
    han: bool

    @staticmethod
    def of(languages: Sequence[Language]) -> Taste:
        """For a request; where a language in Latin letters is Tesseract's, so are all of them."""
        own = {language.script for language in languages if language.engine == "tesseract"}
        others = {language.script for language in languages if language.engine == "ppocr"}
        return Taste(own.isdisjoint({"Latn", "Latf"}), not others.isdisjoint(_HAN_SCRIPTS))

    def doubts(self, line: Line | None) -> bool:
        """Whether PP-OCR might read some of Tesseract's ``line`` better."""
        if line is None or self.han:
            return True
        return any(
            word.confidence < _DOUBTFUL or (_has_sense(word.text) and not _is_native(word.text))
            for word in line.words
        )

    def likes(self, word: Word) -> bool:
        """Whether a word of PP-OCR's can be right."""
        return (
            word.confidence >= _SURE
            and _has_sense(word.text)
            and not _is_native(word.text)
            and all(self.latin or not c.isalpha() or _is_han(c) for c in word.text)
            and all(self.han or not _is_han(c) for c in word.text if c.isalpha())
        )


def mix(line: Line | None, other: Line | None, taste: Taste) -> Line | None:
    """Tesseract's ``line`` with words of PP-OCR's ``other`` where these are likelier right."""
    if other is None:
        return line
    words = [word for word in other.words if taste.likes(word)]
    if line is None:
        return _line(words, other) if words else None
    result = list(line.words)
    for group, places in _groups(words, line.words):
        ours = [line.words[n] for n in places]
        if not _is_better(group, ours):
            continue
        if ours:
            group = [replace(group[0], spaced=ours[0].spaced), *group[1:]]
            at = next(n for n, word in enumerate(result) if word is ours[0])
            result = [word for word in result if not any(word is one for one in ours)]
        else:
            at = _place(group[0], result)
        result[at:at] = group
    return _line(result, line)


_HAN_SCRIPTS = frozenset({"Hans", "Hant", "Jpan"})
_DOUBTFUL = 0.85  # A word of Tesseract's below this is looked at again.
_SURE = 0.9  # PP-OCR's right words are above this, its wrong ones in foreign scripts below.
_CLEARLY = 0.1  # How much surer PP-OCR must be where Tesseract read letters of its own script.


def _line(words: Sequence[Word], like: Line) -> Line:
    return Line(tuple(words), Box.around(word.box for word in words), like.vertical)


def _groups(words: Sequence[Word], ours: Sequence[Word]) -> Iterator[tuple[list[Word], list[int]]]:
    """Words that stand in the same places: of ``words``, and the numbers of those of ``ours``."""
    group: list[Word] = []
    places: list[int] = []
    for word in words:
        same = [n for n, one in enumerate(ours) if _overlap(word.box, one.box)]
        if group and not set(same) & set(places):
            yield group, places
            group, places = [], []
        group.append(word)
        places += [n for n in same if n not in places]
    if group:
        yield group, sorted(places)


def _overlap(one: Box, other: Box) -> bool:
    shared = min(one.right, other.right) - max(one.left, other.left)
    return shared > 0.4 * min(one.width, other.width)


def _is_better(theirs: Sequence[Word], ours: Sequence[Word]) -> bool:
    if not ours:
        return True
    least = _CLEARLY if any(_is_native(word.text) for word in ours) else -1.0
    return _confidence(theirs) - _confidence(ours) >= least


def _confidence(words: Sequence[Word]) -> float:
    letters = sum(len(word.text) for word in words)
    return sum(word.confidence * len(word.text) for word in words) / letters


def _place(word: Word, words: Sequence[Word]) -> int:
    """Where among ``words``, which run to the left or to the right, ``word`` belongs."""
    middles = [(one.box.left + one.box.right) / 2 for one in words]
    middle = (word.box.left + word.box.right) / 2
    leftward = len(middles) > 1 and middles[0] > middles[-1]
    return sum((one > middle) if leftward else (one < middle) for one in middles)


def _has_sense(text: str) -> bool:
    return any(character.isalnum() for character in text)


def _is_native(text: str) -> bool:
    """Whether a letter is in it that is neither Latin nor Han."""
    return any(c.isalpha() and not _is_latin(c) and not _is_han(c) for c in text)


def _is_latin(character: str) -> bool:
    return character < "\u0250" or "\u1e00" <= character < "\u1f00"


def _is_han(character: str) -> bool:
    return character >= "\u2e80" and is_unspaced(character)

"""What of a draft is read again, and whose word counts."""

from collections.abc import Iterable, Sequence

import numpy as np
import pytest

from app.engines.ppocr_cascade import Cascade
from app.engines.ppocr_read import COLUMN, Alphabet, Columns
from app.interfaces import Image

ALPHABET = Alphabet([*'abcdeéf."“”甲乙丙丁', " "])
SURE = 6.0


def columns(text: str, margin: float = SURE, second: str = "") -> Columns:
    """Three columns for each character: itself, then nothing; "_" is nothing at all."""
    numbers = [0 if c == "_" else int(np.flatnonzero(ALPHABET.characters == c)[0]) for c in text]
    best = np.array([each for number in numbers for each in (number, 0, 0)], np.int32)
    other = np.flatnonzero(ALPHABET.characters == second)[0] if second else 0
    return Columns(
        best, np.full(len(best), other, np.int32), np.full(len(best), margin, np.float32)
    )


def text(found: Columns) -> str:
    return "".join(ALPHABET.characters[found.best[::3]].tolist())


class Readers:
    """A draft, and a careful reader to whom all that it is shown are f's."""

    def __init__(self, *drafts: Columns) -> None:
        self.drafts = drafts
        self.seen: list[int] = []

    def draft(self, strips: Iterable[Image]) -> Sequence[Columns]:
        return [draft for draft, _ in zip(self.drafts, strips, strict=True)]

    def careful(self, strips: Iterable[Image]) -> Sequence[Columns]:
        self.seen += [strip.shape[2] // COLUMN for strip in strips]
        return [columns("f" * (-(-width // 3))) for width in self.seen]


def read_again(*drafts: Columns) -> list[int]:
    """The widths in columns of what the careful reader was shown."""
    readers = Readers(*drafts)
    strips = [np.zeros((1, 48, len(draft.best) * COLUMN, 3), np.uint8) for draft in drafts]
    Cascade(readers.draft, readers.careful, ALPHABET, None)(strips)
    return readers.seen


@pytest.mark.parametrize(
    "clean",
    ["abcabcabcabcabc", "甲乙丙丁甲乙丙丁", "ab cd ef ab cd", '甲乙"ab"丙丁', "ab. cd. ef."],
)
def test_what_is_sure_is_not_read_again(clean: str) -> None:
    assert read_again(columns(clean)) == []


@pytest.mark.parametrize(
    ("draft", "why"),
    [
        ("abcabc__abcabcabcabc", "a letter is missing"),
        ("abécab__éabécabécabc", "beside a letter with an accent"),
        ("甲乙丙丁_甲乙丙丁甲乙", "a Han character is missing"),
        ("甲乙丙丁“”甲乙丙丁甲乙", "nothing between quotes"),
        ("abcabcabcab..abcabcabc", "dots, perhaps more"),
    ],
)
def test_what_may_be_missing_is_looked_for(draft: str, why: str) -> None:
    (width,) = read_again(columns(draft))
    assert 0 < width < 3 * len(draft), why


def test_a_doubtful_character_is_read_again_and_the_rest_is_kept() -> None:
    draft = columns("甲乙丙丁甲乙丙丁甲乙丙丁")
    draft.margin[12:15] = 1.0
    readers = Readers(draft)
    strip = np.zeros((1, 48, len(draft.best) * COLUMN, 3), np.uint8)

    (found,) = Cascade(readers.draft, readers.careful, ALPHABET, None)([strip])

    assert text(found).startswith("甲乙丙")
    assert "f" in text(found)
    assert text(found).endswith("乙丙丁")


@pytest.mark.parametrize(
    ("page", "quote"),
    [("abcdef", "“"), ("甲乙丙丁", '"')],
)
def test_among_letters_a_doubtful_straight_quote_is_a_curly_one(page: str, quote: str) -> None:
    found = columns(page), columns('"', 3.0, "“")

    def careful(strips: Iterable[Image]) -> Sequence[Columns]:
        return [one for one, _ in zip(found, strips, strict=True)]

    strips = [np.zeros((1, 48, len(each.best) * COLUMN, 3), np.uint8) for each in found]
    read = Cascade(None, careful, ALPHABET, None)(strips)

    assert [text(each) for each in read] == [page, quote]


def test_a_sure_straight_quote_stays() -> None:
    found = columns('abc"', 6.0, "“")

    def careful(strips: Iterable[Image]) -> Sequence[Columns]:
        return [found for _ in strips]

    (read,) = Cascade(None, careful, ALPHABET, None)([np.zeros((1, 48, 96, 3), np.uint8)])

    assert text(read) == 'abc"'

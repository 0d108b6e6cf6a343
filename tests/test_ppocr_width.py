"""Marks take the width of the room they stand in."""

import numpy as np
import pytest

from app.engines.ppocr_read import Alphabet
from app.engines.ppocr_width import by_width

ALPHABET = Alphabet([*"一二三四五六(),?（），？ab "])


def widened(text: str, centres: list[float], spaces: tuple[int, ...] = ()) -> str:
    characters = ALPHABET.characters.tolist()
    numbers = np.array([characters.index(c) for c in text], np.int32)
    spaced = np.zeros(len(text), bool)
    spaced[list(spaces)] = True
    found = by_width(
        numbers,
        np.array(centres, np.float32),
        spaced,
        ALPHABET.han[numbers],
        ALPHABET.widths,
    )
    return "".join(ALPHABET.characters[found])


@pytest.mark.parametrize("mark", ["，", ","])
def test_a_mark_between_han_characters_is_as_wide_as_its_room(mark: str) -> None:
    text = f"一二三四五{mark}六"

    assert widened(text, [20, 60, 100, 140, 180, 210, 260]) == "一二三四五，六"
    assert widened(text, [20, 60, 100, 140, 180, 208, 240]) == "一二三四五,六"
    assert widened(text, [20, 60, 100, 140, 180, 210, 248]) == text  # Too close to tell.


def test_a_space_takes_room_too() -> None:
    assert widened("一二三四五,六", [20, 60, 100, 140, 180, 210, 260], (6,)) == "一二三四五,六"


@pytest.mark.parametrize("text", ["一二,三", "ab(ab)ab", "一二三四五,a", ",一二三四五,", "", "a"])
def test_where_nothing_can_be_told_all_stays(text: str) -> None:
    assert widened(text, [20.0 + 40 * n for n in range(len(text))]) == text

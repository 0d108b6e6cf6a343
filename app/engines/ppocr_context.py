"""Tells characters that look alike apart by their neighbours, such as l, I and 1."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

from app.document import Line, Word


def in_context(lines: Sequence[Line]) -> list[Line]:
    """The lines of a page with each look-alike replaced where its neighbours leave no doubt.

    One character takes the place of one, so that boxes stay as they are.
    """
    texts = [word.text for line in lines for word in line.words]
    # Type in which an l inside a word was read as 1 may have it at a word's ends, too.
    lookalike = any(_INNER_ONE.search(text) for text in texts)
    # Printers set pairs of curly quotes; where only closing ones were read, they were straight.
    closing = sum(text.count("”") for text in texts)
    straight = closing > 0 and sum(text.count("“") for text in texts) < _FEW * closing

    def mended(word: Word) -> Word:
        text = _latin(word.text, lookalike)
        if straight:
            text = text.replace("”", '"')
        if _KANA.search(text):
            text = _katakana(text)
        return word if text == word.text else word._replace(text=text)

    return [replace(line, words=_paired([mended(word) for word in line.words])) for line in lines]


def _paired(words: Sequence[Word]) -> tuple[Word, ...]:
    """The words of a line with quotes that are a pair made alike: the first of two decides."""
    text = "".join(word.text for word in words)
    paired = _CURLED.sub(r"“\1”", _STRAIGHT.sub(r'"\1"', text))
    if paired == text:
        return tuple(words)
    ends = list(accumulate(len(word.text) for word in words))
    return tuple(
        word._replace(text=paired[end - len(word.text) : end])
        for word, end in zip(words, ends, strict=True)
    )


_STRAIGHT = re.compile('"([^"“”]{1,40})”')
_CURLED = re.compile('“([^"“”]{1,40})"')
_FEW = 0.3

# An l, alone or doubled, read as a 1, a capital I or a bar between two small letters.
_INNER_ONE = re.compile(r"(?<=[a-z])1{1,2}(?=[a-z])")
_INNER = re.compile(r"(?<=[a-z])[1I|]{1,2}(?=[a-z])")
_LAST = re.compile(r"(?<=[a-z]{2})1{1,2}(?![A-Za-z0-9])")
_FIRST = re.compile(r"(?<![A-Za-z0-9.,])1(?=[a-z]{2})(?!st\b)")
_OTHER_DIGIT = re.compile("[02-9]")
_ROUND = re.compile(r"(?<=[a-z])0(?=[a-z])")
_ZERO = re.compile(r"(?<=\d)[Oo](?=\d)")
_WORD = re.compile(r"[A-Za-z0-9|]+")


def _latin(text: str, lookalike: bool) -> str:
    if not _WORD.search(text):
        return text
    if not _OTHER_DIGIT.search(text):  # With other digits in it, it is a number or a code.
        text = _INNER.sub(_ells, text)
        if lookalike:
            text = _FIRST.sub("l", _LAST.sub(_ells, text))
    return _ZERO.sub("0", _WORD.sub(_rounded, text))


def _ells(found: re.Match[str]) -> str:
    return "l" * len(found[0])


def _rounded(found: re.Match[str]) -> str:
    word = found[0]
    return _ROUND.sub("o", word) if sum(map(str.isdigit, word)) == 1 else word


_KANA = re.compile(r"[\u30a0-\u30ff]")
_HAN_LIKE_KANA = str.maketrans("一口力工二夕卜八才了∃", "ーロカエニタトハオアヨ")
_BETWEEN = re.compile(r"(?<=[\u30a1-\u30ff])[一口力工二夕卜八才了∃](?=[\u30a1-\u30ff])")
_AFTER = re.compile(r"(?<=[\u30a1-\u30fa])一(?![\u4e00-\u9fff])")
# Large where only the small form is written, after these.
_SMALL = {
    "ア": ("ァ", "フヴ"),
    "イ": ("ィ", "フヴ"),
    "エ": ("ェ", "シジチフヴ"),
    "オ": ("ォ", "フヴ"),
    "ヤ": ("ャ", "シジチキギニヒビピミリ"),
    "ユ": ("ュ", "シジチキギニヒビピミデフ"),
    "ヨ": ("ョ", "シジチキギニヒビピミリ"),
}
_LARGE = re.compile("|".join(f"(?<=[{before}]){large}" for large, (_, before) in _SMALL.items()))


def _katakana(text: str) -> str:
    text = _BETWEEN.sub(lambda found: found[0].translate(_HAN_LIKE_KANA), text)
    text = _AFTER.sub("ー", text)
    return _LARGE.sub(lambda found: _SMALL[found[0]][0], text)

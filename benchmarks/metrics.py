"""How near a text is to the truth: character error rate in reading order, and order-free F1."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise, zip_longest

from rapidfuzz import fuzz
from rapidfuzz.distance import Levenshtein


def character_error_rate(found: str, truth: str) -> float:
    """Edits for each true character, at most 1; neither white space nor character width counts."""
    found, truth = ("".join(_normal(text).split()) for text in (found, truth))
    return min(1.0, Levenshtein.distance(found, truth) / max(1, len(truth)))


def token_f1(found: str, truth: str) -> float:
    """Harmonic mean of precision and recall of words and of Han characters and kana, unordered."""
    read, written = (Counter(_TOKEN.findall(_normal(text).lower())) for text in (found, truth))
    return 2 * (read & written).total() / max(1, read.total() + written.total())


def neighbours_f1(found: Sequence[list[list[str]]], truth: list[list[str]]) -> float:
    """F1 of pairs of neighbouring cells that are not empty, as at ICDAR 2013; 1 is all.

    Texts that are at least four fifths alike are the same. An empty row ends a table.
    """
    wanted = _neighbours(truth)
    names = sorted({text for _, one, other in wanted for text in (one, other)})
    known: dict[str, str] = {}

    def named(text: str) -> str:
        if text not in known:
            best = max(names, key=lambda name: fuzz.ratio(text, name), default=text)
            known[text] = best if fuzz.ratio(text, best) >= 80 else text
        return known[text]

    read: Counter[tuple[str, str, str]] = Counter()
    for grid in found:
        for (way, one, other), count in _neighbours(grid).items():
            read[way, named(one), named(other)] += count
    return 2 * (read & wanted).total() / max(1, read.total() + wanted.total())


def _neighbours(grid: list[list[str]]) -> Counter[tuple[str, str, str]]:
    pairs: Counter[tuple[str, str, str]] = Counter()
    parts: list[list[list[str]]] = [[]]
    for row in grid:
        if any(cell.strip() for cell in row):
            parts[-1].append(["".join(_normal(cell).split()).lower() for cell in row])
        else:
            parts.append([])
    for part in parts:
        columns = list(map(list, zip_longest(*part, fillvalue="")))
        for way, lines in (("right", part), ("down", columns)):
            for line in lines:
                pairs.update((way, a, b) for a, b in pairwise(filter(None, line)) if a != b)
    return pairs


_UNSPACED = r"\u3040-\u30ff\u4e00-\u9fff"  # Kana and Han: each character is a token.
_TOKEN = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")


def _normal(text: str) -> str:
    return unicodedata.normalize("NFKC", text)

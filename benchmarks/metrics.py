"""How near a text is to the truth: character error rate in reading order, and order-free F1."""

import re
import unicodedata
from collections import Counter

from rapidfuzz.distance import Levenshtein


def character_error_rate(found: str, truth: str) -> float:
    """Edits for each true character, at most 1; neither white space nor character width counts."""
    found, truth = ("".join(_normal(text).split()) for text in (found, truth))
    return min(1.0, Levenshtein.distance(found, truth) / max(1, len(truth)))


def token_f1(found: str, truth: str) -> float:
    """Harmonic mean of precision and recall of words and of Han characters and kana, unordered."""
    read, written = (Counter(_TOKEN.findall(_normal(text).lower())) for text in (found, truth))
    return 2 * (read & written).total() / max(1, read.total() + written.total())


_UNSPACED = r"\u3040-\u30ff\u4e00-\u9fff"  # Kana and Han: each character is a token.
_TOKEN = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")


def _normal(text: str) -> str:
    return unicodedata.normalize("NFKC", text)

"""Which way text runs."""

import re
from unicodedata import bidirectional

# All blocks of scripts that run right to left: few texts hold any of them.
_MAY_RUN_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff\U00010800-\U0001efff\u200f]")


def holds_rtl(text: str) -> bool:
    """Whether any character runs right to left."""
    return _MAY_RUN_LEFT.search(text) is not None and any(
        bidirectional(character) in _RTL for character in text
    )


def is_mostly_rtl(text: str) -> bool:
    """Whether more characters run right to left than left to right."""
    if _MAY_RUN_LEFT.search(text) is None:
        return False
    classes = [bidirectional(character) for character in text]
    return sum(name in _RTL for name in classes) > classes.count("L")


_RTL = ("R", "AL")

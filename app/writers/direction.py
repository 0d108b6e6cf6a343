"""Which way text runs."""

from unicodedata import bidirectional


def holds_rtl(text: str) -> bool:
    """Whether any character runs right to left."""
    return any(bidirectional(character) in _RTL for character in text)


def is_mostly_rtl(text: str) -> bool:
    """Whether more characters run right to left than left to right."""
    classes = [bidirectional(character) for character in text]
    return sum(name in _RTL for name in classes) > classes.count("L")


_RTL = ("R", "AL")

"""What text may hold to be stored in every format; the rest is dropped, never an error."""

import re

from app.document import Line, Word


def storable(text: str) -> str:
    """``text`` without what XML 1.0, PDF or plain text cannot hold inside a word.

    That is control characters (a form feed would be a page break in plain text), lone
    surrogates, noncharacters (https://www.unicode.org/faq/private_use.html#nonchar1) and the
    line and paragraph separators. Everything else, marks of direction included, is kept.
    """
    return text if text.isprintable() else _UNSTORABLE.sub("", text)


def storable_words(line: Line) -> list[Word]:
    """The words of ``line`` as they can be stored, without those of which nothing is left."""
    return [word._replace(text=text) for word in line.words if (text := storable(word.text))]


_UNSTORABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufdd0-\ufdef"
    + "".join(
        f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0, 0x110000, 0x10000)
    )
    + "]"
)

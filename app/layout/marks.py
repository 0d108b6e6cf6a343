"""What stands before the items of lists, before headings and notes."""

from __future__ import annotations

import re


def is_mark(text: str) -> bool:
    """Whether ``text`` is a bullet, or a number or letter with a full stop or bracket."""
    return _MARK.fullmatch(text.strip()) is not None


def item_mark(text: str) -> str:
    """The mark at the beginning of ``text`` with the space that follows it; "" if there is none."""
    match = _ITEM.match(text)
    return match[0] if match else ""


def is_number(text: str) -> bool:
    """Whether ``text`` is the number of a heading or a note, such as 2 or 6.2."""
    return _NUMBER.fullmatch(text.strip()) is not None


BULLETS = "•●○■□▪◆◇►➢✓✔*·–—-"
_MARK = re.compile(
    rf"[{BULLETS}]"
    r"|[(（]?(\d{1,3}|[a-zA-Z]|[ivxIVX]{1,4}|[一二三四五六七八九十]{1,3})[.)）、．]"
)
_NUMBER = re.compile(r"\d{1,3}(\.\d{1,3})*")
_ITEM = re.compile(
    rf"[{BULLETS.replace('-', '')}]\s*(?=\w)"
    r"|-\s+(?=\w)"
    r"|([(（](\d{1,2}|[a-zA-Z]|[ivx]{1,4}|[一二三四五六七八九十]{1,3})[)）]|\d{1,2}[)）、])\s*(?=\S)"
    r"|(\d{1,2}\.|[a-z][.)]|[A-Z]\))\s+(?=\S)"
)

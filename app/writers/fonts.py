"""The fonts that Office programs bring along, and about how wide text runs in them."""

import unicodedata
from functools import lru_cache

FONTS = {
    "serif": ("Times New Roman", "SimSun"),
    "sans": ("Arial", "Microsoft YaHei"),
    "mono": ("Courier New", "FangSong"),
}
"""A Latin and an East Asian font for each family."""


def width_in_ems(text: str, family: str | None = None) -> float:
    """The width in parts of the font's size; ``family`` is "serif", "sans" or "mono"."""
    return sum(map(_width, text)) * _FAMILIES.get(family or "sans", 1.0)


_FAMILIES = {"serif": 0.88, "mono": 1.1}  # Beside fonts without serifs.


@lru_cache(maxsize=4096)
def _width(character: str) -> float:
    if unicodedata.east_asian_width(character) in "WF":
        return 1.0
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0.0
    if character in " iljtfrI.,:;'|!()[]-/\\":
        return 0.3
    if character in "mwMW@%&":
        return 0.86
    return 0.68 if character.isupper() else 0.55

"""How the characters of a PDF's text layer look: size, weight, slant and colour."""

from __future__ import annotations

import ctypes
import math
import re
from dataclasses import replace
from typing import Any

import pypdfium2.raw as pdfium

from app.document import Style, colour_of


class StylesOf:
    """The styles of a page of text; of each place in its layer one, in pixels of the page."""

    def __init__(self, text: pdfium.FPDF_TEXTPAGE, scale: float) -> None:
        """``scale`` is pixels a point."""
        self._text = text
        self._scale = scale
        self._known: dict[tuple[float, int, int, str], Style] = {}
        self._name = ctypes.create_string_buffer(_LONGEST_NAME)

    def __call__(self, place: int) -> Style | None:
        """How the character looks; None if the layer does not say."""
        text = self._text
        matrix, flags = pdfium.FS_MATRIX(), ctypes.c_int()
        if not pdfium.FPDFText_GetMatrix(text, place, matrix):
            return None
        size = pdfium.FPDFText_GetFontSize(text, place) * math.hypot(matrix.c, matrix.d)
        size *= self._scale
        if not 0 < size < _LARGEST:
            return None
        length = pdfium.FPDFText_GetFontInfo(text, place, self._name, _LONGEST_NAME, flags)
        name = self._name.raw[: min(length, _LONGEST_NAME)].rstrip(b"\0").decode("utf-8", "replace")
        weight = pdfium.FPDFText_GetFontWeight(text, place)
        key = (round(size, 1), flags.value, weight, name)
        style = self._known.get(key)
        if style is None:
            leaning = _ITALIC.search(name) is not None or flags.value & _ITALIC_FLAG != 0
            heavy = _BOLD.search(name) is not None or weight >= _BOLD_WEIGHT
            heavy = heavy or flags.value & _FORCE_BOLD_FLAG != 0
            family = _family(name, flags.value)
            style = self._known[key] = Style(round(size, 1), heavy, leaning, None, family)
        colour = self._colour(place)
        return style if colour is None else replace(style, colour=colour)

    def _colour(self, place: int) -> int | None:
        parts: list[Any] = [ctypes.c_uint() for _ in range(4)]
        if not pdfium.FPDFText_GetFillColor(self._text, place, *parts):
            return None
        red, green, blue, _ = (part.value for part in parts)
        return colour_of(red, green, blue)


_LONGEST_NAME = 256
_LARGEST = 10_000.0  # Pixels; a font as large is a fault of the file.
# TeX calls bold fonts CMBX10, SFBX1095, SFSX2074 and the like.
_BOLD = re.compile(r"bold|black|heavy|[-,]bd\b|demi|\b(cm|sf|ec)(bx|ssbx|sx|b)\d", re.IGNORECASE)
_ITALIC = re.compile(
    r"italic|oblique|slanted|[-,]it\b|\b(cm|sf|ec)(ti|sl|bxti|mi)\d", re.IGNORECASE
)
_BOLD_WEIGHT = 600
_ITALIC_FLAG, _FORCE_BOLD_FLAG = 1 << 6, 1 << 18  # Of PDF 32000-1, table 123.
_SANS = re.compile(
    r"arial|helvet|sans|calibri|verdana|tahoma|segoe|hei|gothic|yahei|\b(cm|sf|ec)s[sx]",
    re.IGNORECASE,
)
_SERIF = re.compile(
    r"times|roman|serif|georgia|garamond|cambria|song|sun|ming|minion|\b(cm|sf|ec)\w+\d",
    re.IGNORECASE,
)
_MONO = re.compile(r"courier|mono|consol|typewriter|\b(cm|sf|ec)tt\d", re.IGNORECASE)
_FIXED_FLAG, _SERIF_FLAG = 1 << 0, 1 << 1


def _family(name: str, flags: int) -> str | None:
    if _MONO.search(name) or flags & _FIXED_FLAG:
        return "mono"
    if _SANS.search(name):
        return "sans"
    return "serif" if _SERIF.search(name) or flags & _SERIF_FLAG else None

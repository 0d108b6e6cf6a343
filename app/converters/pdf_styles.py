"""How the characters of a PDF's text layer look: size, weight, slant and colour."""

from __future__ import annotations

import ctypes
import math
import re

import pypdfium2.raw as pdfium

from app.converters import pdfium_calls as calls
from app.document import Style, colour_of


class StylesOf:
    """The styles of a page of text; of each place in its layer one, in pixels of the page."""

    def __init__(self, text: pdfium.FPDF_TEXTPAGE, scale: float) -> None:
        """``scale`` is pixels a point."""
        self._text = text
        self._scale = scale
        self._known: dict[tuple[float, int, int, bytes, tuple[int, ...]], Style] = {}
        self._of_object: dict[int, Style | None] = {}
        self._results = calls.Results()
        self._name = ctypes.create_string_buffer(_LONGEST_NAME)
        self._to_name = self._name, ctypes.c_ulong(_LONGEST_NAME), self._results.to_ints[0]

    def __call__(self, place: int) -> Style | None:
        """How the character looks; None if the layer does not say."""
        written_by = calls.get_text_object(self._text, place)  # All that it writes looks the same.
        if written_by is None:
            return self._style(place)
        if written_by not in self._of_object:
            self._of_object[written_by] = self._style(place)
        return self._of_object[written_by]

    def _style(self, place: int) -> Style | None:
        text, results = self._text, self._results
        if not calls.get_matrix(text, place, results.to_matrix):
            return None
        size = calls.get_font_size(text, place) * math.hypot(results.matrix.c, results.matrix.d)
        size *= self._scale
        if not 0 < size < _LARGEST:
            return None
        length = calls.get_font_info(text, place, *self._to_name)
        flags, name = results.ints[0], self._name.raw[: min(length, _LONGEST_NAME)]
        weight = calls.get_font_weight(text, place)
        painted = calls.get_text_colour(text, place, *results.to_ints)
        key = (round(size, 1), flags, weight, name, tuple(results.ints[:3]) if painted else ())
        style = self._known.get(key)
        if style is None:
            style = self._known[key] = _style_of(*key)
        return style


def _style_of(size: float, flags: int, weight: int, name: bytes, paint: tuple[int, ...]) -> Style:
    text = name.rstrip(b"\0").decode("utf-8", "replace")
    leaning = _ITALIC.search(text) is not None or flags & _ITALIC_FLAG != 0
    heavy = _BOLD.search(text) is not None or weight >= _BOLD_WEIGHT
    heavy = heavy or flags & _FORCE_BOLD_FLAG != 0
    colour = colour_of(*paint) if paint else None
    return Style(size, heavy, leaning, colour, _family(text, flags))


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

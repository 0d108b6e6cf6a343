"""Lines as if their page were level and written from left to right, downwards."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.document import Box, Line


class Item(NamedTuple):
    """A line, and its box in a frame in which text runs left to right and top to bottom."""

    line: Line
    box: Box


Row = list[Item]
"""Items that stand side by side, from left to right."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Maps boxes of a page to where they would stand on a level one, written as Latin is."""

    vertical: bool  # Columns of characters, the first at the right.
    mirrored: bool  # Lines run from right to left.
    width: float  # Pixels.
    falls: Drift | None = None  # Of lines to the right, in pixels down; None on a level page.
    leans: Drift | None = None  # Of their beginnings downwards, in pixels to the right.

    @classmethod
    def of(cls, lines: Sequence[Line], width: float) -> Frame:
        """The frame in which most of the ``lines`` of a page are written."""
        text = "".join(line.text for line in lines)
        vertical = sum(len(line.text) for line in lines if line.vertical) * 2 > len(text)
        leftwards = _LEFTWARDS.search(text) is not None and _is_leftwards(text)
        level = [line for line in lines if not line.vertical and line.box.width > 0]
        falls = _falls(level, width)
        leans = None if falls is None else _leans(level, width)
        return cls(vertical, not vertical and leftwards, width, falls, leans)

    def __call__(self, box: Box) -> Box:
        """Where ``box`` stands in the frame."""
        x, y = (box.left + box.right) / 2, (box.top + box.bottom) / 2
        if self.leans is not None:
            aside = self.leans.by(y, x)
            box = box._replace(left=box.left - aside, right=box.right - aside)
        if self.falls is not None:
            fall, slope = self.falls.by(x, y), self.falls.slope(x, y)
            lean = min(abs(slope) * box.width, 0.7 * box.height) / 2
            box = Box(box.left, box.top - fall + lean, box.right, box.bottom - fall - lean)
        if self.vertical:
            return Box(box.top, self.width - box.right, box.bottom, self.width - box.left)
        if self.mirrored:
            return Box(self.width - box.right, box.top, self.width - box.left, box.bottom)
        return box

    def back(self, box: Box) -> Box:
        """Where a ``box`` of the frame stands on the page, to a pixel or two."""
        if self.vertical:
            box = Box(self.width - box.bottom, box.left, self.width - box.top, box.right)
        elif self.mirrored:
            box = Box(self.width - box.right, box.top, self.width - box.left, box.bottom)
        x, y = (box.left + box.right) / 2, (box.top + box.bottom) / 2
        fall = self.falls.by(x, y) if self.falls is not None else 0.0
        aside = self.leans.by(y, x) if self.leans is not None else 0.0
        return Box(box.left + aside, box.top + fall, box.right + aside, box.bottom + fall)


@dataclass(frozen=True, slots=True)
class Drift:
    """How far what should be straight has drifted aside, on a page that is bent or seen askew.

    The slope at s along and t across, in half widths from the middle of a page as wide as high,
    is ``a + b s + c t + d s t + e s s``: what a camera, a crease and a book's spine make.
    """

    terms: tuple[float, float, float, float, float]
    half: float  # Of the page's width, pixels.

    def by(self, along: float, across: float) -> float:
        """Pixels since the middle of the page."""
        a, b, c, d, e = self.terms
        s, t = along / self.half - 1, across / self.half - 1
        return s * (a + c * t + s * (b + d * t) / 2 + e * s * s / 3) * self.half

    def slope(self, along: float, across: float) -> float:
        """Pixels for a pixel along, at one place."""
        a, b, c, d, e = self.terms
        s, t = along / self.half - 1, across / self.half - 1
        return a + b * s + c * t + d * s * t + e * s * s


_LEVEL = 0.002  # The least slope that counts: a sixth of a line on the width of a page.
_BENT = 0.015  # Slopes on flat pages differ less, those on photos more.
_FEWEST = 3  # Lines that tell a slope,
_FEWEST_BENT = 8  # or that the page is bent.


# Where the scripts that run from right to left are.
_LEFTWARDS = re.compile(
    "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff\U00010800-\U00010fff\U0001e800-\U0001efff]"
)


def _is_leftwards(text: str) -> bool:
    strong = [unicodedata.bidirectional(letter) for letter in filter(str.isalpha, text)]
    return sum(kind in ("R", "AL") for kind in strong) * 2 > len(strong)


def _falls(lines: Sequence[Line], width: float) -> Drift | None:
    if len(lines) < _FEWEST or not any(line.slope for line in lines):
        return None
    # Long lines tell it best.
    lines = sorted(lines, key=lambda line: -line.box.width)
    lines = lines[: max(_FEWEST, len(lines) // 2)]
    slopes = np.array([line.slope for line in lines])
    middle = float(np.median(slopes))
    if len(lines) >= _FEWEST_BENT and np.subtract(*np.quantile(slopes, [0.9, 0.1])) >= _BENT:
        x = np.array([line.box.left + line.box.right for line in lines]) / 2
        y = np.array([line.box.top + line.box.bottom for line in lines]) / 2
        return _fitted(x, y, slopes, np.array([line.box.width for line in lines]), width / 2)
    if abs(middle) < _LEVEL:
        return None
    return Drift((middle, 0.0, 0.0, 0.0, 0.0), width / 2)


def _leans(lines: Sequence[Line], width: float) -> Drift | None:
    """From lines that begin, or end, nearly below each other."""
    lines = sorted(lines, key=lambda line: line.box.top)
    found: list[tuple[float, float, float]] = []
    for n, line in enumerate(lines):
        size = line.box.height
        for below in lines[n + 1 : n + _NEXT]:
            down = below.box.top - line.box.top
            if not 0.7 * size < down < 3 * size:
                continue
            y = (line.box.top + below.box.top) / 2
            for here, there in (
                (line.box.left, below.box.left),
                (line.box.right, below.box.right),
            ):
                if abs(there - here) < _BELOW * size:
                    found.append(((here + there) / 2, y, (there - here) / down))
    if len(found) < _FEWEST_BENT:
        return None
    across, along, slopes = np.array(found).T
    return _fitted(along, across, slopes, np.ones(len(found)), width / 2)


_NEXT = 30  # Lines, by their tops, among which the one below is looked for.
_BELOW = 0.6  # Heights of a line; indents are larger.


def _fitted(
    along: NDArray[np.float64],
    across: NDArray[np.float64],
    slopes: NDArray[np.float64],
    weights: NDArray[np.float64],
    half: float,
) -> Drift:
    """The drift that fits the slopes best, but for those that are off."""
    s, t = along / half - 1, across / half - 1
    ways = np.stack([np.ones_like(s), s, t, s * t, s * s], axis=1)
    middle = float(np.median(slopes))
    weights = weights / weights.sum()
    kept = weights
    terms: NDArray[Any] = np.zeros(5)
    for _ in range(4):
        square = ways.T @ (ways * kept[:, None]) + _CAUTION * np.diag([0.0, 1, 1, 1, 1])
        terms = np.linalg.solve(square, ways.T @ (kept * (slopes - middle)))
        off = np.abs(slopes - middle - ways @ terms)
        kept = weights / (1 + (off / max(1e-3, float(np.median(off)))) ** 2)
    a, b, c, d, e = (float(term) for term in terms)
    return Drift((middle + a, b, c, d, e), half)


_CAUTION = 0.003  # Keeps what few lines tell of the slope far from them small.


def rows(items: Iterable[Item]) -> list[Row]:
    """Items that stand side by side, row by row; each row from left to right."""
    found: list[Row] = []
    for item in sorted(items, key=lambda i: (i.box.top + i.box.bottom, i.box.left)):
        middle = (item.box.top + item.box.bottom) / 2
        if found:
            first = found[-1][0].box
            slack = min(first.height, item.box.height) / 2
            if abs(middle - (first.top + first.bottom) / 2) < slack:
                found[-1].append(item)
                continue
        found.append([item])
    return [sorted(row, key=lambda i: i.box.left) for row in found]

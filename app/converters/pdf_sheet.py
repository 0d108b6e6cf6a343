"""The sheet that a PDF page is drawn on, and how finely it is turned into pixels."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Sheet:
    """The visible part of a page, in points, and how it is turned."""

    left: float
    bottom: float
    right: float
    top: float
    turns: int  # Quarters, clockwise.

    @property
    def width(self) -> float:
        """Points across, as the page is looked at."""
        return self.top - self.bottom if self.turns % 2 else self.right - self.left

    @property
    def height(self) -> float:
        """Points down."""
        return self.right - self.left if self.turns % 2 else self.top - self.bottom

    def turned(self, boxes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Boxes (left, top, right, bottom) of PDF's axes as seen from the top left, in points."""
        left, top, right, bottom = boxes.T
        west, east = left - self.left, right - self.left
        north, south = self.top - top, self.top - bottom
        width, height = self.right - self.left, self.top - self.bottom
        columns = (
            (west, north, east, south),
            (height - south, west, height - north, east),
            (width - east, height - south, width - west, height - north),
            (north, width - east, south, width - west),
        )[self.turns]
        return np.stack(columns, axis=1)


def choose_dpi(sheet: Sheet, scanned: float | None, max_pixels: int) -> float:
    """A scan's own resolution within bounds, or what is usual; always an image of sane size."""
    low, high = _SCAN_DPI
    dpi = float(_DEFAULT_DPI) if scanned is None else min(high, max(low, scanned))
    longer = max(sheet.width, sheet.height) / 72
    if scanned is not None and longer * dpi > _MAX_SIDE:
        # A scan stretched over an enormous page gains nothing from more pixels than it has.
        dpi = max(scanned, 2 * _MIN_SIDE / longer)
    dpi = max(dpi, min(_MIN_SIDE / longer, 1200.0))
    return min(dpi, _MAX_SIDE / longer, math.sqrt(max_pixels / (sheet.width * sheet.height)) * 72)


_DEFAULT_DPI = 200
_SCAN_DPI = (150, 300)
_MAX_SIDE = 10_000  # Pixels; no page needs more to be read.
_MIN_SIDE = 1000  # The longer side; smaller ones may be drawn in a unit of their own.

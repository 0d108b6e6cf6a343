"""Strips: single lines cut out of a page, upright, evenly lit, for an engine of black on white."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from app.document import Box, Word
from app.engines.pieces import Pieces, bend_at, cut_out
from app.interfaces import Image


class Strip:
    """The line at a single piece of ``image``.

    ``pixels`` is grey, ``height`` pixels high, with ``margin`` pixels of white on each side.
    """

    def __init__(self, image: Image, piece: Pieces, height: int, margin: int) -> None:
        ((top_left, top_right, _, bottom_left),) = piece.corners
        (self._bend,) = piece.bends
        self._height, self._margin = height, margin
        self._scale = height / math.dist(top_left, bottom_left)
        length = round(math.dist(top_left, top_right) * self._scale)
        self._length = min(max(length, 1), _LONGEST)
        self._page = Box(0, 0, image.shape[1], image.shape[0])
        self._along = (top_right - top_left) / self._length
        self._down = (bottom_left - top_left) / self._height
        self._origin = top_left
        self.pixels = self._cut(image)

    def _cut(self, image: Image) -> Image:
        size = (self._length, self._height)
        strip = cut_out(image, self._origin, self._along, self._down, size, self._bend)
        strip = _even(np.asarray(cv2.cvtColor(strip, cv2.COLOR_RGB2GRAY), np.uint8))
        height, width = strip.shape[:2]
        framed = np.full((height + 2 * self._margin, width + 2 * self._margin), 255, np.uint8)
        framed[self._margin : -self._margin, self._margin : -self._margin] = strip
        return framed

    @property
    def is_bent(self) -> bool:
        """Whether the line runs on a curve."""
        return bool(self._bend.any())

    @property
    def outline(self) -> Box:
        """Where the line would stand if it were not bent: bent lines do not overlap so."""
        return self._box(0, 0, self._length, self._height)

    @property
    def slope(self) -> float:
        """Pixels that the line falls with each pixel to the right."""
        return float(self._along[1] / self._along[0])

    def on_page(self, words: Sequence[Word]) -> list[Word]:
        """Words whose boxes are in pixels of the strip, with boxes in pixels of the page.

        Where a gap is seen between two of them, they end and begin there.
        """
        boxes = [word.box for word in words]
        _part(boxes, self._gaps + self._margin)
        return [
            word._replace(box=self._on_page(box)) for word, box in zip(words, boxes, strict=True)
        ]

    @property
    def usual_gap(self) -> float:
        """How wide the usual gap between letters is, in pixels of the page."""
        widths = (self._gaps[:, 1] - self._gaps[:, 0])[1:-1]
        return float(np.median(widths)) / self._scale if len(widths) else 0.0

    @cached_property
    def _gaps(self) -> NDArray[np.int64]:
        """Runs of columns that look like paper, shape (n, 2)."""
        ink = 255 - self.pixels[self._margin : -self._margin].mean(axis=0)
        low, high = np.quantile(ink, (0.02, 0.95))
        flat = np.concatenate([[False], ink <= low + 0.2 * (high - low), [False]])
        return np.flatnonzero(flat[1:] != flat[:-1]).reshape(-1, 2)

    def _on_page(self, box: Box) -> Box:
        left, right = box.left - self._margin, box.right - self._margin
        (off,) = bend_at(self._bend, np.array([(left + right) / 2 / self._length]))
        return self._box(left, box.top - self._margin, right, box.bottom - self._margin, off)

    def _box(self, left: float, top: float, right: float, bottom: float, off: float = 0.0) -> Box:
        """The box on the page around one in the strip; ``off`` pixels of the page below it."""
        shift = off * (self._down / np.linalg.norm(self._down))
        corners = np.array(
            [
                self._origin + x * self._along + y * self._down + shift
                for x in (left, right)
                for y in (top, bottom)
            ]
        )
        low = np.clip(corners.min(axis=0), 0, (self._page.right, self._page.bottom))
        high = np.clip(corners.max(axis=0), 0, (self._page.right, self._page.bottom))
        return Box(*low.tolist(), *high.tolist())


_LONGEST = 16_000  # Pixels; some fifty words fit into a third of that.


def _even(strip: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Takes away light and shade that change along the line; what is paper becomes white."""
    height = strip.shape[0]
    grey = strip.astype(np.float32)
    low, high = np.quantile(grey, (0.02, 0.98), axis=0)
    reach = 2 * (2 * height) + 1  # As far as several letters.
    size = (reach, 1)
    low = cv2.blur(cv2.erode(low[None], np.ones((1, reach), np.uint8)), size)[0]
    high = cv2.blur(cv2.dilate(high[None], np.ones((1, reach), np.uint8)), size)[0]
    if np.median(grey) < (low.mean() + high.mean()) / 2:  # Light letters on a dark ground.
        grey, low, high = 255 - grey, 255 - high, 255 - low
    contrast = np.maximum(high - low, max(8.0, 0.5 * float((high - low).max())))
    return np.asarray(np.clip(255 - (high - grey) * (255 / contrast), 0, 255), np.uint8)


def _part(boxes: list[Box], gaps: NDArray[np.int64]) -> None:
    """Moves the border between each two neighbours into the widest of ``gaps`` there."""
    for n in range(1, len(boxes)):
        left, right = (n - 1, n) if boxes[n - 1].left < boxes[n].left else (n, n - 1)
        first, last = ((boxes[m].left + boxes[m].right) / 2 for m in (left, right))
        between = gaps[(gaps[:, 0] > first) & (gaps[:, 1] < last)]
        if len(between):
            start, stop = between[np.argmax(between[:, 1] - between[:, 0])].tolist()
            boxes[left] = boxes[left]._replace(right=start)
            boxes[right] = boxes[right]._replace(left=stop)

"""Strips: single lines cut out of a page, upright, evenly lit, for an engine of black on white."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from app.document import Box, Word
from app.interfaces import Image


class Strip:
    """The line at ``corners`` (top left, top right, bottom right, bottom left) of ``image``.

    ``pixels`` is grey, ``height`` pixels high, with ``margin`` pixels of white on each side.
    """

    def __init__(
        self, image: Image, corners: NDArray[np.float32], height: int, margin: int
    ) -> None:
        top_left, top_right, _, bottom_left = corners
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
        shrink = max(1.0, 1 / self._scale)
        size = (round(self._length * shrink), round(self._height * shrink))
        across, down = self._along * (self._length / size[0]), self._down * (self._height / size[1])
        # The part around it alone: OpenCV takes no sides of more than 32 767 pixels.
        corners = np.array(
            [
                self._origin,
                self._origin + self._length * self._along,
                self._origin + self._height * self._down,
                self._origin + self._length * self._along + self._height * self._down,
            ]
        )
        left, top = (np.floor(corners.min(axis=0)).astype(int) - 2).clip(0).tolist()
        right, bottom = (np.ceil(corners.max(axis=0)).astype(int) + 3).tolist()
        image = image[top : max(bottom, top + 1), left : max(right, left + 1)]
        # Pixel centres are at halves on both sides.
        origin = self._origin - (left, top) + (across + down) / 2 - 0.5
        strip = cv2.warpAffine(
            image,
            np.stack([across, down, origin], axis=1),
            size,
            flags=(cv2.INTER_LINEAR if shrink > 1 else cv2.INTER_CUBIC) | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        if shrink > 1:  # Interpolation alone would skip pixels; area averaging comes second.
            strip = cv2.resize(strip, (self._length, self._height), interpolation=cv2.INTER_AREA)
        strip = _even(np.asarray(cv2.cvtColor(strip, cv2.COLOR_RGB2GRAY), np.uint8))
        height, width = strip.shape[:2]
        framed = np.full((height + 2 * self._margin, width + 2 * self._margin), 255, np.uint8)
        framed[self._margin : -self._margin, self._margin : -self._margin] = strip
        return framed

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
            replace(word, box=self._on_page(box)) for word, box in zip(words, boxes, strict=True)
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
        corners = np.array(
            [
                self._origin + (x - self._margin) * self._along + (y - self._margin) * self._down
                for x in (box.left, box.right)
                for y in (box.top, box.bottom)
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
            boxes[left] = replace(boxes[left], right=start)
            boxes[right] = replace(boxes[right], left=stop)

"""Pieces of text on a page, straight or bent, and how they are cut out of its picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from app.interfaces import Image

Floats = NDArray[np.float32]

BENDS = 9
"""At so many places of a piece it is known how far its text is off the straight line."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """Where text stands, in pixels of the page.

    ``corners`` has the shape (n, 4, 2): x and y of top left, top right, bottom right, bottom left.
    The top edge is the one nearest to horizontal, so a piece of vertical text is higher than wide.
    ``bends``, shape (n, BENDS), says how far below the straight line the text runs, at equal steps
    from the left edge to the right one; all zero unless the paper was bent.
    """

    corners: Floats
    bends: Floats

    @staticmethod
    def straight(corners: Floats) -> Pieces:
        """Pieces that are not bent."""
        return Pieces(corners, np.zeros((len(corners), BENDS), np.float32))

    @staticmethod
    def joined(several: Sequence[Pieces]) -> Pieces:
        """All of ``several``, which must not be empty."""
        return Pieces(
            np.concatenate([each.corners for each in several]),
            np.concatenate([each.bends for each in several]),
        )

    def __len__(self) -> int:
        return len(self.corners)

    def __getitem__(self, chosen: slice | Sequence[int] | NDArray[Any]) -> Pieces:
        return Pieces(self.corners[chosen], self.bends[chosen])

    @property
    def widths(self) -> Floats:
        """How long the top edges are."""
        return _lengths(self.corners[:, 1] - self.corners[:, 0])

    @property
    def heights(self) -> Floats:
        """How long the left edges are."""
        return _lengths(self.corners[:, 3] - self.corners[:, 0])

    def scaled(self, by: float) -> Pieces:
        """The same on a page ``by`` times as large."""
        return Pieces(self.corners * np.float32(by), self.bends * np.float32(by))

    def part(self, number: int, begin: float, stop: float) -> Pieces:
        """The part of one piece between two shares of its length."""
        quad = self.corners[number]
        shares = np.array([begin, stop], np.float32)[:, None]
        top = quad[0] + shares * (quad[1] - quad[0])
        bottom = quad[3] + shares * (quad[2] - quad[3])
        bend = bend_at(self.bends[number], np.linspace(begin, stop, BENDS))
        return Pieces(np.stack([top[0], top[1], bottom[1], bottom[0]])[None], bend[None])


def bend_at(bend: Floats, shares: NDArray[Any]) -> Floats:
    """How far text is off the straight line at ``shares`` (0 to 1) of its length."""
    return np.asarray(np.interp(shares, np.linspace(0, 1, BENDS), bend), np.float32)


def cut_out(
    image: Image,
    origin: Floats,
    along: Floats,
    down: Floats,
    size: tuple[int, int],
    bend: Floats | None = None,
) -> Image:
    """A strip of ``size`` (width, height), its top left corner at ``origin`` of ``image``.

    ``along`` and ``down`` are the page's steps for a pixel of the strip to the right and down.
    ``bend`` is one of a piece's ``bends``. What lies beyond the page looks like its edge.
    """
    width, height = size
    shrink = max(1.0, float(np.linalg.norm(down)))
    # Interpolation alone would skip pixels where the page is larger; area averaging comes second.
    finer = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    along, down = along * (width / finer[0]), down * (height / finer[1])
    off = float(np.abs(bend).max()) if bend is not None else 0.0
    # The part around it alone: OpenCV takes no sides of more than 32 767 pixels.
    across = np.array([[0, 0], [finer[0], 0], [0, finer[1]], finer], np.float32)
    corners = origin + across[:, :1] * along + across[:, 1:] * down
    left, top = (np.floor(corners.min(axis=0) - off).astype(int) - 2).clip(0).tolist()
    right, bottom = (np.ceil(corners.max(axis=0) + off).astype(int) + 3).tolist()
    image = image[
        min(top, image.shape[0] - 1) : max(bottom, top + 1),
        min(left, image.shape[1] - 1) : max(right, left + 1),
    ]
    # Pixel centres are at halves on both sides.
    start = origin - np.array([left, top], np.float32) + (along + down) / 2 - 0.5
    # Much enlarged, sharp edges ring: the networks have seen such letters blurred.
    enlarged = float(np.linalg.norm(down)) < _MUCH
    way = cv2.INTER_LINEAR if shrink > 1.0 or enlarged else cv2.INTER_CUBIC
    if bend is not None and off > 0:
        shares = (np.arange(finer[0]) + 0.5) / finer[0]
        offsets = bend_at(bend, shares)[:, None] * (down / np.linalg.norm(down))
        columns = start + np.arange(finer[0], dtype=np.float32)[:, None] * along + offsets
        rows = np.arange(finer[1], dtype=np.float32)[:, None] * down
        x, y = (
            np.asarray(columns[None, :, axis] + rows[:, None, axis], np.float32) for axis in (0, 1)
        )
        strip = cv2.remap(image, x, y, way, borderMode=cv2.BORDER_REPLICATE)
    else:
        strip = cv2.warpAffine(
            image,
            np.stack([along, down, start], axis=1),
            finer,
            flags=way | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
    if finer != size:
        strip = cv2.resize(strip, size, interpolation=cv2.INTER_AREA)
    return np.asarray(strip, np.uint8)


_MUCH = 0.5  # Pixels of the page for one of the strip: letters of less than 24 pixels.


def _lengths(steps: Floats) -> Floats:
    return np.asarray(np.linalg.norm(steps, axis=-1), np.float32)

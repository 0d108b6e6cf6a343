"""Pages made smaller to be looked at, at the least cost."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


def reduced(image: Image, longest: int, way: int = cv2.INTER_LINEAR) -> tuple[Image, float]:
    """The ``image`` with no side longer than ``longest``, and how many times smaller it became.

    It is halved as often as can be, as means of areas; what is left is done in the given ``way``.
    Of a black line of one pixel at least a tenth is left.
    """
    scale = 1.0
    # Means of areas that are no halves take ten times as long.
    while max(image.shape[:2]) >= 2 * longest:
        high, wide = (max(1, side // 2) for side in image.shape[:2])
        even = image[: 2 * high, : 2 * wide]
        image = np.asarray(cv2.resize(even, (wide, high), interpolation=cv2.INTER_AREA), np.uint8)
        scale *= 2
    more = max(image.shape[:2]) / longest
    if more > 1:
        way = cv2.INTER_AREA if more > _SPARSE else way
        high, wide = (max(1, round(side / more)) for side in image.shape[:2])
        image = np.asarray(cv2.resize(image, (wide, high), interpolation=way), np.uint8)
        scale *= more
    return image, scale


_SPARSE = 1.8  # Times smaller; from there on lines may fall between the pixels that are taken.

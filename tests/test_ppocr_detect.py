"""How closely a page is looked at."""

import numpy as np

from app.engines.pieces import Floats
from app.engines.ppocr_detect import GLANCE, find_text
from app.interfaces import Image

PAGE = np.full((2000, 1500, 3), 255, np.uint8)


def test_many_short_pieces_give_way_to_fewer_lines() -> None:
    """Of print that is too small for it, a glance sees nothing but pieces."""
    looks = 0

    def detector(canvas: Image) -> Floats:
        nonlocal looks
        looks += 1
        logits = np.full(canvas.shape[:2], -9, np.float32)
        height, width = canvas.shape[:2]
        for top in range(40, height - 40, 80):
            if looks == 1:
                for left in range(40, width - 40, 40):
                    logits[top : top + 5, left : left + 10] = 9
            else:
                logits[top : top + 14, 40 : width - 40] = 9
        return logits

    found = find_text(PAGE, detector, GLANCE)

    assert looks > 1
    assert np.median(found.widths) > 400

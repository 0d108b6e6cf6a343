"""What JPEG files are like inside, where that matters to more than a decoder."""

import os
from pathlib import Path

import numpy as np
import PIL.Image


def is_common(source: Path) -> bool:
    """Whether it is baseline or progressive: only these are sure to be shown by any PDF reader."""
    with source.open("rb") as file:
        place = 2
        for _ in range(1000):
            file.seek(place)
            marker = file.read(4)
            if len(marker) < 4 or marker[0] != 0xFF:
                return False
            if marker[1] == 0xFF:  # A fill byte.
                place += 1
            elif 0xC0 <= marker[1] <= 0xCF and marker[1] not in (0xC4, 0xC8, 0xCC):
                return marker[1] in (0xC0, 0xC1, 0xC2)
            else:
                place += 2 + int.from_bytes(marker[2:], "big")
    return False


def ended(source: Path, target: Path, max_pixels: int) -> Path:
    """``source``; or ``target``, the same with an end, if it lacks little more than that.

    Cameras and broken connections leave out the last bytes, and every viewer shows such files.
    """
    with source.open("rb") as file:
        file.seek(-min(_TAIL_BYTES, os.fstat(file.fileno()).st_size), os.SEEK_END)
        if _END in file.read():
            return source
    with PIL.Image.open(source, formats=["JPEG"]) as image:
        width, height = image.size
        if width * height > max_pixels:
            return source
        try:
            image.load()
        except OSError:
            image.tile = []  # What has been decoded can be had; below it all is 0.
            rows = np.flatnonzero(np.asarray(image).reshape(height, -1).any(axis=1))
            if not rows.size or height - rows[-1] > max(_FEW_ROWS, height // 50):
                return source
    target.write_bytes(source.read_bytes() + _END)
    return target


_END = b"\xff\xd9"
_TAIL_BYTES = 4096
_FEW_ROWS = 32  # As many as a decoder may hold back.

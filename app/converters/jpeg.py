"""What JPEG files are like inside, where that matters to more than a decoder."""

import os
from pathlib import Path

import numpy as np
import PIL.Image

from app.errors import TooLarge


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


def check(source: Path) -> None:
    """Raise TooLarge where decoding would take minutes: much metadata, many passes."""
    data = source.read_bytes()
    place, extra, height, width = 2, 0, 0, 0
    for _ in range(_MOST_MARKERS):
        if data[place : place + 1] != b"\xff" or place + 9 > len(data):
            return  # Damaged: decoders look no further.
        kind, size = data[place + 1], int.from_bytes(data[place + 2 : place + 4], "big")
        if kind == 0xDA:
            break
        if kind == 0xFF:  # A fill byte.
            place += 1
            continue
        if kind == 0xFE or 0xE0 <= kind <= 0xEF:
            extra += size
        elif 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            height = int.from_bytes(data[place + 5 : place + 7], "big")
            width = int.from_bytes(data[place + 7 : place + 9], "big")
        if extra > _MOST_EXTRA_BYTES:
            break
        place += 2 + size
    else:
        extra = _MOST_EXTRA_BYTES + 1
    if extra > _MOST_EXTRA_BYTES:
        raise TooLarge("The image has too much metadata; save it without.")
    # Within a picture these two bytes are nothing else.
    passes = data.count(b"\xff\xda", place, data.find(_END, place) % (len(data) + 1))
    if passes > _USUAL_PASSES and passes * width * height > _MOST_PASSED_PIXELS:
        raise TooLarge("The image is stored in too many passes; save it anew.")


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


_MOST_MARKERS = 20_000
_MOST_EXTRA_BYTES = 32 * 2**20
_USUAL_PASSES = 20  # Of progressive files; most have ten.
_MOST_PASSED_PIXELS = 2_000_000_000
_END = b"\xff\xd9"
_TAIL_BYTES = 4096
_FEW_ROWS = 32  # As many as a decoder may hold back.

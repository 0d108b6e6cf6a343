"""TIFF files of the rarer kinds, which Pillow does not read or garbles, made anew by OpenCV."""

import struct
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL.TiffImagePlugin import TiffImageFile

from app.converters.samples import to_bytes
from app.errors import InvalidFile, TooLarge


def is_garbled(image: PIL.Image.Image) -> bool:
    """Whether Pillow would mix up the samples: deep ones of which each channel stands by itself."""
    return (
        isinstance(image, TiffImageFile)
        and image.tag_v2.get(_PLANES) == 2
        and max(image.tag_v2.get(_BITS, (8,))) > 8
    )


def rewrite(source: Path, target: Path, max_pixels: int, max_pages: int) -> Path:
    """``target``, with the same pages in 8 bits. Raises InvalidFile, TooLarge."""
    count = 0
    for width, height in _sizes(source):
        count += 1
        if count > max_pages:
            raise TooLarge(
                f"The image has more than the {max_pages} frames that are accepted; send it in "
                "parts."
            )
        if width * height > max_pixels:
            raise TooLarge(
                f"The image has {width} x {height} pixels; at most {max_pixels} are accepted: "
                "scale it down."
            )
    if not count:
        raise InvalidFile("The image is damaged or cannot be read.")
    pages = (PIL.Image.fromarray(_decode(source, index)) for index in range(count))
    next(pages).save(target, "TIFF", compression="packbits", save_all=True, append_images=pages)
    return target


_WIDTH, _HEIGHT, _BITS, _PLANES = 256, 257, 258, 284
_KINDS = {1: "B", 3: "H", 4: "I", 16: "Q"}
_MAX_ENTRIES = 10_000


def _sizes(source: Path) -> Iterator[tuple[int, int]]:
    """Width and height of each page, before OpenCV takes memory for them."""
    with source.open("rb") as file:
        head = file.read(16)
        order = "<" if head.startswith(b"II") else ">"
        version = struct.unpack_from(f"{order}H", head, 2)[0]
        count, entry, link = ("Q", "HHQ8s", "Q") if version == 43 else ("H", "HHI4s", "I")
        place = struct.unpack_from(order + link, head, 8 if version == 43 else 4)[0]
        seen: set[int] = set()
        while place and place not in seen:
            seen.add(place)
            file.seek(place)
            entries = struct.unpack(order + count, file.read(struct.calcsize(order + count)))[0]
            size = struct.calcsize(order + entry)
            if entries > _MAX_ENTRIES:
                raise InvalidFile("The image is damaged or cannot be read.")
            found = {_WIDTH: 0, _HEIGHT: 0}
            for tag, kind, _, value in struct.iter_unpack(order + entry, file.read(entries * size)):
                if tag in found:
                    found[tag] = struct.unpack_from(order + _KINDS[kind], value)[0]
            yield found[_WIDTH], found[_HEIGHT]
            place = struct.unpack(order + link, file.read(struct.calcsize(order + link)))[0]


def _decode(source: Path, index: int) -> NDArray[np.uint8]:
    for flag in (cv2.IMREAD_COLOR, cv2.IMREAD_UNCHANGED):
        done, pages = cv2.imreadmulti(str(source), index, 1, flags=flag)
        if done and pages:
            samples = to_bytes(np.asarray(pages[0]))
            return samples if samples.ndim == 2 else np.ascontiguousarray(samples[:, :, 2::-1])
    raise InvalidFile("The image is damaged or cannot be read.")

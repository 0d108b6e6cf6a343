"""Uncompressed Windows bitmaps of the rarer kinds, which Pillow does not read."""

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.errors import InvalidFile, TooLarge


def decode(path: Path, max_pixels: int) -> NDArray[np.uint8]:
    """The pixels, shape (height, width, 3); alpha is left out. Raises InvalidFile, TooLarge."""
    with path.open("rb") as file:
        head = file.read(14 + 124 + 4 * 256)
        if len(head) < 54:
            raise InvalidFile("The image is damaged or cannot be read.")
        start, size, width, height, _, bits, packing = struct.unpack_from("<IIiiHHI", head, 10)
        rows = abs(height)
        if width <= 0 or rows == 0 or bits not in (1, 2, 4, 8, 16, 24, 32) or packing not in (0, 3):
            raise InvalidFile("The image is damaged or cannot be read.")
        if width * rows > max_pixels:
            raise TooLarge(
                f"The image has {width} x {rows} pixels; at most {max_pixels} are accepted: "
                "scale it down."
            )
        stride = (width * bits + 31) // 32 * 4
        file.seek(start)
        data = np.frombuffer(file.read(stride * rows), dtype=np.uint8)
    if data.size < stride * rows:
        raise InvalidFile("The image is damaged or cannot be read.")
    lines = data.reshape(rows, stride)
    if height > 0:
        lines = lines[::-1]
    if bits <= 8:
        return _palette(head, size, bits)[_indices(lines, bits)[:, :width]]
    if bits == 24:
        return np.ascontiguousarray(lines[:, : width * 3].reshape(rows, width, 3)[:, :, ::-1])
    samples = lines.view("<u2" if bits == 16 else "<u4")[:, :width]
    masks = struct.unpack_from("<3I", head, 54) if packing == 3 else _MASKS[bits]
    return np.stack([_channel(samples, mask) for mask in masks], axis=2)


_MASKS = {16: (0x7C00, 0x03E0, 0x001F), 32: (0xFF0000, 0x00FF00, 0x0000FF)}


def _palette(head: bytes, size: int, bits: int) -> NDArray[np.uint8]:
    """All the colours that an index can name; those that the file leaves out are black."""
    colours = np.zeros((2**bits, 3), dtype=np.uint8)
    stored = np.frombuffer(head[14 + size :][: 4 * 2**bits], dtype=np.uint8)
    stored = stored[: len(stored) // 4 * 4].reshape(-1, 4)
    colours[: len(stored)] = stored[:, 2::-1]
    return colours


def _indices(lines: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """One index for each pixel; the leftmost is in the highest bits."""
    shifts = np.arange(8 - bits, -1, -bits, dtype=np.uint8)
    found: NDArray[np.uint8] = (lines[:, :, None] >> shifts) & np.uint8(2**bits - 1)
    return found.reshape(len(lines), -1)


def _channel(samples: NDArray[np.uint32], mask: int) -> NDArray[np.uint8]:
    """The bits under ``mask``, scaled to 0 to 255."""
    if mask == 0:
        return np.zeros(samples.shape, dtype=np.uint8)
    shift = (mask & -mask).bit_length() - 1
    full = mask >> shift
    values = (samples.astype(np.uint32) & np.uint32(mask)) >> np.uint32(shift)
    return np.asarray(np.rint(values * (255 / full)), dtype=np.uint8)

"""Samples of any depth as bytes, a few rows at a time: a large image's copies are larger still."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray


def rows_of(height: int, width: int) -> Iterator[slice]:
    """The rows of an image in pieces of a few megapixels."""
    step = max(1, _PIECE_PIXELS // max(1, width))
    for top in range(0, height, step):
        yield slice(top, min(height, top + step))


_PIECE_PIXELS = 2**21


def to_bytes(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Scale samples of any range to 0 to 255; ``values`` have the shape (height, width, ...).

    Integers are taken to fill the bits that the largest of them needs: 12-bit scans come in
    16-bit files.
    """
    pieces = [values[rows] for rows in rows_of(*values.shape[:2])]
    lowest = min(float(_finite(piece).min()) for piece in pieces)
    highest = max(float(_finite(piece).max()) for piece in pieces)
    shift = max(0.0, -lowest)
    highest += shift
    if np.issubdtype(values.dtype, np.integer):
        full = float(2 ** max(8, int(highest).bit_length()) - 1)
    else:
        full = next((limit for limit in (1.0, 255.0, 65535.0) if highest <= limit), highest)
    result = np.empty(values.shape, np.uint8)
    for rows, piece in zip(rows_of(*values.shape[:2]), pieces, strict=True):
        result[rows] = np.rint((_finite(piece) + shift) * (255 / full))
    return result


def _finite(values: NDArray[np.generic]) -> NDArray[np.float32]:
    numbers = values.astype(np.float32)
    if np.issubdtype(values.dtype, np.floating):
        np.nan_to_num(numbers, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    return numbers

"""A picture of what was understood of a page: its blocks, their order and kinds, its tables."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from app.document import Box, Kind, Page, Picture, Table

Image = NDArray[np.uint8]


def show(page: Page, image: Image, folder: Path) -> Path:
    """Draw ``page`` over its ``image`` (shape (height, width, 3)) into a PNG below ``folder``.

    Lines are framed thinly, blocks in the colour of their kind, with their number in the reading
    order; cells of tables in green. Returns the file's path.
    """
    scale = min(1.0, _LONGEST / max(image.shape[:2]))
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    picture = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    scale = size[0] / page.width
    # Faded, so that the drawing stands out.
    picture = np.asarray(picture * 0.6 + 255 * 0.4, np.uint8)
    for line in page.lines:
        _frame(picture, line.box, scale, _LINE, 1)
    for number, block in enumerate(page.blocks, 1):
        if isinstance(block, Table):
            for cell in block.cells:
                _frame(picture, cell.box, scale, _CELL, 1)
            kind, colour = f"table {block.rows} x {block.columns}", _CELL
        elif isinstance(block, Picture):
            kind, colour = "picture", _PICTURE
        else:
            kind = "" if block.kind is Kind.TEXT else block.kind
            if block.kind is Kind.HEADING:
                kind = f"{block.kind} {block.level}"
            colour = _COLOURS.get(block.kind, _PARAGRAPH)
        _frame(picture, block.box, scale, colour, 2)
        _label(picture, f"{number} {kind}".strip(), block.box, scale, colour)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"page-{page.number:04d}.png"
    cv2.imwrite(str(target), picture[..., ::-1])
    return target


_LONGEST = 2000  # Pixels; enough to read by, small enough to look through many.
_LINE = (150, 150, 150)
_PARAGRAPH = (30, 90, 220)
_CELL = (0, 150, 60)
_PICTURE = (150, 80, 0)
_COLOURS = {
    Kind.HEADING: (200, 30, 30),
    Kind.ITEM: (120, 40, 170),
    Kind.CAPTION: (150, 80, 0),
    Kind.HEADER: (110, 110, 110),
    Kind.FOOTER: (110, 110, 110),
}


def _frame(picture: Image, box: Box, scale: float, colour: tuple[int, ...], thick: int) -> None:
    corners = [round(edge * scale) for edge in (box.left, box.top, box.right, box.bottom)]
    cv2.rectangle(picture, corners[:2], corners[2:], colour, thick)


def _label(picture: Image, text: str, box: Box, scale: float, colour: tuple[int, ...]) -> None:
    """``text`` on a ground of its own, beside the upper left corner of ``box``."""
    font, size = cv2.FONT_HERSHEY_SIMPLEX, 0.5
    (width, height), _ = cv2.getTextSize(text, font, size, 1)
    left = max(0, round(box.left * scale) - width - 6)
    top = max(0, round(box.top * scale))
    cv2.rectangle(picture, (left, top), (left + width + 4, top + height + 6), colour, cv2.FILLED)
    place = (left + 2, top + height + 2)
    cv2.putText(picture, text, place, font, size, (255, 255, 255), 1, cv2.LINE_AA)

"""Transparent images as they are read: on white paper, or on black where that shows more."""

from typing import cast

import cv2
import numpy as np
import PIL.Image

from app.converters.samples import rows_of


def on_paper(image: PIL.Image.Image) -> PIL.Image.Image:
    """An RGBA image on white; light text on transparent, which would vanish, on black."""
    least, most = cast(tuple[int, int], image.getchannel("A").getextrema())
    if least == most:  # It hides all or nothing: a channel that nobody filled in.
        shown = image.convert("RGB")
        blank = most == 0 and len(shown.getcolors(2) or ()) == 1
        return PIL.Image.new("RGB", image.size, "white") if blank else shown
    width, height = image.size
    paper = "black" if _is_light(image, most // 2) else "white"
    sheet = PIL.Image.new("RGB", image.size, paper)
    for rows in rows_of(height, width):
        piece = image.crop((0, rows.start, width, rows.stop))
        sheet.paste(piece, (0, rows.start), piece)
    return sheet


def _is_light(image: PIL.Image.Image, faintest: int) -> bool:
    """Whether what stands on the transparent ground, above an alpha of ``faintest``, is light."""
    width, height = image.size
    inked = light = dark = 0
    darkest = 255
    for rows in rows_of(height, width):
        piece = np.asarray(image.crop((0, rows.start, width, rows.stop)).convert("LA"))
        grey, ink = piece[:, :, 0], piece[:, :, 1] > faintest
        edge = ink & (cv2.erode(ink.astype(np.uint8), np.ones((3, 3))) == 0)
        inked += int(ink.sum())
        light += int((grey[edge] > _LIGHT).sum())
        dark += int((grey[edge] < _DARK).sum())
        darkest = min(darkest, int(grey[ink].min(initial=255)))
    # What covers much brings its own ground, such as a picture of a window.
    return light > dark and (inked < _MUCH * width * height or darkest > _LIGHT)


_LIGHT, _DARK = 190, 65  # What would vanish on white, and on black.
_MUCH = 0.4  # Share of an image; text covers at most a quarter of its own.

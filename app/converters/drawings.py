"""Drawings inside Office documents (EMF, WMF) as pictures with the text that is drawn in them."""

from __future__ import annotations

import struct
import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import PIL.Image

from app import media
from app.converters.office_program import Office
from app.document import Box, Line
from app.errors import InvalidFile, TimedOut
from app.interfaces import Converter, Image, Keepsake, SourcePage, SourcePicture

_LONGEST_S = 10.0  # For one drawing; most take 0.05 s.
_LONGEST_ALL_S = 20.0  # For those of a document.
_ROOM = 8  # Pixels around what is drawn.
_PAPER = 250  # Level; what is darker is drawn.


@dataclass(frozen=True, slots=True)
class Drawing:
    """What a drawing shows."""

    picture: Path  # A PNG.
    lines: tuple[Line, ...] | None  # In its pixels; None if it has no text that can be trusted.
    pictures: tuple[SourcePicture, ...]  # In it.


def size_of(path: Path, kind: str) -> tuple[float, float] | None:
    """Width and height of a drawing in pixels at 96 dpi; None if it does not say."""
    with path.open("rb") as file:
        head = file.read(40)
    if kind == media.EMF:
        left, top, right, bottom = struct.unpack_from("<4i", head, 24)  # Hundredths of a mm.
        per_inch = 2540.0
    elif head.startswith(media.PLACEABLE) and len(head) == 40:
        left, top, right, bottom, per_inch = struct.unpack_from("<4hH", head, 6)
    else:
        return None
    scale = 96 / (per_inch or 1440)
    return abs(right - left) * scale, abs(bottom - top) * scale


class Drawings:
    """Has the drawings of one document laid out by LibreOffice, in the folder ``work``."""

    def __init__(self, pdf: Converter, program: Office, work: Path) -> None:
        self._pdf = pdf
        self._program = program
        self._work = work
        self._left_s = _LONGEST_ALL_S

    def draw(self, path: Path, kind: str) -> Drawing:
        """The drawing at ``path``, of the media type ``kind``.

        Raises InvalidFile; TimedOut, also for all after those that took long; ToolFailed
        without LibreOffice.
        """
        if self._left_s <= 0:
            raise TimedOut("The drawings of the document take too long.")
        began = time.monotonic()
        try:
            limit = min(_LONGEST_S, self._left_s)
            laid_out = self._program.convert(path, kind, media.PDF, self._work, limit)
            with self._pdf.open(laid_out, self._work, None) as opened:
                assert not isinstance(opened, Keepsake)
                with closing(opened.pages()) as pages:  # type: ignore[type-var]
                    return _cut(next(pages), path.with_suffix(".png"))
        finally:
            self._left_s -= time.monotonic() - began


def _cut(page: SourcePage, target: Path) -> Drawing:
    """What is drawn on the sheet of paper that the drawing was put on."""
    image = page.load()
    box = _drawn(image)
    part = image[int(box.top) : int(box.bottom), int(box.left) : int(box.right)]
    PIL.Image.fromarray(part).save(target, compress_level=1)
    lines = page.lines and tuple(_moved(line, box) for line in page.lines)
    pictures = tuple(replace(each, box=_shifted(each.box, box)) for each in page.pictures)
    return Drawing(target, lines, pictures)


def _drawn(image: Image) -> Box:
    dark = image.min(axis=2) < _PAPER
    rows, columns = np.flatnonzero(dark.any(axis=1)), np.flatnonzero(dark.any(axis=0))
    if not len(rows):
        raise InvalidFile("Nothing is drawn.")
    return Box(
        max(0, int(columns[0]) - _ROOM),
        max(0, int(rows[0]) - _ROOM),
        min(image.shape[1], int(columns[-1]) + 1 + _ROOM),
        min(image.shape[0], int(rows[-1]) + 1 + _ROOM),
    )


def _moved(line: Line, frame: Box) -> Line:
    words = tuple(word._replace(box=_shifted(word.box, frame)) for word in line.words)
    return replace(line, words=words, box=_shifted(line.box, frame))


def _shifted(box: Box, frame: Box) -> Box:
    return Box(
        box.left - frame.left, box.top - frame.top, box.right - frame.left, box.bottom - frame.top
    )

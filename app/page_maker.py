"""From pages of a source to pages of a document: read, laid out, with their pictures."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial

import numpy as np

from app.context import step
from app.document import Block, Box, Line, Page, Paragraph, Picture, with_lines
from app.errors import AppError, InternalError, InvalidFile, TimedOut
from app.interfaces import Image, SourcePage, Writer
from app.layout.blocks import blocks
from app.layout.ink import tightened
from app.layout.pictures import cut_out
from app.layout.styles import styled
from app.reading import Mode, Reader

log = logging.getLogger(__name__)

Show = Callable[[Page, Image], object]
"""Called with each page and its picture, set upright."""


class PageMaker:
    """Makes pages of one document for one writer, and counts."""

    def __init__(
        self, reader: Reader, writer: Writer, with_text: bool, show: Show | None = None
    ) -> None:
        """``with_text`` is for more than the writer: all text is wanted."""
        self._reader = reader
        self._show = show
        self._looks = writer.looks or show is not None
        self._exact = writer.exact
        self._retells = writer.retells or with_text or show is not None
        self.recognized = 0  # Pages that recognition looked at.
        self.failed: list[int] = []  # Numbers of pages that could not be read,
        self.fault: AppError | None = None  # and why the last of them could not.

    def make(self, page: SourcePage, beat: Callable[[], None]) -> Page:
        """The page; as its picture, if it cannot be read. ``beat`` is called in the midst of it."""
        if page.blocks is not None:
            return self._given(page, page.blocks, beat)
        try:
            return self._read(page)
        except (InvalidFile, TimedOut, InternalError) as error:
            log.warning("page %d cannot be read: %s", page.number, error)
            self.fault = error
            self.failed.append(page.number)
            return self._unread(page)

    def _read(self, page: SourcePage) -> Page:
        read = self._reader.read(page)
        self.recognized += read.recognized
        lines, turns, image = read.lines, read.turns, read.image
        if not (read.recognized or self._retells):
            lines = ()
        with step("layout", page=page.number):
            load = page.load if image is None else partial(np.asarray, image)
            if self._looks and image is not None:
                new = iter(styled([line for line in lines if not line.given], image))
                lines = tuple(line if line.given else next(new) for line in lines)
            width, height = page.width, page.height
            if turns % 2:
                width, height = height, width
            drawn = page.rules if turns == 0 else None
            try:
                found = blocks(lines, load, width, height, self._looks, drawn)
            except InvalidFile:  # It cannot be shown, but has a text.
                found = blocks(lines, None, width, height)
            if self._exact and image is not None:
                found = tuple(
                    with_lines(block, partial(_tightened, image=image)) for block in found
                )
        laid_out = Page(
            number=page.number,
            width=width,
            height=height,
            dpi=page.dpi,
            blocks=found,
            recognized=read.recognized,
            picture=page.picture,
            turns=turns,
            load=page.load,
        )
        if self._show is not None:
            with suppress(InvalidFile):
                self._show(laid_out, load())
        return laid_out

    def _given(self, page: SourcePage, blocks: tuple[Block, ...], beat: Callable[[], None]) -> Page:
        """The page whose blocks are known; only its pictures are read, with a beat after each."""
        found = list(blocks)
        recognized = False
        for place, image in page.inside.items() if self._reader.mode is not Mode.SKIP else ():
            block = found[place]
            if isinstance(block, Picture) and (texts := text_inside(image, self._reader)):
                move = partial(_moved, page=image, box=block.box)
                found[place] = with_lines(replace(block, paragraphs=tuple(texts)), move)
                recognized = True
            beat()
        self.recognized += recognized
        read = Page(
            number=page.number,
            width=page.width,
            height=page.height,
            dpi=page.dpi,
            blocks=tuple(found),
            recognized=recognized,
            load=page.load,
            endless=True,
        )
        if self._show is not None:
            with suppress(InvalidFile):
                self._show(read, page.load())
        return read

    def _unread(self, page: SourcePage) -> Page:
        """The page as its picture, if it can be shown at all."""
        blocks: tuple[Block, ...] = ()
        if self._looks:
            with suppress(AppError):
                whole = Box(0, 0, page.width, page.height)
                blocks = (Picture(whole, cut_out(page.load(), whole)),)
        return Page(
            number=page.number,
            width=page.width,
            height=page.height,
            dpi=page.dpi,
            blocks=blocks,
            recognized=False,
            picture=page.picture,
            load=page.load,
        )


def text_inside(image: SourcePage, reader: Reader) -> list[Paragraph]:
    """The text in a picture of a document; none if it cannot be read."""
    try:
        read = reader.read(image)
    except (InvalidFile, TimedOut) as error:
        log.warning("a picture in the document cannot be read: %s", error)
        return []
    width, height = image.width, image.height
    if read.turns % 2:
        width, height = height, width
    found = blocks(read.lines, None, width, height)
    made = Page(0, width, height, image.dpi, found, recognized=True)
    return list(made.paragraphs)


def _tightened(line: Line, image: Image) -> Line:
    return line if line.given else tightened(line, image)


def _moved(line: Line, page: SourcePage, box: Box) -> Line:
    """A line of a picture's ``page``, as it stands in the picture's ``box``."""
    across, down = box.width / page.width, box.height / page.height

    def moved(old: Box) -> Box:
        return Box(
            box.left + old.left * across,
            box.top + old.top * down,
            box.left + old.right * across,
            box.top + old.bottom * down,
        )

    words = tuple(word._replace(box=moved(word.box)) for word in line.words)
    style = line.style and replace(line.style, size=line.style.size * down)
    return replace(line, words=words, box=moved(line.box), style=style)

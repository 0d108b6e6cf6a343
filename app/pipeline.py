"""One document's way: convert, recognize, lay out, write, page by page; knows no HTTP, no SQL."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from app.document import Block, Box, Document, Line, Page, Paragraph, Picture, with_lines
from app.errors import AppError, InternalError, InvalidFile, TimedOut
from app.interfaces import (
    Converter,
    Engine,
    Image,
    Keeper,
    Keepsake,
    Source,
    SourcePage,
    Writer,
)
from app.languages import Language
from app.layout.blocks import blocks
from app.layout.breaks import continued
from app.layout.ink import tightened
from app.layout.pictures import cut_out
from app.layout.styles import styled
from app.media import detect
from app.reading import Mode, Reader

log = logging.getLogger(__name__)

Progress = Callable[[int, int, int], None]
"""Called with pages done, pages in all, pages recognized; may raise to stop the work."""

Show = Callable[[Page, Image], object]
"""Called with each page and its picture, set upright."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to make of a source file."""

    format: str
    languages: tuple[Language, ...]
    password: str | None = None
    pdfa: bool = False  # A PDF is to be a PDF/A; no other format has such a kind.
    mode: Mode = Mode.AUTO

    @property
    def writer(self) -> str:
        """The name of the writer that makes it."""
        return "pdfa" if self.pdfa and self.format == "pdf" else self.format


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it."""

    input_media_type: str
    output_media_type: str
    pages: int
    recognized: int
    failed: tuple[int, ...] = ()  # Numbers of pages that could not be read.


class Pipeline:
    """Converters, engines and writers, put together."""

    def __init__(
        self,
        converters: Sequence[Converter],
        engines: Mapping[str, Engine],
        writers: Mapping[str, Writer],
        engine: str = "auto",
        keepers: Mapping[str, Keeper] | None = None,
    ) -> None:
        self._keepers = keepers or {}
        self._converters = {kind: c for c in converters for kind in c.media_types}
        self._engines = engines
        self._writers = writers
        self._engine = engine

    def with_writer(self, name: str, writer: Writer) -> Pipeline:
        """The same with one writer more."""
        converters = list(dict.fromkeys(self._converters.values()))
        writers = {**self._writers, name: writer}
        return Pipeline(converters, self._engines, writers, self._engine, self._keepers)

    def prepare(self) -> bool:
        """Do a little that makes later pages quicker; False where nothing is left to do."""
        for converter in self._converters.values():
            converter.prepare()
        return self._engines[self._engine].prepare()

    def close(self) -> None:
        """End what the parts have started."""
        for converter in self._converters.values():
            converter.close()

    def run(
        self,
        order: Order,
        source: Path,
        work: Path,
        target: Path,
        progress: Progress,
        text: Path | None = None,
        show: Show | None = None,
    ) -> Outcome:
        """Make ``target`` of ``source``, and a plain text beside it if ``text`` says where.

        Each page goes to ``show`` as it is understood. Temporary files go below ``work``.
        Raises the AppErrors of the parts.
        """
        kind = detect(source)
        converter = self._converters.get(kind)
        if converter is None:
            raise InvalidFile(f"Files of the type {kind} cannot be read.")
        engine = self._engines[self._engine]
        writer = self._writers[order.writer]
        # Where all is to be recognized, it does not matter what the file knows.
        form = "pdf" if order.mode is Mode.FORCE else order.format
        with converter.open(source, work, order.password, form) as opened:
            reader = Reader(engine, order.languages, order.mode)
            if isinstance(opened, Keepsake):
                outcome = self._keep(opened, order, kind, reader, target, progress)
                if text is not None:
                    folder = work / "as-text"
                    folder.mkdir()
                    plain = replace(order, format="txt")
                    self.run(plain, source, folder, text, partial(_beat, progress, outcome))
                return outcome
            reading = _Reading(opened, reader, progress, show, writer)
            pages: Iterator[Page] = iter(reading)
            kept: list[Page] = []
            if text is not None:
                pages = _keep(pages, kept)
            tags = tuple(language.tag for language in order.languages if language.tag)
            writer.write(Document(pages, opened.original, tags), target)
            if text is not None:
                self._writers["txt"].write(Document(kept), text)
            failed = tuple(reading.failed)
            return Outcome(kind, writer.media_type, reading.done, reading.recognized, failed)

    def _keep(
        self,
        document: Keepsake,
        order: Order,
        kind: str,
        reader: Reader,
        target: Path,
        progress: Progress,
    ) -> Outcome:
        """Give the document back, with the text in its pictures."""
        keeper = self._keepers[order.format]
        texts: dict[str, str] = {}
        pages: set[int] = set()
        recognized = 0
        progress(0, document.page_count, 0)
        for inlay in document.inlays() if order.mode is not Mode.SKIP else ():
            found = "\n".join(each.text for each in _inside(inlay.image, reader))
            if found.strip():
                texts.update(dict.fromkeys(inlay.parts, found))
                pages |= inlay.pages
                recognized = min(len(pages), document.page_count)
            progress(0, document.page_count, recognized)
        keeper.write(document.package, texts, target)
        return Outcome(kind, keeper.media_type, document.page_count, recognized)


def _beat(progress: Progress, outcome: Outcome, done: int, total: int, recognized: int) -> None:
    """Tell that there is progress, not with a count that is of something else."""
    progress(outcome.pages, outcome.pages, outcome.recognized)


def _inside(image: SourcePage, reader: Reader) -> list[Paragraph]:
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


class _Reading:
    """The pages of a source, recognized as they are asked for, and counted."""

    def __init__(
        self,
        source: Source,
        reader: Reader,
        progress: Progress,
        show: Show | None,
        writer: Writer,
    ) -> None:
        self._source = source
        self._reader = reader
        self._progress = progress
        self._show = show
        self._looks = writer.looks or show is not None
        self._exact = writer.exact
        self.done = self.recognized = 0
        self.failed: list[int] = []

    def __iter__(self) -> Iterator[Page]:
        total = self._source.page_count
        self._progress(0, total, 0)
        before: Page | None = None
        fault: AppError | None = None
        for page in self._source.pages():
            if page.blocks is not None:
                before = None  # A sheet does not go on on the next one.
                yield self._given(page, page.blocks, partial(self._progress, self.done, total))
                self.done += 1
                self._progress(self.done, total, self.recognized)
                continue
            try:
                read = self._read(page)
            except (InvalidFile, TimedOut, InternalError) as error:
                log.warning("page %d cannot be read: %s", page.number, error)
                fault = error
                self.failed.append(page.number)
                read = self._unread(page)
            read = continued(read, before)
            yield read
            before = replace(read, load=None)  # It may hold the rendered page.
            self.done += 1
            self._progress(self.done, total, self.recognized)
        if fault is not None and len(self.failed) == self.done:
            raise fault  # One bad page does not lose a document, but this one has no others.

    def _read(self, page: SourcePage) -> Page:
        read = self._reader.read(page)
        self.recognized += read.recognized
        lines, turns, image = read.lines, read.turns, read.image
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
            found = tuple(with_lines(block, partial(_tightened, image=image)) for block in found)
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

    def _given(
        self, page: SourcePage, blocks: tuple[Block, ...], beat: Callable[[int], None]
    ) -> Page:
        """The page whose blocks are known; only its pictures are read, with a beat after each."""
        found = list(blocks)
        recognized = False
        for place, image in page.inside.items() if self._reader.mode is not Mode.SKIP else ():
            block = found[place]
            if isinstance(block, Picture) and (texts := _inside(image, self._reader)):
                move = partial(_moved, page=image, box=block.box)
                found[place] = with_lines(replace(block, paragraphs=tuple(texts)), move)
                recognized = True
            beat(self.recognized)
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


def _tightened(line: Line, image: Image) -> Line:
    return line if line.given else tightened(line, image)


def _keep(pages: Iterator[Page], kept: list[Page]) -> Iterator[Page]:
    for page in pages:
        kept.append(replace(page, load=None))  # It may hold the rendered page.
        yield page


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

    words = tuple(replace(word, box=moved(word.box)) for word in line.words)
    style = line.style and replace(line.style, size=line.style.size * down)
    return replace(line, words=words, box=moved(line.box), style=style)

"""One document's way: convert, recognize, lay out, write, page by page; knows no HTTP, no SQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from app.document import Document, Page, with_lines
from app.errors import InvalidFile
from app.interfaces import Converter, Engine, Image, Source, SourcePage, Writer
from app.languages import Language
from app.layout.blocks import blocks
from app.layout.breaks import continued
from app.layout.ink import tightened
from app.layout.styles import styled
from app.media import detect

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


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it."""

    input_media_type: str
    output_media_type: str
    pages: int
    recognized: int


class Pipeline:
    """Converters, engines and writers, put together."""

    def __init__(
        self,
        converters: Sequence[Converter],
        engines: Mapping[str, Engine],
        writers: Mapping[str, Writer],
        engine: str = "auto",
    ) -> None:
        self._converters = {kind: c for c in converters for kind in c.media_types}
        self._engines = engines
        self._writers = writers
        self._engine = engine

    def with_writer(self, name: str, writer: Writer) -> Pipeline:
        """The same with one writer more."""
        converters = list(dict.fromkeys(self._converters.values()))
        writers = {**self._writers, name: writer}
        return Pipeline(converters, self._engines, writers, self._engine)

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
        writer = self._writers[order.format]
        with converter.open(source, work, order.password) as opened:
            reading = _Reading(opened, engine, order.languages, progress, show, writer)
            pages: Iterator[Page] = iter(reading)
            kept: list[Page] = []
            if text is not None:
                pages = _keep(pages, kept)
            tags = tuple(language.tag for language in order.languages if language.tag)
            writer.write(Document(pages, opened.original, tags), target)
            if text is not None:
                self._writers["txt"].write(Document(kept), text)
            return Outcome(kind, writer.media_type, reading.done, reading.recognized)


class _Reading:
    """The pages of a source, recognized as they are asked for, and counted."""

    def __init__(
        self,
        source: Source,
        engine: Engine,
        languages: tuple[Language, ...],
        progress: Progress,
        show: Show | None,
        writer: Writer,
    ) -> None:
        self._source = source
        self._engine = engine
        self._languages = languages
        self._progress = progress
        self._show = show
        self._looks = writer.looks or show is not None
        self._exact = writer.exact
        self.done = self.recognized = 0

    def __iter__(self) -> Iterator[Page]:
        total = self._source.page_count
        self._progress(0, total, 0)
        before: Page | None = None
        for page in self._source.pages():
            before = continued(self._read(page), before)
            yield before
            self.done += 1
            self._progress(self.done, total, self.recognized)

    def _read(self, page: SourcePage) -> Page:
        lines, turns, load, image = page.lines, 0, page.load, None
        if lines is None:
            image = page.load()
            turns = self._engine.turns(image, self._languages)
            image = np.ascontiguousarray(np.rot90(image, turns))
            lines = tuple(self._engine.recognize(image, self._languages, page.dpi))
            self.recognized += 1
            load = partial(np.asarray, image)
            if self._looks:
                lines = styled(lines, image)
        width, height = page.width, page.height
        if turns % 2:
            width, height = height, width
        try:
            found = blocks(lines, load, width, height, self._looks)
        except InvalidFile:  # It cannot be shown, but has a text.
            found = blocks(lines, None, width, height)
        if self._exact and image is not None:
            found = tuple(with_lines(block, partial(tightened, image=image)) for block in found)
        read = Page(
            number=page.number,
            width=width,
            height=height,
            dpi=page.dpi,
            blocks=found,
            recognized=page.lines is None,
            picture=page.picture,
            turns=turns,
        )
        if self._show is not None:
            with suppress(InvalidFile):
                self._show(read, load())
        return read


def _keep(pages: Iterator[Page], kept: list[Page]) -> Iterator[Page]:
    for page in pages:
        kept.append(page)
        yield page

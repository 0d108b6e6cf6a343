"""One document's way: convert, recognize, lay out, write, page by page; knows no HTTP, no SQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from app.document import Block, Box, Document, Line, Page, Picture, with_lines
from app.errors import InvalidFile
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
    pdfa: bool = False  # A PDF is to be a PDF/A; no other format has such a kind.

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
        return self._engines[self._engine].prepare()

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
        with converter.open(source, work, order.password, order.format) as opened:
            reading = _Reading(engine, order.languages, show, writer)
            if isinstance(opened, Keepsake):
                outcome = self._keep(opened, order, kind, reading, target, progress)
                if text is not None:
                    folder = work / "as-text"
                    folder.mkdir()
                    plain = replace(order, format="txt")
                    self.run(plain, source, folder, text, partial(_beat, progress, outcome))
                return outcome
            pages: Iterator[Page] = reading.pages(opened, progress)
            kept: list[Page] = []
            if text is not None:
                pages = _keep(pages, kept)
            tags = tuple(language.tag for language in order.languages if language.tag)
            writer.write(Document(pages, opened.original, tags), target)
            if text is not None:
                self._writers["txt"].write(Document(kept), text)
            return Outcome(kind, writer.media_type, reading.done, reading.recognized)

    def _keep(
        self,
        document: Keepsake,
        order: Order,
        kind: str,
        reading: _Reading,
        target: Path,
        progress: Progress,
    ) -> Outcome:
        """Give the document back, with the text in its pictures."""
        keeper = self._keepers[order.format]
        texts: dict[str, str] = {}
        pages: set[int] = set()
        recognized = 0
        progress(0, document.page_count, 0)
        for inlay in document.inlays():
            with suppress(InvalidFile):  # What is damaged stays as it is.
                found = "\n".join(each.text for each in reading.read(inlay.image).paragraphs)
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


class _Reading:
    """The pages of a source, recognized as they are asked for, and counted."""

    def __init__(
        self,
        engine: Engine,
        languages: tuple[Language, ...],
        show: Show | None,
        writer: Writer,
    ) -> None:
        self._engine = engine
        self._languages = languages
        self._show = show
        self._looks = writer.looks or show is not None
        self._exact = writer.exact
        self.done = self.recognized = 0

    def pages(self, source: Source, progress: Progress) -> Iterator[Page]:
        """Every page, in order."""
        total = source.page_count
        progress(0, total, 0)
        before: Page | None = None
        for given in source.pages():
            if given.blocks is None:
                page = continued(self.read(given, self._show), before)
            else:
                beat = partial(progress, self.done, total, self.recognized)
                page = self._given(given, given.blocks, beat)
            before = page
            yield page
            self.done += 1
            progress(self.done, total, self.recognized)

    def _given(self, page: SourcePage, blocks: tuple[Block, ...], beat: Callable[[], None]) -> Page:
        """The page whose blocks are known; only its pictures are read, with a beat after each."""
        found = list(blocks)
        recognized = False
        for place, image in page.inside.items():
            block = found[place]
            if not isinstance(block, Picture):
                continue
            with suppress(InvalidFile):
                before = self.recognized
                inside = self.read(image)
                self.recognized = before
                move = partial(_moved, page=inside, box=block.box)
                moved = with_lines(replace(block, paragraphs=inside.paragraphs), move)
                recognized = recognized or bool(inside.paragraphs)
                found[place] = moved
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

    def read(self, page: SourcePage, show: Show | None = None) -> Page:
        """One page, recognized if need be, and laid out."""
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
            load=page.load,
        )
        if show is not None:
            with suppress(InvalidFile):
                show(read, load())
        return read


def _keep(pages: Iterator[Page], kept: list[Page]) -> Iterator[Page]:
    for page in pages:
        kept.append(replace(page, load=None))  # It may hold the rendered page.
        yield page


def _moved(line: Line, page: Page, box: Box) -> Line:
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

"""One document's way: convert, recognize, lay out, write, page by page; knows no HTTP, no SQL."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from app.context import step
from app.document import Document, Page
from app.errors import AppError, InvalidFile, TooLarge
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
from app.media import detect
from app.portion import Portion, slim
from app.reading import Mode, Reader
from app.readings import Readings

if TYPE_CHECKING:
    from app.page_maker import PageMaker, Show

# The layout, with OpenCV, is imported where it works: not every process that accepts tasks does
# them, and those start sooner and are smaller without it.

Progress = Callable[[int, int, int], None]
"""Called with pages done, pages in all, pages recognized; may raise to stop the work."""


@dataclass(frozen=True, slots=True)
class Order:
    """What to make of a source file."""

    format: str
    languages: tuple[Language, ...]
    password: str | None = None
    pdfa: bool = False  # A PDF is to be a PDF/A; no other format has such a kind.
    mode: Mode = Mode.AUTO
    text: bool = False  # A plain text is wanted beside it.

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
    left_out: tuple[str, ...] = ()  # What is on no page, as the source says.


class Pipeline:
    """Converters, engines and writers, put together."""

    def __init__(
        self,
        converters: Sequence[Converter],
        engines: Mapping[str, Engine],
        writers: Mapping[str, Writer],
        engine: str = "auto",
        keepers: Mapping[str, Keeper] | None = None,
        max_result_bytes: int = 2**30,
    ) -> None:
        self._keepers = keepers or {}
        self._max_result_bytes = max_result_bytes
        self._converters = {kind: c for c in converters for kind in c.media_types}
        self._engines = engines
        self._writers = writers
        self._engine = engine

    def with_writer(self, name: str, writer: Writer) -> Pipeline:
        """The same with one writer more."""
        converters = list(dict.fromkeys(self._converters.values()))
        writers = {**self._writers, name: writer}
        return Pipeline(
            converters,
            self._engines,
            writers,
            self._engine,
            self._keepers,
            self._max_result_bytes,
        )

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
        show: Show | None = None,
    ) -> Outcome:
        """Make ``target`` of ``source``, from the first page to the last.

        Each page goes to ``show`` as it is understood. Temporary files go below ``work``.
        Raises the AppErrors of the parts.
        """
        with self.open(order, source, work) as job:
            return job.run(target, progress, show)

    @contextmanager
    def open(
        self, order: Order, source: Path, work: Path, readings: Readings | None = None
    ) -> Iterator[Job]:
        """The work on ``source``, to be done as a whole or portion by portion.

        What is known from ``readings`` is not read again, what is read is noted in them.
        Temporary files go below ``work``. Raises the AppErrors of the parts.
        """
        kind, converter = self._converter(source)
        engine = self._engines[self._engine]
        # Where all is to be recognized, it does not matter what the file knows.
        form = "pdf" if order.mode is Mode.FORCE else order.format
        with ExitStack() as stack:
            with step("convert"):
                opened = stack.enter_context(converter.open(source, work, order.password, form))
            yield Job(
                order,
                kind,
                opened,
                engine if readings is None else readings.of(engine),
                self._writers,
                self._keepers,
                self._max_result_bytes,
            )

    def unlock(self, source: Path, work: Path, password: str) -> Path:
        """``source`` without its protection, below ``work``; itself, if it has none.

        Raises the AppErrors of the parts.
        """
        _, converter = self._converter(source)
        return converter.unlock(source, work, password)

    def _converter(self, source: Path) -> tuple[str, Converter]:
        kind = detect(source)
        converter = self._converters.get(kind)
        if converter is None:
            raise InvalidFile(f"Files of the type {kind} cannot be read.")
        return kind, converter


class Job:
    """A document that is opened, to be made into another."""

    def __init__(
        self,
        order: Order,
        kind: str,
        opened: Source | Keepsake,
        engine: Engine,
        writers: Mapping[str, Writer],
        keepers: Mapping[str, Keeper],
        max_result_bytes: int,
    ) -> None:
        self._order = order
        self._max_result_bytes = max_result_bytes
        self._writer, self._text_writer = writers[order.writer], writers["txt"]
        self._keepers = keepers
        self._reader = Reader(engine, order.languages, order.mode)
        # To ask each time which of the two it is takes long.
        self._kept: Keepsake | None = None
        self._pages_of: Source | None = None
        if isinstance(opened, Keepsake):
            self._kept = opened
        else:
            self._pages_of = opened
        self.media_type = kind
        self.page_count = opened.page_count

    @property
    def indivisible(self) -> bool:
        """Whether it has to be done by ``run``: it is given back as it is."""
        return self._kept is not None

    @property
    def original(self) -> Path | None:
        """The unlocked PDF whose pages are read, if it is one."""
        return self._pages_of.original if self._pages_of is not None else None

    @property
    def _left_out(self) -> tuple[str, ...]:
        return self._pages_of.left_out if self._pages_of is not None else ()

    def run(self, target: Path, progress: Progress, show: Show | None = None) -> Outcome:
        """Make ``target``, from the first page to the last."""
        if self._kept is not None:
            return self._give_back(self._kept, target, progress)
        maker = self._maker(show)
        self._write(self._pages(maker, 1, progress), target)
        read = Portion((), maker.recognized, tuple(maker.failed), maker.fault, self._left_out)
        return self._outcome(self.page_count, read)

    def read(
        self, first: int, last: int, enough: Callable[[int], bool], progress: Progress
    ) -> Portion:
        """The pages from ``first`` to ``last``, or as many as are ``enough``, one at least.

        Sheets of a workbook are read to the end: it would have to be opened anew for each part.
        """
        maker = self._maker()
        read: list[Page] = []
        for page in self._pages(maker, first, progress):
            read.append(slim(page, self._writer.exact))
            if page.number == last or (not page.endless and enough(len(read))):
                break
        return Portion(
            tuple(read), maker.recognized, tuple(maker.failed), maker.fault, self._left_out
        )

    def write(
        self,
        portions: Callable[[], Iterable[Portion]],
        target: Path,
        progress: Progress,
        text: Path | None = None,
    ) -> Outcome:
        """Make ``target`` of all ``portions``, and a plain text, if ``text`` says where."""
        assert self._pages_of is not None
        done = recognized = 0
        failed: list[int] = []
        fault: AppError | None = None
        left_out: list[str] = []  # Others know of it only what was laid out, and not of what.

        def pages() -> Iterator[Page]:
            nonlocal done, recognized, fault
            for portion in portions():
                recognized += portion.recognized
                failed.extend(portion.failed)
                left_out.extend(portion.left_out)
                fault = portion.fault or fault
                for page in portion.pages:
                    yield page
                    done += 1
                    progress(self.page_count, self.page_count, recognized)

        self._write(map(self._pages_of.shown, pages()), target)
        if text is not None:
            read = (page for portion in portions() for page in portion.pages)
            with step("write"):
                self._text_writer.write(Document(self._bounded(_joined(read), text)), text)
        return self._outcome(
            done, Portion((), recognized, tuple(failed), fault, tuple(dict.fromkeys(left_out)))
        )

    def _maker(self, show: Show | None = None) -> PageMaker:
        from app.page_maker import PageMaker

        return PageMaker(self._reader, self._writer, self._order.text, show)

    def _pages(self, maker: PageMaker, first: int, progress: Progress) -> Iterator[Page]:
        assert self._pages_of is not None
        done, total = 0, self.page_count

        def tell() -> None:
            progress(done, total, maker.recognized)

        tell()
        pages = self._pages_of.pages(first)
        while True:
            with step("convert"):
                page = next(pages, None)
            if page is None:
                return
            with step("page", page=page.number):
                made = maker.make(replace(page, load=partial(_loaded, page)), tell)
            yield made
            done += 1
            tell()

    def _write(self, pages: Iterator[Page], target: Path) -> None:
        tags = tuple(language.tag for language in self._order.languages if language.tag)
        bounded = self._bounded(_joined(pages), target)
        with step("write"):
            self._writer.write(Document(bounded, self.original, tags), target)
        self._check_size(target)

    def _bounded(self, pages: Iterator[Page], target: Path) -> Iterator[Page]:
        for page in pages:
            yield page
            self._check_size(target)

    def _check_size(self, target: Path) -> None:
        """Raise TooLarge for a result that is; some writers fill it page by page."""
        if target.exists() and target.stat().st_size > self._max_result_bytes:
            raise TooLarge(
                f"The result has more than {self._max_result_bytes / 2**20:g} MB; send the "
                "document in parts, or ask for txt."
            )

    def _outcome(self, pages: int, read: Portion) -> Outcome:
        if read.fault is not None and len(read.failed) == pages:
            raise read.fault  # One bad page does not lose a document, but this one has no others.
        return Outcome(
            self.media_type,
            self._writer.media_type,
            pages,
            read.recognized,
            read.failed,
            read.left_out,
        )

    def _give_back(self, document: Keepsake, target: Path, progress: Progress) -> Outcome:
        """The document as it is, with the text in its pictures."""
        from app.page_maker import text_inside

        keeper = self._keepers[self._order.format]
        texts: dict[str, str] = {}
        pages: set[int] = set()
        recognized = 0
        progress(0, document.page_count, 0)
        for inlay in document.inlays() if self._order.mode is not Mode.SKIP else ():
            found = "\n".join(each.text for each in text_inside(inlay.image, self._reader))
            if found.strip():
                texts.update(dict.fromkeys(inlay.parts, found))
                pages |= inlay.pages
                recognized = min(len(pages), document.page_count)
            progress(0, document.page_count, recognized)
        with step("write"):
            keeper.write(document.package, texts, target)
        self._check_size(target)
        return Outcome(self.media_type, keeper.media_type, document.page_count, recognized)


def _loaded(page: SourcePage) -> Image:
    with step("convert", page=page.number):
        return page.load()


def _joined(pages: Iterator[Page]) -> Iterator[Page]:
    """The pages, each marked if a table of the one before goes on in it."""
    from app.layout.breaks import continued

    before: Page | None = None
    for page in pages:
        # A sheet does not go on on the next one.
        found = page if page.endless else continued(page, before)
        yield found
        before = None if page.endless else replace(found, load=None)  # It may hold an image.

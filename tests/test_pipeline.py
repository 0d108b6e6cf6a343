"""One document's way, with parts that are easy to look at."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import docx
import numpy as np
import pytest

from app.document import Box, Line, Page, Word
from app.engines.stub import StubEngine
from app.errors import InvalidFile, TimedOut
from app.interfaces import Engine, Image, Source, SourcePage, Writer
from app.languages import Language, parse
from app.pipeline import Order, Outcome, Pipeline
from app.writers.docx import DocxWriter
from app.writers.txt import TextWriter


def line(text: str, left: float, top: float) -> Line:
    box = Box(left, top, left + 90, top + 20)
    return Line((Word(text, box),), box)


@dataclass
class Given:
    """A source whose pages are given."""

    given: list[SourcePage]
    original: Path | None = None
    left_out: tuple[str, ...] = ()

    @property
    def page_count(self) -> int:
        return len(self.given)

    def pages(self, first: int = 1) -> Iterator[SourcePage]:
        yield from self.given[first - 1 :]

    def shown(self, page: Page) -> Page:
        return page


@dataclass
class Opening:
    """A converter that takes any text for a source."""

    source: Source
    media_types = frozenset({"application/pdf"})

    @contextmanager
    def open(
        self, source: Path, work: Path, password: str | None, form: str = "pdf"
    ) -> Iterator[Source]:
        yield self.source

    def unlock(self, source: Path, work: Path, password: str) -> Path:
        return source

    def prepare(self) -> None: ...

    def close(self) -> None: ...


def run(
    pages: list[SourcePage], tmp_path: Path, form: str = "txt", engine: Engine | None = None
) -> Outcome:
    """What comes of a document of these pages, which becomes the file ``out``."""
    writers: dict[str, Writer] = {"txt": TextWriter(), "docx": DocxWriter()}
    pipeline = Pipeline([Opening(Given(pages))], {"auto": engine or StubEngine()}, writers)
    source = tmp_path / "source"
    source.write_bytes(b"%PDF-1.7")
    order = Order(form, parse("English"))
    return pipeline.run(order, source, tmp_path, tmp_path / "out", lambda *_: None)


def noise(number: int) -> Image:
    return np.random.default_rng(number).integers(0, 255, (60, 80, 3), dtype=np.uint8)


def three_pages(bad: set[int]) -> list[SourcePage]:
    """Pages of noise; the ``bad`` ones cannot be shown."""

    def page(number: int) -> SourcePage:
        def load() -> Image:
            if number in bad:
                raise InvalidFile(f"Page {number} is damaged.")
            return noise(number)

        return SourcePage(number, 80, 60, 72, load)

    return [page(number) for number in (1, 2, 3)]


def test_a_page_that_cannot_be_shown_keeps_its_text(tmp_path: Path) -> None:
    def load() -> Image:
        raise InvalidFile("Page 1 is damaged.")

    lines = tuple(
        line(f"{row}{side}", x, row) for row in (10, 40) for side, x in (("a", 10), ("b", 200))
    )

    run([SourcePage(1, 400, 300, 72, load, lines=lines)], tmp_path)

    assert (tmp_path / "out").read_text(encoding="utf-8").split() == ["10a", "10b", "40a", "40b"]


@pytest.mark.parametrize("form", ["txt", "docx"])
def test_a_bad_page_does_not_lose_the_document(form: str, tmp_path: Path) -> None:
    """It is told which pages could not be read; the others keep their places."""
    outcome = run(three_pages({2}), tmp_path, form)

    assert (outcome.pages, outcome.recognized, outcome.failed) == (3, 2, (2,))
    if form == "txt":
        pages = (tmp_path / "out").read_text(encoding="utf-8").split("\f")
        assert [bool(page) for page in pages] == [True, False, True]


def test_a_document_of_bad_pages_is_one(tmp_path: Path) -> None:
    with pytest.raises(InvalidFile, match="Page 3"):
        run(three_pages({1, 2, 3}), tmp_path)


def test_a_page_whose_recognition_fails_becomes_its_picture(tmp_path: Path) -> None:
    """In formats that show pages."""

    class Failing(StubEngine):
        def recognize(self, image: Image, languages: Sequence[Language], dpi: float) -> list[Line]:
            if (image == noise(2)).all():
                raise TimedOut("The page took too long.")
            return super().recognize(image, languages, dpi)

    outcome = run(three_pages(set()), tmp_path, "docx", Failing())

    assert outcome.failed == (2,)
    assert len(docx.Document(str(tmp_path / "out")).inline_shapes) == 1


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    """Also by those who write what others have read, of a document that has been laid out."""

    def pipeline(*left_out: str) -> Pipeline:
        given = Given(three_pages(set()), left_out=left_out)
        return Pipeline([Opening(given)], {"auto": StubEngine()}, {"txt": TextWriter()})

    source, target = tmp_path / "source", tmp_path / "out"
    source.write_bytes(b"%PDF-1.7")
    order = Order("txt", parse("English"))
    whole = pipeline("hidden sheets: a").run(order, source, tmp_path, target, lambda *_: None)
    with pipeline("hidden sheets: a").open(order, source, tmp_path) as job:
        first = job.read(1, 2, lambda _: False, lambda *_: None)
    with pipeline().open(order, source, tmp_path) as job:
        second = job.read(3, 3, lambda _: False, lambda *_: None)
        divided = job.write(lambda: [first, second], target, lambda *_: None)

    assert whole.left_out == divided.left_out == ("hidden sheets: a",)

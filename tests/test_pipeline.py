"""One document's way, with parts that are easy to look at."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.document import Box, Line, Word
from app.engines.stub import StubEngine
from app.errors import InvalidFile
from app.interfaces import Image, Source, SourcePage
from app.languages import parse
from app.pipeline import Order, Pipeline
from app.writers.txt import TextWriter


def line(text: str, left: float, top: float) -> Line:
    box = Box(left, top, left + 90, top + 20)
    return Line((Word(text, box),), box)


@dataclass
class Given:
    """A source whose pages are given."""

    given: list[SourcePage]
    original: Path | None = None

    @property
    def page_count(self) -> int:
        return len(self.given)

    def pages(self) -> Iterator[SourcePage]:
        yield from self.given


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


def test_a_page_that_cannot_be_shown_keeps_its_text(tmp_path: Path) -> None:
    def load() -> Image:
        raise InvalidFile("Page 1 is damaged.")

    lines = tuple(
        line(f"{row}{side}", x, row) for row in (10, 40) for side, x in (("a", 10), ("b", 200))
    )
    page = SourcePage(1, 400, 300, 72, load, lines=lines)
    pipeline = Pipeline([Opening(Given([page]))], {"auto": StubEngine()}, {"txt": TextWriter()})
    (tmp_path / "source").write_bytes(b"%PDF-1.7")

    pipeline.run(
        Order("txt", parse("English")),
        tmp_path / "source",
        tmp_path,
        tmp_path / "out",
        lambda *_: None,
    )

    assert (tmp_path / "out").read_text(encoding="utf-8").split() == ["10a", "10b", "40a", "40b"]

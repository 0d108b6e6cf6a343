from collections.abc import Sequence

import numpy as np
import pytest

from app.document import Box, Line, Word
from app.engines.auto import AutoEngine
from app.engines.pieces import Floats, Pieces
from app.interfaces import Image
from app.languages import Language, parse

PAGE = np.full((100, 400, 3), 255, np.uint8)
QUAD = np.array([[0, 10], [400, 10], [400, 40], [0, 40]], np.float32)
BELOW = QUAD + np.array([0, 50], np.float32)


def word(text: str, left: float, right: float, confidence: float = 0.95) -> Word:
    return Word(text, Box(left, 10, right, 40), confidence)


def line(*words: Word) -> Line:
    return Line(words, Box.around(word.box for word in words))


class FakePpocr:
    """Finds ``found`` and reads ``lines``, one after the other."""

    def __init__(self, found: Sequence[Floats], lines: Sequence[Line | None] = ()) -> None:
        self.found = found
        self.lines = list(lines)
        self.asked: list[list[list[float]]] = []

    def turns(self, image: Image, languages: Sequence[Language]) -> int:
        return 0

    def prepare(self) -> bool:
        return False

    def recognize(self, image: Image, languages: Sequence[Language], dpi: float) -> list[Line]:
        return [line(word("whole page", 0, 400))]

    def find(self, image: Image, *, careful: bool = False) -> Pieces:
        return Pieces.straight(np.array(self.found, np.float32).reshape(-1, 4, 2))

    def read(
        self, image: Image, pieces: Pieces, languages: Sequence[Language]
    ) -> list[Line | None]:
        self.asked += pieces.corners.tolist()
        return [self.lines.pop(0) if self.lines else None for _ in pieces.corners]


class FakeTesseract:
    """Reads ``lines``, one for each piece, and ``page`` on the page as a whole."""

    def __init__(self, *lines: Line | None, page: Sequence[Line] = ()) -> None:
        self.lines = lines
        self.page = page
        self.languages: list[str] = []

    def turns(self, image: Image, languages: Sequence[Language]) -> int:
        return 0

    def prepare(self) -> bool:
        return False

    def recognize(self, image: Image, languages: Sequence[Language], dpi: float) -> list[Line]:
        return list(self.page)

    def read(
        self, image: Image, pieces: Pieces, languages: Sequence[Language]
    ) -> list[Line | None]:
        self.languages = [language.name for language in languages]
        return list(self.lines)


def test_ppocr_reads_alone_what_it_reads_best() -> None:
    """Tesseract is not called; the page is read as a whole."""
    tesseract = FakeTesseract()

    (read,) = AutoEngine(FakePpocr([QUAD]), tesseract).recognize(
        PAGE, parse("ChinesePRC,English"), 300
    )

    assert read.text == "whole page"
    assert tesseract.languages == []


def test_tesseract_reads_what_ppocr_found() -> None:
    """Lines that it is sure of are not read again."""
    ppocr = FakePpocr([QUAD, BELOW])
    sure = line(word("Привет,", 20, 180), word("мир", 190, 390))

    read = AutoEngine(ppocr, FakeTesseract(sure, sure)).recognize(PAGE, parse("Russian"), 300)

    assert read == [sure, sure]
    assert ppocr.asked == []


@pytest.mark.parametrize(("confidence", "better"), [(0.3, True), (0.1, False)])
def test_where_lines_are_hopeless_the_page_is_read_as_a_whole(
    confidence: float, better: bool
) -> None:
    """As a whole a chart of single letters may read better, or not."""
    poor = line(word("क ख", 20, 390, 0.2))
    page = [line(word("क ख ग", 20, 390, confidence))]

    read = AutoEngine(FakePpocr([QUAD]), FakeTesseract(poor, page=page)).recognize(
        PAGE, parse("Sanskrit"), 300
    )

    assert read == (page if better else [poor])


def test_a_page_without_text_gives_no_lines() -> None:
    """Nothing found is nothing read."""
    assert AutoEngine(FakePpocr([]), FakeTesseract()).recognize(PAGE, parse("Thai"), 300) == []


def test_a_foreign_word_is_read_by_ppocr() -> None:
    """It sees the doubtful part of the line, from neighbour to neighbour, and no more."""
    ppocr = FakePpocr([QUAD], [line(word("GSettings", 110, 195, 0.99))])
    tesseract = FakeTesseract(
        line(word("모든", 10, 100), word("65601085", 108, 200, 0.6), word("스키마", 210, 390))
    )

    (read,) = AutoEngine(ppocr, tesseract).recognize(PAGE, parse("Korean"), 300)

    assert read.text == "모든 GSettings 스키마"
    (part,) = ppocr.asked
    assert part == pytest.approx(np.array([[100, 10], [210, 10], [210, 40], [100, 40]]), abs=0.1)


def test_a_line_that_only_ppocr_reads_is_kept() -> None:
    """A piece where Tesseract saw nothing, such as a lone letter, need not be lost."""
    ppocr = FakePpocr([QUAD, BELOW], [line(word("A4", 10, 60, 0.98)), None])

    read = AutoEngine(ppocr, FakeTesseract(None, None)).recognize(PAGE, parse("Korean"), 300)

    assert [one.text for one in read] == ["A4"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [("Korean,English", ["Korean"]), ("Russian,ChinesePRC,English", ["Russian", "English"])],
)
def test_tesseract_looks_only_for_its_share(names: str, expected: list[str]) -> None:
    """Han is ppocr's; Latin, too, except where it looks like the other script."""
    tesseract = FakeTesseract(None)

    AutoEngine(FakePpocr([QUAD]), tesseract).recognize(PAGE, parse(names), 300)

    assert tesseract.languages == expected


@pytest.mark.parametrize(("upright", "turned"), [(0.4, 0.9), (0.9, 0.4)])
def test_a_page_is_turned_only_if_tesseract_then_reads_better(
    upright: float, turned: float
) -> None:
    """By its looks alone PP-OCR takes some Hebrew tables to be upside down."""
    page = PAGE.copy()
    page[0, 0] = 0

    class Ppocr(FakePpocr):
        def turns(self, image: Image, languages: Sequence[Language]) -> int:
            return 2

    class Tesseract(FakeTesseract):
        def read(
            self, image: Image, pieces: Pieces, languages: Sequence[Language]
        ) -> list[Line | None]:
            confidence = turned if image[0, 0].any() else upright
            return [line(word("שלום", 20, 390, confidence))]

    engine = AutoEngine(Ppocr([QUAD]), Tesseract())

    assert engine.turns(page, parse("Hebrew")) == (2 if turned > upright else 0)
    assert engine.turns(page, parse("English")) == 2  # PP-OCR has read that itself.

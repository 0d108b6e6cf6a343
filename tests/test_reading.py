"""When a page's own text is used, when it is recognized, and when both."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from app.document import Box, Line, Word
from app.interfaces import Image, SourcePage, SourcePicture
from app.languages import Language, parse
from app.reading import Mode, Reader, is_odd

PROSE = "The quick brown fox jumps over the lazy dog and goes home again in the evening"
SHIFTED = "".join(chr(ord(c) + 1) if c.isalpha() else c for c in PROSE)


def line(text: str, left: float, top: float, confidence: float = 1.0) -> Line:
    box = Box(left, top, left + 10 * len(text), top + 20)
    return Line((Word(text, box, confidence),), box)


def given(text: str, left: float, top: float) -> Line:
    return replace(line(text, left, top), given=True)


@dataclass
class Reading:
    """An engine that reads what it is told to, and remembers what it was shown."""

    found: Callable[[Image], Sequence[Line]]
    shown: list[tuple[int, ...]] = field(default_factory=list)

    def turns(self, image: Image, languages: Sequence[Language]) -> int:
        return 0

    def recognize(self, image: Image, languages: Sequence[Language], dpi: float) -> list[Line]:
        self.shown.append(image.shape[:2])
        return list(self.found(image))

    def prepare(self) -> bool:
        return False


def page(
    lines: Sequence[Line] | None,
    pictures: Sequence[SourcePicture] = (),
    layer: Sequence[Line] = (),
) -> SourcePage:
    return SourcePage(
        1,
        1000,
        800,
        100,
        lambda: np.zeros((800, 1000, 3), np.uint8),
        lines=None if lines is None else tuple(lines),
        layer=lambda: tuple(layer),
        pictures=tuple(pictures),
    )


def texts(lines: Sequence[Line]) -> list[str]:
    return [each.text for each in lines]


def reader(engine: Reading, mode: Mode = Mode.AUTO) -> Reader:
    return Reader(engine, parse("English"), mode)


PICTURE = SourcePicture(Box(100, 300, 500, 500), b"one")


def test_pictures_on_a_page_with_text_are_read_too() -> None:
    """Where they stand; what the text layer says there is not said again."""
    engine = Reading(lambda image: [line("in a picture", 20, 30), line("said", 200, 100)])
    own = [given("Its own text", 100, 100), given("said", 300, 400)]

    read = reader(engine).read(page(own, [PICTURE]))

    assert texts(read.lines) == ["Its own text", "said", "in a picture"]
    assert read.lines[-1].box == Box(120, 330, 240, 350)
    assert [each.given for each in read.lines] == [True, True, False]
    assert read.recognized
    assert engine.shown == [(200, 400)]


def test_a_picture_without_text_leaves_the_page_as_it_is() -> None:
    """It counts as not recognized: nothing of its text comes from recognition."""
    engine = Reading(lambda image: [line("O8", 20, 30), line("noise", 20, 60, confidence=0.4)])

    read = reader(engine).read(page([given("Its own text", 100, 100)], [PICTURE]))

    assert texts(read.lines) == ["Its own text"]
    assert not read.recognized


def test_the_same_picture_is_read_once() -> None:
    """A logo that stands on every page, wherever it stands there."""
    engine = Reading(lambda image: [line("logo", 20, 30)])
    reading = reader(engine)
    moved = SourcePicture(Box(200, 300, 600, 500), b"one")

    reading.read(page([given("first page", 100, 100)], [PICTURE]))
    second = reading.read(page([given("second page", 100, 100)], [moved]))

    assert len(engine.shown) == 1
    assert second.lines[-1].box.left == 220


def test_a_picture_under_text_is_a_ground() -> None:
    engine = Reading(lambda image: [line("whatever", 20, 30)])
    own = [given("a text as wide as the picture that is", 100, 310 + 30 * n) for n in range(6)]

    read = reader(engine).read(page(own, [PICTURE]))

    assert not read.recognized
    assert engine.shown == []


@pytest.mark.parametrize(
    ("mode", "lines", "expected"),
    [
        (Mode.AUTO, [given("own", 0, 0)], ["own"]),
        (Mode.FORCE, [given("own", 0, 0)], ["seen"]),
        (Mode.SKIP, [given("own", 0, 0)], ["own"]),
        (Mode.AUTO, None, ["seen"]),
        (Mode.SKIP, None, ["poor"]),
        (Mode.FORCE, [], []),  # Nothing can be seen.
    ],
)
def test_modes(mode: Mode, lines: list[Line] | None, expected: list[str]) -> None:
    """What is trusted, everything, or as little as possible."""
    engine = Reading(lambda image: [line("seen", 0, 0)])

    read = reader(engine, mode).read(page(lines, layer=[given("poor", 0, 0)]))

    assert texts(read.lines) == expected
    assert read.recognized == (expected == ["seen"])


def test_a_page_without_any_text_is_recognized_even_so() -> None:
    engine = Reading(lambda image: [line("seen", 0, 0)])

    assert texts(reader(engine, Mode.SKIP).read(page(None)).lines) == ["seen"]


@pytest.mark.parametrize(
    ("seen", "confidence", "trusted"),
    [(PROSE, 0.99, False), (SHIFTED, 0.99, True), (PROSE, 0.5, True)],
)
def test_odd_text_is_compared_with_what_the_page_shows(
    seen: str, confidence: float, trusted: bool
) -> None:
    """It is used unless recognition is sure that it is something else."""
    engine = Reading(lambda image: [line(seen, 0, 0, confidence)])

    read = reader(engine).read(page([given(SHIFTED, 50, 100 + 40 * n) for n in range(4)]))

    assert read.recognized != trusted
    assert texts(read.lines) == ([SHIFTED] * 4 if trusted else [seen])


@pytest.mark.parametrize(
    "text",
    [
        PROSE,
        "Překlad této věty do češtiny zní přibližně tak, jak je zde napsáno, strč prst skrz krk.",
        "Der Vertrag verlängert sich um zwölf Monate, wenn er nicht gekündigt wird, usw.",
        "中华人民共和国国务院关于印发促进大数据发展行动纲要的通知各省自治区直辖市人民政府国务院各部委直属机构特此通知",
        "行政院消費者保護會昨日公布市售玩具標示及品質檢測結果發現部分商品標示不符合規定將依法處理並呼籲消費者注意",
        "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。何でも薄暗いじめじめした所で泣いていた。",
        "1,234.50 99.00 7.5 12/31/2024 1,000.00 250 17.25 3.1415 42 88,000.00 1.5 2.5 3.5 4.5",
        "目录第一章总则" + ". " * 60 + "1 第二章细则" + "·" * 60 + "2 第三章附则" + "…" * 40,
        "",
    ],
)
def test_what_people_write_is_not_odd(text: str) -> None:
    assert not is_odd(text)


@pytest.mark.parametrize(
    "text",
    [
        SHIFTED,
        "7KH TXLFN EURZQ IR[ MXPSV RYHU WKH OD]\\ GRJ DQG JRHV KRPH DJDLQ LQ WKH HYHQLQJ",
        "中文编码".encode("gbk").decode("latin-1") * 12,
        "鐨勪竴鏄笉鍦ㄤ汉鏈夋垜浠栬繖涓粬浠潵鍒板ぇ鐢ㄤ笂鍥戒粬璇翠负鍦板拰浠ユ椂鍑哄氨鍒嗗浼氬彲",
    ],
)
def test_text_of_fonts_with_wrong_characters_is_odd(text: str) -> None:
    """Shifted by one and by 29, read in another encoding, read twice in the wrong one."""
    assert is_odd(text)

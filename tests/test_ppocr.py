import itertools
import os
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread

import cv2
import numpy as np
import pytest
from PIL import Image as Pictures
from PIL import ImageDraw, ImageFont

from app.document import Box, Line
from app.engines.ppocr import PpocrEngine
from app.interfaces import Engine, Image
from app.languages import Language

HAN = "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc"
LATIN = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"
CHINESE = Language("ChinesePRC", ("chi_sim",), "Hans", "ppocr")
DIGITS = Language("Digits", ("eng",), "Zyyy", "ppocr")

pytestmark = pytest.mark.skipif(
    not (Path(HAN).exists() and Path(LATIN).exists()), reason="the fonts are not installed"
)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return PpocrEngine(threads=1, cache_dir=tmp_path_factory.mktemp("models"))


def drawn(
    size: tuple[int, int],
    texts: Sequence[tuple[int, int, str]],
    font: str = LATIN,
    height: int = 28,
    ink: str = "black",
    paper: str = "white",
) -> Image:
    picture = Pictures.new("RGB", size, paper)
    pen, face = ImageDraw.Draw(picture), ImageFont.truetype(font, height)
    for x, y, text in texts:
        pen.text((x, y), text, ink, face)
    return np.asarray(picture)


def read(engine: Engine, image: Image, language: Language = CHINESE) -> list[Line]:
    lines = engine.recognize(image, [language], 96)
    return sorted(lines, key=lambda line: (line.box.top, line.box.left))


def texts(lines: Sequence[Line]) -> list[str]:
    return [line.text for line in lines]


def overlap(one: Box, other: Box) -> float:
    width = min(one.right, other.right) - max(one.left, other.left)
    height = min(one.bottom, other.bottom) - max(one.top, other.top)
    both = max(0.0, width) * max(0.0, height)
    return both / (one.width * one.height + other.width * other.height - both)


def test_threads_may_run_on_any_core_while_they_work(engine: Engine) -> None:
    # Bound to cores, the threads of several workers would crowd on the same first ones.
    cores, done = set[frozenset[int]](), Event()

    def watch() -> None:
        while not done.is_set():
            for thread in Path("/proc/self/task").iterdir():
                with suppress(ProcessLookupError):
                    cores.add(frozenset(os.sched_getaffinity(int(thread.name))))

    watching = Thread(target=watch)
    watching.start()
    try:
        page = drawn(
            (900, 600), [(20, top, "Any core may read this") for top in range(20, 560, 40)]
        )
        assert len(read(engine, page)) == 14
    finally:
        done.set()
        watching.join()
    assert cores == {frozenset(os.sched_getaffinity(0))}


def test_preparing_ends_and_changes_nothing(tmp_path: Path) -> None:
    fresh = PpocrEngine(threads=1, cache_dir=tmp_path)
    steps = 0
    while fresh.prepare():
        steps += 1
    assert steps > 10
    assert not fresh.prepare()
    assert texts(read(fresh, drawn((300, 60), [(20, 10, "Well prepared")]))) == ["Well prepared"]


def test_spaces_beside_han_characters_are_seen(engine: Engine) -> None:
    lines = [
        (20, 20, "本月已用 12 GB，剩余 27 GB"),
        (20, 80, "本月已用12GB，剩余27GB"),
        (20, 140, "第 12 章"),
    ]
    image = drawn((600, 200), lines, font=HAN)
    assert texts(read(engine, image)) == [text for _, _, text in lines]


def test_full_width_forms_are_not_set_apart(engine: Engine) -> None:
    written = "平成１２年３月４日に発行された資料"
    (line,) = read(engine, drawn((600, 80), [(20, 20, written)], font=HAN))
    assert not re.search(r"[年月日成に] | [年月日に]", line.text)


def test_reads_an_english_line(engine: Engine) -> None:
    """Words keep the spaces between them."""
    image = drawn((800, 90), [(30, 25, "The quick brown fox jumps over 13 lazy dogs.")])

    lines = read(engine, image)

    assert texts(lines) == ["The quick brown fox jumps over 13 lazy dogs."]
    assert lines[0].confidence > 0.9


def test_reads_a_chinese_paragraph(engine: Engine) -> None:
    """Every character of a paragraph comes out, and no space among them."""
    rows = [
        "人工智能正在改变我们的生活方式，",
        "从医疗诊断到自动驾驶，应用广泛。",
        "未来充满希望。",
    ]
    image = drawn((700, 240), [(40, 40 + 60 * n, row) for n, row in enumerate(rows)], HAN, 34)

    assert texts(read(engine, image)) == rows


def test_splits_mixed_lines(engine: Engine) -> None:
    """Han and Latin runs are words of their own, with a space only where one was drawn."""
    image = drawn((700, 90), [(30, 20, "使用Python语言 version 3 开发")], HAN, 34)

    (line,) = read(engine, image)

    assert line.text == "使用Python语言 version 3 开发"
    assert [word.text for word in line.words] == ["使用", "Python", "语言", "version", "3", "开发"]


def test_word_boxes_lie_on_the_ink(engine: Engine) -> None:
    """A word's box is that of its letters."""
    words = ["Invoice", "number", "and", "delivery", "address"]
    picture = Pictures.new("RGB", (900, 120), "white")
    pen, face = ImageDraw.Draw(picture), ImageFont.truetype(LATIN, 32)
    truth, x = [], 40.0
    for word in words:
        pen.text((x, 40), word, "black", face)
        # Letters differ in height; a line's words all have the line's.
        left, _, right, _ = pen.textbbox((x, 40), word, face)
        _, top, _, bottom = pen.textbbox((x, 40), "Idgp", face)
        truth.append(Box(left, top, right, bottom))
        x = right + pen.textlength(" ", face)

    (line,) = read(engine, np.asarray(picture))

    assert [word.text for word in line.words] == words
    for found, box in zip(line.words, truth, strict=True):
        assert abs(found.box.left - box.left) < 3
        assert abs(found.box.right - box.right) < 3
        assert overlap(found.box, box) > 0.7


@pytest.mark.parametrize("size", [(1, 1), (3, 500), (200, 200), (1, 30000)])
def test_blank_pictures_hold_nothing(engine: Engine, size: tuple[int, int]) -> None:
    """No text, no lines; whatever the size."""
    assert read(engine, np.full((*size, 3), 255, np.uint8)) == []


def test_digits_alone(engine: Engine) -> None:
    """A request for digits turns no letter into a digit, and loses no digit."""
    image = drawn((600, 130), [(30, 20, "Total: 1,280.50 (EUR)"), (30, 75, "2024/06/30")])

    lines = read(engine, image, DIGITS)

    assert lines[0].text.replace(" ", "") == ":1,280.50()"
    assert lines[1].text == "2024/06/30"


def test_tight_crop(engine: Engine) -> None:
    """Text that touches the edges of its picture is found."""
    image = drawn((290, 30), [(2, -2, "Account 4711-88")])

    assert texts(read(engine, image)) == ["Account 4711-88"]


def test_very_long_line(engine: Engine) -> None:
    """A strip of 30 000 pixels is one line, and no word of it is lost."""
    words = [f"word{n}" for n in range(100, 320)]
    image = drawn((30000, 40), [(20, 2, " ".join(words))])

    lines = read(engine, image)

    found = " ".join(texts(sorted(lines, key=lambda line: line.box.left))).split()
    assert len(set(found) & set(words)) >= 0.98 * len(words)
    assert len(lines) < 4


def test_long_screenshot(engine: Engine) -> None:
    """A page that is much longer than wide is not shrunk; lines on tile borders come once."""
    rows = [f"Line {n} of the chat" for n in range(100, 200)]
    image = drawn((400, 5000), [(20, 20 + 49 * n, row) for n, row in enumerate(rows)], height=20)

    assert texts(read(engine, image)) == rows


def test_two_columns(engine: Engine) -> None:
    """Columns stay apart."""
    left, right = ["alpha beta gamma", "delta epsilon"], ["one two three", "four five six"]
    places = [(30, 30 + 50 * n, text) for n, text in enumerate(left)]
    places += [(430, 30 + 50 * n, text) for n, text in enumerate(right)]

    lines = read(engine, drawn((800, 160), places))

    assert sorted(texts(lines)) == sorted(left + right)


def test_white_on_black(engine: Engine) -> None:
    """Light text on a dark ground is text."""
    image = drawn((600, 90), [(30, 25, "Night mode 夜间模式")], HAN, 32, "white", "black")

    assert texts(read(engine, image)) == ["Night mode 夜间模式"]


def bent(image: Image, pixels: float) -> Image:
    """The page as it lies in an opened book: columns of pixels are moved up along a curve."""
    height, width = image.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    moved = y + pixels * np.sin(x / width * 1.5 * np.pi).astype(np.float32)
    return np.asarray(cv2.remap(image, x, moved, cv2.INTER_LINEAR, borderValue=(255,) * 3))


@pytest.mark.parametrize(
    ("font", "text"),
    [
        (LATIN, "Pages of a book bend towards its fold,"),
        (HAN, "翻开的书页向中缝弯曲，每一行字都随着纸面起伏。"),
    ],
)
def test_bent_lines(engine: Engine, font: str, text: str) -> None:
    page = drawn((1000, 500), [(60, 80 + 44 * n, text) for n in range(8)], font, 32)

    lines = read(engine, bent(page, 30))

    assert texts(lines) == [text] * 8
    for line in lines:
        words = [word.box for word in line.words]
        moved = [-30 * np.sin((box.left + box.right) / 2000 * 1.5 * np.pi) for box in words]
        levels = [(box.top + box.bottom) / 2 - by for box, by in zip(words, moved, strict=True)]
        assert len(words) > 3
        assert max(levels) - min(levels) < 9
    boxes = [line.box for line in lines]
    assert all(overlap(one, other) < 0.4 for one, other in itertools.pairwise(boxes))


def test_vertical_chinese(engine: Engine) -> None:
    """A column of Han characters is one vertical line."""
    image = drawn(
        (120, 520), [(40, 20 + 48 * n, c) for n, c in enumerate("春眠不觉晓处处闻啼鸟")], HAN, 40
    )

    (line,) = read(engine, image)

    assert line.text == "春眠不觉晓处处闻啼鸟"
    assert line.vertical


def test_sideways_latin(engine: Engine) -> None:
    """Text that runs upwards, as beside a chart, is read."""
    image = drawn((420, 80), [(30, 20, "Revenue in millions")])

    (line,) = read(engine, np.ascontiguousarray(np.rot90(image)))

    assert line.text == "Revenue in millions"
    assert line.vertical


def test_small_print(engine: Engine) -> None:
    """Letters of eight pixels are found."""
    rows = ["Prices include value added tax", "Delivery within three days"]
    image = drawn((400, 200), [(20, 40 + 30 * n, row) for n, row in enumerate(rows)], height=11)

    assert texts(read(engine, image)) == rows

import time

import numpy as np
import pytest

from app.engines.stub import StubEngine
from app.interfaces import Image
from app.languages import parse


@pytest.fixture
def noise() -> Image:
    return np.random.default_rng(1).integers(0, 256, (40, 120, 3), np.uint8)


def test_the_same_image_gives_the_same_lines(noise: Image) -> None:
    """A developer can rely on the text; the language does not change it."""
    engine = StubEngine()

    first = engine.recognize(noise, parse("English"), 300)

    assert first == StubEngine().recognize(noise.copy(), parse("ChinesePRC"), 72)
    assert first[0].text.startswith("stub 1 120 x 40 ")


def test_another_image_gives_other_lines(noise: Image) -> None:
    """Pages can be told apart by their text."""
    engine = StubEngine()

    texts = [engine.recognize(image, parse(""), 300)[0].text for image in (noise, 255 - noise)]

    assert texts[0] != texts[1]


def test_a_page_takes_its_time(noise: Image) -> None:
    """What workers do together can be measured without an engine."""
    began = time.monotonic()

    StubEngine(0.05).recognize(noise, parse(""), 300)

    assert time.monotonic() - began >= 0.05


def test_every_word_lies_on_the_image(noise: Image) -> None:
    """The boxes are good enough for every writer."""
    for line in StubEngine().recognize(noise, parse(""), 300):
        for word in line.words:
            assert 0 <= word.box.left < word.box.right <= 120.001
            assert 0 <= word.box.top < word.box.bottom <= 40.001


def test_digits_alone_gives_numbers(noise: Image) -> None:
    """The promise of the language holds without models, too."""
    lines = StubEngine().recognize(noise, parse("Digits"), 300)

    assert {word.text for line in lines for word in line.words} >= {"120", "40"}
    assert all(word.text.isdecimal() for line in lines for word in line.words)


@pytest.mark.parametrize("shape", [(40, 40, 3), (1, 1, 3), (2, 500, 3)])
def test_an_image_without_content_has_no_text(shape: tuple[int, int, int]) -> None:
    """A blank page is blank for every engine."""
    assert StubEngine().recognize(np.full(shape, 255, np.uint8), parse(""), 300) == []

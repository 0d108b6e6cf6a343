import numpy as np
import pytest
from PIL import Image as Pictures
from PIL import ImageDraw, ImageFont

from app.engines.ppocr import PpocrEngine
from app.interfaces import Engine, Image
from app.languages import parse

HAN = "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc"
LATIN = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"
ENGLISH = "The quick brown fox jumps over the lazy dog while seven wizards judge."
CHINESE = "人工智能正在改变我们的生活方式，从医疗诊断到自动驾驶，应用广泛。"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return PpocrEngine(threads=1, cache_dir=tmp_path_factory.mktemp("models"))


def page(text: str, font: str, lines: int = 20) -> Image:
    picture = Pictures.new("RGB", (1240, 1754), "white")
    pen, face = ImageDraw.Draw(picture), ImageFont.truetype(font, 28)
    for n in range(lines):
        pen.text((100, 120 + 60 * n), f"{n + 1}. {text}", "black", face)
    return np.asarray(picture)


@pytest.mark.parametrize(("text", "font"), [(ENGLISH, LATIN), (CHINESE, HAN)])
@pytest.mark.parametrize("turned", [0, 1, 2, 3])
def test_pages_are_set_upright(engine: Engine, text: str, font: str, turned: int) -> None:
    """However a page was laid on the scanner, its turns set it upright."""
    image = np.ascontiguousarray(np.rot90(page(text, font), turned))

    turns = engine.turns(image, parse(""))

    assert (turns + turned) % 4 == 0


def test_a_sparse_page_is_set_upright(engine: Engine) -> None:
    """Of one line on a page the looks say nothing, but it can be read."""
    image = np.ascontiguousarray(np.rot90(page(ENGLISH, LATIN, lines=1), 2))

    assert engine.turns(image, parse("English")) == 2


def test_text_that_runs_downwards_is_not_turned(engine: Engine) -> None:
    """Columns of Han characters stay as they are."""
    picture = Pictures.new("RGB", (900, 1200), "white")
    pen, face = ImageDraw.Draw(picture), ImageFont.truetype(HAN, 40)
    for column in range(8):
        for n, character in enumerate(CHINESE[:20]):
            pen.text((800 - 90 * column, 80 + 50 * n), character, "black", face)

    assert engine.turns(np.asarray(picture), parse("")) == 0


@pytest.mark.parametrize("shape", [(3, 3), (20, 900), (500, 500), (1200, 900)])
def test_blank_pictures_are_not_turned(engine: Engine, shape: tuple[int, int]) -> None:
    """Where nothing stands there is no upside."""
    assert engine.turns(np.full((*shape, 3), 255, np.uint8), parse("")) == 0

import contextlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pictures
from PIL import ImageDraw, ImageFont

from app.document import Line
from app.engines.pieces import Pieces
from app.engines.tesseract import TesseractEngine, installed_models, tessdata_folder
from app.errors import InternalError, TimedOut
from app.interfaces import Image
from app.languages import parse

LATIN = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"
CJK = "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc"
THAI = "/usr/share/fonts/truetype/noto/NotoSansThai-Regular.ttf"
BINDINGS = ["tesserocr", "pytesseract"]


@pytest.fixture(params=BINDINGS)
def engine(request: pytest.FixtureRequest) -> TesseractEngine:
    return TesseractEngine(30, request.param)


def needs(*models: str) -> None:
    """Skip where the models are not installed."""
    missing = set(models) - installed_models()
    if missing:
        pytest.skip(f"no model {', '.join(sorted(missing))}")


def drawn(*lines: str, font: str = LATIN, size: int = 48, index: int = 0) -> Image:
    """The lines, in black on white."""
    face = ImageFont.truetype(font, size, index=index)
    width = 2 * size + round(max(face.getlength(line) for line in lines))
    image = Pictures.new("RGB", (width, size * (2 * len(lines) + 1)), "white")
    draw = ImageDraw.Draw(image)
    for n, line in enumerate(lines):
        draw.text((size, size // 2 + 2 * n * size), line, "black", face)
    return np.asarray(image)


def texts(lines: list[Line]) -> list[str]:
    return [line.text for line in lines]


def test_a_page_is_read(engine: TesseractEngine) -> None:
    """Words have text, confidence and boxes in the pixels of the image."""
    needs("eng")
    image = drawn("The quick brown fox", "jumps over 13 lazy dogs.")

    lines = engine.recognize(image, parse("English"), 300)

    assert texts(lines) == ["The quick brown fox", "jumps over 13 lazy dogs."]
    assert all(word.confidence > 0.8 for line in lines for word in line.words)
    assert all(line.vertical is False for line in lines)
    boxes = [word.box for word in lines[0].words]
    assert boxes == sorted(boxes, key=lambda box: box.left)
    assert all(0 <= box.left < box.right <= image.shape[1] for box in boxes)
    assert all(24 <= box.top < box.bottom <= 96 for box in boxes)


def test_both_bindings_give_the_same_lines() -> None:
    """Which one is used is no matter of results."""
    needs("eng", "rus")
    image = drawn("Съешь ещё этих мягких булок", "and drink some tea")

    one, other = (
        TesseractEngine(30, binding).recognize(image, parse("Russian,English"), 300)
        for binding in BINDINGS
    )

    assert texts(one) == texts(other)
    for line, twin in zip(one, other, strict=True):
        for word, twin_word in zip(line.words, twin.words, strict=True):
            assert abs(word.box.left - twin_word.box.left) <= 3
            assert abs(word.box.bottom - twin_word.box.bottom) <= 3
            assert word.confidence == pytest.approx(twin_word.confidence, abs=0.1)


def test_digits_alone_gives_digits(engine: TesseractEngine) -> None:
    """Letters are not read as letters, and the next page is free again."""
    needs("eng")
    image = drawn("Total 12,345.60 SOB")

    digits = engine.recognize(image, parse("Digits"), 300)
    free = engine.recognize(image, parse("English"), 300)

    read = "".join(texts(digits)).replace(" ", "")
    assert "12,345.60" in read
    assert set(read) <= set("0123456789.,+-()%$#/:")
    assert texts(free) == ["Total 12,345.60 SOB"]


def test_chinese_has_no_spaces_but_latin_in_it_has(engine: TesseractEngine) -> None:
    """Tesseract sets Han characters apart; nobody prints them so."""
    needs("chi_sim")
    image = drawn("我们使用 Python 语言编写程序", font=CJK, index=2)

    lines = engine.recognize(image, parse("ChinesePRC"), 300)

    assert texts(lines) == ["我们使用 Python 语言编写程序"]


def test_korean_keeps_only_its_own_spaces(engine: TesseractEngine) -> None:
    """Tesseract sets syllables apart; the spaces that were printed are wider."""
    needs("kor")
    printed = ["대한민국은 민주공화국이다.", "모든 권력은 국민으로부터 나온다."]
    image = drawn(*printed, font=CJK, index=1)

    lines = engine.recognize(image, parse("Korean"), 300)

    read = [word for line in texts(lines) for word in line.split()]
    assert (
        len(set(read) & {"대한민국은", "민주공화국이다.", "권력은", "국민으로부터", "나온다."}) >= 4
    )
    assert len(read) <= 7


def test_hebrew_is_in_logical_order(engine: TesseractEngine) -> None:
    """The first word is the rightmost; no direction marks remain."""
    needs("heb")
    # Without a bidi library the picture is drawn from the reversed text.
    text = "שלום לכל העולם הגדול"
    image = drawn(text[::-1] if not _draws_bidi() else text, size=60)

    (line,) = engine.recognize(image, parse("Hebrew"), 300)

    assert line.text == text
    assert line.words[0].box.left > line.words[-1].box.right


def test_vertical_lines_are_marked(engine: TesseractEngine) -> None:
    """Columns of Han characters run from top to bottom."""
    needs("jpn_vert")
    image = Pictures.new("RGB", (400, 760), "white")
    draw = ImageDraw.Draw(image)
    face = ImageFont.truetype(CJK, 48)
    columns = ["日本語の文章は縦に書く", "右から左へ読んでいく", "春は花が咲いて美しい"]
    for n, column in enumerate(columns):
        for row, character in enumerate(column):
            draw.text((300 - n * 100, 50 + row * 58), character, "black", face)
    from app.languages import Language

    vertical = Language("JapaneseVertical", ("jpn_vert",), "Jpan", "tesseract")

    lines = engine.recognize(np.asarray(image), [vertical], 300)

    assert [line.vertical for line in lines] == [True] * 3
    assert lines[0].text.startswith("日本語")


@pytest.mark.parametrize(
    "shape", [(1, 1), (2, 2), (1, 30_000), (30_000, 2), (3, 3), (3, 30_000), (40_000, 20)]
)
def test_odd_shapes_do_no_harm(shape: tuple[int, int], engine: TesseractEngine) -> None:
    """Slivers have no text, and the next page is read."""
    needs("eng")
    noise = np.random.default_rng(1).integers(0, 2, (*shape, 3), np.uint8) * 255

    assert isinstance(engine.recognize(noise, parse("English"), 300), list)

    assert texts(engine.recognize(drawn("Hello there"), parse("English"), 300)) == ["Hello there"]


def test_very_long_images_are_read_in_their_pixels(engine: TesseractEngine) -> None:
    """Beyond what the library can address, the image is reduced and the boxes are not."""
    needs("eng")
    image = np.full((150, 40_000, 3), 255, np.uint8)
    word = drawn("Hello", size=100)[:150]
    image[:, 35_000 : 35_000 + word.shape[1]] = word

    lines = engine.recognize(image, parse("English"), 300)

    assert texts(lines) == ["Hello"]
    assert 35_000 <= lines[0].box.left < lines[0].box.right <= 35_000 + word.shape[1]


@pytest.mark.parametrize("shade", [0, 255])
def test_a_blank_page_has_no_text(shade: int, engine: TesseractEngine) -> None:
    """All white and all black are pages, too."""
    needs("eng")

    assert engine.recognize(np.full((400, 300, 3), shade, np.uint8), parse("English"), 300) == []


@pytest.mark.parametrize("dpi", [0.9, 10_000])
def test_silly_resolutions_do_no_harm(dpi: float, engine: TesseractEngine) -> None:
    """The text is found whatever the file says about its resolution."""
    needs("eng")

    assert texts(engine.recognize(drawn("Hello there"), parse("English"), dpi)) == ["Hello there"]


@pytest.mark.parametrize("binding", BINDINGS)
def test_a_slow_page_is_ended(binding: str) -> None:
    """The limit ends a page, and the engine reads on."""
    needs("eng")
    engine = TesseractEngine(0.15, binding)
    page = drawn(*["A line of words that takes its time to be read to the end"] * 40, size=30)

    with pytest.raises(TimedOut, match=r"longer than 0\.15 s"):
        engine.recognize(page, parse("English"), 300)

    again = TesseractEngine(30, binding)
    assert texts(again.recognize(drawn("Hello there"), parse("English"), 300)) == ["Hello there"]


def test_the_engine_lives_on_after_a_slow_page() -> None:
    """The models that are kept loaded are not spoiled by a page that was ended."""
    needs("eng")
    engine = TesseractEngine(0.4)
    with contextlib.suppress(TimedOut):  # The first page pays for loading the models.
        engine.recognize(drawn("Hello"), parse("English"), 300)
    page = drawn(*["A line of words that takes its time to be read to the end"] * 90, size=30)

    with pytest.raises(TimedOut):
        engine.recognize(page, parse("English"), 300)

    assert texts(engine.recognize(drawn("Hello there"), parse("English"), 300)) == ["Hello there"]


def test_models_of_many_requests_are_let_go(engine: TesseractEngine) -> None:
    """More model sets than are kept loaded can take turns."""
    needs("eng", "deu", "fra")

    for name in ("English", "German", "French", "English"):
        assert texts(engine.recognize(drawn("Hello there"), parse(name), 300)) == ["Hello there"]


def test_a_missing_model_is_our_fault(engine: TesseractEngine, tmp_path: Path) -> None:
    """Requests for it are refused earlier; here it is an internal error without details."""
    engine._folder = tmp_path

    with pytest.raises(InternalError) as caught:
        TesseractEngine(5, "tesserocr", tmp_path).recognize(drawn("x"), parse("English"), 300)

    assert str(tmp_path) not in str(caught.value)


def test_nothing_is_written_to_stderr(
    engine: TesseractEngine, capfd: pytest.CaptureFixture[str]
) -> None:
    """The library's remarks about pictures would drown the log."""
    needs("eng")
    noise = np.random.default_rng(1).integers(0, 256, (300, 300, 3), np.uint8)

    engine.recognize(noise, parse("English"), 0)
    engine.recognize(np.zeros((3, 900, 3), np.uint8), parse("English"), 300)

    assert capfd.readouterr() == ("", "")


def test_installed_models_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Script models have one name, whichever folder they are in; the variable is honoured."""
    (tmp_path / "script").mkdir()
    for name in ("eng", "chi_sim", "Latin", "script/Cyrillic"):
        (tmp_path / f"{name}.traineddata").touch()
    (tmp_path / "configs").mkdir()
    monkeypatch.setenv("TESSDATA_PREFIX", str(tmp_path))

    assert tessdata_folder() == tmp_path
    assert installed_models() == {"eng", "chi_sim", "script/Latin", "script/Cyrillic"}


def test_the_old_meaning_of_the_variable_is_understood(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It named the folder above until Tesseract 4."""
    (tmp_path / "tessdata").mkdir()
    (tmp_path / "tessdata" / "eng.traineddata").touch()
    monkeypatch.setenv("TESSDATA_PREFIX", str(tmp_path))

    assert installed_models() == {"eng"}


def test_script_models_are_found_where_they_are(engine: TesseractEngine) -> None:
    """Debian keeps them beside the others; the table calls them script/Latin."""
    needs("script/Latin", "epo")

    assert texts(engine.recognize(drawn("Hello there"), parse("Ido"), 300)) == ["Hello there"]


def _draws_bidi() -> bool:
    from PIL import features

    return bool(features.check("raqm"))


def found(*lines: tuple[float, float, float, float]) -> Pieces:
    """Upright pieces from their left, top, right and bottom."""
    corners = [[(x0, y0), (x1, y0), (x1, y1), (x0, y1)] for x0, y0, x1, y1 in lines]
    return Pieces.straight(np.array(corners, np.float32).reshape(-1, 4, 2))


def test_found_lines_are_read(engine: TesseractEngine) -> None:
    """One entry for each piece, with boxes on the page; None where there is no text."""
    needs("eng")
    image = drawn("The quick brown fox", "jumps over 13 lazy dogs.")
    width = image.shape[1]

    first, blank, second = engine.read(
        image,
        found((30, 15, width - 30, 90), (30, 96, width - 30, 116), (30, 110, width - 30, 190)),
        parse("English"),
    )

    assert first
    assert second
    assert blank is None
    assert (first.text, second.text) == ("The quick brown fox", "jumps over 13 lazy dogs.")
    assert all(0.8 < word.confidence <= 1 for line in (first, second) for word in line.words)
    boxes = [word.box for word in second.words]
    assert boxes == sorted(boxes, key=lambda box: box.left)
    ink = np.flatnonzero((image[110:190] < 128).all(axis=2).any(axis=0))
    assert boxes[0].left == pytest.approx(ink[0], abs=12)
    assert boxes[-1].right == pytest.approx(ink[-1], abs=12)
    assert all(110 <= box.top < box.bottom <= 190 for box in boxes)


def test_a_slanting_line_in_the_shade_is_read(engine: TesseractEngine) -> None:
    """It is cut out upright, and the light evened."""
    needs("eng")
    straight = Pictures.fromarray(drawn("The quick brown fox jumps over lazy dogs"))
    turned = straight.rotate(
        8, expand=True, fillcolor="white", resample=Pictures.Resampling.BICUBIC
    )
    light = np.linspace(1, 0.25, turned.width)[None, :, None]
    image = (np.asarray(turned) * light).astype(np.uint8)
    middle = np.array([turned.width / 2, turned.height / 2])
    turn = np.radians(8)
    along = np.array([np.cos(turn), -np.sin(turn)]) * straight.width / 2
    down = np.array([np.sin(turn), np.cos(turn)]) * 40
    corners = np.array(
        [middle - along - down, middle + along - down, middle + along + down, middle - along + down]
    )

    (line,) = engine.read(
        image, Pieces.straight(corners[None].astype(np.float32)), parse("English")
    )

    assert line
    assert line.text == "The quick brown fox jumps over lazy dogs"
    assert line.words[0].box.top > line.words[-1].box.top + 50


def test_light_letters_on_a_dark_ground_are_read(engine: TesseractEngine) -> None:
    """As on signs and in the heads of tables."""
    needs("eng")
    image = 255 - drawn("The quick brown fox")

    (line,) = engine.read(image, found((30, 15, image.shape[1] - 30, 90)), parse("English"))

    assert line
    assert line.text == "The quick brown fox"


def test_pieces_of_odd_shapes_are_left_alone(engine: TesseractEngine) -> None:
    """Columns and slivers are no lines of Tesseract's; the others are read all the same."""
    needs("eng")
    image = drawn("Hello there")
    text = (30, 15, image.shape[1] - 30, 90)

    lines = engine.read(
        image, found((0, 0, 20, 90), (5, 5, 90, 6), text, (3, 3, 3, 3)), parse("English")
    )

    assert [line and line.text for line in lines] == [None, None, "Hello there", None]
    assert engine.read(image, found(), parse("English")) == []


@pytest.mark.parametrize("binding", BINDINGS)
def test_slow_lines_are_ended(binding: str) -> None:
    """The limit of a page is that of all its lines."""
    needs("eng")
    image = drawn("A line of words that takes its time")
    corners = found(*[(30, 15, image.shape[1] - 30, 90)] * 500)

    with pytest.raises(TimedOut):
        TesseractEngine(0.2, binding).read(image, corners, parse("English"))


def test_spaces_between_syllables_are_told_by_their_width() -> None:
    """In a strip the usual gap is known, whatever the type face."""
    needs("kor")
    printed = ["대한민국은", "민주공화국이다.", "모든", "권력은", "나온다."]
    image = drawn(" ".join(printed), font=CJK, index=1)

    (line,) = TesseractEngine(30).read(
        image, found((30, 10, image.shape[1] - 30, 100)), parse("Korean")
    )

    assert line
    read = line.text.split()
    assert len(set(read) & set(printed)) >= 4
    assert len(read) <= 6


def test_thai_letters_are_not_set_apart() -> None:
    """Tesseract sees a space at almost every letter; spaces stand between phrases."""
    needs("tha")
    image = drawn("แสดงรายชื่อทรัพยากร", font=THAI)

    (line,) = TesseractEngine(30).read(
        image, found((30, 10, image.shape[1] - 30, 100)), parse("Thai")
    )

    assert line
    assert line.text.replace(" ", "") == "แสดงรายชื่อทรัพยากร"
    assert line.text.count(" ") <= 2

"""Kinds of TIFF: each is decoded to the picture that it was made of."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from app.converters.image import ImageConverter
from app.errors import InvalidFile, TooLarge
from app.interfaces import Image
from tests import tiffs
from tests.pictures import sample
from tests.tiffs import tiff

COLOUR = np.asarray(sample())
GREY = np.asarray(sample().convert("L"))
BLACK = np.asarray(sample().convert("L").point(lambda value: 255 * (value > 127)))
INKS = np.asarray(sample().convert("CMYK"))
BITS = np.packbits(BLACK > 0, axis=1)
HEIGHT, WIDTH = GREY.shape
DEEP = np.uint16(257)

Array = NDArray[np.generic]


def pages(path: Path, max_pixels: int = 10_000_000) -> list[Image]:
    with ImageConverter(max_pixels, 5).open(path, path.parent, None) as source:
        return [page.load() for page in source.pages()]


def assert_like(found: Image, expected: Array, tolerance: int = 3) -> None:
    """All but 3 % of the pixels, on edges, are those expected."""
    if expected.ndim == 2:
        expected = np.repeat(expected[:, :, None], 3, axis=2)
    assert found.shape == expected.shape
    off = np.abs(found.astype(int) - expected.astype(int)).max(axis=2) > tolerance
    assert off.mean() < 0.03


@pytest.mark.parametrize(
    "compression", ["raw", "group3", "group4", "packbits", "tiff_lzw", "tiff_adobe_deflate"]
)
def test_black_and_white(tmp_path: Path, compression: str) -> None:
    """Faxes are so."""
    image = PIL.Image.fromarray(BLACK).convert("1")
    image.save(tmp_path / "a", "TIFF", compression=compression)

    assert_like(pages(tmp_path / "a")[0], BLACK)


@pytest.mark.parametrize(
    "compression",
    ["raw", "packbits", "tiff_lzw", "tiff_deflate", "tiff_adobe_deflate", "lzma", "zstd", "jpeg"],
)
@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_compressions(tmp_path: Path, mode: str, compression: str) -> None:
    """Every mode in every compression that it may have."""
    if (mode, compression) == ("P", "jpeg"):
        mode = "L"
    options = {"quality": 98} if compression == "jpeg" else {}
    made = sample().convert(mode)
    made.save(tmp_path / "a", "TIFF", compression=compression, **options)

    [found] = pages(tmp_path / "a")

    assert_like(found, np.asarray(made.convert("RGB")), 50 if compression == "jpeg" else 20)


def deep(array: Array, order: str) -> bytes:
    return (array.astype(np.uint16) * DEEP).astype(f"{order}u2").tobytes()


def grey(bits: int, photometric: int = 1, **more: int) -> tiffs.Tags:
    extra = {getattr(tiffs, name): [value] for name, value in more.items()}
    return {tiffs.BITS: [bits], tiffs.PHOTOMETRIC: [photometric], **extra}


def colour(bits: int = 8, photometric: int = 2, samples: int = 3, **more: int) -> tiffs.Tags:
    return {**grey(bits, photometric, **more), tiffs.BITS: [bits] * samples}


def planes(array: Array) -> list[Array]:
    return [np.ascontiguousarray(array[:, :, n]) for n in range(array.shape[2])]


Make = Callable[[str], tuple[list[bytes], tiffs.Tags, Array]]
"""The pieces of data, the tags, and what they show, by the order of bytes."""

FOUR = (GREY // 17)[:, ::2] << 4 | (GREY // 17)[:, 1::2]
TWELVE = GREY.astype(int).reshape(HEIGHT, -1, 2) * 4095 // 255
TWELVE_BITS = np.dstack(
    [TWELVE[..., 0] >> 4, (TWELVE[..., 0] & 15) << 4 | TWELVE[..., 1] >> 8, TWELVE[..., 1] & 255]
).astype(np.uint8)
PALETTE = sample().quantize(16)
PALETTE_COLOURS = np.zeros((256, 3), int)
PALETTE_COLOURS[np.asarray(PALETTE)] = np.asarray(PALETTE.convert("RGB"))
MAP = (PALETTE_COLOURS * 257).T.ravel().tolist()
STEPS = np.diff(COLOUR.astype(int), axis=1, prepend=0).astype(np.uint8)


def tiles(array: Array, order: str, side: int = 64) -> list[bytes]:
    rest = [(0, -array.shape[0] % side), (0, -array.shape[1] % side), (0, 0)][: array.ndim]
    whole = np.pad(array, rest)
    return [
        zlib.compress(whole[top : top + side, left : left + side].astype(f"{order}u2").tobytes())
        for top in range(0, whole.shape[0], side)
        for left in range(0, whole.shape[1], side)
    ]


KINDS: dict[str, Make] = {
    "black is 0": lambda o: ([BITS.tobytes()], grey(1, 1), BLACK),
    "white is 0": lambda o: ([(~BITS).tobytes()], grey(1, 0), BLACK),
    "bits from the right": lambda o: (
        [np.packbits(BLACK > 0, axis=1, bitorder="little").tobytes()],
        grey(1, 1, FILL_ORDER=2),
        BLACK,
    ),
    "grey, white is 0": lambda o: ([(255 - GREY).tobytes()], grey(8, 0), GREY),
    "4 bits": lambda o: ([FOUR.tobytes()], grey(4), GREY // 17 * 17),
    "4 bits, white is 0": lambda o: ([(255 - FOUR).tobytes()], grey(4, 0), GREY // 17 * 17),
    "12 bits": lambda o: ([TWELVE_BITS.tobytes()], grey(12), GREY),
    "16 bits": lambda o: ([deep(GREY, o)], grey(16), GREY),
    "16 bits, white is 0": lambda o: ([deep(255 - GREY, o)], grey(16, 0), GREY),
    "16 bits, signed": lambda o: (
        [(GREY.astype(int) * 257 - 32768).astype(f"{o}i2").tobytes()],
        grey(16, FORMAT=2),
        GREY,
    ),
    "fractions": lambda o: ([(GREY / 255).astype(f"{o}f4").tobytes()], grey(32, FORMAT=3), GREY),
    "double": lambda o: ([(GREY / 255).astype(f"{o}f8").tobytes()], grey(64, FORMAT=3), GREY),
    "coloured fractions": lambda o: (
        [(COLOUR / 255).astype(f"{o}f4").tobytes()],
        {**colour(32), tiffs.FORMAT: [3, 3, 3]},
        COLOUR,
    ),
    "palette": lambda o: (
        [np.asarray(PALETTE).tobytes()],
        {**grey(8, 3), tiffs.COLOURS: MAP},
        np.asarray(PALETTE.convert("RGB")),
    ),
    "colours": lambda o: ([COLOUR.tobytes()], colour(), COLOUR),
    "differences": lambda o: (
        [zlib.compress(STEPS.tobytes())],
        colour(COMPRESSION=8, PREDICTOR=2),
        COLOUR,
    ),
    "deep colours": lambda o: ([deep(COLOUR, o)], colour(16), COLOUR),
    "deep colours and alpha": lambda o: (
        [deep(np.dstack([COLOUR, np.full_like(GREY, 255)]), o)],
        colour(16, samples=4, EXTRA=2),
        COLOUR,
    ),
    "grey and alpha": lambda o: (
        [deep(np.dstack([GREY, np.full_like(GREY, 255)]), o)],
        colour(16, 1, 2, EXTRA=2),
        GREY,
    ),
    "an alpha that nobody filled in": lambda o: (
        [np.dstack([COLOUR, np.zeros_like(GREY)]).tobytes()],
        colour(samples=4),
        COLOUR,
    ),
    "inks": lambda o: ([INKS.tobytes()], colour(8, 5, 4), COLOUR),
    "deep inks": lambda o: ([deep(INKS, o)], colour(16, 5, 4), COLOUR),
    "planes": lambda o: ([p.tobytes() for p in planes(COLOUR)], colour(PLANES=2), COLOUR),
    "packed planes": lambda o: (
        [zlib.compress(p.tobytes()) for p in planes(COLOUR)],
        colour(PLANES=2, COMPRESSION=8),
        COLOUR,
    ),
    "deep planes": lambda o: ([deep(p, o) for p in planes(COLOUR)], colour(16, PLANES=2), COLOUR),
    "planes of inks": lambda o: (
        [p.tobytes() for p in planes(INKS)],
        colour(8, 5, 4, PLANES=2),
        COLOUR,
    ),
    "strips": lambda o: (
        [COLOUR[top : top + 16].tobytes() for top in range(0, HEIGHT, 16)],
        colour(ROWS=16),
        COLOUR,
    ),
    "tiles": lambda o: (
        tiles(COLOUR.astype(np.uint16) * DEEP, o),
        colour(16, COMPRESSION=8, TILE_WIDTH=64, TILE_HEIGHT=64),
        COLOUR,
    ),
    "unknown orientation": lambda o: (
        [GREY.tobytes()],
        {**grey(8), 274: [99]},
        GREY,
    ),
}
BOTH = [("<", False), ("<", True), (">", False)]


@pytest.mark.parametrize(("order", "big"), BOTH, ids=["little-endian", "BigTIFF", "big-endian"])
@pytest.mark.parametrize("kind", KINDS)
def test_kinds(tmp_path: Path, kind: str, order: str, big: bool) -> None:
    """Rare ones too, in either order of bytes."""
    data, tags, expected = KINDS[kind](order)
    (tmp_path / "a").write_bytes(tiff(WIDTH, HEIGHT, data, tags, order, big))

    assert_like(pages(tmp_path / "a")[0], expected)


@pytest.mark.parametrize("kind", ["black is 0", "palette", "colours", "deep colours", "16 bits"])
def test_big_endian_big_tiff(tmp_path: Path, kind: str) -> None:
    """Pillow knows no such files."""
    data, tags, expected = KINDS[kind](">")
    (tmp_path / "a").write_bytes(tiff(WIDTH, HEIGHT, data, tags, ">", True))

    assert_like(pages(tmp_path / "a")[0], expected)


def jpeg(mode: str = "RGB", **options: object) -> bytes:
    out = io.BytesIO()
    sample().convert(mode).save(out, "JPEG", quality=95, **options)
    return out.getvalue()


@pytest.mark.parametrize(
    ("data", "tags", "expected"),
    [
        (jpeg(), colour(8, 6, COMPRESSION=7), COLOUR),
        (jpeg(keep_rgb=True), colour(8, 2, COMPRESSION=7), COLOUR),
        (jpeg("L"), grey(8, COMPRESSION=7), GREY),
        (jpeg(), colour(8, 6, COMPRESSION=6), COLOUR),
        (jpeg(), colour(8, 6, COMPRESSION=6, OLD_JPEG=0, OLD_JPEG_LENGTH=len(jpeg())), COLOUR),
    ],
    ids=["YCbCr", "RGB", "grey", "old, in a strip", "old, elsewhere"],
)
def test_jpeg_inside(tmp_path: Path, data: bytes, tags: tiffs.Tags, expected: Array) -> None:
    """The way of today and that of the specification's own text, which was given up."""
    (tmp_path / "a").write_bytes(tiff(WIDTH, HEIGHT, [data], tags))

    assert_like(pages(tmp_path / "a")[0], expected, 50)


@pytest.mark.parametrize("claimed", [0.0, -300.0, float("nan"), float("inf"), 1.0, 65535.0])
def test_absurd_resolutions(tmp_path: Path, claimed: float) -> None:
    """Are as good as none."""
    tags = {**grey(8), 282: [claimed], 283: [claimed], 296: [2]}
    (tmp_path / "a").write_bytes(tiff(WIDTH, HEIGHT, [GREY.tobytes()], tags))

    with ImageConverter(10_000_000, 5).open(tmp_path / "a", tmp_path, None) as source:
        [page] = source.pages()
        assert_like(page.load(), GREY)

    assert page.dpi == 72


def test_pages_that_differ(tmp_path: Path) -> None:
    """Each has its own size, mode and orientation."""
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    first, *rest = [sample(), sample().convert("1"), sample().rotate(90, expand=True)]
    first.save(tmp_path / "1", "TIFF")
    rest[1].save(tmp_path / "turned", "TIFF", exif=exif)
    frames = [PIL.Image.open(tmp_path / "1"), rest[0], PIL.Image.new("CMYK", (20, 90))]
    frames[0].save(tmp_path / "a", "TIFF", save_all=True, append_images=frames[1:])
    frames[0].close()

    found = pages(tmp_path / "a")

    assert_like(found[0], COLOUR)
    assert found[1].shape == COLOUR.shape
    assert found[2].shape == (90, 20, 3)
    assert_like(pages(tmp_path / "turned")[0], COLOUR)


def damaged(path: Path, cut: bool) -> None:
    """Three pages of noise: the second is damaged, or the file ends in it."""
    rng = np.random.default_rng(1)
    noise = [
        PIL.Image.fromarray(rng.integers(0, 256, (99, 99, 3), dtype=np.uint8)) for _ in range(3)
    ]
    noise[0].save(path, "TIFF", save_all=True, append_images=noise[1:], compression="tiff_lzw")
    data = bytearray(path.read_bytes())
    third = len(data) // 3
    data[third + 1000 : 2 * third - 1000] = b"\xff" * (third - 2000)
    path.write_bytes(data[: third * 3 // 2] if cut else data)


@pytest.mark.parametrize("cut", [False, True])
def test_a_damaged_page_does_not_lose_the_others(tmp_path: Path, cut: bool) -> None:
    """It says itself that it cannot be read."""
    damaged(tmp_path / "a", cut)

    with ImageConverter(10_000_000, 5).open(tmp_path / "a", tmp_path, None) as source:
        loads = [page.load for page in source.pages()]
        assert len(loads) == source.page_count == (2 if cut else 3)

    with pytest.raises(InvalidFile, match="damaged"):
        loads[1]()
    for load in (loads[0], *loads[2:]):
        assert load().shape == (99, 99, 3)


@pytest.mark.parametrize("width", [70_000, 0])
def test_size_is_checked_before_it_is_rewritten(tmp_path: Path, width: int) -> None:
    """A header alone takes no memory, in kinds that Pillow does not read either."""
    data = tiff(width, 70_000, [b"x"], grey(64, FORMAT=3), ">", True)
    (tmp_path / "a").write_bytes(data)

    with pytest.raises(TooLarge if width else InvalidFile):
        pages(tmp_path / "a")


def test_frames_are_counted_before_they_are_rewritten(tmp_path: Path) -> None:
    """A directory that follows itself is one page; too many are refused."""
    data, tags, _ = KINDS["double"]("<")
    one = bytearray(tiff(WIDTH, HEIGHT, data, tags))
    (entries,) = struct.unpack_from("<H", one, 8)
    struct.pack_into("<I", one, 10 + 12 * entries, 8)
    (tmp_path / "a").write_bytes(one)

    with (
        pytest.raises(TooLarge),
        ImageConverter(10_000_000, 0).open(tmp_path / "a", tmp_path, None),
    ):
        pass
    assert len(pages(tmp_path / "a")) == 1

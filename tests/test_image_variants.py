"""Kinds of PNG, JPEG, GIF, WebP and BMP: each is decoded to the picture that it was made of."""

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import docx
import numpy as np
import openpyxl
import pikepdf
import PIL.Image
import pptx
import pytest
from numpy.typing import NDArray
from PIL import ImageCms
from PIL.TiffImagePlugin import IFDRational

from app.converters.image import ImageConverter
from app.engines.stub import StubEngine
from app.errors import InvalidFile
from app.interfaces import Converter, Image, Writer
from app.languages import parse
from app.pipeline import Order, Pipeline
from app.writers.docx import DocxWriter
from app.writers.pdf import PdfWriter
from app.writers.pptx import PptxWriter
from app.writers.txt import TextWriter
from app.writers.xlsx import XlsxWriter
from tests.pictures import sample

COLOUR = np.asarray(sample())
GREY = np.asarray(sample().convert("L"))
BLACK = np.asarray(sample().convert("L").point(lambda value: 255 * (value > 127)))
TEXT = np.asarray(sample().convert("L"))[:70]  # Without the blocks.
FULL = np.full_like(GREY, 255)
DEEP = np.uint16(257)

Array = NDArray[np.generic]


def shown(folder: Path, data: bytes) -> Image:
    """The one page; its picture shows the same."""
    path = folder / "a"
    path.write_bytes(data)
    with ImageConverter(10_000_000, 5).open(path, folder, None) as source:
        pages = source.pages()
        page = next(pages)
        assert page.picture is not None
        pixels = page.load()
        with warnings.catch_warnings(action="ignore"), PIL.Image.open(page.picture) as picture:
            if picture.mode != "CMYK":
                assert np.abs(np.asarray(picture.convert("RGB")).astype(int) - pixels).max() <= 1
        assert 50 <= page.dpi <= 1200
        assert list(pages) == []
    return pixels


def assert_like(found: Image, expected: Array, tolerance: int = 3) -> None:
    """All but 3 % of the pixels, on edges, are those expected."""
    if expected.ndim == 2:
        expected = np.repeat(expected[:, :, None], 3, axis=2)
    assert found.shape == expected.shape
    off = np.abs(found.astype(int) - expected.astype(int)).max(axis=2) > tolerance
    assert off.mean() < 0.03


def encoded(image: PIL.Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


# PNG


def png(
    kind: int, array: Array, bits: int = 8, *chunks: tuple[bytes, bytes], woven: bool = False
) -> bytes:
    """A file of an ``array`` of samples as they are stored, (height, width, ...)."""
    width = array.shape[1] * 8 // bits if bits < 8 else array.shape[1]
    head = struct.pack(">2I5B", width, array.shape[0], bits, kind, 0, 0, woven)
    passes = [array[y::dy, x::dx] for x, y, dx, dy in _ADAM7] if woven else [array]
    rows = b"".join(b"\0" + row.tobytes() for part in passes for row in part if part.size)
    parts = [(b"IHDR", head), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )


_ADAM7 = [
    (0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4),
    (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2),
]  # fmt: skip


@pytest.mark.parametrize("woven", [False, True], ids=["in order", "interlaced"])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(
    ("kind", "array", "clear", "expected"),
    [
        (0, GREY, None, GREY),
        (0, GREY, [255], GREY),
        (2, COLOUR, None, COLOUR),
        (2, COLOUR, [255, 255, 255], COLOUR),
        (4, np.dstack([GREY, FULL]), None, GREY),
        (4, np.dstack([FULL * 0, 255 - TEXT.repeat(2, 0)[:120]]), None, TEXT.repeat(2, 0)[:120]),
        (6, np.dstack([COLOUR, FULL]), None, COLOUR),
        (6, np.dstack([COLOUR * 0, 255 - GREY]), None, GREY),
    ],
    ids=["grey", "grey, white is clear", "colours", "colours, white is clear", "grey and alpha",
         "black behind alpha", "colours and alpha", "black behind grey alpha"],
)  # fmt: skip
def test_png(
    tmp_path: Path,
    kind: int,
    array: Array,
    clear: list[int] | None,
    expected: Array,
    bits: int,
    woven: bool,
) -> None:
    """All kinds of samples, deep or not, in both orders."""
    scale = 257 if bits == 16 else 1
    stored = (array.astype(int) * scale).astype(">u2" if bits == 16 else "u1")
    chunks = [(b"tRNS", b"".join(struct.pack(">H", each * scale) for each in clear or ()))]

    found = shown(tmp_path, png(kind, stored, bits, *(chunks if clear else []), woven=woven))

    assert_like(found, expected)


@pytest.mark.parametrize("clear", [None, 1])
def test_png_of_one_bit(tmp_path: Path, clear: int | None) -> None:
    """Its white may be transparent."""
    chunks = [(b"tRNS", struct.pack(">H", clear))] if clear is not None else []
    data = png(0, np.packbits(BLACK > 0, axis=1)[:, :36], 1, *chunks)

    assert_like(shown(tmp_path, data), BLACK[:, :288])


# Transparency


def behind(colour: int | tuple[int, int, int], alpha: Array) -> bytes:
    """An image of one colour, of which ``alpha`` says what is seen."""
    image = PIL.Image.new("RGB", (alpha.shape[1], alpha.shape[0]), (colour,) * 3
                          if isinstance(colour, int) else colour)  # fmt: skip
    image.putalpha(PIL.Image.fromarray(alpha.astype(np.uint8)))
    return encoded(image, "PNG")


@pytest.mark.parametrize("colour", [0, 60, 110, 200, 245, 255, (255, 255, 0), (200, 0, 0)])
def test_text_of_any_colour_is_seen_on_its_ground(
    tmp_path: Path, colour: int | tuple[int, int, int]
) -> None:
    """Light text stands on black, all else on white."""
    found = shown(tmp_path, behind(colour, 255 - TEXT)).mean(axis=2)

    assert found.max() - found.min() > 100


def test_a_dark_dot_does_not_hide_white_text(tmp_path: Path) -> None:
    """The ground is chosen for what there is more of."""
    image = PIL.Image.open(io.BytesIO(behind(255, 255 - TEXT)))
    image.putpixel((0, 0), (0, 0, 0, 255))

    assert_like(shown(tmp_path, encoded(image, "PNG")), 255 - TEXT)


def test_white_boxes_with_black_borders(tmp_path: Path) -> None:
    """In a diagram the ground is chosen for what touches it."""
    image = PIL.Image.new("RGBA", (200, 100), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (20, 20, 120, 60))
    image.paste((255, 255, 255, 255), (22, 22, 118, 58))

    assert shown(tmp_path, encoded(image, "PNG"))[0, 0].min() == 255


def test_a_picture_of_a_window_stands_on_white(tmp_path: Path) -> None:
    """It is white at its edges, but brings its own ground."""
    image = sample().convert("RGBA")
    margin = PIL.Image.new("RGBA", (340, 160), (0, 0, 0, 0))
    margin.paste(image, (20, 20))

    assert shown(tmp_path, encoded(margin, "PNG"))[0, 0].min() == 255


@pytest.mark.parametrize("alpha", [0, 1, 20, 255])
def test_an_alpha_that_is_the_same_everywhere_means_nothing(tmp_path: Path, alpha: int) -> None:
    """Text that would be transparent on transparent is read."""
    image = sample().convert("RGBA")
    image.putalpha(alpha)

    assert_like(shown(tmp_path, encoded(image, "PNG")), COLOUR)


def test_nothing_on_nothing(tmp_path: Path) -> None:
    """A clear image is white."""
    assert shown(tmp_path, behind(0, FULL * 0)).min() == 255


# JPEG


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg(tmp_path: Path, mode: str, subsampling: int, progressive: bool) -> None:
    """Baseline and progressive."""
    options = {} if mode == "L" else {"subsampling": subsampling}
    image = sample().convert(mode)

    data = encoded(image, "JPEG", quality=98, progressive=progressive, **options)

    assert_like(shown(tmp_path, data), np.asarray(image), 40)


@pytest.mark.parametrize("missing", [2, 10, 100])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_jpeg_without_its_end(tmp_path: Path, mode: str, missing: int) -> None:
    """Where all but the last rows are there, the page is read, and its picture is whole."""
    image = sample().resize((1500, 600)).convert(mode)

    found = shown(tmp_path, encoded(image, "JPEG", quality=98)[:-missing])

    assert_like(found, np.asarray(image), 40)


@pytest.mark.parametrize("progressive", [False, True])
def test_half_a_jpeg(tmp_path: Path, progressive: bool) -> None:
    """It is not taken for a whole one."""
    data = encoded(sample().resize((1500, 600)), "JPEG", progressive=progressive)

    with pytest.raises(InvalidFile, match="damaged"):
        shown(tmp_path, data[: len(data) // 2])


ADOBE = b"\xff\xee\0\x0eAdobe\0d\0\0\0\0\0"


def inks(inverted: bool, marked: bool, transformed: bool = False) -> bytes:
    stored = np.asarray(sample().convert("CMYK"))
    if transformed:
        light = PIL.Image.fromarray(stored[:, :, :3]).convert("YCbCr")
        stored = np.dstack([np.asarray(light), 255 - stored[:, :, 3]])
        stored = 255 - stored
    elif not inverted:
        stored = 255 - stored
    # Pillow inverts what it writes, and marks it.
    data = encoded(PIL.Image.fromarray(stored, "CMYK"), "JPEG", quality=98, subsampling=0)
    assert data.count(ADOBE) == 1
    return data.replace(ADOBE, (ADOBE[:-1] + bytes([2 * transformed])) if marked else b"")


@pytest.mark.parametrize(
    ("inverted", "marked", "transformed"),
    [(True, True, False), (True, True, True), (True, False, False), (False, False, False)],
    ids=["CMYK", "YCCK", "inverted without a marker", "CMYK without a marker"],
)
def test_jpeg_of_inks(tmp_path: Path, inverted: bool, marked: bool, transformed: bool) -> None:
    """Adobe's are inverted; of those without its marker nobody knows, but pages are light."""
    assert_like(shown(tmp_path, inks(inverted, marked, transformed)), COLOUR, 60)


# Metadata


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize(
    "tags",
    [
        {282: IFDRational(0, 1), 283: IFDRational(0, 1), 296: 2},
        {282: IFDRational(0, 0), 283: IFDRational(0, 0), 296: 2},
        {282: 65535.0, 283: 65535.0, 296: 2},
        {282: 1.0, 283: 1.0, 296: 3},
        {282: 72.0, 283: 72.0, 296: 9},
        {274: 0},
        {274: 99},
    ],
)
def test_odd_metadata(tmp_path: Path, kind: str, tags: dict[int, object]) -> None:
    """It is as good as none."""
    exif = PIL.Image.Exif()
    exif.update(tags)
    options = {} if kind in ("PNG", "TIFF") else {"quality": 98}

    assert_like(shown(tmp_path, encoded(sample(), kind, exif=exif, **options)), COLOUR, 60)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF"])
@pytest.mark.parametrize("dpi", [(0, 0), (1, 1), (65535, 65535), (72, 0), (300, 1)])
def test_absurd_resolutions(tmp_path: Path, kind: str, dpi: tuple[int, int]) -> None:
    """They neither fail nor stretch the page."""
    assert shown(tmp_path, encoded(sample(), kind, dpi=dpi)).shape == COLOUR.shape


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_damaged_metadata(tmp_path: Path, kind: str) -> None:
    """The pixels are still there."""
    exif = b"Exif\0\0MM\0*\0\0\0\xffgarbage"

    assert_like(shown(tmp_path, encoded(sample(), kind, exif=exif, quality=98)), COLOUR, 60)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("length", [None, 200, 4])
def test_colour_profiles(tmp_path: Path, kind: str, length: int | None) -> None:
    """A profile changes nothing that matters here, a damaged one nothing at all."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()[:length]
    options = {"quality": 98} if kind in ("JPEG", "WEBP") else {}

    found = shown(tmp_path, encoded(sample(), kind, icc_profile=profile, **options))

    assert_like(found, COLOUR, 60)


# GIF, WebP


@pytest.mark.parametrize("interlace", [0, 1])
def test_gif(tmp_path: Path, interlace: int) -> None:
    """Interlaced or not."""
    image = sample().quantize(128)

    found = shown(tmp_path, encoded(image, "GIF", interlace=interlace))

    assert_like(found, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize(("kind", "count"), [("GIF", 3), ("WEBP", 3), ("PNG", 1)])
def test_animations(tmp_path: Path, kind: str, count: int) -> None:
    """Each frame is shown whole, though only its changes are stored."""
    frames = [sample() for _ in range(3)]
    frames[1].paste("black", (0, 0, 9, 9))
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    (tmp_path / "a").write_bytes(data)

    with ImageConverter(10_000_000, 5).open(tmp_path / "a", tmp_path, None) as source:
        found = [page.load() for page in source.pages()]

    assert len(found) == count
    for image, frame in zip(found, frames, strict=False):
        assert_like(image, np.asarray(frame), 20)


@pytest.mark.parametrize("lossless", [False, True])
def test_webp(tmp_path: Path, lossless: bool) -> None:
    """Both ways, and with alpha."""
    for mode in ("RGB", "RGBA"):
        data = encoded(sample().convert(mode), "WEBP", lossless=lossless, quality=98)
        assert_like(shown(tmp_path, data), COLOUR, 60)


# BMP

PALETTE = sample().quantize(16)
INDICES = np.zeros((120, 304), np.uint8)
INDICES[:, :300] = np.asarray(PALETTE)


def bmp(
    data: bytes,
    bits: int,
    packing: int = 0,
    extra: bytes = b"",
    head: int = 40,
    height: int = 120,
) -> bytes:
    if head == 12:
        header = struct.pack("<IHHHH", 12, 300, height, 1, bits)
    else:
        header = struct.pack("<IiiHHIIiiII", head, 300, height, 1, bits, packing, len(data),
                             0, 0, 0, 0).ljust(head, b"\0")  # fmt: skip
    start = 14 + len(header) + len(extra)
    return struct.pack("<2sIHHI", b"BM", start + len(data), 0, 0, start) + header + extra + data


def colours(size: int) -> bytes:
    table = np.zeros((16, size), np.uint8)
    table[np.asarray(PALETTE), :3] = COLOUR_OF_PALETTE[:, :, ::-1]
    return table.tobytes()


COLOUR_OF_PALETTE = np.asarray(PALETTE.convert("RGB"))


def run_lengths(row: Array, nibbles: bool) -> Iterator[int]:
    """Runs of at most 255 pixels, and the end of the line."""
    place = 0
    while place < len(row):
        end = place
        while end < len(row) and end - place < 255 and row[end] == row[place]:
            end += 1
        yield from (end - place, int(row[place]) * (17 if nibbles else 1))
        place = end
    yield from (0, 0)


def packed(nibbles: bool) -> bytes:
    rows = np.asarray(PALETTE)[::-1]
    return bytes(each for row in rows for each in run_lengths(row, nibbles)) + b"\0\1"


def fields(bits: tuple[int, int, int], kind: str) -> tuple[bytes, bytes]:
    """Pixels whose colours have so many bits, from the top; and the masks."""
    masks, pixels, shift = [], np.zeros((120, 300), int), sum(bits)
    for n, width in enumerate(bits):
        shift -= width
        masks.append((2**width - 1) << shift)
        pixels |= (COLOUR[:, :, n].astype(int) >> (8 - width)) << shift
    return pixels[::-1].astype(kind).tobytes(), struct.pack("<3I", *masks)


def bitfields(bits: tuple[int, int, int], kind: str, depth: int) -> bytes:
    data, masks = fields(bits, kind)
    return bmp(data, depth, 3, masks)


FOUR = (INDICES[::-1, ::2] << 4 | INDICES[::-1, 1::2]).astype(np.uint8)
BGR = np.ascontiguousarray(COLOUR[::-1, :, ::-1])
BMPS = {
    "4 bits": bmp(FOUR.tobytes(), 4, extra=colours(4)),
    "8 bits": bmp(INDICES[::-1, :300].tobytes(), 8, extra=colours(4) + bytes(960)),
    "24 bits": bmp(BGR.tobytes(), 24),
    "top-down": bmp(BGR[::-1].tobytes(), 24, height=-120),
    "32 bits": bmp(np.dstack([BGR, FULL * 0]).tobytes(), 32),
    "16 bits": bmp(fields((5, 5, 5), "<u2")[0], 16),
    "16 bits by fields": bitfields((5, 6, 5), "<u2", 16),
    "16 bits by odd fields": bitfields((4, 4, 4), "<u2", 16),
    "32 bits by fields": bitfields((8, 8, 8), "<u4", 32),
    "packed 8 bits": bmp(packed(False), 8, 1, colours(4) + bytes(960)),
    "packed 4 bits": bmp(packed(True), 4, 2, colours(4)),
    "OS/2": bmp(BGR.tobytes(), 24, head=12),
    "OS/2 palette": bmp(FOUR.tobytes(), 4, extra=colours(3), head=12),
    "OS/2 2": bmp(BGR.tobytes(), 24, head=64),
    "version 4": bmp(BGR.tobytes(), 24, head=108),
    "version 5": bmp(BGR.tobytes(), 24, head=124),
}


@pytest.mark.parametrize("kind", BMPS)
def test_bmp(tmp_path: Path, kind: str) -> None:
    """All that programs wrote."""
    assert_like(shown(tmp_path, BMPS[kind]), COLOUR, 20)


# Sizes, what becomes of them, and what is not accepted


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "GIF"])
@pytest.mark.parametrize("size", [(1, 1), (1, 30_000), (30_000, 1)])
def test_odd_sizes(tmp_path: Path, kind: str, size: tuple[int, int]) -> None:
    """A line of pixels is a page."""
    found = shown(tmp_path, encoded(PIL.Image.new("RGB", size, "white"), kind))

    assert found.shape == (size[1], size[0], 3)
    assert found.min() > 250


ODD = {
    "a line down": encoded(PIL.Image.new("L", (1, 30_000), 255), "PNG"),
    "a line across": encoded(PIL.Image.new("RGB", (30_000, 1), "white"), "BMP"),
    "a dot": encoded(PIL.Image.new("1", (1, 1), 1), "PNG"),
    "deep": png(0, (GREY.astype(np.uint16) * DEEP).astype(">u2"), 16),
    "inks": inks(inverted=True, marked=True),
    "inks in TIFF": encoded(sample().convert("CMYK"), "TIFF"),
    "fractions": encoded(sample().convert("F"), "TIFF"),
    "clear": behind(255, 255 - TEXT),
}


@pytest.mark.parametrize("name", ODD)
def test_all_formats_are_made_of_it(tmp_path: Path, name: str) -> None:
    """Each opens, and has the one page."""
    source = tmp_path / "a"
    source.write_bytes(ODD[name])
    writers: dict[str, Writer] = {
        "txt": TextWriter(),
        "pdf": PdfWriter(),
        "docx": DocxWriter(),
        "xlsx": XlsxWriter(),
        "pptx": PptxWriter(),
    }
    images: Converter = ImageConverter(10_000_000, 5)
    pipeline = Pipeline([images], {"auto": StubEngine()}, writers)

    for form in writers:
        order = Order(form, parse("English"))
        pipeline.run(order, source, tmp_path, tmp_path / f"b.{form}", lambda *_: None)

    words = (tmp_path / "b.txt").read_text(encoding="utf-8").split()
    with pikepdf.open(tmp_path / "b.pdf") as document:
        assert len(document.pages) == 1
        assert document.pages[0].get_images()
    found = docx.Document(str(tmp_path / "b.docx"))
    assert [word for each in found.paragraphs for word in each.text.split()] == words
    with closing(openpyxl.load_workbook(tmp_path / "b.xlsx")) as book:
        assert len(book.worksheets) == 1
    assert len(pptx.Presentation(str(tmp_path / "b.pptx")).slides) == 1


@pytest.mark.parametrize("kind", ["JPEG2000", "AVIF", "PPM", "TGA", "ICO", "PCX"])
def test_other_kinds_are_refused(tmp_path: Path, kind: str) -> None:
    """The error says what is accepted."""
    with pytest.raises(InvalidFile, match=r"Accepted are .* WebP"):
        shown(tmp_path, encoded(sample(), kind))

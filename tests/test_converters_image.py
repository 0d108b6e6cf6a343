import struct
import zlib
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from PIL import ImageDraw
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from app.converters.image import ImageConverter
from app.errors import InvalidFile, TooLarge
from app.interfaces import Image, SourcePage

RED, GREEN, BLUE = (254, 0, 0), (0, 255, 1), (0, 0, 254)


def open_pages(path: Path, work: Path) -> list[tuple[SourcePage, Image]]:
    """All pages with their pixels; a page's picture is checked while it exists."""
    found: list[tuple[SourcePage, Image]] = []
    with ImageConverter(10_000_000, 50).open(path, work, None) as source:
        for page in source.pages():
            pixels = page.load()
            assert pixels.shape == (page.height, page.width, 3)
            assert page.picture is not None
            with PIL.Image.open(page.picture) as picture:
                assert picture.width == page.width
                assert picture.height == page.height
            found.append((page, pixels))
        assert [page.number for page, _ in found] == list(range(1, source.page_count + 1))
    return found


def save(image: PIL.Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)  # type: ignore[arg-type]
    return path


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.gif", "a.bmp", "a.tif", "a.webp"])
def test_formats(tmp_path: Path, name: str) -> None:
    """Every accepted format gives one page of red, green and blue."""
    path = save(PIL.Image.new("RGB", (40, 30), (250, 10, 10)), tmp_path / name)

    [(page, pixels)] = open_pages(path, tmp_path)

    assert (page.width, page.height, page.number) == (40, 30, 1)
    assert np.abs(pixels.reshape(-1, 3).mean(axis=0) - (250, 10, 10)).max() < 5


@pytest.mark.parametrize("name", ["a.gif", "a.tif", "a.webp"])
def test_every_frame_is_a_page(tmp_path: Path, name: str) -> None:
    """Frames come in order, and only one picture at a time is kept."""
    frames = [PIL.Image.new("RGB", (20, 20), colour) for colour in (RED, GREEN, BLUE)]
    path = save(frames[0], tmp_path / name, save_all=True, append_images=frames[1:])
    work = tmp_path / "work"
    work.mkdir()

    strongest = []
    with ImageConverter(10_000_000, 50).open(path, work, None) as source:
        for page in source.pages():
            strongest.append(int(page.load().mean(axis=(0, 1)).argmax()))
            assert len(list(work.iterdir())) == 1

    assert strongest == [0, 1, 2]
    assert list(work.iterdir()) == []


def test_animated_png_is_one_page(tmp_path: Path) -> None:
    """Of an animated PNG the default image is taken."""
    frames = [PIL.Image.new("RGB", (20, 20), colour) for colour in (RED, BLUE)]
    path = save(frames[0], tmp_path / "a.png", save_all=True, append_images=frames[1:])

    [(_, pixels)] = open_pages(path, tmp_path)

    assert tuple(pixels[0, 0]) == RED


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.tif", "a.png"])
def test_orientation(tmp_path: Path, orientation: int, name: str) -> None:
    """The metadata's orientation is applied: the dark corner is always top left."""
    upright = PIL.Image.new("L", (60, 40), 255)
    ImageDraw.Draw(upright).rectangle((0, 0, 15, 10), fill=0)
    turns = {
        1: [],
        2: [PIL.Image.Transpose.FLIP_LEFT_RIGHT],
        3: [PIL.Image.Transpose.ROTATE_180],
        4: [PIL.Image.Transpose.FLIP_TOP_BOTTOM],
        5: [PIL.Image.Transpose.TRANSPOSE],
        6: [PIL.Image.Transpose.ROTATE_90],
        7: [PIL.Image.Transpose.TRANSVERSE],
        8: [PIL.Image.Transpose.ROTATE_270],
    }
    stored = upright
    for turn in turns[orientation]:
        stored = stored.transpose(turn)
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    path = save(stored, tmp_path / name, exif=exif)

    [(page, pixels)] = open_pages(path, tmp_path)

    assert (page.width, page.height) == (60, 40)
    assert pixels[:8, :12].max() < 60
    assert pixels[:, 20:].min() > 200


def test_a_plain_jpeg_is_its_own_picture(tmp_path: Path) -> None:
    """What any reader can show is not encoded again."""
    path = save(PIL.Image.new("L", (20, 20), 9), tmp_path / "a", format="JPEG", progressive=True)

    [(page, _)] = open_pages(path, tmp_path)

    assert page.picture == path


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_a_plain_png_is_its_own_picture(tmp_path: Path, mode: str) -> None:
    """That is so for black and white, grey, palettes and colours."""
    path = save(PIL.Image.new(mode, (20, 20), 1), tmp_path / "a.png")

    [(page, _)] = open_pages(path, tmp_path)

    assert page.picture == path


def test_black_and_white_stays_so(tmp_path: Path) -> None:
    """A fax page's picture has one bit for each pixel."""
    path = save(PIL.Image.new("1", (20, 20), 1), tmp_path / "a.tif", compression="group4")

    with ImageConverter(10_000_000, 50).open(path, tmp_path, None) as source:
        for page in source.pages():
            assert page.picture is not None
            with PIL.Image.open(page.picture) as picture:
                assert picture.mode == "1"


@pytest.mark.parametrize("mode", ["LA", "RGBA", "PA"])
def test_dark_text_on_transparency(tmp_path: Path, mode: str) -> None:
    """Transparent is white."""
    image = PIL.Image.new("RGBA", (40, 20), (0, 0, 0, 0))
    ImageDraw.Draw(image).rectangle((5, 5, 10, 10), fill=(0, 0, 0, 255))
    stored = image.convert("P" if mode == "PA" else mode)
    path = save(stored, tmp_path / "a.png")

    [(_, pixels)] = open_pages(path, tmp_path)

    assert pixels[7, 7].max() < 30
    assert pixels[0, 0].min() > 240


def test_white_text_on_transparency_can_be_seen(tmp_path: Path) -> None:
    """White on white would be lost."""
    image = PIL.Image.new("RGBA", (40, 20), (0, 0, 0, 0))
    ImageDraw.Draw(image).rectangle((5, 5, 10, 10), fill=(255, 255, 255, 255))
    path = save(image, tmp_path / "a.png")

    [(_, pixels)] = open_pages(path, tmp_path)

    assert pixels[7, 7].min() > 240
    assert pixels[0, 0].max() < 30


def test_palette_transparency(tmp_path: Path) -> None:
    """A palette's transparent colour is white as well."""
    image = PIL.Image.new("P", (20, 20), 0)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((3, 3), 1)
    path = save(image, tmp_path / "a.gif", transparency=0)

    [(_, pixels)] = open_pages(path, tmp_path)

    assert tuple(pixels[0, 0]) == (255, 255, 255)
    assert tuple(pixels[3, 3]) == (0, 0, 255)


@pytest.mark.parametrize(("highest", "middle"), [(65535, 32768), (4095, 2048), (255, 128)])
def test_deep_greys_are_scaled_by_their_range(tmp_path: Path, highest: int, middle: int) -> None:
    """12-bit scans come in 16-bit files and are not nearly black."""
    samples = np.full((20, 20), highest, dtype=np.uint16)
    samples[5:10, 5:10] = middle
    samples[15:, 15:] = 0
    path = save(PIL.Image.fromarray(samples), tmp_path / "a.tif")

    [(_, pixels)] = open_pages(path, tmp_path)

    assert pixels[0, 0].min() > 250
    assert 120 < pixels[7, 7].max() < 135
    assert pixels[19, 19].max() == 0


def test_deep_greys_with_white_as_zero(tmp_path: Path) -> None:
    """A TIFF may say that 0 is white."""
    samples = np.zeros((20, 20), dtype=np.uint16)
    samples[5:10, 5:10] = 65535
    tags = ImageFileDirectory_v2()
    tags[262] = 0
    path = save(PIL.Image.fromarray(samples), tmp_path / "a.tif", tiffinfo=tags)

    [(_, pixels)] = open_pages(path, tmp_path)

    assert pixels[0, 0].min() == 255
    assert pixels[7, 7].max() == 0


def test_float_samples(tmp_path: Path) -> None:
    """Fractions from 0 to 1 are greys; what is not a number is black."""
    samples = np.full((20, 20), 1.0, dtype=np.float32)
    samples[5, 5], samples[6, 6] = 0.5, np.nan
    path = save(PIL.Image.fromarray(samples), tmp_path / "a.tif")

    [(_, pixels)] = open_pages(path, tmp_path)

    assert (pixels[0, 0].max(), pixels[5, 5].max(), pixels[6, 6].max()) == (255, 128, 0)


@pytest.mark.parametrize("name", ["a.jpg", "a.tif"])
def test_printing_colours(tmp_path: Path, name: str) -> None:
    """No ink is white and black ink is black, in JPEG files too, which store them inverted."""
    image = PIL.Image.new("CMYK", (64, 64), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 32, 64))
    path = save(image, tmp_path / name)

    [(_, pixels)] = open_pages(path, tmp_path)

    assert pixels[32, 60].min() > 240
    assert pixels[32, 4].max() < 15


@pytest.mark.parametrize(
    ("size", "claimed", "expected"),
    [
        ((1000, 1170), (300, 300), 300),
        ((1000, 1170), None, 100),
        ((100, 117), None, 72),
        ((4000, 5000), None, 300),
        ((1000, 1170), (5, 5), 100),
        ((1000, 1170), (30000, 30000), 100),
        ((4000, 3000), (72, 72), 300),
    ],
)
def test_resolution(
    tmp_path: Path, size: tuple[int, int], claimed: tuple[int, int] | None, expected: int
) -> None:
    """The file's own if a page can have it; else as if the longer side were A4's."""
    options = {"dpi": claimed} if claimed else {}
    path = save(PIL.Image.new("1", size, 1), tmp_path / "a.png", **options)

    with ImageConverter(50_000_000, 50).open(path, tmp_path, None) as source:
        [page] = source.pages()

    assert page.dpi == pytest.approx(expected, abs=1)


def test_fax_pixels_become_square(tmp_path: Path) -> None:
    """A coarse fax has half as many pixels down as across."""
    path = save(PIL.Image.new("1", (200, 100), 1), tmp_path / "a.tif", dpi=(204, 98))

    [(page, _)] = open_pages(path, tmp_path)

    assert (page.width, page.height) == (200, 208)
    assert page.dpi == pytest.approx(204)


@pytest.mark.parametrize("size", [(1, 1), (1, 30_000), (30_000, 1)])
def test_odd_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    """A line of pixels is a page."""
    path = save(PIL.Image.new("L", size, 255), tmp_path / "a.png")

    [(page, _)] = open_pages(path, tmp_path)

    assert (page.width, page.height) == size


def test_size_is_checked_before_decoding(tmp_path: Path) -> None:
    """A header that promises 65,535 x 65,535 pixels is enough to say no."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">2I5B", 65535, 65535, 8, 2, 0, 0, 0)
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"x"))

    with pytest.raises(TooLarge), ImageConverter(10_000_000, 50).open(path, tmp_path, None):
        pass


def test_too_many_frames(tmp_path: Path) -> None:
    """Frames count as pages."""
    frames = [PIL.Image.new("1", (8, 8), number % 2) for number in range(6)]
    path = save(frames[0], tmp_path / "a.tif", save_all=True, append_images=frames[1:])

    with (
        pytest.raises(TooLarge, match="6 frames"),
        ImageConverter(10_000, 5).open(path, tmp_path, None),
    ):
        pass


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.gif", "a.bmp", "a.webp"])
def test_truncated_files(tmp_path: Path, name: str) -> None:
    """Half an image is no image."""
    noise = np.random.default_rng(1).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    path = save(PIL.Image.fromarray(noise), tmp_path / name)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    with pytest.raises(InvalidFile):
        open_pages(path, tmp_path)


def test_other_formats_are_not_tried(tmp_path: Path) -> None:
    """Pillow's plug-ins for PostScript and the like never see a file."""
    path = save(PIL.Image.new("L", (20, 20)), tmp_path / "a.eps")

    with pytest.raises(InvalidFile), ImageConverter(10_000, 5).open(path, tmp_path, None):
        pass


@pytest.mark.parametrize("bits", [2, 16])
def test_rare_bitmaps(tmp_path: Path, bits: int) -> None:
    """Bitmaps of four colours, and with odd masks, are read all the same."""
    masks = struct.pack("<3I", 0xC000, 0x3800, 0x0700) if bits == 16 else b""
    palette = bytes([0, 0, 0, 0, 255, 0, 0, 0, 0, 255, 0, 0, 0, 0, 255, 0]) if bits == 2 else b""
    rows = b"\xe4\0\0\0" * 2 if bits == 2 else struct.pack("<4H", 0xC000, 0x3800, 0x0700, 0) * 2
    extra = masks + palette
    header = struct.pack("<IiiHHIIiiII", 40, 4, 2, 1, bits, 3 if masks else 0, 0, 0, 0, 0, 0)
    start = 14 + len(header) + len(extra)
    path = tmp_path / "a.bmp"
    path.write_bytes(
        b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start) + header + extra + rows
    )

    [(_, pixels)] = open_pages(path, tmp_path)

    assert [tuple(pixel) for pixel in pixels[0].tolist()] == [
        (255, 0, 0),
        (0, 255, 0),
        (0, 0, 255),
        (0, 0, 0),
    ]

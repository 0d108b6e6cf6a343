"""Image files: every frame is a page, decoded by Pillow."""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL import ImageOps
from PIL.TiffImagePlugin import TiffImageFile

from app import media
from app.converters import bmp
from app.document import Page
from app.errors import AppError, InvalidFile, TooLarge
from app.interfaces import Image, SourcePage


class ImageConverter:
    """Opens PNG, JPEG, GIF, BMP, TIFF and WebP files."""

    media_types = frozenset({media.PNG, media.JPEG, media.GIF, media.BMP, media.TIFF, media.WEBP})

    def __init__(self, max_pixels: int, max_pages: int) -> None:
        self._max_pixels = max_pixels
        self._max_pages = max_pages
        # Pillow's own limit is below ours and can only be moved for the whole process.
        PIL.Image.MAX_IMAGE_PIXELS = max_pixels

    @contextmanager
    def open(
        self, source: Path, work: Path, password: str | None, form: str = "pdf"
    ) -> Iterator["_ImageSource"]:
        """Open ``source``; images have no password."""
        # Not by its path, for then Pillow 13 maps it and garbles rotated uncompressed TIFF files.
        with source.open("rb") as file, self._open(file, source) as image:
            _check_pixels(image, self._max_pixels)
            with _decoding():
                count = _count_frames(image, self._max_pages)
            opened = _ImageSource(image, source, work, count, self._max_pixels)
            try:
                yield opened
            finally:
                opened.forget()

    def prepare(self) -> None:
        """Nothing is to be started."""

    def close(self) -> None:
        """Nothing is to be ended."""

    def _open(self, file: BinaryIO, source: Path) -> PIL.Image.Image:
        if media.detect(source) != media.BMP:
            with _decoding():
                return PIL.Image.open(file, formats=_FORMATS)
        try:
            with _decoding(), PIL.Image.open(file, formats=_FORMATS) as image:
                _check_pixels(image, self._max_pixels)
                image.load()
                return image.copy()
        except InvalidFile:
            return PIL.Image.fromarray(bmp.decode(source, self._max_pixels))


# Others, such as EPS, start programs or follow references.
_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP")


class _ImageSource:
    """An image file, opened."""

    original = None
    left_out = ()

    def __init__(
        self, image: PIL.Image.Image, source: Path, work: Path, count: int, max_pixels: int
    ) -> None:
        self.page_count = count
        self._image = image
        self._source = source
        self._work = work
        self._max_pixels = max_pixels
        self._last: SourcePage | None = None

    def pages(self, first: int = 1) -> Iterator[SourcePage]:
        """Every frame from ``first`` on; a page's picture exists until the next is asked for."""
        for number in range(first, self.page_count + 1):
            yield self._page(number)

    def shown(self, page: Page) -> Page:
        """``page`` with its picture."""
        found = self._page(page.number)
        return replace(page, picture=found.picture, load=found.load)

    def forget(self) -> None:
        """Remove the picture of the page that was asked for last."""
        if self._last is not None:
            if self._last.picture is not None and self._last.picture != self._source:
                self._last.picture.unlink(missing_ok=True)
            self._last = None

    def _page(self, number: int) -> SourcePage:
        if self._last is None or self._last.number != number:
            self.forget()
            self._last = self._decoded(number)
        return self._last

    def _decoded(self, number: int) -> SourcePage:
        image, picture = self._image, self._work / f"frame-{number}.png"
        with _decoding():
            image.seek(number - 1)
            _check_pixels(image, self._max_pixels)
            resolution = _resolution(image)
            if self.page_count == 1 and _is_plain(image, self._source):
                frame, picture = image, self._source
            else:
                frame = _shown(_square(_upright(image), resolution), _is_white_zero(image))
        if picture is not self._source:
            frame.save(picture, compress_level=1)
        width, height = frame.size

        def load() -> Image:
            with _decoding():
                return _pixels(_shown(frame))

        dpi = _dpi(max(resolution), max(width, height))
        return SourcePage(number, width, height, dpi, load, picture=picture)


@contextmanager
def _decoding() -> Iterator[None]:
    """Turn whatever Pillow raises at a bad file into errors about the file."""
    try:
        with warnings.catch_warnings():
            # About odd metadata, which is no news to anybody; sizes are checked here.
            warnings.simplefilter("ignore")
            yield
    except AppError:
        raise
    except PIL.Image.DecompressionBombError as error:
        raise TooLarge("The image has too many pixels.") from error
    except MemoryError as error:
        raise TooLarge("The image needs too much memory.") from error
    except Exception as error:  # Its plug-ins let through whatever their parsing runs into.
        raise InvalidFile("The image is damaged or cannot be read.") from error


def _check_pixels(image: PIL.Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise TooLarge(
            f"The image has {width} x {height} pixels; at most {max_pixels} are accepted."
        )


def _count_frames(image: PIL.Image.Image, max_pages: int) -> int:
    """How many frames are pages: all, but of an animated PNG or a JPEG with more pictures one."""
    if image.format not in ("GIF", "TIFF", "WEBP"):
        return 1
    count = int(getattr(image, "n_frames", 1))
    if count > max_pages:
        raise TooLarge(f"The image has {count} frames; at most {max_pages} are accepted.")
    return count


def _is_plain(image: PIL.Image.Image, source: Path) -> bool:
    """Whether the file itself shows the page, without rotation or transparency."""
    if image.getexif().get(_ORIENTATION, 1) != 1 or _is_squashed(*_resolution(image)):
        return False
    if image.format in ("JPEG", "MPO"):
        return image.mode in ("L", "RGB") and _is_common_jpeg(source)
    if image.format == "PNG" and getattr(image, "n_frames", 1) == 1:
        with source.open("rb") as file:
            header = file.read(29)
        return (
            header[24] in (1, 8)  # Bits per channel.
            and header[28] == 0  # Not interlaced.
            and image.mode in ("1", "L", "P", "RGB")
            and not image.has_transparency_data
        )
    return False


_ORIENTATION = 0x0112


def _is_common_jpeg(source: Path) -> bool:
    """Whether it is baseline or progressive: only these are sure to be shown by any PDF reader."""
    with source.open("rb") as file:
        place = 2
        for _ in range(1000):
            file.seek(place)
            marker = file.read(4)
            if len(marker) < 4 or marker[0] != 0xFF:
                return False
            if marker[1] == 0xFF:  # A fill byte.
                place += 1
            elif 0xC0 <= marker[1] <= 0xCF and marker[1] not in (0xC4, 0xC8, 0xCC):
                return marker[1] in (0xC0, 0xC1, 0xC2)
            else:
                place += 2 + int.from_bytes(marker[2:], "big")
    return False


def _is_white_zero(image: PIL.Image.Image) -> bool:
    """Whether 0 means white; of deep greys Pillow reads the numbers as they are."""
    return isinstance(image, TiffImageFile) and image.tag_v2.get(_PHOTOMETRIC) == 0


_PHOTOMETRIC = 262


def _upright(image: PIL.Image.Image) -> PIL.Image.Image:
    """A copy of the frame, turned as its metadata say."""
    image.load()
    return ImageOps.exif_transpose(image) or image.copy()


def _square(image: PIL.Image.Image, resolution: tuple[float, float]) -> PIL.Image.Image:
    """The image with square pixels: a fax has about half as many down as across."""
    across, down = resolution
    if not _is_squashed(across, down):
        return image
    width, height = image.size
    finer = max(across, down)
    smooth = image.convert("L") if image.mode == "1" else image
    return smooth.resize((round(width * finer / across), round(height * finer / down)))


def _is_squashed(across: float, down: float) -> bool:
    return 1.4 < max(across, down) / min(across, down) < 4


def _resolution(image: PIL.Image.Image) -> tuple[float, float]:
    """Pixels per inch across and down that the file claims; (1, 1) if it claims none."""
    claimed = image.info.get("dpi") or (1, 1)
    across, down = (float(value) for value in claimed)
    if all(math.isfinite(value) and value > 0 for value in (across, down)):
        return across, down
    return 1.0, 1.0


def _dpi(claimed: float, longer_side: int) -> float:
    """What the file claims, if a page can have it; else as if the longer side were A4's.

    Cameras and drawing programs write 72 or 96 without meaning it: over a page of more than 24
    inches that is not believed.
    """
    if 50 <= claimed <= 1200 and (claimed > 96 or longer_side / claimed <= 24):
        return claimed
    return min(300.0, max(72.0, longer_side / 11.7))


def _shown(image: PIL.Image.Image, white_is_zero: bool = False) -> PIL.Image.Image:
    """The image as it is looked at: black and white, grey or red-green-blue, on white."""
    if image.mode.startswith(("I", "F")):
        grey = PIL.Image.fromarray(_to_bytes(np.asarray(image)))
        return ImageOps.invert(grey) if white_is_zero else grey
    if image.has_transparency_data:
        return _on_paper(image.convert("RGBA"))
    if image.mode in ("1", "L", "RGB"):
        return image
    return image.convert("RGB")


def _pixels(image: PIL.Image.Image) -> Image:
    """Red, green and blue, with as few copies as it takes: each is a tenth of a page's time."""
    if image.mode == "RGB":
        return np.asarray(image)
    grey = np.asarray(image.convert("L"))
    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), np.uint8)


def _to_bytes(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Scale samples of any range to 0 to 255.

    Integers are taken to fill the bits that the largest of them needs: 12-bit scans come in
    16-bit files.
    """
    samples = np.nan_to_num(values.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    lowest, highest = float(samples.min()), float(samples.max())
    if lowest < 0:
        samples -= lowest
        highest -= lowest
    if np.issubdtype(values.dtype, np.integer):
        full = float(2 ** max(8, int(highest).bit_length()) - 1)
    else:
        full = next((limit for limit in (1.0, 255.0, 65535.0) if highest <= limit), highest)
    return np.asarray(np.rint(samples * (255 / full)), dtype=np.uint8)


def _on_paper(image: PIL.Image.Image) -> PIL.Image.Image:
    """A transparent image on white; white on transparent, which would vanish, on black."""
    for paper in ("white", "black"):
        sheet = PIL.Image.new("RGBA", image.size, paper)
        sheet.alpha_composite(image)
        shown = sheet.convert("RGB")
        darkest, _ = shown.convert("L").getextrema()
        if isinstance(darkest, int | float) and darkest < 250:
            break
    opaque = image.getchannel("A").getextrema()[1] != 0
    return shown if opaque else PIL.Image.new("RGB", image.size, "white")

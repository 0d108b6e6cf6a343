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
from PIL import ImageChops, ImageOps, ImageStat
from PIL.TiffImagePlugin import TiffImageFile

from app import media
from app.converters import bmp, jpeg, tiff
from app.converters.paper import on_paper
from app.converters.samples import rows_of, to_bytes
from app.document import Page
from app.errors import AppError, InvalidFile, OutOfResources, TooLarge
from app.interfaces import Image, SourcePage


class ImageConverter:
    """Opens PNG, JPEG, GIF, BMP, TIFF and WebP files."""

    media_types = frozenset({media.PNG, media.JPEG, media.GIF, media.BMP, media.TIFF, media.WEBP})

    def __init__(
        self, max_pixels: int, max_pages: int, max_document_pixels: int = 50_000_000_000
    ) -> None:
        self._max_pixels = max_pixels
        self._max_pages = max_pages
        self._max_document_pixels = max_document_pixels
        # Pillow's own limit is below ours and can only be moved for the whole process.
        PIL.Image.MAX_IMAGE_PIXELS = max_pixels

    @contextmanager
    def open(
        self, source: Path, work: Path, password: str | None, form: str = "pdf"
    ) -> Iterator["_ImageSource"]:
        """Open ``source``; images have no password."""
        kind = media.detect(source)
        if kind == media.JPEG:
            jpeg.check(source)
            with _decoding():
                source = jpeg.ended(source, work / "ended.jpg", self._max_pixels)
        # Not by its path, for then Pillow 13 maps it and garbles rotated uncompressed TIFF files.
        with source.open("rb") as file, self._open(kind, file, source, work) as image:
            _check_pixels(image, self._max_pixels)
            with _decoding():
                count = _count_frames(image, self._max_pages)
            if count * image.width * image.height > self._max_document_pixels:
                raise TooLarge(
                    f"The image has {count} frames of {image.width} x {image.height} pixels; at "
                    f"most {self._max_document_pixels} are accepted in all: send it in parts."
                )
            opened = _ImageSource(image, source, work, count, self._max_pixels)
            try:
                yield opened
            finally:
                opened.forget()

    def unlock(self, source: Path, work: Path, password: str) -> Path:
        """``source``: images have no protection."""
        return source

    def prepare(self) -> None:
        """Nothing is to be started."""

    def close(self) -> None:
        """Nothing is to be ended."""

    def _open(self, kind: str, file: BinaryIO, source: Path, work: Path) -> PIL.Image.Image:
        try:
            with _decoding():
                image = PIL.Image.open(file, formats=_FORMATS)
                if kind == media.BMP:
                    _check_pixels(image, self._max_pixels)
                    image.load()
                if not tiff.is_garbled(image):
                    return image
        except InvalidFile:
            if kind == media.BMP:
                return PIL.Image.fromarray(bmp.decode(source, self._max_pixels))
            if kind != media.TIFF:
                raise
        with _decoding():
            target = work / "rewritten.tif"
            tiff.rewrite(source, target, self._max_pixels, self._max_pages)
            return PIL.Image.open(target, formats=_FORMATS)


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
        try:
            return self._readable(number)
        except InvalidFile as error:
            if self.page_count == 1:
                raise
            return _unreadable(number, error)

    def _readable(self, number: int) -> SourcePage:
        image, picture = self._image, self._work / f"frame-{number}.png"
        with _decoding():
            image.seek(number - 1)
            _check_pixels(image, self._max_pixels)
            resolution = _resolution(image)
            if self.page_count == 1 and _is_plain(image, self._source):
                frame, picture = image, self._source
            else:
                frame = _shown(_square(_upright(image), resolution), _is_white_zero(image))
                if frame is image and self.page_count > 1:
                    frame = image.copy()  # The next frame takes its place.
        if picture is not self._source:
            frame.save(picture, compress_level=1)
        width, height = frame.size

        def load() -> Image:
            with _decoding():
                return _pixels(_shown(frame))

        dpi = _dpi(max(resolution), max(width, height))
        return SourcePage(number, width, height, dpi, load, picture=picture)


def _unreadable(number: int, error: InvalidFile) -> SourcePage:
    """A page of which nothing is known, of the size of A4."""

    def fail() -> Image:
        raise error

    return SourcePage(number, 1654, 2340, 200, fail)


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
        limit = PIL.Image.MAX_IMAGE_PIXELS
        raise TooLarge(
            f"The image has more than the {limit} pixels that are accepted; scale it down."
        ) from error
    except MemoryError as error:
        raise OutOfResources("The image needs more memory than there is; scale it down.") from error
    except Exception as error:  # Its plug-ins let through whatever their parsing runs into.
        raise InvalidFile("The image is damaged or cannot be read.") from error


def _check_pixels(image: PIL.Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise TooLarge(
            f"The image has {width} x {height} pixels; at most {max_pixels} are accepted: "
            "scale it down."
        )


def _count_frames(image: PIL.Image.Image, max_pages: int) -> int:
    """How many frames are pages: all, but of an animated PNG or a JPEG with more pictures one."""
    if image.format not in ("GIF", "TIFF", "WEBP"):
        return 1
    try:
        count = int(getattr(image, "n_frames", 1))
    except Exception:  # Cut off: those at the beginning may be whole.
        count = _count_whole(image, max_pages) + 1
        if count == 1:
            raise
    if count > max_pages:
        raise TooLarge(
            f"The image has {count} frames; at most {max_pages} are accepted: send it in parts."
        )
    return count


def _count_whole(image: PIL.Image.Image, max_pages: int) -> int:
    """How many frames can be got to."""
    for index in range(max_pages):
        try:
            image.seek(index)
        except Exception:
            return index
    return max_pages


def _is_plain(image: PIL.Image.Image, source: Path) -> bool:
    """Whether the file itself shows the page, without rotation or transparency."""
    if image.getexif().get(_ORIENTATION, 1) != 1 or _is_squashed(*_resolution(image)):
        return False
    if image.format in _JPEGS:
        return image.mode in ("L", "RGB") and jpeg.is_common(source)
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


_JPEGS = ("JPEG", "MPO")
_ORIENTATION = 0x0112


def _is_white_zero(image: PIL.Image.Image) -> bool:
    """Whether 0 means white; of deep greys Pillow reads the numbers as they are."""
    return isinstance(image, TiffImageFile) and image.tag_v2.get(_PHOTOMETRIC) == 0


_PHOTOMETRIC = 262


def _upright(image: PIL.Image.Image) -> PIL.Image.Image:
    """The frame, or a copy of it, turned as its metadata say."""
    image.load()
    if image.mode == "CMYK" and image.format in _JPEGS and "adobe" not in image.info:
        # Pillow takes all for inverted, as Adobe's are. Of the others, pages are light.
        both = image, ImageChops.invert(image)
        image = max(both, key=lambda each: ImageStat.Stat(each.convert("L")).mean[0])
    if image.getexif().get(_ORIENTATION, 1) == 1:
        return image
    return ImageOps.exif_transpose(image)


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
        grey = PIL.Image.fromarray(to_bytes(np.asarray(image)))
        return ImageOps.invert(grey) if white_is_zero else grey
    if image.has_transparency_data:
        return on_paper(image if image.mode == "RGBA" else image.convert("RGBA"))
    if image.mode in ("1", "L", "RGB"):
        return image
    return image.convert("RGB")


def _pixels(image: PIL.Image.Image) -> Image:
    """Red, green and blue, with as few copies as it takes: each is a tenth of a page's time."""
    if image.mode == "RGB":
        width, height = image.size
        pixels = np.empty((height, width, 3), np.uint8)
        for rows in rows_of(height, width):
            pixels[rows] = np.asarray(image.crop((0, rows.start, width, rows.stop)))
        return pixels
    grey = np.asarray(image.convert("L"))
    return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), np.uint8)

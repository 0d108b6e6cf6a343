"""PDF pages as PDFium sees them: size, text layer, image.

PDFium may only be used by one thread of a process, whatever the document.
"""

import ctypes
import hashlib
import math
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import pypdfium2.raw as pdfium
from numpy.typing import NDArray

from app.converters import pdfium_calls as calls
from app.converters.pdf_rules import Matrix, rules_of, times
from app.converters.pdf_sheet import Sheet, choose_dpi
from app.converters.pdf_styles import StylesOf
from app.converters.pdf_text import HYPHEN, REPLACEMENT, Characters, is_legible, lines_of
from app.document import Box, Line, Rules
from app.interfaces import Image, SourcePicture


class Refused(Exception):
    """PDFium cannot read the document or the page."""


class PasswordRefused(Refused):
    """The document has a password, and it is not the one that was given."""


class ProtectionRefused(Refused):
    """The document is protected by something else than a password."""


@dataclass(frozen=True, slots=True)
class PageFacts:
    """A page's size in pixels at ``dpi``, and its text layer, if that can be trusted."""

    width: int
    height: int
    dpi: float
    lines: tuple[Line, ...] | None
    pictures: tuple[SourcePicture, ...]


class PdfiumDocument:
    """An open document; ``close`` it."""

    def __init__(self, path: Path, password: bytes, max_pixels: int) -> None:
        """Raises Refused, PasswordRefused, ProtectionRefused."""
        self._max_pixels = max_pixels
        self._boxes = calls.LooseBoxes()
        self._open: tuple[int, pdfium.FPDF_PAGE] | None = None  # The page that was used last.
        self._art: _Art | None = None  # What is on it, if that was asked for.
        self._document = pdfium.FPDF_LoadDocument(bytes(path) + b"\0", password + b"\0")
        if not self._document:
            raise _REFUSALS.get(pdfium.FPDF_GetLastError(), Refused)

    def close(self) -> None:
        """Give back what the document holds."""
        self._close_page()
        pdfium.FPDF_CloseDocument(self._document)

    @property
    def page_count(self) -> int:
        """How many pages the document says it has."""
        return int(pdfium.FPDF_GetPageCount(self._document))

    @property
    def is_encrypted(self) -> bool:
        """Whether it is, even if it opens without a password."""
        return bool(pdfium.FPDF_GetSecurityHandlerRevision(self._document) != -1)

    def save_unlocked(self, target: Path) -> None:
        """Write the document without encryption. Raises Refused."""
        with target.open("wb") as file:

            def write(_: object, data: int, size: int) -> int:
                return int(file.write(ctypes.string_at(data, size)) == size)

            writer = pdfium.FPDF_FILEWRITE(version=1)
            writer.WriteBlock = type(writer.WriteBlock)(write)
            if not pdfium.FPDF_SaveAsCopy(self._document, writer, pdfium.FPDF_REMOVE_SECURITY):
                raise Refused

    def is_blank(self, index: int) -> bool:
        """Whether nothing at all is drawn on the page."""
        try:
            return bool(pdfium.FPDFPage_CountObjects(self._page(index)) <= 0)
        except Refused:
            return False

    def facts(self, index: int) -> PageFacts:
        """Size and text layer of the page with ``index`` from 0. Raises Refused."""
        page = self._page(index)
        sheet = _sheet(page)
        return _facts(page, sheet, self._survey(page, sheet), self._boxes, self._max_pixels)

    def layer(self, index: int, scale: float) -> tuple[Line, ...]:
        """The page's text layer, whatever it is worth, ``scale`` pixels a point. Raises Refused."""
        page = self._page(index)
        sheet = _sheet(page)
        with _text_page(page) as text:
            points = _characters(text, self._boxes, sheet)
            return _lines(text, points, sheet, scale)

    def rules(self, index: int, scale: float) -> Rules | None:
        """The rules that the page draws, ``scale`` pixels a point; None if that is hard to tell.

        Raises Refused.
        """
        page = self._page(index)
        sheet = _sheet(page)
        art = self._survey(page, sheet)
        if art.covered > _MUCH_PICTURE:
            return None  # They may be in its images.
        rules = rules_of(art.paths, sheet, scale)
        if rules is not None and (art.covered or art.shaded):
            rules = replace(rules, alone=False)
        return rules

    def render(self, index: int, width: int, height: int) -> Image:
        """The page as it is looked at, with what is filled in in its forms. Raises Refused."""
        return _render(self._page(index), width, height)

    def _page(self, index: int) -> pdfium.FPDF_PAGE:
        """The page, which stays open until another one is used."""
        if self._open is not None and self._open[0] == index:
            return self._open[1]
        self._close_page()
        page = pdfium.FPDF_LoadPage(self._document, index)
        if page and _has_filled_fields(page):
            # Makes them part of the page, in memory: the text layer has no annotations.
            pdfium.FPDFPage_Flatten(page, pdfium.FLAT_NORMALDISPLAY)
            pdfium.FPDF_ClosePage(page)
            page = pdfium.FPDF_LoadPage(self._document, index)
        if not page:
            raise Refused
        self._open = index, page
        return page

    def _survey(self, page: pdfium.FPDF_PAGE, sheet: Sheet) -> "_Art":
        if self._art is None:
            self._art = _survey(page, sheet)
        return self._art

    def _close_page(self) -> None:
        if self._open is not None:
            pdfium.FPDF_ClosePage(self._open[1])
            self._open = self._art = None


_REFUSALS = {
    pdfium.FPDF_ERR_PASSWORD: PasswordRefused,
    pdfium.FPDF_ERR_SECURITY: ProtectionRefused,
}

_FEW_CHARACTERS = 20  # A stamp or page number; if images cover half the page, they matter more.
_FULL_PAGE = 0.8  # Share of a page that the image of a scan covers.
_MUCH_PICTURE = 0.3  # Share of a page whose images may be pictures of tables.


def _facts(
    page: pdfium.FPDF_PAGE, sheet: Sheet, art: "_Art", boxes: calls.LooseBoxes, max_pixels: int
) -> PageFacts:
    size = sheet.width, sheet.height
    lines: tuple[Line, ...] | None = None
    with _text_page(page) as text:
        points = _characters(text, boxes, sheet)
        places = points.shown(*size)
        shown = places.tolist()
        sample = shown[:: max(1, len(shown) // 250)]
        trusted = is_legible(points.codes[places]) and not (
            _is_guessed(text, sample)
            or _is_behind(text, sample, art)
            or (art.covered > 0.5 and len(shown) < _FEW_CHARACTERS)
        )
        dpi = choose_dpi(sheet, None if trusted else art.resolution, max_pixels // 4)
        scale = dpi / 72
        if trusted:
            lines = _lines(text, points, sheet, scale)
    if not trusted and not shown and art.covered == 0 and _is_white(page, sheet):
        lines = ()
    return PageFacts(
        max(1, round(sheet.width * scale)),
        max(1, round(sheet.height * scale)),
        dpi,
        lines,
        _pictures(art, sheet, scale) if trusted else (),
    )


def _lines(
    text: pdfium.FPDF_TEXTPAGE, points: Characters, sheet: Sheet, scale: float
) -> tuple[Line, ...]:
    pixels = Characters(points.codes, points.boxes * scale, points.generated, StylesOf(text, scale))
    return lines_of(pixels, sheet.width * scale, sheet.height * scale)


def _pictures(art: "_Art", sheet: Sheet, scale: float) -> tuple[SourcePicture, ...]:
    """The larger pictures on the page, in pixels."""
    if not art.images:
        return ()
    sides = np.array([box for _, box in art.images])[:, [0, 3, 2, 1]]
    return tuple(
        SourcePicture(Box(*(scale * side for side in box)), _digest(item))
        for (item, _), box in zip(art.images, sheet.turned(sides).tolist(), strict=True)
    )


_LARGEST_DIGESTED = 2**20  # Bytes.


def _digest(image: pdfium.FPDF_PAGEOBJECT) -> bytes:
    """The same for the same image; empty for what is too large to be compared."""
    length = pdfium.FPDFImageObj_GetImageDataRaw(image, None, 0)
    if not 0 < length <= _LARGEST_DIGESTED:
        return b""
    data = ctypes.create_string_buffer(length)
    pdfium.FPDFImageObj_GetImageDataRaw(image, data, length)
    return hashlib.blake2b(data.raw, digest_size=16).digest()


def _sheet(page: pdfium.FPDF_PAGE) -> Sheet:
    box = pdfium.FS_RECTF()
    turns = pdfium.FPDFPage_GetRotation(page) % 4
    if not pdfium.FPDF_GetPageBoundingBox(page, box) or not (
        box.right > box.left and box.top > box.bottom
    ):
        raise Refused
    return Sheet(box.left, box.bottom, box.right, box.top, turns)


_Sides = tuple[float, float, float, float]
"""Left, bottom, right, top on the page, in points."""


@dataclass(frozen=True, slots=True)
class _Art:
    """What is on a page besides text."""

    covered: float  # Share of the page under images.
    resolution: float | None  # Of the image that covers the page, in its pixels per inch.
    hides_text: bool  # Whether such an image was drawn over all text.
    images: list[tuple[pdfium.FPDF_PAGEOBJECT, _Sides]]  # The larger ones.
    paths: list[tuple[pdfium.FPDF_PAGEOBJECT, Matrix]]
    shaded: bool  # Whether colours run into each other.


_MAX_OBJECTS = 50_000
_MAX_ANNOTATIONS = 20_000


def _survey(page: pdfium.FPDF_PAGE, sheet: Sheet) -> _Art:
    covered, resolution, hides_text, seen_text = 0.0, None, False, False
    images: list[tuple[pdfium.FPDF_PAGEOBJECT, _Sides]] = []
    paths: list[tuple[pdfium.FPDF_PAGEOBJECT, Matrix]] = []
    shaded = False
    area = sheet.width * sheet.height
    for kind, item, matrix in _objects(page):
        if kind == pdfium.FPDF_PAGEOBJ_TEXT:
            hides_text, seen_text = False, True
        elif kind == pdfium.FPDF_PAGEOBJ_PATH:
            paths.append((item, matrix))
        elif kind == pdfium.FPDF_PAGEOBJ_SHADING:
            shaded = True
        elif kind == pdfium.FPDF_PAGEOBJ_IMAGE:
            box = _bounds(item, matrix)
            across = min(box[2], sheet.right) - max(box[0], sheet.left)
            down = min(box[3], sheet.top) - max(box[1], sheet.bottom)
            share = max(0.0, across) * max(0.0, down) / area
            covered += share
            if share >= _LARGE_IMAGE and min(across, down) >= _LEAST_SIDE:
                left, right = max(box[0], sheet.left), min(box[2], sheet.right)
                images.append(
                    (item, (left, max(box[1], sheet.bottom), right, min(box[3], sheet.top)))
                )
            if share >= _FULL_PAGE:
                resolution = max(resolution or 0, _pixels_per_inch(item, box)) or None
                hides_text = seen_text and not pdfium.FPDFPageObj_HasTransparency(item)
    return _Art(min(1.0, covered), resolution, hides_text, images, paths, shaded)


_LARGE_IMAGE = 0.01  # Share of the page of an image in which there may be text,
_LEAST_SIDE = 20.0  # and its shorter side in points.


def _objects(page: pdfium.FPDF_PAGE) -> Iterator[tuple[int, pdfium.FPDF_PAGEOBJECT, Matrix]]:
    """What is drawn, in order, also in forms."""
    budget = _MAX_OBJECTS

    def walk(
        count: int, get: Callable[[Any, int], Any], parent: Any, matrix: Matrix, depth: int
    ) -> Iterator[tuple[int, pdfium.FPDF_PAGEOBJECT, Matrix]]:
        nonlocal budget
        for index in range(min(count, budget)):
            budget -= 1
            item = get(parent, index)
            kind = calls.get_type(item)
            if kind == pdfium.FPDF_PAGEOBJ_FORM and depth < 8:
                inner = pdfium.FS_MATRIX()
                pdfium.FPDFPageObj_GetMatrix(item, inner)
                yield from walk(
                    pdfium.FPDFFormObj_CountObjects(item),
                    calls.get_form_object,
                    item,
                    times((inner.a, inner.b, inner.c, inner.d, inner.e, inner.f), matrix),
                    depth + 1,
                )
            else:
                yield kind, item, matrix

    count = pdfium.FPDFPage_CountObjects(page)
    yield from walk(count, calls.get_object, page, (1, 0, 0, 1, 0, 0), 0)


def _bounds(item: pdfium.FPDF_PAGEOBJECT, matrix: Matrix) -> _Sides:
    edges = [ctypes.c_float() for _ in range(4)]
    if not pdfium.FPDFPageObj_GetBounds(item, *edges):
        return 0.0, 0.0, 0.0, 0.0
    left, bottom, right, top = (edge.value for edge in edges)
    a, b, c, d, e, f = matrix
    xs = [a * x + c * y + e for x in (left, right) for y in (bottom, top)]
    ys = [b * x + d * y + f for x in (left, right) for y in (bottom, top)]
    return min(xs), min(ys), max(xs), max(ys)


def _pixels_per_inch(item: pdfium.FPDF_PAGEOBJECT, box: _Sides) -> float:
    width, height = ctypes.c_uint(), ctypes.c_uint()
    if not pdfium.FPDFImageObj_GetImagePixelSize(item, width, height):
        return 0.0
    pixels, points = width.value * height.value, (box[2] - box[0]) * (box[3] - box[1])
    return 72 * math.sqrt(pixels / points) if points > 0 else 0.0


@contextmanager
def _text_page(page: pdfium.FPDF_PAGE) -> Iterator[pdfium.FPDF_TEXTPAGE]:
    text = pdfium.FPDFText_LoadPage(page)
    if not text:
        raise Refused
    try:
        yield text
    finally:
        pdfium.FPDFText_ClosePage(text)


def _characters(
    text: pdfium.FPDF_TEXTPAGE, loose_boxes: calls.LooseBoxes, sheet: Sheet
) -> Characters:
    """The text layer in points. ``map`` keeps the calls for each character out of Python."""
    count = max(0, pdfium.FPDFText_CountChars(text))
    codes = np.fromiter(map(calls.get_unicode, repeat(text), range(count)), np.uint32, count)
    boxes = loose_boxes.of(text, count)
    left, right = boxes[:, 0], boxes[:, 2]
    overlaps = np.minimum(right[1:], right[:-1]) - np.maximum(left[1:], left[:-1])
    overlaps -= 0.25 * (boxes[1:, 1] - boxes[1:, 3])
    if np.count_nonzero(overlaps > 0) > 0.01 * count:
        _narrow(text, boxes)
    _lower(text, codes, boxes)

    generated = np.zeros(count, dtype=bool)
    blank = np.flatnonzero(codes <= 0x20)
    said = map(calls.is_generated, repeat(text), blank.tolist())
    generated[blank] = np.fromiter(said, np.intc, len(blank)) == 1
    # Of a font without a mapping PDFium gives the font's own numbers.
    codes[(codes < 0x20) & ~generated & (codes != HYPHEN)] = REPLACEMENT
    return Characters(codes, sheet.turned(np.nan_to_num(boxes)), generated)


def _narrow(text: pdfium.FPDF_TEXTPAGE, boxes: NDArray[np.float64]) -> None:
    """Make the boxes as wide as what is drawn; the font's own width ignores any stretching."""
    count = len(boxes)
    left, right = (ctypes.c_double * 1 * count)(), (ctypes.c_double * 1 * count)()
    unused = repeat(ctypes.byref(ctypes.c_double()))
    deque(map(calls.get_box, repeat(text), range(count), left, right, unused, unused), maxlen=0)
    lefts, rights = np.frombuffer(memoryview(left)), np.frombuffer(memoryview(right))
    drawn = rights > lefts
    boxes[drawn, 0], boxes[drawn, 2] = lefts[drawn], rights[drawn]


def _lower(
    text: pdfium.FPDF_TEXTPAGE, codes: NDArray[np.uint32], boxes: NDArray[np.float64]
) -> None:
    """Make the boxes of symbols that are taller than others about as high as what is drawn.

    Fonts of symbols are often said to reach far below the line, for the largest of them.
    """
    heights = boxes[:, 1] - boxes[:, 3]
    heights[codes <= 0x20] = 0
    known = heights[heights > 0]
    if not len(known):
        return
    around = np.concatenate(([0.0], heights, [0.0]))
    beside = np.maximum(around[:-2], around[2:])
    lowest = np.minimum(np.where(around[:-2] > 0, around[:-2], beside), beside)
    tall = (heights > _TALL * np.median(known)) & (heights > _TALL * lowest)
    results = calls.Results()
    for place in np.flatnonzero(tall).tolist():
        drawn = calls.get_box(text, place, *results.to_doubles)
        left, right, bottom, top = results.doubles
        if drawn and top > bottom and right > left:
            room = _ROOM * (top - bottom)
            boxes[place, 1], boxes[place, 3] = top + room, bottom - room


_ROOM = 0.2  # Above and below what is drawn, in parts of its height, as other boxes have it.
_TALL = 1.25  # Times the usual height.


def _is_guessed(text: pdfium.FPDF_TEXTPAGE, sample: list[int]) -> bool:
    """Whether PDFium had to guess what 8 % of the characters mean."""
    guessed = sum(calls.is_guessed(text, place) == 1 for place in sample)
    return bool(guessed >= 0.08 * len(sample))


def _is_behind(text: pdfium.FPDF_TEXTPAGE, sample: list[int], art: _Art) -> bool:
    """Whether the layer is an earlier recognition: text that is not seen, on a page-wide image."""
    if art.covered < _FULL_PAGE:
        return False
    if art.hides_text:
        return True
    unseen = sum(
        pdfium.FPDFTextObj_GetTextRenderMode(pdfium.FPDFText_GetTextObject(text, place))
        in (pdfium.FPDF_TEXTRENDERMODE_INVISIBLE, pdfium.FPDF_TEXTRENDERMODE_CLIP)
        for place in sample
    )
    return unseen > len(sample) / 2


def _has_filled_fields(page: pdfium.FPDF_PAGE) -> bool:
    """Whether annotations may show text of their own: form fields, typed notes, stamps."""
    count = pdfium.FPDFPage_GetAnnotCount(page)
    # To make so many part of the page takes minutes, the square of their number.
    for index in range(count if count <= _MAX_ANNOTATIONS else 0):
        annotation = calls.get_annotation(page, index)
        if annotation:
            kind = calls.get_subtype(annotation)
            calls.close_annotation(annotation)
            if kind in (
                pdfium.FPDF_ANNOT_WIDGET,
                pdfium.FPDF_ANNOT_FREETEXT,
                pdfium.FPDF_ANNOT_STAMP,
            ):
                return True
    return False


def _is_white(page: pdfium.FPDF_PAGE, sheet: Sheet) -> bool:
    """Whether nothing can be seen on the page, looked at from some distance."""
    scale = 600 / max(sheet.width, sheet.height)
    small = _render(page, math.ceil(sheet.width * scale), math.ceil(sheet.height * scale))
    return bool(small.min() > 250)


def _render(page: pdfium.FPDF_PAGE, width: int, height: int) -> Image:
    pixels = np.empty((height, width, 3), dtype=np.uint8)
    bitmap = pdfium.FPDFBitmap_CreateEx(
        width, height, pdfium.FPDFBitmap_BGR, pixels.ctypes.data_as(ctypes.c_void_p), width * 3
    )
    if not bitmap:
        raise Refused
    try:
        flags = pdfium.FPDF_ANNOT | pdfium.FPDF_REVERSE_BYTE_ORDER
        pdfium.FPDFBitmap_FillRect(bitmap, 0, 0, width, height, 0xFFFFFFFF)
        pdfium.FPDF_RenderPageBitmap(bitmap, page, 0, 0, width, height, 0, flags)
    finally:
        pdfium.FPDFBitmap_Destroy(bitmap)
    return pixels

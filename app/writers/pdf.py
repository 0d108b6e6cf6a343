"""PDF: the pages as they were, with an invisible text layer under them."""

import copy
import shutil
import zlib
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import pikepdf

from app.document import Document, Page
from app.errors import InvalidFile
from app.writers import pdf_pictures, pdf_update
from app.writers.pdf_file import PdfFile
from app.writers.pdf_text import FONT_NAME, TextLayer


class PdfWriter:
    """Writes searchable PDF."""

    media_type = "application/pdf"
    looks = False
    exact = True

    def write(self, document: Document, target: Path) -> None:
        """Create ``target`` from the document's PDF, or else from the pictures of its pages.

        Raises InvalidFile.
        """
        if document.original is None:
            _from_pictures(document, target)
        else:
            _onto_original(document, document.original, target)


def in_points(page: Page) -> tuple[float, float, str]:
    """How wide and high ``page`` becomes, and the matrix that carries its pixels there.

    The page is as it was, not set upright.
    """
    sides = (page.width, page.height) if page.turns % 2 == 0 else (page.height, page.width)
    width, height = (max(side / page.dpi * 72, 1.0) for side in sides)
    shrink = min(1.0, _LARGEST_POINTS / max(width, height))
    width, height = width * shrink, height * shrink
    return width, height, _matrix((0.0, 0.0, width, height), -page.turns % 4, page)


_LARGEST_POINTS = 14_400  # The largest side of a page that readers promise to show.
_DEFAULT_BOX = (0.0, 0.0, 612.0, 792.0)  # What PDFium takes where a page tells no size.


def _from_pictures(document: Document, target: Path) -> None:
    layer = TextLayer()
    with target.open("wb") as stream:
        file = PdfFile(stream)
        font = file.reserve()
        for page in document.pages:
            _add_page(file, page, layer, font)
        layer.add_font(file, font)
        file.close()


def _add_page(file: PdfFile, page: Page, layer: TextLayer, font: str) -> None:
    width, height, matrix = in_points(page)
    resources = f"/Font <</{FONT_NAME} {font}>>"
    content = layer.content(page, matrix)
    if page.picture is not None:
        picture = pdf_pictures.embed(file, page.picture)
        resources += f" /XObject <</Picture {picture}>>"
        content = f"q {width:f} 0 0 {height:f} 0 0 cm /Picture Do Q\n".encode("ascii") + content
    packed = zlib.compress(content)
    contents = file.add_stream("/Filter /FlateDecode", [packed], len(packed))
    file.add_page(
        f"/MediaBox [0 0 {width:f} {height:f}] /Contents {contents} /Resources <<{resources}>>"
    )


def _onto_original(document: Document, original: Path, target: Path) -> None:
    try:
        with pikepdf.open(original) as pdf:
            layer = TextLayer()
            font = pdf.make_indirect(pikepdf.Dictionary())
            resources = _Resources(pdf, font)
            changed: list[pikepdf.Object] = []
            for page in document.pages:
                if page.recognized and page.lines:
                    changed += _add_text(pdf, page, layer, resources)
            if not changed:
                shutil.copyfile(original, target)
                return
            with _font(layer) as source:
                made = source.pages[0].obj.Resources.Font[f"/{FONT_NAME}"]
                for key, value in pdf.copy_foreign(source.make_indirect(made)).items():
                    font[key] = value
                changed += [*resources.copies, *_below(font)]
                if not pdf_update.append(pdf, original, changed, target):
                    _rewrite(pdf, target)
    except pikepdf.PdfError as error:
        raise InvalidFile("The PDF is damaged and cannot be read.") from error


def _rewrite(pdf: pikepdf.Pdf, target: Path) -> None:
    """Write the PDF anew; streams are copied as they stand, so that nothing is packed anew."""
    pdf.save(
        target,
        compress_streams=False,
        stream_decode_level=pikepdf.StreamDecodeLevel.none,
        object_stream_mode=pikepdf.ObjectStreamMode.preserve,
        deterministic_id=True,
    )


def _below(found: pikepdf.Object) -> list[pikepdf.Object]:
    """An indirect object of ours, and those that it refers to."""
    known: dict[tuple[int, int], pikepdf.Object] = {}

    def walk(each: Any) -> None:
        if not isinstance(each, pikepdf.Object):
            return
        if each.is_indirect:
            if each.objgen in known:
                return
            known[each.objgen] = each
        if isinstance(each, pikepdf.Array):
            for item in list(each):
                walk(item)
        elif isinstance(each, pikepdf.Dictionary | pikepdf.Stream):
            for _, item in each.items():
                walk(item)

    walk(found)
    return list(known.values())


def _add_text(
    pdf: pikepdf.Pdf, page: Page, layer: TextLayer, resources: "_Resources"
) -> list[pikepdf.Object]:
    """Give the page its text; the objects that are new or changed."""
    target = pdf.pages[page.number - 1].obj
    name = resources.add(target)
    content = layer.content(
        page, _matrix(_box(target), (_turns(target) - page.turns) % 4, page), name
    )
    packed = pikepdf.Stream(pdf, zlib.compress(content), Filter=pikepdf.Name.FlateDecode)
    contents = target.get("/Contents")
    parts: list[Any] = list(contents) if isinstance(contents, pikepdf.Array) else [contents]
    new: list[pikepdf.Object] = [target, packed]
    without = _without_unseen_text(pdf.pages[page.number - 1])
    if without is not None:
        parts = [pikepdf.Stream(pdf, zlib.compress(without), Filter=pikepdf.Name.FlateDecode)]
        new += parts
    # The text comes first: whatever graphics state the page's own content leaves behind, even
    # with an unbalanced q or Q, cannot move it; and it is balanced itself.
    target.Contents = pikepdf.Array(
        [packed, *(part for part in parts if isinstance(part, pikepdf.Stream))]
    )
    return new


_SHOW = {"Tj", "TJ", "'", '"'}
_UNSEEN = (3, 7)  # Modes of text that is not painted.


def _without_unseen_text(page: pikepdf.Page) -> bytes | None:
    """What the page draws without an earlier recognition's text; None if it has none of that."""
    try:
        instructions = pikepdf.parse_content_stream(page)
    except (pikepdf.PdfError, ValueError):
        return None
    kept, modes, mode = [], [], 0
    for instruction in instructions:
        operator = str(instruction.operator)
        if operator == "q":
            modes.append(mode)
        elif operator == "Q" and modes:
            mode = modes.pop()
        elif operator == "Tr" and instruction.operands:
            with suppress(TypeError):  # Readers pass over what is no number.
                mode = int(instruction.operands[0])
        if not (operator in _SHOW and mode in _UNSEEN):
            kept.append(instruction)
    if len(kept) == len(instructions):
        return None
    return pikepdf.unparse_content_stream(kept)


class _Resources:
    """Gives pages resources that hold the font as well.

    Resources are often shared, between pages or with what a page shows. Those that are found are
    never changed, but copied once for all the pages that share them.
    """

    def __init__(self, pdf: pikepdf.Pdf, font: pikepdf.Object) -> None:
        self._pdf = pdf
        self._font = font
        self._copies: dict[tuple[int, int], tuple[pikepdf.Object, str]] = {}

    @property
    def copies(self) -> list[pikepdf.Object]:
        """The resources that pages share, as they are now."""
        return [copied for copied, _ in self._copies.values()]

    def add(self, page: pikepdf.Object) -> str:
        """Give ``page`` its resources; tells the font's name in them."""
        found = _inherited(page, "/Resources")
        if not isinstance(found, pikepdf.Dictionary):
            found = pikepdf.Dictionary()
        shared = found.is_indirect
        if shared and found.objgen in self._copies:
            page.Resources, name = self._copies[found.objgen]
            return name
        resources = copy.copy(found)
        fonts = resources.get("/Font")
        fonts = copy.copy(fonts) if isinstance(fonts, pikepdf.Dictionary) else pikepdf.Dictionary()
        name = FONT_NAME
        while f"/{name}" in fonts:
            name += "x"
        fonts[f"/{name}"] = self._font
        resources["/Font"] = fonts
        if shared:
            resources = self._pdf.make_indirect(resources)
            self._copies[found.objgen] = resources, name
        page.Resources = resources
        return name


def _font(layer: TextLayer) -> pikepdf.Pdf:
    """A PDF of one page that holds the layer's font."""
    stream = BytesIO()
    file = PdfFile(stream)
    font = layer.add_font(file)
    file.add_page(f"/MediaBox [0 0 1 1] /Resources <</Font <</{FONT_NAME} {font}>>>>")
    file.close()
    return pikepdf.open(stream)


def _matrix(box: tuple[float, float, float, float], turns: int, page: Page) -> str:
    """Carries the pixels of ``page``, origin bottom left, to ``box`` of a page not yet turned."""
    left, bottom, right, top = box
    across, up = (page.width, page.height) if turns % 2 == 0 else (page.height, page.width)
    x = (right - left) / max(across, 1)
    y = (top - bottom) / max(up, 1)
    numbers = (
        (x, 0, 0, y, left, bottom),
        (0, y, -x, 0, right, bottom),
        (-x, 0, 0, -y, right, top),
        (0, -y, x, 0, left, top),
    )[turns]
    return " ".join(f"{number:f}" for number in numbers)


def _turns(page: pikepdf.Object) -> int:
    """Quarter turns clockwise, as PDFium counts them."""
    rotation = _inherited(page, "/Rotate")
    try:
        return int(float(rotation) / 90) % 4 if rotation is not None else 0
    except (TypeError, ValueError):
        return 0


def _box(page: pikepdf.Object) -> tuple[float, float, float, float]:
    """The part of the page that PDFium renders."""
    media = _rectangle(_inherited(page, "/MediaBox")) or _DEFAULT_BOX
    crop = _rectangle(_inherited(page, "/CropBox")) or media
    left, bottom = max(media[0], crop[0]), max(media[1], crop[1])
    right, top = min(media[2], crop[2]), min(media[3], crop[3])
    return (left, bottom, right, top) if left < right and bottom < top else media


def _rectangle(found: Any) -> tuple[float, float, float, float] | None:
    if not isinstance(found, pikepdf.Array) or len(found) < 4:
        return None
    try:
        x1, y1, x2, y2 = (float(number) for number in list(found)[:4])
    except (TypeError, ValueError):
        return None
    left, right = sorted((x1, x2))
    bottom, top = sorted((y1, y2))
    return (left, bottom, right, top) if left < right and bottom < top else None


def _inherited(page: pikepdf.Object, key: str) -> Any:
    node: Any = page
    seen = set()
    while isinstance(node, pikepdf.Dictionary) and node.objgen not in seen:
        if (value := node.get(key)) is not None:
            return value
        seen.add(node.objgen)
        node = node.get("/Parent")
    return None

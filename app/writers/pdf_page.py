"""What a PDF page is made of: its box, turns and resources, and what is drawn on it."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import pikepdf

from app.document import Page
from app.errors import InvalidFile
from app.writers.pdf_file import PdfFile
from app.writers.pdf_text import FONT_NAME


@contextmanager
def foreign() -> Iterator[None]:
    """Look at somebody's PDF: anything in it may be of another type than it is taken for.

    Raises InvalidFile.
    """
    try:
        yield
    except _DAMAGE as error:
        raise InvalidFile("The PDF is damaged and cannot be read.") from error


_DAMAGE = (
    pikepdf.PikepdfError,
    ArithmeticError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)


def check_written(path: Path, pages: int) -> None:
    """Raise InvalidFile unless the PDF can be opened again and has its pages."""
    with foreign(), pikepdf.open(path, suppress_warnings=True) as written:
        if len(written.pages) != pages:
            raise ValueError("A page is missing.")


def in_points(page: Page, smallest: float = 0.0) -> tuple[float, float, str]:
    """How wide and high ``page`` becomes, and the matrix that carries its pixels there.

    The page is as it was, not set upright. No side is shorter than ``smallest``.
    """
    sides = (page.width, page.height) if page.turns % 2 == 0 else (page.height, page.width)
    width, height = (max(side / page.dpi * 72, 1.0) for side in sides)
    shrink = min(1.0, _LARGEST_POINTS / max(width, height))
    width, height = (max(side * shrink, smallest) for side in (width, height))
    return width, height, matrix((0.0, 0.0, width, height), -page.turns % 4, page)


def matrix(box: tuple[float, float, float, float], turns: int, page: Page) -> str:
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


def turns_of(page: pikepdf.Object) -> int:
    """Quarter turns clockwise, as PDFium counts them."""
    rotation = inherited(page, "/Rotate")
    try:
        return int(float(rotation) / 90) % 4 if rotation is not None else 0
    except (TypeError, ValueError):
        return 0


def box_of(page: pikepdf.Object) -> tuple[float, float, float, float]:
    """The part of the page that PDFium renders."""
    media = _rectangle(inherited(page, "/MediaBox")) or _DEFAULT_BOX
    crop = _rectangle(inherited(page, "/CropBox")) or media
    left, bottom = max(media[0], crop[0]), max(media[1], crop[1])
    right, top = min(media[2], crop[2]), min(media[3], crop[3])
    return (left, bottom, right, top) if left < right and bottom < top else media


def inherited(page: pikepdf.Object, key: str) -> Any:
    """What the page, or else a node above it, has under ``key``."""
    node: Any = page
    seen = set()
    while isinstance(node, pikepdf.Dictionary) and node.objgen not in seen:
        if (value := node.get(key)) is not None:
            return value
        seen.add(node.objgen)
        node = node.get("/Parent")
    return None


def parts_of(drawing: pikepdf.Object) -> list[pikepdf.Object]:
    """The streams that make up what a page draws; a form or pattern is one itself."""
    if isinstance(drawing, pikepdf.Stream):
        return [drawing]
    contents = drawing.get("/Contents")
    parts: list[Any] = list(contents) if isinstance(contents, pikepdf.Array) else [contents]
    return [part for part in parts if isinstance(part, pikepdf.Stream)]


def without_unseen_text(page: pikepdf.Page) -> tuple[bytes | None, bool]:
    """What the page draws without an earlier recognition's text; None if it has none of that.

    And whether it may draw other text.
    """
    try:
        instructions = pikepdf.parse_content_stream(page)
    except (pikepdf.PikepdfError, TypeError, ValueError):
        return None, True
    kept, modes, mode, speaks = [], [], 0, False
    for instruction in instructions:
        operator = bytes(instruction.operator).decode("latin-1")  # Damaged ones are no UTF-8.
        if operator == "q":
            modes.append(mode)
        elif operator == "Q" and modes:
            mode = modes.pop()
        elif operator == "Tr" and instruction.operands:
            with suppress(TypeError):  # Readers pass over what is no number.
                mode = int(instruction.operands[0])
        if operator in _SHOW and mode in _UNSEEN:
            continue
        speaks = speaks or operator in _SHOW or (operator == "Do" and _may_speak(page, instruction))
        kept.append(instruction)
    if len(kept) == len(instructions):
        return None, speaks
    return pikepdf.unparse_content_stream(kept), speaks


def _may_speak(page: pikepdf.Page, draws: Any) -> bool:
    """Whether what is drawn is a form, in which there may be text."""
    with suppress(AttributeError, KeyError, TypeError, ValueError, IndexError):
        resources = inherited(page.obj, "/Resources")
        return bool(resources.XObject[str(draws.operands[0])].Subtype == pikepdf.Name.Form)
    return False


# Around what is drawn: readers take the text that is given here, nearly none, for all text in it.
SILENT, SILENT_END = b"/Span <</ActualText ( )>> BDC\n", b"\nEMC\n"


def copied(pdf: pikepdf.Pdf, add: Callable[[PdfFile], str]) -> pikepdf.Object:
    """An object of ``pdf`` like the one that ``add`` writes to a file."""
    stream = BytesIO()
    file = PdfFile(stream)
    made = add(file)
    file.add_page(f"/MediaBox [0 0 1 1] /Made {made}")
    file.close()
    with pikepdf.open(stream) as source:
        return pdf.copy_foreign(source.pages[0].obj.Made)


class Resources:
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
        found = inherited(page, "/Resources")
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


_SHOW = {"Tj", "TJ", "'", '"'}
_UNSEEN = (3, 7)  # Modes of text that is not painted.
_LARGEST_POINTS = 14_400  # The largest side of a page that readers promise to show.
_DEFAULT_BOX = (0.0, 0.0, 612.0, 792.0)  # What PDFium takes where a page tells no size.


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

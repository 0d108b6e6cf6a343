"""PowerPoint: a slide per page, text boxes where the text stood."""

import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import Any

import pptx
from lxml import etree
from pptx.oxml.ns import qn
from pptx.presentation import Presentation
from pptx.slide import Slide
from pptx.util import Emu, Pt

from app.document import Align, Box, Cell, Document, Page, Paragraph, Picture, Table
from app.writers.direction import is_mostly_rtl
from app.writers.fonts import FONTS, width_in_ems
from app.writers.grid import is_centred, is_rtl, sides
from app.writers.text_limits import storable


class PptxWriter:
    """Writes PowerPoint presentations."""

    media_type = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
    looks = True
    exact = False
    retells = True

    def write(self, document: Document, target: Path) -> None:
        """Create ``target``; slides are as large as the first page, others are fitted in."""
        file = pptx.Presentation()
        _set_properties(file)
        blank = file.slide_layouts[_BLANK]
        for n, page in enumerate(document.pages):
            if n == 0:
                file.slide_width, file.slide_height = _slide_size(page)
            slide = file.slides.add_slide(blank)
            _Sheet(slide, page, file.slide_width or 1, file.slide_height or 1).fill()
        file.save(str(target))


_BLANK = 6  # The blank layout of the library's template.
_EMU_PER_INCH, _EMU_PER_POINT = 914_400, 12_700
_SMALLEST_INCHES, _LARGEST_INCHES = 1.0, 56.0
_ALIGN = {Align.CENTER: "ctr", Align.END: "r"}
_TABLES = "http://schemas.openxmlformats.org/drawingml/2006/table"
# PowerPoint's own styles of tables: rules around every cell, and none.
_GRID = "{5940675A-B579-460E-94D1-54222C63F5DA}"
_NO_GRID = "{2D5ABB26-0587-4C30-8999-92F81FD0307C}"
_LONGEST_DESCRIPTION = 2000
_SMALLEST_POINTS, _LARGEST_POINTS = 1.0, 400.0


class _Sheet:
    """A page on its slide."""

    def __init__(self, slide: Slide, page: Page, width: int, height: int) -> None:
        self._slide = slide
        self._shapes: Any = slide.shapes._spTree
        self._page = page
        self._scale = min(width / max(page.width, 1.0), height / max(page.height, 1.0))
        self._left = (width - page.width * self._scale) / 2
        self._top = (height - page.height * self._scale) / 2

    def fill(self) -> None:
        """Put every block where it stood."""
        for block in self._page.blocks:
            if isinstance(block, Table):
                self._add_table(block)
            elif isinstance(block, Picture):
                self._add_picture(block)
            elif text := storable(block.text):
                self._add(block, text)

    def _place(self, box: Box) -> tuple[Emu, Emu, Emu, Emu]:
        """Left, top, width and height on the slide."""
        scale = self._scale
        left, top = self._left + box.left * scale, self._top + box.top * scale
        width, height = (max(side * scale, 1.0) for side in (box.width, box.height))
        return Emu(round(left)), Emu(round(top)), Emu(round(width)), Emu(round(height))

    def _add_picture(self, picture: Picture) -> None:
        shape: Any = self._slide.shapes.add_picture(
            BytesIO(picture.data), *self._place(picture.box)
        )
        texts = [(each, storable(each.text)) for each in picture.paragraphs]
        description = " ".join(text for _, text in texts if text)
        shape._element.nvPicPr.cNvPr.set("descr", description[:_LONGEST_DESCRIPTION])
        for paragraph, text in texts:
            if text:  # It is seen in the picture; here it can be found and copied.
                self._add(paragraph, text, seen=False)

    def _add_table(self, table: Table) -> None:
        scale, rtl = self._scale, is_rtl(table)
        widths, heights = (
            [max(1, round(side * scale)) for side in found] for found in sides(table)
        )
        shape = self._add_shape("p:graphicFrame", "Table")
        about = shape[0]
        _child(_child(about, "p:cNvGraphicFramePr"), "a:graphicFrameLocks", noGrp="1")
        _child(about, "p:nvPr")
        left, top, *_ = self._place(table.box)
        _set_place(_child(shape, "p:xfrm"), (left, top, sum(widths), sum(heights)))
        data = _child(_child(shape, "a:graphic"), "a:graphicData", uri=_TABLES)
        element = _child(data, "a:tbl")
        properties = _child(element, "a:tblPr", **({"rtl": "1"} if rtl else {}))
        _child(properties, "a:tableStyleId").text = _GRID if table.drawn else _NO_GRID
        grid = _child(element, "a:tblGrid")
        for width in reversed(widths) if rtl else widths:
            _child(grid, "a:gridCol", w=str(width))
        covering = {
            (row, column): cell
            for cell in table.cells
            for row in range(cell.row, cell.row + cell.row_span)
            for column in range(cell.column, cell.column + cell.column_span)
        }
        for row, height in enumerate(heights):
            line = _child(element, "a:tr", h=str(height))
            for place in range(table.columns):
                column = table.columns - 1 - place if rtl else place
                cell = covering[row, column]
                end = cell.column + cell.column_span - 1
                first = column == (end if rtl else cell.column)
                self._add_place(line, cell, row == cell.row, first)

    def _add_place(self, line: Any, cell: Cell, top: bool, first: bool) -> None:
        """A place of the grid, in the top row of its cell or below, at its first side or on."""
        spans: dict[str, str] = {}
        if top and cell.row_span > 1:
            spans["rowSpan"] = str(cell.row_span)
        if first and cell.column_span > 1:
            spans["gridSpan"] = str(cell.column_span)
        if not first:
            spans["hMerge"] = "1"
        if not top:
            spans["vMerge"] = "1"
        place = _child(line, "a:tc", **spans)
        body = _child(place, "a:txBody")
        _child(body, "a:bodyPr")
        _child(body, "a:lstStyle")
        if not (top and first):
            _child(body, "a:p")
            _child(place, "a:tcPr")
            return
        across = cell.box.width * self._scale / _EMU_PER_POINT - 4
        texts = [(each, storable(each.text)) for each in cell.paragraphs]
        for paragraph, text in texts:
            if text:
                points = _font_points(paragraph, text, across, self._scale / _EMU_PER_POINT)
                _write(body, paragraph, text, points)
        if not any(text for _, text in texts):  # An empty cell is as high as its font.
            _child(_child(body, "a:p"), "a:endParaRPr", sz="100")
        side = str(2 * _EMU_PER_POINT)
        anchor = {"anchor": "ctr"} if is_centred(cell) else {}
        _child(place, "a:tcPr", marL=side, marR=side, marT="0", marB="0", **anchor)

    def _add(self, paragraph: Paragraph, text: str, seen: bool = True) -> None:
        box, scale = paragraph.box, self._scale
        vertical = all(line.vertical for line in paragraph.lines)
        lines = len(paragraph.lines)
        shape = self._add_shape("p:sp", "TextBox")
        about = shape[0]
        _child(about, "p:cNvSpPr", txBox="1")
        _child(about, "p:nvPr")
        form = _child(shape, "p:spPr")
        _set_place(_child(form, "a:xfrm"), self._place(box))
        _child(_child(form, "a:prstGeom", prst="rect"), "a:avLst")
        _child(form, "a:noFill")
        body = _child(shape, "p:txBody")
        # A single line must not break, even where another font makes it a little wider.
        wrap = "square" if lines > 1 else "none"
        frame = _child(body, "a:bodyPr", wrap=wrap, lIns="0", rIns="0", tIns="0", bIns="0")
        if vertical:
            frame.set("vert", "eaVert")
        _child(frame, "a:noAutofit")
        _child(body, "a:lstStyle")
        width, height = (
            max(side * scale, 1.0) / _EMU_PER_POINT for side in (box.width, box.height)
        )
        along, across = (height, width) if vertical else (width, height)
        points = _font_points(paragraph, text, along, scale / _EMU_PER_POINT)
        pitch = max(across / lines, 1.0) if lines > 1 else None
        _write(body, paragraph, text, points, pitch, seen)

    def _add_shape(self, name: str, title: str) -> Any:
        """A new shape, the first element of which tells about it."""
        number = len(self._shapes)  # Two elements that are no shapes come first.
        shape = _child(self._shapes, name)
        about = _child(shape, "p:nvSpPr" if name == "p:sp" else "p:nvGraphicFramePr")
        _child(about, "p:cNvPr", id=str(number), name=f"{title} {number - 1}")
        return shape


def _write(
    body: Any,
    paragraph: Paragraph,
    text: str,
    points: float,
    pitch: float | None = None,
    seen: bool = True,
) -> None:
    """Add ``text`` to a body of text, as ``paragraph`` looks; its lines are ``pitch`` apart."""
    content = _child(body, "a:p")
    align, rtl = _ALIGN.get(paragraph.align), is_mostly_rtl(text)
    if align is not None or rtl or pitch is not None:
        form = _child(content, "a:pPr", **({"rtl": "1"} if rtl else {}))
        if align is not None or rtl:
            form.set("algn", align or "r")
        if pitch is not None:
            _child(_child(form, "a:lnSpc"), "a:spcPts", val=str(Pt(pitch).centipoints))
    run = _child(content, "a:r")
    look = _child(run, "a:rPr", sz=str(Pt(points).centipoints))
    style = paragraph.style
    if style is not None and style.bold:
        look.set("b", "1")
    if style is not None and style.italic:
        look.set("i", "1")
    if not seen:  # The letters are wholly transparent.
        black = _child(_child(look, "a:solidFill"), "a:srgbClr", val="000000")
        _child(black, "a:alpha", val="0")
    elif style is not None and style.colour is not None:
        _child(_child(look, "a:solidFill"), "a:srgbClr", val=f"{style.colour:06X}")
    latin, east_asian = FONTS[(style.family if style is not None else None) or "sans"]
    _child(look, "a:latin", typeface=latin)
    _child(look, "a:ea", typeface=east_asian)
    _child(run, "a:t").text = text


def _set_place(frame: Any, place: Sequence[int]) -> None:
    """Left, top, width and height of a shape."""
    left, top, width, height = map(str, place)
    _child(frame, "a:off", x=left, y=top)
    _child(frame, "a:ext", cx=width, cy=height)


def _child(parent: Any, name: str, /, **attributes: str) -> Any:
    """A new last element of ``parent``; the schema fixes their order."""
    return etree.SubElement(parent, _named(name), attributes)


_named = lru_cache(maxsize=64)(qn)


def _font_points(paragraph: Paragraph, text: str, along: float, scale: float) -> float:
    """The largest size at which the text, in no more lines than it had, fits its box."""
    style = paragraph.style
    if style is not None:
        by_height = style.size * scale
    else:
        heights = [line.box.width if line.vertical else line.box.height for line in paragraph.lines]
        by_height = median(heights) * scale * (0.95 if _is_wide(text) else 0.85)
    lines = len(paragraph.lines)
    family = style.family if style is not None else None
    ems = width_in_ems(text, family)
    if lines > 1:
        # Lines end ragged: the longest word that moves to the next line leaves a gap.
        longest = max(width_in_ems(storable(line.text), family) for line in paragraph.lines)
        ems = max(longest, ems / lines * 1.04)
    by_width = along / ems if ems else by_height
    points = min(max(min(by_height, by_width), _SMALLEST_POINTS), _LARGEST_POINTS)
    return int(points * 10) / 10


def _is_wide(text: str) -> bool:
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return wide > len(text) / 2


def _slide_size(page: Page) -> tuple[Emu, Emu]:
    width, height = page.width / page.dpi, page.height / page.dpi
    shrink = min(1.0, _LARGEST_INCHES / max(width, height, _SMALLEST_INCHES))
    inches = (max(side * shrink, _SMALLEST_INCHES) for side in (width, height))
    across, down = (Emu(round(side * _EMU_PER_INCH)) for side in inches)
    return across, down


def _set_properties(file: Presentation) -> None:
    """Replace what the template of the library says about itself."""
    properties = file.core_properties
    properties.author = properties.last_modified_by = properties.title = properties.comments = ""
    properties.created = properties.modified = datetime.now(UTC).replace(tzinfo=None)
    properties.revision = 1

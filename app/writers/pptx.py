"""PowerPoint: a slide per page, text boxes where the text stood."""

import unicodedata
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import Any

import pptx
from pptx.dml.color import RGBColor
from pptx.enum.text import MSO_ANCHOR, MSO_AUTO_SIZE, PP_ALIGN
from pptx.oxml.ns import qn
from pptx.presentation import Presentation
from pptx.slide import Slide
from pptx.table import _Cell as TableCell
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
_ALIGN = {Align.CENTER: PP_ALIGN.CENTER, Align.END: PP_ALIGN.RIGHT}
# PowerPoint's own styles of tables: rules around every cell, and none.
_GRID = "{5940675A-B579-460E-94D1-54222C63F5DA}"
_NO_GRID = "{2D5ABB26-0587-4C30-8999-92F81FD0307C}"
_LONGEST_DESCRIPTION = 2000
_SMALLEST_POINTS, _LARGEST_POINTS = 1.0, 400.0


class _Sheet:
    """A page on its slide."""

    def __init__(self, slide: Slide, page: Page, width: int, height: int) -> None:
        self._slide = slide
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
        frame: Any = self._slide.shapes.add_table(
            table.rows, table.columns, *self._place(table.box)
        )
        grid = frame._element.graphic.graphicData.tbl
        properties = grid.tblPr
        for name in list(properties.attrib):
            del properties.attrib[name]
        style = properties.find(qn("a:tableStyleId"))
        if style is not None:
            style.text = _GRID if table.drawn else _NO_GRID
        rtl = is_rtl(table)
        if rtl:
            properties.set("rtl", "1")
        widths, heights = sides(table)
        for n, width in enumerate(widths[::-1] if rtl else widths):
            frame.table.columns[n].width = Emu(max(1, round(width * self._scale)))
        # Not by the library's rows, each of which counts all of them.
        lines = list(grid.tr_lst)
        for line, height in zip(lines, heights, strict=True):
            line.h = Emu(max(1, round(height * self._scale)))
        frame.height = Emu(sum(line.h for line in lines))
        cells = [list(line.tc_lst) for line in lines]
        for cell in table.cells:
            column = table.columns - cell.column - cell.column_span if rtl else cell.column
            place = TableCell(cells[cell.row][column], frame.table)
            if cell.row_span > 1 or cell.column_span > 1:
                last = cells[cell.row + cell.row_span - 1][column + cell.column_span - 1]
                place.merge(TableCell(last, frame.table))
            self._fill_cell(place, cell)

    def _fill_cell(self, place: Any, cell: Cell) -> None:
        place.margin_left = place.margin_right = Pt(2)
        place.margin_top = place.margin_bottom = 0
        if is_centred(cell):
            place.vertical_anchor = MSO_ANCHOR.MIDDLE
        first = True
        for paragraph in cell.paragraphs:
            text = storable(paragraph.text)
            if not text:
                continue
            frame = place.text_frame
            content = frame.paragraphs[0] if first else frame.add_paragraph()
            first = False
            across = cell.box.width * self._scale / _EMU_PER_POINT - 4
            points = _font_points(paragraph, text, across, self._scale / _EMU_PER_POINT)
            _write(content, paragraph, text, points)
        if first:  # An empty cell is as high as its font.
            _shrink(place.text_frame.paragraphs[0])

    def _add(self, paragraph: Paragraph, text: str, seen: bool = True) -> None:
        box, scale = paragraph.box, self._scale
        vertical = all(line.vertical for line in paragraph.lines)
        width, height = (max(side * scale, 1.0) for side in (box.width, box.height))
        shape = self._slide.shapes.add_textbox(*self._place(box))
        frame = shape.text_frame
        frame.margin_left = frame.margin_right = frame.margin_top = frame.margin_bottom = 0
        frame.auto_size = MSO_AUTO_SIZE.NONE
        along, across = (height, width) if vertical else (width, height)
        lines = len(paragraph.lines)
        # A single line must not break, even where another font makes it a little wider.
        frame.word_wrap = lines > 1
        if vertical:
            frame._txBody.bodyPr.set("vert", "eaVert")
        points = _font_points(paragraph, text, along / _EMU_PER_POINT, scale / _EMU_PER_POINT)
        content = frame.paragraphs[0]
        if lines > 1:
            content.line_spacing = Pt(max(across / _EMU_PER_POINT / lines, 1.0))
        _write(content, paragraph, text, points, seen)


def _write(content: Any, paragraph: Paragraph, text: str, points: float, seen: bool = True) -> None:
    """Fill a paragraph of a slide with ``text``, as ``paragraph`` looks."""
    run = content.add_run()
    run.text = text
    run.font.size = Pt(points)
    style = paragraph.style
    latin, east_asian = FONTS[(style.family if style is not None else None) or "sans"]
    if style is not None:
        run.font.bold = True if style.bold else None
        run.font.italic = True if style.italic else None
        if style.colour is not None:
            colour: Any = RGBColor
            run.font.color.rgb = colour(*style.colour.to_bytes(3, "big"))
    run.font.name = latin
    properties = run._r.get_or_add_rPr()
    properties.append(properties.makeelement(qn("a:ea"), {"typeface": east_asian}))
    if not seen:
        _hide(properties)
    align = _ALIGN.get(paragraph.align)
    if is_mostly_rtl(text):
        content.alignment = PP_ALIGN.RIGHT if align is None else align
        content._p.get_or_add_pPr().set("rtl", "1")
    elif align is not None:
        content.alignment = align


def _hide(properties: Any) -> None:
    """Make the letters wholly transparent."""
    for old in properties.findall(qn("a:solidFill")):
        properties.remove(old)
    fill = properties.makeelement(qn("a:solidFill"), {})
    colour = fill.makeelement(qn("a:srgbClr"), {"val": "000000"})
    colour.append(colour.makeelement(qn("a:alpha"), {"val": "0"}))
    fill.append(colour)
    properties.insert(0, fill)


def _shrink(content: Any) -> None:
    end = content._p.makeelement(qn("a:endParaRPr"), {"sz": "100"})
    content._p.append(end)


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

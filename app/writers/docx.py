"""Word: flowing paragraphs on pages of the size they had."""

from datetime import UTC, datetime
from pathlib import Path
from statistics import median, median_low
from typing import Any

import docx
from docx.document import Document as Docx
from docx.enum.section import WD_ORIENT, WD_SECTION
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.section import Section
from docx.shared import Pt
from docx.text.paragraph import Paragraph as DocxParagraph

from app.document import Cell, Document, Page, Paragraph, Table
from app.writers.direction import is_mostly_rtl
from app.writers.docx_table import child, table_element
from app.writers.text_limits import storable


class DocxWriter:
    """Writes Word documents."""

    media_type = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

    def write(self, document: Document, target: Path) -> None:
        """Create ``target``; each page begins on a page, each change of size begins a section."""
        file = docx.Document()
        _set_properties(file)
        _set_fonts(file)
        body = _Body(file)
        for page in document.pages:
            body.add(page)
        file.save(str(target))


_LATIN, _EAST_ASIAN, _EAST_ASIAN_LANGUAGE = "Times New Roman", "SimSun", "zh-CN"
_AFTER_SIZE = ("w:highlight", "w:u", "w:effect", "w:bdr", "w:shd", "w:vertAlign", "w:rtl", "w:lang")
_SMALLEST_POINTS, _LARGEST_POINTS = 7.2, 22 * 72.0  # Of a page, in Word.
_SAME_SIZE_POINTS = 6.0  # Scans of one paper differ by a few pixels.
_LINE_TO_FONT = 0.8  # Of a line's height, from the highest ascender to the lowest descender.


class _Body:
    """The document's body, which grows page by page."""

    def __init__(self, file: Docx) -> None:
        self._file = file
        self._size: tuple[float, float] | None = None
        self._font_points: float | None = (
            None  # Of the Normal style; the first page with text decides.
        )
        self._last: DocxParagraph | None = None

    def add(self, page: Page) -> None:
        size = _size(page)
        new_page = self._last is not None
        if self._size is None:
            _set_size(self._file.sections[0], size)
            self._size = size
        elif max(abs(a - b) for a, b in zip(size, self._size, strict=True)) > _SAME_SIZE_POINTS:
            self._begin_section(size)
            new_page = False  # The section does that.
        if self._font_points is None:
            self._set_usual_size(page)
        for block in page.blocks:
            if isinstance(block, Table):
                self._add_table(block, page, new_page)
                new_page = False
            elif text := storable(block.text):
                self._add_paragraph(text, _points(block, page), new_page)
                new_page = False
        if new_page or self._last is None or not any(p.lines for p in page.paragraphs):
            self._add_paragraph("", None, new_page)

    def _set_usual_size(self, page: Page) -> None:
        sizes = [
            points
            for paragraph in page.paragraphs
            for points in [_points(paragraph, page)] * len(paragraph.lines)
            if points is not None
        ]
        if sizes:
            self._font_points = median_low(sizes)
            normal = self._file.styles["Normal"].element.get_or_add_rPr()
            _set_points(normal, self._font_points)

    def _begin_section(self, size: tuple[float, float]) -> None:
        section = self._file.add_section(WD_SECTION.NEW_PAGE)
        _set_size(section, size)
        self._size = size
        # The break came in a paragraph of its own, which on a full page would make another
        # page. It belongs to the last paragraph of the page.
        if self._last is not None:
            (carrier,) = self._last._p.itersiblings(qn("w:p"))
            (properties,) = carrier.iter(qn("w:sectPr"))
            self._last._p.get_or_add_pPr().append(properties)
            self._file.element.body.remove(carrier)

    def _add_table(self, table: Table, page: Page, new_page: bool) -> None:
        def fill(place: Any, cell: Cell) -> None:
            nonlocal new_page
            for part in cell.paragraphs:
                if text := storable(part.text):
                    element: Any = OxmlElement("w:p")
                    place.append(element)
                    paragraph = DocxParagraph(element, body)
                    paragraph.paragraph_format.space_after = Pt(0)
                    self._set_text(paragraph, text, _points(part, page), new_page)
                    new_page = False

        section = self._file.sections[-1]
        inside = (
            (section.page_width or 0) - (section.left_margin or 0) - (section.right_margin or 0)
        )
        width = min(Pt(table.box.width / page.dpi * 72), inside)
        # A paragraph follows: tables next to each other would become one.
        after = self._file.add_paragraph()
        body = after._parent
        self._last = after
        after._p.addprevious(table_element(table, width / Pt(1), fill))
        if new_page:  # There was no text at all.
            after.paragraph_format.page_break_before = True

    def _add_paragraph(self, text: str, points: float | None, new_page: bool) -> None:
        self._last = self._file.add_paragraph()
        self._set_text(self._last, text, points, new_page)

    def _set_text(
        self, paragraph: DocxParagraph, text: str, points: float | None, new_page: bool
    ) -> None:
        if new_page:
            paragraph.paragraph_format.page_break_before = True
        if not text:
            return
        run = paragraph.add_run(text)
        if is_mostly_rtl(text):
            paragraph._p.get_or_add_pPr().append(OxmlElement("w:bidi"))
            run.font.rtl = True
        language = _east_asian_language(text)
        if language != _EAST_ASIAN_LANGUAGE:
            child(run._r.get_or_add_rPr(), "w:lang", eastAsia=language)
        if points is None:
            return
        if self._font_points and abs(points / self._font_points - 1) > 0.25:
            _set_points(run._r.get_or_add_rPr(), points)


def _set_points(properties: Any, points: float) -> None:
    """Set the size for Latin and East Asian letters, and for those written right to left."""
    for name in ("w:sz", "w:szCs"):
        for old in properties.findall(qn(name)):
            properties.remove(old)
        # The order of these elements is fixed: the language comes after the sizes.
        size = OxmlElement(name)
        size.set(qn("w:val"), str(round(2 * points)))
        properties.insert_element_before(size, *_AFTER_SIZE)


def _east_asian_language(text: str) -> str:
    """The language by which programs choose the shapes of Han characters and their marks."""
    if any("\u3041" <= character <= "\u30ff" for character in text):
        return "ja-JP"
    if any("\uac00" <= character <= "\ud7a3" for character in text):
        return "ko-KR"
    return _EAST_ASIAN_LANGUAGE


def _points(paragraph: Paragraph, page: Page) -> float | None:
    """The size of the font, to half a point."""
    heights = [
        line.box.width if line.vertical else line.box.height
        for line in paragraph.lines
        if line.words
    ]
    if not heights:
        return None
    points = median(heights) / page.dpi * 72 * _LINE_TO_FONT
    return round(2 * min(max(points, 5), 96)) / 2


def _size(page: Page) -> tuple[float, float]:
    width, height = page.width / page.dpi * 72, page.height / page.dpi * 72
    shrink = min(1.0, _LARGEST_POINTS / max(width, height, 1.0))
    return max(width * shrink, _SMALLEST_POINTS), max(height * shrink, _SMALLEST_POINTS)


def _set_size(section: Section, size: tuple[float, float]) -> None:
    width, height = size
    section.page_width, section.page_height = Pt(width), Pt(height)
    section.orientation = WD_ORIENT.LANDSCAPE if width > height else WD_ORIENT.PORTRAIT
    side, end = (Pt(min(72.0, length / 8)) for length in size)
    section.left_margin = section.right_margin = side
    section.top_margin = section.bottom_margin = end
    section.header_distance = section.footer_distance = Pt(min(36.0, height / 16))
    section.gutter = Pt(0)


def _set_fonts(file: Docx) -> None:
    style = file.styles["Normal"]
    style.font.name = _LATIN
    fonts = style.element.get_or_add_rPr().get_or_add_rFonts()
    fonts.set(qn("w:eastAsia"), _EAST_ASIAN)
    fonts.set(qn("w:cs"), _LATIN)
    child(style.element.get_or_add_rPr(), "w:lang", eastAsia=_EAST_ASIAN_LANGUAGE)
    style.paragraph_format.space_after = Pt(6)
    style.paragraph_format.line_spacing = 1.0


def _set_properties(file: Docx) -> None:
    """Replace what the template of the library says about itself."""
    properties = file.core_properties
    properties.author = properties.last_modified_by = properties.comments = properties.title = ""
    properties.created = properties.modified = datetime.now(UTC).replace(tzinfo=None)
    properties.revision = 1

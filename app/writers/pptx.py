"""PowerPoint: a slide per page, text boxes where the text stood."""

import unicodedata
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import pptx
from pptx.enum.text import MSO_AUTO_SIZE, PP_ALIGN
from pptx.oxml.ns import qn
from pptx.presentation import Presentation
from pptx.slide import Slide
from pptx.util import Emu, Pt

from app.document import Document, Page, Paragraph
from app.writers.direction import is_mostly_rtl
from app.writers.text_limits import storable


class PptxWriter:
    """Writes PowerPoint presentations."""

    media_type = "application/vnd.openxmlformats-officedocument.presentationml.presentation"

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
_LATIN, _EAST_ASIAN = "Arial", "Microsoft YaHei"
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
        for paragraph in self._page.paragraphs:
            if text := storable(paragraph.text):
                self._add(paragraph, text)

    def _add(self, paragraph: Paragraph, text: str) -> None:
        box, scale = paragraph.box, self._scale
        vertical = all(line.vertical for line in paragraph.lines)
        width, height = (max(side * scale, 1.0) for side in (box.width, box.height))
        shape = self._slide.shapes.add_textbox(
            Emu(round(self._left + box.left * scale)),
            Emu(round(self._top + box.top * scale)),
            Emu(round(width)),
            Emu(round(height)),
        )
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
        run = content.add_run()
        run.text = text
        run.font.size = Pt(points)
        run.font.name = _LATIN
        properties = run._r.get_or_add_rPr()
        east_asian = properties.makeelement(qn("a:ea"), {"typeface": _EAST_ASIAN})
        properties.append(east_asian)
        if is_mostly_rtl(text):
            content.alignment = PP_ALIGN.RIGHT
            content._p.get_or_add_pPr().set("rtl", "1")


def _font_points(paragraph: Paragraph, text: str, along: float, scale: float) -> float:
    """The largest size at which the text, in no more lines than it had, fits its box."""
    heights = [line.box.width if line.vertical else line.box.height for line in paragraph.lines]
    by_height = median(heights) * scale * (0.95 if _is_wide(text) else 0.85)
    lines = len(paragraph.lines)
    ems = sum(map(_ems, text))
    if lines > 1:
        # Lines end ragged: the longest word that moves to the next line leaves a gap.
        longest = max(sum(map(_ems, storable(line.text))) for line in paragraph.lines)
        ems = max(longest, ems / lines * 1.04)
    by_width = along / ems if ems else by_height
    points = min(max(min(by_height, by_width), _SMALLEST_POINTS), _LARGEST_POINTS)
    return int(points * 10) / 10


def _is_wide(text: str) -> bool:
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return wide > len(text) / 2


def _ems(character: str) -> float:
    """About how wide ``character`` is in a sans-serif font, in parts of its size."""
    if unicodedata.east_asian_width(character) in "WF":
        return 1.0
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0.0
    if character in " iljtfrI.,:;'|!()[]-/\\":
        return 0.3
    if character in "mwMW@%&":
        return 0.86
    return 0.68 if character.isupper() else 0.55


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

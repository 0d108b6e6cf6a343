"""Paragraphs in Word: styles, fonts, sizes, languages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import Any

from docx.document import Document as Docx
from docx.enum.text import WD_ALIGN_PARAGRAPH, WD_LINE_SPACING, WD_TAB_ALIGNMENT
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Pt, RGBColor
from docx.text.paragraph import Paragraph as DocxParagraph
from docx.text.run import Run

from app.document import Align, Box, Kind, Page, Paragraph, is_unspaced
from app.layout.marks import item_mark
from app.writers.direction import is_mostly_rtl
from app.writers.docx_table import child
from app.writers.fonts import FONTS
from app.writers.text_limits import storable

_HEADING_FONTS = ("Times New Roman", "SimHei")
_AFTER_SIZE = ("w:highlight", "w:u", "w:effect", "w:bdr", "w:shd", "w:vertAlign", "w:rtl", "w:lang")
_LINE_TO_FONT = 0.7  # Of the height of a line's box, which has some room to spare.
_SMALLEST, _LARGEST = 5.0, 96.0  # Points.
_HEADINGS = {1: "Heading 1", 2: "Heading 2", 3: "Heading 3"}
_BULLETS = {1: "List Bullet", 2: "List Bullet 2", 3: "List Bullet 3"}
_ALIGN = {
    Align.CENTER: WD_ALIGN_PARAGRAPH.CENTER,
    Align.END: WD_ALIGN_PARAGRAPH.RIGHT,
    Align.JUSTIFY: WD_ALIGN_PARAGRAPH.JUSTIFY,
}
_STYLES = {Kind.CAPTION: "Caption", Kind.HEADER: "Header", Kind.FOOTER: "Footer"}
_ITEM_INDENT = 18.0  # Points between the mark of an item and its text.


def points(paragraph: Paragraph, page: Page) -> float | None:
    """The size of the font, to half a point; None for a paragraph without words."""
    style = paragraph.style
    if style is not None:
        size = style.size
    else:
        heights = [
            line.box.width if line.vertical else line.box.height
            for line in paragraph.lines
            if line.words
        ]
        if not heights:
            return None
        size = median(heights) * _LINE_TO_FONT
    return round(2 * min(max(size / page.dpi * 72, _SMALLEST), _LARGEST)) / 2


def prepare(file: Docx, languages: Sequence[str]) -> None:
    """Set the fonts and distances of the styles that are used, and the ``languages``, as tags."""
    normal = file.styles["Normal"]
    _set_fonts(normal.element.get_or_add_rPr(), *FONTS["serif"])
    _set_languages(normal.element.get_or_add_rPr(), languages)
    normal.paragraph_format.space_after = Pt(0)
    normal.paragraph_format.line_spacing = 1.0
    for name in (*_HEADINGS.values(), *_BULLETS.values(), *_STYLES.values(), "List Paragraph"):
        style: Any = file.styles[name]
        heading = name in _HEADINGS.values()
        fonts = _HEADING_FONTS if heading else FONTS["serif"]
        _set_fonts(style.element.get_or_add_rPr(), *fonts)
        style.font.color.rgb = RGBColor(0, 0, 0)
        style.font.bold = heading
        style.font.italic = False
        style.paragraph_format.space_before = Pt(0)
        style.paragraph_format.space_after = Pt(0)
        if not heading:
            style.paragraph_format.keep_with_next = False
        for close in style.element.iter(qn("w:contextualSpacing")):
            close.set(qn("w:val"), "0")


def set_usual_size(file: Docx, size: float) -> None:
    """Set the size of text that does not say its own."""
    _set_points(file.styles["Normal"].element.get_or_add_rPr(), size)
    for name in (*_BULLETS.values(), *_STYLES.values(), "List Paragraph"):
        _set_points(file.styles[name].element.get_or_add_rPr(), size)


def write(target: DocxParagraph, paragraph: Paragraph, page: Page, usual: float | None) -> None:
    """Fill ``target`` with ``paragraph``, in its style; ``usual`` is the size of the body."""
    text = storable(_flowing(paragraph))
    kind = paragraph.kind
    if kind is Kind.HEADING:
        _set_style(target, _HEADINGS[paragraph.level])
    elif kind is Kind.ITEM:
        text = _as_item(target, paragraph, text, page)
    elif kind in _STYLES:
        _set_style(target, _STYLES[kind])
    rtl = is_mostly_rtl(text)
    align = _ALIGN.get(paragraph.align)
    if align is not None:
        target.alignment = align
    if paragraph.align in (Align.START, Align.JUSTIFY) and kind is not Kind.ITEM and not rtl:
        _indent(target, paragraph, page)
    if rtl:
        child(target._p.get_or_add_pPr(), "w:bidi")
    _add_run(target, text, paragraph, page, usual)


def append(target: DocxParagraph, paragraph: Paragraph, page: Page, usual: float | None) -> None:
    """Add the text of ``paragraph`` to what is in ``target`` already."""
    _add_run(target, storable(_flowing(paragraph)), paragraph, page, usual)


def _add_run(
    target: DocxParagraph, text: str, paragraph: Paragraph, page: Page, usual: float | None
) -> None:
    run = target.add_run(text)
    run.font.rtl = True if is_mostly_rtl(text) else None
    _dress(run, paragraph, page, usual)
    language = _east_asian_language(text)
    if language:
        child(run._r.get_or_add_rPr(), "w:lang", eastAsia=language)


def place(target: DocxParagraph, paragraph: Paragraph, page: Page) -> None:
    """Take the paragraph out of the flow: it stands where it stood on the page."""
    box, twips = paragraph.box, 1440 / page.dpi
    frame = child(
        target._p.get_or_add_pPr(),
        "w:framePr",
        w=str(round(box.width * twips) + 40),
        h=str(round(box.height * twips)),
        hRule="atLeast",
        hSpace="0",
        wrap="around",
        vAnchor="page",
        hAnchor="page",
        x=str(max(1, round(box.left * twips))),
        y=str(max(1, round(box.top * twips))),
    )
    # The order of these elements is fixed.
    properties = target._p.get_or_add_pPr()
    properties.remove(frame)
    properties.insert_element_before(
        frame, "w:widowControl", "w:numPr", "w:suppressLineNumbers", "w:pBdr", "w:shd", "w:tabs",
        "w:spacing", "w:ind", "w:jc", "w:rPr", "w:sectPr", "w:pPrChange",
    )  # fmt: skip


def tab(target: DocxParagraph, paragraph: Paragraph, page: Page, column: Box) -> None:
    """A tab to where ``paragraph`` begins, or ends if that is the right edge of its column."""
    scale, stops = 72 / page.dpi, target.paragraph_format.tab_stops
    if column.right - paragraph.box.right < paragraph.box.height:
        stops.add_tab_stop(Pt(round((column.right - column.left) * scale)), WD_TAB_ALIGNMENT.RIGHT)
    else:
        stops.add_tab_stop(Pt(round((paragraph.box.left - column.left) * scale)))
    target.add_run("\t")


def hide(target: DocxParagraph, text: str) -> None:
    """Add ``text`` that is kept, and found by programs, but not shown."""
    run = target.add_run(text)
    run.font.hidden = True


def line_points(paragraph: Paragraph, page: Page) -> float:
    """How far the lines of a paragraph are apart, in points."""
    size = points(paragraph, page) or 10.0
    lines = [line.box for line in paragraph.lines if not line.vertical]
    middles = [box.top + box.bottom for box in lines]
    if not lines:  # Vertical lines follow each other to the left.
        middles = [-line.box.left - line.box.right for line in paragraph.lines]
    if len(middles) > 1:
        steps = [b - a for a, b in pairwise(middles)]
        step = median(steps) / 2 / page.dpi * 72
        if size < step < 3 * size:
            return int(2 * step) / 2
    return round(2 * _LEADING * size) / 2


_LEADING = 1.2


def set_lines(target: DocxParagraph, before: float, step: float) -> None:
    """Set the distances, in points, before the paragraph and from line to line."""
    form = target.paragraph_format
    form.space_before = Pt(round(2 * max(0.0, before)) / 2)
    form.line_spacing_rule = WD_LINE_SPACING.EXACTLY
    form.line_spacing = Pt(step)


def _flowing(paragraph: Paragraph) -> str:
    """The lines as one text; hyphens of divided words only show at the end of a line."""
    text = ""
    for line in paragraph.lines:
        joined = line.text
        if _DIVIDED.search(text) and joined[:1].islower():
            text = text[:-1] + "\u00ad"
        elif text and joined and not (is_unspaced(text[-1]) or is_unspaced(joined[0])):
            text += " "
        text += joined
    return text


# Not after prefixes that are written with a hyphen.
_DIVIDED = re.compile(r"(?<!\bnon)(?<!\bself)(?<!\bwell)(?<!-)(?<=[^\W\d_]{2})-$")


def _indent(target: DocxParagraph, paragraph: Paragraph, page: Page) -> None:
    """The indents of a paragraph that begins at the left, as on the page."""
    boxes = [line.box for line in paragraph.lines]
    column = paragraph.column
    if column is None or paragraph.lines[0].vertical:
        return
    scale, size = 72 / page.dpi, boxes[0].height
    left = min(box.left for box in boxes[1:]) if len(boxes) > 1 else boxes[0].left
    inner, first = left - column.left, boxes[0].left - left
    form = target.paragraph_format
    if abs(first) > 0.7 * size:
        form.first_line_indent = Pt(round(first * scale))
    if inner > size and len(boxes) > 1 and inner < 0.5 * column.width:
        form.left_indent = Pt(round(inner * scale))
    elif len(boxes) == 1 and inner > size:
        form.left_indent = Pt(round(min(inner, 0.7 * column.width) * scale))


def _as_item(target: DocxParagraph, paragraph: Paragraph, text: str, page: Page) -> str:
    """Style and indent of an item of a list; the text without a bullet, which the style draws."""
    mark = item_mark(text)
    level = min(paragraph.level, len(_BULLETS))
    bullet = bool(mark) and not any(map(str.isalnum, mark))
    _set_style(target, _BULLETS[level] if bullet else "List Paragraph")
    column = paragraph.column
    before = 0.0 if column is None else max(0.0, paragraph.box.left - column.left)
    form = target.paragraph_format
    form.left_indent = Pt(round(before / page.dpi * 72 + _ITEM_INDENT))
    form.first_line_indent = Pt(-_ITEM_INDENT)
    if bullet:
        return text[len(mark) :]
    # A tab leads to where the other lines begin.
    return text[: len(mark)].rstrip() + "\t" + text[len(mark) :]


def _dress(run: Run, paragraph: Paragraph, page: Page, usual: float | None) -> None:
    style, size = paragraph.style, points(paragraph, page)
    heading = paragraph.kind is Kind.HEADING
    if size is not None and (heading or not usual or abs(size / usual - 1) > 0.06):
        _set_points(run._r.get_or_add_rPr(), size)
    if style is None:
        return
    if style.family is not None and style.family != "serif":
        _set_fonts(run._r.get_or_add_rPr(), *FONTS[style.family])
    if style.bold != heading:
        run.font.bold = style.bold
    if style.italic:
        run.font.italic = True
    if style.colour is not None:
        run.font.color.rgb = RGBColor.from_string(f"{style.colour:06X}")


def _set_style(target: DocxParagraph, name: str) -> None:
    part: Any = target.part
    target.style = part.document.styles[name]


def _set_fonts(properties: Any, latin: str, east_asian: str) -> None:
    fonts = properties.get_or_add_rFonts()
    for theme in ("asciiTheme", "hAnsiTheme", "eastAsiaTheme", "cstheme"):
        fonts.attrib.pop(qn(f"w:{theme}"), None)
    for place, name in (
        ("ascii", latin),
        ("hAnsi", latin),
        ("eastAsia", east_asian),
        ("cs", latin),
    ):
        fonts.set(qn(f"w:{place}"), name)


def _set_points(properties: Any, size: float) -> None:
    """Set the size for Latin and East Asian letters, and for those written right to left."""
    for name in ("w:sz", "w:szCs"):
        for old in properties.findall(qn(name)):
            properties.remove(old)
        # The order of these elements is fixed: the language comes after the sizes.
        element = OxmlElement(name)
        element.set(qn("w:val"), str(round(2 * size)))
        properties.insert_element_before(element, *_AFTER_SIZE)


def _set_languages(properties: Any, tags: Sequence[str]) -> None:
    """The first of each of the three kinds that Word tells apart."""
    east_asian = [tag for tag in tags if tag.startswith(("zh", "ja", "ko"))]
    leftwards = [tag for tag in tags if tag.startswith(("ar", "fa", "he", "ur"))]
    others = [tag for tag in tags if tag not in (*east_asian, *leftwards)]
    wanted = {
        "val": (*others, "en-US")[0],
        "eastAsia": (*east_asian, "zh-CN")[0],
        "bidi": (*leftwards, "ar-SA")[0],
    }
    child(properties, "w:lang", **wanted)


def _east_asian_language(text: str) -> str:
    """The language by which programs choose the shapes of Han characters, if the text tells."""
    if any("\u3041" <= character <= "\u30ff" for character in text):
        return "ja-JP"
    if any("\uac00" <= character <= "\ud7a3" for character in text):
        return "ko-KR"
    return ""

"""Paragraphs in Word: styles, fonts, sizes, languages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

from docx.document import Document as Docx
from docx.shared import Pt, RGBColor

from app.document import Align, Box, Kind, Page, Paragraph
from app.layout.marks import item_mark
from app.writers.direction import is_mostly_rtl
from app.writers.docx_xml import child, form, named, put
from app.writers.fonts import FONTS
from app.writers.text_limits import storable

_HEADING_FONTS = ("Times New Roman", "SimHei")
_LINE_TO_FONT = 0.7  # Of the height of a line's box, which has some room to spare.
_SMALLEST, _LARGEST = 5.0, 96.0  # Points.
_HEADINGS = {1: "Heading 1", 2: "Heading 2", 3: "Heading 3"}
_BULLETS = {1: "List Bullet", 2: "List Bullet 2", 3: "List Bullet 3"}
_ALIGN = {Align.CENTER: "center", Align.END: "right", Align.JUSTIFY: "both"}
_STYLES = {Kind.CAPTION: "Caption", Kind.HEADER: "Header", Kind.FOOTER: "Footer"}
_ITEM_INDENT = 18.0  # Points between the mark of an item and its text.
_TWIPS = 20  # In a point.


@dataclass(frozen=True, slots=True)
class Setting:
    """How large a paragraph's letters are and how far its lines apart, in points."""

    size: float | None  # Of the font; None for a paragraph without words.
    pitch: float | None  # From line to line; None where there is one line only.
    styled: bool = True  # The size is that of a style, not of the boxes of lines.
    vertical: bool = False

    def scaled(self, size: float, across: float, down: float) -> Setting:
        """With text ``size`` times as large, and a page so many times as wide and as high."""
        boxes = across if self.vertical else down
        return Setting(
            None if self.size is None else self.size * (size if self.styled else boxes),
            None if self.pitch is None else self.pitch * boxes,
            self.styled,
            self.vertical,
        )

    @property
    def points(self) -> float | None:
        """The size of the font, to half a point."""
        if self.size is None:
            return None
        return round(2 * min(max(self.size, _SMALLEST), _LARGEST)) / 2

    @property
    def line_points(self) -> float:
        """How far the lines are apart, to half a point."""
        size = self.points or 10.0
        if self.pitch is not None and size < self.pitch < 3 * size:
            return int(2 * self.pitch) / 2
        return round(2 * _LEADING * size) / 2


_LEADING = 1.2


def setting_of(paragraph: Paragraph, page: Page) -> Setting:
    """How the paragraph is set on its page."""
    scale, style = 72 / page.dpi, paragraph.style
    boxes = [line.box for line in paragraph.lines if not line.vertical]
    middles = [box.top + box.bottom for box in boxes]
    if not boxes:  # Vertical lines follow each other to the left.
        middles = [-line.box.left - line.box.right for line in paragraph.lines]
    steps = [b - a for a, b in pairwise(middles)]
    pitch = median(steps) / 2 * scale if steps else None
    if style is not None:
        return Setting(style.size * scale, pitch, vertical=not boxes)
    heights = [
        line.box.width if line.vertical else line.box.height
        for line in paragraph.lines
        if line.words
    ]
    size = median(heights) * _LINE_TO_FONT * scale if heights else None
    return Setting(size, pitch, styled=False, vertical=not boxes)


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
        for close in style.element.iter(named("w:contextualSpacing")):
            close.set(named("w:val"), "0")


def set_usual_size(file: Docx, size: float) -> None:
    """Set the size of text that does not say its own."""
    _set_points(file.styles["Normal"].element.get_or_add_rPr(), size)
    for name in (*_BULLETS.values(), *_STYLES.values(), "List Paragraph"):
        _set_points(file.styles[name].element.get_or_add_rPr(), size)


def write(target: Any, paragraph: Paragraph, page: Page, usual: float | None) -> Setting:
    """Fill the ``w:p`` with ``paragraph``, in its style; ``usual`` is the size of the body."""
    text = storable(paragraph.text)
    kind, setting = paragraph.kind, setting_of(paragraph, page)
    if kind is Kind.HEADING:
        _set_style(target, _HEADINGS[paragraph.level])
    elif kind is Kind.ITEM:
        text = _as_item(target, paragraph, text, page)
    elif kind in _STYLES:
        _set_style(target, _STYLES[kind])
    rtl = is_mostly_rtl(text)
    if rtl:
        put(form(target), "w:bidi")
    if paragraph.align in (Align.START, Align.JUSTIFY) and kind is not Kind.ITEM and not rtl:
        _indent(target, paragraph, page)
    if paragraph.align in _ALIGN:
        put(form(target), "w:jc", val=_ALIGN[paragraph.align])
    _add_text(target, text, paragraph, setting, usual)
    return setting


def append(target: Any, paragraph: Paragraph, page: Page, usual: float | None) -> None:
    """Add the text of ``paragraph`` to what is in ``target`` already."""
    text = storable(paragraph.text)
    _add_text(target, text, paragraph, setting_of(paragraph, page), usual)


def place(target: Any, paragraph: Paragraph, page: Page) -> None:
    """Take the paragraph out of the flow: it stands where it stood on the page."""
    box, twips = paragraph.box, 1440 / page.dpi
    put(
        form(target),
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


def tab(target: Any, paragraph: Paragraph, page: Page, column: Box) -> None:
    """A tab to where ``paragraph`` begins, or ends if that is the right edge of its column."""
    box = paragraph.box
    kind, end = "left", box.left
    if column.right - box.right < box.height:
        kind, end = "right", column.right
    at = round((end - column.left) * 72 / page.dpi) * _TWIPS
    stops = put(form(target), "w:tabs")
    child(stops, "w:tab", val=kind, pos=str(at))
    stops[:] = sorted(stops, key=lambda stop: int(stop.get(named("w:pos"))))
    child(child(target, "w:r"), "w:tab")


def add(target: Any, text: str) -> None:
    """Add ``text`` that looks as its paragraph does."""
    _fill(child(target, "w:r"), text)


def hide(target: Any, text: str) -> None:
    """Add ``text`` that is kept, and found by programs, but not shown."""
    run = child(target, "w:r")
    child(child(run, "w:rPr"), "w:vanish")
    _fill(run, text)


def set_lines(target: Any, before: float, step: float) -> None:
    """Set the distances, in points, before the paragraph and from line to line."""
    above = round(2 * max(0.0, before)) / 2
    put(form(target), "w:spacing", before=twips(above), line=twips(step), lineRule="exact")


def set_after(target: Any, points: float) -> None:
    """Set the distance after the paragraph."""
    put(form(target), "w:spacing", after=twips(round(points)))


def twips(points: float) -> str:
    """The points as Word counts them."""
    return str(round(_TWIPS * points))


def _add_text(
    target: Any, text: str, paragraph: Paragraph, setting: Setting, usual: float | None
) -> None:
    """Add a run with the text, which looks as ``paragraph`` does."""
    style, size = paragraph.style, setting.points
    heading = paragraph.kind is Kind.HEADING
    run = child(target, "w:r")
    look = child(run, "w:rPr")
    if style is not None:
        if style.family is not None and style.family != "serif":
            _set_fonts(look, *FONTS[style.family])
        if style.bold != heading:
            put(look, "w:b", **({} if style.bold else {"val": "0"}))
        if style.italic:
            put(look, "w:i")
        if style.colour is not None:
            put(look, "w:color", val=f"{style.colour:06X}")
    if size is not None and (heading or not usual or abs(size / usual - 1) > 0.06):
        _set_points(look, size)
    if is_mostly_rtl(text):
        put(look, "w:rtl")
    if language := _east_asian_language(text):
        put(look, "w:lang", eastAsia=language)
    if not len(look):
        run.remove(look)
    _fill(run, text)


def _fill(run: Any, text: str) -> None:
    for n, part in enumerate(text.split("\t")):
        if n:
            child(run, "w:tab")
        if part:
            element = child(run, "w:t")
            element.text = part
            if part != part.strip():
                element.set(named("xml:space"), "preserve")


def _indent(target: Any, paragraph: Paragraph, page: Page) -> None:
    """The indents of a paragraph that begins at the left, as on the page."""
    boxes = [line.box for line in paragraph.lines]
    column = paragraph.column
    if column is None or paragraph.lines[0].vertical:
        return
    scale, size = 72 / page.dpi, boxes[0].height
    left = min(box.left for box in boxes[1:]) if len(boxes) > 1 else boxes[0].left
    inner, first = left - column.left, boxes[0].left - left
    if abs(first) > 0.7 * size:
        _set_indent(target, first=round(first * scale))
    if inner > size and len(boxes) > 1 and inner < 0.5 * column.width:
        _set_indent(target, left=round(inner * scale))
    elif len(boxes) == 1 and inner > size:
        _set_indent(target, left=round(min(inner, 0.7 * column.width) * scale))


def _set_indent(target: Any, left: float | None = None, first: float | None = None) -> None:
    """Set the indents of all lines, and of the first beside the others, in points."""
    indents = {} if left is None else {"left": twips(left)}
    if first is not None:
        indents["hanging" if first < 0 else "firstLine"] = twips(abs(first))
    put(form(target), "w:ind", **indents)


def _as_item(target: Any, paragraph: Paragraph, text: str, page: Page) -> str:
    """Style and indent of an item of a list; the text without a bullet, which the style draws."""
    mark = item_mark(text)
    level = min(paragraph.level, len(_BULLETS))
    bullet = bool(mark) and not any(map(str.isalnum, mark))
    _set_style(target, _BULLETS[level] if bullet else "List Paragraph")
    column = paragraph.column
    before = 0.0 if column is None else max(0.0, paragraph.box.left - column.left)
    _set_indent(target, round(before / page.dpi * 72 + _ITEM_INDENT), -_ITEM_INDENT)
    if bullet:
        return text[len(mark) :]
    # A tab leads to where the other lines begin.
    return text[: len(mark)].rstrip() + "\t" + text[len(mark) :]


def _set_style(target: Any, name: str) -> None:
    # The library's template names its styles so.
    put(form(target), "w:pStyle", val=name.replace(" ", ""))


def _set_fonts(properties: Any, latin: str, east_asian: str) -> None:
    fonts = put(properties, "w:rFonts", ascii=latin, hAnsi=latin, eastAsia=east_asian, cs=latin)
    for theme in ("asciiTheme", "hAnsiTheme", "eastAsiaTheme", "cstheme"):
        fonts.attrib.pop(named(f"w:{theme}"), None)


def _set_points(properties: Any, size: float) -> None:
    """Set the size for Latin and East Asian letters, and for those written right to left."""
    put(properties, "w:sz", val=str(round(2 * size)))
    put(properties, "w:szCs", val=str(round(2 * size)))


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
    put(properties, "w:lang", **wanted)


def _east_asian_language(text: str) -> str:
    """The language by which programs choose the shapes of Han characters, if the text tells."""
    if any("\u3041" <= character <= "\u30ff" for character in text):
        return "ja-JP"
    if any("\uac00" <= character <= "\ud7a3" for character in text):
        return "ko-KR"
    return ""

"""ALTO 4.4: the XML of libraries and archives, with the place and the style of each word.

Schema: https://www.loc.gov/standards/alto/v4/alto-4-4.xsd.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any
from xml.sax.saxutils import quoteattr

from lxml import etree

from app import __version__
from app.document import (
    Align,
    Box,
    Cell,
    Document,
    Kind,
    Line,
    Page,
    Paragraph,
    Picture,
    Style,
    Table,
    Word,
    is_divided,
)
from app.writers.direction import is_mostly_rtl
from app.writers.text_limits import storable, storable_words


class AltoWriter:
    """Writes ALTO."""

    media_type = "application/xml"
    looks = True
    exact = True
    retells = True

    def write(self, document: Document, target: Path) -> None:
        """Create ``target``; what pages look like is not in it, but where pictures stand is.

        A document without pages makes no valid ALTO, which has one at least.
        """
        language = document.languages[0] if len(document.languages) == 1 else None
        styles = _Styles()
        # Styles and tags come before the pages that are written with them.
        with TemporaryFile(dir=target.parent) as pages:
            for page in document.pages:
                made = _Sheet(page, styles, language).filled()
                pages.write(etree.tostring(made, encoding="utf-8", pretty_print=True))
            pages.seek(0)
            with target.open("wb") as stream:
                stream.write(_HEAD.encode())
                stream.write(styles.told().encode())
                stream.write(b"<Layout>\n")
                shutil.copyfileobj(pages, stream)
                stream.write(b"</Layout>\n</alto>\n")


_HEAD = f"""<?xml version="1.0" encoding="UTF-8"?>
<alto xmlns="http://www.loc.gov/standards/alto/ns-v4#"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
 xsi:schemaLocation="http://www.loc.gov/standards/alto/ns-v4#\
 http://www.loc.gov/standards/alto/v4/alto-4-4.xsd"
 SCHEMAVERSION="4.4">
<Description>
  <MeasurementUnit>pixel</MeasurementUnit>
  <Processing ID="processing">
    <processingCategory>contentGeneration</processingCategory>
    <processingSoftware>
      <softwareName>ocr-server</softwareName>
      <softwareVersion>{__version__}</softwareVersion>
    </processingSoftware>
  </Processing>
</Description>
"""


class _Styles:
    """The styles and tags that pages refer to, each told once."""

    def __init__(self) -> None:
        self._fonts: dict[tuple[tuple[str, str], ...], str] = {}
        self._aligns: set[str] = set()
        self._tags: dict[str, str] = {}

    def font(self, style: Style, dpi: float) -> str:
        """The name of a text style."""
        points = round(2 * style.size / dpi * 72) / 2  # In steps, so that there are few.
        facts = [("FONTSIZE", str(points))]
        if style.family is not None:
            facts.append(("FONTTYPE", "serif" if style.family == "serif" else "sans-serif"))
            facts.append(("FONTWIDTH", "fixed" if style.family == "mono" else "proportional"))
        if style.colour is not None:
            facts.append(("FONTCOLOR", f"{style.colour:06X}"))
        shape = " ".join(["bold"] * style.bold + ["italics"] * style.italic)
        if shape:
            facts.append(("FONTSTYLE", shape))
        return self._fonts.setdefault(tuple(facts), f"font{len(self._fonts)}")

    def align(self, paragraph: Paragraph) -> str:
        """The name of a paragraph style."""
        rtl = is_mostly_rtl(paragraph.text)
        name = {
            Align.START: "Right" if rtl else "Left",
            Align.CENTER: "Center",
            Align.END: "Left" if rtl else "Right",
            Align.JUSTIFY: "Block",
        }[paragraph.align]
        self._aligns.add(name)
        return f"align{name}"

    def tag(self, element: str, kind: str, label: str | int) -> str:
        """The name of a tag."""
        name = f"{kind}{label}"
        self._tags[name] = f'<{element} ID="{name}" TYPE="{kind}" LABEL="{label}"/>\n'
        return name

    def told(self) -> str:
        """All of them in XML."""
        told = "".join(
            f'<TextStyle ID="{name}" '
            + " ".join(f"{key}={quoteattr(value)}" for key, value in facts)
            + "/>\n"
            for facts, name in self._fonts.items()
        )
        for name in sorted(self._aligns):
            told += f'<ParagraphStyle ID="align{name}" ALIGN="{name}"/>\n'
        told = f"<Styles>\n{told}</Styles>\n"
        return f"{told}<Tags>\n{''.join(self._tags.values())}</Tags>\n"


class _Sheet:
    """A page on its way into XML; elements have no namespace, for the root's holds for them."""

    def __init__(self, page: Page, styles: _Styles, language: str | None) -> None:
        self._page = page
        self._styles = styles
        self._language = language
        self._count = 0

    def filled(self) -> Any:
        """The ``Page``; the order of its blocks is that in which they are read."""
        page = self._page
        made = etree.Element("Page", {"ID": f"page{page.number}"})
        made.set("PHYSICAL_IMG_NR", str(page.number))
        made.set("WIDTH", _tenths(page.width))
        made.set("HEIGHT", _tenths(page.height))
        if self._language is not None:
            made.set("LANG", self._language)
        space = etree.SubElement(made, "PrintSpace")
        _put(space, Box(0, 0, page.width, page.height))
        for block in page.blocks:
            if isinstance(block, Table):
                self._add_table(space, block)
            elif isinstance(block, Picture):
                self._add_picture(space, block)
            else:
                self._add_paragraph(space, block)
        return made

    def _add_table(self, parent: Any, table: Table) -> None:
        made = self._add(parent, "ComposedBlock", table.box)
        made.set("TYPE", "table")
        for cell in table.cells:
            one = self._add(made, "ComposedBlock", cell.box)
            one.set("TYPE", "cell")
            one.set("TAGREFS", " ".join(self._place(cell, table.heads)))
            for paragraph in cell.paragraphs:
                self._add_paragraph(one, paragraph)

    def _place(self, cell: Cell, heads: int) -> Sequence[str]:
        """The tags that tell which row and column, from 0, and what the cell reaches over."""
        tag = self._styles.tag
        names = [tag("LayoutTag", "row", cell.row), tag("LayoutTag", "column", cell.column)]
        if cell.row_span > 1:
            names.append(tag("LayoutTag", "rowSpan", cell.row_span))
        if cell.column_span > 1:
            names.append(tag("LayoutTag", "columnSpan", cell.column_span))
        if cell.row < heads:
            names.append(tag("RoleTag", "cell", "heading"))
        return names

    def _add_picture(self, parent: Any, picture: Picture) -> None:
        if picture.paragraphs:  # An Illustration holds nothing.
            parent = self._add(parent, "ComposedBlock", picture.box)
            parent.set("TYPE", "picture")
        self._add(parent, "Illustration", picture.box)
        for paragraph in picture.paragraphs:
            self._add_paragraph(parent, paragraph)

    def _add_paragraph(self, parent: Any, paragraph: Paragraph) -> None:
        made = self._add(parent, "TextBlock", paragraph.box)
        made.set("STYLEREFS", self._styles.align(paragraph))
        if tags := self._kind(paragraph):
            made.set("TAGREFS", " ".join(tags))
        lines = [(line, words) for line in paragraph.lines if (words := storable_words(line))]
        rest = ""  # Of a word that was divided: how it is written as one.
        for n, (line, words) in enumerate(lines):
            following = storable(lines[n + 1][0].text) if n + 1 < len(lines) else ""
            text, last = storable(line.text), words[-1].text
            whole = ""
            if is_divided(text, following) and len(last) > 1 and last.endswith("-"):
                whole = last[:-1] + following.partition(" ")[0]
            self._add_line(made, line, words, rest, whole)
            rest = whole

    def _kind(self, paragraph: Paragraph) -> Sequence[str]:
        """The tags that tell what the paragraph is; none for running text."""
        if paragraph.kind is Kind.TEXT:
            return ()
        names = [self._styles.tag("RoleTag", "paragraph", paragraph.kind)]
        if paragraph.kind in (Kind.HEADING, Kind.ITEM):
            names.append(self._styles.tag("StructureTag", "level", paragraph.level))
        return names

    def _add_line(
        self, parent: Any, line: Line, words: list[Word], before: str, whole: str
    ) -> None:
        """Add a line whose first word is the rest of ``before``, its last the start of ``whole``.

        Both are empty where no word is divided.
        """
        made = self._add(parent, "TextLine", line.box)
        if line.style is not None:
            made.set("STYLEREFS", self._styles.font(line.style, self._page.dpi))
        if line.vertical:
            made.set("BASEDIRECTION", "ttb")
        elif is_mostly_rtl(line.text):
            made.set("BASEDIRECTION", "rtl")
        if line.slope and not line.vertical:
            made.set("BASELINE", _baseline(line))
        strings: list[Any] = []
        for word in words:
            if strings and word.spaced:
                etree.SubElement(made, "SP")
            one = etree.SubElement(made, "String", {"CONTENT": word.text})
            _put(one, word.box)
            one.set("WC", f"{min(max(float(word.confidence), 0.0), 1.0):.3f}")
            strings.append(one)
        if before:
            strings[0].set("SUBS_TYPE", "HypPart2")
            strings[0].set("SUBS_CONTENT", before)
        if whole:
            strings[-1].set("CONTENT", words[-1].text[:-1])
            strings[-1].set("SUBS_TYPE", "HypPart1")
            strings[-1].set("SUBS_CONTENT", whole)
            etree.SubElement(made, "HYP", {"CONTENT": "-"})

    def _add(self, parent: Any, tag: str, box: Box) -> Any:
        """A new last element with a name of its own."""
        self._count += 1
        made = etree.SubElement(parent, tag, {"ID": f"page{self._page.number}_{self._count}"})
        _put(made, box)
        return made


def _put(element: Any, box: Box) -> None:
    """Say where ``element`` stands."""
    left, top, right, bottom = (round(float(edge), 1) for edge in box)
    element.set("HPOS", _tenths(left))
    element.set("VPOS", _tenths(top))
    element.set("WIDTH", _tenths(right - left))
    element.set("HEIGHT", _tenths(bottom - top))


def _baseline(line: Line) -> str:
    """Its ends, along the lower edge of the box; what hangs below it is not known."""
    fall = line.slope * line.box.width
    start, end = line.box.bottom - max(fall, 0.0), line.box.bottom + min(fall, 0.0)
    return " ".join(map(_tenths, (line.box.left, start, line.box.right, end)))


def _tenths(number: float) -> str:
    return str(round(float(number), 1))

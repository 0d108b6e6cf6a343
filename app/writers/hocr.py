"""hOCR 1.2: XHTML with the place of each word.

Specification: https://kba.github.io/hocr-spec/1.2/. Where it leaves a choice, what Tesseract
writes is followed, for its readers know that: places are whole pixels, paragraphs are ``p``.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from lxml import etree

from app import __version__
from app.document import Block, Box, Document, Kind, Line, Page, Paragraph, Picture, Table
from app.writers.direction import is_mostly_rtl
from app.writers.text_limits import storable_words


class HocrWriter:
    """Writes hOCR."""

    media_type = "text/vnd.hocr+html"
    looks = True
    exact = True
    retells = True

    def write(self, document: Document, target: Path) -> None:
        """Create ``target``; what pages look like is not in it, but where pictures stand is."""
        with target.open("wb") as stream:
            stream.write(_head(document.languages).encode())
            for page in document.pages:
                stream.write(etree.tostring(_Sheet(page).filled(), encoding="utf-8") + b"\n")
            stream.write(b"</body>\n</html>\n")


_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"
    "http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">
<html xmlns="http://www.w3.org/1999/xhtml"{language}>
<head>
<title></title>
<meta http-equiv="Content-Type" content="text/html;charset=utf-8"/>
<meta name="ocr-system" content="ocr-server {version}"/>
<meta name="ocr-capabilities" content="ocr_page ocr_carea ocr_par ocr_line ocrx_word ocr_header\
 ocr_footer ocr_caption ocr_table ocr_photo ocr_textfloat ocrp_lang ocrp_dir ocrp_font\
 ocrp_wconf"/>
<meta name="ocr-langs" content={languages}/>
</head>
<body>
"""


def _head(languages: tuple[str, ...]) -> str:
    tag = quoteattr(languages[0]) if len(languages) == 1 else ""  # Else it is not known which.
    return _HEAD.format(
        version=__version__,
        language=f" xml:lang={tag} lang={tag}" if tag else "",
        languages=quoteattr(" ".join(languages) or "unknown"),
    )


class _Sheet:
    """A page on its way into XHTML; elements have no namespace, for the root's holds for them."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._counts: dict[str, int] = {}

    def filled(self) -> Any:
        """The ``ocr_page``."""
        page, dpi = self._page, round(self._page.dpi)
        made = etree.Element("div", {"class": "ocr_page", "id": f"page_{page.number}"})
        whole = _bbox(Box(0, 0, page.width, page.height))
        made.set("title", f"{whole}; ppageno {page.number - 1}; scan_res {dpi} {dpi}")
        made.text = "\n"
        for run in _runs(page):
            if isinstance(run, Table):
                self._add_table(made, run)
            elif isinstance(run, Picture):
                self._add(made, "div", "ocr_photo", run.box)
                if run.paragraphs:
                    self._add_area(made, "ocr_textfloat", run.paragraphs)
            else:
                self._add_area(made, _FLOATS.get(run[0].kind, "ocr_carea"), run)
        return made

    def _add_table(self, parent: Any, table: Table) -> None:
        made = self._add(parent, "table", "ocr_table", table.box)
        rows = [_child(made, "tr") for _ in range(table.rows)]
        for cell in table.cells:
            place = _child(rows[cell.row], "th" if cell.row < table.heads else "td")
            for name, span in (("rowspan", cell.row_span), ("colspan", cell.column_span)):
                if span > 1:
                    place.set(name, str(span))
            if cell.paragraphs:
                self._add_area(place, "ocr_carea", cell.paragraphs, cell.box)

    def _add_area(
        self, parent: Any, name: str, paragraphs: Sequence[Paragraph], box: Box | None = None
    ) -> None:
        """Add ``paragraphs``, in ``box`` if it is not just around them."""
        around = box or Box.around(paragraph.box for paragraph in paragraphs)
        area = self._add(parent, "div", name, around)
        for paragraph in paragraphs:
            self._add_paragraph(area, paragraph)

    def _add_paragraph(self, parent: Any, paragraph: Paragraph) -> None:
        made = self._add(parent, "p", "ocr_par", paragraph.box)
        if is_mostly_rtl(paragraph.text):
            made.set("dir", "rtl")
        if paragraph.kind is Kind.HEADING:  # Readers look for ``p``: it cannot be a ``h1``.
            made.set("role", "heading")
            made.set("aria-level", str(paragraph.level))
        for line in paragraph.lines:
            self._add_line(made, line)

    def _add_line(self, parent: Any, line: Line) -> None:
        words = storable_words(line)
        if not words:
            return
        made = self._add(parent, "span", "ocr_line", line.box, _way(line))
        if look := _look(line):
            made.set("style", look)
        size = ""
        if line.style is not None:
            size = f"; x_fsize {line.style.size / self._page.dpi * 72:.1f}"
        for n, word in enumerate(words):
            sure = round(100 * min(max(word.confidence, 0.0), 1.0))
            one = self._add(made, "span", "ocrx_word", word.box, f"; x_wconf {sure}{size}")
            one.text = word.text
            one.tail = " " if n + 1 < len(words) and words[n + 1].spaced else None

    def _add(self, parent: Any, tag: str, name: str, box: Box, more: str = "") -> Any:
        """A new last element of the class ``name``."""
        kind = name.partition("_")[2]
        number = self._counts[kind] = self._counts.get(kind, 0) + 1
        made = _child(parent, tag)
        made.set("class", name)
        made.set("id", f"{kind}_{self._page.number}_{number}")
        made.set("title", _bbox(box) + more)
        return made


_FLOATS = {Kind.HEADER: "ocr_header", Kind.FOOTER: "ocr_footer", Kind.CAPTION: "ocr_caption"}
_FAMILIES = {"serif": "serif", "sans": "sans-serif", "mono": "monospace"}


def _runs(page: Page) -> Iterator[Table | Picture | list[Paragraph]]:
    """The blocks; paragraphs that follow each other in one column of text come together."""

    def place(numbered: tuple[int, Block]) -> object:
        number, block = numbered
        if isinstance(block, Paragraph) and block.kind not in _FLOATS:
            return block.column or number
        return number

    for _, run in groupby(enumerate(page.blocks), place):
        blocks = [block for _, block in run]
        if isinstance(blocks[0], Table | Picture):
            yield blocks[0]
        else:
            yield [block for block in blocks if isinstance(block, Paragraph)]


def _child(parent: Any, tag: str) -> Any:
    """A new last element, with an end of its own: browsers overlook an end in the start."""
    made = etree.SubElement(parent, tag)
    made.text, made.tail = "", "\n"
    return made


def _bbox(box: Box) -> str:
    """The place in whole pixels, of which there is at least one; none is left of or above 0."""
    left, top = max(round(float(box.left)), 0), max(round(float(box.top)), 0)
    right, bottom = max(round(float(box.right)), left + 1), max(round(float(box.bottom)), top + 1)
    return f"bbox {left} {top} {right} {bottom}"


def _way(line: Line) -> str:
    """Which way the line runs, and how large its text is."""
    way = ""
    if line.vertical:
        way = "; textangle 270"  # Against the clock, so from top to bottom.
    elif line.slope:
        # From the lower left corner of the box; what hangs below the base line is not known.
        way = f"; baseline {line.slope:.4f} {round(-max(line.slope, 0.0) * line.box.width)}"
    return way + ("" if line.style is None else f"; x_size {line.style.size:.1f}")


def _look(line: Line) -> str:
    """The line's style in CSS."""
    style, parts = line.style, []
    if line.vertical:
        parts.append("writing-mode:vertical-rl")
    if style is not None and style.bold:
        parts.append("font-weight:bold")
    if style is not None and style.italic:
        parts.append("font-style:italic")
    if style is not None and style.colour is not None:
        parts.append(f"color:#{style.colour:06x}")
    if style is not None and style.family is not None:
        parts.append(f"font-family:{_FAMILIES[style.family]}")
    return ";".join(parts)

"""Word: flowing paragraphs, tables and pictures on pages of the size they had."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from statistics import median_low
from typing import Any, TypeGuard

import docx
from docx.document import Document as Docx
from docx.enum.section import WD_SECTION
from docx.shape import InlineShape
from docx.shared import Length, Pt
from docx.text.paragraph import Paragraph as DocxParagraph

from app.document import Align, Block, Box, Cell, Document, Kind, Page, Paragraph, Picture, Table
from app.writers import docx_text
from app.writers.docx_fit import fitted
from app.writers.docx_floating import hang
from app.writers.docx_sections import (
    SAME_SIZE_POINTS,
    Margins,
    Stretch,
    floats,
    inside_of,
    is_covered,
    is_vertical,
    rows,
    set_columns,
    set_page,
    size_of,
    stretches,
)
from app.writers.docx_table import append_rows, parts_of, row_heights, table_element
from app.writers.docx_xml import child, form, new, put
from app.writers.text_limits import storable


class DocxWriter:
    """Writes Word documents."""

    media_type = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    looks = True
    exact = False
    retells = True

    def write(self, document: Document, target: Path) -> None:
        """Create ``target``; each page begins on a page, each change of size begins a section."""
        file = docx.Document()
        _set_properties(file)
        docx_text.prepare(file, document.languages)
        body = _Body(file)
        for page in document.pages:
            body.add(page)
        file.save(str(target))


_FARTHEST = 120.0  # Points between two paragraphs.
_TIGHT = 0.9  # Of the distances on the page: other fonts may need a line more.


class _Body:
    """The document's body, which grows page by page."""

    def __init__(self, file: Docx) -> None:
        self._file = file
        self._section: Any = file.sections[-1]  # The one that goes on; its w:sectPr ends the body.
        self._size: tuple[float, float] | None = None
        self._margins = Margins(0, 0, 0, 0)
        self._vertical = False  # Whether the section's lines run downwards.
        self._usual: float | None = None  # Of text in the Normal style, in points.
        self._columns = 1
        self._last: Any = None  # The last w:p.
        self._before_page: Any = None  # The last one of the page before.
        self._table: Any = None  # The last w:tbl, if it may go on.
        self._heads: set[str] = set()  # Texts of the page before.
        self._break: str | None = None  # Before the next paragraph: "page" or "column".
        self._bottom: float | None = None  # Of what was written last on the page, in points.

    def add(self, page: Page) -> None:
        """Add the page, on a page of its own."""
        size, vertical = size_of(page), is_vertical(page)
        if (
            self._size is None
            or max(abs(a - b) for a, b in zip(size, self._size, strict=True)) > SAME_SIZE_POINTS
            or vertical != self._vertical
        ):
            if self._size is not None:
                self._begin_section(WD_SECTION.NEW_PAGE)
            self._table = None
            self._margins = Margins.around(page)
            set_page(self._section, size, self._margins, vertical)
            self._size, self._vertical = size, vertical
        else:
            self._break = "page"
        if not page.endless:
            page = fitted(page, self._margins)
        if self._usual is None:
            self._usual = _usual_points(page)
            if self._usual is not None:
                docx_text.set_usual_size(self._file, self._usual)
        asides = _asides(page)
        aside = set(map(id, asides))
        flow = [block for block in page.blocks if id(block) not in aside]
        self._before_page = self._last
        self._bottom = None
        goes_on = self._table is not None and any(_continues(block) for block in flow)
        if goes_on:
            flow = self._continue_table(flow, page)
        for stretch in [Stretch((tuple(flow),))] if vertical and flow else stretches(flow):
            boxes = stretch.boxes
            if len(boxes) > 1:
                self._keep_distance(min(box.top for box in boxes) / page.dpi * 72)
            if len(boxes) != self._columns or len(boxes) > 1:
                self._set_columns(boxes, page)
            start: float | None = self._bottom
            for number, (column, box) in enumerate(zip(stretch.columns, boxes, strict=True)):
                if number:
                    self._break, self._bottom = "column", start
                for row in rows(column):
                    if len(row) > 1:
                        self._add_row(row, page, box)
                    else:
                        self._add_block(row[0], page, box)
                    asides = self._add_asides(asides, page)
            self._bottom = max(box.bottom for box in boxes) / page.dpi * 72
        if self._columns > 1:
            self._set_columns([], page)
        for block in asides:
            self._add_block(block, page, block.box)
        self._heads = {block.text for block in page.blocks if isinstance(block, Paragraph)}
        if self._last is self._before_page and not goes_on:
            self._new_paragraph()

    def _add_block(self, block: Block, page: Page, column: Box) -> None:
        scale = 72 / page.dpi
        if isinstance(block, Table):
            self._add_table(block, page, self._before(block.box.top * scale))
        elif isinstance(block, Picture):
            self._add_picture(block, page, column)
            return
        elif storable(block.text):
            target = self._new_paragraph()
            step = docx_text.write(target, block, page, self._usual).line_points
            first, last = block.lines[0].box, block.lines[-1].box
            # Each line stands in the middle of a place as high as the step.
            before = self._before((first.top + first.bottom) / 2 * scale - step / 2)
            docx_text.set_lines(target, before, step)
            self._bottom = (last.top + last.bottom) / 2 * scale + step / 2
            return
        self._bottom = block.box.bottom * scale

    def _add_row(self, row: Sequence[Paragraph], page: Page, column: Box) -> None:
        """Single lines that stand side by side, as one with tabs between them."""
        scale = 72 / page.dpi
        step = max(docx_text.setting_of(each, page).line_points for each in row)
        middle = sum(each.box.top + each.box.bottom for each in row) / len(row) / 2 * scale
        target = self._new_paragraph()
        docx_text.write(target, replace(row[0], align=Align.START), page, self._usual)
        for each in row[1:]:
            docx_text.tab(target, each, page, column)
            docx_text.append(target, each, page, self._usual)
        docx_text.set_lines(target, self._before(middle - step / 2), step)
        self._bottom = middle + step / 2

    def _add_asides(self, asides: list[Paragraph], page: Page) -> list[Paragraph]:
        """Add what stands out of the flow, once there is something beside it; the rest of it."""
        if self._last is None or self._last is self._before_page or self._break is not None:
            return asides
        for aside in asides:
            if storable(aside.text):
                target = self._new_paragraph()
                docx_text.write(target, aside, page, self._usual)
                docx_text.place(target, aside, page)
        return []

    def _keep_distance(self, top: float) -> None:
        """Go down to ``top``, in points, before columns begin.

        Programs differ in what they make of a distance at the top of the first column.
        """
        if self._last is not None and self._bottom is not None:
            docx_text.set_after(self._last, self._before(top))
            self._bottom = max(self._bottom, top)

    def _before(self, top: float) -> float:
        """The distance from what was written last to ``top``; all in points."""
        if self._bottom is None or self._vertical:
            return 0.0
        return min(_FARTHEST, max(0.0, top - self._bottom) * _TIGHT)

    def _new_paragraph(self) -> Any:
        if self._break == "column":
            # Programs differ in where they put the distance before a paragraph with a break.
            self._break = None
            child(child(self._thin_paragraph(0), "w:r"), "w:br", type="column")
        self._last = new("w:p")
        self._section._sectPr.addprevious(self._last)
        if self._break == "page":
            put(form(self._last), "w:pageBreakBefore")
        self._break = None
        return self._last

    def _set_columns(self, boxes: Sequence[Box], page: Page) -> None:
        """Begin a section for columns that stand in ``boxes``; it goes on on the page."""
        new = len(boxes) or 1
        if self._last is not None and self._break != "page":
            self._begin_section(WD_SECTION.CONTINUOUS)
        elif self._last is not None:
            self._begin_section(WD_SECTION.NEW_PAGE)
            self._break = None
        set_columns(self._section, boxes, 72 / page.dpi)
        self._columns = new

    def _begin_section(self, kind: WD_SECTION) -> None:
        """End the section with the last paragraph, which carries what is set for it."""
        form(self._last).append(self._section._sectPr.clone())
        self._section.start_type = kind
        set_columns(self._section, [], 1.0)
        self._columns = 1

    def _add_table(self, table: Table, page: Page, gap: float) -> None:
        if self._break is not None or gap > 1:
            self._thin_paragraph(gap)
        # A paragraph follows: tables next to each other would become one.
        after = self._thin_paragraph(0)
        inset = 0.0 if table.column is None else table.box.left - table.column.left
        heights = row_heights(table, 72 / page.dpi)
        inset = max(0.0, inset / page.dpi * 72)
        for part in parts_of(table):
            width = min(part.box.width / page.dpi * 72, inside_of(self._section))
            self._table = table_element(part, width, self._fill(page), inset, heights)
            after.addprevious(self._table)
            if part is not table:
                after = self._thin_paragraph(0)

    def _continue_table(self, flow: Sequence[Block], page: Page) -> list[Block]:
        """Add the page's first table to the one that goes on in it; what is left of the flow.

        A head that stood on the page before is not said again.
        """
        table = next(block for block in flow if _continues(block))
        append_rows(self._table, table, self._fill(page), row_heights(table, 72 / page.dpi))
        self._break = None
        return [block for block in flow if block is not table and _head(block) not in self._heads]

    def _fill(self, page: Page) -> Callable[[Any, Cell], None]:
        """What puts the text of a cell into a ``w:tc``."""

        def fill(place: Any, cell: Cell) -> None:
            for part in cell.paragraphs:
                if storable(part.text):
                    target = child(place, "w:p")
                    setting = docx_text.write(target, part, page, self._usual)
                    docx_text.set_lines(target, 0, setting.line_points)

        return fill

    def _thin_paragraph(self, before: float) -> Any:
        paragraph = self._new_paragraph()
        docx_text.set_lines(paragraph, round(max(0.0, before - 1)), 1)
        return paragraph

    def _add_picture(self, picture: Picture, page: Page, column: Box) -> None:
        if floats(picture, page):
            # It hangs on what was written last.
            last = None if self._last is self._before_page or self._break else self._last
            if last is None:
                last = self._thin_paragraph(0)
            shape = self._add_shape(last, picture, _picture_width(picture, page))
            # LibreOffice hides what hangs on hidden text, and paragraphs that have no other.
            docx_text.add(last, " ")
            _hide_words(picture, last)
            hang(shape, picture, page, is_covered(picture, page))
            return
        gap = self._before(picture.box.top / page.dpi * 72)
        self._bottom = picture.box.bottom / page.dpi * 72
        paragraph = self._new_paragraph()
        put(form(paragraph), "w:spacing", before=docx_text.twips(round(gap)))
        width = min(_picture_width(picture, page), Pt(inside_of(self._section)))
        left, right = picture.box.left - column.left, column.right - picture.box.right
        if left + right > 0.1 * column.width:
            if abs(left - right) < 0.1 * column.width:
                put(form(paragraph), "w:jc", val="center")
            elif right < left:
                put(form(paragraph), "w:jc", val="right")
        self._add_shape(paragraph, picture, width)
        _hide_words(picture, paragraph)

    def _add_shape(self, target: Any, picture: Picture, width: Length) -> InlineShape:
        """Add the picture to a ``w:p``; it tells the text that is in it."""
        run = DocxParagraph(target, self._file._body).add_run()
        shape = run.add_picture(BytesIO(picture.data), width=width)
        if text := _words_in(picture):
            shape._inline.docPr.set("descr", text[:_LONGEST_DESCRIPTION])
        return shape


def _head(block: Block) -> str | None:
    if isinstance(block, Paragraph) and block.kind is Kind.HEADER:
        return block.text
    return None


def _continues(block: Block) -> TypeGuard[Table]:
    return isinstance(block, Table) and block.continues


def _picture_width(picture: Picture, page: Page) -> Length:
    return Pt(max(1.0, picture.box.width / page.dpi * 72))


def _words_in(picture: Picture) -> str:
    texts = [storable(part.text) for part in picture.paragraphs]
    return " ".join(text for text in texts if text)


def _hide_words(picture: Picture, target: Any) -> None:
    """Keep the text in a picture as text that is not shown."""
    if text := _words_in(picture):
        docx_text.hide(target, f" {text}" if target.text.strip() else text)


_LONGEST_DESCRIPTION = 2000


def _asides(page: Page) -> list[Paragraph]:
    """Text that runs downwards on a page whose other text does not."""
    vertical = [
        block
        for block in page.blocks
        if isinstance(block, Paragraph) and all(line.vertical for line in block.lines)
    ]
    return [] if is_vertical(page) else vertical


def _usual_points(page: Page) -> float | None:
    sizes = [
        size
        for paragraph in page.paragraphs
        for size in [docx_text.setting_of(paragraph, page).points] * len(paragraph.lines)
        if size is not None
    ]
    return median_low(sizes) if sizes else None


def _set_properties(file: Docx) -> None:
    """Replace what the template of the library says about itself."""
    properties = file.core_properties
    properties.author = properties.last_modified_by = properties.comments = properties.title = ""
    properties.created = properties.modified = datetime.now(UTC).replace(tzinfo=None)
    properties.revision = 1

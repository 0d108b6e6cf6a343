"""JSON: the page model, a page a line."""

from pathlib import Path
from typing import Any

from msgspec import json

from app.document import Block, Box, Document, Line, Page, Paragraph, Style, Table
from app.page_model import (
    BETWEEN,
    CLOSING,
    CellModel,
    LineModel,
    PageModel,
    ParagraphModel,
    PictureModel,
    StyleModel,
    TableModel,
    WordModel,
    opening,
)
from app.writers.text_limits import storable, storable_words


class JsonWriter:
    """Writes the page model as JSON."""

    media_type = "application/json"
    looks = True
    exact = True
    retells = True

    def write(self, document: Document, target: Path) -> None:
        """Create ``target``, in the form that ``app.page_model`` describes."""
        with target.open("wb") as stream:
            stream.write(opening(document.languages))
            for n, page in enumerate(document.pages):
                stream.write((BETWEEN if n else b"") + json.encode(_page(page), enc_hook=_number))
            stream.write(CLOSING)


def _page(page: Page) -> PageModel:
    return PageModel(
        number=page.number,
        width=_tenths(page.width),
        height=_tenths(page.height),
        dpi=_tenths(page.dpi),
        recognized=page.recognized,
        turns=page.turns,
        blocks=list(map(_block, page.blocks)),
        endless=page.endless,
    )


def _block(block: Block) -> ParagraphModel | TableModel | PictureModel:
    if isinstance(block, Paragraph):
        return _paragraph(block)
    if isinstance(block, Table):
        return _table(block)
    return PictureModel(_edges(block.box), list(map(_paragraph, block.paragraphs)))


def _table(table: Table) -> TableModel:
    cells = [
        CellModel(
            row=cell.row,
            column=cell.column,
            row_span=cell.row_span,
            column_span=cell.column_span,
            box=_edges(cell.box),
            paragraphs=list(map(_paragraph, cell.paragraphs)),
        )
        for cell in table.cells
    ]
    return TableModel(
        rows=table.rows,
        columns=table.columns,
        drawn=table.drawn,
        heads=table.heads,
        box=_edges(table.box),
        cells=cells,
        continues=table.continues,
        repeats=table.repeats,
    )


def _paragraph(paragraph: Paragraph) -> ParagraphModel:
    return ParagraphModel(
        kind=paragraph.kind,
        level=paragraph.level,
        align=paragraph.align,
        box=_edges(paragraph.box),
        text=storable(paragraph.text),
        lines=list(map(_line, paragraph.lines)),
    )


def _line(line: Line) -> LineModel:
    words = [
        WordModel(word.text, _edges(word.box), _thousandths(word.confidence), word.spaced)
        for word in storable_words(line)
    ]
    return LineModel(
        box=_edges(line.box),
        text=storable(line.text),
        confidence=_thousandths(line.confidence),
        words=words,
        vertical=line.vertical,
        slope=round(float(line.slope), 4),
        style=None if line.style is None else _style(line.style),
    )


def _style(style: Style) -> StyleModel:
    colour = None if style.colour is None else f"#{style.colour:06x}"
    return StyleModel(_tenths(style.size), style.bold, style.italic, colour, style.family)


def _edges(box: Box) -> list[float]:
    return list(map(_tenths, box))


def _tenths(number: float) -> float:
    return round(float(number), 1)


def _thousandths(number: float) -> float:
    return round(min(max(float(number), 0.0), 1.0), 3)


def _number(value: Any) -> Any:
    return value.item()  # Of numpy's kinds: engines and layout count and measure with them.

"""The page model as JSON: its form, its schema, and single pages cut out of files of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, json

from app.document import Align, Kind

NAME, VERSION = "ocr-server-document", 1

Edges = Annotated[
    list[float],
    Meta(
        min_length=4,
        max_length=4,
        description="Left, top, right and bottom, in pixels of the page; its origin is top left.",
    ),
]
Confidence = Annotated[float, Meta(ge=0, le=1, description="From 0, a guess, to 1, certain.")]


class WordModel(Struct, omit_defaults=True):
    """Characters without white space that stand together."""

    text: str
    box: Edges
    confidence: Confidence
    spaced: Annotated[bool, Meta(description="A space parts it from the word before.")] = True


class StyleModel(Struct, omit_defaults=True):
    """How text looks, as far as that can be told."""

    size: Annotated[float, Meta(description="Of the font (an em), in pixels of the page.")]
    bold: bool = False
    italic: bool = False
    colour: Annotated[str, Meta(pattern="^#[0-9a-f]{6}$")] | None = None
    family: Annotated[str, Meta(description="serif, sans or mono.")] | None = None


class LineModel(Struct, omit_defaults=True):
    """Words in the order in which they are read aloud, on one base line."""

    box: Edges
    text: str
    confidence: Confidence
    words: list[WordModel]
    vertical: Annotated[bool, Meta(description="Characters run from top to bottom.")] = False
    slope: Annotated[
        float, Meta(description="Pixels that the line falls with each pixel to the right.")
    ] = 0.0
    style: StyleModel | None = None


class ParagraphModel(Struct, tag_field="type", tag="paragraph"):
    """Lines that belong together, in reading order."""

    kind: Kind
    level: Annotated[int, Meta(description="Of a heading, 1 to 3; of an item, by its indent.")]
    align: Align
    box: Edges
    text: Annotated[
        str, Meta(description="The lines as one; words divided at their ends are put together.")
    ]
    lines: list[LineModel]


class CellModel(Struct):
    """One cell of a table, which may reach over several rows and columns."""

    row: Annotated[int, Meta(ge=0, description="Of its upper left corner, from 0.")]
    column: Annotated[int, Meta(ge=0)]
    row_span: Annotated[int, Meta(ge=1)]
    column_span: Annotated[int, Meta(ge=1)]
    box: Edges
    paragraphs: list[ParagraphModel]


class TableModel(Struct, tag_field="type", tag="table", omit_defaults=True):
    """Cells in rows and columns, row by row."""

    rows: int
    columns: int
    drawn: Annotated[bool, Meta(description="With rules around its cells.")]
    heads: Annotated[int, Meta(description="Rows at the top that are headings.")]
    box: Edges
    cells: list[CellModel]
    continues: Annotated[
        bool, Meta(description="The last table of the page before goes on in this one.")
    ] = False
    repeats: Annotated[int, Meta(description="Rows that repeat that one's headings.")] = 0


class PictureModel(Struct, tag_field="type", tag="picture"):
    """A photo, a drawing or a chart, and the text in it."""

    box: Edges
    paragraphs: list[ParagraphModel]


class PageModel(Struct, omit_defaults=True):
    """One page."""

    number: Annotated[int, Meta(ge=1)]
    width: Annotated[
        float, Meta(description="Pixels at `dpi`, of the page as it is read: set upright.")
    ]
    height: float
    dpi: float
    recognized: Annotated[
        bool, Meta(description="Recognition ran; a text that the source has was not enough.")
    ]
    turns: Annotated[
        int, Meta(ge=0, le=3, description="Quarter turns to the left that set it upright.")
    ]
    blocks: Annotated[
        list[ParagraphModel | TableModel | PictureModel], Meta(description="In reading order.")
    ]
    endless: Annotated[
        bool, Meta(description="A sheet, not of paper: as large as what stands on it.")
    ] = False


class DocumentModel(Struct):
    """What was read."""

    format: Literal["ocr-server-document"]
    version: int
    languages: Annotated[list[str], Meta(description="Tags (BCP 47) of those it was read in.")]
    pages: list[PageModel]


def schema(references: str = "#/$defs/{name}") -> tuple[dict[str, Any], dict[str, Any]]:
    """The JSON Schema (2020-12) of a document, and by name those of its parts.

    ``references`` says how parts are referred to; the whole is a part, too: "DocumentModel".
    """
    (whole,), parts = json.schema_components([DocumentModel], ref_template=references)
    return whole, parts


def opening(languages: tuple[str, ...]) -> bytes:
    """What stands before the first page of a file."""
    tags = json.encode(languages).decode()
    return f'{{"format":"{NAME}","version":{VERSION},"languages":{tags},"pages":[\n'.encode()


CLOSING = b"\n]}\n"
"""What stands after the last page."""

BETWEEN = b",\n"
"""What stands between two pages, each of which is one line: no string has a line end in it."""


def page_span(path: Path, number: int) -> tuple[int, int] | None:
    """Where the object of the page ``number`` is in the file at ``path``: its start and its length.

    None if the file has no such page. No page is parsed, or held as a whole: one may be large.
    """
    beginning = b'{"number":%d,' % number
    with path.open("rb") as file:
        start, begins, found = 0, True, False
        while piece := file.readline(_PIECE):
            if begins:
                start, found = file.tell() - len(piece), piece.startswith(beginning)
            begins = piece.endswith(b"\n")
            if begins and found:
                end = file.tell() - 1
                file.seek(end - 1)
                return start, end - start - (file.read(1) == b",")
    return None


_PIECE = 2**16

"""Tagged PDF: what on a page is heading, list, table or picture (PDF 32000-1, 14.7 and 14.8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import pikepdf

from app.document import Block, Kind, Line, Page, Paragraph, Picture, Table
from app.writers.pdf_file import PdfFile
from app.writers.pdf_text import Mark
from app.writers.text_limits import storable


class Objects(Protocol):
    """Where the objects of a structure tree go.

    Their entries are names and references (text strings in ``StreamedObjects``), UTF-16 text
    (bytes), numbers, lists and dictionaries.
    """

    def reserve(self) -> Any:
        """A reference to an object that is added later."""

    def add(self, entries: dict[str, Any], reference: Any) -> None:
        """Make the object with ``reference``, or add to it."""


class StreamedObjects:
    """Objects written to a file as they come."""

    def __init__(self, file: PdfFile) -> None:
        self._file = file

    def reserve(self) -> str:
        """A reference to an object that is added later."""
        return self._file.reserve()

    def add(self, entries: dict[str, Any], reference: str) -> None:
        """Write the object with ``reference``."""
        self._file.add(_written(entries)[2:-2], reference)


class OpenedObjects:
    """Objects of an opened PDF."""

    def __init__(self, pdf: pikepdf.Pdf) -> None:
        self._pdf = pdf

    def reserve(self) -> pikepdf.Object:
        """A reference to an object that is added later."""
        return self._pdf.make_indirect(pikepdf.Dictionary())

    def add(self, entries: dict[str, Any], reference: pikepdf.Object) -> None:
        """Fill the object with ``reference``, or add to it."""
        for key, value in entries.items():
            reference[f"/{key}"] = _converted(value)


@dataclass(frozen=True, slots=True)
class Tagged:
    """The structure of one page, and the marks that tie its text to it."""

    key: int  # The page's /StructParents.
    marks: tuple[Mark, ...]
    elements: tuple[_Element, ...]


class StructureTree:
    """Grows page by page; of what is added only references are kept."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._document = objects.reserve()
        self._kids: list[Any] = []
        self._numbers: list[Any] = []  # For each page its key and the elements of its marks.
        self._links: list[tuple[Any, Any]] = []  # With their elements.
        self._pages = 0
        self._level = 0  # Of the last heading.

    def tag(self, page: Page) -> Tagged:
        """The structure of the next page, to be given to ``add`` when the page is written."""
        marks = _Marks()
        elements = tuple(self._elements(page.blocks, marks))
        self._pages += 1
        return Tagged(self._pages - 1, tuple(marks.made), elements)

    def add(self, page: Any, tagged: Tagged, links: Sequence[Any] = ()) -> None:
        """Add the structure of a page; the page and its ``links`` are given by their references."""
        owners: dict[int, Any] = {}
        self._kids += [self._add(each, self._document, page, owners) for each in tagged.elements]
        self._numbers += [tagged.key, [owners[number] for number in sorted(owners)]]
        for link in links:
            reference = self._objects.reserve()
            kids = [{"Type": "/OBJR", "Obj": link, "Pg": page}]
            kind = {"Type": "/StructElem", "S": "/Link", "P": self._document, "K": kids}
            self._objects.add(kind, reference)
            self._kids.append(reference)
            self._links.append((link, reference))

    def close(self) -> Any:
        """Complete the tree; gives its reference."""
        root = self._objects.reserve()
        kinds = {"Type": "/StructElem", "S": "/Document", "P": root, "K": self._kids}
        self._objects.add(kinds, self._document)
        for key, (link, reference) in enumerate(self._links, self._pages):
            self._objects.add({"StructParent": key}, link)
            self._numbers += [key, reference]
        count = self._pages + len(self._links)
        parents = {"ParentTree": {"Nums": self._numbers}, "ParentTreeNextKey": count}
        self._objects.add({"Type": "/StructTreeRoot", "K": [self._document], **parents}, root)
        return root

    def _add(self, element: _Element, parent: Any, page: Any, owners: dict[int, Any]) -> Any:
        reference = self._objects.reserve()
        kids = []
        for kid in element.kids:
            if isinstance(kid, int):
                owners[kid] = reference
                kids.append(kid)
            else:
                kids.append(self._add(kid, reference, page, owners))
        kind = {"Type": "/StructElem", "S": f"/{element.kind}", "P": parent, "Pg": page}
        self._objects.add({**kind, "K": kids, **element.entries}, reference)
        return reference

    def _elements(self, blocks: Sequence[Block], marks: _Marks) -> list[_Element]:
        found: list[_Element] = []
        captions: list[_Element] = []  # That belong to what comes next.
        for before, block, after in zip([None, *blocks], blocks, [*blocks[1:], None], strict=False):
            if isinstance(block, Table | Picture):
                made = _table(block, marks) if isinstance(block, Table) else _figure(block, marks)
                found.append(replace(made, kids=(*captions, *made.kids)))
                captions = []
            elif block.kind in (Kind.HEADER, Kind.FOOTER):
                marks.artifact(block)
            elif block.kind is Kind.ITEM:
                body = _Element("LBody", (marks.add("LBody", block.lines),))
                item = _Element("LI", (body,))
                if isinstance(before, Paragraph) and before.kind is Kind.ITEM:
                    found[-1] = found[-1].with_kid(item)
                else:
                    found.append(_Element("L", (item,)))
            elif block.kind is Kind.CAPTION:
                words = _Element("Caption", (marks.add("Caption", block.lines),))
                if isinstance(before, Table | Picture) and not found[-1].has_caption:
                    found[-1] = found[-1].with_kid(words)
                elif isinstance(after, Table | Picture):
                    captions = [words]
                else:
                    found.append(replace(words, kind="P"))
            else:
                found.append(self._paragraph(block, marks))
        return found

    def _paragraph(self, paragraph: Paragraph, marks: _Marks) -> _Element:
        kind = "P"
        if paragraph.kind is Kind.HEADING:
            # A level may not be passed over on the way down (ISO 14289-1, 7.4.2).
            self._level = min(paragraph.level, self._level + 1)
            kind = f"H{self._level}"
        return _Element(kind, (marks.add(kind, paragraph.lines),))


@dataclass(frozen=True, slots=True)
class _Element:
    """A node of the structure tree, of one of the standard kinds."""

    kind: str
    kids: tuple[_Element | int, ...]  # Numbers are those of marked content.
    entries: dict[str, Any] = field(default_factory=dict)

    @property
    def has_caption(self) -> bool:
        return any(isinstance(kid, _Element) and kid.kind == "Caption" for kid in self.kids)

    def with_kid(self, kid: _Element) -> _Element:
        return replace(self, kids=(*self.kids, kid))


class _Marks:
    """The marked content of a page, in the order of its text."""

    def __init__(self) -> None:
        self.made: list[Mark] = []
        self._count = 0

    def add(self, kind: str, lines: Sequence[Line]) -> int:
        self.made.append((f"/{kind} <</MCID {self._count}>>BDC", lines))
        self._count += 1
        return self._count - 1

    def artifact(self, paragraph: Paragraph) -> None:
        """What repeats on pages is not read aloud on each."""
        head = paragraph.kind is Kind.HEADER
        where = (
            "/Subtype /Header /Attached [/Top]" if head else "/Subtype /Footer /Attached [/Bottom]"
        )
        self.made.append((f"/Artifact <</Type /Pagination {where}>>BDC", paragraph.lines))


_LONGEST_ALT = 4000  # Characters; a string of PDF/A holds 32,767 bytes.


def _figure(picture: Picture, marks: _Marks) -> _Element:
    lines = [line for paragraph in picture.paragraphs for line in paragraph.lines]
    words = storable(" ".join(line.text for line in lines))[:_LONGEST_ALT] or "Picture"
    # Without words its mark is empty, but still says where in the text the picture is.
    return _Element("Figure", (marks.add("Figure", lines),), {"Alt": _utf16(words)})


def _table(table: Table, marks: _Marks) -> _Element:
    rows = [_Element("TR", ()) for _ in range(table.rows)]
    for cell in table.cells:
        attributes: dict[str, Any] = {}
        if is_head := cell.row < table.heads:
            attributes["Scope"] = "/Column"
        if cell.row_span > 1:
            attributes["RowSpan"] = cell.row_span
        if cell.column_span > 1:
            attributes["ColSpan"] = cell.column_span
        kids = tuple(_Element("P", (marks.add("P", each.lines),)) for each in cell.paragraphs)
        entries = {"A": {"O": "/Table", **attributes}} if attributes else {}
        made = _Element("TH" if is_head else "TD", kids, entries)
        rows[cell.row] = rows[cell.row].with_kid(made)
    return _Element("Table", tuple(rows))


def _utf16(text: str) -> bytes:
    return b"\xfe\xff" + text.encode("utf-16-be")


def _written(value: Any) -> str:
    if isinstance(value, dict):
        return "<<" + " ".join(f"/{key} {_written(each)}" for key, each in value.items()) + ">>"
    if isinstance(value, list):
        return "[" + " ".join(map(_written, value)) + "]"
    return f"<{value.hex()}>" if isinstance(value, bytes) else str(value)


def _converted(value: Any) -> Any:
    if isinstance(value, dict):
        return pikepdf.Dictionary({f"/{key}": _converted(each) for key, each in value.items()})
    if isinstance(value, list):
        return pikepdf.Array([_converted(each) for each in value])
    if isinstance(value, str):
        return pikepdf.Name(value)
    return pikepdf.String(value) if isinstance(value, bytes) else value

"""Excel workbooks: what stands in the cells of each sheet, read from the package itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from app.converters.charts import Grid, read_chart
from app.converters.number_formats import BUILT_IN, shown, shown_text
from app.errors import InvalidFile, TooLarge
from app.package import Package, attribute

MAX_CELLS = 400_000
"""That are filled, in a workbook; a page of a sheet is in memory as a whole."""

MAX_CHARACTERS = 50_000_000


@dataclass(frozen=True, slots=True)
class Filled:
    """A cell with something in it."""

    text: str  # As Excel shows it; may have several lines.
    bold: bool = False
    is_number: bool = False


@dataclass(frozen=True, slots=True)
class Range:
    """Cells that are one; rows and columns from 0, the last ones included."""

    top: int
    left: int
    bottom: int
    right: int


@dataclass(frozen=True, slots=True)
class Drawn:
    """What lies on the cells: lines of text and the values of charts, or a picture's part."""

    row: int
    column: int
    width: float  # In pixels at 96 dpi; 0 if it is not known.
    height: float
    texts: tuple[str, ...] = ()
    tables: tuple[Grid, ...] = ()
    part: str = ""


@dataclass(slots=True)
class Sheet:
    """A sheet that is not hidden."""

    name: str
    rows: dict[int, dict[int, Filled]] = field(default_factory=dict)
    hidden: set[int] = field(default_factory=set)  # Rows.
    merged: list[Range] = field(default_factory=list)
    widths: list[tuple[int, int, float]] = field(default_factory=list)  # First, last, pixels.
    usual_width: float = 64.0
    drawn: list[Drawn] = field(default_factory=list)

    def hides(self, column: int) -> bool:
        """Whether a column is hidden."""
        return any(not width and first <= column <= last for first, last, width in self.widths)

    def width(self, column: int) -> float:
        """Of a column, in pixels at 96 dpi."""
        for first, last, width in self.widths:
            if first <= column <= last:
                return width
        return self.usual_width


def read(package: Package) -> list[Sheet]:
    """The sheets that are not hidden, without their hidden rows and columns.

    Formulas have the values that were stored with them; none is worked out: one without a value
    stands for itself.
    """
    return _Reader(package).sheets()


def sheet_parts(package: Package) -> Iterator[tuple[str, str]]:
    """Name and part of each sheet that is not hidden."""
    relations = package.relations(package.main)
    for each in package.tree(package.main).iter("{*}sheet"):
        if each.get("state", "visible") != "visible":
            continue
        relation = relations.get(attribute(each, "id"))
        if relation is None or not relation.target:
            raise InvalidFile("The document is damaged.")
        yield each.get("name", ""), relation.target


def hidden_sheets(package: Package) -> tuple[str, ...]:
    """What is to be said of the sheets that are hidden, if there are any."""
    names = [
        " ".join(each.get("name", "").split())[:_LONGEST_NAME]
        for each in package.tree(package.main).iter("{*}sheet")
        if each.get("state", "visible") != "visible"
    ]
    more = [f"and {len(names) - _MOST_NAMED} more"] if len(names) > _MOST_NAMED else []
    return (f"hidden sheets: {', '.join(names[:_MOST_NAMED] + more)}",) if names else ()


_MOST_NAMED = 20
_LONGEST_NAME = 31  # Characters; Excel takes no longer ones.


def drawing_parts(package: Package, sheet: str) -> Iterator[str]:
    """The parts in which the drawings of a sheet stand."""
    for each in package.relations(sheet).values():
        if each.kind == "drawing" and each.target in package:
            yield each.target


def pictures(package: Package, drawing: str) -> Iterator[tuple[Any, str, int, int]]:
    """Each picture of a drawing: its element, its image's part, and the row and column it is at."""
    relations = package.relations(drawing)
    for anchor, row, column in anchors(package.tree(drawing)):
        for picture in anchor.iter("{*}pic"):
            for blip in picture.iter("{*}blip"):
                relation = relations.get(attribute(blip, "embed"))
                if relation is not None and relation.target in package:
                    yield picture, relation.target, row, column


def anchors(root: Any) -> Iterator[tuple[Any, int, int]]:
    """The anchors of a drawing, each with the row and column at which it begins."""
    for anchor in root:
        start = anchor.find("{*}from") if isinstance(anchor.tag, str) else None
        row = _whole(start.findtext("{*}row")) if start is not None else 0
        column = _whole(start.findtext("{*}col")) if start is not None else 0
        yield anchor, row, column


class _Reader:
    def __init__(self, package: Package) -> None:
        self._package = package
        self._cells = self._characters = 0
        relations = package.relations(package.main).values()
        found = {each.kind: each.target for each in relations if each.target in package}
        book = package.tree(package.main)
        properties = book.find("{*}workbookPr")
        self._date1904 = properties is not None and properties.get("date1904") in ("1", "true")
        self._formats = list(self._read_formats(found.get("styles")))
        self._strings = list(self._read_strings(found.get("sharedStrings")))

    def sheets(self) -> list[Sheet]:
        found = [self._sheet(name, part) for name, part in sheet_parts(self._package)]
        if not found:
            raise InvalidFile("The workbook has no sheets.")
        return found

    def _read_formats(self, part: str | None) -> Iterator[tuple[str, bool]]:
        """The format of numbers of each style of cells, and whether its font is bold."""
        if part is None:
            return
        root = self._package.tree(part)
        codes = dict(BUILT_IN)
        for each in root.iter("{*}numFmt"):
            codes[_whole(each.get("numFmtId"))] = each.get("formatCode", "")
        fonts = root.find("{*}fonts")
        bold = [_is_on(each.find("{*}b")) for each in fonts] if fonts is not None else []
        styles = root.find("{*}cellXfs")
        for each in styles if styles is not None else ():
            font = _whole(each.get("fontId"))
            code = codes.get(_whole(each.get("numFmtId")), "General")
            yield code, font < len(bold) and bold[font]

    def _read_strings(self, part: str | None) -> Iterator[str]:
        if part is None:
            return
        for each in self._package.elements(part, ["si"]):
            text = _string(each)
            self._count(len(text))
            yield text

    def _count(self, characters: int) -> None:
        self._characters += characters
        if self._characters > MAX_CHARACTERS:
            raise TooLarge(f"The workbook has more than {MAX_CHARACTERS} characters.")

    def _count_cells(self, cells: int) -> None:
        self._cells += cells
        if self._cells > MAX_CELLS:
            raise TooLarge(f"The workbook has more than {MAX_CELLS} filled cells.")

    def _sheet(self, name: str, part: str) -> Sheet:
        sheet = Sheet(name)
        number = -1
        tags = ["row", "mergeCell", "col", "sheetFormatPr"]
        for each in self._package.elements(part, tags):
            tag = each.tag.rpartition("}")[2]
            if tag == "row":
                number = _whole(each.get("r"), number + 2) - 1
                if _true(each.get("hidden")):
                    sheet.hidden.add(number)
                elif cells := self._row(each, sheet):
                    sheet.rows.setdefault(number, {}).update(cells)
            elif tag == "mergeCell":
                if found := _range(each.get("ref", "")):
                    sheet.merged.append(found)
            elif tag == "col":
                width = 0.0 if _true(each.get("hidden")) else _pixels(each.get("width"))
                first, last = _whole(each.get("min"), 1), _whole(each.get("max"), 1)
                sheet.widths.append((first - 1, last - 1, width))
            elif each.get("defaultColWidth"):
                sheet.usual_width = _pixels(each.get("defaultColWidth"))
        for drawing in drawing_parts(self._package, part):
            sheet.drawn += self._drawn(drawing)
        return sheet

    def _row(self, row: Any, sheet: Sheet) -> dict[int, Filled]:
        found: dict[int, Filled] = {}
        column = -1
        for each in row:
            if not isinstance(each.tag, str) or each.tag.rpartition("}")[2] != "c":
                continue
            place = each.get("r")
            column = _column(place) if place else column + 1
            cell = self._cell(each)
            if cell is not None and not sheet.hides(column):
                found[column] = cell
                self._count_cells(1)
                self._count(len(cell.text))
        return found

    def _cell(self, cell: Any) -> Filled | None:
        kind, value, inline, formula, stored = cell.get("t", "n"), "", "", "", False
        for each in cell:
            tag = each.tag.rpartition("}")[2] if isinstance(each.tag, str) else ""
            if tag == "v":
                value, stored = each.text or "", True
            elif tag == "is":
                inline = _string(each)
            elif tag == "f":
                formula = each.text or ""
        if formula and not value and (kind == "n" or not stored):
            return Filled(f"={formula}")
        style = _whole(cell.get("s"))
        code, bold = self._formats[style] if style < len(self._formats) else ("General", False)
        if kind == "n":
            text = shown(value.strip(), code, self._date1904) if value else ""
            return Filled(text, bold, True) if text.strip() else None
        if kind == "b":
            text = {"1": "TRUE", "0": "FALSE"}.get(value.strip(), value)
        elif kind == "s":
            at = _whole(value, -1)
            text = self._strings[at] if 0 <= at < len(self._strings) else ""
            text = shown_text(text, code)
        else:
            text = shown_text(inline or _unescaped(value), code)
        return Filled(text, bold) if text.strip() else None

    def _drawn(self, part: str) -> Iterator[Drawn]:
        relations = self._package.relations(part)
        for anchor, row, column in anchors(self._package.tree(part)):
            extent = anchor.find("{*}ext")
            if extent is None:
                extent = anchor.find(".//{*}xfrm/{*}ext")
            width, height = (
                _whole(extent.get(side)) / _EMU_PER_PIXEL if extent is not None else 0.0
                for side in ("cx", "cy")
            )
            texts = _texts(anchor)
            tables: tuple[Grid, ...] = ()
            for each in anchor.iter("{*}chart", "{*}relIds"):
                relation = relations.get(attribute(each, "id") or attribute(each, "dm"))
                if relation is None or relation.target not in self._package:
                    continue
                root = self._package.tree(relation.target)
                if relation.kind == "chart":
                    chart = read_chart(root, self._date1904)
                    texts += chart.titles
                    tables += chart.tables
                elif relation.kind == "diagramData":
                    texts += _texts(root)
            if texts or tables:
                self._count(sum(map(len, texts)))
                self._count_cells(sum(len(row) for rows in tables for row in rows))
                yield Drawn(row, column, width, height, texts=tuple(texts), tables=tables)
            for blip in anchor.iter("{*}blip"):
                relation = relations.get(attribute(blip, "embed"))
                if relation is not None and relation.target in self._package:
                    yield Drawn(row, column, width, height, part=relation.target)


_EMU_PER_PIXEL = 9525


def _texts(element: Any) -> list[str]:
    """The paragraphs of drawn text."""
    found = (
        "".join(run.text or "" for run in paragraph.iter("{*}t"))
        for paragraph in element.iter("{http://schemas.openxmlformats.org/drawingml/2006/main}p")
    )
    return [text for text in found if text.strip()]


def _string(element: Any) -> str:
    """The text of a string: of its runs, but not of what says how they are pronounced."""
    parts = []
    for each in element:
        tag = each.tag.rpartition("}")[2] if isinstance(each.tag, str) else ""
        if tag == "t":
            parts.append(each.text or "")
        elif tag == "r":
            parts += [run.text or "" for run in each.iterfind("{*}t")]
    return _unescaped("".join(parts))


_ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")


def _unescaped(text: str) -> str:
    """``text`` with the characters that Excel writes as ``_x000D_``."""
    if "_x" not in text:
        return text
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), text).replace("\r\n", "\n")


def _column(place: str) -> int:
    """The number of the column of a place such as AB12, from 0."""
    number = 0
    for letter in place:
        if not "A" <= letter <= "Z":
            break
        number = 26 * number + ord(letter) - 64
    if not 0 < number <= _MOST_COLUMNS:
        raise InvalidFile("The document is damaged.")
    return number - 1


_MOST_COLUMNS = 16_384
_RANGE = re.compile(r"\$?([A-Z]{1,3})\$?([0-9]{1,7}):\$?([A-Z]{1,3})\$?([0-9]{1,7})")


def _range(text: str) -> Range | None:
    match = _RANGE.fullmatch(text)
    if match is None:
        return None
    rows = sorted((int(match[2]) - 1, int(match[4]) - 1))
    columns = sorted((_column(match[1]), _column(match[3])))
    return Range(rows[0], columns[0], rows[1], columns[1])


def _pixels(width: str | None) -> float:
    """Of a column's width in figures of the usual font, which are 7 pixels wide."""
    try:
        return min(max(0.0, float(width or 0) * 7 + 5), 2000.0)
    except ValueError:
        return 64.0


def _whole(text: str | None, default: int = 0) -> int:
    return (
        int(text)
        if text and text.lstrip("-").isascii() and text.lstrip("-").isdigit()
        else (default)
    )


def _true(text: str | None) -> bool:
    return text in ("1", "true")


def _is_on(element: Any) -> bool:
    return element is not None and element.get("val", "1") not in ("0", "false")

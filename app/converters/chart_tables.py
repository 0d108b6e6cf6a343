"""Charts in Word and PowerPoint as tables of their values, where only the text matters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from lxml import etree

from app.converters.charts import Chart, read_chart
from app.package import Package, attribute

_A = "http://schemas.openxmlformats.org/drawingml/2006/main"
_P = "http://schemas.openxmlformats.org/presentationml/2006/main"
_W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"

# In points.
_USUAL, _SMALLEST = 10.0, 3.0  # Of letters.
_PAGE_WIDTH = 400.0
_LINE = 1.4  # Times their size, the height of a row.

_EMU_PER_POINT = 12700
_TWIPS_PER_POINT = 20


def tabulate(package: Package, part: str, root: Any) -> bool:
    """Put tables in the place of the charts below the ``root`` of ``part``, where they fit.

    Tells whether any was changed.
    """
    changed = False
    relations = package.relations(part)
    for each in list(root.iter("{http://schemas.openxmlformats.org/drawingml/2006/chart}chart")):
        relation = relations.get(attribute(each, "id"))
        if relation is None or relation.target not in package:
            continue
        chart = read_chart(package.tree(relation.target))
        if chart.tables:
            place = _in_slide if part.startswith("ppt/") else _in_text
            changed = place(each, chart) or changed
    return changed


def _in_text(element: Any, chart: Chart) -> bool:
    drawing = next(element.iterancestors(f"{{{_W}}}drawing"), None)
    paragraph = next(element.iterancestors(f"{{{_W}}}p"), None)
    if drawing is None or paragraph is None:
        return False
    sizes = [min(_USUAL, _PAGE_WIDTH / sum(_widths(rows))) for rows in chart.tables]
    if min(sizes) < _SMALLEST:
        return False
    for title in chart.titles:
        paragraph.addprevious(_paragraph(title, _USUAL))
    for rows, size in zip(chart.tables, sizes, strict=True):
        paragraph.addprevious(_table_of_text(rows, size))
        paragraph.addprevious(_paragraph("", _USUAL))  # Tables without one between are joined.
    holder = drawing.getparent()
    if holder.tag.endswith("}Choice"):  # What stands for it elsewhere goes as well.
        drawing = holder.getparent()
    drawing.getparent().remove(drawing)
    return True


def _table_of_text(rows: Sequence[Sequence[str]], size: float) -> Any:
    table = etree.Element(f"{{{_W}}}tbl")
    borders = _under(_under(table, "tblPr"), "tblBorders")
    for side in ("top", "left", "bottom", "right", "insideH", "insideV"):
        _under(borders, side, val="single", sz="4")
    grid = _under(table, "tblGrid")
    for width in _widths(rows):
        _under(grid, "gridCol", w=str(int(width * size * _TWIPS_PER_POINT)))
    for row in rows:
        line = _under(table, "tr")
        for text in row:
            _under(line, "tc").append(_paragraph(text, size))
    return table


def _paragraph(text: str, size: float) -> Any:
    paragraph = etree.Element(f"{{{_W}}}p")
    run = _under(paragraph, "r")
    _under(_under(run, "rPr"), "sz", val=str(int(2 * size)))
    _under(run, "t").text = text
    return paragraph


def _under(parent: Any, tag: str, **attributes: str) -> Any:
    named = {f"{{{_W}}}{name}": value for name, value in attributes.items()}
    return etree.SubElement(parent, f"{{{_W}}}{tag}", named)


def _in_slide(element: Any, chart: Chart) -> bool:
    frame = next(element.iterancestors(f"{{{_P}}}graphicFrame"), None)
    extent = frame.find(f"{{{_P}}}xfrm/{{{_A}}}ext") if frame is not None else None
    if extent is None:
        return False
    columns = max(len(row) for rows in chart.tables for row in rows)
    rows = [row for table in chart.tables for row in table]
    widths = _widths([(*row, *[""] * (columns - len(row))) for row in rows])
    width, height = (float(extent.get(side, 0)) / _EMU_PER_POINT for side in ("cx", "cy"))
    size = min(_USUAL, height / _LINE / (len(rows) + len(chart.titles)), width / sum(widths))
    if size < _SMALLEST:
        return False
    table = etree.Element(f"{{{_A}}}tbl")
    grid = etree.SubElement(table, f"{{{_A}}}tblGrid")
    for each in widths:
        across = width * each / sum(widths) * _EMU_PER_POINT
        etree.SubElement(grid, f"{{{_A}}}gridCol", w=str(int(across)))
    for title in chart.titles:
        table.append(_row_of_slide([title], columns, size))
    for row in rows:
        table.append(_row_of_slide(row, columns, size))
    data = element.getparent()
    data.remove(element)
    data.set("uri", "http://schemas.openxmlformats.org/drawingml/2006/table")
    data.append(table)
    return True


def _row_of_slide(texts: Sequence[str], columns: int, size: float) -> Any:
    row = etree.Element(f"{{{_A}}}tr", h=str(int(_LINE * size * _EMU_PER_POINT)))
    for number in range(columns):
        cell = etree.SubElement(row, f"{{{_A}}}tc")
        if len(texts) == 1 < columns:
            cell.set(*("hMerge", "1") if number else ("gridSpan", str(columns)))
        body = etree.SubElement(cell, f"{{{_A}}}txBody")
        etree.SubElement(body, f"{{{_A}}}bodyPr")
        run = etree.SubElement(etree.SubElement(body, f"{{{_A}}}p"), f"{{{_A}}}r")
        etree.SubElement(run, f"{{{_A}}}rPr", sz=str(int(100 * size)))
        text = etree.SubElement(run, f"{{{_A}}}t")
        text.text = texts[number] if number < len(texts) else ""
        around = etree.SubElement(cell, f"{{{_A}}}tcPr", marL="0", marR="0", marT="0", marB="0")
        for side in ("lnL", "lnR", "lnT", "lnB"):
            line = etree.SubElement(around, f"{{{_A}}}{side}", w="6350")
            fill = etree.SubElement(line, f"{{{_A}}}solidFill")
            etree.SubElement(fill, f"{{{_A}}}srgbClr", val="000000")
    return row


def _widths(rows: Sequence[Sequence[str]]) -> list[float]:
    """Of the columns, in sizes of letters, with some room; a long text takes several lines."""
    return [max(_lengths(column)) for column in zip(*rows, strict=True)]


def _lengths(texts: Sequence[str]) -> Iterator[float]:
    for text in texts:
        yield min(sum(0.6 if letter.isascii() else 1.0 for letter in text), _WIDEST) + 1.5


_WIDEST = 25.0

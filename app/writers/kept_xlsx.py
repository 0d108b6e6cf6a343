"""Workbooks that are given back: text in pictures as their description, and on a last sheet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lxml import etree
from openpyxl.utils import get_column_letter

from app.package import Package, attribute
from app.writers import kept
from app.writers.kept import Edit, child, described, relations_of
from app.writers.xlsx import XlsxWriter, escaped


class XlsxKeeper:
    """Gives workbooks back."""

    media_type = XlsxWriter.media_type

    def write(self, package: Path, texts: Mapping[str, str], target: Path) -> None:
        """Create ``target``."""
        kept.write(package, texts, target, _add)


_NAME = "Text in pictures"
_HEADS = ("Sheet", "Cell", "Text")
_LONGEST_CELL = 32_767


def _add(edit: Edit, texts: Mapping[str, str]) -> None:
    package = edit.package
    rows: list[tuple[str, str, str]] = []
    book = edit.tree(package.main)
    relations = package.relations(package.main)
    changed: dict[str, Any] = {}
    for sheet in book.iter("{*}sheet"):
        relation = relations.get(attribute(sheet, "id"))
        if sheet.get("state", "visible") != "visible" or relation is None:
            continue
        for drawing in package.relations(relation.target).values():
            if drawing.kind == "drawing" and drawing.target in package:
                words = {
                    number: texts[each.target]
                    for number, each in package.relations(drawing.target).items()
                    if each.target in texts
                }
                if not words:
                    continue
                root = changed.setdefault(drawing.target, edit.tree(drawing.target))
                for place, text in _describe(root, words):
                    rows.append((sheet.get("name", ""), place, text))
    if rows:
        for name, root in changed.items():
            edit.put(name, root)
        _add_sheet(edit, book, rows)


def _describe(root: Any, words: Mapping[str, str]) -> list[tuple[str, str]]:
    """Describe the pictures of a drawing; the cells they are at, and their texts."""
    found = []
    for anchor in root:
        for blip in anchor.iter("{*}blip"):
            text = words.get(attribute(blip, "embed"))
            if text is None:
                continue
            shape = kept.above(blip, "pic", "sp")
            for each in shape.iterfind("*/{*}cNvPr") if shape is not None else ():
                each.set("descr", described(each.get("descr", ""), text))
            found.append((_cell(anchor), text))
    return found


def _cell(anchor: Any) -> str:
    start = anchor.find("{*}from")
    numbers = (
        [start.findtext(f"{{*}}{side}") or "" for side in ("col", "row")]
        if (start is not None)
        else []
    )
    if not numbers or not all(number.strip().isdecimal() for number in numbers):
        return ""
    column, row = map(int, numbers)
    return f"{get_column_letter(column + 1)}{row + 1}" if column < 16_384 else ""


def _add_sheet(edit: Edit, book: Any, rows: list[tuple[str, str, str]]) -> None:
    package = edit.package
    namespace = book.tag.rpartition("}")[0] + "}"
    sheets = book.find("{*}sheets")
    folder = package.main.rpartition("/")[0]
    part = _unused(package, f"{folder}/worksheets/sheet" if folder else "worksheets/sheet")
    edit.put(part, _sheet(namespace, rows))

    name = relations_of(package.main)
    related = edit.tree(name)
    numbers = set(package.relations(package.main))
    number = next(f"rId{n}" for n in range(1, len(numbers) + 2) if f"rId{n}" not in numbers)
    kind = next(each.get("Type") for each in related if each.get("Type", "").endswith("/worksheet"))
    child(
        related,
        related.tag.rpartition("}")[0] + "}Relationship",
        Id=number,
        Type=kind,
        Target=f"/{part}",
    )
    edit.put(name, related)

    types = edit.tree("[Content_Types].xml")
    child(types, types.tag.rpartition("}")[0] + "}Override", PartName=f"/{part}", ContentType=_TYPE)
    edit.put("[Content_Types].xml", types)

    taken = {each.get("name", "").lower() for each in sheets}
    title = next(
        title
        for title in (_NAME, *(f"{_NAME} {n}" for n in range(2, len(taken) + 3)))
        if title.lower() not in taken
    )
    used = [int(each.get("sheetId", "0")) for each in sheets]
    added = child(sheets, f"{namespace}sheet", name=title, sheetId=str(max(used) + 1))
    # The namespace of relations differs between the two kinds of these files.
    (key,) = {
        key
        for each in sheets
        for key in each.attrib
        if str(key).endswith("}id") and "relationships" in str(key)
    }
    added.set(key, number)
    edit.put(package.main, book)


_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"


def _unused(package: Package, start: str) -> str:
    number = 1
    while f"{start}{number}.xml" in package:
        number += 1
    return f"{start}{number}.xml"


def _sheet(namespace: str, rows: list[tuple[str, str, str]]) -> Any:
    names: Any = {None: namespace.strip("{}")}
    root = etree.Element(f"{namespace}worksheet", nsmap=names)
    columns = child(root, f"{namespace}cols")
    for n, width in enumerate((20, 10, 80), 1):
        child(columns, f"{namespace}col", min=str(n), max=str(n), width=str(width), customWidth="1")
    data = child(root, f"{namespace}sheetData")
    for number, row in enumerate((_HEADS, *rows), 1):
        line = child(data, f"{namespace}row", r=str(number))
        for letter, text in zip("ABC", row, strict=True):
            cell = child(line, f"{namespace}c", r=f"{letter}{number}", t="inlineStr")
            content = child(child(cell, f"{namespace}is"), f"{namespace}t")
            content.text = escaped(text)[:_LONGEST_CELL]
            content.set("{http://www.w3.org/XML/1998/namespace}space", "preserve")
    return root

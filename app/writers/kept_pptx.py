"""Presentations that are given back: text in pictures as their description, and unseen on them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.package import attribute
from app.writers import kept
from app.writers.kept import Edit, above, child, described
from app.writers.pptx import PptxWriter


class PptxKeeper:
    """Gives presentations back."""

    media_type = PptxWriter.media_type

    def write(self, package: Path, texts: Mapping[str, str], target: Path) -> None:
        """Create ``target``."""
        kept.write(package, texts, target, _add)


def _add(edit: Edit, texts: Mapping[str, str]) -> None:
    package = edit.package
    size = edit.tree(package.main).find("{*}sldSz")
    slide_size = (
        (size.get("cx", "9144000"), size.get("cy", "6858000"))
        if size is not None
        else ("9144000", "6858000")
    )
    for each in package.relations(package.main).values():
        if each.kind != "slide" or each.target not in package:
            continue
        words = {
            number: texts[relation.target]
            for number, relation in package.relations(each.target).items()
            if relation.target in texts
        }
        if words:
            root = edit.tree(each.target)
            _describe(root, words, slide_size)
            edit.put(each.target, root)


def _describe(root: Any, words: Mapping[str, str], slide_size: tuple[str, str]) -> None:
    shapes = root.find(".//{*}spTree")
    if shapes is None:
        return
    numbers = [int(each.get("id", "0")) for each in root.iter("{*}cNvPr") if _is_number(each)]
    next_number = max(numbers, default=1) + 1
    for blip in list(root.iter("{*}blip")):
        number = attribute(blip, "embed")
        if number not in words or above(blip, "Fallback") is not None:
            continue
        shape = above(blip, "pic", "sp")
        if shape is not None:
            for each in shape.iterfind("*/{*}cNvPr"):
                each.set("descr", described(each.get("descr", ""), words[number]))
        box = _box(shapes, shape, words[number], next_number, slide_size)
        next_number += 1
        if shape is not None:
            # In the same group, whose measure it shares.
            _outermost(shape).addnext(box)
        else:
            shapes.append(box)


def _outermost(shape: Any) -> Any:
    """The shape, or what chooses between it and another for old programs."""
    choice = above(shape, "AlternateContent")
    return shape if choice is None else choice


def _is_number(element: Any) -> bool:
    number = str(element.get("id", ""))
    return number.isascii() and number.isdigit()


def _box(shapes: Any, shape: Any, text: str, number: int, slide_size: tuple[str, str]) -> Any:
    """A text box with letters that are not seen, where the picture is."""
    p = shapes.tag.rpartition("}")[0] + "}"
    a = _drawing_namespace(shapes)
    box = shapes.makeelement(f"{p}sp")
    about = child(box, f"{p}nvSpPr")
    child(about, f"{p}cNvPr", id=str(number), name=f"Text in picture {number}")
    child(child(about, f"{p}cNvSpPr"), f"{a}spLocks", noGrp="1")
    about[-1].set("txBox", "1")
    child(about, f"{p}nvPr")
    form = child(box, f"{p}spPr")
    place = shape.find("{*}spPr/{*}xfrm") if shape is not None else None
    placed = child(form, f"{a}xfrm")
    offset = place.find("{*}off") if place is not None else None
    extent = place.find("{*}ext") if place is not None else None
    left, top = (offset.get("x"), offset.get("y")) if offset is not None else ("0", "0")
    width, height = (extent.get("cx"), extent.get("cy")) if extent is not None else slide_size
    child(placed, f"{a}off", x=left, y=top)
    child(placed, f"{a}ext", cx=width, cy=height)
    child(child(form, f"{a}prstGeom", prst="rect"), f"{a}avLst")
    child(form, f"{a}noFill")
    body = child(box, f"{p}txBody")
    child(child(body, f"{a}bodyPr", wrap="square"), f"{a}normAutofit")
    child(body, f"{a}lstStyle")
    for line in text.splitlines():
        run = child(child(body, f"{a}p"), f"{a}r")
        letters = child(run, f"{a}rPr", sz="800")
        colour = child(child(letters, f"{a}solidFill"), f"{a}srgbClr", val="000000")
        child(colour, f"{a}alpha", val="0")
        child(run, f"{a}t").text = line
    return box


_DRAWING = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_STRICT_DRAWING = "{http://purl.oclc.org/ooxml/drawingml/main}"


def _drawing_namespace(shapes: Any) -> str:
    return _STRICT_DRAWING if "purl.oclc.org" in shapes.tag else _DRAWING

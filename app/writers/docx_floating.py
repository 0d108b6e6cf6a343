"""Pictures in Word that stand at a place of the page, with text beside or on them."""

from __future__ import annotations

from typing import Any

from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shape import InlineShape
from docx.shared import Pt

from app.document import Page, Picture


def hang(shape: InlineShape, picture: Picture, page: Page, covered: bool) -> None:
    """Take a picture out of its line to where it stood; behind the text if that ``covered`` it."""
    inline: Any = shape._inline
    anchor = OxmlElement("wp:anchor")
    for name, value in {
        "distT": "0",
        "distB": "0",
        "distL": "57150",
        "distR": "57150",
        "simplePos": "0",
        "relativeHeight": "2",
        "behindDoc": "1" if covered else "0",
        "locked": "0",
        "layoutInCell": "1",
        "allowOverlap": "1",
    }.items():
        anchor.set(name, value)
    place = OxmlElement("wp:simplePos")
    place.set("x", "0")
    place.set("y", "0")
    anchor.append(place)
    scale = 72 / page.dpi
    for axis, offset in (("H", picture.box.left), ("V", picture.box.top)):
        position = OxmlElement(f"wp:position{axis}")
        position.set("relativeFrom", "page")
        distance = OxmlElement("wp:posOffset")
        distance.text = str(int(Pt(max(0.0, offset * scale))))
        position.append(distance)
        anchor.append(position)
    extent = inline.find(qn("wp:extent"))
    rest = [child for child in inline if child is not extent]
    anchor.append(extent)
    small = picture.box.width * picture.box.height < _SMALL * page.width * page.height
    if covered or small:
        wrap = OxmlElement("wp:wrapNone")
    else:
        wrap = OxmlElement("wp:wrapSquare")
        wrap.set("wrapText", "bothSides")
    anchor.append(wrap)
    for child in rest:
        anchor.append(child)
    inline.getparent().replace(inline, anchor)


_SMALL = 0.03  # Of the page; lines that such a picture would push aside look worse.

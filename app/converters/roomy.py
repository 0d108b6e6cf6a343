"""Documents of which only the text matters: boxes have room for it, charts and signs are text."""

from __future__ import annotations

import re
import shutil
import zipfile
from pathlib import Path
from typing import Any

from lxml import etree

from app.converters.chart_tables import tabulate
from app.converters.word_formulas import write_out
from app.converters.word_signs import spell_out
from app.errors import AppError
from app.package import Package, open_package, parse


def make_roomy(source: Path, target: Path) -> Path:
    """``source``, or a copy whose charts are tables, and whose boxes grow with their text."""
    try:
        with open_package(source) as package:
            changed = {
                part.filename: data
                for part in package.archive.infolist()
                if _HOLDS_BOXES.fullmatch(part.filename)
                and part.file_size <= _MAX_BYTES
                and (data := _changed(package, part.filename)) is not None
            }
            if not changed:
                return source
            with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as copy:
                for part in {part.filename: part for part in package.archive.infolist()}.values():
                    if part.filename in changed:
                        copy.writestr(part.filename, changed[part.filename])
                    elif not part.is_dir():
                        with (
                            package.archive.open(part) as file,
                            copy.open(part.filename, "w") as written,
                        ):
                            shutil.copyfileobj(file, written, 2**20)
            return target
    except AppError:  # LibreOffice may make something of it.
        return source


_HOLDS_BOXES = re.compile(r"(?:word/(?:document|header\d*|footer\d*)|ppt/slides/slide\d+)\.xml")
_MATTERS = re.compile(
    rb"bodyPr|2006/chart|:oMath|:sym |:checkBox|[\"'](?:Wing|Web)dings|[\"']Symbol[\"']"
)
_MAX_BYTES = 64 * 2**20
_A = "http://schemas.openxmlformats.org/drawingml/2006/main"


def _changed(package: Package, part: str) -> bytes | None:
    data = package.read(part)
    if not _MATTERS.search(data):
        return None
    root = parse(data)
    changed = tabulate(package, part, root)
    if part.startswith("word/"):
        changed = any([changed, spell_out(root), write_out(root)])
    # On a slide, boxes that grow would leave it; there LibreOffice makes letters smaller.
    for each in root.iter("{*}bodyPr") if part.startswith("word/") else ():
        changed = _grows(each) or changed
    for shape in root.iter("{http://schemas.openxmlformats.org/presentationml/2006/main}sp"):
        changed = _is_placed(shape) or changed
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8") if changed else None


def _grows(body: Any) -> bool:
    """Let a box be as high as its text."""
    fits = {f"{{{_A}}}{name}" for name in ("noAutofit", "normAutofit", "spAutoFit")}
    found = [each for each in body if each.tag in fits]
    if any(each.tag != f"{{{_A}}}noAutofit" for each in found):
        return False
    for each in found:
        body.remove(each)
    # What else may stand here comes after it, but for the warp of the letters.
    first = body.find(f"{{{_A}}}prstTxWarp")
    grow = body.makeelement(f"{{{_A}}}spAutoFit")
    body.insert(0 if first is None else 1, grow)
    return True


def _is_placed(shape: Any) -> bool:
    """Give a shape a place that has none of its own and takes none from the slide's layout."""
    form = shape.find("{*}spPr")
    if (
        form is None
        or form.find(f"{{{_A}}}xfrm") is not None
        or shape.find("{*}nvSpPr/{*}nvPr/{*}ph") is not None
        or shape.find("{*}txBody") is None
    ):
        return False
    place = form.makeelement(f"{{{_A}}}xfrm")
    etree.SubElement(place, f"{{{_A}}}off", {"x": "0", "y": "0"})
    etree.SubElement(place, f"{{{_A}}}ext", {"cx": "9144000", "cy": "914400"})
    form.insert(0, place)
    return True

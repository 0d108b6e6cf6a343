"""PDF: the pages as they were, with an invisible text layer under them."""

import shutil
import zlib
from pathlib import Path
from typing import Any

import pikepdf

from app.document import Document, Page
from app.writers import pdf_pictures, pdf_update
from app.writers.pdf_file import PdfFile
from app.writers.pdf_page import (
    SILENT,
    SILENT_END,
    Resources,
    box_of,
    check_written,
    copied,
    foreign,
    in_points,
    matrix,
    parts_of,
    turns_of,
    without_unseen_text,
)
from app.writers.pdf_text import FONT_NAME, TextLayer


class PdfWriter:
    """Writes searchable PDF."""

    media_type = "application/pdf"
    looks = False
    exact = True
    retells = False  # The source has it already.

    def write(self, document: Document, target: Path) -> None:
        """Create ``target`` from the document's PDF, or else from the pictures of its pages.

        Raises InvalidFile.
        """
        if document.original is None:
            _from_pictures(document, target)
        else:
            _onto_original(document, document.original, target)


def _from_pictures(document: Document, target: Path) -> None:
    layer = TextLayer()
    with target.open("wb") as stream:
        file = PdfFile(stream)
        font = file.reserve()
        for page in document.pages:
            _add_page(file, page, layer, font)
        layer.add_font(file, font)
        file.close()


def _add_page(file: PdfFile, page: Page, layer: TextLayer, font: str) -> None:
    width, height, place = in_points(page)
    resources = f"/Font <</{FONT_NAME} {font}>>"
    content = layer.content(page, place)
    if page.picture is not None:
        picture = pdf_pictures.embed(file, page.picture)
        resources += f" /XObject <</Picture {picture}>>"
        content = f"q {width:f} 0 0 {height:f} 0 0 cm /Picture Do Q\n".encode("ascii") + content
    packed = zlib.compress(content)
    contents = file.add_stream("/Filter /FlateDecode", [packed], len(packed))
    file.add_page(
        f"/MediaBox [0 0 {width:f} {height:f}] /Contents {contents} /Resources <<{resources}>>"
    )


def _onto_original(document: Document, original: Path, target: Path) -> None:
    with foreign():
        opened = pikepdf.open(original)
    with opened as pdf:
        layer = TextLayer()
        font = pdf.make_indirect(pikepdf.Dictionary())
        resources = Resources(pdf, font)
        changed: list[pikepdf.Object] = []
        for page in document.pages:
            if page.new_lines:
                with foreign():
                    changed += _add_text(pdf, page, layer, resources)
        if not changed:
            shutil.copyfile(original, target)
            return
        with foreign():
            for key, value in copied(pdf, layer.add_font).items():
                font[key] = value
            changed += [*resources.copies, *_below(font)]
            if not pdf_update.append(pdf, original, changed, target):
                _rewrite(pdf, target)
                check_written(target, len(pdf.pages))


def _rewrite(pdf: pikepdf.Pdf, target: Path) -> None:
    """Write the PDF anew; streams are copied as they stand, so that nothing is packed anew."""
    pdf.save(
        target,
        compress_streams=False,
        stream_decode_level=pikepdf.StreamDecodeLevel.none,
        object_stream_mode=pikepdf.ObjectStreamMode.preserve,
        deterministic_id=True,
    )


def _below(found: pikepdf.Object) -> list[pikepdf.Object]:
    """An indirect object of ours, and those that it refers to."""
    known: dict[tuple[int, int], pikepdf.Object] = {}

    def walk(each: Any) -> None:
        if not isinstance(each, pikepdf.Object):
            return
        if each.is_indirect:
            if each.objgen in known:
                return
            known[each.objgen] = each
        if isinstance(each, pikepdf.Array):
            for item in list(each):
                walk(item)
        elif isinstance(each, pikepdf.Dictionary | pikepdf.Stream):
            for _, item in each.items():
                walk(item)

    walk(found)
    return list(known.values())


def _add_text(
    pdf: pikepdf.Pdf, page: Page, layer: TextLayer, resources: Resources
) -> list[pikepdf.Object]:
    """Give the page its text; the objects that are new or changed."""
    target = pdf.pages[page.number - 1].obj
    name = resources.add(target)
    place = matrix(box_of(target), (turns_of(target) - page.turns) % 4, page)
    content = layer.content(page, place, name, [("", page.new_lines)])
    packed = pikepdf.Stream(pdf, zlib.compress(content), Filter=pikepdf.Name.FlateDecode)
    parts = parts_of(target)
    new: list[pikepdf.Object] = [target, packed]
    if len(page.new_lines) == len(page.lines):
        without, speaks = without_unseen_text(pdf.pages[page.number - 1])
        if without is not None:
            parts = [pikepdf.Stream(pdf, zlib.compress(without), Filter=pikepdf.Name.FlateDecode)]
            new += parts
        if speaks:
            begin, end = pikepdf.Stream(pdf, SILENT), pikepdf.Stream(pdf, SILENT_END)
            parts = [begin, *parts, end]
            new += [begin, end]
    # The text comes first: whatever graphics state the page's own content leaves behind, even
    # with an unbalanced q or Q, cannot move it; and it is balanced itself.
    target.Contents = pikepdf.Array([packed, *parts])
    return new

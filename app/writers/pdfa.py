"""PDF/A-2: the searchable PDF for archives, and what it says, as a tree that can be read aloud."""

import logging
import re
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

import numpy as np
import pikepdf
from numpy.typing import NDArray
from pikepdf.models.metadata import decode_pdf_date
from PIL import Image

from app.document import Document, Page
from app.errors import InvalidFile
from app.writers import pdf_pictures
from app.writers.pdf_file import PdfFile
from app.writers.pdf_page import (
    SILENT,
    SILENT_END,
    Resources,
    box_of,
    check_written,
    foreign,
    in_points,
    matrix,
    parts_of,
    turns_of,
    without_unseen_text,
)
from app.writers.pdf_tags import OpenedObjects, StreamedObjects, StructureTree, Tagged
from app.writers.pdf_text import FONT_NAME, Mark, TextLayer
from app.writers.pdfa_check import PageCheck
from app.writers.pdfa_parts import OUTPUT_INTENT, About, srgb, xmp
from app.writers.pdfa_tidy import tidy

log = logging.getLogger(__name__)


class ArchivalPdfWriter:
    """Writes searchable PDF/A-2."""

    media_type = "application/pdf"
    looks = True
    exact = True
    retells = True

    def write(self, document: Document, target: Path) -> None:
        """Create ``target`` from the document's PDF, or else from the pictures of its pages.

        Pages of a PDF that may not stay as they are become their pictures. Raises InvalidFile.
        """
        if document.original is None:
            _from_pictures(document, target)
        else:
            _from_original(document, document.original, target)


_SMALLEST_POINTS = 3.0  # The shortest side of a page that PDF/A allows.


def _from_pictures(document: Document, target: Path) -> None:
    layer = TextLayer(archival=True)
    with target.open("wb") as stream:
        file = PdfFile(stream)
        font = file.reserve()
        tree = StructureTree(StreamedObjects(file))
        for page in document.pages:
            _add_page(file, page, layer, font, tree)
        layer.add_font(file, font)
        metadata = xmp("A" if layer.is_public else "U", About())
        said = file.add_stream("/Type /Metadata /Subtype /XML", [metadata], len(metadata))
        profile = file.add_stream("/N 3", [srgb()], len(srgb()))
        language = f" /Lang ({document.languages[0]})" if document.languages else ""
        file.close(
            f" /Metadata {said} /OutputIntents [<<{OUTPUT_INTENT} /DestOutputProfile {profile}>>]"
            f" /MarkInfo <</Marked true>> /StructTreeRoot {tree.close()}{language}",
            identified=True,
        )


def _add_page(file: PdfFile, page: Page, layer: TextLayer, font: str, tree: StructureTree) -> None:
    width, height, place = in_points(page, _SMALLEST_POINTS)
    resources = f"/Font <</{FONT_NAME} {font}>>"
    tagged = tree.tag(page)
    content = layer.content(page, place, marks=tagged.marks)
    if page.picture is not None:
        picture = pdf_pictures.embed(file, page.picture)
        resources += f" /XObject <</Picture {picture}>>"
        content = _drawn(f"{width:f} 0 0 {height:f} 0 0") + content
    packed = zlib.compress(content)
    contents = file.add_stream("/Filter /FlateDecode", [packed], len(packed))
    reference = file.add_page(
        f"/MediaBox [0 0 {width:f} {height:f}] /Contents {contents} /Resources <<{resources}>>"
        f" /StructParents {tagged.key}"
    )
    tree.add(reference, tagged)


def _drawn(place: str) -> bytes:
    """Draws a page's picture, which says nothing that its text does not."""
    return f"/Artifact BMC q {place} cm /Picture Do Q EMC\n".encode("ascii")


def _from_original(document: Document, original: Path, target: Path) -> None:
    with foreign():
        opened = pikepdf.open(original)
    with TemporaryFile(dir=target.parent) as made, opened as pdf:
        with foreign():
            archive = _Archive(pdf, made)
        for page in document.pages:
            with foreign():
                archive.add(page)
        with foreign():
            archive.close(document.languages)
            pdf.save(
                target,
                stream_decode_level=pikepdf.StreamDecodeLevel.none,
                object_stream_mode=pikepdf.ObjectStreamMode.generate,
                force_version="1.7",
                deterministic_id=True,
            )
            check_written(target, len(pdf.pages))


class _Archive:
    """A foreign PDF on its way to PDF/A; what is made for it waits in a file."""

    def __init__(self, pdf: pikepdf.Pdf, made: BinaryIO) -> None:
        self._pdf = pdf
        self._made = made
        self._file = PdfFile(made)
        self._about = _about(pdf)
        self._tree = StructureTree(OpenedObjects(pdf))
        self._layer = TextLayer(archival=True)
        self._font = pdf.make_indirect(pikepdf.Dictionary())
        self._resources = Resources(pdf, self._font)
        self._check = PageCheck()
        # Pages whose text is ours, or that have none; that text; their structure.
        self._ours: list[tuple[pikepdf.Object, pikepdf.Stream, Tagged]] = []
        self._pictured: list[pikepdf.Object] = []
        self._lacking = tidy(pdf)

    def add(self, page: Page) -> None:
        """Let the page stay as it is, or make it its picture; give it its text if it needs it."""
        sheet = self._pdf.pages[page.number - 1]
        new, lines = page.new_lines, page.lines
        speaks = False
        if new and len(new) == len(lines):
            kept, speaks = without_unseen_text(sheet)
            if kept is not None:
                sheet.obj.Contents = self._stream(kept)
        fault = self._check.fault(sheet.obj)
        if page.number in self._lacking:
            fault = "a note or field that cannot be made a part of it"
        if fault is not None:
            log.info("page %d becomes its picture: %s", page.number, fault)
            self._picture(sheet.obj, page)
        elif speaks:  # What it says is not what it shows.
            begin, end = self._stream(SILENT), self._stream(SILENT_END)
            sheet.obj.Contents = pikepdf.Array([begin, *parts_of(sheet.obj), end])
        if fault is not None or len(new) == len(lines):
            self._add_text(sheet.obj, page)
        elif new:
            self._add_lines(sheet.obj, page, [("", new)])

    def close(self, languages: tuple[str, ...]) -> None:
        """Complete the document: its structure, if there is one for all pages, and its claims."""
        root, pages = self._pdf.Root, len(self._pdf.pages)
        is_ours = len(self._ours) == pages and not self._check.marked
        if is_ours:
            for sheet, _, tagged in self._ours:
                self._structure(sheet, tagged)
            root.StructTreeRoot = self._tree.close()
            root.MarkInfo = pikepdf.Dictionary(Marked=True)
            if not _LANGUAGE.fullmatch(str(root.get("/Lang", ""))):
                root.Lang = pikepdf.String(languages[0] if languages else "")
        else:
            for _, text, _ in self._ours:
                text.write(_MARK.sub(b"", text.read_bytes()))
            if self._pictured:  # A tree that lacks pages is worse than none.
                for key in ("/StructTreeRoot", "/MarkInfo"):
                    if key in root:
                        del root[key]
        self._bring()
        is_public = self._check.is_public and self._layer.is_public
        level = "U" if self._check.speaks else "B"
        if level == "U" and is_ours and is_public:
            level = "A"
        root.Metadata = self._pdf.make_stream(
            xmp(level, self._about), Type=pikepdf.Name.Metadata, Subtype=pikepdf.Name.XML
        )
        intent = pikepdf.Object.parse(f"<<{OUTPUT_INTENT}>>".encode())
        intent.DestOutputProfile = self._pdf.make_stream(srgb(), N=3)
        root.OutputIntents = pikepdf.Array([intent])

    def _bring(self) -> None:
        """Take over the pictures and the font."""
        self._keep(self._layer.add_font(self._file))
        self._file.close()
        with pikepdf.open(self._made) as source:
            *pictures, font = (self._pdf.copy_foreign(page.obj.Made) for page in source.pages)
        for sheet, picture in zip(self._pictured, pictures, strict=True):
            sheet.Resources.XObject.Picture = picture
        for key, value in font.items():
            self._font[key] = value

    def _keep(self, reference: str) -> None:
        self._file.add_page(f"/MediaBox [0 0 1 1] /Made {reference}")

    def _add_text(self, sheet: pikepdf.Object, page: Page) -> None:
        tagged = self._tree.tag(page)
        text = self._add_lines(sheet, page, tagged.marks)
        self._ours.append((sheet, text, replace(tagged, marks=())))

    def _add_lines(
        self, sheet: pikepdf.Object, page: Page, marks: Sequence[Mark]
    ) -> pikepdf.Stream:
        name = self._resources.add(sheet)
        place = matrix(box_of(sheet), (turns_of(sheet) - page.turns) % 4, page)
        text = self._stream(self._layer.content(page, place, name, marks))
        # Before the page's own content, which may leave any state behind.
        sheet.Contents = pikepdf.Array([text, *parts_of(sheet)])
        return text

    def _picture(self, sheet: pikepdf.Object, page: Page) -> None:
        if page.load is None:
            raise InvalidFile(f"Page {page.number} cannot be shown.")
        self._keep(pdf_pictures.embed(self._file, _packed(page.load())))
        self._pictured.append(sheet)
        left, bottom, right, top = box_of(sheet)
        most = max(right - left, top - bottom)
        if min(right - left, top - bottom) < _SMALLEST_POINTS or most > _LARGEST_POINTS:
            shrink = min(1.0, _LARGEST_POINTS / most)
            sides = (right - left) * shrink, (top - bottom) * shrink
            left, bottom, (right, top) = 0, 0, (max(side, _SMALLEST_POINTS) for side in sides)
            if "/Annots" in sheet:  # Its links would lie elsewhere.
                del sheet["/Annots"]
        sheet.MediaBox = pikepdf.Array([left, bottom, right, top])
        for key in ("/CropBox", "/TrimBox", "/BleedBox", "/ArtBox", "/Group"):
            if key in sheet:
                del sheet[key]
        whole = Page(page.number, 1, 1, page.dpi, (), recognized=False)
        place = matrix((left, bottom, right, top), turns_of(sheet), whole)
        sheet.Resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary())
        sheet.Contents = self._stream(_drawn(place))

    def _structure(self, sheet: pikepdf.Object, tagged: Tagged) -> None:
        """Add the page to the structure; what it draws beside its text says nothing."""
        links = sheet.get("/Annots", pikepdf.Array())
        for number, link in enumerate(list(links)):
            if not link.is_indirect:
                links[number] = self._pdf.make_indirect(link)
        sheet.StructParents = tagged.key
        self._tree.add(sheet, tagged, list(links))
        text, *others = parts_of(sheet)
        if others:
            begin, end = self._stream(b"/Artifact BMC\n"), self._stream(b"\nEMC\n")
            sheet.Contents = pikepdf.Array([text, begin, *others, end])

    def _stream(self, content: bytes) -> pikepdf.Stream:
        return self._pdf.make_stream(content)


_LARGEST_POINTS = 14_400.0
_LANGUAGE = re.compile("[a-zA-Z]{1,8}(-[a-zA-Z0-9]{1,8})*")
_MARK = re.compile(rb"^(?:/\w+ <<.*>>BDC|EMC)\n", re.MULTILINE)


def _packed(pixels: NDArray[np.uint8]) -> BytesIO:
    """The picture as a file: without loss, unless that takes much more room."""
    image = Image.fromarray(pixels)
    if (np.ptp(pixels, axis=2) == 0).all():
        image = image.convert("L")
    exact, lossy = BytesIO(), BytesIO()
    image.save(exact, "PNG")
    image.save(lossy, "JPEG", quality=_QUALITY)
    return exact if exact.tell() < _WORTH * lossy.tell() else lossy


_QUALITY = 85
_WORTH = 1.5  # How many times the room of a JPEG a picture without loss may take.


def _about(pdf: pikepdf.Pdf) -> About:
    """What a PDF says about itself; old and new ways of saying it."""
    said: dict[str, str] = {}
    with suppress(Exception):  # It may be as damaged as any XML.
        metadata = pdf.open_metadata()
        for key, name in _OLD_NAMES.items():
            value = metadata.get(name, "")
            said[key] = value if isinstance(value, str) else "; ".join(value)
    info = pdf.trailer.get("/Info")
    if isinstance(info, pikepdf.Dictionary):
        for key in _OLD_NAMES:
            if isinstance(value := info.get(key), pikepdf.String) and str(value).strip():
                said[key] = str(value)
        with suppress(ValueError):
            said["/CreationDate"] = decode_pdf_date(str(info.get("/CreationDate"))).isoformat()
    texts = {key: _CONTROL.sub(" ", value).strip() for key, value in said.items()}
    return About(*(texts.get(key, "") for key in (*_OLD_NAMES, "/CreationDate")))


_OLD_NAMES = {
    "/Title": "dc:title",
    "/Author": "dc:creator",
    "/Subject": "dc:description",
    "/Keywords": "pdf:Keywords",
    "/Creator": "xmp:CreatorTool",
}
_CONTROL = re.compile("[\0-\x1f\ud800-\udfff\ufffe\uffff]")

import io
import os
import shutil
import threading
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import docx
import openpyxl
import PIL.Image
import pptx
import pytest
from msoffcrypto.format.ooxml import OOXMLFile

from app import sandbox
from app.converters import ooxml
from app.converters.image import ImageConverter
from app.converters.office import OfficeConverter
from app.converters.office_program import OfficeProgram
from app.converters.pdf import PdfConverter
from app.converters.roomy import make_roomy
from app.errors import EncryptedDocument, InvalidFile, TooLarge
from app.interfaces import Converter, Keepsake

needs_libreoffice = pytest.mark.skipif(
    shutil.which("soffice") is None and "CI" not in os.environ, reason="needs LibreOffice"
)


IMAGES: Converter = ImageConverter(max_pixels=40_000_000, max_pages=20)


@pytest.fixture(scope="module")
def converter() -> Iterator[Converter]:
    """One for all tests, and one LibreOffice."""
    pdf: Converter = PdfConverter(max_pixels=40_000_000, max_pages=20, page_timeout_s=30)
    program = OfficeProgram(timeout_s=100, max_pages=20)
    with closing(OfficeConverter(pdf, IMAGES, program)) as converter:
        yield converter


def texts(converter: Converter, path: Path, password: str | None = None) -> list[list[str]]:
    """The lines of each page."""
    work = path.parent / f"{path.name}-work"
    work.mkdir()
    with converter.open(path, work, password) as source:
        assert not isinstance(source, Keepsake)
        assert source.original is not None
        assert source.original.read_bytes().startswith(b"%PDF-")
        return [[line.text for line in page.lines or ()] for page in source.pages()]


def word(path: Path, text: str = "Hello from Word") -> Path:
    document = docx.Document()
    document.add_paragraph(text)
    document.save(str(path))
    return path


def protect(path: Path, password: str) -> Path:
    data = io.BytesIO(path.read_bytes())
    with path.open("wb") as target:
        OOXMLFile(data).encrypt(password, target)
    return path


@needs_libreoffice
def test_word(converter: Converter, tmp_path: Path) -> None:
    """The text comes with no recognition, whatever the file is called."""
    assert texts(converter, word(tmp_path / "a.jpg")) == [["Hello from Word"]]


@needs_libreoffice
def test_excel(converter: Converter, tmp_path: Path) -> None:
    """Each sheet is a page."""
    book = openpyxl.Workbook()
    with closing(book):
        book.worksheets[0]["A1"] = "First sheet"
        book.create_sheet()["B2"] = 42
        book.save(tmp_path / "a")

    assert texts(converter, tmp_path / "a") == [["First sheet"], ["42"]]


@needs_libreoffice
def test_hidden_sheets(converter: Converter, tmp_path: Path) -> None:
    """Those that have no page are named, some of them."""
    with closing(openpyxl.Workbook()) as book:
        book.worksheets[0]["A1"] = "First sheet"
        for number in range(30):
            book.create_sheet(f"S{number}").sheet_state = "hidden"
        book.save(tmp_path / "a")

    with converter.open(tmp_path / "a", tmp_path, None) as source:
        assert not isinstance(source, Keepsake)
        assert source.page_count == 1
        (told,) = source.left_out

    assert told.startswith("hidden sheets: S0, S1, ")
    assert told.endswith(", S19, and 10 more")


@needs_libreoffice
def test_powerpoint(converter: Converter, tmp_path: Path) -> None:
    """Each slide is a page."""
    slides = pptx.Presentation()
    for title in ("One", "Two"):
        slide = slides.slides.add_slide(slides.slide_layouts[5])
        assert slide.shapes.title is not None
        slide.shapes.title.text = title
    slides.save(str(tmp_path / "a"))

    assert texts(converter, tmp_path / "a") == [["One"], ["Two"]]


def unplaced(path: Path) -> Path:
    """A presentation with text in a shape that is nowhere."""
    slides = pptx.Presentation()
    box = slides.slides.add_slide(slides.slide_layouts[6]).shapes.add_textbox(0, 0, 99, 99)
    box.text_frame.text = "Text in a shape"
    box._element.spPr.remove(box._element.spPr.xfrm)
    slides.save(str(path))
    return path


@needs_libreoffice
def test_shapes_without_a_place(converter: Converter, tmp_path: Path) -> None:
    """Where only the text matters, their text is not a letter on each line."""
    path = unplaced(tmp_path / "a")

    with converter.open(path, tmp_path, None, "txt") as source:
        assert not isinstance(source, Keepsake)
        (page,) = source.pages()

    assert [line.text for line in page.lines or ()] == ["Text in a shape"]


def test_boxes_grow(tmp_path: Path) -> None:
    """Those of Word that would cut their text off; other parts stay."""
    path = word(tmp_path / "a.docx")
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name).decode("latin-1") for name in archive.namelist()}
    space = "http://schemas.openxmlformats.org/drawingml/2006/main"
    bodies = f'<a:bodyPr xmlns:a="{space}"><a:noAutofit/></a:bodyPr>' * 2
    parts["word/document.xml"] = parts["word/document.xml"].replace(
        "<w:sectPr", f"{bodies}<w:sectPr"
    )
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name, text.encode("latin-1"))

    with zipfile.ZipFile(make_roomy(path, tmp_path / "b")) as archive:
        changed = {name for name in parts if archive.read(name) != parts[name].encode("latin-1")}
        assert archive.read("word/document.xml").count(b"spAutoFit") == 2

    assert changed == {"word/document.xml"}


@needs_libreoffice
def test_password(converter: Converter, tmp_path: Path) -> None:
    """The right password opens the document."""
    path = protect(word(tmp_path / "a.docx"), "pässword密")

    assert texts(converter, path, "pässword密") == [["Hello from Word"]]


@needs_libreoffice
def test_password_that_office_chose_itself(converter: Converter, tmp_path: Path) -> None:
    """Nobody is asked for it."""
    path = protect(word(tmp_path / "a.docx"), "VelvetSweatshop")

    assert texts(converter, path) == [["Hello from Word"]]


def test_missing_and_wrong_password_are_told_apart(converter: Converter, tmp_path: Path) -> None:
    """The caller learns what to do."""
    path = protect(word(tmp_path / "a.docx"), "right")

    with (
        pytest.raises(EncryptedDocument, match=r"^The document is protected: send its password"),
        converter.open(path, tmp_path, None),
    ):
        pass
    with (
        pytest.raises(EncryptedDocument, match=r"^The password is wrong"),
        converter.open(path, tmp_path, "left"),
    ):
        pass


@needs_libreoffice
def test_nothing_is_loaded_from_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither with the references removed nor, if one is missed, by the program's settings."""
    monkeypatch.setattr(sandbox, "strongest", lambda: sandbox.WALLS[-1])
    pdf: Converter = PdfConverter(max_pixels=40_000_000, max_pages=20, page_timeout_s=30)
    with (
        _listener() as (address, requests),
        closing(OfficeConverter(pdf, IMAGES, OfficeProgram(timeout_s=100))) as converter,
    ):
        path = _with_linked_picture(tmp_path, f"{address}/picture.png")

        assert texts(converter, path) == [["Hello from Word"]]
        monkeypatch.setattr(
            "app.converters.office.make_harmless", lambda source, target, most: source
        )
        shutil.copy(path, tmp_path / "again.docx")
        assert texts(converter, tmp_path / "again.docx") == [["Hello from Word"]]

    assert requests == []


def test_external_references_are_removed(tmp_path: Path) -> None:
    """Pictures, objects and templates go; hyperlinks and inner parts stay."""
    kinds = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    kept = [
        f'<Relationship Id="a" Type="{kinds}/image" Target="media/a.png"/>',
        f"<Relationship Id='b' Type='{kinds}/hyperlink' Target='http://x/' TargetMode='External'/>",
    ]
    gone = [
        f'<Relationship Id="c" Type="{kinds}/image" Target="http://x/" TargetMode="External"/>',
        f'<Relationship TargetMode = "External" Type="{kinds}/oleObject" Target="file:///etc/x"/>',
        f'<Relationship Type="{kinds}/attachedTemplate" Target="a>b" TargetMode="&#69;xternal"/>',
        f'<r:Relationship Target="Type=\'/hyperlink\'" Type="{kinds}/x" TargetMode="external"/>',
    ]
    path = _archive(
        tmp_path / "a", {"_rels/.rels": f"<Relationships>{''.join(kept + gone)}</Relationships>"}
    )

    result = ooxml.make_harmless(path, tmp_path / "b", ooxml.Unpacked())

    with zipfile.ZipFile(result) as archive:
        text = archive.read("_rels/.rels").decode()
        assert archive.read("other.xml") == b"<other/>"
    assert all(element in text for element in kept)
    assert text.count("Relationship ") == len(kept)


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE x [<!ENTITY e "External">]><Relationships><Relationship TargetMode="&e;"/>',
        '<?xml version="1.0" encoding="utf-7"?><Relationships/>',
    ],
)
def test_relationships_with_tricks_are_emptied(tmp_path: Path, text: str) -> None:
    """What could be spelled so that only LibreOffice understands it is not let through."""
    path = _archive(tmp_path / "a", {"_rels/.rels": text})

    result = ooxml.make_harmless(path, tmp_path / "b", ooxml.Unpacked())

    with zipfile.ZipFile(result) as archive:
        assert b"External" not in archive.read("_rels/.rels")


def test_files_without_external_references_stay_as_they_are(tmp_path: Path) -> None:
    """Nothing is copied without need."""
    path = word(tmp_path / "a.docx")

    assert ooxml.make_harmless(path, tmp_path / "b", ooxml.Unpacked()) == path


def test_bombs(converter: Converter, tmp_path: Path) -> None:
    """A part that is packed too tightly is refused before anything unpacks it."""
    path = word(tmp_path / "a.docx")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/bomb.xml", bytes(11 * 2**20))

    with pytest.raises(TooLarge), converter.open(path, tmp_path, None):
        pass


def test_total_size(tmp_path: Path) -> None:
    """All parts together are bounded too."""
    with pytest.raises(TooLarge):
        ooxml.make_harmless(
            word(tmp_path / "a.docx"), tmp_path / "b", ooxml.Unpacked(max_bytes=1000)
        )


@needs_libreoffice
def test_damaged_document(converter: Converter, tmp_path: Path) -> None:
    """An archive that only looks like a document is an invalid file."""
    path = word(tmp_path / "a.docx")
    with zipfile.ZipFile(path) as archive:
        types = archive.read("[Content_Types].xml").decode()
    _archive(path, {"[Content_Types].xml": types})

    with pytest.raises(InvalidFile, match="damaged"), converter.open(path, tmp_path, None):
        pass


def _archive(path: Path, parts: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in {**parts, "other.xml": "<other/>"}.items():
            archive.writestr(name, text)
    return path


def _with_linked_picture(folder: Path, address: str) -> Path:
    """A Word file whose picture is to be fetched."""
    PIL.Image.new("RGB", (20, 20)).save(folder / "picture.png")
    document = docx.Document()
    document.add_paragraph("Hello from Word")
    document.add_picture(str(folder / "picture.png"))
    document.save(str(folder / "embedded.docx"))
    path = folder / "linked.docx"
    with zipfile.ZipFile(folder / "embedded.docx") as before, zipfile.ZipFile(path, "w") as after:
        for name in before.namelist():
            data = before.read(name).replace(b"r:embed=", b"r:link=")
            if name == "word/_rels/document.xml.rels":
                linked = f'Target="{address}" TargetMode="External"'.encode()
                data = data.replace(b'Target="media/image1.png"', linked)
            after.writestr(name, data)
    return path


class _Recorder(BaseHTTPRequestHandler):
    requests: list[str]

    def do_GET(self) -> None:
        self.requests.append(self.path)
        self.send_error(404)

    do_HEAD = do_OPTIONS = do_PROPFIND = do_GET

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def _listener() -> Iterator[tuple[str, list[str]]]:
    """The address of a web server, and what it was asked for."""
    requests: list[str] = []
    handler = type("Handler", (_Recorder,), {"requests": requests})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", requests
        server.shutdown()
        thread.join()

"""Office documents that are given back as they are, with the text in their pictures."""

import io
import os
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import docx
import openpyxl
import PIL.Image
import pptx
import pytest
from msoffcrypto.format.ooxml import OOXMLFile
from openpyxl.drawing.image import Image as SheetImage
from pptx.util import Inches

from app.converters import drawings, inlays
from app.converters.image import ImageConverter
from app.converters.office import OfficeConverter
from app.converters.office_program import OfficeProgram
from app.converters.pdf import PdfConverter
from app.engines.stub import StubEngine
from app.errors import InvalidFile
from app.interfaces import Converter, Keeper, Writer
from app.languages import parse
from app.media import detect
from app.package import open_package
from app.pipeline import Order, Outcome, Pipeline
from app.reading import Mode
from app.writers.docx import DocxWriter
from app.writers.kept_docx import DocxKeeper
from app.writers.kept_pptx import PptxKeeper
from app.writers.kept_xlsx import XlsxKeeper
from app.writers.txt import TextWriter
from app.writers.xlsx import XlsxWriter
from tests.pictures import emf, picture, wmf

needs_libreoffice = pytest.mark.skipif(
    shutil.which("soffice") is None and "CI" not in os.environ, reason="needs LibreOffice"
)
KEEPERS: dict[str, Keeper] = {"docx": DocxKeeper(), "pptx": PptxKeeper(), "xlsx": XlsxKeeper()}
PROGRAM = OfficeProgram(timeout_s=100)
WORDS = "stub 1 900 x 220"  # What the stub engine reads in the picture below.


@pytest.fixture(scope="module", autouse=True)
def _program() -> Iterator[None]:
    with closing(PROGRAM):
        yield


def run(
    source: Path, form: str, password: str | None = None, mode: Mode = Mode.AUTO
) -> tuple[Path, Outcome]:
    images: Converter = ImageConverter(max_pixels=40_000_000, max_pages=20)
    pdf: Converter = PdfConverter(max_pixels=40_000_000, max_pages=20, page_timeout_s=30)
    writers: dict[str, Writer] = {
        "txt": TextWriter(),
        "docx": DocxWriter(),
        "pptx": DocxWriter(),
        "xlsx": XlsxWriter(),
    }
    pipeline = Pipeline(
        [OfficeConverter(pdf, images, PROGRAM)],
        {"auto": StubEngine()},
        writers,
        keepers=KEEPERS,
    )
    target = source.parent / f"out.{form}"
    with tempfile.TemporaryDirectory() as work:
        order = Order(form, parse("English"), password, mode=mode)
        outcome = pipeline.run(order, source, Path(work), target, lambda *_: None)
    return target, outcome


def word(folder: Path, *pictures: bytes) -> Path:
    document = docx.Document()
    document.add_paragraph("Before")
    for data in pictures:
        document.add_paragraph("With ").add_run().add_picture(io.BytesIO(data))
    document.save(str(folder / "a.docx"))
    return folder / "a.docx"


def slides(folder: Path, *pictures: bytes) -> Path:
    file = pptx.Presentation()
    for data in pictures:
        slide = file.slides.add_slide(file.slide_layouts[6])
        slide.shapes.add_picture(io.BytesIO(data), Inches(1), Inches(2))
    file.save(str(folder / "a.pptx"))
    return folder / "a.pptx"


def workbook(folder: Path, *pictures: bytes) -> Path:
    book = openpyxl.Workbook()
    with closing(book):
        sheet = book.worksheets[0]
        sheet.append(["a", "=1+1"])
        for n, data in enumerate(pictures):
            sheet.add_image(SheetImage(io.BytesIO(data)), f"C{n + 3}")
        book.save(folder / "a.xlsx")
    return folder / "a.xlsx"


MAKERS: dict[str, Callable[..., Path]] = {"docx": word, "pptx": slides, "xlsx": workbook}


@pytest.mark.parametrize("form", MAKERS)
def test_nothing_to_add(tmp_path: Path, form: str) -> None:
    """A document without words in pictures comes back byte for byte; small ones are not read."""
    tiny = io.BytesIO()
    PIL.Image.effect_noise((20, 20), 50).save(tiny, "PNG")
    source = MAKERS[form](tmp_path, tiny.getvalue())

    target, outcome = run(source, form)

    assert target.read_bytes() == source.read_bytes()
    assert outcome.recognized == 0


@pytest.mark.parametrize("form", MAKERS)
def test_only_what_changes_changes(tmp_path: Path, form: str) -> None:
    """All parts but those with pictures stay."""
    source = MAKERS[form](tmp_path, picture())

    target, outcome = run(source, form)

    with zipfile.ZipFile(source) as before, zipfile.ZipFile(target) as after:
        assert after.testzip() is None
        changed = {name for name in before.namelist() if before.read(name) != after.read(name)}
    assert (outcome.pages, outcome.recognized) == (1, 1)
    assert changed <= {
        "word/document.xml",
        "ppt/slides/slide1.xml",
        "xl/drawings/drawing1.xml",
        "xl/workbook.xml",
        "xl/_rels/workbook.xml.rels",
        "[Content_Types].xml",
    }
    assert detect(target) == detect(source)


def test_drawings_without_words_stay(tmp_path: Path) -> None:
    """Of several sheets with pictures, only the drawing that gets words changes."""
    book = openpyxl.Workbook()
    white = io.BytesIO()
    PIL.Image.new("RGB", (200, 100), "white").save(white, "PNG")
    with closing(book):
        book.worksheets[0].add_image(SheetImage(white), "A1")
        book.create_sheet().add_image(SheetImage(io.BytesIO(picture())), "A1")
        book.save(tmp_path / "a.xlsx")

    target, outcome = run(tmp_path / "a.xlsx", "xlsx")

    with zipfile.ZipFile(tmp_path / "a.xlsx") as before, zipfile.ZipFile(target) as after:
        same = "xl/drawings/drawing1.xml"
        assert before.read(same) == after.read(same)
    assert (outcome.pages, outcome.recognized) == (2, 1)


def test_pictures_that_are_not_to_be_read(tmp_path: Path) -> None:
    """Whoever wants no recognition gets the document alone."""
    source = word(tmp_path, picture())

    target, outcome = run(source, "docx", mode=Mode.SKIP)

    assert target.read_bytes() == source.read_bytes()
    assert outcome.recognized == 0


@needs_libreoffice
def test_everything_is_to_be_read(tmp_path: Path) -> None:
    """Whoever wants all pages recognized gets what is on them."""
    target, outcome = run(word(tmp_path, picture()), "docx", mode=Mode.FORCE)

    assert outcome.recognized == 1
    assert "Before" not in docx.Document(str(target)).paragraphs[0].text


def test_word(tmp_path: Path) -> None:
    """The words are the picture's description, and hidden text behind it."""
    target, _ = run(word(tmp_path, picture(), picture()), "docx")

    document = docx.Document(str(target))
    for paragraph, shape in zip(document.paragraphs[1:], document.inline_shapes, strict=True):
        inline: Any = shape._inline
        assert WORDS in inline.docPr.get("descr")
        assert paragraph.runs[-1].font.hidden
        assert WORDS in paragraph.runs[-1].text
        assert paragraph.text.startswith("With ")


DRAWINGS = {"emf": emf("Pump station", "水泵站"), "wmf": wmf("Pump station", "水泵站")}


def drawn(form: str, folder: Path, data: bytes) -> Path:
    """A document with a drawing: the makers know pictures alone, but what counts is the bytes."""
    source = MAKERS[form](folder, picture())
    with zipfile.ZipFile(source) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(source, "w") as archive:
        for name, before in parts.items():
            archive.writestr(name, data if name.endswith(".png") else before)
    return source


@needs_libreoffice
@pytest.mark.parametrize("kind", DRAWINGS)
@pytest.mark.parametrize("form", MAKERS)
def test_drawings_have_a_text(tmp_path: Path, form: str, kind: str) -> None:
    """What is written in them, not what recognition makes of it."""
    target, outcome = run(drawn(form, tmp_path, DRAWINGS[kind]), form)

    with zipfile.ZipFile(target) as archive:
        said = "".join(
            archive.read(name).decode() for name in archive.namelist() if name.endswith(".xml")
        )
    assert outcome.recognized == 1
    assert "Pump station" in said
    assert "水泵站" in said


@needs_libreoffice
def test_drawings_of_sheets_are_pictures(tmp_path: Path) -> None:
    """With their text, and nothing of the paper that they were put on."""
    target, _ = run(drawn("xlsx", tmp_path, DRAWINGS["emf"]), "docx")

    document = docx.Document(str(target))
    (shape,) = document.inline_shapes
    assert shape.width > shape.height
    assert "水泵站" in "".join(paragraph.text for paragraph in document.paragraphs)


@needs_libreoffice
@pytest.mark.parametrize(
    "data",
    [DRAWINGS["emf"][:100], DRAWINGS["emf"][:44] + bytes(999), DRAWINGS["wmf"][:6], emf()],
    ids=["cut", "zeros", "cut wmf", "empty"],
)
def test_odd_drawings_are_left_alone(tmp_path: Path, data: bytes) -> None:
    source = drawn("docx", tmp_path, data)

    target, outcome = run(source, "docx")

    assert outcome.recognized == 0
    assert target.read_bytes() == source.read_bytes()


@pytest.mark.parametrize("setting", ["_LONGEST_ALL_S", "_SMALLEST"])
def test_drawings_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    """Those that are too small, and those for which no time is left, are not even begun."""
    monkeypatch.setattr(drawings, "_LONGEST_ALL_S", 0.0 if setting == "_LONGEST_ALL_S" else 20.0)
    monkeypatch.setattr(inlays, "_SMALLEST", 1e9 if setting == "_SMALLEST" else 3000)
    monkeypatch.setattr(PROGRAM, "convert", None)
    source = drawn("docx", tmp_path, DRAWINGS["emf"])

    target, _ = run(source, "docx")

    assert target.read_bytes() == source.read_bytes()


def test_each_picture_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often it is shown."""
    read = []
    recognize = StubEngine.recognize

    def counted(self: StubEngine, *given: Any) -> Any:
        read.append(given)
        return recognize(self, *given)

    monkeypatch.setattr(StubEngine, "recognize", counted)

    run(slides(tmp_path, picture(), picture("other"), picture()), "pptx")

    assert len(read) == 2


def test_too_many_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest is not read, and the document comes back all the same."""
    monkeypatch.setattr(inlays, "MAX_PICTURES", 1)

    _, outcome = run(slides(tmp_path, picture("a"), picture("b")), "pptx")

    assert (outcome.pages, outcome.recognized) == (2, 1)


def test_powerpoint(tmp_path: Path) -> None:
    """The words are the picture's description, and unseen where it is."""
    target, _ = run(slides(tmp_path, picture()), "pptx")

    shown, text = pptx.Presentation(str(target)).slides[0].shapes
    assert WORDS in shown._element.nvPicPr.cNvPr.get("descr")
    assert WORDS in text.text_frame.text
    assert (text.left, text.top, text.width) == (shown.left, shown.top, shown.width)
    assert text.shape_id != shown.shape_id


def test_excel(tmp_path: Path) -> None:
    """The words stand on a sheet of their own; formulas stay."""
    target, _ = run(workbook(tmp_path, picture()), "xlsx")

    with closing(openpyxl.load_workbook(target)) as book:
        assert book.worksheets[0]["B1"].value == "=1+1"
        last = list(book["Text in pictures"].iter_rows(values_only=True))
    assert last[0] == ("Sheet", "Cell", "Text")
    assert last[1][:2] == ("Sheet", "C3")
    assert WORDS in str(last[1][2])


def test_unlocked(tmp_path: Path) -> None:
    """A document that was protected comes back without its protection."""
    source = word(tmp_path)
    plain = source.read_bytes()
    with source.open("wb") as file:
        OOXMLFile(io.BytesIO(plain)).encrypt("secret", file)

    target, _ = run(source, "docx", "secret")

    assert target.read_bytes() == plain


def test_macros_are_left_out(tmp_path: Path) -> None:
    """A document with macros comes back without, as one of the plain kind."""
    source = word(tmp_path)
    _rewrite(
        source,
        {
            "[Content_Types].xml": lambda text: text.replace(
                "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main",
                "application/vnd.ms-word.document.macroEnabled.main",
            ),
            "word/_rels/document.xml.rels": lambda text: text.replace(
                "</Relationships>",
                '<Relationship Id="m" Target="vbaProject.bin" Type='
                '"http://schemas.microsoft.com/office/2006/relationships/vbaProject"/>'
                "</Relationships>",
            ),
        },
        {"word/vbaProject.bin": b"macros"},
    )

    target, _ = run(source, "docx")

    with zipfile.ZipFile(target) as archive:
        types = archive.read("[Content_Types].xml").decode()
        assert "word/vbaProject.bin" not in archive.namelist()
        assert b"vbaProject" not in archive.read("word/_rels/document.xml.rels")
    assert "macroEnabled" not in types
    assert docx.Document(str(target)).paragraphs[0].text == "Before"


def test_signed_documents_stay(tmp_path: Path) -> None:
    """Whatever was added would break the signature."""
    source = word(tmp_path, picture())
    kind = "http://schemas.openxmlformats.org/package/2006/relationships/digital-signature/origin"
    _rewrite(
        source,
        {
            "_rels/.rels": lambda text: text.replace(
                "</Relationships>",
                f'<Relationship Id="s" Target="_xmlsignatures/o" Type="{kind}"/></Relationships>',
            )
        },
        {"_xmlsignatures/o": b""},
    )

    target, _ = run(source, "docx")

    assert target.read_bytes() == source.read_bytes()


@pytest.mark.parametrize("start", ['<!DOCTYPE a [<!ENTITY b "c">]>', "<"])
def test_unsound_packages_are_not_given_back(tmp_path: Path, start: str) -> None:
    """A part that nobody reads here could still harm who opens the document."""
    source = word(tmp_path)
    _rewrite(source, {"word/styles.xml": lambda text: start + text[text.index("<w:") :]}, {})

    with open_package(source) as package, pytest.raises(InvalidFile):
        package.check()


@needs_libreoffice
def test_unsound_packages_are_laid_out(tmp_path: Path) -> None:
    """What LibreOffice can read is written anew."""
    source = word(tmp_path)
    _rewrite(source, {}, {"word/other.xml": b"<a>"})

    target, outcome = run(source, "docx")

    assert docx.Document(str(target)).paragraphs[0].text == "Before"
    assert outcome.pages == 1
    with zipfile.ZipFile(target) as archive:
        assert "word/other.xml" not in archive.namelist()


@needs_libreoffice
@pytest.mark.parametrize(("form", "old"), [("docx", "doc"), ("pptx", "ppt"), ("xlsx", "xls")])
def test_old_formats(tmp_path: Path, form: str, old: str) -> None:
    """They come back in today's format, with the words in their pictures."""
    source = MAKERS[form](tmp_path, picture())
    program = shutil.which("soffice") or ""
    subprocess.run(
        [
            program,
            f"-env:UserInstallation={(tmp_path / 'profile').as_uri()}",
            "--headless",
            "--convert-to",
            old,
            "--outdir",
            str(tmp_path),
            str(source),
        ],
        check=True,
        capture_output=True,
    )

    target, outcome = run(tmp_path / f"a.{old}", form)

    assert detect(target) == detect(source)
    assert (outcome.pages, outcome.recognized) == (1, 1)
    with zipfile.ZipFile(target) as archive:
        parts = [archive.read(name) for name in archive.namelist() if name.endswith(".xml")]
    assert any(b"stub 1" in part for part in parts)


def _rewrite(path: Path, changes: dict[str, Callable[[str], str]], added: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    for name, change in changes.items():
        parts[name] = change(parts[name].decode()).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**parts, **added}.items():
            archive.writestr(name, data)

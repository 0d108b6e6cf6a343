import io
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import docx
import openpyxl
import pptx
import pytest
from msoffcrypto.format.ooxml import OOXMLFile

from app import media
from app.converters.image import ImageConverter
from app.converters.office import OfficeConverter
from app.converters.office_program import OfficeProgram
from app.converters.pdf import PdfConverter
from app.converters.unlock import unlock
from app.errors import EncryptedDocument, InvalidFile
from app.interfaces import Converter
from tests import protection
from tests.pictures import picture
from tests.protection import Rc4, Rc4CryptoApi, Scheme, Xor

pytestmark = pytest.mark.skipif(
    shutil.which("soffice") is None and "CI" not in os.environ, reason="needs LibreOffice"
)

PASSWORD = "Pass w0rd"
PROTECT: dict[str, Callable[[Path, Scheme], None]] = {
    "doc": protection.protect_word,
    "xls": protection.protect_excel,
    "ppt": protection.protect_powerpoint,
}
OLD = [
    ("doc", Xor), ("doc", Rc4), ("doc", Rc4CryptoApi),
    ("xls", Xor), ("xls", Rc4), ("xls", Rc4CryptoApi),
    ("ppt", Rc4CryptoApi),
]  # fmt: skip
NEW = ["docx", "xlsx", "pptx"]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a document of each format, which has text and a picture."""
    folder = tmp_path_factory.mktemp("plain")
    document = docx.Document()
    document.add_paragraph("Hello")
    document.add_picture(io.BytesIO(picture()))
    document.save(str(folder / "a.docx"))
    with closing(openpyxl.Workbook()) as book:
        book.worksheets[0]["A1"] = "Hello"
        for row in range(200):
            book.create_sheet() if row < 1 else book.worksheets[1].append([row, "row"])
        book.save(folder / "a.xlsx")
    slides = pptx.Presentation()
    slide = slides.slides.add_slide(slides.slide_layouts[6])
    slide.shapes.add_textbox(0, 0, 999, 999).text_frame.text = "Hello"
    slide.shapes.add_picture(io.BytesIO(picture()), 0, 3_000_000)
    slides.save(str(folder / "a.pptx"))
    for old in PROTECT:
        profile = f"-env:UserInstallation={(folder / 'profile').as_uri()}"
        command = ["soffice", profile, "--headless", "--convert-to", old, "--outdir", str(folder)]
        subprocess.run([*command, str(folder / f"a.{old}x")], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def converter() -> Iterator[Converter]:
    """One for all tests, and one LibreOffice."""
    pdf: Converter = PdfConverter(max_pixels=40_000_000, max_pages=20, page_timeout_s=30)
    images: Converter = ImageConverter(max_pixels=40_000_000, max_pages=20)
    with closing(OfficeConverter(pdf, images, OfficeProgram(timeout_s=100))) as converter:
        yield converter


def pages(converter: Converter, path: Path, password: str | None = None) -> list[tuple[str, int]]:
    """The text of each page, and how much of it is dark, in pixels."""
    work = path.parent / f"work-{password}"
    work.mkdir()
    with converter.open(path, work, password) as source:
        return [
            (" ".join(line.text for line in page.lines or ()), int((page.load() < 128).sum()))
            for page in source.pages()  # type: ignore[union-attr]
        ]


def protected(plain: Path, folder: Path, kind: str, scheme: Scheme | str) -> Path:
    """A copy of the plain document of that kind, protected."""
    path = Path(shutil.copy(plain / f"a.{kind}", folder / "a"))
    if not isinstance(scheme, str):
        PROTECT[kind](path, scheme)
    elif scheme == "agile":
        data = io.BytesIO(path.read_bytes())
        with path.open("wb") as target:
            OOXMLFile(data).encrypt(PASSWORD, target)
    else:
        protection.protect_standard(path, PASSWORD, int(scheme))
    return path


@pytest.mark.parametrize(("kind", "scheme"), OLD)
def test_old_formats(
    converter: Converter, plain: Path, tmp_path: Path, kind: str, scheme: type[Scheme]
) -> None:
    """The unlocked document is the document before, with its pictures."""
    path = protected(plain, tmp_path, kind, scheme(PASSWORD))
    (tmp_path / "plain").mkdir()
    copy = Path(shutil.copy(plain / f"a.{kind}", tmp_path / "plain"))

    found = pages(converter, path, PASSWORD)

    assert found == pages(converter, copy)
    assert found[0][0].startswith("Hello")
    assert found[0][1] > (30_000 if kind != "xls" else 100)


@pytest.mark.parametrize("kind", NEW)
@pytest.mark.parametrize("scheme", ["agile", "128", "192", "256"])
def test_new_formats(plain: Path, tmp_path: Path, kind: str, scheme: str) -> None:
    """The unlocked document is the document before, byte for byte."""
    path = protected(plain, tmp_path, kind, scheme)

    result = unlock(path, tmp_path / "b", media.detect(path), PASSWORD)

    assert result.read_bytes() == (plain / f"a.{kind}").read_bytes()


@pytest.mark.parametrize(
    ("kind", "scheme"), [*OLD, *((kind, scheme) for kind in NEW for scheme in ("agile", "128"))]
)
def test_missing_and_wrong_password_are_told_apart(
    plain: Path, tmp_path: Path, kind: str, scheme: type[Scheme] | str
) -> None:
    """The caller learns what to do."""
    made = scheme if isinstance(scheme, str) else scheme(PASSWORD)
    path = protected(plain, tmp_path, kind, made)
    media_type = media.detect(path)

    with pytest.raises(EncryptedDocument, match=r"^The document is protected: send its password"):
        unlock(path, tmp_path / "b", media_type, None)
    for wrong in ("pass w0rd", "密码", "x" * 32):
        with pytest.raises(EncryptedDocument, match=r"^The password is wrong"):
            unlock(path, tmp_path / "b", media_type, wrong)


@pytest.mark.parametrize("scheme", [Rc4, Rc4CryptoApi])
def test_passwords_in_unicode(
    plain: Path, tmp_path: Path, scheme: type[Rc4 | Rc4CryptoApi]
) -> None:
    """All but the oldest protection takes any sign."""
    path = protected(plain, tmp_path, "xls", scheme("pässwört 密码😀"))

    assert unlock(path, tmp_path / "b", media.XLS, "pässwört 密码😀") == tmp_path / "b"


@pytest.mark.parametrize("bits", [40, 56])
def test_short_keys(plain: Path, tmp_path: Path, bits: int) -> None:
    """Earlier versions, and those for export, made their keys short."""
    path = protected(plain, tmp_path, "xls", Rc4CryptoApi(PASSWORD, bits))

    assert unlock(path, tmp_path / "b", media.XLS, PASSWORD) == tmp_path / "b"


@pytest.mark.parametrize("kind", ["doc", "xls", "ppt"])
def test_a_password_too_many(plain: Path, kind: str) -> None:
    """A document that has none is left as it is."""
    path = plain / f"a.{kind}"

    assert unlock(path, path / "unused", media.detect(path), PASSWORD) == path


def test_rights_management(tmp_path: Path) -> None:
    """What a server has the keys of is not asked a password for."""
    path = tmp_path / "a"
    path.write_bytes(protection.compound({"EncryptedPackage": b"secret"}))

    with pytest.raises(InvalidFile, match="something else than a password"):
        unlock(path, tmp_path / "b", media.detect(path), PASSWORD)

"""A real server with real engines and LibreOffice: every kind of input, every output."""

import io
from collections.abc import Iterator

import docx
import openpyxl
import pikepdf
import pptx
import pypdfium2
import pytest
from reportlab.pdfgen import canvas

from tests.container import server as serve
from tests.pictures import CJK, frames, picture
from tests.server import Server
from tests.stack import holds

CHINESE = "扫描件和照片都能识别"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("e2e") / "data"
    folder.mkdir()
    server = serve(folder, {"OCR_WORKERS": "1"})
    server.start()
    yield server
    server.stop()


def _typed_pdf(pages: int, password: str | None = None) -> bytes:
    out = io.BytesIO()
    drawing = canvas.Canvas(out, pagesize=(595, 842))
    for n in range(pages):
        drawing.setFont("Helvetica", 24)
        drawing.drawString(72, 700, f"typed page {n + 1}")
        drawing.showPage()
    drawing.save()
    if password is None:
        return out.getvalue()
    locked = io.BytesIO()
    with pikepdf.open(io.BytesIO(out.getvalue())) as pdf:
        pdf.save(locked, encryption=pikepdf.Encryption(owner="owner", user=password, R=6))
    return locked.getvalue()


def _docx() -> bytes:
    out = io.BytesIO()
    document = docx.Document()
    document.add_heading("Quarterly report", 1)
    document.add_paragraph(CHINESE)
    document.save(out)
    return out.getvalue()


def _xlsx() -> bytes:
    out = io.BytesIO()
    book = openpyxl.Workbook()
    assert book.active is not None
    book.active.append(["item", "price"])
    book.active.append(["单价", 12.5])
    book.save(out)
    return out.getvalue()


def _pptx() -> bytes:
    out = io.BytesIO()
    show = pptx.Presentation()
    slide = show.slides.add_slide(show.slide_layouts[5])
    slide.shapes.title.text = "Slide title"
    show.save(out)
    return out.getvalue()


def _text_of(content: bytes, suffix: str) -> str:
    if suffix == "txt":
        return content.decode()
    if suffix == "pdf":
        with pypdfium2.PdfDocument(content) as pdf:
            return "\n".join(page.get_textpage().get_text_range() for page in pdf)
    if suffix == "docx":
        return "\n".join(p.text for p in docx.Document(io.BytesIO(content)).paragraphs)
    if suffix == "xlsx":
        book = openpyxl.load_workbook(io.BytesIO(content))
        cells = (
            cell for sheet in book for row in sheet.iter_rows(values_only=True) for cell in row
        )
        return "\n".join(str(cell) for cell in cells if cell is not None)
    slides = pptx.Presentation(io.BytesIO(content)).slides
    return "\n".join(
        s.text_frame.text for slide in slides for s in slide.shapes if s.has_text_frame
    )


@pytest.mark.parametrize("suffix", ["txt", "pdf", "docx", "xlsx", "pptx"])
def test_every_output(server: Server, suffix: str) -> None:
    """A picture of Chinese becomes a file of each format with the same words in it."""
    content = picture(CHINESE, font=CJK, points=40)

    record = server.post(content, format=suffix)

    assert record["state"] == 1, record
    text = _text_of(server.result(record), suffix)
    assert "".join(text.split()) == CHINESE


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (picture("HELLO OCR 12345"), "HELLO OCR 12345"),
        (picture("HELLO OCR 12345", "JPEG", "CMYK"), "HELLO OCR 12345"),
        (picture("HELLO OCR 12345", "GIF", "P"), "HELLO OCR 12345"),
        (picture("HELLO OCR 12345", "BMP", "1"), "HELLO OCR 12345"),
        (picture("HELLO OCR 12345", "WEBP"), "HELLO OCR 12345"),
        (picture("HELLO OCR 12345", "TIFF", "L"), "HELLO OCR 12345"),
        (_typed_pdf(1), "typed page 1"),
        (_docx(), CHINESE),
        (_xlsx(), "单价"),
        (_pptx(), "Slide title"),
    ],
    ids=["png", "cmyk-jpeg", "gif", "1-bit-bmp", "webp", "tiff", "pdf", "docx", "xlsx", "pptx"],
)
def test_every_input(server: Server, content: bytes, words: str) -> None:
    """The words are read whatever the file is; the type is told by its bytes."""
    record = server.post(content, language="ChinesePRC,English")

    assert record["state"] == 1, record
    assert words in server.result(record).decode()


def test_tesseract_reads_what_the_other_cannot(server: Server) -> None:
    """A language of another script goes to Tesseract by itself."""
    record = server.post(picture("Привет мир"), language="Russian")

    assert "Привет мир" in server.result(record).decode()


def test_digits_alone(server: Server) -> None:
    """Only digits and the marks of numbers come out."""
    record = server.post(picture("TOTAL 12,345.60"), language="Digits")

    text = server.result(record).decode()
    assert "12,345.60" in text
    assert not any(c.isalpha() for c in text)


def test_a_text_layer_is_used(server: Server) -> None:
    """Born-digital pages are not recognized again, and the result keeps the original's pages."""
    record = server.post(_typed_pdf(3), format="pdf", language="English")

    assert (record["file_pages"], record["ocr_pages"]) == (3, 0)
    assert "typed page 3" in _text_of(server.result(record), "pdf")


def test_a_scan_becomes_searchable(server: Server) -> None:
    """A PDF of pictures keeps its pages and gets a text layer."""
    scan = server.result(server.post(frames(["FIRST PAGE", "SECOND PAGE"]), format="pdf"))

    record = server.post(scan, format="pdf", language="English")

    assert record["file_pages"] == 2
    assert "SECOND PAGE" in _text_of(server.result(record), "pdf")


def test_passwords(server: Server) -> None:
    """The right one opens; a missing and a wrong one are told apart."""
    locked = _typed_pdf(1, "s3cret")

    opened = server.post(locked, password="s3cret", language="English")
    refused = [server.post(locked, language="English", **p) for p in ({}, {"password": "no"})]

    assert "typed page 1" in server.result(opened).decode()
    assert [r["state"] for r in refused] == [-7, -7]
    details = [r["state_detail"] for r in refused]
    assert all("password" in detail.lower() for detail in details)
    assert details[0] != details[1]


def test_no_password_is_kept_or_logged(server: Server) -> None:
    """Neither the database, the files nor the log hold it afterwards."""
    server.post(_typed_pdf(1, "u-n-i-q-u-e"), password="u-n-i-q-u-e", language="English")
    server.post(_typed_pdf(1, "other"), password="u-n-i-q-u-e", language="English")

    assert not holds(server.folder, "u-n-i-q-u-e")
    assert "u-n-i-q-u-e" not in (server.folder.parent / "server.log").read_text()


def test_a_broken_file_harms_nobody(server: Server) -> None:
    """It fails as such, and the next task is done."""
    for broken in (b"%PDF-1.7\nnot really", picture()[:200], b"PK\x03\x04" + bytes(500)):
        record = server.post(broken)
        assert (record["state"], "file" in record) == (-7, False)

    assert server.post(picture())["state"] == 1

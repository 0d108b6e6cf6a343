"""Small sound files of each kind that the server reads, for others to damage."""

import io
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import docx
import numpy as np
import openpyxl
import pikepdf
import PIL.Image
import pptx
from docx.enum.text import WD_BREAK
from msoffcrypto.format.ooxml import OOXMLFile
from openpyxl.chart import BarChart, Reference
from openpyxl.drawing.image import Image as SheetImage
from PIL.TiffImagePlugin import TiffImageFile
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Inches
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

from app.media import detect
from tests import protection, tiffs
from tests.pictures import LATIN, drawn, emf, frames, picture, sample, wmf
from tests.protection import Rc4, Rc4CryptoApi, Xor

PASSWORD = "secret"  # noqa: S105 - of the files made here


@dataclass(frozen=True, slots=True)
class Seed:
    """A sound file."""

    kind: str  # Such as "docx": how it is built, and so how it is damaged.
    data: bytes
    locked: bool = False  # With PASSWORD.


def simple() -> list[Seed]:
    """Files that are made in no time."""
    made = [Seed("pdf", data) for data in _pdfs()] + [Seed("pdf", _locked_pdf(), locked=True)]
    made += [Seed(kind, data) for kind, data in _images()]
    made += [Seed(kind, make()) for kind, make in _OFFICE.items()]
    made += [Seed("docx", _with_drawing(make("drawn"))) for make in (emf, wmf)]
    return [*made, Seed("docx", _protected(_docx()), locked=True)]


def old() -> list[Seed]:
    """DOC, XLS and PPT files, also protected ones; LibreOffice makes them."""
    made = []
    with TemporaryDirectory(prefix="ocr-fuzz-") as name:
        folder = Path(name)
        profile = f"-env:UserInstallation={(folder / 'profile').as_uri()}"
        for kind, protect, schemes in _OLD:
            (folder / f"a.{kind}x").write_bytes(_OFFICE[f"{kind}x"]())
            command = ["soffice", profile, "--headless", "--convert-to", kind, "--outdir", name]
            subprocess.run([*command, f"{name}/a.{kind}x"], check=True, capture_output=True)
            plain = (folder / f"a.{kind}").read_bytes()
            made.append(Seed(kind, plain))
            for scheme in schemes:
                path = folder / "locked"
                path.write_bytes(plain)
                protect(path, scheme(PASSWORD))
                made.append(Seed(kind, path.read_bytes(), locked=True))
    return made


def found(folder: Path, most_bytes: int = 2**20) -> list[Seed]:
    """The small files below ``folder`` that the server would look at."""
    made = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.stat().st_size <= most_bytes:
            try:
                kind = _KINDS.get(detect(path).rpartition("/")[2].rpartition(".")[2])
            except Exception:  # noqa: S112 - hostile ones are among them
                continue
            if kind is not None:
                made.append(Seed(kind, path.read_bytes()))
    return made


_KINDS = {
    "pdf": "pdf", "png": "png", "jpeg": "jpeg", "gif": "gif", "bmp": "bmp", "tiff": "tiff",
    "webp": "webp", "document": "docx", "sheet": "xlsx", "presentation": "pptx", "msword": "doc",
    "ms-excel": "xls", "ms-powerpoint": "ppt",
}  # fmt: skip


# PDF


def _pdfs() -> Iterator[bytes]:
    pdfmetrics.registerFont(TTFont("Embedded", LATIN))
    pdfmetrics.registerFont(UnicodeCIDFont("STSong-Light"))
    yield (text := _pdf(_text, _table))
    yield _pdf(_scan)
    yield _pdf(_chinese, _form)
    yield _with_pictures()
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(text)) as pdf:
        pdf.save(out, object_stream_mode=pikepdf.ObjectStreamMode.generate, linearize=True)
    yield out.getvalue()


def _pdf(*pages: Callable[[Canvas], None]) -> bytes:
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=(400, 300), invariant=True)
    for draw in pages:
        draw(canvas)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def _text(canvas: Canvas) -> None:
    for n, font in enumerate(("Embedded", "Helvetica", "Times-Roman")):
        canvas.setFont(font, 12)
        canvas.drawString(40, 250 - 20 * n, "A line of words, which says 12,345.67 €.")
    canvas.setFillColorRGB(0.2, 0.4, 0.6)
    canvas.rect(40, 50, 100, 60, fill=1)
    canvas.bookmarkPage("p")
    canvas.addOutlineEntry("Page", "p")
    canvas.linkURL("https://example.org/", (40, 240, 300, 260))


def _table(canvas: Canvas) -> None:
    canvas.grid([40, 140, 240, 340], [100, 130, 160, 190])
    canvas.setFont("Embedded", 10)
    for n in range(9):
        canvas.drawString(45 + 100 * (n % 3), 170 - 30 * (n // 3), f"cell {n}")
    canvas.rotate(90)
    canvas.drawString(20, -20, "upright")


def _scan(canvas: Canvas) -> None:
    canvas.drawImage(ImageReader(drawn("HELLO", (300, 150))), 0, 0, 400, 300)
    layer = canvas.beginText(50, 200)
    layer.setTextRenderMode(3)
    layer.textLine("HELLO")
    canvas.drawText(layer)


def _chinese(canvas: Canvas) -> None:
    canvas.setFont("STSong-Light", 14)
    canvas.drawString(40, 200, "今天天气很好，我们去公园。")
    canvas.saveState()
    canvas.transform(0.7, 0.7, -0.7, 0.7, 100, 50)
    canvas.drawString(0, 0, "oblique")
    canvas.restoreState()


def _form(canvas: Canvas) -> None:
    canvas.beginForm("f")
    canvas.drawString(0, 0, "within a form")
    canvas.endForm()
    canvas.doForm("f")
    canvas.acroForm.textfield(name="field", x=40, y=100, value="a value")
    canvas.acroForm.checkbox(name="box", x=40, y=150)
    canvas.linearGradient(0, 0, 100, 100, ((1, 0, 0), (0, 0, 1)))


def _with_pictures() -> bytes:
    """A page of pictures, each packed in another way."""
    grey = drawn("PACKED", (320, 80), points=30).convert("L")
    bits = grey.convert("1")
    fax = io.BytesIO()
    bits.save(fax, "TIFF", compression="group4")
    with PIL.Image.open(fax) as saved:
        assert isinstance(saved, TiffImageFile)
        start, length = saved.tag_v2[273][0], saved.tag_v2[279][0]
    packed = {
        "DCTDecode": _saved(grey, "JPEG"),
        "JPXDecode": _saved(grey, "JPEG2000"),
        "CCITTFaxDecode": fax.getvalue()[start : start + length],
    }
    out = io.BytesIO()
    with pikepdf.new() as pdf:
        pdf.add_blank_page(page_size=(400, 300))
        page = pdf.pages[0]
        content = b"q 40 0 0 40 350 10 cm BI /W 4 /H 4 /BPC 8 /CS /G ID 0123456789abcdef EI Q\n"
        for n, (name, data) in enumerate(packed.items()):
            more = {"BitsPerComponent": 1} if n == 2 else {"BitsPerComponent": 8}
            stream = pikepdf.Stream(
                pdf, data, Type=pikepdf.Name.XObject, Subtype=pikepdf.Name.Image, Width=320,
                Height=80, ColorSpace=pikepdf.Name.DeviceGray, Filter=pikepdf.Name(f"/{name}"),
                **more,
            )  # fmt: skip
            if n == 2:
                stream.DecodeParms = pikepdf.Dictionary(K=-1, Columns=320, Rows=80)
            elif n == 0:
                stream.SMask = pikepdf.Stream(
                    pdf, bytes(320 * 80), Type=pikepdf.Name.XObject, Subtype=pikepdf.Name.Image,
                    Width=320, Height=80, ColorSpace=pikepdf.Name.DeviceGray, BitsPerComponent=8,
                )  # fmt: skip
            page.add_resource(stream, pikepdf.Name.XObject, pikepdf.Name(f"/I{n}"))
            content += b"q 320 0 0 80 20 %d cm /I%d Do Q\n" % (10 + 95 * n, n)
        page.Contents = pdf.make_stream(content)
        pdf.save(out)
    return out.getvalue()


def _locked_pdf() -> bytes:
    out = io.BytesIO()
    with pikepdf.open(io.BytesIO(_pdf(_text))) as pdf:
        pdf.save(out, encryption=pikepdf.Encryption(owner="owner", user=PASSWORD, R=6))
    return out.getvalue()


# Images


def _images() -> Iterator[tuple[str, bytes]]:
    colours = sample()
    clear = colours.convert("RGBA")
    clear.putalpha(128)
    deep = PIL.Image.fromarray(np.asarray(colours.convert("L")).astype(np.uint16) * 257)
    for image in (colours, colours.quantize(16), clear, deep, colours.convert("1")):
        yield "png", _saved(image, "PNG")
    yield "jpeg", _saved(colours, "JPEG", progressive=True)
    exif = PIL.Image.Exif()
    exif[274] = 6
    yield "jpeg", _saved(colours, "JPEG", exif=exif, dpi=(200, 200))
    yield "jpeg", _saved(colours.convert("CMYK"), "JPEG")
    yield "gif", frames(["one", "two", "three"], "GIF")
    yield "bmp", _saved(colours, "BMP")
    yield "bmp", _saved(colours.quantize(16), "BMP")
    yield "tiff", frames(["one", "two"])
    for packing in ("tiff_lzw", "group4", "jpeg", "packbits", "tiff_adobe_deflate"):
        image = colours.convert("1") if packing == "group4" else colours
        yield "tiff", _saved(image, "TIFF", compression=packing)
    grey = np.asarray(colours.convert("L"))[:64, :64].tobytes()
    tags = {tiffs.PHOTOMETRIC: [1], tiffs.TILE_WIDTH: [64], tiffs.TILE_HEIGHT: [64]}
    yield "tiff", tiffs.tiff(64, 64, [grey], tags, ">", big=True)
    yield "webp", _saved(colours, "WEBP")
    yield "webp", _saved(clear, "WEBP", lossless=True)
    yield "webp", frames(["one", "two"], "WEBP")


def _saved(image: PIL.Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


# Office


def _docx() -> bytes:
    document = docx.Document()
    document.add_heading("Quarterly report", 1)
    document.add_paragraph("今天天气很好。 With English, 12.5 %.").add_run("bold").bold = True
    document.add_paragraph("an item", style="List Bullet")
    table = document.add_table(3, 3, style="Table Grid")
    table.cell(0, 0).merge(table.cell(1, 1)).text = "merged"
    table.cell(2, 2).text = "last"
    document.sections[0].header.paragraphs[0].text = "running head"
    document.add_picture(io.BytesIO(picture()), width=Inches(3))
    document.add_paragraph().add_run().add_break(WD_BREAK.PAGE)
    document.add_paragraph("second page")
    return _written(document.save)


def _xlsx() -> bytes:
    with closing(openpyxl.Workbook()) as book:
        sheet = book.worksheets[0]
        sheet.append(["item", "单价", "=1+1"])
        for n in range(5):
            sheet.append([f"row {n}", n * 12.5, n / 7])
            sheet.cell(n + 2, 3).number_format = ["0.00%", "yyyy-mm-dd", "# ?/?", "[h]:mm", "@"][n]
        sheet.merge_cells("A8:B9")
        sheet["A8"] = "merged"
        chart = BarChart()
        chart.add_data(Reference(sheet, min_col=2, min_row=1, max_row=6), titles_from_data=True)
        sheet.add_chart(chart, "E2")
        sheet.add_image(SheetImage(io.BytesIO(picture())), "E20")
        book.create_sheet("hidden").sheet_state = "hidden"
        return _written(book.save)


def _pptx() -> bytes:
    show = pptx.Presentation()
    slide = show.slides.add_slide(show.slide_layouts[5])
    slide.shapes.title.text = "Slide title"
    table = slide.shapes.add_table(2, 2, 0, Inches(2), Inches(4), Inches(1)).table
    table.cell(0, 0).merge(table.cell(0, 1))
    table.cell(1, 1).text = "cell"
    data: Any = CategoryChartData()  # type: ignore[no-untyped-call]
    data.categories = ["a", "b"]
    data.add_series("s", (1.5, 2.5))
    size = (Inches(4), Inches(3))
    slide.shapes.add_chart(XL_CHART_TYPE.PIE, Inches(5), Inches(2), *size, data)
    blank = show.slides.add_slide(show.slide_layouts[6])
    blank.shapes.add_picture(io.BytesIO(picture()), Inches(1), Inches(1), Inches(4))
    blank.notes_slide.notes_text_frame.text = "notes"
    return _written(show.save)


def _with_drawing(drawing: bytes) -> bytes:
    """The Word file with a Windows metafile for its picture, which no library would put in."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(_docx())) as old, zipfile.ZipFile(out, "w") as new:
        for part in old.infolist():
            is_picture = part.filename.endswith(".png")
            new.writestr(part.filename, drawing if is_picture else old.read(part))
    return out.getvalue()


def _protected(plain: bytes) -> bytes:
    """The package, protected as Office 2010 does."""
    out = io.BytesIO()
    OOXMLFile(io.BytesIO(plain)).encrypt(PASSWORD, out)
    return out.getvalue()


def _written(save: Callable[[io.BytesIO], object]) -> bytes:
    out = io.BytesIO()
    save(out)
    return out.getvalue()


_OFFICE: dict[str, Callable[[], bytes]] = {"docx": _docx, "xlsx": _xlsx, "pptx": _pptx}
_OLD = (
    ("doc", protection.protect_word, (Xor, Rc4, Rc4CryptoApi)),
    ("xls", protection.protect_excel, (Xor, Rc4, Rc4CryptoApi)),
    ("ppt", protection.protect_powerpoint, (Rc4CryptoApi,)),
)

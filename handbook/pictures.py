"""Takes the handbook's pictures of the running program: what it makes, and its page.

Usage: python -m handbook.pictures

A server with the real engines reads documents that are drawn for it. What comes back is drawn by
LibreOffice and PDFium, the page by Chromium.
"""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx2
import openpyxl
import pypdfium2
from openpyxl.worksheet.page import PageMargins
from openpyxl.worksheet.properties import PageSetupProperties
from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import Page, sync_playwright

from handbook import samples
from tests.server import TOKEN, Server

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"
_LANGUAGES = "ChinesePRC,English"
_WIDE = 700  # Of one page, in pixels.
_SHOWN = 0.68  # Of its height: what is below is empty.
_LAYER = (30, 90, 220)
_RENAME = """([from, to]) => document.querySelectorAll("td, th").forEach(
    (cell) => { cell.textContent = cell.textContent.replace(from, to); })"""


def main() -> None:
    """Take all of them."""
    PICTURES.mkdir(exist_ok=True)
    with TemporaryDirectory() as name, _server(Path(name)) as server:
        documents = samples.draw(Path(name))
        for sample, form in (
            ("letter", "docx"),
            ("letter", "pdf"),
            ("letter", "txt"),
            ("invoice", "xlsx"),
            ("columns", "docx"),
            ("columns", "pptx"),
        ):
            fields = {"format": form, "language": _LANGUAGES, "filename": f"{sample}.jpg"}
            record = server.post(documents[sample].read_bytes(), **fields)
            assert record["state"] == 1, record
            result = Path(name) / f"{sample}.{form}"
            result.write_bytes(server.result(record))
            _keep(_beside(_page(documents[sample]), _drawn(result)), f"{sample}-{form}")
        _page_of_the_server(server, documents)


def _page_of_the_server(server: Server, documents: dict[str, Path]) -> None:
    """What people see in a browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"] if os.getuid() == 0 else []
        )
        page = browser.new_page(viewport={"width": 1280, "height": 860}, locale="en-GB")
        page.goto(server.base + "/")
        page.fill("#token", TOKEN)
        page.press("#token", "Enter")
        page.wait_for_selector(".send")
        before = len(_tasks(server))
        page.set_input_files("#files", [str(path) for path in documents.values()])
        # The first is ready, the next is being read.
        server.until(lambda: len(_tasks(server)) >= before + len(documents))
        server.until(lambda: _tasks(server)[len(documents) - 1]["state"] == 1)
        page.wait_for_timeout(500)
        _shoot(page, "page")
        server.until(lambda: not _unfinished(server))
        task = _newest(server, "columns.jpg")
        page.goto(f"{server.base}/#/task/{task}")
        page.wait_for_timeout(9000)  # By then it says no more that it is ready.
        _shoot(page, "viewer")
        page.goto(f"{server.base}/#/operations")
        for path in [*documents.values()] * 3:
            server.post(path.read_bytes(), format="txt", sync="0")
        page.wait_for_timeout(15000)
        # Workers are called by their machine.
        page.evaluate(_RENAME, [socket.gethostname(), "ocr-server"])
        _shoot(page, "operations")
        browser.close()


def _tasks(server: Server) -> list[dict[str, object]]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    return list(httpx2.get(f"{server.base}/tasks", headers=headers).json()["data"]["tasks"])


def _unfinished(server: Server) -> bool:
    return any(task["state"] in (0, 2, 3, 4) for task in _tasks(server))


def _newest(server: Server, filename: str) -> object:
    return next(t["task_id"] for t in _tasks(server) if t.get("filename") == filename)


def _shoot(page: Page, name: str) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "page.png"
        page.screenshot(path=path)
        with Image.open(path) as picture:
            _keep(picture.convert("RGB"), name)


@contextmanager
def _server(folder: Path) -> Iterator[Server]:
    data = folder / "data"
    data.mkdir()
    server = Server(data, {"OCR_OPERATOR_TOKENS": TOKEN, "OCR_WORKERS": "1"})
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _page(path: Path) -> Image.Image:
    """A document's first page."""
    with Image.open(path) as picture:
        return picture.convert("RGB").resize((_WIDE, round(_WIDE * picture.height / picture.width)))


def _drawn(result: Path) -> Image.Image:
    """The first page of a result; of a PDF with its text layer made seen."""
    if result.suffix == ".txt":
        return _typed(result.read_text(encoding="utf-8"))
    if result.suffix == ".pdf":
        return _with_layer(result)
    if result.suffix == ".xlsx":
        _as_seen(result)
    made = result.parent / f"office-{result.suffix[1:]}"
    profile = f"-env:UserInstallation=file://{result.parent}/profile"
    command = ["soffice", "--headless", profile, "--convert-to", "pdf", "--outdir", str(made)]
    subprocess.run([*command, str(result)], check=True, capture_output=True)
    with pypdfium2.PdfDocument(made / f"{result.stem}.pdf") as pdf:
        return _raster(pdf[0])


def _as_seen(path: Path) -> None:
    """Have a workbook printed as it looks on a screen: with its grid, and all columns."""
    book = openpyxl.load_workbook(path)
    for sheet in book:
        sheet.sheet_properties.pageSetUpPr = PageSetupProperties(fitToPage=True)
        sheet.page_setup.fitToHeight = 0
        sheet.page_margins = PageMargins(0.2, 0.2, 0.2, 0.2)
        sheet.print_options.gridLines = sheet.print_options.headings = True
    book.save(path)


def _raster(page: pypdfium2.PdfPage) -> Image.Image:
    picture = page.render(scale=_WIDE / page.get_width()).to_pil()
    assert isinstance(picture, Image.Image)
    return picture.convert("RGB")


def _with_layer(path: Path) -> Image.Image:
    """The first page, faded, under its text layer: each character's box, and the character."""
    with pypdfium2.PdfDocument(path) as pdf:
        page = pdf[0]
        picture = Image.blend(_raster(page), Image.new("RGB", _raster(page).size, "white"), 0.72)
        draw = ImageDraw.Draw(picture)
        scale = _WIDE / page.get_width()
        text = page.get_textpage()
        for n in range(text.count_chars()):
            left, bottom, right, top = (scale * edge for edge in text.get_charbox(n))
            sign = text.get_text_range(n, 1)
            if sign.isspace() or right <= left:
                continue
            font = ImageFont.truetype(samples.SERIF, max(6, round((top - bottom) * 0.95)), index=2)
            middle = ((left + right) / 2, picture.height - (top + bottom) / 2)
            draw.text(middle, sign, _LAYER, font, anchor="mm")
    return picture


def _typed(text: str) -> Image.Image:
    """Text as an editor shows it."""
    picture = Image.new("RGB", (_WIDE, round(_WIDE * 1.414)), "white")
    font = ImageFont.truetype(samples.SERIF, 17, index=2)
    ImageDraw.Draw(picture).text((24, 24), text, "#222222", font, spacing=9)
    return picture


def _beside(one: Image.Image, other: Image.Image) -> Image.Image:
    """The document and what became of it, each with a frame."""
    high = round(one.height * _SHOWN)
    both = Image.new("RGB", (2 * _WIDE + 60, high + 40), "#e9ebf2")
    for n, picture in enumerate((one, other)):
        part = Image.new("RGB", (_WIDE, high), "white")
        part.paste(picture, (0, 0))
        both.paste(part, (20 + n * (_WIDE + 20), 20))
    return both


def _keep(picture: Image.Image, name: str) -> None:
    picture.save(PICTURES / f"{name}.webp", quality=78, method=6)


if __name__ == "__main__":
    main()

"""Our writer of searchable PDF beside reportlab's: time, memory and size for the same pages.

Draws page pictures (grey and colour JPEG, black-and-white PNG) with Chinese lines, then lets each
writer make a PDF of them in a process of its own: ``python -m benchmarks.pdf_writer [PAGES]``.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pypdfium2
from PIL import Image, ImageDraw, ImageFont

from app.document import Box, Document, Line, Page, Paragraph, Word
from app.interfaces import Writer
from app.writers.pdf import PdfWriter
from app.writers.pdf_reportlab import ReportlabPdfWriter

_FONT = "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc"
_TEXT = "扫描件照片和办公文档都能识别"
_WRITERS: dict[str, type[Writer]] = {"own": PdfWriter, "reportlab": ReportlabPdfWriter}


def main() -> None:
    """Run both writers and print the table."""
    if len(sys.argv) == 4:
        _run(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
        return
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    print(f"{count} pages\n{'writer':10s} {'s':>7s} {'peak MB':>8s} {'MB':>6s}  text found")
    with tempfile.TemporaryDirectory(prefix="ocr-bench-") as folder:
        _draw(Path(folder), count)
        for name in _WRITERS:
            command = [sys.executable, "-m", "benchmarks.pdf_writer", name, str(count), folder]
            found = json.loads(subprocess.check_output(command))
            print(
                f"{name:10s} {found['s']:7.2f} {found['rss'] / 1024:8.0f} "
                f"{found['size'] / 2**20:6.1f}  {found['text']}"
            )


def _draw(folder: Path, count: int) -> None:
    """A picture for each page, no two alike: reportlab stores equal ones once."""
    font = ImageFont.truetype(_FONT, 40, index=2)
    image = Image.new("RGB", (1240, 1754), "white")
    draw = ImageDraw.Draw(image)
    for n in range(25):
        draw.text((100, 100 + 60 * n), _TEXT, "black", font)
    for number in range(count):
        draw.rectangle((900, 0, 1240, 60), "white")
        draw.text((900, 0), str(number), "black", font)
        if number % 3 == 2:
            image.convert("1").save(folder / f"{number:04}.png")
        else:
            image.convert("RGB" if number % 3 else "L").save(folder / f"{number:04}.jpg")


def _run(name: str, count: int, folder: Path) -> None:
    pictures = sorted(p for p in folder.iterdir() if p.suffix in (".jpg", ".png"))
    target = folder / f"{name}.pdf"
    began = time.perf_counter()
    pages = (_page(n + 1, pictures[n % len(pictures)]) for n in range(count))
    _WRITERS[name]().write(Document(pages), target)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pypdfium2.PdfDocument(target) as pdf:
        text = pdf[count - 1].get_textpage().get_text_range()
    found = {"s": seconds, "rss": peak, "size": target.stat().st_size, "text": _TEXT in text}
    print(json.dumps(found))


def _page(number: int, picture: Path) -> Page:
    boxes = [Box(100, 110 + 60 * n, 660, 150 + 60 * n) for n in range(25)]
    lines = tuple(Line((Word(_TEXT, box),), box) for box in boxes)
    paragraph = Paragraph(lines, Box.around(boxes))
    return Page(number, 1240, 1754, 150, (paragraph,), recognized=True, picture=picture)


if __name__ == "__main__":
    main()

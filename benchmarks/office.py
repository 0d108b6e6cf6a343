"""How long an Office page takes: with a LibreOffice that starts for it, and with one kept running.

Starts ``ocr-server serve`` with one worker on a new data folder; sends a page of Word, Excel and
PowerPoint for its text, twice each unmeasured, then in turn. "Started for it" has
``OCR_OFFICE_FILES=1``, and waits for nothing between the documents.
"""

import io
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import docx
import httpx2
import openpyxl
import pptx

_RUNS = 20
_TOKEN = "sk-bench"  # noqa: S105 - of a server that lives as long as this run


def main() -> None:
    """Measure and print."""
    pages = {"docx": word(), "xlsx": excel(), "pptx": powerpoint()}
    found = {
        "started for it": _measure(pages, {"OCR_OFFICE_FILES": "1"}),
        "kept running": _measure(pages, {}),
    }
    for title, times in found.items():
        print(f"{title}:")
        for name, taken in times.items():
            p50, p95 = statistics.median(taken), sorted(taken)[int(0.95 * len(taken))]
            print(f"  {name}, p50 / p95  {p50:6.3f} / {p95:.3f} s")
    print(json.dumps(found))


def _measure(pages: dict[str, bytes], settings: dict[str, str]) -> dict[str, list[float]]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="ocr-bench-") as folder:
        environment = {
            **os.environ,
            "OCR_DATA_DIR": folder,
            "OCR_PORT": str(port),
            "OCR_TOKENS": _TOKEN,
            "OCR_WORKERS": "1",
            "OCR_LOG_LEVEL": "warning",
            **settings,
        }
        command = [sys.executable, "-m", "app.cli", "serve"]
        with subprocess.Popen(command, env=environment) as server:
            try:
                return _timed(f"http://127.0.0.1:{port}", pages)
            finally:
                server.terminate()


def _timed(base: str, pages: dict[str, bytes]) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in pages}
    with httpx2.Client(base_url=base, timeout=60) as client:
        while not _is_ready(client):
            time.sleep(0.1)
        for turn in range(_RUNS + 2):
            for name, page in pages.items():
                start = time.perf_counter()
                _send(client, page)
                if turn >= 2:
                    times[name].append(time.perf_counter() - start)
    return times


def _is_ready(client: httpx2.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx2.TransportError:
        return False


def _send(client: httpx2.Client, page: bytes) -> None:
    response = client.post(
        "/task/pic/ocr",
        headers={"Authorization": f"Bearer {_TOKEN}"},
        files={"image_file": ("page", page)},
        data={"language": "English", "return_text": "1"},
    )
    text = response.json()["data"]["text"]
    if "HELLO OFFICE" not in text:
        raise SystemExit(f"misread: {text!r}")


def word() -> bytes:
    """A page of Word."""
    out = io.BytesIO()
    document = docx.Document()
    document.add_heading("HELLO OFFICE", 1)
    for number in range(12):
        document.add_paragraph(f"Paragraph {number} says the same as all. " * 6)
    table = document.add_table(4, 3)
    for row in range(4):
        for column in range(3):
            table.cell(row, column).text = f"cell {row} {column}"
    document.save(out)
    return out.getvalue()


def excel() -> bytes:
    """A page of Excel."""
    out = io.BytesIO()
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.column_dimensions["A"].width = 20
    sheet.append(["HELLO OFFICE", "price", "note"])
    for row in range(30):
        sheet.append([f"item {row}", row * 3.5, "none"])
    book.save(out)
    book.close()
    return out.getvalue()


def powerpoint() -> bytes:
    """A slide of PowerPoint."""
    out = io.BytesIO()
    slides = pptx.Presentation()
    slide = slides.slides.add_slide(slides.slide_layouts[1])
    assert slide.shapes.title is not None
    slide.shapes.title.text = "HELLO OFFICE"
    slide.placeholders[1].text = "one\ntwo\nthree"
    slides.save(out)
    return out.getvalue()


if __name__ == "__main__":
    main()

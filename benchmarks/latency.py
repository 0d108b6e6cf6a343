"""How long one small picture takes: with a server that has just started, and with a warm one.

Starts ``ocr-server serve`` on a new data folder, as a user would find it, sends one line of text
as soon as the port answers, then the same a number of times, and prints the figures.
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
from pathlib import Path

import httpx2
from PIL import Image, ImageDraw, ImageFont

_WARM_RUNS = 30
_TOKEN = "sk-bench"  # noqa: S105 - of a server that lives as long as this run


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="ocr-bench-") as folder:
        first = _measure(Path(folder), "first start (models not compiled yet)")
        second = _measure(Path(folder), "second start")
    print(json.dumps({"first": first, "second": second}))


def _measure(folder: Path, title: str) -> dict[str, float]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "OCR_DATA_DIR": str(folder),
        "OCR_PORT": str(port),
        "OCR_TOKENS": _TOKEN,
        "OCR_LOG_LEVEL": "warning",
    }
    began = time.perf_counter()
    with subprocess.Popen([sys.executable, "-m", "app.cli", "serve"], env=environment) as server:
        try:
            return _timed(f"http://127.0.0.1:{port}", began, title)
        finally:
            server.terminate()


def _timed(base: str, began: float, title: str) -> dict[str, float]:
    picture = _picture()
    with httpx2.Client(base_url=base, timeout=60) as client:
        while True:
            try:
                client.get("/healthz")
                break
            except httpx2.TransportError:
                time.sleep(0.02)
        listening = time.perf_counter() - began
        _send(client, picture)
        cold = time.perf_counter() - began
        warm = []
        for _ in range(_WARM_RUNS):
            start = time.perf_counter()
            _send(client, picture)
            warm.append(time.perf_counter() - start)
    found = {
        "listening_s": listening,
        "first_answer_s": cold,
        "warm_p50_s": statistics.median(warm),
        "warm_p95_s": sorted(warm)[int(0.95 * len(warm))],
    }
    print(f"{title}:")
    print(f"  listening after         {found['listening_s']:6.2f} s")
    print(f"  first answer after      {found['first_answer_s']:6.2f} s from the start")
    print(f"  warm, p50 / p95         {found['warm_p50_s']:6.3f} / {found['warm_p95_s']:.3f} s")
    return found


def _send(client: httpx2.Client, picture: bytes) -> None:
    response = client.post(
        "/task/pic/ocr",
        headers={"Authorization": f"Bearer {_TOKEN}"},
        files={"image_file": ("line.png", picture)},
        data={"language": "English", "return_text": "1"},
    )
    text = response.json()["data"]["text"]
    if text != "HELLO OCR 12345":
        raise SystemExit(f"misread: {text!r}")


def _picture() -> bytes:
    image = Image.new("RGB", (900, 220), "white")
    font = ImageFont.load_default(size=72)
    ImageDraw.Draw(image).text((40, 70), "HELLO OCR 12345", "black", font)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


if __name__ == "__main__":
    main()

"""What clients send to a stub engine's server, and what they are told."""

import io
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from benchmarks.load import Load, load
from tests.server import TOKEN, Server

HEAD = "tasks/s   p50 ms  p95 ms  p99 ms  failed"


def page(number: int = 0) -> bytes:
    """A line of text, as a small PNG."""
    out = io.BytesIO()
    _drawn(number).save(out, "PNG")
    return out.getvalue()


def document(pages: int) -> bytes:
    """So many pages as different pictures, as a PDF."""
    first, *rest = (_drawn(number) for number in range(pages))
    out = io.BytesIO()
    first.save(out, "PDF", save_all=True, append_images=rest)
    return out.getvalue()


def send(server: Server, clients: int, seconds: float, content: bytes = b"") -> Load:
    """Have clients send a page, or ``content``, for so long."""
    with tempfile.TemporaryDirectory(prefix="ocr-bench-") as folder:
        file = Path(folder) / "page.png"
        file.write_bytes(content or page())
        return load(server.port, TOKEN, file, clients, seconds, format="txt")


def told(found: Load) -> str:
    """The columns of ``HEAD``."""
    quantiles = (1000 * found.quantile_s(share) for share in (0.5, 0.95, 0.99))
    return f"{found.per_s:7.1f}  " + "".join(f"{q:6.1f}  " for q in quantiles) + f"{found.failed:6}"


def _drawn(number: int) -> Image.Image:
    image = Image.new("L", (320, 64), 255)
    text = f"HELLO OCR {12345 + number}"
    ImageDraw.Draw(image).text((16, 16), text, 0, ImageFont.load_default(size=24))
    return image

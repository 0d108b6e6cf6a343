"""Small documents, drawn for the tests."""

import io
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

LATIN = "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf"
CJK = "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc"


def picture(
    text: str = "HELLO OCR 12345",
    kind: str = "PNG",
    mode: str = "RGB",
    size: tuple[int, int] = (900, 220),
    font: str = LATIN,
    points: int = 60,
) -> bytes:
    """A picture of ``text``, one printed line for each of its lines."""
    out = io.BytesIO()
    drawn(text, size, font, points).convert(mode).save(out, kind)
    return out.getvalue()


def frames(texts: Sequence[str], kind: str = "TIFF") -> bytes:
    """A file with a frame for each text."""
    images = [drawn(text).convert("L") for text in texts]
    out = io.BytesIO()
    images[0].save(out, kind, save_all=True, append_images=images[1:])
    return out.getvalue()


def drawn(
    text: str, size: tuple[int, int] = (900, 220), font: str = LATIN, points: int = 60
) -> Image.Image:
    """``text`` in black on white."""
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    for n, line in enumerate(text.split("\n")):
        # The collection's first face has Japanese shapes, the third simplified Chinese ones.
        face = ImageFont.truetype(font, points, index=2 if font == CJK else 0)
        draw.text((40, 40 + n * points * 3 // 2), line, "black", face)
    return image

"""Small documents, drawn for the tests."""

import io
import struct
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


def emf(*texts: str) -> bytes:
    """A Windows metafile (MS-EMF), 800 x 400 pixels, with a line of Arial for each text."""
    records: list[bytes] = []

    def add(kind: int, body: bytes) -> None:
        body += bytes(-len(body) % 4)
        records.append(struct.pack("<II", kind, 8 + len(body)) + body)

    face = "Arial".encode("utf-16-le").ljust(64, b"\0")
    font = struct.pack("<I5i8B", 1, -40, 0, 0, 0, 400, *([0] * 8)) + face
    add(82, font.ljust(320, b"\0"))
    add(37, struct.pack("<I", 1))
    for n, text in enumerate(texts):
        letters = text.encode("utf-16-le")
        letters += bytes(-len(letters) % 4)
        box = struct.pack("<4iIff", 0, 0, 799, 399, 1, 1, 1)
        where = struct.pack("<iiIII4iI", 20, 40 + 80 * n, len(text), 76, 0, *([0] * 4), 0)
        add(84, box + where + letters)
    add(14, struct.pack("<III", 0, 16, 20))
    size = 88 + sum(map(len, records))
    frame = struct.pack("<8i", 0, 0, 799, 399, 0, 0, 21166, 10583)
    counts = struct.pack("<IIIHHIII", 0x10000, size, len(records) + 1, 2, 0, 0, 0, 0)
    head = struct.pack("<II", 1, 88) + frame + b" EMF" + counts
    return head + struct.pack("<4i", 1024, 768, 271, 203) + b"".join(records)


def wmf(*texts: str) -> bytes:
    """An older Windows metafile (MS-WMF), 800 x 400 pixels, with a line of SimSun for each text."""
    records: list[bytes] = []

    def add(function: int, body: bytes = b"") -> None:
        body += bytes(len(body) % 2)
        records.append(struct.pack("<IH", 3 + len(body) // 2, function) + body)

    add(0x020B, struct.pack("<hh", 0, 0))
    add(0x020C, struct.pack("<hh", 400, 800))
    add(0x02FB, struct.pack("<5h8B", -40, 0, 0, 0, 400, 0, 0, 0, 134, 0, 0, 0, 0) + b"SimSun\0\0")
    add(0x012D, struct.pack("<H", 0))
    for n, text in enumerate(texts):
        letters = text.encode("gbk")
        add(0x0A32, struct.pack("<hhHH", 40 + 80 * n, 20, len(letters), 0) + letters)
    add(0)
    size, largest = (18 + sum(map(len, records))) // 2, max(map(len, records)) // 2
    head = struct.pack("<IHhhhhHI", 0x9AC6CDD7, 0, 0, 0, 800, 400, 96, 0)
    checksum = 0
    for (word,) in struct.iter_unpack("<H", head):
        checksum ^= word
    head += struct.pack("<H", checksum)
    return head + struct.pack("<HHHIHIH", 1, 9, 0x300, size, 1, largest, 0) + b"".join(records)


def sample() -> Image.Image:
    """Black text and blocks of colour on white, 300 x 120 pixels."""
    image = drawn("Hello 123", (300, 120), points=20)
    draw = ImageDraw.Draw(image)
    blocks = [(200, 30, 30), (30, 200, 30), (30, 30, 200), (128, 128, 128)]
    for n, colour in enumerate(blocks):
        draw.rectangle((10 + 70 * n, 75, 60 + 70 * n, 110), fill=colour)
    return image

"""Pictures put into a PDF as they are, without loss and mostly without being decoded."""

import struct
from collections.abc import Iterator
from contextlib import nullcontext
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from app.errors import InvalidFile
from app.writers.pdf_file import PdfFile


def embed(file: PdfFile, picture: Path | BinaryIO) -> str:
    """Add the image file ``picture``; gives its reference.

    A JPEG goes in byte by byte, and so does what is packed inside a PNG without transparency.
    Anything else is decoded, put on white where it is transparent, and packed like a PNG.
    Raises InvalidFile.
    """
    with picture.open("rb") if isinstance(picture, Path) else nullcontext(picture) as stream:
        reference = _embed_jpeg(file, stream) or _embed_png(file, stream)
        if reference is None:
            reference = _embed_png(file, _as_png(stream))
    if reference is None:
        raise InvalidFile("A page's picture cannot be read.")
    return reference


_CHUNK_BYTES = 2**20
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _RGB, _PALETTE = 0, 2, 3  # PNG's colour types without transparency.
# Huffman-coded frames, all that PDF's DCTDecode promises: baseline, extended, progressive.
_JPEG_FRAMES = (0xC0, 0xC1, 0xC2)
_JPEG_OTHER_FRAMES = (0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)


def _embed_jpeg(file: PdfFile, stream: BinaryIO) -> str | None:
    stream.seek(0)
    frame = _jpeg_frame(stream)
    if frame is None:
        return None
    bits, height, width, *components = frame
    # Three components named R, G and B are not YCbCr, which PDF would take them for; of four,
    # it is not clear whether they are inverted.
    spaces = {1: "/DeviceGray", 3: "/DeviceRGB"}
    space = spaces.get(len(components))
    if bits != 8 or not width or not height or space is None or bytes(components) == b"RGB":
        return None
    length = stream.seek(0, 2)
    stream.seek(0)
    entries = _entries(width, height, space, 8) + " /Filter /DCTDecode"
    return file.add_stream(entries, iter(lambda: stream.read(_CHUNK_BYTES), b""), length)


def _jpeg_frame(stream: BinaryIO) -> tuple[int, ...] | None:
    """Bits, height, width and the name of each component."""
    if stream.read(2) != b"\xff\xd8":
        return None
    while (marker := stream.read(2)) and len(marker) == 2 and marker[0] == 0xFF:
        if marker[1] == 0xFF:  # Padding before a marker.
            stream.seek(-1, 1)
            continue
        if marker[1] in _JPEG_OTHER_FRAMES or len(size := stream.read(2)) < 2:
            return None
        body = stream.read(int.from_bytes(size) - 2) if int.from_bytes(size) > 2 else b""
        if marker[1] in _JPEG_FRAMES:
            if len(body) < 6 or len(body) < 6 + 3 * body[5]:
                return None
            names = body[6 : 6 + 3 * body[5] : 3]
            return (*struct.unpack(">BHH", body[:5]), *names)
    return None


def _embed_png(file: PdfFile, stream: BinaryIO) -> str | None:
    stream.seek(0)
    if stream.read(8) != _PNG_SIGNATURE:
        return None
    header = palette = b""
    data: list[tuple[int, int]] = []  # Where the packed pixels stand, and how many bytes.
    while len(start := stream.read(8)) == 8:
        length, name = struct.unpack(">I4s", start)
        if name == b"IHDR":
            header = stream.read(length)
        elif name == b"PLTE":
            palette = stream.read(length)
        elif name == b"IDAT":
            data.append((stream.tell(), length))
            stream.seek(length, 1)
        elif name in (b"tRNS", b"IEND"):
            if name == b"tRNS":
                return None
            break
        else:
            stream.seek(length, 1)
        stream.seek(4, 1)  # The checksum.
    if len(header) != 13 or not data:
        return None
    width, height, bits, colour, _, _, interlaced = struct.unpack(">IIBBBBB", header)
    spaces = {
        _GREY: "/DeviceGray",
        _RGB: "/DeviceRGB",
        _PALETTE: f"[/Indexed /DeviceRGB {len(palette) // 3 - 1} <{palette.hex()}>]",
    }
    if interlaced or not width or not height or colour not in spaces:
        return None
    if colour == _PALETTE and not palette:
        return None
    # 15: each row says which of PNG's predictors it uses.
    parameters = (
        f"<</Predictor 15 /Colors {3 if colour == _RGB else 1} /BitsPerComponent {bits} "
        f"/Columns {width}>>"
    )
    entries = (
        _entries(width, height, spaces[colour], bits)
        + f" /Filter /FlateDecode /DecodeParms {parameters}"
    )
    return file.add_stream(entries, _chunks(stream, data), sum(length for _, length in data))


def _chunks(stream: BinaryIO, parts: list[tuple[int, int]]) -> Iterator[bytes]:
    for offset, length in parts:
        stream.seek(offset)
        remaining = length
        while remaining and (chunk := stream.read(min(remaining, _CHUNK_BYTES))):
            remaining -= len(chunk)
            yield chunk
        # A file that was cut off must not shift the objects behind it.
        yield bytes(remaining)


def _entries(width: int, height: int, space: str, bits: int) -> str:
    return (
        f"/Type /XObject /Subtype /Image /Width {width} /Height {height} "
        f"/ColorSpace {space} /BitsPerComponent {bits}"
    )


def _as_png(stream: BinaryIO) -> BinaryIO:
    stream.seek(0)
    png = BytesIO()
    try:
        with Image.open(stream) as image:
            if image.has_transparency_data:
                layers = image.convert("RGBA")
                flat = Image.new("RGB", image.size, "white")
                flat.paste(layers, mask=layers.getchannel("A"))
            elif image.mode in ("1", "L", "RGB"):
                flat = image.copy()
            else:
                flat = image.convert("RGB")
        flat.save(png, "PNG")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InvalidFile("A page's picture cannot be read.") from error
    return png

"""Small files that ask for much, made as they are needed."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping

Objects = Mapping[int, bytes]

TEXT = b"BT /F 24 Tf 50 700 Td (Hello hostile world of words) Tj ET\n"


def zeros(size: int, layers: int = 1, head: bytes = b"", byte: bytes = b"\0") -> bytes:
    """``head`` and ``size`` bytes, deflated as often as there are ``layers``."""
    deflate = zlib.compressobj(9)
    block = byte * 2**20
    parts = [deflate.compress(head), *(deflate.compress(block) for _ in range(size >> 20))]
    data = b"".join([*parts, deflate.compress(byte * (size % 2**20)), deflate.flush()])
    for _ in range(layers - 1):
        data = zlib.compress(data, 9)
    return data


# PDF.


def pdf(objects: Objects) -> bytes:
    """A file of these objects; the first is its catalog."""
    out, places = io.BytesIO(), {}
    out.write(b"%PDF-1.7\n")
    for number, body in objects.items():
        places[number] = out.tell()
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
    start, size = out.tell(), max(objects) + 1
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % size)
    for number in range(1, size):
        kind = b"n" if number in places else b"f"
        out.write(b"%010d 00000 %s \n" % (places.get(number, 0), kind))
    out.write(b"trailer <</Size %d /Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (size, start))
    return out.getvalue()


def stream(data: bytes, entries: str = "") -> bytes:
    return b"<</Length %d %s>>\nstream\n%s\nendstream" % (len(data), entries.encode(), data)


def page(
    content: bytes = TEXT,
    resources: str = "",
    more: Objects | None = None,
    box: str = "[0 0 612 792]",
    entries: str = "",
    content_entries: str = "",
    catalog: str = "",
) -> bytes:
    """A file of one page, whose font is object 5; ``more`` begins with 6."""
    return pdf(
        {
            1: f"<</Type/Catalog/Pages 2 0 R{catalog}>>".encode(),
            2: b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
            3: (
                f"<</Type/Page/Parent 2 0 R/MediaBox{box}/Contents 4 0 R"
                f"/Resources<<{resources}/Font<</F 5 0 R>>>>{entries}>>"
            ).encode(),
            4: stream(content, content_entries),
            5: b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
            **(more or {}),
        }
    )


def pages(count: int) -> bytes:
    """Blank pages, each an object of its own."""
    kids = b" ".join(b"%d 0 R" % number for number in range(3, count + 3))
    blank = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]>>"
    return pdf(
        {
            1: b"<</Type/Catalog/Pages 2 0 R>>",
            2: b"<</Type/Pages/Count %d/Kids[%s]>>" % (count, kids),
            **dict.fromkeys(range(3, count + 3), blank),
        }
    )


def packed_objects(data: bytes, entries: str) -> bytes:
    """A file whose catalog is in the stream of objects ``data``."""
    out, places = io.BytesIO(), {}
    out.write(b"%PDF-1.7\n")
    objects = {
        2: b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        3: b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R>>",
        4: stream(TEXT),
        5: stream(data, f"/Type/ObjStm/N 1/First 4{entries}"),
    }
    for number, body in objects.items():
        places[number] = out.tell()
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
    start = places[6] = out.tell()
    rows = struct.pack(">BIH", 0, 0, 65535) + struct.pack(">BIH", 2, 5, 0)
    rows += b"".join(struct.pack(">BIH", 1, places[number], 0) for number in range(2, 7))
    table = stream(rows, "/Type/XRef/Size 7/W[1 4 2]/Root 1 0 R")
    out.write(b"6 0 obj\n%s\nendobj\nstartxref\n%d\n%%%%EOF" % (table, start))
    return out.getvalue()


def form(content: bytes, draws: int | None = None, kind: str = "/Subtype/Form") -> bytes:
    """A form with the content; ``draws`` is the object that it calls X."""
    inside = "" if draws is None else f"/Resources<</XObject<</X {draws} 0 R>>>>"
    return stream(content, f"/Type/XObject{kind}/BBox[0 0 600 700]{inside}")


# Pictures.


def png(width: int, height: int, data: bytes, depth: int = 8, kind: int = 2) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        png_chunk(name, body) for name, body in ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    )


def png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def with_chunk(picture: bytes, name: bytes, body: bytes) -> bytes:
    """A PNG with a chunk more, after its header."""
    return picture[:33] + png_chunk(name, body) + picture[33:]


def gif(frames: int, width: int, height: int) -> bytes:
    """Frames of one pixel on a sheet of that size."""
    frame = b"!\xf9\4\0\0\0\0\0,\0\0\0\0\1\0\1\0\0\2\2\x44\1\0"
    head = struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    return b"GIF89a" + head + frame * frames + b";"


def bmp(width: int, height: int, data: bytes = b"", bits: int = 24, packing: int = 0) -> bytes:
    head = struct.pack("<IHHI", 54 + len(data), 0, 0, 54)
    rest = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, packing, 0, 0, 0, 0, 0)
    return b"BM" + head + rest + data


def tiff(
    width: int, height: int, data: bytes = b"", packing: int = 1, after: int = 0, bits: int = 8
) -> bytes:
    """One directory, which says that another is at ``after``."""
    entries = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, bits),
        (259, 3, 1, packing),
        (262, 3, 1, 1),
        (273, 4, 1, 8 + 2 + 9 * 12 + 4),
        (277, 3, 1, 1),
        (278, 4, 1, height),
        (279, 4, 1, len(data)),
    ]
    directory = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0\x08\0\0\0\x09\0" + directory + struct.pack("<I", after) + data


def jpeg_with(picture: bytes, segments: bytes) -> bytes:
    """A JPEG with segments more at its beginning."""
    return picture[:2] + segments + picture[2:]


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


# Office.

_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_MAINS = {
    "docx": ("word/document.xml", "wordprocessingml.document"),
    "xlsx": ("xl/workbook.xml", "spreadsheetml.sheet"),
    "pptx": ("ppt/presentation.xml", "presentationml.presentation"),
}
PARAGRAPH = "<w:p><w:r><w:t>Hello hostile world</w:t></w:r></w:p>"


def package(kind: str, parts: Mapping[str, str | bytes], overrides: str = "") -> bytes:
    main, content = _MAINS[kind]
    types = (
        f'<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/'
        'vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/{main}" ContentType="application/'
        f'vnd.openxmlformats-officedocument.{content}.main+xml"/>{overrides}</Types>'
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("[Content_Types].xml", types)
        archive.writestr("_rels/.rels", relations(("r1", "officeDocument", main)))
        for name, data in parts.items():
            archive.writestr(name, data)
    return out.getvalue()


def relations(*found: tuple[str, str, str]) -> str:
    """A part that says what is referred to: id, kind and target of each."""
    inside = "".join(
        f'<Relationship Id="{number}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        for number, kind, target in found
    )
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{inside}</Relationships>'


def docx(
    body: str = PARAGRAPH,
    parts: Mapping[str, str | bytes] | None = None,
    *related: tuple[str, str, str],
    before: str = "",
) -> bytes:
    """A Word document; ``before`` stands before its root."""
    words = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    document = (
        f'{before}<w:document xmlns:w="{words}" xmlns:r="{_OFFICE}">'
        f"<w:body>{body}</w:body></w:document>"
    )
    names = {"word/document.xml": document, "word/_rels/document.xml.rels": relations(*related)}
    return package("docx", {**names, **(parts or {})})


def xlsx(*sheets: str, strings: str = "") -> bytes:
    """A workbook with the content of its sheets' elements ``worksheet``, and shared strings."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    numbers = range(1, len(sheets) + 1)
    names = "".join(f'<sheet name="s{n}" sheetId="{n}" r:id="s{n}"/>' for n in numbers)
    found = [(f"s{n}", "worksheet", f"worksheets/sheet{n}.xml") for n in numbers]
    book = f'<workbook xmlns="{main}" xmlns:r="{_OFFICE}"><sheets>{names}</sheets></workbook>'
    return package(
        "xlsx",
        {
            "xl/workbook.xml": book,
            "xl/_rels/workbook.xml.rels": relations(
                *found, ("strings", "sharedStrings", "sharedStrings.xml")
            ),
            "xl/sharedStrings.xml": f'<sst xmlns="{main}">{strings}</sst>',
            **{
                f"xl/worksheets/sheet{n}.xml": f'<worksheet xmlns="{main}">{sheet}</worksheet>'
                for n, sheet in zip(numbers, sheets, strict=True)
            },
        },
    )


def rows(count: int, row: Callable[[int], str]) -> str:
    return f"<sheetData>{''.join(map(row, range(1, count + 1)))}</sheetData>"


def pptx(slides: int) -> bytes:
    """A presentation that shows one slide so often."""
    main = "http://schemas.openxmlformats.org/presentationml/2006/main"
    ids = "".join(f'<p:sldId id="{256 + n}" r:id="s{n}"/>' for n in range(slides))
    show = (
        f'<p:presentation xmlns:p="{main}" xmlns:r="{_OFFICE}"><p:sldIdLst>{ids}</p:sldIdLst>'
        '<p:sldSz cx="9144000" cy="6858000"/></p:presentation>'
    )
    slide = f'<p:sld xmlns:p="{main}"><p:cSld><p:spTree/></p:cSld></p:sld>'
    found = [(f"s{n}", "slide", "slides/slide1.xml") for n in range(slides)]
    return package(
        "pptx",
        {
            "ppt/presentation.xml": show,
            "ppt/_rels/presentation.xml.rels": relations(*found),
            "ppt/slides/slide1.xml": slide,
        },
    )


def overlapping(size: int, count: int) -> bytes:
    """A Word document of which ``count`` parts are the same packed bytes."""
    data = docx(parts={"word/x.xml": b"x" * size})
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        part, start = archive.getinfo("word/x.xml"), archive.start_dir
        known = len(archive.namelist())
    end = data.rindex(b"PK\5\6")
    name = b"word/x.xml"
    entry = struct.pack(
        "<4s6H3I5H2I",
        b"PK\1\2",
        *(20, 20, 0, 8, 0, 0x21),
        *(part.CRC, part.compress_size, part.file_size),
        *(len(name), 0, 0, 0, 0),
        *(0, part.header_offset),
    )
    directory = data[start:end] + (entry + name) * count
    total = known + count
    tail = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, total, total, len(directory), start, 0)
    return data[:start] + directory + tail


def lying(size: int) -> bytes:
    """A Word document with a part that says it has 1,000 bytes, and has ``size``."""
    data = bytearray(docx(parts={"word/x.bin": bytes(size)}))
    with zipfile.ZipFile(io.BytesIO(bytes(data))) as archive:
        part = archive.getinfo("word/x.bin")
    struct.pack_into("<I", data, part.header_offset + 22, 1000)
    struct.pack_into("<I", data, data.rindex(b"word/x.bin") - 46 + 24, 1000)
    return bytes(data)


def compound(stream_name: str) -> bytes:
    """A compound file (OLE) whose table of sectors goes round in a circle."""
    none, end = 0xFFFFFFFF, 0xFFFFFFFE
    header = struct.pack(
        "<8s16s5H6x4x9I",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        bytes(16),
        *(0x3E, 3, 0xFFFE, 9, 6),
        *(1, 1, 0, 4096, end, 0, end, 0, 0),
    )
    table = struct.pack("<4I", 0xFFFFFFFD, 1, 3, 2) + b"\xff" * 496

    def entry(name: str, kind: int, child: int, start: int, size: int) -> bytes:
        coded = name.encode("utf-16-le") + b"\0\0"
        return struct.pack(
            "<64sHBBIII36xIQ", coded, len(coded), kind, 1, none, none, child, start, size
        )

    directory = entry("Root Entry", 5, 1, end, 0) + entry(stream_name, 2, none, 2, 2**31 - 1)
    return header.ljust(512, b"\xff") + table + directory.ljust(512, b"\0") + bytes(1024)

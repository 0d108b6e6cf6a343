"""Documents that the stub makes of text: a born-digital PDF, and packages of the Office formats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from app import media

_SIZE = 12  # Points of the text,
_STEP = 18  # from line to line,
_EDGE = 72  # and of the margins.
_A4 = (595, 842)


def pdf(texts: Sequence[str]) -> bytes:
    """A PDF of a page for each text; pages grow with what stands on them.

    Its font is one that readers have for Chinese, and is not in the file.
    """
    kids = " ".join(f"{5 + 2 * n} 0 R" for n in range(len(texts)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Count {len(texts)} /Kids [{kids}] >>".encode(),
        b"<< /Type /Font /Subtype /Type0 /BaseFont /STSong-Light /Encoding /UniGB-UTF16-H"
        b" /ToUnicode 4 0 R /DescendantFonts [<< /Type /Font /Subtype /CIDFontType0"
        b" /BaseFont /STSong-Light /DW 1000 /W [1 95 500] /CIDSystemInfo"
        b" << /Registry (Adobe) /Ordering (GB1) /Supplement 4 >> /FontDescriptor"
        b" << /Type /FontDescriptor /FontName /STSong-Light /Flags 4 /Ascent 880 /Descent -120"
        b" /CapHeight 880 /ItalicAngle 0 /StemV 93 /FontBBox [-25 -254 1000 880] >> >>] >>",
        _stream(_TO_UNICODE),
    ]
    for n, text in enumerate(texts):
        lines = text.splitlines()
        across = max(map(_width, lines), default=0) + 2 * _EDGE
        size = max(_A4[0], across), max(_A4[1], len(lines) * _STEP + 2 * _EDGE)
        objects += [
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {size[0]:g} {size[1]}]"
            f" /Resources << /Font << /F 3 0 R >> >> /Contents {6 + 2 * n} 0 R >>".encode(),
            _stream(_content(lines, size[1])),
        ]
    return b"".join(_file(objects))


def office(texts: Sequence[str], kind: str, target: Path) -> None:
    """A document of the media type ``kind``, with a page, slide or sheet for each text."""
    if kind == media.DOCX:
        import docx

        document = docx.Document()
        for n, text in enumerate(texts):
            document.add_paragraph(text).paragraph_format.page_break_before = n > 0
        document.save(str(target))
    elif kind == media.PPTX:
        import pptx

        slides = pptx.Presentation()
        for text in texts:
            slides.slides.add_slide(slides.slide_layouts[5]).shapes.title.text = text
        slides.save(str(target))
    else:
        import openpyxl

        workbook = openpyxl.Workbook()
        for n, text in enumerate(texts):
            sheet = workbook.active if n == 0 else workbook.create_sheet()
            assert sheet is not None
            sheet["A1"] = text
        workbook.save(target)


_TO_UNICODE = b"""/CIDInit /ProcSet findresource begin 12 dict begin begincmap
/CIDSystemInfo << /Registry (Adobe) /Ordering (UCS) /Supplement 0 >> def
/CMapName /Same def /CMapType 2 def
1 begincodespacerange <0000> <ffff> endcodespacerange
1 beginbfrange <0000> <ffff> <0000> endbfrange
endcmap CMapName currentdict /CMap defineresource pop end end"""


def _width(line: str) -> float:
    return sum(_SIZE / 2 if " " <= c <= "~" else _SIZE for c in line)


def _content(lines: Sequence[str], height: float) -> bytes:
    shown = " T* ".join(f"<{line.encode('utf-16-be', 'replace').hex()}> Tj" for line in lines)
    return f"BT /F {_SIZE} Tf {_STEP} TL {_EDGE} {height - _EDGE:g} Td {shown} ET".encode()


def _stream(data: bytes) -> bytes:
    return b"<< /Length %d >>\nstream\n%b\nendstream" % (len(data), data)


def _file(objects: Sequence[bytes]) -> Iterator[bytes]:
    """The PDF of numbered objects, of which the first is the catalog."""
    head = b"%PDF-1.5\n%\xe2\xe3\xcf\xd3\n"
    yield head
    place, places = len(head), []
    for number, each in enumerate(objects, 1):
        places.append(place)
        told = b"%d 0 obj\n%b\nendobj\n" % (number, each)
        place += len(told)
        yield told
    yield b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    yield b"".join(b"%010d 00000 n \n" % each for each in places)
    yield b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1,
        place,
    )

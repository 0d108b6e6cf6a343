import struct
import zipfile
from pathlib import Path

import pytest

from app import media
from app.errors import InvalidFile, TooLarge

OOXML = "application/vnd.openxmlformats-officedocument."


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"%PDF-1.7\n", media.PDF),
        (b"\xef\xbb\xbf junk before \n%PDF-1.4\n", media.PDF),
        (b"\x89PNG\r\n\x1a\n", media.PNG),
        (b"\xff\xd8\xff\xe0", media.JPEG),
        (b"GIF89a", media.GIF),
        (b"GIF87a", media.GIF),
        (b"BM" + bytes(12) + b"\x28\0\0\0", media.BMP),
        (b"II*\0", media.TIFF),
        (b"MM\0*", media.TIFF),
        (b"II+\0\x08\0\0\0", media.TIFF),
        (b"RIFF\x10\0\0\0WEBPVP8 ", media.WEBP),
        (b"\x09\x08\x08\0\0\x05\x10\0", media.XLS),
        (b"\x09\0\x04\0\x02\0\x10\0", media.XLS),
    ],
)
def test_signatures(tmp_path: Path, head: bytes, expected: str) -> None:
    """The first bytes decide, whatever the name says."""
    path = tmp_path / "picture.txt"
    path.write_bytes(head + bytes(100))

    assert media.detect(path) == expected


@pytest.mark.parametrize(
    ("main_type", "expected"),
    [
        (OOXML + "wordprocessingml.document.main+xml", media.DOCX),
        (OOXML + "wordprocessingml.template.main+xml", media.DOCX),
        ("application/vnd.ms-word.document.macroEnabled.main+xml", media.DOCX),
        (OOXML + "spreadsheetml.sheet.main+xml", media.XLSX),
        ("application/vnd.ms-excel.template.macroEnabled.main+xml", media.XLSX),
        (OOXML + "presentationml.slideshow.main+xml", media.PPTX),
        ("application/vnd.ms-powerpoint.presentation.macroEnabled.main+xml", media.PPTX),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_archives_go_by_their_main_part(
    tmp_path: Path, main_type: str, expected: str, encoding: str
) -> None:
    """Templates and files with macros are the kind that they are a variant of."""
    path = tmp_path / "file"
    types = f'<Types><Override PartName="/main.xml" ContentType="{main_type}"/></Types>'
    _zip(path, {"[Content_Types].xml": types.encode(encoding)})

    assert media.detect(path) == expected


@pytest.mark.parametrize(
    ("streams", "expected"),
    [
        (["WordDocument", "1Table"], media.DOC),
        (["Workbook"], media.XLS),
        (["Book"], media.XLS),
        (["Current User", "PowerPoint Document"], media.PPT),
        (["EncryptionInfo", "EncryptedPackage"], media.ENCRYPTED_OOXML),
    ],
)
def test_compound_files_go_by_their_streams(
    tmp_path: Path, streams: list[str], expected: str
) -> None:
    """Old Office files are told apart by the streams in the root."""
    path = tmp_path / "file"
    path.write_bytes(_compound(streams))

    assert media.detect(path) == expected


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"x",
        b"<html><body>hello</body></html>",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"{\\rtf1 hello}",
        b"%!PS-Adobe-3.0 EPSF-3.0",
        b"\xd7\xcd\xc6\x9a" + bytes(40),
        b"BM is how this text begins, and no picture",
        bytes(range(256)) * 8,
    ],
)
def test_everything_else_is_refused(tmp_path: Path, content: bytes) -> None:
    """The error names what would be accepted."""
    path = tmp_path / "document.pdf"
    path.write_bytes(content)

    with pytest.raises(InvalidFile, match=r"Accepted are PDF.*WebP"):
        media.detect(path)


def test_other_archives_are_refused(tmp_path: Path) -> None:
    """A zip file is not accepted, nor an OpenDocument one."""
    path = tmp_path / "a.docx"
    _zip(path, {"mimetype": b"application/vnd.oasis.opendocument.text"})

    with pytest.raises(InvalidFile, match="Accepted are"):
        media.detect(path)


def test_other_compound_files_are_refused(tmp_path: Path) -> None:
    """An e-mail or an installer in the same container is not accepted."""
    path = tmp_path / "a.doc"
    path.write_bytes(_compound(["__properties_version1.0"]))

    with pytest.raises(InvalidFile, match="Accepted are"):
        media.detect(path)


def test_truncated_archive(tmp_path: Path) -> None:
    """Half an archive has no directory."""
    path = tmp_path / "a.docx"
    _zip(path, {"[Content_Types].xml": b"x" * 5000, "b": b"y"})
    path.write_bytes(path.read_bytes()[:-40])

    with pytest.raises(InvalidFile, match="damaged"):
        media.detect(path)


def test_archive_with_too_many_entries(tmp_path: Path) -> None:
    """The number of parts is bounded."""
    path = tmp_path / "a.docx"
    _zip(path, {f"{number}": b"" for number in range(10_001)})

    with pytest.raises(TooLarge):
        media.detect(path)


def test_archive_with_huge_directory(tmp_path: Path) -> None:
    """A directory of many megabytes is not even read."""
    path = tmp_path / "a.docx"
    size = 100 * 2**20
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 65535, 65535, size, 4, 0)
    with path.open("wb") as file:
        file.write(b"PK\3\4")
        file.seek(4 + size)
        file.write(end)

    with pytest.raises(TooLarge):
        media.detect(path)


def test_loops_in_compound_files_end(tmp_path: Path) -> None:
    """A directory that follows itself is read once."""
    data = bytearray(_compound(["WordDocument"]))
    struct.pack_into("<I", data, 512 + 4, 1)  # The directory's sector links to itself.

    path = tmp_path / "a.doc"
    path.write_bytes(data)

    assert media.detect(path) == media.DOC


def test_compound_file_with_tables_larger_than_itself(tmp_path: Path) -> None:
    """Billions of table sectors in a small file are refused, not looked for."""
    data = bytearray(_compound(["WordDocument"]))
    struct.pack_into("<I", data, 44, 0x7FFFFFFF)
    path = tmp_path / "a.doc"
    path.write_bytes(data)

    with pytest.raises(InvalidFile, match="damaged"):
        media.detect(path)


def test_an_archive_whose_parts_are_before_it(tmp_path: Path) -> None:
    """A directory that says so is damaged."""
    path = tmp_path / "a.docx"
    _zip(path, {"[Content_Types].xml": b"<Types/>"})
    data = bytearray(path.read_bytes())
    start = struct.unpack_from("<I", data, len(data) - 6)[0]
    struct.pack_into("<I", data, len(data) - 6, start + 1000)
    path.write_bytes(data)

    with pytest.raises(InvalidFile, match="damaged"):
        media.detect(path)


def _zip(path: Path, parts: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in parts.items():
            archive.writestr(name, data)


def _compound(streams: list[str]) -> bytes:
    """A compound file whose root has empty ``streams``, at most three."""
    none, end = 0xFFFFFFFF, 0xFFFFFFFE
    header = struct.pack(
        "<8s16sHHHHH6x4xIIIIIIIII",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        bytes(16),
        0x3E,
        3,
        0xFFFE,
        9,
        6,
        1,  # One table sector;
        1,  # the directory is in sector 1.
        0,
        4096,
        end,
        0,
        end,
        0,
        0,  # The table is in sector 0.
    )
    table = struct.pack("<2I", 0xFFFFFFFD, end) + b"\xff" * 504

    def entry(name: str, kind: int, right: int, child: int) -> bytes:
        coded = name.encode("utf-16-le") + b"\0\0"
        return struct.pack(
            "<64sHBBIII36xIQ", coded, len(coded), kind, 1, none, right, child, end, 0
        )

    entries = entry("Root Entry", 5, none, 1)
    for number, name in enumerate(streams, 1):
        entries += entry(name, 2, number + 1 if number < len(streams) else none, none)
    return header.ljust(512, b"\xff") + table + entries.ljust(512, b"\0")

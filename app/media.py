"""What kind of file it is, by its content and never by its name."""

import io
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from app.errors import InvalidFile, TooLarge

PDF = "application/pdf"
PNG = "image/png"
JPEG = "image/jpeg"
GIF = "image/gif"
BMP = "image/bmp"
TIFF = "image/tiff"
WEBP = "image/webp"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
DOC = "application/msword"
XLS = "application/vnd.ms-excel"
PPT = "application/vnd.ms-powerpoint"
EMF = "image/emf"
WMF = "image/wmf"
ENCRYPTED_OOXML = "application/x-encrypted-ooxml"
"""A protected docx, xlsx or pptx: only its password tells which."""

ACCEPTED = "PDF, DOC, DOCX, XLS, XLSX, PPT, PPTX, JPEG, PNG, GIF, BMP, TIFF, WebP"


def detect(path: Path) -> str:
    """The media type, one of this module's constants.

    Reads no more than a few megabytes. Raises InvalidFile for anything else, TooLarge for an
    archive whose directory alone is too big.
    """
    with path.open("rb") as file:
        head = file.read(1024)
        if not head:
            raise InvalidFile(f"The file is empty. Accepted are {ACCEPTED}.")
        for pattern, media_type in _SIGNATURES:
            if pattern.match(head):
                return media_type
        if head.startswith(b"PK\x03\x04"):
            found = _ooxml_kind(path)
        elif head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
            found = _ole_kind(file, head, path.stat().st_size)
        else:
            # Readers accept a PDF whose header has other bytes before it.
            found = PDF if b"%PDF-" in head else None
    if found is None:
        raise InvalidFile(f"This kind of file cannot be read. Accepted are {ACCEPTED}.")
    return found


def drawing_kind(path: Path) -> str | None:
    """The media type of a drawing, which is accepted within documents only; None for others."""
    with path.open("rb") as file:
        head = file.read(44)
    if head.startswith(b"\x01\0\0\0") and head.endswith(b" EMF"):
        return EMF
    return WMF if _WMF.match(head) else None


PLACEABLE = b"\xd7\xcd\xc6\x9a"
"""What a WMF begins with that says how large it is."""
_WMF = re.compile(re.escape(PLACEABLE) + rb"|[\x01\x02]\0\x09\0\0[\x01\x03]")


@contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """The zip archive at ``path``, for reading, with bounded memory for its directory.

    Whatever is wrong with it while it is open becomes InvalidFile; TooLarge for too many entries.
    """
    try:
        with _BoundedFile(path) as file, zipfile.ZipFile(file) as archive:
            if len(archive.filelist) > _MAX_ENTRIES:
                raise _too_many_parts()
            yield archive
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError) as error:
        raise InvalidFile("The file is damaged.") from error
    except (NotImplementedError, RuntimeError, ValueError, KeyError, OverflowError) as error:
        raise InvalidFile("The file is packed in a way that cannot be read.") from error


_SIGNATURES = (
    (re.compile(rb"%PDF-"), PDF),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), PNG),
    (re.compile(rb"\xff\xd8\xff"), JPEG),
    (re.compile(rb"GIF8[79]a"), GIF),
    # The size of the header that follows is one of those that ever existed.
    (re.compile(rb"BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\0\0\0", re.DOTALL), BMP),
    (re.compile(rb"II\*\0|MM\0\*|II\+\0\x08\0|MM\0\+\0\x08"), TIFF),
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), WEBP),
    # Early Excel: a bare stream of records, of which the first says its length, version and kind.
    (re.compile(rb"\x09[\0\x02\x04\x08][\x04\x06\x08]\0..[\x05\x10\x20\x40]\0", re.DOTALL), XLS),
    (re.compile(rb"\xdb\xa5\x2d\0"), DOC),  # Word 2
)


# Archives (Office Open XML).

_MAX_ENTRIES = 10_000
_MAX_DIRECTORY_BYTES = 4 * 2**20
_MAX_TYPES_BYTES = 2**20


class _BoundedFile(io.FileIO):
    """A file for ZipFile, which reads an archive's directory at once, however big that is."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            size = os.fstat(self.fileno()).st_size - self.tell()
        if size > _MAX_DIRECTORY_BYTES:
            raise _too_many_parts()
        return super().read(size) or b""

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        if whence == os.SEEK_SET and offset < 0:  # So says a directory that is damaged.
            raise zipfile.BadZipFile
        return super().seek(offset, whence)


def _too_many_parts() -> TooLarge:
    return TooLarge(f"The file is an archive of more than {_MAX_ENTRIES} parts; send it in parts.")


def _ooxml_kind(path: Path) -> str | None:
    """The kind by the content type of the main part; None if it is another archive."""
    with open_archive(path) as archive:
        if "[Content_Types].xml" not in archive.namelist():
            return None
        with archive.open("[Content_Types].xml") as part:
            data = part.read(_MAX_TYPES_BYTES)
    # Not parsed: XML from strangers is LibreOffice's business, which runs in its own process.
    text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8", "replace")
    found = _MAIN_PART.search(text)
    return _MAIN_KINDS[(found[1] or found[2]).lower()] if found else None


_MAIN_PART = re.compile(
    r"""["']application/(?:vnd\.openxmlformats-officedocument\.
        (wordprocessingml|spreadsheetml|presentationml)\.(?:document|sheet|presentation|template|slideshow)
        |vnd\.ms-(word|excel|powerpoint)\.(?:document|sheet|presentation|template|slideshow)
        \.macroEnabled)\.main\+xml["']""",
    re.IGNORECASE | re.VERBOSE,
)
_MAIN_KINDS = {
    "wordprocessingml": DOCX,
    "word": DOCX,
    "spreadsheetml": XLSX,
    "excel": XLSX,
    "presentationml": PPTX,
    "powerpoint": PPTX,
}


# Compound files (OLE), after [MS-CFB].


def _ole_kind(file: BinaryIO, head: bytes, size: int) -> str | None:
    """The kind by the streams in the root; None if it is something else (msg, msi, ...)."""
    names = _ole_streams(file, head, size)
    for name, media_type in _OLE_KINDS:
        if name in names:
            return media_type
    return None


_OLE_KINDS = (
    ("encryptedpackage", ENCRYPTED_OOXML),
    ("worddocument", DOC),
    ("workbook", XLS),
    ("book", XLS),
    ("powerpoint document", PPT),
)

_MAX_DIRECTORY_SECTORS = 4096


def _ole_streams(file: BinaryIO, head: bytes, size: int) -> set[str]:
    """The lower-case names in the root storage.

    Read here and not by a library: every step is bounded, and a table that is bigger than the
    file, which libraries would follow for hours, is refused before they see it.
    """
    if len(head) < 512:
        raise InvalidFile("The file is damaged.")
    shift = struct.unpack_from("<H", head, 30)[0]
    tables, directory = struct.unpack_from("<II", head, 44)
    difat, difats = struct.unpack_from("<II", head, 68)
    if shift not in (9, 12) or (tables + difats) << shift > size:
        raise InvalidFile("The file is damaged.")

    def sector(number: int) -> bytes:
        file.seek((number + 1) << shift)
        return file.read(1 << shift)

    places = list(struct.unpack_from("<109I", head, 76))
    entries = (1 << shift) // 4
    for _ in range(difats):
        more = sector(difat)
        if len(more) != 1 << shift:
            break
        *further, difat = struct.unpack(f"<{entries}I", more)
        places += further

    found: list[bytes] = []
    seen: set[int] = set()
    while len(seen) < _MAX_DIRECTORY_SECTORS and directory not in seen:
        seen.add(directory)
        found.append(sector(directory))
        table, place = divmod(directory, entries)
        if table >= min(len(places), tables):
            break
        link = sector(places[table])[place * 4 : place * 4 + 4]
        if len(link) < 4:
            break
        directory = struct.unpack("<I", link)[0]
    return _root_names(b"".join(found))


def _root_names(directory: bytes) -> set[str]:
    """Walk the tree of the root's children; those of inner storages are other documents'."""
    names: set[str] = set()
    seen: set[int] = set()
    waiting = [struct.unpack_from("<I", directory, 76)[0]] if len(directory) >= 128 else []
    while waiting:
        number = waiting.pop()
        start = number * 128
        if number in seen or start + 128 > len(directory):
            continue
        seen.add(number)
        length, _, _, left, right = struct.unpack_from("<HBBII", directory, start + 64)
        name = directory[start : start + max(0, min(length, 64) - 2)]
        names.add(name.decode("utf-16-le", "replace").lower())
        waiting += (left, right)
    return names

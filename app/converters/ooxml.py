"""Office Open XML archives before LibreOffice sees them: no bombs, no outside references."""

import html
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

from app.errors import InvalidFile, TooLarge
from app.media import open_archive


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What an archive may unpack to."""

    max_bytes: int = 2**30
    max_ratio: int = 200  # Of it and its larger parts; XML shrinks to a tenth.
    max_parts: int = 10_000


def make_harmless(source: Path, target: Path, most: Unpacked) -> Path:
    """``source``, or a copy without references that would be loaded from outside.

    Hyperlinks stay: nobody follows them. Raises TooLarge for what would unpack to too much,
    InvalidFile.
    """
    with open_archive(source) as archive:
        parts = archive.infolist()
        _check_size(source, parts, most)
        cleaned: dict[str, bytes] = {}
        for part in parts:
            if part.filename.lower().endswith(".rels"):
                before = _read(archive, part)
                after = _without_outside(before)
                if after != before:
                    cleaned[part.filename] = after
        if not cleaned:
            return source
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as copy:
            for name, part in {part.filename: part for part in parts}.items():
                if name in cleaned:
                    copy.writestr(name, cleaned[name])
                elif not part.is_dir():
                    _copy(archive, part, copy)
    return target


def check_size(source: Path, most: Unpacked) -> None:
    """Raise TooLarge for what would unpack to too much, InvalidFile."""
    with open_archive(source) as archive:
        _check_size(source, archive.infolist(), most)


_LARGE_BYTES = 100 * 2**20  # Of an archive,
_LARGE_PART_BYTES = 10 * 2**20  # and of a part, below which a ratio does no harm.


def _check_size(source: Path, parts: list[zipfile.ZipInfo], most: Unpacked) -> None:
    if len(parts) > most.max_parts:
        raise TooLarge(f"The document has more than {most.max_parts} parts; split it.")
    total = sum(part.file_size for part in parts)
    if total > most.max_bytes:
        raise TooLarge(
            f"The document unpacks to more than the {most.max_bytes / 2**20:g} MB that are "
            "accepted; send it in parts, or with smaller pictures."
        )
    # Of the archive too: its parts may be many, or all the same bytes.
    if total > max(_LARGE_BYTES, most.max_ratio * source.stat().st_size) or any(
        part.file_size > max(_LARGE_PART_BYTES, most.max_ratio * part.compress_size)
        for part in parts
    ):
        raise TooLarge("The document is packed so tightly that it may do harm; save it anew.")


_MAX_RELATIONSHIPS_BYTES = 16 * 2**20


def _read(archive: zipfile.ZipFile, part: zipfile.ZipInfo) -> bytes:
    with archive.open(part) as file:
        data = file.read(_MAX_RELATIONSHIPS_BYTES + 1)
    if len(data) > _MAX_RELATIONSHIPS_BYTES:
        raise TooLarge("The file has too many relationships.")
    return data


def _copy(archive: zipfile.ZipFile, part: zipfile.ZipInfo, copy: zipfile.ZipFile) -> None:
    """Stream one part; more than its header claims is an error, so that the check above holds."""
    with archive.open(part) as file, copy.open(part.filename, "w") as target:
        left = part.file_size
        while chunk := file.read(2**20):
            left -= len(chunk)
            if left < 0:
                raise InvalidFile("The file is damaged.")
            target.write(chunk)


_RELATIONSHIP = re.compile(
    r"""<(?:[^\s<>:/]+:)?Relationship\b(?:[^>"']|"[^"]*"|'[^']*')*>""", re.IGNORECASE
)
_ATTRIBUTE = re.compile(r"""([^\s="'<>/]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_ENCODING = re.compile(r"""^\s*<\?xml[^>]*\sencoding\s*=\s*["']([^"']*)["']""")
_EMPTY = (
    b'<?xml version="1.0" encoding="UTF-8"?>'
    b'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"/>'
)


def _without_outside(data: bytes) -> bytes:
    """A relationships part without the external ones; one that plays tricks is emptied."""
    wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    text = data.decode("utf-16" if wide else "utf-8-sig", "replace")
    declared = _ENCODING.match(text)
    if (
        "<!DOCTYPE" in text  # With entities of its own it could spell the words differently.
        or "Relationships" not in text
        or (declared and declared[1].lower() not in ("utf-8", "utf-16", "us-ascii"))
    ):
        return _EMPTY
    kept = _RELATIONSHIP.sub(_kept, text)
    return data if kept == text else (kept.encode("utf-16") if wide else kept.encode())


def _kept(match: re.Match[str]) -> str:
    """The element, or a comment in its place if it is external and no hyperlink."""
    found = {name: html.unescape(a or b) for name, a, b in _ATTRIBUTE.findall(match[0])}
    outside = any(
        name.rpartition(":")[2].lower() == "targetmode" and value.strip().lower() == "external"
        for name, value in found.items()
    )
    if not outside or found.get("Type", "").endswith("/hyperlink"):
        return match[0]
    return "" if match[0].endswith("/>") else "<Relationship>"

"""An incremental update: new objects behind a PDF whose own bytes stay as they are.

What is signed stays signed, and nothing is packed anew (PDF 32000-1, 7.5.6).
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pikepdf


def append(
    pdf: pikepdf.Pdf, original: Path, changed: Sequence[pikepdf.Object], target: Path
) -> bool:
    """Write ``target``: the bytes of ``original``, then the ``changed`` and new objects of ``pdf``.

    All are indirect objects. False, and no file, where that cannot be done: the table of objects
    is not where the file says, as in one that is damaged or has something behind its end.
    """
    start = _start(original)
    if start is None or "/Encrypt" in pdf.trailer:
        return False
    offset, streamed = start
    shutil.copyfile(original, target)
    with target.open("r+b") as file:
        file.seek(0, os.SEEK_END)
        file.write(b"\n")
        places: dict[tuple[int, int], int] = {}
        for each in changed:
            places[each.objgen] = file.tell()
            file.write(_object(each))
        entries = _entries(pdf, offset, streamed)
        number = max(int(pdf.trailer.Size), *(number + 1 for number, _ in places))
        at = file.tell()
        if streamed:
            places[number, 0] = at
            file.write(_table_stream(places, number, entries))
        else:
            file.write(_table(places, number, entries))
        file.write(f"startxref\n{at}\n%%EOF\n".encode("ascii"))
    return _shows(target, pdf)


def _shows(target: Path, pdf: pikepdf.Pdf) -> bool:
    """Whether the file has the pages of ``pdf``, with what is drawn on them."""
    with pikepdf.open(target, suppress_warnings=True) as written:
        if written.get_warnings() or len(written.pages) != len(pdf.pages):
            return False
        return all(
            _contents(ours.obj) == _contents(theirs.obj)
            for ours, theirs in zip(pdf.pages, written.pages, strict=True)
        )


def _contents(page: pikepdf.Object) -> bytes:
    contents = page.get("/Contents")
    return contents.unparse() if isinstance(contents, pikepdf.Object) else b""


_TAIL = 2048  # Bytes at the end in which a file tells where its table of objects is.


def _start(path: Path) -> tuple[int, bool] | None:
    """Where the last table of objects is, and whether it is a stream; None if it is not there."""
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        length = file.tell()
        file.seek(max(0, length - _TAIL))
        found = re.findall(rb"startxref\s+(\d+)\s+%%EOF", file.read())
        file.seek(0)
        if not found or file.read(5) != b"%PDF-":
            return None
        offset = int(found[-1])
        if offset >= length:
            return None
        file.seek(offset)
        head = file.read(32)
    if head.startswith(b"xref"):
        return offset, False
    return (offset, True) if re.match(rb"\d+\s+\d+\s+obj", head) else None


def _object(found: pikepdf.Object) -> bytes:
    number, generation = found.objgen
    head = f"{number} {generation} obj\n".encode("ascii")
    if isinstance(found, pikepdf.Stream):
        data = found.read_raw_bytes()
        entries = pikepdf.Dictionary(
            {key: value for key, value in found.stream_dict.items() if key != "/Length"}
        )
        entries["/Length"] = len(data)
        body = entries.unparse() + b"\nstream\n" + data + b"\nendstream"
    else:
        body = found.unparse(resolved=True)
    return head + body + b"\nendobj\n"


def _entries(pdf: pikepdf.Pdf, previous: int, streamed: bool) -> str:
    """What the trailer says, but for its size."""
    kept = " ".join(
        f"{key} {value.unparse().decode('latin-1')}"
        for key, value in pdf.trailer.items()
        if key in ("/Root", "/Info", "/ID")
    )
    kind = "/Type /XRef " if streamed else ""
    return f"{kind}{kept} /Prev {previous}"


def _table(places: dict[tuple[int, int], int], size: int, entries: str) -> bytes:
    lines = ["xref\n"]
    for (number, generation), place in sorted(places.items()):
        lines.append(f"{number} 1\n{place:010} {generation:05} n \n")
    lines.append(f"trailer\n<<{entries} /Size {size}>>\n")
    return "".join(lines).encode("latin-1")


def _table_stream(places: dict[tuple[int, int], int], number: int, entries: str) -> bytes:
    rows, index = b"", []
    for (each, generation), place in sorted(places.items()):
        rows += b"\1" + place.to_bytes(8, "big") + generation.to_bytes(2, "big")
        index.append(f"{each} 1")
    head = f"{number} 0 obj\n<<{entries} /Size {number + 1} /W [1 8 2] "
    head += f"/Index [{' '.join(index)}] /Length {len(rows)}>>\nstream\n"
    return head.encode("latin-1") + rows + b"\nendstream\nendobj\n"

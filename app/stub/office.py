"""Stands in for LibreOffice: a document has as many pages as it says, with text that says so."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import olefile

from app import media
from app.errors import InvalidFile, ToolFailed
from app.media import open_archive
from app.package import open_package
from app.stub import papers
from app.stub.script import MOST_PAGES


class StubOffice:
    """Nothing is laid out: whatever a document says is on no page of it."""

    def start(self) -> None:
        """There is nothing to start."""

    def convert(
        self,
        source: Path,
        kind: str,
        target_kind: str,
        work: Path,
        timeout_s: float | None = None,
    ) -> Path:
        """A PDF, or a document of today's format. Raises InvalidFile; ToolFailed for drawings."""
        if kind in (media.EMF, media.WMF):
            raise ToolFailed("The stub draws no drawings.")
        count = min(_COUNTS[kind](source), MOST_PAGES)
        texts = [f"Page {n} of {count}. {_NOTE}" for n in range(1, count + 1)]
        target = Path(mkdtemp(dir=work)) / "target"
        if target_kind == media.PDF:
            target.write_bytes(papers.pdf(texts))
        else:
            papers.office(texts, target_kind, target)
        return target

    def close(self) -> None:
        """There is nothing to end."""


_NOTE = "The stub has no LibreOffice; this stands for the text."
_DAMAGED = "The document is damaged or cannot be read."


def _packaged(path: Path) -> int:
    """Pages, slides or sheets of a package; those of a Word document as its program counted."""
    with open_archive(path) as archive:
        if archive.testzip() is not None:
            raise InvalidFile(_DAMAGED)
    with open_package(path) as package:
        root = package.tree(package.main)
        slides, sheets = root.iterfind(".//{*}sldId"), root.iterfind("{*}sheets/{*}sheet")
        counts = [len(list(slides)), sum(each.get("state") is None for each in sheets)]
        for each in package.relations("").values():
            if each.kind == "extended-properties" and each.target in package:
                with suppress(InvalidFile):  # The pages are there, told or not.
                    told = package.tree(each.target).findtext("{*}Pages") or ""
                    counts.append(int(told) if told.strip().isdecimal() else 0)
        return max(1, *counts)


def _compound(stream: str, begin: bytes, count: Callable[[Any], int | None]) -> Any:
    """Counts those of a document of the formats before 2007, whose text is in ``stream``."""

    def pages(path: Path) -> int:
        if not olefile.isOleFile(str(path)):
            return 1  # Older still.
        try:
            with olefile.OleFileIO(str(path)) as ole:
                name = next(each for each in (stream, "Book") if ole.exists(each))
                if not ole.openstream(name).read(len(begin)).startswith(begin):
                    raise InvalidFile(_DAMAGED)
                return max(1, count(ole.get_metadata()) or 1)
        except (OSError, StopIteration, ValueError, IndexError, TypeError) as error:
            raise InvalidFile(_DAMAGED) from error

    return pages


_COUNTS: dict[str, Callable[[Path], int]] = {
    media.DOCX: _packaged,
    media.XLSX: _packaged,
    media.PPTX: _packaged,
    media.DOC: _compound("WordDocument", b"", lambda told: told.num_pages),
    media.XLS: _compound("Workbook", b"", lambda told: 1),
    media.PPT: _compound("PowerPoint Document", b"", lambda told: told.slides),
}

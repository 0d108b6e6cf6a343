"""Word, Excel and PowerPoint files: unlocked, made harmless, turned into a PDF by LibreOffice."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app import media
from app.converters.office_program import OfficeProgram
from app.converters.ooxml import make_harmless
from app.converters.unlock import unlock
from app.errors import InvalidFile
from app.interfaces import Converter, Source


class OfficeConverter:
    """Opens Office files of all versions; the pages are those of ``pdf``."""

    media_types = frozenset(
        {
            media.DOCX,
            media.XLSX,
            media.PPTX,
            media.DOC,
            media.XLS,
            media.PPT,
            media.ENCRYPTED_OOXML,
        }
    )

    def __init__(self, pdf: Converter, program: OfficeProgram) -> None:
        self._pdf = pdf
        self._program = program

    @contextmanager
    def open(self, source: Path, work: Path, password: str | None) -> Iterator[Source]:
        """Open ``source``; its pages are laid out here, so they may differ from Microsoft's."""
        kind = media.detect(source)
        if kind not in _ZIPPED:
            source = unlock(source, work / "unlocked", kind, password or None)
            kind = media.detect(source)
            if kind == media.ENCRYPTED_OOXML:
                raise InvalidFile("The document is protected twice.")
        if kind in _ZIPPED:
            source = make_harmless(source, work / "harmless")
        result = self._program.convert(source, kind, media.PDF, work)
        with self._pdf.open(result, work, None) as pages:
            yield pages

    def prepare(self) -> None:
        """Start LibreOffice in the background."""
        self._program.start()

    def close(self) -> None:
        """End LibreOffice."""
        self._program.close()


_ZIPPED = frozenset({media.DOCX, media.XLSX, media.PPTX})

"""Word, Excel and PowerPoint files: unlocked, and read themselves or laid out by LibreOffice."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app import media
from app.converters.drawings import Drawings
from app.converters.inlays import Inlays
from app.converters.kept import open_kept
from app.converters.office_program import Office
from app.converters.ooxml import Unpacked, check_size, make_harmless
from app.converters.roomy import make_roomy
from app.converters.sheets import open_sheets
from app.converters.unlock import unlock
from app.converters.workbook import hidden_sheets
from app.errors import AppError, InvalidFile, TooLarge
from app.interfaces import Converter, Keepsake, Source
from app.package import open_package

log = logging.getLogger(__name__)


class OfficeConverter:
    """Opens Office files of all versions.

    A document that is to become its own format is given back; workbooks are read cell by cell,
    unless it matters where things stand; the pages of all others are those of ``pdf``. Pictures
    are opened by ``images``.
    """

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

    def __init__(
        self,
        pdf: Converter,
        images: Converter,
        program: Office,
        max_pages: int = 5000,
        most: Unpacked | None = None,
    ) -> None:
        self._max_pages = max_pages
        self._most = most or Unpacked()
        self._pdf = pdf
        self._images = images
        self._program = program

    @contextmanager
    def open(
        self, source: Path, work: Path, password: str | None, form: str = "pdf"
    ) -> Iterator[Source | Keepsake]:
        """Open ``source``; pages are laid out here, so they may differ from Microsoft's."""
        source = self.unlock(source, work, password or "")
        kind = media.detect(source)
        if kind == media.ENCRYPTED_OOXML:
            raise InvalidFile("The document is protected twice.")
        if (own := self._own(source, kind, work, form)) is not None:
            if own.page_count > self._max_pages:
                raise TooLarge(
                    f"The document has more than {self._max_pages} pages; send it in parts."
                )
            yield own
            return
        left_out = _left_out(source) if kind == media.XLSX else ()
        if kind in _ZIPPED:
            source = make_harmless(source, work / "harmless", self._most)
            if form == "txt":
                source = make_roomy(source, work / "roomy")
        result = self._program.convert(source, kind, media.PDF, work)
        with self._pdf.open(result, work, None) as pages:
            yield pages if isinstance(pages, Keepsake) else _LaidOut(pages, left_out)

    def unlock(self, source: Path, work: Path, password: str) -> Path:
        """``source``, or a copy without password."""
        kind = media.detect(source)
        if kind in _ZIPPED:
            return source
        return unlock(source, work / "unlocked", kind, password or None)

    def prepare(self) -> None:
        """Start LibreOffice in the background."""
        self._program.start()

    def close(self) -> None:
        """End LibreOffice."""
        self._program.close()

    def _own(self, source: Path, kind: str, work: Path, form: str) -> Source | Keepsake | None:
        """What can be had from the document itself; None if it has to be laid out."""
        modern = _MODERN[kind]
        keeps = _FORMS[modern] == form
        if not keeps and (modern != media.XLSX or form == "pdf"):
            return None
        if kind in _ZIPPED:
            check_size(source, self._most)
        else:
            source = self._program.convert(source, kind, modern, work)
            kind = modern
        inlays = Inlays(self._images, work, Drawings(self._pdf, self._program, work))
        try:
            return open_kept(source, kind, inlays) if keeps else open_sheets(source, inlays, form)
        except InvalidFile:
            log.info("The document cannot be read by itself; it is laid out.", exc_info=True)
            return None


class _LaidOut:
    """The pages of a document of which LibreOffice leaves something out."""

    def __init__(self, pages: Source, left_out: tuple[str, ...]) -> None:
        self.page_count, self.original, self.left_out = pages.page_count, pages.original, left_out
        self.pages, self.shown = pages.pages, pages.shown


def _left_out(source: Path) -> tuple[str, ...]:
    """What is hidden in a workbook, if that can be told."""
    try:
        with open_package(source) as package:
            return hidden_sheets(package)
    except AppError:
        return ()


_FORMS = {media.DOCX: "docx", media.XLSX: "xlsx", media.PPTX: "pptx"}
_ZIPPED = frozenset(_FORMS)
_MODERN = {kind: kind for kind in _ZIPPED} | {
    media.DOC: media.DOCX,
    media.XLS: media.XLSX,
    media.PPT: media.PPTX,
}

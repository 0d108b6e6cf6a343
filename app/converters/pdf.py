"""PDF files: opened with the password, repaired if need be, page by page."""

import stringprep
import unicodedata
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pikepdf

from app import media
from app.converters import poppler
from app.converters.pdf_bounds import PdfBounds
from app.converters.pdfium import PasswordRefused, PdfiumDocument, ProtectionRefused, Refused
from app.document import Line, Page, Rules
from app.errors import AppError, EncryptedDocument, InvalidFile
from app.interfaces import Image, Source, SourcePage


class PdfConverter:
    """Opens PDF files with PDFium; what it refuses, with Poppler."""

    media_types = frozenset({media.PDF})

    def __init__(
        self,
        max_pixels: int,
        max_pages: int,
        page_timeout_s: float,
        max_unpacked_bytes: int = 2**30,
    ) -> None:
        self._max_pixels = max_pixels
        self._page_timeout_s = page_timeout_s
        self._bounds = PdfBounds(max_pages, max_unpacked_bytes)

    @contextmanager
    def open(
        self, source: Path, work: Path, password: str | None, form: str = "pdf"
    ) -> Iterator[Source]:
        """Open ``source``; from an encrypted or damaged file a better copy is made first."""
        readable = self._readable(source, work, password or "")
        try:
            document = PdfiumDocument(readable, b"", self._max_pixels)
            if document.is_blank(0) and (repaired := _repaired(readable, work / "restored.pdf")):
                document.close()
                readable = repaired
                document = PdfiumDocument(readable, b"", self._max_pixels)
        except pikepdf.PasswordError as error:  # PDFium overlooks a damaged protection.
            raise _password_error(password or "") from error
        except Refused:
            count = poppler.page_count(readable, self._page_timeout_s)
            self._bounds.check_pages(count)
            yield _PopplerSource(readable, count, self._page_timeout_s)
            return
        with closing(document):
            self._bounds.check_pages(document.page_count)
            yield _PdfiumSource(readable, document, self._page_timeout_s)

    def unlock(self, source: Path, work: Path, password: str) -> Path:
        """``source``, or a copy without password."""
        return self._readable(source, work, password)

    def prepare(self) -> None:
        """Nothing is to be started."""

    def close(self) -> None:
        """Nothing is to be ended."""

    def _readable(self, source: Path, work: Path, password: str) -> Path:
        """``source``, or a copy without password or damage. Raises EncryptedDocument."""
        secrets = _spellings(password)
        self._bounds.check(source, secrets)
        try:
            document = self._unlock(source, secrets)
        except PasswordRefused as error:
            raise _password_error(password) from error
        except Refused as refusal:
            try:
                copy = _copy(source, work / "repaired.pdf", secrets)
            except pikepdf.PasswordError as error:
                raise _password_error(password) from error
            if copy is None and isinstance(refusal, ProtectionRefused):
                raise EncryptedDocument(
                    "The document is protected by something else than a password, such as a "
                    "certificate: send a copy without this protection."
                ) from refusal
            return copy or source
        with closing(document):
            if not document.is_encrypted:
                return source
            target = work / "unlocked.pdf"
            try:
                copied = _copy(source, target, secrets) is not None
            except pikepdf.PasswordError:
                copied = False  # The two libraries differ in how they spell some passwords.
            if not copied:
                document.save_unlocked(target)
            return target

    def _unlock(self, source: Path, secrets: list[bytes]) -> PdfiumDocument:
        """The document, opened with the first secret that it takes."""
        for secret in secrets[:-1]:
            with suppress(PasswordRefused):
                return PdfiumDocument(source, secret, self._max_pixels)
        return PdfiumDocument(source, secrets[-1], self._max_pixels)


def _spellings(password: str) -> list[bytes]:
    """The bytes that a program may have made of the password; the last are none.

    None, because a password too many does no harm. PDF 2.0 wants UTF-8 after RFC 4013 (SASLprep),
    earlier versions PDFDocEncoding; but programs take what was typed, in what their system has.
    """
    composed = "".join(
        sign for sign in unicodedata.normalize("NFKC", password) if not stringprep.in_table_b1(sign)
    )
    found = {}
    for text in (password, composed):
        for encoding in _ENCODINGS:
            with suppress(UnicodeEncodeError):
                found[text.encode(encoding)] = True
    return [*found, b""] if password else [b""]


# pikepdf brings the second; those after it are of Windows.
_ENCODINGS = ("utf-8", "pdfdoc_pikepdf", "cp1252", "gb18030", "big5", "cp932", "cp949", "cp1251")


def _password_error(password: str) -> EncryptedDocument:
    if not password:
        return EncryptedDocument(
            "The document is protected: send its password in the field password."
        )
    return EncryptedDocument(
        "The password is wrong: send the document's password in the field password."
    )


def _repaired(path: Path, target: Path) -> Path | None:
    """A copy of a damaged file, None if it is not damaged.

    Raises InvalidFile, and pikepdf.PasswordError.

    PDFium shows empty pages where it does not find a damaged file's objects, or any page at all.
    """
    try:
        with pikepdf.open(path, suppress_warnings=True) as document:
            pages = len(document.pages)
            if not document.get_warnings():
                return None
            document.save(target)
    except pikepdf.PasswordError:
        raise
    except (pikepdf.PikepdfError, ValueError, RuntimeError) as error:
        raise InvalidFile("The document is damaged.") from error
    return target if pages else None


def _copy(source: Path, target: Path, secrets: list[bytes]) -> Path | None:
    """Write ``source`` anew, whole and without encryption; None if it is beyond repair.

    Raises pikepdf.PasswordError.
    """
    for secret in secrets:
        try:
            with pikepdf.open(source, password=secret, suppress_warnings=True) as document:
                document.save(target)
            return target
        except pikepdf.PasswordError:
            if secret is secrets[-1]:
                raise
        except (pikepdf.PikepdfError, ValueError, RuntimeError):
            return None
    return None


class _PdfiumSource:
    """A document that PDFium reads; single pages may still be Poppler's."""

    left_out = ()

    def __init__(self, original: Path, document: PdfiumDocument, page_timeout_s: float) -> None:
        self.original = original
        self.page_count = document.page_count
        self._document = document
        self._page_timeout_s = page_timeout_s

    def pages(self, first: int = 1) -> Iterator[SourcePage]:
        """Every page from ``first`` on, in order."""
        for index in range(first - 1, self.page_count):
            yield self._page(index)

    def shown(self, page: Page) -> Page:
        """``page`` with its picture."""
        width, height = (page.height, page.width) if page.turns % 2 else (page.width, page.height)
        return replace(page, load=partial(self._render, page.number - 1, int(width), int(height)))

    def _page(self, index: int) -> SourcePage:
        try:
            facts = self._document.facts(index)
        except Refused:
            return _poppler_page(self.original, index + 1, self._page_timeout_s)

        def layer() -> tuple[Line, ...]:
            try:
                return self._document.layer(index, facts.dpi / 72)
            except Refused:
                return ()

        def rules() -> Rules | None:
            try:
                return self._document.rules(index, facts.dpi / 72)
            except Refused:
                return None

        return SourcePage(
            index + 1,
            facts.width,
            facts.height,
            facts.dpi,
            partial(self._render, index, facts.width, facts.height),
            lines=facts.lines,
            rules=None if facts.lines is None else rules,
            layer=layer if facts.lines is None else None,
            pictures=facts.pictures,
        )

    def _render(self, index: int, width: int, height: int) -> Image:
        try:
            return self._document.render(index, width, height)
        except Refused:
            return poppler.rasterize_as(
                self.original, index + 1, width, height, self._page_timeout_s
            )


class _PopplerSource:
    """A document that only Poppler reads: images of its pages."""

    left_out = ()

    def __init__(self, original: Path, page_count: int, page_timeout_s: float) -> None:
        self.original = original
        self.page_count = page_count
        self._page_timeout_s = page_timeout_s

    def pages(self, first: int = 1) -> Iterator[SourcePage]:
        """Every page from ``first`` on, in order."""
        for number in range(first, self.page_count + 1):
            yield _poppler_page(self.original, number, self._page_timeout_s)

    def shown(self, page: Page) -> Page:
        """``page`` with its picture."""

        def load() -> Image:
            return _poppler_page(self.original, page.number, self._page_timeout_s).load()

        return replace(page, load=load)


def _poppler_page(path: Path, number: int, timeout_s: float) -> SourcePage:
    """A page whose size is only known from its image; if there is none, ``load`` says why."""
    try:
        image = poppler.rasterize(path, number, _LONGER_SIDE, timeout_s)
    except AppError as error:
        reason = error

        def fail() -> Image:
            raise reason

        return SourcePage(number, 1654, _LONGER_SIDE, 200, fail)
    height, width, _ = image.shape
    return SourcePage(number, width, height, 200, lambda: image)


_LONGER_SIDE = 2340  # An A4 page at 200 dpi.

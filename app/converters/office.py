"""Word, Excel and PowerPoint files: unlocked, and read themselves or laid out by LibreOffice."""

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app import media, proc
from app.converters.inlays import Inlays
from app.converters.kept import open_kept
from app.converters.ooxml import check_size, make_harmless
from app.converters.roomy import make_roomy
from app.converters.sheets import open_sheets
from app.converters.unlock import unlock
from app.errors import InvalidFile, TimedOut, ToolFailed, ToolTimedOut
from app.interfaces import Converter, Keepsake, Source

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
        timeout_s: float,
        max_memory_bytes: int = 8 * 2**30,
    ) -> None:
        self._pdf = pdf
        self._images = images
        self._timeout_s = timeout_s
        self._max_memory_bytes = max_memory_bytes
        # A profile without the id of the installation makes LibreOffice start twice.
        self._build_id: bytes | None = None

    @contextmanager
    def open(
        self, source: Path, work: Path, password: str | None, form: str = "pdf"
    ) -> Iterator[Source | Keepsake]:
        """Open ``source``; pages are laid out here, so they may differ from Microsoft's."""
        kind = media.detect(source)
        if kind not in _ZIPPED:
            source = unlock(source, work / "unlocked", kind, password or None)
            kind = media.detect(source)
            if kind == media.ENCRYPTED_OOXML:
                raise InvalidFile("The document is protected twice.")
        if (own := self._own(source, kind, work, form)) is not None:
            yield own
            return
        if kind in _ZIPPED:
            source = make_harmless(source, work / "harmless")
            if form == "txt":
                source = make_roomy(source, work / "roomy")
        with self._pdf.open(self._convert(source, kind, work), work, None) as pages:
            yield pages

    def _own(self, source: Path, kind: str, work: Path, form: str) -> Source | Keepsake | None:
        """What can be had from the document itself; None if it has to be laid out."""
        modern = _MODERN[kind]
        keeps = _EXTENSIONS[modern] == f".{form}"
        if not keeps and (modern != media.XLSX or form == "pdf"):
            return None
        if kind in _ZIPPED:
            check_size(source)
        else:
            source = self._convert(source, kind, work, modern)
            kind = modern
        inlays = Inlays(self._images, work)
        try:
            return open_kept(source, kind, inlays) if keeps else open_sheets(source, inlays, form)
        except InvalidFile:
            log.info("The document cannot be read by itself; it is laid out.", exc_info=True)
            return None

    def _convert(self, source: Path, kind: str, work: Path, target: str = media.PDF) -> Path:
        """``source`` in the format ``target``, made by LibreOffice."""
        document = work / f"document{_EXTENSIONS[kind]}"
        _link(source, document)
        form = _EXTENSIONS[target]
        result = work / f"document{form}"
        wanted = form[1:] + (f":{_FILTERS[target]}" if target in _FILTERS else "")
        for _ in range(2):
            try:
                self._run_office(document, kind, work, wanted)
                cause = None
            except ToolTimedOut as error:
                raise TimedOut(
                    f"The document took longer than {self._timeout_s:g} s to convert."
                ) from error
            except ToolFailed as error:
                cause = error
            if result.exists():
                return result
            if not self._learn_build_id(work / "profile"):
                break
        raise InvalidFile("The document is damaged or cannot be converted.") from cause

    def _run_office(self, document: Path, kind: str, work: Path, wanted: str) -> None:
        profile = work / "profile"
        shutil.rmtree(profile, ignore_errors=True)
        (profile / "user" / "extensions").mkdir(parents=True)
        (profile / "user" / "registrymodifications.xcu").write_text(_PROFILE)
        if self._build_id is not None:
            (profile / _BUILD_ID).write_bytes(self._build_id)
        filters = [f"--infilter={_FILTERS[kind]}"] if kind in _FILTERS else []
        proc.run(
            [
                _program(),
                f"-env:UserInstallation={profile.absolute().as_uri()}",
                "--headless",
                "--norestore",
                "--nologo",
                "--nodefault",
                "--nolockcheck",
                *filters,
                "--convert-to",
                wanted,
                "--outdir",
                str(work),
                str(document),
            ],
            timeout_s=self._timeout_s,
            cwd=work,
            env={"HOME": str(profile), "TMPDIR": str(work), "SAL_USE_VCLPLUGIN": "svp"},
            max_memory_bytes=self._max_memory_bytes,
        )

    def _learn_build_id(self, profile: Path) -> bool:
        """Whether the first start left the id of the installation behind, and none was known."""
        if self._build_id is not None or not (profile / _BUILD_ID).exists():
            return False
        self._build_id = (profile / _BUILD_ID).read_bytes()
        return True


_ZIPPED = frozenset({media.DOCX, media.XLSX, media.PPTX})
_EXTENSIONS = {
    media.DOCX: ".docx",
    media.XLSX: ".xlsx",
    media.PPTX: ".pptx",
    media.DOC: ".doc",
    media.XLS: ".xls",
    media.PPT: ".ppt",
    media.PDF: ".pdf",
}
_MODERN = {kind: kind for kind in _ZIPPED} | {
    media.DOC: media.DOCX,
    media.XLS: media.XLSX,
    media.PPT: media.PPTX,
}
# Named, so that an archive that is two formats at once is read as the one that was checked.
_FILTERS = {
    media.DOCX: "MS Word 2007 XML",
    media.XLSX: "Calc MS Excel 2007 XML",
    media.PPTX: "Impress MS PowerPoint 2007 XML",
}


def _link(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:  # Another file system.
        shutil.copyfile(source, target)


_BUILD_ID = Path("user", "extensions", "buildid")


def _program() -> str:
    """The real program: ``soffice`` is a launcher that leaves it behind when it is killed."""
    launcher = shutil.which("soffice") or shutil.which("libreoffice")
    if launcher is None:
        raise ToolFailed("LibreOffice is not installed.")
    program = Path(launcher).resolve().with_name("soffice.bin")
    return str(program) if program.exists() else launcher


def _setting(path: str, name: str, value: str) -> str:
    return (
        f'<item oor:path="/org.openoffice.{path}"><prop oor:name="{name}" oor:op="fuse">'
        f"<value>{value}</value></prop></item>"
    )


_PROFILE = "".join(
    [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<oor:items xmlns:oor="http://openoffice.org/2001/registry"',
        ' xmlns:xs="http://www.w3.org/2001/XMLSchema"',
        ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">',
        _setting("Office.Common/Security/Scripting", "MacroSecurityLevel", "3"),
        _setting("Office.Common/Security/Scripting", "DisableMacrosExecution", "true"),
        _setting("Office.Common/Security/Scripting", "BlockUntrustedRefererLinks", "true"),
        _setting("Office.Common/Security/Scripting", "CheckDocumentEvents", "true"),
        _setting("Office.Writer/Content/Update", "Link", "0"),  # Never.
        _setting("Office.Calc/Content/Update", "Link", "1"),  # Never.
        _setting("Office.Calc/Formula/Load", "OOXMLRecalcMode", "1"),  # Never.
        _setting("Office.Java/VirtualMachine", "Enable", "false"),
        # A proxy that nobody answers at: what still asks for an address gets nothing.
        _setting("Inet/Settings", "ooInetProxyType", "2"),
        _setting("Inet/Settings", "ooInetHTTPProxyName", "127.0.0.1"),
        _setting("Inet/Settings", "ooInetHTTPProxyPort", "9"),
        _setting("Inet/Settings", "ooInetHTTPSProxyName", "127.0.0.1"),
        _setting("Inet/Settings", "ooInetHTTPSProxyPort", "9"),
        _setting("Office.Common/Misc", "FirstRun", "false"),
        _setting("Setup/Office", "ooSetupInstCompleted", "true"),
        _setting("Setup/L10N", "ooLocale", "en-US"),
        "</oor:items>",
    ]
)

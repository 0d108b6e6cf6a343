"""LibreOffice, kept running between documents; the one seam to it is ``convert``."""

import contextlib
import json
import logging
import os
import shutil
import stat
import threading
import time
import weakref
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Protocol

from app import media, proc, sandbox
from app.converters.office_profile import find_program, write_profile
from app.errors import InvalidFile, NotReadHere, TimedOut, ToolFailed, ToolTimedOut

log = logging.getLogger(__name__)

_MOST_STARTS = 3  # One after another, of which none gets ready.
_MAX_RESIDENT_BYTES = 600 * 2**20  # It takes 200 MB after small documents.
_PYTHON = "/usr/bin/python3"  # Debian's, which python3-uno belongs to.


class Office(Protocol):
    """What lays out Office documents and drawings, and brings old formats up to date."""

    def start(self) -> None:
        """Have started in the background what makes ``convert`` quicker."""

    def convert(
        self,
        source: Path,
        kind: str,
        target_kind: str,
        work: Path,
        timeout_s: float | None = None,
    ) -> Path:
        """``source``, of the media type ``kind``, as a new file in ``work``.

        PDF is made of every kind, and of the old formats their new ones. Raises InvalidFile,
        TimedOut; ToolFailed for what it cannot do at all.
        """

    def close(self) -> None:
        """End what was started."""


class NoOffice:
    """Refuses all that would need LibreOffice."""

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
        """Raises NotReadHere."""
        raise NotReadHere(
            "This document needs LibreOffice, which the server does without: send it as PDF."
        )

    def close(self) -> None:
        """There is nothing to end."""


class OfficeProgram:
    """Converts documents with one LibreOffice after another, one document at a time.

    A new one takes over after ``files`` documents, when it has grown, and after every fault. It
    ends with this process, however that ends; threads may share it.
    """

    def __init__(
        self,
        timeout_s: float,
        files: int = 50,
        max_pages: int = 5000,
        max_memory_bytes: int = 8 * 2**30,
    ) -> None:
        self._timeout_s = timeout_s
        self._files = files
        self._max_pages = max_pages
        self._max_memory_bytes = max_memory_bytes
        self._lock = threading.Lock()
        self._running: _Running | None = None
        self._failed = False

    def start(self) -> None:
        """Start LibreOffice in the background, so that the first document does not wait for it."""
        with self._lock:
            if self._running is None and not self._failed:
                self._begin()

    def convert(
        self,
        source: Path,
        kind: str,
        target_kind: str,
        work: Path,
        timeout_s: float | None = None,
    ) -> Path:
        """``source``, of the media type ``kind``, as a new file in ``work``.

        PDF is made of every kind, and of the old formats their new ones; a PDF has at most one
        page more than allowed. ``timeout_s`` is in the place of the usual limit. Raises
        InvalidFile, TimedOut; ToolFailed without LibreOffice.
        """
        family = _FAMILIES[kind]
        saves = f"{family}_pdf_Export" if target_kind == media.PDF else _FILTERS[target_kind]
        pages = self._max_pages + 1 if target_kind == media.PDF else None
        names = (f"source{_EXTENSIONS[kind]}", f"target{_EXTENSIONS[target_kind]}")
        target = Path(mkdtemp(dir=work)) / names[1]
        order = _Order(source, target, *names, _FILTERS.get(kind), saves, pages)
        limit_s = timeout_s or self._timeout_s
        deadline = time.monotonic() + limit_s
        with self._lock:
            try:
                self._do(order, deadline, limit_s)
            except _Crashed as error:
                # Some documents end a LibreOffice that is told what to do, but none that starts
                # for them alone.
                self._do_alone(order, max(1.0, deadline - time.monotonic()))
                if not target.exists():
                    raise InvalidFile(_DAMAGED) from error
        return target

    def close(self) -> None:
        """End LibreOffice; the next document starts another."""
        with self._lock:
            self._end()

    def _do(self, order: "_Order", deadline: float, limit_s: float) -> None:
        starts = 0
        while True:
            running, is_new = self._running, False
            if running is None or not running.is_ours:
                running, is_new = self._start(), True
            try:
                answer = running.ask(order, deadline)
            except ToolTimedOut as error:
                self._renew()
                raise TimedOut(
                    f"The document took longer than {limit_s:g} s to convert."
                ) from error
            except ToolFailed as error:
                if not running.has_started:  # It has seen no document that may be to blame.
                    self._end()
                    starts += 1
                    if starts < _MOST_STARTS:
                        continue
                    raise ToolFailed("LibreOffice could not be started.") from error
                answer = {"error": str(error), "alive": False}
            if "error" not in answer:
                if running.is_worn(self._files) or not answer["clean"]:
                    self._renew()
                return
            if not answer["alive"] and not is_new:  # It may have been the one before.
                self._end()
                continue
            self._renew()
            cause = ToolFailed(f"LibreOffice: {answer['error']}")
            raise (InvalidFile(_DAMAGED) if answer["alive"] else _Crashed) from cause

    def _do_alone(self, order: "_Order", timeout_s: float) -> None:
        """Convert with a LibreOffice that is started for one document, if that can be done."""
        program = find_program()
        with TemporaryDirectory(prefix="ocr-office-") as name:
            folder = Path(name)
            write_profile(folder / "profile", program)
            order.put(folder)
            opens = [f"--infilter={order.opens}"] if order.opens else []
            made = Path(order.document).with_suffix(order.target.suffix)
            command = [
                *_command(program, folder),
                *opens,
                "--convert-to",
                f"{made.suffix[1:]}:{order.saves}",
                "--outdir",
                str(folder),
                str(folder / order.document),
            ]
            try:
                proc.run(
                    sandbox.strongest().around(command, folder, _readable(program)),
                    timeout_s=timeout_s,
                    cwd=folder,
                    env=_environment(folder),
                    max_memory_bytes=self._max_memory_bytes,
                )
            except ToolTimedOut as error:
                raise TimedOut(
                    f"The document took longer than {self._timeout_s:g} s to convert."
                ) from error
            except ToolFailed:
                log.info("LibreOffice cannot convert the document alone either.", exc_info=True)
            order.take(folder / made)

    def _renew(self) -> None:
        self._end()
        self._begin()

    def _begin(self) -> None:
        """Start, if it can be done: the next document tells why it cannot."""
        try:
            self._start()
        except ToolFailed as error:
            self._failed = True
            log.warning("LibreOffice is not kept ready: %s", error)

    def _start(self) -> "_Running":
        self._running = _Running(self._max_memory_bytes)
        return self._running

    def _end(self) -> None:
        if self._running is not None:
            self._running.end()
            self._running = None


_DAMAGED = "The document is damaged or cannot be converted."


class _Crashed(Exception):
    """LibreOffice ended, and had done nothing before."""


@dataclass(frozen=True, slots=True)
class _Order:
    """What to make of one document, in a folder that LibreOffice sees."""

    source: Path
    target: Path
    document: str  # The names in that folder.
    result: str
    opens: str | None
    saves: str
    pages: int | None

    def put(self, folder: Path) -> None:
        """Put the document where LibreOffice sees it. Raises ToolFailed if something is there."""
        try:
            _link(self.source, folder / self.document)
        except FileExistsError as error:
            raise ToolFailed("The folder is in disorder.") from error

    def line(self, folder: Path) -> str:
        """What the script is told."""
        how = {"opens": self.opens, "saves": self.saves, "pages": self.pages}
        source, target = _url(folder / self.document), _url(folder / self.result)
        return json.dumps({"source": source, "target": target, "how": how})

    def take(self, made: Path) -> bool:
        """Take the result out, and whether there is one.

        A link is none: it was made by a LibreOffice that a document has taken over, and may name
        any file of ours.
        """
        try:
            descriptor = os.open(made, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return False
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return False
            with self.target.open("wb") as copy:
                shutil.copyfileobj(file, copy)
        return True

    def clear(self, folder: Path) -> None:
        """Leave nothing of the document for the next one."""
        for name in (self.document, self.result):
            with contextlib.suppress(OSError):
                (folder / name).unlink()


class _Running:
    """One LibreOffice, its folder, and the script that talks to it."""

    def __init__(self, max_memory_bytes: int) -> None:
        program = find_program()
        folder = Path(mkdtemp(prefix="ocr-office-"))
        try:
            write_profile(folder / "profile", program)
            command = [_PYTHON, "-I", str(_SCRIPT), str(folder), *_command(program, folder)]
            self._dialogue = proc.Dialogue(
                sandbox.strongest().around(command, folder, [*_readable(program), _SCRIPT]),
                cwd=folder,
                env=_environment(folder),
                max_memory_bytes=max_memory_bytes,
            )
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        self._folder = folder
        self.end = weakref.finalize(self, _end, self._dialogue, folder)
        self._has_started = False
        self._files, self._resident_bytes = 0, 0

    @property
    def is_ours(self) -> bool:
        """Whether it was started by this process, not by one that this is a fork of."""
        return self._dialogue.is_ours

    @property
    def has_started(self) -> bool:
        """Whether it has been ready for a document."""
        return self._has_started

    def ask(self, order: _Order, deadline: float) -> dict[str, object]:
        """The script's answer. Raises ToolTimedOut, ToolFailed."""
        if not self._has_started:
            self._dialogue.hear(deadline - time.monotonic())
            self._has_started = True
        self._files += 1
        order.put(self._folder)
        try:
            line = order.line(self._folder)
            answer: dict[str, object] = json.loads(
                self._dialogue.ask(line, deadline - time.monotonic())
            )
            if "error" not in answer:
                self._resident_bytes = int(str(answer["resident_bytes"]))
                if not order.take(self._folder / order.result):
                    return {"error": "nothing was made", "alive": True}
        finally:
            order.clear(self._folder)
        return answer

    def is_worn(self, files: int) -> bool:
        """Whether it has done its work, or has grown."""
        return self._files >= files or self._resident_bytes > _MAX_RESIDENT_BYTES


def _end(dialogue: proc.Dialogue, folder: Path) -> None:
    if dialogue.is_ours:
        dialogue.end()
        shutil.rmtree(folder, ignore_errors=True)


def _command(program: str, folder: Path) -> list[str]:
    return [program, f"-env:UserInstallation={_url(folder / 'profile')}", *_OPTIONS]


def _environment(folder: Path) -> dict[str, str]:
    return {"TMPDIR": str(folder), "SAL_USE_VCLPLUGIN": "svp"}


def _readable(program: str) -> list[Path]:
    """What a LibreOffice sees that is not where Debian's is."""
    return [Path(program).parents[1]] if not program.startswith("/usr/") else []


def _url(path: Path) -> str:
    return path.absolute().as_uri()


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:  # Another file system.
        with source.open("rb") as file, target.open("xb") as copy:
            shutil.copyfileobj(file, copy)


_SCRIPT = Path(__file__).with_name("office_uno.py")
_OPTIONS = ["--headless", "--norestore", "--nologo", "--nodefault", "--nolockcheck"]
_EXTENSIONS = {
    media.PDF: ".pdf",
    media.DOCX: ".docx",
    media.XLSX: ".xlsx",
    media.PPTX: ".pptx",
    media.DOC: ".doc",
    media.XLS: ".xls",
    media.PPT: ".ppt",
    media.EMF: ".emf",
    media.WMF: ".wmf",
}
_FAMILIES = {
    media.DOCX: "writer",
    media.DOC: "writer",
    media.XLSX: "calc",
    media.XLS: "calc",
    media.PPTX: "impress",
    media.PPT: "impress",
    media.EMF: "draw",
    media.WMF: "draw",
}
# Named, so that an archive that is two formats at once is read as the one that was checked.
_FILTERS = {
    media.DOCX: "MS Word 2007 XML",
    media.XLSX: "Calc MS Excel 2007 XML",
    media.PPTX: "Impress MS PowerPoint 2007 XML",
    media.EMF: "EMF - MS Windows Metafile",
    media.WMF: "WMF - MS Windows Metafile",
}

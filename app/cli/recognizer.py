"""A process that reads documents for ``recognize``, under the limits of a server's worker.

What a document does to it, or the kernel for its sake, ends neither the command nor the files after
it. Both sides speak lines of JSON: first what is wanted, then a file each, answered by how many
pages are done and in the end by what came of it.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from app.config import Settings

PASSWORD = "OCR_DOCUMENT_PASSWORD"  # noqa: S105 - the name of a variable
FULL = "The disk for temporary files is full; TMPDIR can name another."
_END_S = 5.0

Progress = Callable[[int, int], None]
"""Called with pages done and pages in all."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be made of every file."""

    format: str
    languages: str
    password: str | None
    pdfa: bool
    mode: str


@dataclass(frozen=True, slots=True)
class Made:
    """What came of a file."""

    pages: int
    recognized: int
    failed_pages: tuple[int, ...]
    detail: str  # "Complete", or what the result lacks.


class Failed(Exception):
    """A file could not be made into what was wanted; ``code`` is that of the service's errors."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Refused(Exception):
    """Nothing can be read with these options here."""


class Recognizer:
    """Reads files one after another, with the models loaded once.

    A process that ends is replaced for the next file. What it writes, and what the programs that it
    starts write, is in a folder of its own, which goes with it.
    """

    def __init__(self, settings: Settings, wanted: Wanted) -> None:
        self._settings = settings
        self.wanted = wanted
        self._running: _Running | None = None

    def run(
        self, source: IO[bytes], take: Callable[[Path], None], progress: Progress, show: Path | None
    ) -> Made:
        """Read ``source`` and have ``take`` take the result away.

        Pictures of its pages go to the folder ``show``. Raises Failed; Refused.
        """
        if self._running is None:
            self._running = _Running()
            self._running.start(self._settings, self.wanted)
        running = self._running
        try:
            # A copy: programs that a document has taken over could write to the original.
            copy, result = running.room / "source", running.room / "result"
            _copy(source, copy)
            made = running.read(copy, result, progress, show)
            take(result)
        finally:
            if running.is_done:
                self.close()
            else:
                running.tidy()
        return made

    def close(self, *, at_once: bool = False) -> None:
        """End the process, if there is one; ``at_once`` does not ask it to."""
        if self._running is not None:
            running, self._running = self._running, None
            running.end(at_once)


class _Running:
    """One process, its folder, and the pipes to it."""

    def __init__(self) -> None:
        self.is_done = False
        self.room = Path(mkdtemp(prefix="ocr-"))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, settings: Settings, wanted: Wanted) -> None:
        """Start it. Signals may come at any time: it is known before, so that it can be ended."""
        from app import sandbox
        from app.ration import environment

        ours = {
            name: value
            for name, value in os.environ.items()
            if name != PASSWORD and not name.startswith("AWS_")  # It needs no store of files.
        }
        ours["OCR_DATA_DIR"] = str(settings.data_dir.absolute())
        ours["OCR_THREADS"] = str(settings.threads)
        ours["OCR_LOG_LEVEL"] = settings.log_level
        temporary = self.room / "tmp"
        temporary.mkdir()
        answers, theirs = os.pipe()
        self._answers = os.fdopen(answers, encoding="utf-8")
        words = [sys.executable, "-P", "-m", "app.cli", "read", str(theirs)]
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [*sandbox.without_network(), *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs],
                cwd=self.room,  # By which it is found, if it is not known yet.
                env=environment(temporary, ours),
            )
        finally:
            os.close(theirs)
        self._tell(asdict(wanted))

    def read(self, source: Path, result: Path, progress: Progress, show: Path | None) -> Made:
        """What came of ``source``. Raises Failed, Refused."""
        shown = None if show is None else str(show.absolute())
        self._tell({"source": str(source), "result": str(result), "show": shown})
        for line in self._answers:
            answer = json.loads(line)
            if "refused" in answer:
                self.is_done = True
                raise Refused(answer["refused"])
            self.is_done = bool(answer.get("spent"))
            if "code" in answer:
                raise Failed(answer["code"], answer["message"])
            if "detail" in answer:
                return Made(
                    answer["pages"],
                    answer["recognized"],
                    tuple(answer["failed_pages"]),
                    answer["detail"],
                )
            progress(answer["done"], answer["of"])
        self.is_done = True
        assert self._process is not None
        raise _why(self._process.wait())

    def tidy(self) -> None:
        """Leave nothing of a file for the next one."""
        for name in ("source", "result"):
            (self.room / name).unlink(missing_ok=True)

    def end(self, at_once: bool) -> None:
        """End the process and what it has started, and remove its folder."""
        from app import proc

        if self._process is not None:
            assert self._process.stdin is not None
            if at_once:
                self._process.kill()
            with suppress(OSError):
                self._process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_END_S)
            self._process.kill()
            self._process.wait()
            self._answers.close()
        proc.end_those_in(self.room)
        shutil.rmtree(self.room, ignore_errors=True)

    def _tell(self, what: dict[str, Any]) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # Its answers, or that there are none, tell more.
            self._process.stdin.write(json.dumps(what).encode() + b"\n")
            self._process.stdin.flush()


def _copy(source: IO[bytes], copy: Path) -> None:
    try:
        with copy.open("wb") as file:
            shutil.copyfileobj(source, file)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Failed("out_of_resources", FULL) from error
        raise Failed("unreadable", f"The file cannot be read: {error.strerror}.") from error


def _why(status: int) -> Failed:
    """What to say of a process that has ended under a file."""
    if status == -signal.SIGALRM:
        return Failed("timed_out", "A page, or opening the document, takes longer than the limit.")
    if status == -signal.SIGKILL:
        return Failed("out_of_resources", "The system ended the work, perhaps for want of memory.")
    ended = signal.Signals(-status).name if status < 0 else f"exit status {status}"
    return Failed("internal_error", f"The document ended the process that reads it ({ended}).")

"""How the stub does its tasks: in threads of the server itself, each as its script says."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import uuid
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from app.access import NONE, Allowance
from app.errors import Cancelled, State
from app.keys import source_key
from app.leases import Hold, Leases
from app.rows import Task
from app.stub import papers
from app.stub.script import Script, in_name, parse
from app.tasks import Submission, Tasks

log = logging.getLogger(__name__)


@dataclass
class Asked:
    """What is asked for by a header, in advance, or by the name of a document."""

    script: Script | None = None


ASKED: ContextVar[Asked] = ContextVar("ASKED")
"""That of the request which is being answered."""

_WORKER = "stub"
_DOWNLOADER = "stub-downloads"  # Another: a work folder is one worker's, and it may still tidy up.


class StubTasks(Tasks):
    """The use cases; a document whose name has a script in it is treated as that says."""

    def submit(
        self, owner: str, submission: Submission, source: Path | None, allowance: Allowance = NONE
    ) -> Task:
        """Accept a document. Raises also what its script refuses it with."""
        asked = ASKED.get()
        if asked.script is None:
            url = submission.source_url
            named = in_name(url.rpartition("/")[2] if url else submission.filename or "")
            asked.script = script = parse(named) if named else Script()
            if (error := script.http_error()) is not None:
                time.sleep(script.delay)
                raise error
        return super().submit(owner, submission, source, allowance)


class StubLeases(Leases):
    """Tells of a task what its script says instead of what is true."""

    def __init__(
        self, scripts: dict[str, Script], held: dict[str, Hold], *args: Any, **more: Any
    ) -> None:
        super().__init__(*args, **more)
        self._scripts = scripts
        self._held = held

    def claim(self, unit: str, worker: str, download: bool = False) -> Hold | None:
        """What is held for this already, while its script had its time, or what is to be had."""
        return self._held.pop(unit, None) or super().claim(unit, worker, download)

    def show(self, hold: Hold, state: State, detail: str, **values: Any) -> None:
        """Note what the script says. Raises Cancelled if it is no longer held."""
        super().renew(hold, state=state, state_detail=detail, **values)

    def renew(self, hold: Hold, **values: Any) -> None:
        """Note the length alone where the script has said how far it is."""
        if self._script(hold).progress:
            values = {name: values[name] for name in ("file_pages",) if name in values}
        super().renew(hold, **values)

    def complete(self, hold: Hold, pages: int, **values: Any) -> None:
        """End a task; what a script has put in the place of its document counts as recognized."""
        # Other formats of a document have the pages that it has.
        script = self._scripts.get(hold.task.parent_id or hold.task.id, _NONE)
        if script.texts is not None:
            values["ocr_pages"] = values["file_pages"]
        if failed := [number for number in script.failed if number <= values["file_pages"]]:
            told = ", ".join(map(str, failed))
            values["state_detail"] = f"Complete, but for pages that could not be read: {told}"
            values["failed_pages"] = told.replace(" ", "")
        super().complete(hold, pages, **values)

    def _script(self, hold: Hold) -> Script:
        return self._scripts.get(hold.task.id, _NONE)


_NONE = Script()


class Workshop:
    """A thread for each task, in which its script has its time; one for all that is read.

    Only one, because PDFium must not be used by several.
    """

    def __init__(self, folder: Path) -> None:
        """``folder`` is for the documents that scripts ask for."""
        self.scripts: dict[str, Script] = {}
        self.queue = ThreadQueue(self._process)
        self.downloads = ThreadQueue(self._download)
        self._folder = folder
        self._held: dict[str, Hold] = {}
        self._to_read: SimpleQueue[str] = SimpleQueue()
        self._stopping = threading.Event()
        self._tasks: Tasks  # Once it has begun.
        self._leases: StubLeases

    def leases(self, *args: Any, **more: Any) -> StubLeases:
        """The leases that all is done with; what is given is what ``Leases`` wants."""
        self._leases = StubLeases(self.scripts, self._held, *args, **more)
        return self._leases

    def begin(self, tasks: Tasks) -> None:
        """Do what is announced, and send reports."""
        self._tasks = tasks
        reports = threading.Thread(
            target=tasks.reporter.run, args=(self._stopping,), name="reports", daemon=True
        )
        reports.start()
        threading.Thread(target=self._read, name="work", daemon=True).start()

    def stop(self) -> None:
        """Begin nothing new, and listen to nobody."""
        self._stopping.set()
        self._tasks.ends.close()

    def _download(self, unit: str, script: Script) -> None:
        self.scripts[unit] = script
        if script.state is not State.DOWNLOAD_FAILED:
            self._tasks.runner.download(unit, _DOWNLOADER)
        elif self._stopping.wait(script.delay):
            return
        elif (hold := self._leases.claim(unit, _DOWNLOADER, download=True)) is not None:
            self._end(hold, script)

    def _process(self, unit: str, script: Script) -> None:
        """Do as the script says, up to where the document is to be read."""
        script = self.scripts.setdefault(unit, script)
        if script.delay and self._stopping.wait(script.delay):
            return
        if script.state is State.QUEUED:
            return
        hold = self._leases.claim(unit, _WORKER)
        if hold is None:
            return
        if script.state in (State.PREPARING, State.WAITING):
            self._leases.show(hold, script.state, script.state.name.capitalize())
            return
        for percent in script.progress:
            self._show(hold, script, percent)
            if self._stopping.wait(script.step):
                return
        if script.state is State.PROCESSING:
            self._show(hold, script, (*script.progress, 0)[-1])
        elif script.state < 0:
            self._end(hold, script)
        else:
            self._put_in_place(hold, script)
            self._held[unit] = hold
            self._to_read.put(unit)

    def _show(self, hold: Hold, script: Script, percent: int) -> None:
        pages = script.pages or 1
        done = pages * percent // 100
        detail = f"Processing: {done} of {pages} pages"
        known = {"progress": percent, "file_pages": pages, "ocr_pages": done}
        self._leases.show(hold, State.PROCESSING, detail, **known)

    def _end(self, hold: Hold, script: Script) -> None:
        error = script.task_error()
        assert error is not None
        self._leases.fail(hold, error)

    def _put_in_place(self, hold: Hold, script: Script) -> None:
        """Put the document that the script asks for in the place of the one that was sent."""
        if script.texts is not None:
            made = self._folder / uuid.uuid4().hex
            made.write_bytes(papers.pdf(script.texts))
            self._tasks.storage.put(made, source_key(hold.task))
            hold.task.mode, hold.task.password = "auto", None

    def _read(self) -> None:
        while True:
            unit = self._to_read.get()
            try:
                self._tasks.runner.run(unit, _WORKER)
            except Exception:
                log.exception("%s is not done", unit)


class ThreadQueue:
    """Whatever is put has its thread at once."""

    def __init__(self, do: Callable[[str, Script], None]) -> None:
        """``do`` takes what was put, and the script of the request that put it."""
        self._do = do

    def put(self, unit: str, place: float) -> None:
        """Start the thread."""
        asked = ASKED.get(None)
        args = (unit, (asked and asked.script) or _NONE)
        threading.Thread(target=self._run, args=args, name=unit, daemon=True).start()

    def get(self, timeout_s: float) -> str | None:
        """Nothing waits."""
        return None

    def head(self) -> tuple[str, float] | None:
        """Nothing waits."""
        return None

    def size(self) -> int:
        """Nothing waits."""
        return 0

    def close(self) -> None:
        """The threads end with their process."""

    def _run(self, unit: str, script: Script) -> None:
        try:
            with contextlib.suppress(Cancelled):  # Deleted meanwhile.
                self._do(unit, script)
        except Exception:
            log.exception("%s is not done", unit)

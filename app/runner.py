"""What workers do: whole tasks, parts of long ones, and what dead workers left.

A document that is not done in one turn is divided into parts, of which each leaves its pages in a
file. One part of it waits in the queue, behind the tasks that come in the next seconds: whoever
takes it queues the next, so that as many work at the document as have nothing else to do. When the
last part is finished, the task is queued again, and whoever takes it makes the result of all pages.
"""

import errno
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session, sessionmaker

from app import db, languages, parts
from app.db import Part, Task
from app.errors import AppError, Cancelled, InternalError, OutOfResources, State, TimedOut
from app.fetch import Fetcher
from app.interfaces import Queue, Storage
from app.pipeline import Job, Order, Outcome, Pipeline, Progress
from app.portion import Portion
from app.reading import Mode

log = logging.getLogger(__name__)

SAMPLE = Path(__file__).parent / "sample.png"
"""A small page with Chinese and English, for warming up and for trying things out."""

_PROGRESS_S = 0.2  # Between two pages that are told.
_ABANDONED_S = 60.0  # A folder may be a moment older than the row that says it is in use.
_BEHIND_S = 2.0  # Tasks that come in so many seconds pass a part.


@dataclass(frozen=True, slots=True)
class Limits:
    """How long work may take and how often it is tried."""

    lease_s: float
    task_timeout_s: float
    max_attempts: int
    turn_s: float  # After which a worker lets other tasks have their turn.


class Runner:
    """Does what the queue announces, in one thread."""

    def __init__(
        self,
        sessions: sessionmaker[Session],
        storage: Storage,
        queue: Queue,
        fetcher: Fetcher,
        pipeline: Callable[[], Pipeline],
        work: Path,
        limits: Limits,
    ) -> None:
        self._sessions = sessions
        self._storage = storage
        self.queue = queue
        self._fetcher = fetcher
        self._make_pipeline = pipeline
        self._work = work
        self._limits = limits

    @cached_property
    def pipeline(self) -> Pipeline:
        """Built on first use: only workers pay for the engines."""
        return self._make_pipeline()

    def close(self) -> None:
        """Let go of the queue; end what the parts of the pipeline have started."""
        if "pipeline" in self.__dict__:
            self.pipeline.close()
        self.queue.close()

    def warm_up(self) -> None:
        """Read a page, so that the first task finds everything loaded."""
        folder = self._work / f"warm-up-{os.getpid()}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            order = Order("txt", languages.parse(languages.DEFAULT))
            self.pipeline.run(order, SAMPLE, folder, folder / "result", lambda *_: None)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def prepare(self) -> bool:
        """Do a little that makes later tasks quicker; False where nothing is left to do."""
        try:
            return self.pipeline.prepare()
        except AppError as error:
            log.warning("not prepared, so that the first tasks take longer: %s", error)
            return False

    def run(self, unit: str, worker: str, beat: Callable[[], None] = lambda: None) -> None:
        """Do a task or a part, if it is still to be done.

        ``beat`` is called at every sign of progress.
        """
        hold = self._claim(unit, worker)
        if hold is None:
            return
        beat()
        folder = self._work / hold.folder
        shutil.rmtree(folder, ignore_errors=True)  # What a killed worker left.
        try:
            folder.mkdir(parents=True)
            self._do(hold, folder, beat)
        except Cancelled:
            log.info("task %s was deleted or taken over while it ran", hold.task.id)
        except AppError as error:
            log.info("task %s failed: %s", hold.task.id, error, exc_info=error.__cause__)
            self._fail(hold, error)
        except Exception as error:
            log.exception("task %s failed", hold.task.id)
            self._fail(hold, _translated(error))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def workers(self) -> set[str]:
        """The workers that hold a lease."""
        with self._sessions() as session:
            return db.workers(session)

    def sweep(self) -> None:
        """Remove the work folders that nobody works in: what killed processes left."""
        with self._sessions() as session:
            busy = db.running(session)
        for folder in self._work.glob("*"):
            task_id, _, _ = folder.name.partition(".")
            if task_id not in busy and time.time() - folder.stat().st_mtime > _ABANDONED_S:
                shutil.rmtree(folder, ignore_errors=True)

    def release(self, worker: str, *, timed_out: bool = False, innocent: bool = False) -> None:
        """Deal with what a dead worker left: try again, or fail what ended it too often.

        ``timed_out``: its timer ended it. ``innocent``: it was ended from outside, so that the
        attempt does not count.
        """
        for hold in self._lost(worker):
            if timed_out:
                self._fail(hold, TimedOut("A page takes longer than the limit."))
            else:
                self._take_back(hold, innocent)

    def recover(self) -> None:
        """Queue again what lost its worker, and what the queue lost."""
        waiting: list[str] = []
        if self.queue.size() == 0:
            # While ids are waiting, a row that is still queued is most likely one of them.
            with self._sessions() as session:
                waiting += db.queued(session, older_than_s=5)
                waiting += [_unit(*part) for part in parts.waiting(session)]
        for hold in self._lost():
            self._take_back(hold)
        for unit in waiting:
            self.queue.put(unit)

    def _claim(self, unit: str, worker: str) -> "_Hold | None":
        task_id, _, first = unit.partition(":")
        part: Part | None = None
        with self._sessions.begin() as session:
            if first:
                part = parts.claim(session, task_id, int(first), worker, self._limits.lease_s)
                task = db.task(session, task_id) if part is not None else None
            else:
                task = db.claim(session, task_id, worker, self._limits.lease_s)
            if task is None:
                return None
            hold = _Hold(worker, task, part, tuple(parts.of(session, task_id)))
            following = parts.waiting(session, task_id)
        for name, page in following:
            self.queue.put(_unit(name, page), _BEHIND_S)
        return hold

    def _lost(self, worker: str | None = None) -> "list[_Hold]":
        """What ``worker``, which is dead, held, or else that whose lease ran out."""
        with self._sessions() as session:
            found = [_Hold(str(task.leased_by), task) for task in db.orphans(session, worker)]
            for part in parts.orphans(session, worker):
                task = db.task(session, part.task_id)
                if task is not None:
                    found.append(_Hold(str(part.leased_by), task, part))
        return found

    def _do(self, hold: "_Hold", folder: Path, beat: Callable[[], None]) -> None:
        task, source, progress = hold.task, folder / "source", self._progress(hold, beat)
        order = Order(
            task.format,
            languages.parse(task.languages),
            task.password,
            task.pdfa,
            Mode(task.mode),
            hold.wants_text,
        )
        if hold.parts:
            self._storage.fetch(_original(task.id), source)
            order = replace(order, password=None)
        elif task.source_url:
            self._fetcher.fetch(task.source_url, source)
            self._renew(hold, input_size=source.stat().st_size)
            beat()
        else:
            self._storage.fetch(source_key(task), source)
        with self.pipeline.open(order, source, folder) as job:
            if job.indivisible:
                self._give_back(hold, job, order, folder, progress)
            elif hold.parts and hold.part is None:
                self._write(hold, job, partial(self._portions, hold, folder), folder, progress)
            else:
                self._read(hold, job, source, folder, progress)

    def _progress(self, hold: "_Hold", beat: Callable[[], None]) -> Progress:
        deadline = time.monotonic() + self._limits.task_timeout_s - hold.worked_s
        said = 0.0

        def progress(done: int, pages: int, recognized: int) -> None:
            nonlocal said
            now = time.monotonic()
            if now > deadline:
                raise TimedOut("The document takes longer than the limit; send fewer pages.")
            beat()
            if now < said + _PROGRESS_S and 0 < done < pages:
                return  # A page may take less time than to say so.
            said = now
            if hold.parts:
                self._renew(hold, done=done, recognized=recognized)
            else:
                self._renew(
                    hold,
                    state=State.PROCESSING,
                    state_detail=f"Processing: {done} of {pages} pages",
                    progress=min(99, 100 * done // max(1, pages)),
                    file_pages=pages,
                    ocr_pages=recognized,
                )

        return progress

    def _read(
        self, hold: "_Hold", job: Job, source: Path, folder: Path, progress: Progress
    ) -> None:
        """Read until the turn is over; let others do what is left."""
        first, last = (
            (1, job.page_count) if hold.part is None else (hold.part.first, hold.part.last)
        )
        turn = _Turn(self._limits.turn_s)
        portion = job.read(first, last, lambda done: turn.is_over(done, last - first + 1), progress)
        done = len(portion.pages)
        if done == job.page_count:
            self._write(hold, job, lambda: [portion], folder, progress)
            return
        reached = first + done - 1
        rest = turn.divide(hold.task.id, first, reached, last)
        saved = folder / "portion"
        portion.save(saved)
        self._storage.put(saved, _portion(hold.task.id, first))
        if hold.part is None:
            self._storage.put(job.original or source, _original(hold.task.id))
        noted = {
            "last": reached,
            "done": done,
            "recognized": portion.recognized,
            "worked_s": turn.worked_s,
        }
        with self._sessions.begin() as session:
            if hold.part is not None:
                ours = parts.finish(session, hold.part, hold.worker, rest, **noted)
            else:
                own = Part(task_id=hold.task.id, first=first, finished=True, **noted)
                ours = parts.divide(
                    session,
                    hold.task.id,
                    hold.worker,
                    [own, *rest],
                    input_media_type=job.media_type,
                    file_pages=job.page_count,
                )
            is_read = parts.is_read(session, hold.task.id)
        if not ours:
            self._forget_late(hold.task)
            return
        if rest:
            self.queue.put(_unit(hold.task.id, reached + 1), _BEHIND_S)
        if is_read:
            self.queue.put(hold.task.id)

    def _portions(self, hold: "_Hold", folder: Path) -> Iterator[Portion]:
        fetched = folder / "portion"
        for part in hold.parts:
            self._storage.fetch(_portion(part.task_id, part.first), fetched)
            yield Portion.saved(fetched)
            fetched.unlink()

    def _write(
        self,
        hold: "_Hold",
        job: Job,
        portions: Callable[[], Iterable[Portion]],
        folder: Path,
        progress: Progress,
    ) -> None:
        text = folder / "text" if hold.wants_text else None
        outcome = job.write(portions, folder / "result", progress, text)
        self._complete(hold, outcome, folder)

    def _give_back(
        self, hold: "_Hold", job: Job, order: Order, folder: Path, progress: Progress
    ) -> None:
        """Let the document stay what it is; if its text is wanted, that is a work of its own."""
        outcome = job.run(folder / "result", progress)
        if hold.wants_text:

            def beat(*_: int) -> None:
                progress(outcome.pages, outcome.pages, outcome.recognized)

            (folder / "as-text").mkdir()
            plain = replace(order, format="txt")
            source, work, text = folder / "source", folder / "as-text", folder / "text"
            self.pipeline.run(plain, source, work, text, beat)
        self._complete(hold, outcome, folder)

    def _complete(self, hold: "_Hold", outcome: Outcome, folder: Path) -> None:
        task, target = hold.task, folder / "result"
        size = target.stat().st_size
        if hold.wants_text:
            self._storage.put(folder / "text", text_key(task))
        self._storage.put(target, result_key(task))
        with self._sessions.begin() as session:
            ours = db.finish(
                session,
                task.id,
                hold.worker,
                state=State.COMPLETE,
                state_detail=_detail(outcome),
                progress=100,
                input_media_type=task.input_media_type or outcome.input_media_type,
                output_media_type=outcome.output_media_type,
                output_size=size,
                file_pages=outcome.pages,
                ocr_pages=outcome.recognized,
                failed_pages=",".join(map(str, outcome.failed)) or None,
            )
        if ours:
            forget_source(self._storage, task)
        else:
            self._forget_late(task)

    def _renew(self, hold: "_Hold", **values: Any) -> None:
        lease_s = self._limits.lease_s
        with self._sessions.begin() as session:
            if hold.part is not None:
                ours = parts.renew(session, hold.part, hold.worker, lease_s, **values)
            else:
                if hold.parts:
                    values = {}  # Of the whole task everything is known.
                ours = db.renew(session, hold.task.id, hold.worker, lease_s, **values)
        if not ours:
            raise Cancelled("The task was cancelled.")

    def _fail(self, hold: "_Hold", error: AppError) -> None:
        values = {"state": error.state, "state_detail": str(error), "error_code": error.code}
        with self._sessions.begin() as session:
            if hold.part is not None:
                ours = parts.fail(session, hold.part, hold.worker, **values)
            else:
                ours = db.finish(session, hold.task.id, hold.worker, **values)
        if ours:
            forget_source(self._storage, hold.task)

    def _take_back(self, hold: "_Hold", innocent: bool = False) -> None:
        held = hold.part or hold.task
        attempts = held.attempts - innocent
        if attempts >= self._limits.max_attempts:
            why = f"The document ended its worker {attempts} times; it cannot be read."
            self._fail(hold, InternalError(why))
        else:
            with self._sessions.begin() as session:
                if hold.part is not None:
                    ours = parts.requeue(session, hold.part, attempts)
                else:
                    ours = db.requeue(session, hold.task, attempts)
            if ours:
                log.warning("task %s lost its worker and is queued again", hold.task.id)
                self.queue.put(hold.unit)
        shutil.rmtree(self._work / hold.folder, ignore_errors=True)

    def _forget_late(self, task: Task) -> None:
        """Remove what was made for a task that ended, or was deleted, in the last moment.

        If another worker took it over, its files are the same.
        """
        with self._sessions() as session:
            now = db.task(session, task.id)
        if now is None:
            for key in (result_key(task), text_key(task)):
                self._storage.delete(key)
        if now is None or State(now.state).final:
            forget_source(self._storage, task)


@dataclass(frozen=True, slots=True)
class _Hold:
    """What a worker holds: a task, or a part of it."""

    worker: str
    task: Task
    part: Part | None = None
    parts: Sequence[Part] = ()  # All of the task, if it is divided.

    @property
    def unit(self) -> str:
        """Its name in the queue."""
        return self.task.id if self.part is None else _unit(self.task.id, self.part.first)

    @property
    def folder(self) -> str:
        """The name of its work folder."""
        return self.unit.replace(":", ".")

    @property
    def worked_s(self) -> float:
        """Seconds that others have worked on the other parts."""
        return sum(part.worked_s for part in self.parts) if self.part is not None else 0.0

    @property
    def wants_text(self) -> bool:
        """Whether a plain text is made beside the result."""
        return self.task.return_text and self.task.format != "txt"


class _Turn:
    """The time for which a worker stays with one document."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._began = time.monotonic()

    @property
    def worked_s(self) -> float:
        """Seconds so far."""
        return time.monotonic() - self._began

    def is_over(self, done: int, pages: int) -> bool:
        """Whether it is after ``done`` of ``pages``; what takes no other turn is finished in it."""
        left_s = self.worked_s * (pages - done) / done
        return min(self.worked_s, left_s) >= self._seconds

    def divide(self, task_id: str, first: int, reached: int, last: int) -> list[Part]:
        """Parts of a turn each, of the pages after ``reached``, by those from ``first`` on."""
        pages = reached - first + 1
        size = max(1, round(pages * self._seconds / self.worked_s))
        return [
            Part(task_id=task_id, first=start, last=min(last, start + size - 1))
            for start in range(reached + 1, last + 1, size)
        ]


def forget_source(storage: Storage, task: Task) -> None:
    """Remove the files of a task that are not its result."""
    storage.delete(source_key(task))
    storage.delete(f"parts/{task.id}")


def source_key(task: Task) -> str:
    """Where the document is kept that was sent."""
    return f"sources/{task.id}"


def result_key(task: Task) -> str:
    """Where what was made of it is kept."""
    return f"results/{task.id}.{task.format}"


def text_key(task: Task) -> str:
    """Where its text is kept, if that was wanted beside the result."""
    return f"texts/{task.id}.txt"


def _original(task_id: str) -> str:
    """Where the document is kept as it is read: unlocked, laid out, downloaded."""
    return f"parts/{task_id}/original"


def _portion(task_id: str, first: int) -> str:
    return f"parts/{task_id}/{first}"


def _unit(task_id: str, first: int) -> str:
    """The name of a part in the queue."""
    return f"{task_id}:{first}"


def _translated(error: Exception) -> AppError:
    """What a caller is told of an error that no part foresaw."""
    if isinstance(error, MemoryError):
        return OutOfResources("The document needs more memory than there is.")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EMFILE):
        return OutOfResources("The server's disk is full; try again later.")
    return InternalError("An internal error; the server's log tells more under the task's id.")


def _detail(outcome: Outcome) -> str:
    """What is said of a task that is complete, and of what its result lacks."""
    lacking = list(outcome.left_out)
    if failed := outcome.failed:
        numbers = ", ".join(map(str, failed[:_MOST_NAMED]))
        more = f" and {len(failed) - _MOST_NAMED} more" if len(failed) > _MOST_NAMED else ""
        lacking.insert(0, f"pages that could not be read: {numbers}{more}")
    return f"Complete, but for {'; '.join(lacking)}" if lacking else "Complete"


_MOST_NAMED = 20

"""The use cases: submit, get, delete, run and recover tasks, and report their ends."""

import errno
import json
import logging
import os
import shutil
import time
import uuid
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sqlalchemy.orm import Session, sessionmaker

from app import callbacks, db, languages
from app.db import Task
from app.errors import (
    AppError,
    Cancelled,
    InternalError,
    OutOfResources,
    State,
    TaskNotFound,
    TimedOut,
)
from app.fetch import Fetcher
from app.interfaces import Queue, Storage
from app.pipeline import Order, Pipeline
from app.reading import Mode
from app.record import record

log = logging.getLogger(__name__)

SAMPLE = Path(__file__).parent / "sample.png"
"""A small page with Chinese and English, for warming up and for trying things out."""

_PROGRESS_S = 0.2  # Between two pages that are told.
_ABANDONED_S = 60.0  # A folder may be a moment older than the row that says it is in use.


@dataclass(frozen=True, slots=True)
class Submission:
    """What a client asks for; every value has been checked."""

    format: str
    languages: str
    base_url: str
    password: str | None = None
    source_url: str | None = None
    filename: str | None = None
    callback_url: str | None = None
    return_text: bool = False
    pdfa: bool = False
    mode: Mode = Mode.AUTO


@dataclass(frozen=True, slots=True)
class Limits:
    """How long work may take and how often it is tried."""

    lease_s: float
    task_timeout_s: float
    max_attempts: int


class Tasks:
    """Every use case; safe to share between threads, except ``run``."""

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
        self.sessions = sessions
        self.storage = storage
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
        """Let go of the connections to the database and the queue; end what the parts started."""
        if "pipeline" in self.__dict__:
            self.pipeline.close()
        self.queue.close()
        self.sessions.kw["bind"].dispose()

    def submit(self, owner: str, submission: Submission, source: Path | None) -> Task:
        """Accept a document; the file at ``source`` is moved away. Raises NotStored."""
        now = time.time()
        task = Task(
            id=str(uuid.uuid4()),
            owner=owner,
            state=State.QUEUED,
            state_detail="Queued",
            progress=0,
            format=submission.format,
            languages=submission.languages,
            password=submission.password,
            source_url=submission.source_url,
            filename=submission.filename,
            callback_url=submission.callback_url,
            callback_due=now if submission.callback_url else None,
            base_url=submission.base_url,
            return_text=submission.return_text,
            pdfa=submission.pdfa,
            mode=submission.mode,
            input_size=source.stat().st_size if source else None,
            created_at=now,
        )
        if source:
            self.storage.put(source, _source(task))
        with self.sessions.begin() as session:
            db.add(session, task)
        self.queue.put(task.id)  # After the commit: a worker must find the row.
        return task

    def get(self, owner: str, task_id: str) -> Task:
        """A task of ``owner``. Raises TaskNotFound."""
        with self.sessions() as session:
            task = db.task(session, task_id)
        if task is None or task.owner != owner:
            raise TaskNotFound("There is no such task.")
        return task

    def delete(self, owner: str, task_id: str) -> None:
        """Forget a task, its source and its result; a worker that is at it stops."""
        task = self.get(owner, task_id)
        with self.sessions.begin() as session:
            db.remove(session, task.id)
        for key in (_source(task), _result(task), _text(task)):
            self.storage.delete(key)

    def result(self, task_id: str, suffix: str) -> tuple[Task, Path]:
        """A complete task and its result file. Raises TaskNotFound."""
        with self.sessions() as session:
            task = db.task(session, task_id)
        if task and task.state == State.COMPLETE and task.format == suffix:
            path = self.storage.locate(_result(task))
            if path:
                return task, path
        raise TaskNotFound("There is no such result.")

    def text(self, task: Task) -> str | None:
        """The plain text of a complete task that was asked to keep it."""
        if not task.return_text or task.state != State.COMPLETE:
            return None
        path = self.storage.locate(_result(task) if task.format == "txt" else _text(task))
        return path.read_text(encoding="utf-8") if path else None

    def finished(self, task_ids: Collection[str]) -> set[str]:
        """Those of ``task_ids`` that are final or gone."""
        with self.sessions() as session:
            return db.finished(session, task_ids)

    def run(self, task_id: str, worker: str, beat: Callable[[], None] = lambda: None) -> None:
        """Do a task, if it is still to be done; ``beat`` is called at every sign of progress."""
        with self.sessions.begin() as session:
            task = db.claim(session, task_id, worker, self._limits.lease_s)
        if task is None:
            return
        beat()
        folder = self._work / task.id
        shutil.rmtree(folder, ignore_errors=True)  # What a killed worker left.
        try:
            folder.mkdir(parents=True)
            self._do(task, worker, folder, beat)
        except Cancelled:
            log.info("task %s was deleted or taken over while it ran", task.id)
        except AppError as error:
            log.info("task %s failed: %s", task.id, error, exc_info=error.__cause__)
            self._fail(task, worker, error)
        except Exception as error:
            log.exception("task %s failed", task.id)
            self._fail(task, worker, _translated(error))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

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

    def workers(self) -> set[str]:
        """The workers that hold a lease."""
        with self.sessions() as session:
            return db.workers(session)

    def sweep(self) -> None:
        """Remove the work folders that nobody works in: what killed processes left."""
        with self.sessions() as session:
            busy = db.running(session)
        for folder in self._work.glob("*"):
            if folder.name not in busy and time.time() - folder.stat().st_mtime > _ABANDONED_S:
                shutil.rmtree(folder, ignore_errors=True)

    def release(self, worker: str, *, timed_out: bool = False, innocent: bool = False) -> None:
        """Deal with what a dead worker left: try again, or fail what ended it too often.

        ``timed_out``: its timer ended it. ``innocent``: it was ended from outside, so that the
        attempt does not count.
        """
        with self.sessions() as session:
            lost = db.orphans(session, worker)
        for task in lost:
            if timed_out:
                self._fail(task, worker, TimedOut("A page takes longer than the limit."))
            else:
                self._take_back(task, innocent)

    def recover(self) -> None:
        """Queue again what lost its worker, and what the queue lost."""
        with self.sessions() as session:
            lost = db.orphans(session)
            # While ids are waiting, a row that is still queued is most likely one of them.
            waiting = db.queued(session, older_than_s=5) if self.queue.size() == 0 else ()
        for task in lost:
            self._take_back(task)
        for task_id in waiting:
            self.queue.put(task_id)

    def report(self) -> bool:
        """Send one report that is due to a callback address; False if none is."""
        with self.sessions.begin() as session:
            task = db.due_callback(session, time.time() + callbacks.RETRY_S[0])
        if task is None or task.callback_url is None:
            return False
        body = json.dumps({"status": 200, "data": record(task, task.base_url, self.text(task))})
        delivered = callbacks.deliver(self._fetcher, task.callback_url, body, task.owner)
        due = None if delivered else callbacks.retry_at(task.callback_attempts)
        with self.sessions.begin() as session:
            db.set_callback(session, task.id, due)
        return True

    def _do(self, task: Task, worker: str, folder: Path, beat: Callable[[], None]) -> None:
        deadline = time.monotonic() + self._limits.task_timeout_s
        source, target, text = folder / "source", folder / "result", folder / "text"
        if task.source_url:
            self._fetcher.fetch(task.source_url, source)
            self._renew(task, worker, input_size=source.stat().st_size)
            beat()
        else:
            self.storage.fetch(_source(task), source)

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
            self._renew(
                task,
                worker,
                state=State.PROCESSING,
                state_detail=f"Processing: {done} of {pages} pages",
                progress=min(99, 100 * done // max(1, pages)),
                file_pages=pages,
                ocr_pages=recognized,
            )

        keep_text = task.return_text and task.format != "txt"
        outcome = self.pipeline.run(
            Order(
                task.format,
                languages.parse(task.languages),
                task.password,
                task.pdfa,
                Mode(task.mode),
            ),
            source,
            folder,
            target,
            progress,
            text if keep_text else None,
        )
        beat()
        size = target.stat().st_size
        if keep_text:
            self.storage.put(text, _text(task))
        self.storage.put(target, _result(task))
        with self.sessions.begin() as session:
            ours = db.finish(
                session,
                task.id,
                worker,
                state=State.COMPLETE,
                state_detail=_detail(outcome.failed),
                progress=100,
                input_media_type=outcome.input_media_type,
                output_media_type=outcome.output_media_type,
                output_size=size,
                file_pages=outcome.pages,
                ocr_pages=outcome.recognized,
                failed_pages=",".join(map(str, outcome.failed)) or None,
            )
        if not ours and not self._exists(task):
            # Deleted in the last moment. (Taken over: the other worker's result is the same.)
            self.storage.delete(_result(task))
            self.storage.delete(_text(task))
        self.storage.delete(_source(task))

    def _renew(self, task: Task, worker: str, **values: object) -> None:
        with self.sessions.begin() as session:
            if not db.renew(session, task.id, worker, self._limits.lease_s, **values):
                raise Cancelled("The task was cancelled.")

    def _fail(self, task: Task, worker: str, error: AppError) -> None:
        with self.sessions.begin() as session:
            ours = db.finish(
                session,
                task.id,
                worker,
                state=error.state,
                state_detail=str(error),
                error_code=error.code,
            )
        if ours:
            self.storage.delete(_source(task))

    def _take_back(self, task: Task, innocent: bool = False) -> None:
        assert task.leased_by is not None
        attempts = task.attempts - innocent
        if attempts >= self._limits.max_attempts:
            why = f"The document ended its worker {attempts} times; it cannot be read."
            self._fail(task, task.leased_by, InternalError(why))
        else:
            with self.sessions.begin() as session:
                ours = db.requeue(session, task, attempts)
            if ours:
                log.warning("task %s lost its worker and is queued again", task.id)
                self.queue.put(task.id)
        shutil.rmtree(self._work / task.id, ignore_errors=True)

    def _exists(self, task: Task) -> bool:
        with self.sessions() as session:
            return db.task(session, task.id) is not None


def _translated(error: Exception) -> AppError:
    """What a caller is told of an error that no part foresaw."""
    if isinstance(error, MemoryError):
        return OutOfResources("The document needs more memory than there is.")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EMFILE):
        return OutOfResources("The server's disk is full; try again later.")
    return InternalError("An internal error; the server's log tells more under the task's id.")


def _detail(failed: Sequence[int]) -> str:
    """What is said of a task that is complete, if pages of it ``failed``."""
    if not failed:
        return "Complete"
    numbers = ", ".join(map(str, failed[:_MOST_NAMED]))
    more = f" and {len(failed) - _MOST_NAMED} more" if len(failed) > _MOST_NAMED else ""
    return f"Complete, but for pages that could not be read: {numbers}{more}"


_MOST_NAMED = 20


def _source(task: Task) -> str:
    return f"sources/{task.id}"


def _result(task: Task) -> str:
    return f"results/{task.id}.{task.format}"


def _text(task: Task) -> str:
    return f"texts/{task.id}.txt"

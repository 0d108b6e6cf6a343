"""The use cases: submit, get and delete tasks, get their results, and what is told of them."""

import time
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session, sessionmaker

from app import db
from app.access import NONE, Access, Allowance, enter, look
from app.callbacks import Reporter, host_of
from app.db import Task
from app.disk import Disk
from app.errors import AppError, ResultExpired, State, TaskNotFound, Unavailable
from app.fetch import Fetcher
from app.interfaces import Storage
from app.keys import forget_unwanted, result_key, source_key, text_key
from app.links import Links
from app.reading import Mode
from app.record import record
from app.retention import Sweeper
from app.runner import Runner


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


class Tasks:
    """Every use case of a client; safe to share between threads.

    ``fetcher`` sends the reports.
    """

    def __init__(
        self,
        sessions: sessionmaker[Session],
        storage: Storage,
        fetcher: Fetcher,
        runner: Runner,
        sweeper: Sweeper,
        links: Links,
        disk: Disk,
        max_queued: int,
    ) -> None:
        self.sessions = sessions
        self.storage = storage
        self.runner = runner
        self.sweeper = sweeper
        self.links = links
        self.reporter = Reporter(sessions, fetcher, lambda task: self.record(task, task.base_url))
        self._disk = disk
        self._max_queued = max_queued

    def close(self) -> None:
        """Let go of the connections to the database and the queue; end what the parts started."""
        self.runner.close()
        self.sessions.kw["bind"].dispose()

    def check_room(self, size: int) -> None:
        """Raise Unavailable if the queue is full, or the disk has no room for ``size`` bytes."""
        if not self._disk.has_room(size):
            raise Unavailable("The server's disk is full; try again later.")
        with self.sessions() as session:
            if db.is_full(session, self._max_queued):
                raise Unavailable("Too many documents wait; try again later.")

    def look(self, access: Access) -> None:
        """Raise QuotaUsedUp, TooManyTasks or RateLimited if a task would be refused now."""
        with self.sessions() as session:
            look(session, access.owner, access.allowance)

    def submit(
        self, owner: str, submission: Submission, source: Path | None, allowance: Allowance = NONE
    ) -> Task:
        """Accept a document; the file at ``source`` is moved away.

        Raises NotStored, Unavailable, and what ``look`` does; nothing is kept then.
        """
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
            callback_host=host_of(submission.callback_url) if submission.callback_url else None,
            base_url=submission.base_url,
            return_text=submission.return_text,
            pdfa=submission.pdfa,
            mode=submission.mode,
            input_size=source.stat().st_size if source else None,
            created_at=now,
            queued_at=now,
        )
        if source:
            self.storage.put(source, source_key(task))
        try:
            with self.sessions.begin() as session:
                if allowance.any:
                    enter(session, owner, allowance)
                db.add(session, task)
        except AppError:
            self.storage.delete(source_key(task))
            raise
        self.runner.announce(task)  # After the commit: a worker must find the row.
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
        forget_unwanted(self.storage, task, None)

    def result(self, task_id: str, suffix: str) -> tuple[Task, Path]:
        """A complete task and its result file. Raises TaskNotFound, ResultExpired."""
        with self.sessions() as session:
            task = db.task(session, task_id)
        if task and task.state == State.COMPLETE and task.format == suffix:
            path = self.storage.locate(result_key(task))
            if path is None:
                raise ResultExpired("The result was kept for its time and is deleted.")
            return task, path
        raise TaskNotFound("There is no such result.")

    def text(self, task: Task) -> str | None:
        """The plain text of a complete task that was asked to keep it."""
        if not task.return_text or task.state != State.COMPLETE:
            return None
        path = self.storage.locate(result_key(task) if task.format == "txt" else text_key(task))
        return path.read_text(encoding="utf-8") if path else None

    def finished(self, task_ids: Collection[str]) -> set[str]:
        """Those of ``task_ids`` that are final or gone."""
        with self.sessions() as session:
            return db.finished(session, task_ids)

    def record(self, task: Task, base: str) -> dict[str, Any]:
        """What a client is told of a task; ``base`` begins the result's address."""
        return {
            "status": 200,
            "data": record(task, self.links.address(base, task), self.text(task)),
        }

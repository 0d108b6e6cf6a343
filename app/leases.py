"""Who holds which task or part of one: claims, leases and ends, in the database and the queue.

One part of a divided task waits in the queue at a time, behind the tasks that come in the next
seconds: whoever takes it queues the next, so that as many work at the document as have nothing
else to do. When the last part is finished, the task is queued again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session, sessionmaker

from app import db, parts
from app.db import Part, Task
from app.errors import AppError, Cancelled, InternalError, State
from app.interfaces import Queue, Storage
from app.keys import forget_source, result_key, text_key

log = logging.getLogger(__name__)

_BEHIND_S = 2.0  # Tasks that come in so many seconds pass a part.


@dataclass(frozen=True, slots=True)
class Hold:
    """What a worker holds: a task, or a part of it."""

    worker: str
    task: Task
    part: Part | None = None
    parts: Sequence[Part] = ()  # All of the task, if it is divided.

    @property
    def unit(self) -> str:
        """Its name in the queue."""
        return self.task.id if self.part is None else unit_of(self.task.id, self.part.first)

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


class Leases:
    """Gives out what is to be done, and takes it back."""

    def __init__(
        self,
        sessions: sessionmaker[Session],
        storage: Storage,
        queue: Queue,
        lease_s: float,
        max_attempts: int,
    ) -> None:
        self._sessions = sessions
        self._storage = storage
        self._queue = queue
        self._lease_s = lease_s
        self._max_attempts = max_attempts

    def claim(self, unit: str, worker: str) -> Hold | None:
        """What has this name in the queue, for ``worker``; None if it is not to be had."""
        task_id, _, first = unit.partition(":")
        part: Part | None = None
        with self._sessions.begin() as session:
            if first:
                part = parts.claim(session, task_id, int(first), worker, self._lease_s)
                task = db.task(session, task_id) if part is not None else None
            else:
                task = db.claim(session, task_id, worker, self._lease_s)
            if task is None:
                return None
            hold = Hold(worker, task, part, tuple(parts.of(session, task_id)))
            following = parts.waiting(session, task_id)
        for name, page in following:
            self._queue.put(unit_of(name, page), _BEHIND_S)
        return hold

    def lost(self, worker: str | None = None) -> list[Hold]:
        """What ``worker``, which is dead, held, or else that whose lease ran out."""
        with self._sessions() as session:
            found = [Hold(str(task.leased_by), task) for task in db.orphans(session, worker)]
            for part in parts.orphans(session, worker):
                task = db.task(session, part.task_id)
                if task is not None:
                    found.append(Hold(str(part.leased_by), task, part))
        return found

    def renew(self, hold: Hold, **values: Any) -> None:
        """Extend the lease and note ``values``. Raises Cancelled if it is no longer held."""
        lease_s = self._lease_s
        with self._sessions.begin() as session:
            if hold.part is not None:
                ours = parts.renew(session, hold.part, hold.worker, lease_s, **values)
            else:
                if hold.parts:
                    values = {}  # Of the whole task everything is known.
                ours = db.renew(session, hold.task.id, hold.worker, lease_s, **values)
        if not ours:
            raise Cancelled("The task was cancelled.")

    def fail(self, hold: Hold, error: AppError) -> None:
        """End the task; nothing but what is told of the error is kept."""
        values = {"state": error.state, "state_detail": str(error), "error_code": error.code}
        with self._sessions.begin() as session:
            if hold.part is not None:
                ours = parts.fail(session, hold.part, hold.worker, **values)
            else:
                ours = db.finish(session, hold.task.id, hold.worker, **values)
        if ours:
            forget_source(self._storage, hold.task)

    def workers(self) -> set[str]:
        """The workers that hold a lease."""
        with self._sessions() as session:
            return db.workers(session)

    def running(self) -> set[str]:
        """Ids of the tasks that are under way."""
        with self._sessions() as session:
            return db.running(session)

    def announce(self) -> None:
        """Queue again what the queue lost."""
        if self._queue.size() > 0:
            return  # A row that is still queued is most likely one of those that wait.
        with self._sessions() as session:
            waiting = [*db.queued(session, older_than_s=5)]
            waiting += [unit_of(*part) for part in parts.waiting(session)]
        for unit in waiting:
            self._queue.put(unit)

    def divide(self, hold: Hold, rest: Sequence[Part], job: Mapping[str, Any], **done: Any) -> None:
        """End the worker's own part, of which ``done`` is noted; let others do the ``rest``.

        ``job`` is noted of a task that was not divided before.
        """
        task = hold.task
        with self._sessions.begin() as session:
            if hold.part is not None:
                ours = parts.finish(session, hold.part, hold.worker, rest, **done)
            else:
                own = Part(task_id=task.id, first=1, finished=True, **done)
                ours = parts.divide(session, task.id, hold.worker, [own, *rest], **job)
            is_read = parts.is_read(session, task.id)
        if not ours:
            self._forget_late(task)
            return
        if rest:
            self._queue.put(unit_of(task.id, rest[0].first), _BEHIND_S)
        if is_read:
            self._queue.put(task.id)

    def complete(self, hold: Hold, **values: Any) -> None:
        """End a task whose result is stored."""
        with self._sessions.begin() as session:
            ours = db.finish(session, hold.task.id, hold.worker, state=State.COMPLETE, **values)
        if ours:
            forget_source(self._storage, hold.task)
        else:
            self._forget_late(hold.task)

    def take_back(self, hold: Hold, innocent: bool = False) -> None:
        """Queue again what lost its worker, or fail what ended too many.

        ``innocent``: the worker was ended from outside, so that the attempt does not count.
        """
        held = hold.part or hold.task
        attempts = held.attempts - innocent
        if attempts >= self._max_attempts:
            why = f"The document ended its worker {attempts} times; it cannot be read."
            self.fail(hold, InternalError(why))
        else:
            with self._sessions.begin() as session:
                if hold.part is not None:
                    ours = parts.requeue(session, hold.part, attempts)
                else:
                    ours = db.requeue(session, hold.task, attempts)
            if ours:
                log.warning("task %s lost its worker and is queued again", hold.task.id)
                self._queue.put(hold.unit)

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


def unit_of(task_id: str, first: int) -> str:
    """The name of a part in the queue."""
    return f"{task_id}:{first}"

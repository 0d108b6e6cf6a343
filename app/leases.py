"""Who holds which task or part of one: claims, leases and ends, in the database and the queue.

A task that is to be downloaded waits in a queue of its own; what is downloaded, or was sent, waits
for a worker. One part of a divided task waits there at a time, behind the tasks that come next:
whoever takes it queues the next, so that as many work at the document as have nothing else to do.
When the last part is finished, the task is queued again.

Queues may lose what they are told, or not answer. Each row knows its place in the queue: as ids
leave it in the order of their places, what comes before the next id, and waits still, was lost.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from app import db, parts
from app.context import Blind, Watch
from app.database import Sessions
from app.db import SKEW_S
from app.errors import AppError, Cancelled, InternalError, State, Unavailable
from app.interfaces import Ends, Queue, Storage
from app.keys import forget_unwanted
from app.places import Places
from app.rows import Part, Task

log = logging.getLogger(__name__)

Beat = Callable[[float], None]
"""Tells whoever watches a worker that it makes progress, and will again in so many seconds."""

_AGAIN_S = 0.5  # Between two tries to reach the database,
_STEP_S = 60.0  # of which none takes so long.
_MOST_KILLS = 10
_LOST_S = 5.0


class Blame(Enum):
    """Why what was begun is not finished."""

    DOCUMENT = "document"  # Most likely it ended its worker: it is not begun often.
    KILLER = "killer"  # Its worker was killed from outside; though a document may be the reason.
    NOBODY = "nobody"  # The database or the disk, or a server that stops: it may be begun for ever.


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
        """The name of its work folder: nobody else's, even if the lease changes hands."""
        return f"{self.unit.replace(':', '.')}.{self.worker}"

    @property
    def worked_s(self) -> float:
        """Seconds that others have worked on the other parts."""
        return sum(part.worked_s for part in self.parts) if self.part is not None else 0.0

    @property
    def is_download(self) -> bool:
        """Whether it is a document that is still to be fetched."""
        return db.is_download(self.task)

    @property
    def wants_text(self) -> bool:
        """Whether a plain text is made beside the result."""
        return self.task.return_text and self.task.format != "txt"


class Leases:
    """Gives out what is to be done, and takes it back."""

    def __init__(
        self,
        sessions: Sessions,
        storage: Storage,
        queue: Queue,
        downloads: Queue,
        places: Places,
        ends: Ends,
        lease_s: float,
        max_attempts: int,
        keeps_sources: bool = False,
        watch: Watch | None = None,
    ) -> None:
        self._sessions = sessions
        self._storage = storage
        self._queue = queue
        self._downloads = downloads
        self._places = places
        self.lease_s = lease_s
        self._ends = ends
        self._max_attempts = max_attempts
        self.keeps_sources = keeps_sources
        self._suspects: dict[tuple[str, str, float], float] = {}  # Since when they are missing.
        self._watch = watch or Blind()

    def claim(self, unit: str, worker: str, download: bool = False) -> Hold | None:
        """What has this name in the queue, for ``worker``; None if it is not to be had.

        ``download``: only if it is to be downloaded; else only what need not be.
        """
        task_id, _, first = unit.partition(":")
        if first:
            with self._sessions.begin() as session:
                part = parts.claim(session, task_id, int(first), worker, self.lease_s)
                task = db.task(session, task_id) if part is not None else None
        else:
            with self._sessions.single() as session:
                part, task = None, db.claim(session, task_id, worker, self.lease_s, download)
        if task is None:
            return None
        # Of a task that was never divided, nothing is known of its document yet.
        divided = task.input_media_type is not None
        return self._with_parts(worker, task, part) if divided else Hold(worker, task)

    def _with_parts(self, worker: str, task: Task, part: Part | None) -> Hold:
        """What ``worker`` holds of a divided task; the next part is announced."""
        with self._sessions.begin() as session:
            hold = Hold(worker, task, part, tuple(parts.of(session, task.id)))
            following = parts.first_waiting(session, task.id) if hold.parts else None
            if following is not None:
                place = self._places.of_part(session, task.owner)
                db.note_queued(session, task.id, place)
        if following is not None:
            self._put(self._queue, unit_of(task.id, following), place)
        return hold

    def keeps(self, task: Task) -> bool:
        """Whether its document, and what is read in it, is kept for other formats."""
        return self.keeps_sources and task.parent_id is None

    def lost(self, worker: str | None = None) -> list[Hold]:
        """What ``worker``, which is dead or has let go, held, or else what has no lease now."""
        with self._sessions() as session:
            found = [Hold(str(task.leased_by), task) for task in db.orphans(session, worker)]
            for part in parts.orphans(session, worker):
                task = db.task(session, part.task_id)
                if task is not None:
                    found.append(Hold(str(part.leased_by), task, part))
        return found

    def renew(self, hold: Hold, **values: Any) -> None:
        """Extend the lease and note ``values``. Raises Cancelled if it is no longer held."""
        lease_s = self.lease_s
        with self._sessions.begin() as session:
            if hold.part is not None:
                ours = parts.renew(session, hold.part, hold.worker, lease_s, **values)
            else:
                if hold.parts:
                    values = {}  # Of the whole task everything is known.
                ours = db.renew(session, hold.task.id, hold.worker, lease_s, **values)
        if not ours:
            raise Cancelled("The task was cancelled.")

    def renew_all(self, workers: Collection[str]) -> None:
        """Extend the leases of whatever ``workers`` hold."""
        with self._sessions.begin() as session:
            db.renew_all(session, workers, self.lease_s)

    def fail(self, hold: Hold, error: AppError) -> None:
        """End the task; nothing but what is told of the error is kept."""
        values: dict[str, Any] = {
            "state": error.state,
            "state_detail": str(error),
            "error_code": error.code,
        }
        with self._sessions.begin() as session:
            if hold.part is not None:
                ended = parts.fail(session, hold.part, hold.worker, **values)
            else:
                ended = db.finish(session, hold.task.id, hold.worker, **values)
        self._count(ended)
        self._tidy(hold.task, ended)

    def workers(self) -> set[str]:
        """The workers that hold a lease."""
        with self._sessions() as session:
            return db.workers(session)

    def running(self) -> set[str]:
        """Ids of the tasks that are under way."""
        with self._sessions() as session:
            return db.running(session)

    def announce(self, task: Task) -> None:
        """Queue a task whose row is new."""
        assert task.queued_at is not None
        self._watch.note("ocr_tasks_accepted_total", 1)
        self._put(self._downloads if task.source_url else self._queue, task.id, task.queued_at)

    def announce_lost(self) -> None:
        """Queue again what a queue has lost: what is missing in it now and was some seconds ago.

        In between it may be on its way: from the row to the queue, or from there to a worker.
        """
        now = time.monotonic()
        missing = self._missing()
        self._suspects = {each: self._suspects.get(each, now) for each in missing}
        for each, since in [*self._suspects.items()]:
            if now - since >= _LOST_S:
                self._announce_again(*each)
                del self._suspects[each]

    def _missing(self) -> list[tuple[str, str, float]]:
        """Tasks, the units that wait of them, and places in which no queue has these."""
        found = []
        for queue in (self._queue, self._downloads):
            head = queue.head()
            before = math.inf if head is None else head[1]
            after = max(time.time(), 0.0 if head is None else before) + SKEW_S
            with self._sessions() as session:
                tasks = db.waiting(session, before, after, download=queue is self._downloads)
                found += [(name, name, place) for name, place in tasks]
                if queue is self._queue:
                    for name, first, place in parts.waiting(session, before, after):
                        found.append((name, unit_of(name, first), place))
        return found

    def _announce_again(self, task_id: str, unit: str, place: float) -> None:
        with self._sessions.begin() as session:
            task = db.task(session, task_id)
            if task is None:
                return
            download = db.is_download(task)
            # A clock that was set gave it a place that is never reached.
            if place > time.time() + SKEW_S:
                place = self._places.again(download)
                db.note_queued(session, task_id, place)
        log.warning("%s was lost by the queue and is announced again", unit)
        self._put(self._downloads if download else self._queue, unit, place)

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
            if ours and (rest or is_read):
                place = (
                    self._places.again(download=False)
                    if is_read
                    else self._places.of_part(session, task.owner)
                )
                db.note_queued(session, task.id, place)
        if not ours:
            self._tidy(task)
        elif is_read:
            self._put(self._queue, task.id, place)
        elif rest:
            self._put(self._queue, unit_of(task.id, rest[0].first), place)

    def hand_over(self, hold: Hold, **values: Any) -> None:
        """Let workers have a task that is downloaded."""
        values |= {"state": State.WAITING, "state_detail": "Waiting"}
        with self._sessions.begin() as session:
            place = self._places.downloaded(session, hold.task.owner)
            ours = db.let_go(session, hold.task, attempts=0, queued_at=place, **values)
        if ours:
            self._put(self._queue, hold.task.id, place)
        else:
            self._tidy(hold.task)

    def complete(self, hold: Hold, pages: int, **values: Any) -> None:
        """End a task whose result is stored, and count so many ``pages``."""
        values |= {
            "state": State.COMPLETE,
            "source_since": time.time() if self.keeps(hold.task) else None,
        }
        task_id, divided = hold.task.id, bool(hold.parts)
        with self._sessions.begin() if divided else self._sessions.single() as session:
            ended = db.finish(session, task_id, hold.worker, divided, pages, **values)
        self._count(ended)
        self._tidy(hold.task, ended, divided)

    def take_back(
        self, hold: Hold, blame: Blame, cause: AppError | None = None, *, expired: bool = False
    ) -> None:
        """Queue again what could not be finished, or fail what was begun too often.

        ``cause`` is what is told of a document that is to blame too often; usually that it ended
        its workers. ``expired``: not if its lease, which ran out, was renewed since.
        """
        held = hold.part or hold.task
        attempts = held.attempts - (blame is not Blame.DOCUMENT)
        kills = held.kills + (blame is Blame.KILLER)
        if attempts >= self._max_attempts or kills >= _MOST_KILLS:
            why = f"The document ended its worker {attempts + kills} times; it cannot be read."
            self.fail(hold, cause or InternalError(why))
            return
        values: dict[str, Any] = {"attempts": attempts, "kills": kills}
        place = self._places.again(hold.is_download)
        with self._sessions.begin() as session:
            if hold.part is not None:
                ours = parts.let_go(session, hold.part, expired, **values)
                if ours:
                    db.note_queued(session, hold.task.id, place)
            else:
                values |= {"queued_at": place, **_waits(hold)}
                ours = db.let_go(session, hold.task, expired, **values)
        if ours:
            self._watch.note("ocr_taken_back_total", 1, blame.value)
            log.warning("task %s is queued again", hold.task.id)
            self._put(self._downloads if hold.is_download else self._queue, hold.unit, place)

    def _count(self, ended: Task | None) -> None:
        """Note the end of a task, if it is one."""
        if ended is not None:
            state, code = State(ended.state), ended.error_code or ""
            self._watch.note("ocr_tasks_finished_total", 1, state.name.lower(), code)
            outcome = "complete" if state is State.COMPLETE else "failed"
            log.info("task %s ended as %s", ended.id, outcome)
            seconds = max(0.0, time.time() - ended.created_at)
            self._watch.note("ocr_task_seconds", seconds, outcome)

    def _put(self, queue: Queue, unit: str, place: float) -> None:
        try:
            queue.put(unit, place)
        except Unavailable:
            log.warning("the queue does not answer; %s is announced later", unit)

    def _tidy(self, task: Task, ended: Task | None = None, divided: bool = True) -> None:
        """Tell of a task that ``ended``, and remove the files that are not wanted of it.

        Without that row someone else ended or deleted it in the last moment, and what was made
        for it since is to go too; or another worker took it over, whose files are the same.
        """
        if ended is not None:
            self._ends.tell([ended.id])
        else:
            with self._sessions() as session:
                ended = db.task(session, task.id)
        forget_unwanted(self._storage, task, ended, divided)


def surely(step: Callable[[], None], beat: Beat) -> None:
    """Do ``step``, as often as it takes for the database to answer; each wait is a ``beat``."""
    while True:
        try:
            return step()
        except Unavailable as error:
            log.warning("what was done cannot be noted yet: %s", error)
        beat(_STEP_S)
        time.sleep(_AGAIN_S)


def _waits(hold: Hold) -> dict[str, Any]:
    """What a task says that waits again."""
    state = State.WAITING if hold.task.source_url and not hold.is_download else State.QUEUED
    return {"state": state, "state_detail": "Queued again after an interruption"}


def unit_of(task_id: str, first: int) -> str:
    """The name of a part in the queue."""
    return f"{task_id}:{first}"

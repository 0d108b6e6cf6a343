"""The use cases: submit, get and delete tasks, get their results, and what is told of them."""

import contextlib
import hashlib
import json
import threading
import time
import uuid
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from app import access, db, media
from app.access import NONE, Access, Allowance, enter, look
from app.callbacks import Reporter, host_of
from app.context import Watch, origin, stepped
from app.database import Sessions
from app.disk import Disk
from app.errors import (
    AppError,
    IdempotencyKeyReused,
    NotComplete,
    PageNotFound,
    ResultExpired,
    SourceExpired,
    State,
    TaskNotFound,
    TooManyTasks,
    Unavailable,
)
from app.fetch import Fetcher
from app.interfaces import Ends, Storage
from app.keys import forget_unwanted, readings_key, result_key, source_key, text_key
from app.links import LONGEST_S, Links, download_name, shown_type
from app.places import Places
from app.reading import Mode
from app.record import record
from app.retention import Sweeper
from app.rows import Task
from app.runner import Runner


@dataclass(frozen=True, slots=True)
class Known:
    """What a request is known by that may be sent again."""

    key: str  # The client's, for one request.
    fingerprint: str  # Of all that was asked for: other requests have another.


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
    digest: str | None = None  # SHA-256 of the document, hexadecimal, if it was sent.
    known_by: Known | None = None


class Tasks:
    """Every use case of a client; safe to share between threads.

    ``fetcher`` sends the reports. ``maker`` names all that results depend on beside the request;
    without it none is reused. ``presigns``: the storage itself is to serve results.
    """

    def __init__(
        self,
        sessions: Sessions,
        storage: Storage,
        ends: Ends,
        fetcher: Fetcher,
        runner: Runner,
        sweeper: Sweeper,
        links: Links,
        places: Places,
        maker: str,
        disk: Disk,
        presigns: bool,
        max_queued: int,
        max_pages: int,
        watch: Watch | None = None,
    ) -> None:
        self.sessions = sessions
        self.storage = storage
        self.ends = ends
        self.runner = runner
        self.sweeper = sweeper
        self.links = links
        self._places = places
        self._maker = maker
        self.reporter = Reporter(
            sessions, fetcher, lambda task: self.record(task, task.base_url), watch
        )
        self._disk = disk
        self._room = _Room(sessions, max_queued)
        self.presigns = presigns
        self._max_pages = max_pages

    @property
    def reuses(self) -> bool:
        """Whether a new task may get the result of an equal one."""
        return bool(self._maker)

    def close(self) -> None:
        """Let go of the connections to the database and the queue; end what the parts started."""
        self.ends.close()
        self.runner.close()
        self.sessions.kw["bind"].dispose()

    def check_room(self, size: int) -> None:
        """Raise Unavailable if the queue is full, or the disk has no room for ``size`` bytes."""
        if not self._disk.has_room(size):
            raise Unavailable("The server's disk is full; try again later.")
        if not self._room.take():
            raise Unavailable("Too many documents wait; try again later.")

    def look(self, access: Access, key: str | None = None) -> None:
        """Raise QuotaUsedUp, TooManyTasks or RateLimited if a task would be refused now.

        A request whose idempotency ``key`` is known makes no other task.
        """
        with self.sessions() as session:
            if key is not None and db.keyed(session, access.owner, key) is not None:
                return
            try:
                look(session, access.owner, access.allowance)
            except AppError:
                # The same request may have made the task in between, and be what was counted.
                if key is None or db.keyed(session, access.owner, key) is None:
                    raise

    @stepped("submit")
    def submit(
        self, owner: str, submission: Submission, source: Path | None, allowance: Allowance = NONE
    ) -> Task:
        """Accept a document; the file at ``source`` is moved away.

        A request that was sent before, by its idempotency key, gives the task that it gave then.
        Raises NotStored, Unavailable, IdempotencyKeyReused, and what ``look`` does; nothing is
        kept then.
        """
        task = self._task(owner, submission)
        if known := self._known(task):
            return known
        is_sent = False
        try:
            if source:
                task.input_size = source.stat().st_size
                if not self._reuse(task):
                    self.storage.put(source, source_key(task))
            if not State(task.state).final:
                with self.sessions() as session:
                    task.queued_at = self._places.of_task(session, task)
            alone = not allowance.any
            is_sent = alone and self.sessions.commits_by_itself
            with self.sessions.single() if alone else self.sessions.begin() as session:
                inserted = db.add(session, task)
                if inserted and isinstance(session, Session):  # And not a single statement.
                    enter(session, owner, allowance)
                is_sent = True
        except AppError:
            if kept := self._in_spite(task, is_sent):
                return kept
            raise
        if not inserted:  # The same request came twice at the same moment.
            forget_unwanted(self.storage, task, None)
            if known := self._known(task):
                return known
            raise Unavailable("The task of this Idempotency-Key was just deleted; send it again.")
        if not State(task.state).final:
            self.runner.announce(task)  # After the commit: a worker must find the row.
        return task

    @stepped("submit")
    def derive(
        self,
        owner: str,
        task_id: str,
        form: str,
        base_url: str,
        *,
        pdfa: bool = False,
        pages: tuple[int, int] | None = None,
    ) -> Task:
        """The task that makes another format of a complete task's document; asked again, the same.

        What was read is not read again. ``pages`` are the first and the last that are wanted.
        Raises TaskNotFound, PageNotFound, NotComplete, SourceExpired, TooManyTasks, NotStored,
        Unavailable.
        """
        root = self.get(owner, task_id)
        if root.parent_id is not None:
            root = self.get(owner, root.parent_id)
        if root.state != State.COMPLETE:
            raise NotComplete(
                "The task is not complete; ask again when its state is 1."
                if not State(root.state).final
                else "The task has failed: there is no document to make another format of."
            )
        if pages and pages[0] > self._most_pages_of(root):
            raise PageNotFound("The document has no such page.")
        pdfa = pdfa and form == "pdf"
        if root.format == form and root.pdfa == pdfa and pages is None and root.result_since:
            return root
        task = self._derived(root, form, base_url, pdfa, pages)
        if known := self._known(task):
            if not _is_spent(known):
                return known
            with contextlib.suppress(TaskNotFound):  # Somebody else did the same.
                self.delete(owner, known.id)
        if not self._disk.has_room(root.input_size or 0):
            raise Unavailable("The server's disk is full; try again later.")
        is_sent = False
        try:
            self.storage.copy(source_key(root), source_key(task))
            with self.sessions.begin() as session:
                inserted = db.add(session, task)
                if inserted and not db.is_kept(session, root.id):
                    raise SourceExpired(_NOT_KEPT)
                others = access.unfinished_derived(session, owner) - 1
                if inserted and others >= _MOST_DERIVED:
                    raise TooManyTasks("This token has other formats made of many documents.")
                if inserted:
                    # The document has had its turn, and somebody may be waiting before a screen.
                    task.queued_at = self._places.of_task(session, task, ahead=not others)
                    db.note_queued(session, task.id, task.queued_at)
                is_sent = True
        except FileNotFoundError:
            raise SourceExpired(_NOT_KEPT) from None
        except AppError:
            if kept := self._in_spite(task, is_sent):
                return kept
            raise
        if not inserted:  # The same was asked for twice at the same moment.
            forget_unwanted(self.storage, task, None)
            if known := self._known(task):
                return known
            raise Unavailable("The task was just deleted; ask again.")
        self.runner.announce(task)
        return task

    def _most_pages_of(self, root: Task) -> int:
        """How many pages its document may have; in Office documents formats differ in them."""
        kind = root.input_media_type or ""
        fixed = kind == media.PDF or kind.startswith("image/")
        return root.file_pages or 0 if fixed else self._max_pages

    def _derived(
        self, root: Task, form: str, base_url: str, pdfa: bool, pages: tuple[int, int] | None
    ) -> Task:
        now = time.time()
        chunk = f"{pages[0]}-{pages[1]}" if pages else None
        return Task(
            id=str(uuid.uuid4()),
            parent_id=root.id,
            owner=root.owner,
            state=State.QUEUED,
            state_detail="Queued",
            progress=0,
            format=form,
            languages=root.languages,
            filename=root.filename,
            base_url=base_url,
            return_text=False,
            pdfa=pdfa,
            mode=root.mode,
            pages=chunk,
            # No client's key has a control character.
            idempotency_key=f"\x1f{root.id} {form} {pdfa:d} {chunk or ''}",
            input_size=root.input_size,
            created_at=now,
            **origin(),
        )

    def _in_spite(self, task: Task, is_sent: bool) -> Task | None:
        """The task if it was accepted although no answer came; else its files are removed.

        ``is_sent``: all of it was, and only the answer to the commit is lacking. Then the database
        may still be at it, and the task have its row in a moment: its files are left to the walk.
        """
        try:
            with self.sessions() as session:
                kept = db.task(session, task.id)
        except Unavailable:
            return None  # What is in the way is found later, if nobody knows of it.
        if kept or not is_sent:
            forget_unwanted(self.storage, task, kept)
        return kept

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
            derived = db.remove(session, [task.id])
        self.ends.tell([task.id, *(gone.id for gone in derived)])
        for gone in (task, *derived):
            forget_unwanted(self.storage, gone, None)

    def result(self, task_id: str, suffix: str) -> tuple[Task, Path]:
        """A complete task and its result file, for ``storage.let_go`` when it has been read.

        Raises TaskNotFound, ResultExpired, Unavailable.
        """
        task = self.complete(task_id, suffix)
        path = self.storage.locate(result_key(task))
        if path is None:
            raise ResultExpired(_EXPIRED)
        return task, path

    def result_link(self, task_id: str, suffix: str) -> str | None:
        """Where the storage itself serves a result; None if it is served here.

        Raises TaskNotFound, ResultExpired.
        """
        if not self.presigns:
            return None
        task = self.complete(task_id, suffix)
        # An address that is good for a second more leads to no long life.
        return self._link(task, min(_FOLLOWED_S, self._link_s))

    def complete(self, task_id: str, suffix: str) -> Task:
        """A complete task whose result is kept. Raises TaskNotFound, ResultExpired."""
        with self.sessions() as session:
            task = db.task(session, task_id)
        if task is None or task.state != State.COMPLETE or task.format != suffix:
            raise TaskNotFound("There is no such result.")
        if task.result_since is None:
            raise ResultExpired(_EXPIRED)
        return task

    @property
    def _link_s(self) -> float:
        return self.links.lifetime_s or LONGEST_S

    def _link(self, task: Task, seconds: float) -> str | None:
        return self.storage.link(result_key(task), download_name(task), shown_type(task), seconds)

    def text(self, task: Task) -> str | None:
        """The plain text of a complete task that was asked to keep it."""
        if not task.return_text or task.state != State.COMPLETE:
            return None
        path = self.storage.locate(result_key(task) if task.format == "txt" else text_key(task))
        if path is None:
            return None
        try:
            return path.read_text(encoding="utf-8")
        finally:
            self.storage.let_go(path)

    def told(self, task_ids: Collection[str]) -> dict[str, Task]:
        """What clients are told of those of ``task_ids`` that are not gone."""
        with self.sessions.single() as session:
            rows = [db.told(session, task_id) for task_id in task_ids]
        return {row.id: row for row in rows if row is not None}

    def finished(self, task_ids: Collection[str]) -> set[str]:
        """Those of ``task_ids`` that are final or gone."""
        with self.sessions() as session:
            return db.finished(session, task_ids)

    def record(self, task: Task, base: str) -> dict[str, Any]:
        """What a client is told of a task; ``base`` begins the result's address."""
        address = None
        if self.presigns and task.state == State.COMPLETE and task.result_since is not None:
            address = self._link(task, self._link_s)
        address = address or self.links.address(base, task)
        return {"status": 200, "data": record(task, address, self.text(task))}

    def _task(self, owner: str, submission: Submission) -> Task:
        now = time.time()
        callback, known = submission.callback_url, submission.known_by
        return Task(
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
            callback_url=callback,
            callback_host=host_of(callback) if callback else None,
            base_url=submission.base_url,
            return_text=submission.return_text,
            pdfa=submission.pdfa,
            mode=submission.mode,
            idempotency_key=known.key if known else None,
            fingerprint=known.fingerprint if known else None,
            reuse_key=self._reuse_key(submission),
            created_at=now,
            **origin(),
        )

    def _known(self, task: Task) -> Task | None:
        """The task that the same request gave before. Raises IdempotencyKeyReused."""
        if task.idempotency_key is None:
            return None
        with self.sessions() as session:
            known = db.keyed(session, task.owner, task.idempotency_key)
        if known is not None and known.fingerprint != task.fingerprint:
            raise IdempotencyKeyReused("This Idempotency-Key was sent with another request before.")
        return known

    def _reuse_key(self, submission: Submission) -> str | None:
        """What documents have in common whose results are the same byte for byte."""
        if not self.reuses or submission.digest is None or submission.password:
            return None
        same = asdict(
            replace(submission, base_url="", filename=None, callback_url=None, known_by=None)
        )
        return hashlib.sha256(json.dumps([self._maker, same]).encode()).hexdigest()

    def _reuse(self, task: Task) -> bool:
        """Complete a new task with the result of an equal one; False if there is none."""
        if task.reuse_key is None:
            return False
        with self.sessions() as session:
            done = db.reusable(session, task.owner, task.reuse_key)
        if done is None or (done.source_since is None and self.runner.keeps_sources):
            return False
        wanted = [(result_key(done), result_key(task))]
        if task.return_text and task.format != "txt":
            wanted.append((text_key(done), text_key(task)))
        if done.source_since is not None:
            wanted.append((source_key(done), source_key(task)))
        try:
            for old, new in wanted:
                self.storage.copy(old, new)
            if done.source_since is not None:
                with contextlib.suppress(FileNotFoundError):  # Nothing had to be read.
                    self.storage.copy(readings_key(done.id), readings_key(task.id))
        except FileNotFoundError:  # Deleted in this moment.
            forget_unwanted(self.storage, task, None)
            return False
        for name in _SAME_RESULT:
            setattr(task, name, getattr(done, name))
        now = time.time()
        task.state, task.progress = State.COMPLETE, 100
        task.processed_at = task.completed_at = task.result_since = now
        task.source_since = now if done.source_since is not None else None
        task.callback_due = now if task.callback_url else None
        return True


class _Room:
    """How many tasks may be added to those that wait; safe to share between threads."""

    def __init__(self, sessions: Sessions, most: int) -> None:
        self._sessions = sessions
        self._most = most
        self._left = most  # As of the last count, less those taken since.
        self._until = 0.0
        self._lock = threading.Lock()
        self._counting = threading.Lock()

    def take(self) -> bool:
        """Whether there is room for one more. Raises Unavailable."""
        with self._lock:
            self._left -= 1
            left, is_old = self._left, time.monotonic() >= self._until
        # One counts; a database that is slow to answer holds up no others.
        if (left < 0 or is_old) and self._counting.acquire(blocking=False):
            try:
                with self._sessions() as session:
                    left = self._most - db.count_waiting(session, self._most) - 1
                with self._lock:
                    self._left, self._until = left, time.monotonic() + _COUNTED_S
            finally:
                self._counting.release()
        return left >= 0


def _is_spent(derived: Task) -> bool:
    """Whether it is to be made anew: its result was kept for its time, or it failed a while ago."""
    if not State(derived.state).final or derived.result_since is not None:
        return False
    failed = derived.state != State.COMPLETE
    return not failed or time.time() - (derived.completed_at or 0.0) >= _AGAIN_S


_EXPIRED = "The result was kept for its time and is deleted."
_MOST_DERIVED = 16  # Unfinished ones of a token; none of them counts for its other limits.
_FOLLOWED_S = 300.0  # Who is redirected to a link follows it at once.
_COUNTED_S = 0.2  # Others may add some meanwhile.
_AGAIN_S = 600.0  # What failed is not tried again before.
_NOT_KEPT = "The document is not kept any more, so no other format can be made; send it again."
_SAME_RESULT = (
    *("state_detail", "input_media_type", "output_media_type", "output_size"),
    *("file_pages", "ocr_pages"),
)

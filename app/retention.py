"""What time takes away: sources and results that were kept long enough, old tasks, lost files.

Files go before the row says so: a crash between leaves a row that is dealt with again, and no file
that nobody knows of. Where a row went first all the same (a task that was deleted while a worker
stored its pages, a worker or server that was killed), a walk through the files finds what is left.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session, load_only, sessionmaker
from sqlalchemy.orm.attributes import InstrumentedAttribute

from app import db
from app.interfaces import Ends, Storage
from app.keys import (
    FOLDERS,
    is_wanted,
    readings_key,
    remove_unwanted,
    result_key,
    source_key,
    task_of,
    text_key,
)
from app.rows import Task

log = logging.getLogger(__name__)

EXPIRED = "Complete; the result was kept for its time and is deleted"

_ROWS = 100  # Of a batch: others write to the database too.
_FILES = 500
_ROUND_S = 600.0  # From the end of a walk through all files to the next, of whichever server.
_SAFE_AGE_S = 3600.0  # A file may be older than the row that is to know of it.
_SECOND_LOOK_S = 30.0  # A clock that was set forward makes all files old, but no time passes.


@dataclass(frozen=True, slots=True)
class Keeping:
    """For how many seconds after the end of a task things are kept."""

    sources_s: float  # 0: not at all.
    results_s: float  # 0: as long as the task.
    tasks_s: float  # 0: for ever.


class Sweeper:
    """Removes what is kept long enough, a little at a time.

    While the store of files is away, it stops with Unavailable; the rows stay, for the next time.
    """

    def __init__(
        self,
        sessions: sessionmaker[Session],
        storage: Storage,
        ends: Ends,
        keeping: Keeping,
        staging: Path,
        tidy: Callable[[], None],
    ) -> None:
        """``staging`` is the folder for uploads that are coming in; ``tidy`` does the rest."""
        self._sessions = sessions
        self._storage = storage
        self._ends = ends
        self._keeping = keeping
        self._staging = staging
        self._tidy = tidy
        self._files: Iterator[str] | None = None
        self._next_round = 0.0
        # Found by the first look, and when (monotonic seconds).
        self._suspects: dict[str, float] = {}
        self._staged: dict[Path, float] = {}

    def step(self) -> bool:
        """Remove a batch of each; whether there is more to be done at once."""
        with self._told():
            self._tidy()
        self._sweep_staging()
        more = [self._end_sources(), self._end_results(), self._end_tasks(), self._walk()]
        return any(more)

    def _end_sources(self) -> bool:
        with self._sessions() as session:
            found = _due(session, Task.source_since, self._keeping.sources_s)
        for task in found:
            self._delete(source_key(task))
            self._delete(readings_key(task.id))
        self._change(found, source_since=None)
        self._end_single_pages([task.id for task in found])
        return len(found) == _ROWS

    def _end_single_pages(self, task_ids: Sequence[str]) -> None:
        """What pages look like is not kept for longer than they are themselves."""
        if task_ids:
            pages = Task.parent_id.in_(task_ids) & Task.pages.is_not(None)
            with self._sessions.begin() as session:
                ended = session.scalars(delete(Task).where(pages).returning(Task)).all()
            self._ends.tell([task.id for task in ended])
            for task in ended:
                self._forget(task)

    def _end_results(self) -> bool:
        if not self._keeping.results_s:
            return False
        with self._sessions() as session:
            found = _due(session, Task.result_since, self._keeping.results_s)
        for task in found:
            for key in (result_key(task), text_key(task)):
                self._delete(key)
        self._change(found, result_since=None, state_detail=EXPIRED)
        return len(found) == _ROWS

    def _end_tasks(self) -> bool:
        if not self._keeping.tasks_s:
            return False
        with self._sessions() as session:
            found = _due(session, Task.completed_at, self._keeping.tasks_s)
        for task in found:
            self._forget(task)
        if found:
            with self._sessions.begin() as session:
                derived = db.remove(session, [task.id for task in found])
            self._ends.tell([task.id for task in derived])  # The others had ended before.
            for task in derived:
                self._forget(task)
        return len(found) == _ROWS

    def _change(self, tasks: Sequence[Task], **values: Any) -> None:
        if tasks:
            ids = [task.id for task in tasks]
            with self._sessions.begin() as session:
                session.execute(update(Task).where(Task.id.in_(ids)).values(**values))

    def _walk(self) -> bool:
        """Look at some files; remove those that no task wants, at the second look.

        Whether there are more to be looked at.
        """
        now = time.monotonic()
        seen = [key for key, first in self._suspects.items() if now - first >= _SECOND_LOOK_S]
        keys = [*seen, *self._some_files()]
        if not keys:
            return False
        with self._sessions() as session:
            known = select(Task).where(Task.id.in_({task_of(key) for key in keys}))
            known = known.options(load_only(Task.state, Task.source_since, Task.result_since))
            tasks = {task.id: task for task in session.scalars(known)}
        for key in keys:
            if not is_wanted(key, tasks.get(task_of(key))):
                self._suspects.setdefault(key, now)
            else:
                self._suspects.pop(key, None)
        for key in seen:
            if self._suspects.pop(key, None) is not None:
                log.info("%s belongs to no task any more and is removed", key)
                self._delete(key)
        return self._files is not None

    def _some_files(self) -> list[str]:
        if self._files is None:
            if time.monotonic() < self._next_round:
                return []
            self._next_round = time.monotonic() + _ROUND_S
            with self._sessions.begin() as session:
                if not db.take_round(session, "files", _ROUND_S):
                    return []
            self._files = self._all_files()
        else:  # However long the walk is, it is one server's.
            with self._sessions.begin() as session:
                db.renew_round(session, "files", _ROUND_S)
            self._next_round = time.monotonic() + _ROUND_S
        keys = list(islice(self._files, _FILES))
        if len(keys) < _FILES:
            self._files = None
        return keys

    def _all_files(self) -> Iterator[str]:
        for folder in FOLDERS:
            yield from self._storage.settled(folder, _SAFE_AGE_S)

    def _sweep_staging(self) -> None:
        """Uploads that a killed server left."""
        now, there = time.monotonic(), list(self._staging.glob("*"))
        self._staged = {path: self._staged.get(path, now) for path in there}
        for path, first in self._staged.items():
            with contextlib.suppress(FileNotFoundError):
                old = time.time() - path.stat().st_mtime >= _SAFE_AGE_S
                if old and now - first >= _SECOND_LOOK_S:
                    path.unlink()

    def _forget(self, task: Task) -> None:
        with self._told():
            remove_unwanted(self._storage, task, None)

    def _delete(self, key: str) -> None:
        with self._told():
            self._storage.delete(key)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """A file that cannot be removed holds up no other; the walk comes back to it."""
        try:
            yield
        except OSError:
            log.exception("a file could not be removed; it is tried again")


def _due(
    session: Session, since: InstrumentedAttribute[float | None], kept_s: float
) -> Sequence[Task]:
    """The tasks whose time is up, oldest first; of each one knows what its keys are made of."""
    due = select(Task).where(since <= time.time() - kept_s).order_by(since).limit(_ROWS)
    return session.scalars(due).all()

"""How far tasks are that somebody watches: the statements, and what is remembered between them."""

import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session, sessionmaker

from app.db import IS_DOWNLOAD, TO_BE_HAD
from app.rows import Task

_POSITIONS_S = 1.0  # In a long queue they change with every look.


@dataclass(frozen=True, slots=True, eq=False)
class Progress:
    """A task at one moment."""

    task: Task
    position: int | None  # How many tasks are before it in its queue; None: it does not wait.


class Progresses:
    """Looks at many tasks again and again; for one thread."""

    def __init__(self, sessions: sessionmaker[Session]) -> None:
        self._sessions = sessions
        self._seen: dict[str, tuple[Any, Progress]] = {}
        self._positions: dict[str, int] = {}
        self._positions_until = 0.0

    def look(self, task_ids: Collection[str]) -> dict[str, Progress | None]:
        """How far each is: the same object as in the last look if nothing is new; None: gone."""
        with self._sessions() as session:
            now = _versions(session, task_ids)
            waiting = [name for name, row in now.items() if row.state in TO_BE_HAD]
            if time.monotonic() >= self._positions_until or not self._positions.keys() >= {
                *waiting
            }:
                self._positions = positions(session, waiting)
                self._positions_until = time.monotonic() + _POSITIONS_S
            state = {
                name: (row, self._positions.get(name) if row.state in TO_BE_HAD else None)
                for name, row in now.items()
            }
            seen = self._seen
            new = [n for n, known in state.items() if n not in seen or seen[n][0] != known]
            tasks = {task.id: task for task in _tasks(session, new)}
        self._seen = {
            name: (known, Progress(tasks[name], known[1])) if name in tasks else seen[name]
            for name, known in state.items()
            if name in tasks or name in seen
        }
        return {name: self._seen[name][1] if name in self._seen else None for name in task_ids}


def positions(session: Session, task_ids: Collection[str]) -> dict[str, int]:
    """How many tasks are before each in its queue; those that do not wait are left out."""
    if not task_ids:
        return {}
    # One walk along the queue for all of them; it has an end, OCR_MAX_QUEUED.
    which = case((IS_DOWNLOAD, 1), else_=0)
    rank = func.rank().over(partition_by=which, order_by=Task.queued_at)
    queue = select(Task.id, rank.label("place")).where(Task.state.in_(TO_BE_HAD)).subquery()
    found = session.execute(select(queue.c.id, queue.c.place).where(queue.c.id.in_(task_ids)))
    return {name: place - 1 for name, place in found}


def _versions(session: Session, task_ids: Collection[str]) -> dict[str, Any]:
    """What may change of tasks; those that are gone are left out."""
    # Columns cost a tenth of the time of whole tasks.
    rows = session.execute(
        select(
            *(Task.id, Task.state, Task.state_detail, Task.progress, Task.file_pages),
            *(Task.ocr_pages, Task.input_size, Task.processed_at, Task.result_since),
        ).where(Task.id.in_(task_ids))
    )
    return {row.id: row for row in rows}


def _tasks(session: Session, task_ids: Collection[str]) -> Collection[Task]:
    if not task_ids:
        return []
    return session.scalars(select(Task).where(Task.id.in_(task_ids))).all()

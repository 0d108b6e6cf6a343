"""How the server does: the statements for its operators, and what they tell.

No statement walks more rows than wait, are under way, or have ended within the last hour.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import case, false, func, literal_column, select
from sqlalchemy.orm import Session

from app.db import IS_DOWNLOAD, RUNNING, TO_BE_HAD
from app.errors import State
from app.rows import Part, Task

_HOUR_S, _MINUTE_S = 3600.0, 60.0
_MOST_FAILURES = 50


@dataclass(frozen=True, slots=True)
class WorkerState:
    """A worker process of this server."""

    name: str
    pid: int
    memory_bytes: int  # Resident.
    is_warm: bool


def queue(session: Session) -> dict[str, Any]:
    """How many tasks wait and are under way, and for how long the oldest has waited.

    In seconds; None: none waits.
    """
    rows = _unfinished(session)
    oldest = min((row[3] for row in rows if row[0] in TO_BE_HAD), default=None)
    return {
        "queued": sum(row[2] for row in rows if row[0] in TO_BE_HAD),
        "downloading": sum(row[2] for row in rows if row[0] in RUNNING and row[1]),
        "processing": sum(row[2] for row in rows if row[0] in RUNNING and not row[1]),
        "oldest_s": None if oldest is None else _since(oldest),
    }


def queues(session: Session) -> dict[str, Any]:
    """What waits and is under way to be recognized, and what to be downloaded before.

    Names of queues: "recognition" and "downloads". Of parts, those that nobody is at. Busy are
    workers: a divided task is under way though nobody may be at it, and many at its parts.
    """
    rows = _unfinished(session)
    parts = session.execute(
        select(func.count(), func.count(Part.leased_by)).where(Part.finished.is_(false()))
    ).one()
    busy = parts[1] + sum(row[4] for row in rows if row[0] in RUNNING and not row[1])
    found: dict[str, Any] = {"parts": parts[0] - parts[1], "busy": busy}
    found |= {"waiting": {}, "under_way": {}, "oldest_s": {}}
    for name, download in (("recognition", 0), ("downloads", 1)):
        of_it = [row for row in rows if row[1] == download]
        waiting = [row for row in of_it if row[0] in TO_BE_HAD]
        found["waiting"][name] = sum(row[2] for row in waiting)
        found["under_way"][name] = sum(row[2] for row in of_it if row[0] in RUNNING)
        found["oldest_s"][name] = max((_since(row[3]) for row in waiting), default=0.0)
    return found


def workers(session: Session, ours: Sequence[WorkerState]) -> list[dict[str, Any]]:
    """The workers of this server, and those of others that are at a task, with that task."""
    held = {name: (task_id, since) for name, task_id, since in _held(session)}
    known = {worker.name for worker in ours}
    found = [
        {
            "name": worker.name,
            "pid": worker.pid,
            **_task(held.get(worker.name)),
            "memory_bytes": worker.memory_bytes,
            "warm": worker.is_warm,
        }
        for worker in ours
    ]
    others = sorted(name for name in held if name not in known)
    return found + [{"name": name, **_task(held[name])} for name in others]


def done(session: Session) -> tuple[dict[str, Any], dict[str, int]]:
    """Pages, and tasks, that were done within the last hour."""
    now = time.time()
    root = Task.parent_id.is_(None)
    complete = root & (Task.state == State.COMPLETE)
    recent = complete & (Task.completed_at >= now - _MINUTE_S)
    row = session.execute(
        select(
            func.coalesce(func.sum(case((recent, Task.file_pages))), 0),
            func.coalesce(func.sum(case((complete, Task.file_pages))), 0),
            func.count(case((complete, 1))),
            func.count(case((root & (Task.state < 0), 1))),
        ).where(Task.completed_at >= now - _HOUR_S)
    ).one()
    minute, hour = int(row[0]), int(row[1])
    pages = {"last_minute": minute, "last_hour": hour, "per_s": round(minute / _MINUTE_S, 2)}
    return pages, {"complete_hour": row[2], "failed_hour": row[3]}


def failures(session: Session) -> list[dict[str, Any]]:
    """The last tasks that failed, of whatever token, the newest first."""
    rows = session.execute(
        select(Task.id, Task.state, Task.error_code, Task.state_detail, Task.completed_at)
        # Not a parameter: the index of these rows is used for what is said to be among them.
        .where(Task.state < literal_column("0"))
        .order_by(Task.completed_at.desc())
        .limit(_MOST_FAILURES)
    )
    return [
        {
            "task_id": task_id,
            "state": state,
            "code": code,
            "state_detail": detail,
            "completed_at": None if ended is None else int(ended),
        }
        for task_id, state, code, detail, ended in rows
    ]


def _unfinished(session: Session) -> Sequence[Any]:
    """Rows of a state, whether it is that of a download (1, 0), how many, since when, and held."""
    fetched = case((IS_DOWNLOAD, 1), else_=0)
    return session.execute(
        select(
            Task.state,
            fetched,
            func.count(),
            func.min(Task.created_at),
            func.count(Task.leased_by),
        )
        .where(Task.state.in_((*TO_BE_HAD, *RUNNING)))
        .group_by(Task.state, fetched)
    ).all()


def _held(session: Session) -> list[tuple[str, str, float | None]]:
    """Workers, the tasks that they are at, and since when these are under way."""
    tasks = select(Task.leased_by, Task.id, Task.processed_at).where(
        Task.state.in_(RUNNING), Task.leased_by.is_not(None)
    )
    parts = (
        select(Part.leased_by, Task.id, Task.processed_at)
        .join(Task, Task.id == Part.task_id)
        .where(Part.leased_by.is_not(None))
    )
    held = [(*session.execute(tasks),), (*session.execute(parts),)]
    # A download is no worker's: it is named after its server and a number.
    return [(name, id_, since) for rows in held for name, id_, since in rows if "#" not in name]


def _task(held: tuple[str, float | None] | None) -> dict[str, Any]:
    if held is None:
        return {}
    task_id, since = held
    return {"task_id": task_id} | ({} if since is None else {"since_s": _since(since)})


def _since(moment: float) -> float:
    """Seconds since then; a clock that was set back makes it no less than none."""
    return round(max(0.0, time.time() - moment), 1)

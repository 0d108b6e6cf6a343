"""The parts of divided tasks: the statements about them.

A part is held and let go of as a task is; what is done of it counts for its task.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, exists, false, func, select, update
from sqlalchemy.orm import Session

from app.db import IS_READ, RUNNING, changed, ended, present
from app.errors import State
from app.rows import Part, Task

_WAITS = Part.finished.is_(false()) & Part.leased_by.is_(None)


def divide(
    session: Session, task_id: str, worker: str, parts: Sequence[Part], **values: Any
) -> bool:
    """Let go of a task for others to do its ``parts``; False if it is no longer this worker's."""
    ours = changed(
        session,
        update(Task)
        .where(Task.id == task_id, Task.leased_by == worker, Task.state.in_(RUNNING))
        .values(state=State.PROCESSING, attempts=0, leased_by=None, leased_until=None, **values),
    )
    if ours:
        session.add_all(parts)
        session.flush()
        _sum_up(session, task_id)
    return ours


def of(session: Session, task_id: str) -> Sequence[Part]:
    """The parts of a task, in the order of their pages."""
    return session.scalars(select(Part).where(Part.task_id == task_id).order_by(Part.first)).all()


def claim(session: Session, task_id: str, first: int, worker: str, lease_s: float) -> Part | None:
    """Take the part that begins with the page ``first``, or None if it is not to be had."""
    _lock(session, task_id)
    return session.scalars(
        update(Part)
        .where(
            Part.task_id == task_id,
            Part.first == first,
            Part.leased_by.is_(None),
            Part.finished.is_(false()),
        )
        .values(
            attempts=Part.attempts + 1,
            leased_by=worker,
            leased_until=present(session) + lease_s,
        )
        .returning(Part)
    ).one_or_none()


def renew(session: Session, part: Part, worker: str, lease_s: float, **values: Any) -> bool:
    """Extend the lease and note what is done; False if the part is no longer this worker's."""
    until = present(session) + lease_s
    if not _change(session, part, worker, leased_until=until, **values):
        return False
    _sum_up(session, part.task_id)
    return True


def finish(session: Session, part: Part, worker: str, rest: Sequence[Part], **values: Any) -> bool:
    """End a part, whose ``rest`` others are to do; False if it is no longer this worker's."""
    ours = _change(
        session, part, worker, finished=True, leased_by=None, leased_until=None, **values
    )
    if ours:
        session.add_all(rest)
        session.flush()
        _sum_up(session, part.task_id)
    return ours


def fail(session: Session, part: Part, worker: str, **values: Any) -> Task | None:
    """End the whole task of a part; None if the part is no longer this worker's."""
    held = exists().where(
        Part.task_id == Task.id, Part.first == part.first, Part.leased_by == worker
    )
    task = session.scalars(
        update(Task)
        .where(Task.id == part.task_id, Task.state.in_(RUNNING), held)
        .values(**ended(values))
        .returning(Task)
    ).one_or_none()
    if task is not None:
        session.execute(delete(Part).where(Part.task_id == part.task_id))
    return task


def orphans(session: Session, worker: str | None = None) -> Sequence[Part]:
    """The parts of ``worker``, which is dead, or else those whose lease ran out."""
    lost = Part.leased_until < present(session) if worker is None else Part.leased_by == worker
    return session.scalars(select(Part).where(lost)).all()


def let_go(session: Session, part: Part, expired: bool = False, **values: Any) -> bool:
    """Let others have a part that is held; False if it is not held so any more.

    ``expired``: only if its lease, which ran out, was not renewed since.
    """
    assert part.leased_by is not None
    values |= {"leased_by": None, "leased_until": None}
    return _change(session, part, part.leased_by, expired, **values)


def first_waiting(session: Session, task_id: str) -> int | None:
    """The first page of the first part of a task that waits for a worker."""
    return session.execute(
        select(func.min(Part.first)).where(Part.task_id == task_id, _WAITS)
    ).scalar_one()


def waiting(session: Session, before: float, after: float) -> Sequence[tuple[str, int, float]]:
    """The first part of each task that waits for a worker: its task, page and place.

    Of tasks that have no place from ``before`` to ``after``.
    """
    found = session.execute(
        select(Part.task_id, func.min(Part.first), Task.queued_at)
        .join(Task)
        .where(_WAITS, (Task.queued_at < before) | (Task.queued_at > after))
        .group_by(Part.task_id, Task.queued_at)
    )
    return [(task_id, first, place or 0.0) for task_id, first, place in found]


def is_read(session: Session, task_id: str) -> bool:
    """Whether all parts of a task are finished, and nobody is at the task itself."""
    return session.scalars(select(Task.id).where(Task.id == task_id, IS_READ)).first() is not None


def _change(
    session: Session, part: Part, worker: str, expired: bool = False, **values: Any
) -> bool:
    _lock(session, part.task_id)
    held = (Part.task_id == part.task_id) & (Part.first == part.first) & (Part.leased_by == worker)
    if expired:
        held &= Part.leased_until < present(session)
    return changed(session, update(Part).where(held).values(**values))


def _lock(session: Session, task_id: str) -> None:
    """Lock a task before its parts, as a deletion does: two that wait for each other never end."""
    session.execute(select(Task.id).where(Task.id == task_id).with_for_update())


def _sum_up(session: Session, task_id: str) -> None:
    """Let a task tell what is done of its parts."""
    sums = select(func.sum(Part.done), func.sum(Part.recognized), func.max(Part.last))
    done, recognized, pages = session.execute(sums.where(Part.task_id == task_id)).one()
    session.execute(
        update(Task)
        .where(Task.id == task_id)
        .values(
            state_detail=f"Processing: {done} of {pages} pages",
            progress=min(99, 100 * done // pages),
            ocr_pages=recognized,
        )
    )

"""A token's tasks, newest first: the statements about them."""

from collections.abc import Collection, Sequence

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from app.rows import Task


def page(session: Session, owner: str, most: int, before: Task | None = None) -> Sequence[Task]:
    """The owner's newest tasks, or those that are older than ``before``; ``most`` of them.

    A task that makes another format of one is none of them.
    """
    found = select(Task).where(Task.owner == owner, Task.parent_id.is_(None))
    if before is not None:
        # A place, not a number of rows to be passed over: what is added or deleted moves nothing.
        last = tuple_(before.created_at, before.id)
        found = found.where(tuple_(Task.created_at, Task.id) < last)
    newest = found.order_by(Task.created_at.desc(), Task.id.desc())
    return session.scalars(newest.limit(most)).all()


def derived(
    session: Session, task_ids: Collection[str], formats: Collection[str]
) -> Sequence[Task]:
    """The tasks that make one of ``formats`` of whole documents of ``task_ids``."""
    return session.scalars(
        select(Task)
        .where(Task.parent_id.in_(task_ids), Task.format.in_(formats), Task.pages.is_(None))
        .order_by(Task.created_at, Task.id)
    ).all()

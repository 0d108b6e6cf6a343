"""The statements about tasks; right on SQLite and PostgreSQL.

Functions take a session and leave the transaction to the caller. Times are Unix seconds.
"""

import time
from collections.abc import Collection, Sequence
from functools import cache, partial
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnDefault,
    Connection,
    CursorResult,
    Float,
    String,
    bindparam,
    case,
    cast,
    delete,
    exists,
    extract,
    false,
    func,
    literal,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.orm import Session

from app.errors import State
from app.rows import Base, Part, Round, Task, Usage
from app.statement import Statement, connection_of, given

FINAL = (State.COMPLETE, *(state for state in State if state < 0))
RUNNING = (State.PREPARING, State.PROCESSING)
SKEW_S = 60.0  # Clocks of machines differ by less; what is more was set.
TO_BE_HAD = (State.QUEUED, State.WAITING)  # To be downloaded or read; downloaded, to be read.


_TASKS = Base.metadata.tables[Task.__tablename__]


def add(session: Session | Connection, task: Task) -> bool:
    """Insert a row; False if its owner's idempotency key is another task's already."""
    filled = ((name, value) for name, value in vars(task).items() if name in _TASKS.c)
    values = _DEFAULTS | {name: value for name, value in filled if value is not None}
    return _inserting(tuple(sorted(values))).row(session, values) is not None


_DEFAULTS = {
    column.name: column.default.arg
    for column in _TASKS.c
    if isinstance(column.default, ColumnDefault)
}


@cache
def _inserting(names: tuple[str, ...]) -> Statement:
    values = {name: given(name, _TASKS.c[name].type) for name in names}
    return Statement(
        lambda dialect: (
            insert(dialect, Task).values(values).on_conflict_do_nothing().returning(_TASKS.c.id)
        )
    )


def keyed(session: Session, owner: str, key: str) -> Task | None:
    """The task that an owner's idempotency key stands for."""
    return session.scalars(
        select(Task).where(Task.owner == owner, Task.idempotency_key == key)
    ).one_or_none()


def reusable(session: Session, owner: str, key: str) -> Task | None:
    """An owner's latest complete task with this reuse key, whose result is still there, whole."""
    return session.scalars(
        select(Task)
        .where(
            Task.owner == owner,
            Task.reuse_key == key,
            Task.result_since.is_not(None),
            Task.failed_pages.is_(None),
        )
        .order_by(Task.result_since.desc())
        .limit(1)
    ).one_or_none()


def task(session: Session, task_id: str) -> Task | None:
    """The row of a task, as it is now."""
    if "\0" in task_id:  # PostgreSQL refuses to look.
        return None
    return _task_of(session, _ONE, {"task_id": task_id})


_ONE = Statement(lambda _: select(_TASKS).where(Task.id == given("task_id")))


def told(session: Session | Connection, task_id: str) -> Task | None:
    """What of a task its client is told."""
    return _task_of(session, _TOLD, {"task_id": task_id})


# To get all columns, here and below, would take longer than all the rest.
_KNOWN_TO_CLIENTS = (
    *("id", "owner", "state", "state_detail", "progress", "format", "filename", "base_url"),
    *("return_text", "output_media_type", "input_size", "output_size", "file_pages", "ocr_pages"),
    *("failed_pages", "created_at", "processed_at", "completed_at", "result_since"),
)
_TOLD = Statement(
    lambda _: select(*(_TASKS.c[name] for name in _KNOWN_TO_CLIENTS)).where(
        Task.id == given("task_id")
    )
)


_GOING = select(Task.id).where(
    Task.id.in_(bindparam("ids", expanding=True)), Task.state.not_in(FINAL)
)


def finished(session: Session, task_ids: Collection[str]) -> set[str]:
    """Those of ``task_ids`` that are final or gone."""
    # Asked many times a second: the connection answers in a third of the session's time.
    going = session.connection().execute(_GOING, {"ids": [*task_ids]})
    return set(task_ids) - set(going.scalars())


# All parts are finished, so that the task itself is to be had again.
IS_READ = (
    (Task.state == State.PROCESSING)
    & Task.leased_by.is_(None)
    & ~exists().where(Part.task_id == Task.id, Part.finished.is_(false()))
)


# Its document is still at its URL.
IS_DOWNLOAD = Task.source_url.is_not(None) & Task.input_size.is_(None)


def is_download(task: Task) -> bool:
    """Whether the document of a task is still to be fetched from its URL."""
    return task.source_url is not None and task.input_size is None


def claim(
    session: Session | Connection,
    task_id: str,
    worker: str,
    lease_s: float,
    download: bool = False,
) -> Task | None:
    """Take a task that waits for ``worker``, or None if it is not to be had.

    A task in parts is to be had when all of them are finished; one that is to be fetched first, or
    any other, if that is what ``download`` says.
    """
    values = {"task_id": task_id, "worker": worker, "lease_s": lease_s, "now": time.time()}
    return _task_of(session, _FETCHING if download else _CLAIMING, values)


_KNOWN_TO_WORKERS = (
    *("id", "parent_id", "owner", "state", "format", "languages", "password", "source_url"),
    *("base_url", "return_text", "pdfa", "mode", "pages", "input_media_type", "input_size"),
    *("created_at", "queued_at", "attempts", "kills", "leased_by", "request_id", "traceparent"),
)


def _claiming(dialect: str, download: bool) -> Any:
    waits = Task.state.in_(TO_BE_HAD)
    return (
        update(_TASKS)
        .where(
            Task.id == given("task_id"),
            waits | IS_READ,
            IS_DOWNLOAD if download else ~IS_DOWNLOAD,
        )
        .values(
            state=case((waits, int(State.PREPARING)), else_=Task.state),
            state_detail=case((waits, "Preparing"), else_=Task.state_detail),
            attempts=Task.attempts + 1,
            leased_by=given("worker", String),
            leased_until=_clock(dialect) + given("lease_s", Float),
            processed_at=func.coalesce(Task.processed_at, given("now", Float)),
        )
        .returning(*(_TASKS.c[name] for name in _KNOWN_TO_WORKERS))
    )


_CLAIMING = Statement(partial(_claiming, download=False))
_FETCHING = Statement(partial(_claiming, download=True))


def renew(session: Session, task_id: str, worker: str, lease_s: float, **values: Any) -> bool:
    """Extend the lease and note ``values``; False if the task is no longer this worker's."""
    return changed(
        session,
        update(Task)
        .where(Task.id == task_id, Task.leased_by == worker, Task.state.in_(RUNNING))
        .values(leased_until=present(session) + lease_s, **values),
    )


def renew_all(session: Session, workers: Collection[str], lease_s: float) -> None:
    """Extend the leases of whatever ``workers`` hold, tasks and parts."""
    tasks = select(Task.id).where(Task.leased_by.in_(workers), Task.state.in_(RUNNING))
    parts = select(Part.task_id, Part.first).where(Part.leased_by.in_(workers))
    # Whoever has locked a row is at it; to wait for one would hold up all the others.
    idle_tasks = tasks.with_for_update(skip_locked=True)
    idle_parts = parts.with_for_update(skip_locked=True)
    until = present(session) + lease_s
    session.execute(update(Task).where(Task.id.in_(idle_tasks)).values(leased_until=until))
    key = tuple_(Part.task_id, Part.first)
    session.execute(update(Part).where(key.in_(idle_parts)).values(leased_until=until))


def finish(
    session: Session | Connection,
    task_id: str,
    worker: str,
    divided: bool = True,
    used: int = 0,
    **values: Any,
) -> Task | None:
    """End a task, which may be ``divided``; None if it is no longer this worker's.

    So many pages are ``used`` by it. On PostgreSQL it is one statement if it is not divided.
    """
    new = _at_end(values)
    connection = connection_of(session)
    at_once = used > 0 and connection.dialect.name == "postgresql"
    held = {"task_id": task_id, "worker": worker, "now": new["completed_at"], "used": used}
    ending = _ending(tuple(sorted(new)), at_once)
    task = _task_of(connection, ending, held | {f"new_{name}": new[name] for name in new})
    if task is not None and used and not at_once:
        _COUNTING.row(connection, {"owner": task.owner, "used": used})
    if task is not None and divided:
        connection.execute(delete(Part).where(Part.task_id == task_id))
    return task


# What an end is told by, and its files.
_KNOWN_AT_END = (
    *("id", "parent_id", "owner", "state", "error_code", "format", "created_at"),
    *("source_since", "result_since"),
)


@cache
def _ending(names: tuple[str, ...], counts: bool) -> Statement:
    columns = _TASKS.c
    values = {name: given(f"new_{name}", columns[name].type) for name in names}
    due = case((Task.callback_url.is_not(None), given("now", Float)))
    ending = (
        update(_TASKS)
        .where(
            Task.id == given("task_id"),
            Task.leased_by == given("worker"),
            Task.state.in_(RUNNING),
        )
        .values(**values, callback_due=due)
        .returning(*(columns[name] for name in _KNOWN_AT_END))
    )
    if not counts:
        return Statement(lambda _: ending)
    task = ending.cte("ended")
    used = select(task.c.owner, given("used", BigInteger), literal(0.0), literal(0))
    counting = _counted(insert("postgresql", Usage).from_select([*_USED], used))
    return Statement(lambda _: select(task).add_cte(counting.cte("counted")))


_COUNTING = Statement(
    lambda dialect: _counted(
        insert(dialect, Usage).values(
            owner=given("owner"), pages=given("used"), minute_from=0.0, minute_tasks=0
        )
    )
)


def _counted(using: Any) -> Any:
    """An INSERT of the first pages that an owner has used, or of more."""
    more = {"pages": Usage.pages + using.excluded.pages}
    return using.on_conflict_do_update(index_elements=[Usage.owner], set_=more)


_USED = ("owner", "pages", "minute_from", "minute_tasks")


def _task_of(
    session: Session | Connection, statement: Statement, values: dict[str, Any]
) -> Task | None:
    row = statement.row(session, values)
    if row is None:
        return None
    task = Task()
    vars(task).update(row)  # As a value was read, not as one that is set and to be written.
    return task


def orphans(session: Session, worker: str | None = None) -> Sequence[Task]:
    """Running tasks of ``worker``, which is dead, or else those whose lease ran out."""
    lost = Task.leased_until < present(session) if worker is None else Task.leased_by == worker
    return session.scalars(select(Task).where(Task.state.in_(RUNNING), lost)).all()


def let_go(session: Session, task: Task, expired: bool = False, **values: Any) -> bool:
    """Let others have a task that is held; False if it is not held so any more.

    ``expired``: only if its lease, which ran out, was not renewed since.
    """
    held = (Task.id == task.id) & (Task.leased_by == task.leased_by) & Task.state.in_(RUNNING)
    if expired:
        held &= Task.leased_until < present(session)
    return changed(
        session, update(Task).where(held).values(leased_by=None, leased_until=None, **values)
    )


def workers(session: Session) -> set[str]:
    """The workers that hold a lease."""
    held = select(Task.leased_by).where(Task.state.in_(RUNNING)).union(select(Part.leased_by))
    return {name for name in session.scalars(held) if name is not None}


def running(session: Session) -> set[str]:
    """Ids of the tasks that are under way."""
    return set(session.scalars(select(Task.id).where(Task.state.in_(RUNNING))))


def waiting(
    session: Session, before: float, after: float, download: bool
) -> Sequence[tuple[str, float]]:
    """Tasks, and their places, of which none is from ``before`` to ``after``.

    Those that wait to be fetched, or else for what comes then.
    """
    found = session.execute(
        select(Task.id, Task.queued_at)
        .where(
            Task.state.in_(TO_BE_HAD) | IS_READ,
            IS_DOWNLOAD if download else ~IS_DOWNLOAD,
            (Task.queued_at < before) | (Task.queued_at > after),
        )
        .order_by(Task.queued_at)
    )
    return [(task_id, place or 0.0) for task_id, place in found]


def note_queued(session: Session, task_id: str, place: float) -> None:
    """Say which place in the queue a task has, or a part of it."""
    session.execute(update(Task).where(Task.id == task_id).values(queued_at=place))


def count_waiting(session: Session, most: int) -> int:
    """How many tasks wait, or ``most`` if it is no fewer."""
    waiting = select(Task.id).where(Task.state.in_(TO_BE_HAD)).limit(most).subquery()
    return session.execute(select(func.count()).select_from(waiting)).scalar_one()


def remove(session: Session, task_ids: Sequence[str]) -> Sequence[Task]:
    """Delete the rows of tasks, and of those derived from them, which are returned."""
    # In this order: who adds one holds the row of its parent.
    session.execute(delete(Task).where(Task.id.in_(task_ids)))
    return session.scalars(delete(Task).where(Task.parent_id.in_(task_ids)).returning(Task)).all()


def is_kept(session: Session, task_id: str) -> bool:
    """Whether the document of a task is still kept; it is for the rest of the transaction."""
    kept = select(Task.id).where(Task.id == task_id, Task.source_since.is_not(None))
    return session.scalars(kept.with_for_update(read=True)).first() is not None


def due_callback(session: Session, retry_at: float, busy: Sequence[str | None]) -> Task | None:
    """A task whose report is due, to none of the ``busy`` hosts; it is taken until ``retry_at``."""
    now = time.time()
    # What was last done in the future waits for a clock that was set back since.
    before = func.coalesce(Task.callback_at, Task.completed_at)
    due = select(Task.id, Task.callback_due).where(
        Task.callback_due.is_not(None),
        (Task.callback_due <= now) | (before > now + SKEW_S),
    )
    if busy:
        due = due.where(Task.callback_host.not_in(busy))
    found = session.execute(due.order_by(Task.callback_due).limit(1)).one_or_none()
    if found is None:
        return None
    return session.scalars(
        update(Task)
        .where(Task.id == found.id, Task.callback_due == found.callback_due)
        .values(
            callback_due=retry_at, callback_at=now, callback_attempts=Task.callback_attempts + 1
        )
        .returning(Task)
    ).one_or_none()


def settle_callback(session: Session, task_id: str, due: float | None, result: str) -> None:
    """Note what came of a report, and when it is sent again; None for never."""
    session.execute(
        update(Task)
        .where(Task.id == task_id)
        .values(callback_due=due, callback_result=result, callback_at=time.time())
    )


def present(session: Session) -> Any:
    """The time that leases go by: one clock for all machines, the database's, where it has one."""
    dialect = session.get_bind().dialect.name
    return time.time() if dialect == "sqlite" else _clock(dialect)


def _clock(dialect: str) -> Any:
    if dialect == "sqlite":
        return given("now", Float)
    return cast(extract("epoch", func.statement_timestamp()), Float)


def take_round(session: Session, name: str, every_s: float) -> bool:
    """Whether this server does what is done every so many seconds; else another has done it."""
    now = time.time()
    taking = insert(session.get_bind().dialect.name, Round).values(name=name, due=now + every_s)
    # What is due later than that: the clock was set back.
    is_due = (Round.due <= now) | (Round.due > now + every_s)
    again = {"due": now + every_s}
    taking = taking.on_conflict_do_update(index_elements=[Round.name], set_=again, where=is_due)
    return session.execute(taking.returning(Round.name)).one_or_none() is not None


def renew_round(session: Session, name: str, every_s: float) -> None:
    """Say that this server is still at it: the others leave it alone for ``every_s``."""
    due = time.time() + every_s
    session.execute(update(Round).where(Round.name == name).values(due=due))


def ping(session: Session) -> None:
    """Fail unless the database answers."""
    session.execute(text("SELECT 1"))


def ended(values: dict[str, Any]) -> dict[str, Any]:
    """What every end of a task sets beside ``values``; from then on its report is due."""
    new = _at_end(values)
    return new | {"callback_due": case((Task.callback_url.is_not(None), new["completed_at"]))}


def _at_end(values: dict[str, Any]) -> dict[str, Any]:
    now = time.time()
    return values | {
        "password": None,
        "leased_by": None,
        "leased_until": None,
        "completed_at": now,
        "result_since": now if values["state"] == State.COMPLETE else None,
    }


def insert(dialect: str, row: type[Base]) -> Any:
    """An INSERT that may say what is done on a conflict, which each database has its own for."""
    table = Base.metadata.tables[row.__tablename__]
    if dialect == "sqlite":
        from sqlalchemy.dialects import sqlite

        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql  # With all its drivers.

    return postgresql.insert(table)


def changed(session: Session, statement: Any) -> bool:
    """Carry out an update of one row; whether it was there."""
    result = session.execute(statement)
    assert isinstance(result, CursorResult)
    return result.rowcount == 1

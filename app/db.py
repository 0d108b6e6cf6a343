"""Rows of tasks, their parts and tokens, and statements; right on SQLite and PostgreSQL.

Functions take a session and leave the transaction to the caller. Times are Unix seconds.
"""

import time
from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    CursorResult,
    Float,
    ForeignKey,
    Index,
    MetaData,
    String,
    Text,
    bindparam,
    case,
    cast,
    delete,
    exists,
    extract,
    false,
    func,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from app.errors import State

FINAL = (State.COMPLETE, *(state for state in State if state < 0))
RUNNING = (State.PREPARING, State.PROCESSING)
SKEW_S = 60.0  # Clocks of machines differ by less; what is more was set.
# What waits for a worker, and to be downloaded; what others do parts of. Indexes go by these words.
SENT = "state IN (0, 3) AND (source_url IS NULL OR input_size IS NOT NULL)"
LINKED = "state IN (0, 3) AND source_url IS NOT NULL AND input_size IS NULL"
DIVIDED = "state = 4 AND leased_by IS NULL"
TO_BE_HAD = (State.QUEUED, State.WAITING)  # To be downloaded or read; downloaded, to be read.


class Base(DeclarativeBase):
    """The metadata, with names for all constraints so that migrations can speak of them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


def _index_of_filled(*columns: str, unique: bool = False) -> Index:
    """An index of the rows in which the first of ``columns`` has a value."""
    return _index_where(f"{columns[0]} IS NOT NULL", *columns, unique=unique)


def _index_where(
    condition: str, *columns: str, name: str | None = None, unique: bool = False
) -> Index:
    """An index of the rows that meet ``condition``, which statements have to repeat as it is."""
    where = text(condition)
    return Index(name, *columns, unique=unique, sqlite_where=where, postgresql_where=where)


class Task(Base):
    """One document to recognize, from its submission to its result."""

    __tablename__ = "tasks"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    # The complete task of whose document this one makes another format; it goes with that one.
    # No foreign key: for one, SQLite would have to make the table anew, which deletes all parts.
    parent_id: Mapped[str | None] = mapped_column(String(36))
    owner: Mapped[str] = mapped_column(String(64))  # Digest of the token.
    state: Mapped[int] = mapped_column(index=True)
    state_detail: Mapped[str] = mapped_column(Text)
    error_code: Mapped[str | None] = mapped_column(String(64))
    progress: Mapped[int] = mapped_column(default=0)  # Percent.
    # What was asked for.
    format: Mapped[str] = mapped_column(String(8))
    languages: Mapped[str] = mapped_column(Text)
    password: Mapped[str | None] = mapped_column(String(64))  # Only until the task ends.
    source_url: Mapped[str | None] = mapped_column(Text)
    filename: Mapped[str | None] = mapped_column(Text)
    callback_url: Mapped[str | None] = mapped_column(Text)
    base_url: Mapped[str] = mapped_column(Text)  # What the client called the server.
    return_text: Mapped[bool] = mapped_column(default=False)
    pdfa: Mapped[bool] = mapped_column(default=False, server_default=false())
    mode: Mapped[str] = mapped_column(String(8), default="auto", server_default="auto")
    pages: Mapped[str | None] = mapped_column(String(32))  # "first-last"; None: all.
    # What is known of it.
    input_media_type: Mapped[str | None] = mapped_column(String(128))
    output_media_type: Mapped[str | None] = mapped_column(String(128))
    input_size: Mapped[int | None] = mapped_column(BigInteger)  # Bytes.
    output_size: Mapped[int | None] = mapped_column(BigInteger)
    file_pages: Mapped[int | None]
    ocr_pages: Mapped[int | None]
    failed_pages: Mapped[str | None] = mapped_column(Text)  # Numbers with commas between.
    created_at: Mapped[float]
    processed_at: Mapped[float | None]
    completed_at: Mapped[float | None]
    # Its place in the queue, or that of its part which is there: see app.places.
    queued_at: Mapped[float | None]
    # Who works on it.
    attempts: Mapped[int] = mapped_column(default=0)
    kills: Mapped[int] = mapped_column(default=0, server_default=text("0"))  # Of its workers.
    leased_by: Mapped[str | None] = mapped_column(String(128))
    leased_until: Mapped[float | None] = mapped_column(index=True)
    # The report to callback_url: when the next try is due (None: not yet, or no more), tries so
    # far, and what came of the last one.
    callback_host: Mapped[str | None] = mapped_column(String(300))  # With its port.
    callback_due: Mapped[float | None]
    callback_attempts: Mapped[int] = mapped_column(default=0)
    callback_at: Mapped[float | None]
    callback_result: Mapped[str | None] = mapped_column(Text)  # An HTTP status, or an error.
    # What is known again: a request that is sent twice, a document that was read before.
    idempotency_key: Mapped[str | None] = mapped_column(String(255))
    fingerprint: Mapped[str | None] = mapped_column(String(64))  # Of the request.
    reuse_key: Mapped[str | None] = mapped_column(String(64))  # Of document, options, software.
    # What the logs and traces of other processes are to say of it.
    request_id: Mapped[str | None] = mapped_column(String(64))  # Of the request that made it.
    traceparent: Mapped[str | None] = mapped_column(String(64))  # Of its span; W3C Trace Context.
    # Since when files are kept that time takes away; None: they are gone, or not there yet.
    source_since: Mapped[float | None]
    result_since: Mapped[float | None]

    __table_args__ = (
        Index(None, "owner", "state"),
        # Of columns that many rows leave empty only what is filled in.
        _index_of_filled("completed_at"),
        _index_of_filled("callback_due", "callback_host"),
        _index_of_filled("source_since"),
        _index_of_filled("result_since"),
        _index_of_filled("parent_id"),
        _index_of_filled("reuse_key", "owner"),
        _index_of_filled("idempotency_key", "owner", unique=True),
        # A token's history, newest first, and what failed last: see app.history, app.operations.
        _index_where("parent_id IS NULL", "owner", "created_at", "id"),
        _index_where("state < 0", "completed_at", name="ix_tasks_failed_completed_at"),
        # The last place in the queue that an owner's tasks have: see app.places.
        _index_where(SENT, "owner", "queued_at", name="ix_tasks_sent_queued_at"),
        _index_where(LINKED, "owner", "queued_at", name="ix_tasks_linked_queued_at"),
        _index_where(DIVIDED, "owner", "queued_at", name="ix_tasks_divided_queued_at"),
    )


class Part(Base):
    """Pages of a long document, for one worker at a time; the task itself puts them together."""

    __tablename__ = "parts"

    task_id: Mapped[str] = mapped_column(
        ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True
    )
    first: Mapped[int] = mapped_column(primary_key=True)  # Numbers of pages.
    last: Mapped[int]
    finished: Mapped[bool] = mapped_column(default=False)
    done: Mapped[int] = mapped_column(default=0)  # Pages,
    recognized: Mapped[int] = mapped_column(default=0)  # and those that were recognized.
    worked_s: Mapped[float] = mapped_column(default=0.0)  # Seconds, once it is finished.
    attempts: Mapped[int] = mapped_column(default=0)
    kills: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    leased_by: Mapped[str | None] = mapped_column(String(128), index=True)
    leased_until: Mapped[float | None] = mapped_column(index=True)


class Token(Base):
    """A right to use the server. The token itself is not kept."""

    __tablename__ = "tokens"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)  # SHA-256, hexadecimal.
    name: Mapped[str] = mapped_column(String(200), unique=True)
    created_at: Mapped[float]
    expires_at: Mapped[float | None]
    revoked_at: Mapped[float | None]
    operator: Mapped[bool] = mapped_column(default=False, server_default=false())  # Sees all work.
    # Limits of its own; None: that of the settings, 0: none.
    rate_per_minute: Mapped[int | None]
    tasks_at_once: Mapped[int | None]
    page_quota: Mapped[int | None] = mapped_column(BigInteger)


class Usage(Base):
    """What a token has used; those of the settings, which have no other row, too."""

    __tablename__ = "usages"

    owner: Mapped[str] = mapped_column(String(64), primary_key=True)
    pages: Mapped[int] = mapped_column(BigInteger, default=0)  # Of complete tasks.
    minute_from: Mapped[float] = mapped_column(default=0.0)  # When the last minute began,
    minute_tasks: Mapped[int] = mapped_column(default=0)  # and tasks that were created in it.


class Round(Base):
    """Something that one of all servers does, every now and then."""

    __tablename__ = "rounds"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    due: Mapped[float]  # When it is done again.


_TASKS = Base.metadata.tables[Task.__tablename__]


def add(session: Session, task: Task) -> bool:
    """Insert a row; False if its owner's idempotency key is another task's already."""
    known = {column.key: getattr(task, column.key) for column in _TASKS.columns}
    values = {name: value for name, value in known.items() if value is not None}
    inserting = _inserting(session.get_bind().dialect.name)
    return session.connection().execute(inserting, values).one_or_none() is not None


@cache
def _inserting(dialect: str) -> Any:
    return insert(dialect, Task).on_conflict_do_nothing().returning(_TASKS.c.id)


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


_ONE = select(_TASKS).where(Task.id == bindparam("task_id"))


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
    session: Session, task_id: str, worker: str, lease_s: float, download: bool = False
) -> Task | None:
    """Take a task that waits for ``worker``, or None if it is not to be had.

    A task in parts is to be had when all of them are finished; one that is to be fetched first, or
    any other, if that is what ``download`` says.
    """
    claiming = _claiming(session.get_bind().dialect.name, download)
    now = time.time()
    values = {"task_id": task_id, "worker": worker, "lease_s": lease_s, "now": now}
    return _task_of(session, claiming, values)


# Statements of each task's way are made once: to make one takes longer than to carry it out.
@cache
def _claiming(dialect: str, download: bool) -> Any:
    waits = Task.state.in_(TO_BE_HAD)
    return (
        update(_TASKS)
        .where(
            Task.id == bindparam("task_id"),
            waits | IS_READ,
            IS_DOWNLOAD if download else ~IS_DOWNLOAD,
        )
        .values(
            state=case((waits, int(State.PREPARING)), else_=Task.state),
            state_detail=case((waits, "Preparing"), else_=Task.state_detail),
            attempts=Task.attempts + 1,
            leased_by=bindparam("worker"),
            leased_until=_clock(dialect) + bindparam("lease_s", type_=Float),
            processed_at=func.coalesce(Task.processed_at, bindparam("now", type_=Float)),
        )
        .returning(*_TASKS.c)
    )


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
    session: Session, task_id: str, worker: str, divided: bool = True, **values: Any
) -> Task | None:
    """End a task, which may be ``divided``; None if it is no longer this worker's."""
    new = {name: value for name, value in ended(values).items() if name != "callback_due"}
    ending = _ending(tuple(sorted(new)))
    held = {"task_id": task_id, "worker": worker, "now": new["completed_at"]}
    task = _task_of(session, ending, held | {f"new_{name}": new[name] for name in new})
    if task is not None and divided:
        session.execute(delete(Part).where(Part.task_id == task_id))
    return task


@cache
def _ending(names: tuple[str, ...]) -> Any:
    columns = _TASKS.c
    values = {name: bindparam(f"new_{name}", type_=columns[name].type) for name in names}
    due = case((Task.callback_url.is_not(None), bindparam("now", type_=Float)))
    return (
        update(_TASKS)
        .where(
            Task.id == bindparam("task_id"),
            Task.leased_by == bindparam("worker"),
            Task.state.in_(RUNNING),
        )
        .values(**values, callback_due=due)
        .returning(*columns)
    )


def _task_of(session: Session, statement: Any, values: dict[str, Any]) -> Task | None:
    # The connection answers in a third of the session's time.
    row = session.connection().execute(statement, values).one_or_none()
    if row is None:
        return None
    return Task(**{name: value for name, value in row._mapping.items() if value is not None})


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
        return bindparam("now", type_=Float)
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


def ping(session: Session) -> None:
    """Fail unless the database answers."""
    session.execute(text("SELECT 1"))


def ended(values: dict[str, Any]) -> dict[str, Any]:
    """What every end of a task sets beside ``values``; from then on its report is due."""
    now = time.time()
    return values | {
        "password": None,
        "leased_by": None,
        "leased_until": None,
        "completed_at": now,
        "result_since": now if values["state"] == State.COMPLETE else None,
        "callback_due": case((Task.callback_url.is_not(None), now)),
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

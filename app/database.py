"""The database: its connections, its schema, and what its errors mean."""

import fcntl
import math
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, func, select
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.orm import Session, sessionmaker

from app import patience
from app.errors import Unavailable
from app.rows import Base
from app.statement import TRANSLATE


def connect(url: str, failed: Callable[[], None] = lambda: None) -> "Sessions":
    """Sessions on the database at ``url``, which ``migrate`` has been run on.

    ``failed`` is called whenever the database does not answer.
    """
    return Sessions(_engine(url, failed=failed, at_once=True), expire_on_commit=False)


class Sessions(sessionmaker[Session]):
    """Sessions: what ``begin`` gives is a transaction, any other is for looks.

    On PostgreSQL a single statement, or a look, costs one round trip instead of three: there a
    connection commits each by itself, but for those of ``begin``.
    """

    def __init__(self, bind: Engine, **how: Any) -> None:
        super().__init__(bind, **how)
        self._engine = self._in_turn = bind
        self.commits_by_itself = bind.dialect.name == "postgresql"
        """Whether a single statement may have been committed although no answer to it came."""
        if self.commits_by_itself:
            self._in_turn = bind.execution_options(isolation_level="READ COMMITTED")

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """A transaction."""
        with self(bind=self._in_turn) as session, session.begin():
            yield session

    @contextmanager
    def single(self) -> Iterator[Connection]:
        """For one statement, which is a transaction of its own."""
        with self._engine.begin() as connection:
            yield connection


@contextmanager
def opened(url: str) -> Iterator[Session]:
    """One transaction there, with a connection that ends with it."""
    sessions = connect(url)
    try:
        with sessions.begin() as session:
            yield session
    finally:
        sessions.kw["bind"].dispose()


def create(url: str) -> None:
    """Make the tables in an empty database, as the models say: for one that nobody keeps."""
    engine = _engine(url)
    Base.metadata.create_all(engine)
    engine.dispose()


def migrate(url: str, folder: Path) -> None:
    """Bring the schema up to date; processes that start together take turns.

    Raises Unavailable, also for a schema of a newer version.
    """
    # Here, because workers never migrate and start sooner without it.
    from alembic import command
    from alembic.runtime.migration import MigrationContext
    from alembic.util import CommandError

    config = _alembic()
    engine = _engine(url, timed=False)  # Changing a large table takes as long as it takes.
    try:
        with _migration_lock(engine, folder), engine.begin() as connection:
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, "head")
            except CommandError as error:
                now = MigrationContext.configure(connection).get_current_revision()
                known = _known(config)
                if now is None or now in known:
                    raise
                raise Unavailable(
                    f"The database's schema {now} is of a newer version than this, which knows "
                    f"{known[-1]}: install the newer one again."
                ) from error
    finally:
        engine.dispose()


def revisions(url: str) -> tuple[str | None, tuple[str, ...]]:
    """The schema's revision in the database, None before the first; all that are known, in order.

    Raises Unavailable.
    """
    from alembic.runtime.migration import MigrationContext

    engine = _engine(url)
    try:
        with engine.connect() as connection:
            now = MigrationContext.configure(connection).get_current_revision()
    finally:
        engine.dispose()
    return now, _known(_alembic())


def _engine(
    url: str,
    timed: bool = True,
    failed: Callable[[], None] = lambda: None,
    at_once: bool = False,
) -> Engine:
    """``at_once``: each statement is a transaction of its own, where the database has such."""
    translate = partial(_translate, failed)
    options = {TRANSLATE: translate}
    if url.startswith("sqlite"):
        # Threads are bounded, so their connections are: none waits for another's.
        engine = create_engine(
            url,
            max_overflow=-1,
            connect_args={"timeout": _LOCKED_S},
            execution_options=options,
        )
        event.listen(engine, "connect", _set_up_sqlite)
    else:
        engine = create_engine(
            url,
            pool_size=_KEPT_CONNECTIONS,
            max_overflow=-1,
            pool_use_lifo=True,
            connect_args=_PATIENCE if timed else {},
            execution_options=options,
            **{"isolation_level": "AUTOCOMMIT"} if at_once else {},
        )
        event.listen(engine, "checkin", _note_use)
        event.listen(engine, "checkout", _try_if_idle)
    event.listen(engine, "handle_error", lambda context: translate(context.original_exception))
    return engine


_LOCKED_S = 15.0  # Longest wait for a SQLite that others write to.
# And how long PostgreSQL waits: workers must hear of it; whoever is stopped or vanishes in the
# middle of a transaction is not to keep rows locked, nor connections for ever.
_PATIENCE = patience.POSTGRESQL | {
    "options": " ".join(
        f"-c {option}"
        for option in (
            "statement_timeout=20s",
            "lock_timeout=15s",
            "idle_in_transaction_session_timeout=10s",
            "tcp_keepalives_idle=60",
            "tcp_keepalives_interval=10",
            "tcp_keepalives_count=3",
        )
    )
}
# A standby is asked, or it ended a transaction that took too long; to psycopg these are internal.
_AWAY_STATES = ("25006", "25P03", "25P04")


_KEPT_CONNECTIONS = 20  # To open one takes longer than what most are opened for.
_IDLE_S = 1.0


def _note_use(connection: Any, record: Any) -> None:
    record.info["used"] = time.monotonic()


def _try_if_idle(connection: Any, record: Any, _: object) -> None:
    """See whether a connection that was idle is there still; each time would cost a round trip."""
    if time.monotonic() - record.info.get("used", math.inf) >= _IDLE_S:
        try:
            connection.execute("")
            connection.rollback()
        except Exception as error:  # Another one is opened.
            raise DisconnectionError from error


def _translate(failed: Callable[[], None], error: BaseException) -> None:
    """Raise Unavailable for a database that is away, locked, full or read-only."""
    is_wrong = isinstance(error, sqlite3.Error) and error.sqlite_errorcode == sqlite3.SQLITE_ERROR
    # Each driver has its own classes, of these names.
    names = {kind.__name__ for kind in type(error).__mro__}
    is_away = not names.isdisjoint(("OperationalError", "InterfaceError"))
    if (is_away and not is_wrong) or getattr(error, "sqlstate", None) in _AWAY_STATES:
        failed()
        raise Unavailable("The database does not answer; try again later.") from error


def _set_up_sqlite(connection: Any, _: object) -> None:
    # WAL lets the HTTP process read while a worker writes; FULL makes an accepted task survive
    # a power cut, not only a crash.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


@contextmanager
def _migration_lock(engine: Engine, folder: Path) -> Iterator[None]:
    if engine.dialect.name == "sqlite":
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "migrate.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    else:
        with engine.connect() as holder:
            _advisory(holder, "pg_advisory_lock")
            try:
                yield
            finally:
                _advisory(holder, "pg_advisory_unlock")


def _advisory(connection: Connection, function: str) -> None:
    connection.execute(select(getattr(func, function)(0x0C125E)))
    connection.commit()


def _alembic() -> Any:
    """What alembic has to know."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_migrations()))
    return config


def _known(config: Any) -> tuple[str, ...]:
    """All revisions, in order."""
    from alembic.script import ScriptDirectory

    revisions = ScriptDirectory.from_config(config).walk_revisions()
    return tuple(reversed([each.revision for each in revisions]))


def _migrations() -> Path:
    """The revisions: inside an installed package, or beside it in a checkout."""
    package = Path(__file__).parent
    inside = package / "migrations"
    return inside if inside.is_dir() else package.parent / "migrations"

"""Statements of each task's way: written once by SQLAlchemy, and then given to the driver.

To look one up again by all that it is made of, to pass it through, and to wrap what comes of it,
takes SQLAlchemy three times as long as the driver takes to ask the database.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Boolean, Connection, Dialect, bindparam
from sqlalchemy.orm import Session

TRANSLATE = "ocr_translate"
"""The execution option of an engine that raises what an error of its driver means."""


class Statement:
    """An INSERT, UPDATE or SELECT of one row; its values are named by ``given``."""

    def __init__(self, make: Callable[[str], Any]) -> None:
        """``make`` gives SQLAlchemy's statement for a database, by the name of its dialect."""
        self._make = make
        self._written: dict[str, _Written] = {}

    def row(
        self, session: Session | Connection, values: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """What it finds, or returns, by columns; None if that is no row. Raises Unavailable."""
        connection = connection_of(session)
        dialect = connection.dialect
        written = self._written.get(dialect.name)
        if written is None:
            written = self._written[dialect.name] = _compiled(self._make(dialect.name), dialect)
        driver: Any = connection.connection.dbapi_connection
        try:
            rows = carry_out(driver, written.text, written.parameters(values))
        except dialect.loaded_dbapi.Error as error:
            if dialect.is_disconnect(error, driver, None):  # So are the others of the pool.
                connection.invalidate(error)
                connection.engine.dispose()
            connection.get_execution_options()[TRANSLATE](error)
            raise
        return written.by_columns(rows[0]) if rows else None


def carry_out(driver: Any, text: str, parameters: Any) -> Sequence[Any]:
    """The rows that come of a statement."""
    cursor = driver.cursor()
    cursor.execute(text, parameters)
    # To the end, before which SQLite does not commit.
    return cursor.fetchall() if cursor.description else ()


def given(name: str, type_: Any = None) -> Any:
    """A value that a statement gets each time; its type can be left out beside a column."""
    return bindparam(name, type_=type_, required=False)


def connection_of(session: Session | Connection) -> Connection:
    """The connection that a session uses."""
    return session if isinstance(session, Connection) else session.connection()


@dataclass(frozen=True, slots=True)
class _Written:
    """A statement in the words of a database."""

    text: str
    constants: dict[str, Any]
    order: tuple[str, ...] | None  # Of values that go by their places.
    columns: tuple[str, ...]
    flags: tuple[str, ...]  # Those that are numbers there.

    def parameters(self, values: Mapping[str, Any]) -> Any:
        """The values as the driver takes them."""
        known = {**self.constants, **values}
        return known if self.order is None else tuple(known[name] for name in self.order)

    def by_columns(self, row: Any) -> dict[str, Any]:
        """A row as it was found."""
        named = dict(zip(self.columns, row, strict=True))
        for name in self.flags:
            named[name] = None if named[name] is None else bool(named[name])
        return named


def _compiled(statement: Any, dialect: Dialect) -> _Written:
    compiled = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
    found = tuple(statement.exported_columns)
    flags = () if dialect.supports_native_boolean else found
    return _Written(
        text=str(compiled),
        constants={name: _plain(v) for name, v in compiled.params.items() if v is not None},
        order=tuple(compiled.positiontup) if compiled.positional else None,
        columns=tuple(column.name for column in found),
        flags=tuple(column.name for column in flags if isinstance(column.type, Boolean)),
    )


def _plain(value: Any) -> Any:
    """What drivers take for a number, if it is an enumeration's."""
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else value

"""Where the servers of tests keep what they keep: in their folders, or on services.

``OCR_TEST_STACK=embedded``, the default, is SQLite and folders; ``scale`` is PostgreSQL, Redis and
S3, one of each for a process of tests, started when it is first needed. Every data folder has a
place of its own there, which is empty again for the next when its test, or its module, is over.
"""

import contextlib
import functools
import os
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
import redis

from app import database
from tests import services

STACK = os.environ.get("OCR_TEST_STACK", "embedded")


@dataclass(frozen=True, slots=True)
class Place:
    """A database, a queue and a prefix of keys that nobody else uses."""

    database: str  # The address, for psycopg.
    queue: str
    storage: services.S3

    @property
    def settings(self) -> dict[str, str]:
        """What a server is told to keep everything here."""
        return {
            "OCR_DATABASE_URL": _for_sqlalchemy(self.database),
            "OCR_QUEUE_URL": self.queue,
            "OCR_STORAGE_URL": self.storage.url,
            **self.storage.environment,
        }

    def rows(self) -> Iterator[str]:
        """All rows of the database, as text."""
        with psycopg.connect(self.database) as connection:
            for table in _tables(connection):
                query = f"SELECT {table}::text FROM {table}"
                yield from (str(row[0]) for row in connection.execute(query.encode()))

    def clear(self) -> None:
        """Forget everything; who is still connected is not any more."""
        with psycopg.connect(self.database, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            tables = set(_tables(connection)) - {"alembic_version"}
            connection.execute(f"TRUNCATE {', '.join(tables)} RESTART IDENTITY".encode())
        with contextlib.closing(redis.Redis.from_url(self.queue)) as queue:
            queue.flushdb()
        shutil.rmtree(self.storage.folder, ignore_errors=True)


class Services:
    """The services of one process of tests, and the places there."""

    def __init__(self) -> None:
        self._running = contextlib.ExitStack()
        self._free: list[Place] = []
        self._count = 0

    def close(self) -> None:
        """Stop what was started."""
        self._running.close()

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """The address, for SQLAlchemy, of a database without tables."""
        self._count += 1
        name = f"empty{self._count}"
        with psycopg.connect(self._postgresql, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
            yield _for_sqlalchemy(_named(self._postgresql, name))
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())

    def take(self) -> Place:
        """A place with nothing in it but the schema; ``give_back`` takes it again."""
        return self._free.pop() if self._free else self._new()

    def give_back(self, place: Place) -> None:
        """Let others have it, cleared."""
        place.clear()
        # The store may remember for a while what was below the old prefix.
        self._free.append(replace(place, storage=self._prefix()))

    @contextlib.contextmanager
    def place(self) -> Iterator[Place]:
        """A place for as long as the context lasts."""
        place = self.take()
        try:
            yield place
        finally:
            self.give_back(place)

    def _new(self) -> Place:
        self._count += 1
        name = f"place{self._count}"
        with psycopg.connect(self._postgresql, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        address = _named(self._postgresql, name)
        database.migrate(_for_sqlalchemy(address), Path())
        return Place(address, _named(self._redis, str(self._count)), self._prefix())

    def _prefix(self) -> services.S3:
        name, store = uuid.uuid4().hex, self._s3
        return replace(
            store, url=store.url.replace("/ocr?", f"/{name}?"), folder=store.folder.with_name(name)
        )

    @functools.cached_property
    def _postgresql(self) -> str:
        return self._running.enter_context(services.postgresql(options=_QUICK))

    @functools.cached_property
    def _redis(self) -> str:
        return self._running.enter_context(services.redis())

    @functools.cached_property
    def _s3(self) -> services.S3:
        return self._running.enter_context(services.s3())


_QUICK = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "max_connections=300")
SERVICES = Services()
_taken: dict[Path, Place] = {}  # By the data folders that they belong to.


def settings(folder: Path) -> dict[str, str]:
    """What tells a server with this data folder to keep everything where the stack has it."""
    if STACK == "embedded":
        return {}
    if folder not in _taken:
        _taken[folder] = SERVICES.take()
    return _taken[folder].settings


def database_url(folder: Path) -> str:
    """The address, for SQLAlchemy, of the database of a server with this data folder."""
    return settings(folder).get("OCR_DATABASE_URL", f"sqlite:///{folder / 'ocr.db'}")


def kept(folder: Path) -> set[str]:
    """Every file that the server with this data folder keeps, and folders that it left empty.

    What is stored has its key behind ``files/``; the others are uploads and work.
    """
    found = {f"files/{name}" for name in _below(_files(folder), 2)}
    for room in ("staging", "work"):
        found |= {f"{room}/{name}" for name in _below(folder / room, 1)}
    return found


def holds(folder: Path, word: str) -> bool:
    """Whether a word is anywhere in what the server with this data folder keeps."""
    # The log of SQLite has what was overwritten, until it is written over itself.
    paths = {*folder.rglob("*"), *_files(folder).rglob("*")}
    files = (p for p in paths if p.is_file() and p.suffix != ".db-wal")
    rows = _taken[folder].rows() if folder in _taken else ()
    return any(word.encode() in p.read_bytes() for p in files) or any(word in row for row in rows)


@contextlib.contextmanager
def tidied() -> Iterator[None]:
    """Afterwards, the places that were taken meanwhile are others' again."""
    before = set(_taken)
    yield
    for folder in set(_taken) - before:
        SERVICES.give_back(_taken.pop(folder))


def _files(folder: Path) -> Path:
    """Where what is stored lies, each file under its key."""
    return _taken[folder].storage.folder if folder in _taken else folder / "files"


def _below(root: Path, depth: int) -> set[str]:
    """The files below a folder, and empty folders that are as deep, or deeper."""
    found = set()
    for path in root.rglob("*"):
        name = path.relative_to(root)
        if path.is_file() or (len(name.parts) >= depth and not [*path.iterdir()]):
            found.add(str(name))
    return found


def _tables(connection: "psycopg.Connection[Any]") -> list[str]:
    query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    return [row[0] for row in connection.execute(query)]


def _named(address: str, name: str) -> str:
    return f"{address.rpartition('/')[0]}/{name}"


def _for_sqlalchemy(address: str) -> str:
    return address.replace("postgresql://", "postgresql+psycopg://")

"""The queue of work: Huey's storages on SQLite, Redis or PostgreSQL, carrying ids.

Only the storage layer of Huey is used. Its consumer would pickle callables and keep a second
record of what runs; here the tasks table is the record, so the queue carries plain ids.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from huey.storage import PostgresStorage, PriorityRedisStorage, SqliteStorage

from app import patience
from app.errors import Unavailable

_POLL_S = 0.01  # SQLite cannot wake a waiting reader; an empty look costs about 10 microseconds.
_LOCKED_S = 2.0  # Who puts an id is not to wait long: what the queue lacks is found by its row.


class HueyQueue:
    """Ids in the order of their places, through whichever storage ``url`` names.

    All methods raise Unavailable while the storage does not answer; the next call tries again.
    """

    def __init__(
        self,
        url: str,
        folder: Path,
        name: str = "ocr",
        failed: Callable[[], None] = lambda: None,
    ) -> None:
        """``failed`` is called whenever the storage does not answer."""
        self._failed = failed
        self._blocks = bool(url)
        self._open: Callable[[], Any]
        if url.startswith(("redis://", "rediss://", "unix://")):
            self._open = lambda: PriorityRedisStorage(
                name, connection_pool=_redis(url), blocking=True, read_timeout=1
            )
        elif url.startswith(("postgresql://", "postgres://")):
            self._open = lambda: PostgresStorage(
                name, dsn=url, blocking=True, read_timeout=1, **patience.POSTGRESQL
            )
        elif url:
            raise ValueError("OCR_QUEUE_URL must begin with redis:// or postgresql://")
        else:
            folder.mkdir(parents=True, exist_ok=True)
            file = str(folder / "queue.db")
            self._open = lambda: SqliteStorage(name, filename=file, cache_mb=1, timeout=_LOCKED_S)
        self._storage: Any = None

    def put(self, unit: str, place: float) -> None:
        """Announce work; lower places come first. Ids may be delivered twice or late."""
        with self._answering() as storage:
            storage.enqueue(f"{unit} {place}".encode(), -place)

    def get(self, timeout_s: float) -> str | None:
        """The next id, or None if none came within about ``timeout_s`` seconds."""
        until = time.monotonic() + timeout_s
        while True:
            with self._answering() as storage:
                data = storage.dequeue()
            if data is not None:
                return _split(data)[0]
            if time.monotonic() >= until:
                return None
            if not self._blocks:
                time.sleep(_POLL_S)

    def head(self) -> tuple[str, float] | None:
        """The next id and its place; None if the queue is empty."""
        with self._answering() as storage:
            items = storage.enqueued_items(1)
        return _split(items[0]) if items else None

    def size(self) -> int:
        """How many ids are waiting."""
        with self._answering() as storage:
            return int(storage.queue_size())

    def close(self) -> None:
        """Let go of the connection; the next call would open another."""
        if self._storage is not None:
            self._storage.close()

    @contextlib.contextmanager
    def _answering(self) -> Iterator[Any]:
        try:
            if self._storage is None:
                self._storage = self._open()
            yield self._storage
        except Exception as error:  # Each storage has its own.
            broken, self._storage = self._storage, None
            self._failed()
            with contextlib.suppress(Exception):
                broken.close()
            raise Unavailable("The queue does not answer; try again later.") from error


def _redis(url: str) -> Any:
    from redis.backoff import NoBackoff
    from redis.connection import ConnectionPool
    from redis.exceptions import ConnectionError as Ended
    from redis.retry import Retry

    # A connection may have ended since it was used.
    again = Retry(NoBackoff(), 1, supported_errors=(Ended,))
    return ConnectionPool.from_url(url, retry=again, **patience.REDIS)


def _split(data: bytes) -> tuple[str, float]:
    unit, _, place = bytes(data).decode().partition(" ")
    return unit, float(place or 0)

"""The queue of work: Huey's storages on SQLite, Redis or PostgreSQL, carrying ids.

Only the storage layer of Huey is used. Its consumer would pickle callables and keep a second
record of what runs; here the tasks table is the record, so the queue carries plain ids.
"""

import time
from pathlib import Path
from typing import Any

from huey.storage import PostgresStorage, PriorityRedisStorage, SqliteStorage

_POLL_S = 0.01  # SQLite cannot wake a waiting reader; an empty look costs about 10 microseconds.


class HueyQueue:
    """Ids in the order they came, through whichever storage ``url`` names."""

    def __init__(self, url: str, folder: Path) -> None:
        self._storage: Any
        self._blocks = True
        if url.startswith(("redis://", "rediss://", "unix://")):
            self._storage = PriorityRedisStorage("ocr", url=url, blocking=True, read_timeout=1)
        elif url.startswith(("postgresql://", "postgres://")):
            self._storage = PostgresStorage("ocr", dsn=url, blocking=True, read_timeout=1)
        elif url:
            raise ValueError("OCR_QUEUE_URL must begin with redis:// or postgresql://")
        else:
            folder.mkdir(parents=True, exist_ok=True)
            self._blocks = False
            self._storage = SqliteStorage("ocr", filename=str(folder / "queue.db"), cache_mb=1)

    def put(self, unit: str, behind_s: float = 0) -> None:
        """Announce work, as if it had come ``behind_s`` seconds later.

        Ids may be delivered twice or late.
        """
        # Long work lets short work pass by, but is not passed for ever: its turn is a time.
        self._storage.enqueue(unit.encode(), -(time.time() + behind_s))

    def get(self, timeout_s: float) -> str | None:
        """The next id, or None if none came within about ``timeout_s`` seconds."""
        until = time.monotonic() + timeout_s
        while True:
            data = self._storage.dequeue()
            if data is not None:
                return bytes(data).decode()
            if time.monotonic() >= until:
                return None
            if not self._blocks:
                time.sleep(_POLL_S)

    def size(self) -> int:
        """How many ids are waiting."""
        return int(self._storage.queue_size())

    def close(self) -> None:
        """Let go of the connection; the next call would open another."""
        self._storage.close()

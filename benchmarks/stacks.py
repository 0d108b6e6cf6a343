"""A server on each kind of database, queue and storage, and what its processes cost.

All are real: PostgreSQL waits for its disk as it does by default, and so does SQLite.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from app.config import Settings
from benchmarks import processes
from tests import services
from tests.server import Server

DATABASES = ("SQLite", "PostgreSQL+Redis")
SCALED = (*DATABASES[1:], "PostgreSQL+Redis+S3")
NAMES = (*DATABASES[:1], *SCALED)

_WAL = "max_wal_size=4GB"  # No checkpoint because of what is filled in.
_PROGRAMS = {"postgres": "PostgreSQL", "redis-server": "Redis", "rclone": "S3"}
_OPERATOR = "sk-operator"


@dataclass(frozen=True, slots=True)
class Stack:
    """Where rows, queue and files are: the settings that say so."""

    name: str
    folder: Path
    settings: dict[str, str]

    def parsed(self, **values: Any) -> Settings:
        """The settings as a program has them; ``values`` are more."""
        for name, value in self.settings.items():
            values[name.removeprefix("OCR_").lower()] = value
        return Settings(data_dir=self.folder / "data", **values)

    @property
    def database(self) -> str:
        """PostgreSQL's own address of the database."""
        return self.settings["OCR_DATABASE_URL"].replace("+psycopg", "")

    def machine(self, number: int) -> Path:
        """The data folder of one of several machines."""
        return self.folder / f"machine{number}"


@contextmanager
def stack(name: str, options: tuple[str, ...] = ()) -> Iterator[Stack]:
    """The services of one of ``NAMES``, as long as the context lasts.

    ``options`` are settings of PostgreSQL.
    """
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="ocr-bench-")))
        settings = {"OCR_ENGINE": "stub"}
        if "PostgreSQL" in name:
            database = opened.enter_context(services.postgresql(options=(_WAL, *options)))
            settings["OCR_DATABASE_URL"] = database.replace("postgresql:", "postgresql+psycopg:")
        if "Redis" in name:
            settings["OCR_QUEUE_URL"] = opened.enter_context(services.redis())
        if name != "SQLite":  # What several machines share.
            settings["OCR_STORAGE_URL"] = f"file://{folder}/files"
        if "S3" in name:
            store = opened.enter_context(services.s3())
            settings["OCR_STORAGE_URL"] = store.url
            os.environ.update(store.environment)  # Of this process's storages, too.
        yield Stack(name, folder, settings)


@contextmanager
def serving(stack: Stack, **settings: str) -> Iterator[Server]:
    """A server with its workers, all of them ready; ``settings`` are more than the stack's."""
    operators = {"OCR_OPERATOR_TOKENS": _OPERATOR}
    server = Server(stack.folder / "data", stack.settings | operators | settings)
    server.start()
    try:
        server.until(lambda: _are_warm(server, int(settings.get("OCR_WORKERS", 0))))
        yield server
    finally:
        server.stop()


def _are_warm(server: Server, count: int) -> bool:
    headers = {"Authorization": f"Bearer {_OPERATOR}"}
    told = httpx2.get(f"{server.base}/operations", headers=headers, timeout=30).json()
    warm = [worker["warm"] for worker in told["data"]["workers"]]
    return all(warm) and len(warm) >= count


def cpu_seconds() -> dict[str, float]:
    """Processor seconds that each kind of process has used that this one has started."""
    used: dict[str, float] = {}
    for pid, program in processes.children(os.getpid()).items():
        if program in _PROGRAMS:
            kind = _PROGRAMS[program]
            used[kind] = used.get(kind, 0.0) + processes.cpu_seconds(pid)
        else:
            workers = sum(processes.cpu_seconds(child) for child in processes.children(pid))
            used["API"] = used.get("API", 0.0) + processes.own_cpu_seconds(pid)
            used["workers"] = used.get("workers", 0.0) + workers
    return used

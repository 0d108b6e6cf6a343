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

from app.config import Settings
from benchmarks import processes
from tests import services
from tests.server import Server

SCALED = ("PostgreSQL+Redis",)
NAMES = ("SQLite", *SCALED)

_WAL = "max_wal_size=4GB"  # No checkpoint because of what is filled in.
_PROGRAMS = {"postgres": "PostgreSQL", "redis-server": "Redis"}


@dataclass(frozen=True, slots=True)
class Stack:
    """Where rows, queue and files are: the settings that say so."""

    name: str
    folder: Path
    settings: dict[str, str]

    def parsed(self, **values: Any) -> Settings:
        """The settings as a program has them; ``values`` are more."""
        ours = {name.removeprefix("OCR_").lower(): each for name, each in self.settings.items()}
        return Settings(data_dir=self.folder / "data", **ours, **values)

    @property
    def database(self) -> str:
        """PostgreSQL's own address of the database."""
        return self.settings["OCR_DATABASE_URL"].replace("+psycopg", "")

    def machine(self, number: int) -> Path:
        """The data folder of one of several machines: where files are in a folder, that of all."""
        own = "OCR_STORAGE_URL" in self.settings
        return self.folder / (f"machine{number}" if own else "data")


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
        yield Stack(name, folder, settings)


@contextmanager
def serving(stack: Stack, **settings: str) -> Iterator[Server]:
    """A server with its workers on the stack; ``settings`` are more of them."""
    server = Server(stack.folder / "data", stack.settings | settings)
    server.start()
    try:
        yield server
    finally:
        server.stop()


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

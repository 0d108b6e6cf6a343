"""Tells other processes of the ends of tasks: by NOTIFY of PostgreSQL, or by pipes on one machine.

Whoever ends a task tells; whoever waits for some listens. What is told may be lost, as the rows
hold the truth: those who wait look at these now and then.
"""

import contextlib
import errno
import fcntl
import logging
import os
import threading
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector

from sqlalchemy import Engine, String, func, select

from app.statement import Statement, given

log = logging.getLogger(__name__)

Hear = Callable[[Collection[str]], None]

_AGAIN_S = 1.0  # Between two tries to listen.
_BATCH = 100  # Ids: a pipe keeps 4096 bytes together, PostgreSQL takes 8000.


class _Ends(ABC):
    """One thread that listens, for all in this process who want to hear."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hearers: set[Hear] = set()
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()
        self._wake = -1  # An eventfd, once there is a thread.
        self.hears = False

    def tell(self, task_ids: Collection[str]) -> None:
        """Say that these tasks are final or gone, once that is committed."""
        ids = [*task_ids]
        while ids:
            batch, ids = ids[:_BATCH], ids[_BATCH:]
            try:
                self._send("\n".join(batch))
            except Exception as error:  # Each kind has its own.
                log.info("the end of %s is not told: %s", ", ".join(batch), error)

    def listen(self, hear: Hear) -> None:
        """Have ``hear`` called with ids that are told from soon on, by a thread of its own."""
        with self._lock:
            self._hearers.add(hear)
            if self._thread is None and not self._closed.is_set():
                thread = threading.Thread(target=self._listen, name="ends", daemon=True)
                if self._wake < 0:
                    self._wake = os.eventfd(0)
                try:
                    thread.start()
                except RuntimeError:  # Rows are looked at, and the next call tries again.
                    log.exception("there is no thread to listen for the ends of tasks")
                else:
                    self._thread = thread

    def close(self) -> None:
        """End the thread, if there is one."""
        with self._lock:
            self._closed.set()
            thread, self._thread = self._thread, None
            if thread is not None:
                os.eventfd_write(self._wake, 1)
                thread.join()
            if self._wake >= 0:
                os.close(self._wake)
                self._wake = -1

    def _listen(self) -> None:
        while not self._closed.is_set():
            try:
                self._hear()
            except Exception as error:
                if self.hears or not self._failed:
                    log.warning("ends of tasks are looked for, as nobody can tell: %s", error)
                self._failed = True
            self.hears = False
            self._closed.wait(_AGAIN_S)

    _failed = False  # It is said once.

    def _hear(self) -> None:
        with self._line() as (line, receive), DefaultSelector() as selector:
            selector.register(line, EVENT_READ)
            selector.register(self._wake, EVENT_READ)
            self.hears, self._failed = True, False
            while not self._closed.is_set():
                if task_ids := receive():
                    for hear in tuple(self._hearers):
                        hear(task_ids)
                selector.select()

    @abstractmethod
    def _send(self, text: str) -> None:
        """Tell all who listen; may raise anything."""

    @abstractmethod
    def _line(self) -> AbstractContextManager[tuple[int, Callable[[], list[str]]]]:
        """A descriptor to wait at, and what gives the ids that have come; may raise anything."""


class PostgresEnds(_Ends):
    """Tells by NOTIFY whoever is connected to the same database.

    ``engine`` commits each statement by itself.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._engine = engine

    def _send(self, text: str) -> None:
        # One lock of the whole server is held from a NOTIFY to the end of its commit. So it has a
        # transaction of its own, which does not wait for the disk: nothing is lost with it.
        with self._engine.connect() as connection:
            _NOTIFY.row(connection, {"ids": text})

    @contextlib.contextmanager
    def _line(self) -> Iterator[tuple[int, Callable[[], list[str]]]]:
        pooled = self._engine.raw_connection()
        connection = pooled.driver_connection
        pooled.detach()  # It lasts, and others have theirs.
        with contextlib.closing(pooled):
            assert connection is not None
            connection.autocommit = True
            connection.execute(f"LISTEN {_CHANNEL}")

            def receive() -> list[str]:
                told = connection.notifies(timeout=0)
                return [name for each in told for name in each.payload.split("\n")]

            yield connection.fileno(), receive


_CHANNEL = "ocr_ends"
_NOTIFY = Statement(
    lambda _: select(
        func.set_config("synchronous_commit", "off", True),
        func.pg_notify(_CHANNEL, given("ids", String)),
    )
)


class PipeEnds(_Ends):
    """Tells processes on this machine: each that listens has a named pipe in ``folder``.

    Unlike a socket, a pipe has a path of any length, and room for thousands of ids.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def _send(self, text: str) -> None:
        for path in self._folder.glob("*.pipe"):
            try:
                pipe = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                if error.errno == errno.ENXIO:  # Its process is dead.
                    path.unlink(missing_ok=True)
                continue
            try:
                with contextlib.suppress(OSError):  # It is full: who listens is stopped.
                    os.write(pipe, f"{text}\n".encode())
            finally:
                os.close(pipe)

    @contextlib.contextmanager
    def _line(self) -> Iterator[tuple[int, Callable[[], list[str]]]]:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = uuid.uuid4().hex
        made, path = self._folder / f"{name}.new", self._folder / f"{name}.pipe"
        os.mkfifo(made, 0o600)
        with contextlib.ExitStack() as stack:
            stack.callback(path.unlink, missing_ok=True)
            stack.callback(made.unlink, missing_ok=True)
            # Open to write, too, so that it never ends; and before others see it, to whom it
            # would be a dead one's.
            pipe = os.open(made, os.O_RDWR | os.O_NONBLOCK)
            stack.callback(os.close, pipe)
            with contextlib.suppress(OSError):  # It keeps the size it has.
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
            made.rename(path)

            def receive() -> list[str]:
                try:
                    return os.read(pipe, _PIPE_BYTES).decode().split()
                except BlockingIOError:
                    return []

            yield pipe, receive


_PIPE_BYTES = 2**20  # All that it holds: no id comes in two pieces.

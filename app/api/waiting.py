"""Requests that wait for their tasks: one look at the database for all of them."""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Generic, TypeVar

from app.progress import Progress, Progresses
from app.tasks import Tasks

log = logging.getLogger(__name__)

Seen = TypeVar("Seen")

_LOOK_S = 0.02
_PROGRESS_S = 0.3


class Waiting:
    """Tells waiting requests of the end of their tasks within a few hundredths of a second."""

    def __init__(self, tasks: Tasks, stopping: Callable[[], bool]) -> None:
        self._tasks = tasks
        self._stopping = stopping
        self._looks = _Looks(self._finished, _LOOK_S)

    async def until_final(self, task_id: str, timeout_s: float) -> bool:
        """Wait until the task is final or gone, or the server stops; False if it took too long."""
        loop, event = asyncio.get_running_loop(), asyncio.Event()

        def tell(_: None) -> None:
            with contextlib.suppress(RuntimeError):  # The loop is closed, nobody waits any more.
                loop.call_soon_threadsafe(event.set)

        with self._looks.told_of(task_id, tell):
            try:
                async with asyncio.timeout(timeout_s):
                    await event.wait()
                return True
            except TimeoutError:
                return False

    def _finished(self, task_ids: list[str]) -> dict[str, None]:
        # Better an unfinished record than an answer cut in two.
        ended = task_ids if self._stopping() else self._tasks.finished(task_ids)
        return dict.fromkeys(ended)


class Watching:
    """Tells those who watch tasks how far these are, a few times a second."""

    def __init__(self, tasks: Tasks) -> None:
        self._looks = _Looks(Progresses(tasks.sessions).look, _PROGRESS_S)

    @contextlib.contextmanager
    def watch(self, task_id: str) -> Iterator["Watch"]:
        """What becomes of a task from now on."""
        watch = Watch()
        with self._looks.told_of(task_id, watch.tell):
            yield watch


class Watch:
    """The latest news of one task, for one coroutine."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._new = asyncio.Event()
        self._told: Progress | None = None
        self._is_told = False

    def tell(self, progress: Progress | None) -> None:
        """Take the news, if it is any; None: the task is gone. Called by another thread."""
        if not self._is_told or progress is not self._told:
            self._told, self._is_told = progress, True
            with contextlib.suppress(RuntimeError):  # The loop is closed, nobody waits any more.
                self._loop.call_soon_threadsafe(self._new.set)

    async def news(self, timeout_s: float) -> Progress | None:
        """The latest that was not heard yet; None: the task is gone. Raises TimeoutError."""
        async with asyncio.timeout(timeout_s):
            await self._new.wait()
        self._new.clear()
        return self._told


class _Looks(Generic[Seen]):
    """Looks at the rows of all tasks that are waited for, and tells whoever waits what it saw.

    Workers are other processes, perhaps on other machines, so the row is looked at: one
    statement for all that wait, and none while nobody does. It is a thread that looks, for as
    long as there is anything to look for: to hand every look to one would cost more than looking.
    """

    def __init__(self, look: Callable[[list[str]], Mapping[str, Seen]], every_s: float) -> None:
        self._look_at = look
        self._every_s = every_s
        self._lock = threading.Lock()
        self._awaited: dict[str, set[Callable[[Seen], None]]] = {}
        self._looking = False

    @contextlib.contextmanager
    def told_of(self, task_id: str, tell: Callable[[Seen], None]) -> Iterator[None]:
        """Have ``tell`` called with what is seen of the task, by the thread that looks."""
        with self._lock:
            self._awaited.setdefault(task_id, set()).add(tell)
            if not self._looking:
                self._looking = self._start_looking()
        try:
            yield
        finally:
            with self._lock:
                waiting = self._awaited[task_id]
                waiting.discard(tell)
                if not waiting:
                    del self._awaited[task_id]

    def _start_looking(self) -> bool:
        try:
            threading.Thread(target=self._look, name="waiting", daemon=True).start()
        except RuntimeError:  # The wait has its end, and whoever comes next tries again.
            log.exception("there is no thread to look for tasks")
            return False
        return True

    def _look(self) -> None:
        while awaited := self._all_or_end():
            # The database may be away; the wait has its end.
            with contextlib.suppress(Exception):
                for task_id, seen in self._look_at(awaited).items():
                    with self._lock:
                        waiting = [*self._awaited.get(task_id, ())]
                    for tell in waiting:
                        tell(seen)
            time.sleep(self._every_s)

    def _all_or_end(self) -> list[str]:
        with self._lock:
            self._looking = bool(self._awaited)
            return [*self._awaited]

"""Requests that wait for their tasks: told of their ends, and one look at the rows for them all."""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import islice
from typing import Generic, TypeVar

from starlette.concurrency import run_in_threadpool

from app.errors import State, Unavailable
from app.progress import Progress, Progresses
from app.rows import Task
from app.tasks import Tasks

log = logging.getLogger(__name__)

Seen = TypeVar("Seen")

_STEP_S = 0.1  # Between two looks at tasks of whose ends nobody can tell.
_STOPPING_S = 2.0  # A server that stops waits so long for what ends soon; uvicorn lets it for five.
_LOOK_S = 1.0  # What was told may be lost.
_PROGRESS_S = 0.3
_TOGETHER_S = 0.02  # What is told in this time is looked for together.
_MOST_TOLD = 10_000


class Waiting:
    """Tells waiting requests of the end of their tasks within a few thousandths of a second."""

    def __init__(self, tasks: Tasks, stopping: Callable[[], bool]) -> None:
        self._tasks = tasks
        self._stopping = stopping
        self._looks = _Looks(self._finished, _STEP_S)
        self._told: dict[str, None] = {}  # The last ids that were told, perhaps too early.
        self._heard = False
        self._look_at = 0.0  # When all are looked at again (monotonic seconds),
        self._stop_at: float | None = None  # and when nobody waits any more.

    async def until_final(self, task: Task, timeout_s: float) -> Task | None:
        """The task when it is final, or as it is when the server stops; None: it took too long.

        Raises TaskNotFound if it is gone.
        """
        if State(task.state).final:
            return task
        loop = asyncio.get_running_loop()
        told: asyncio.Future[Task | None] = loop.create_future()

        def tell(now: Task | None) -> None:
            with contextlib.suppress(RuntimeError):  # The loop is closed, nobody waits any more.
                loop.call_soon_threadsafe(_settle, told, now)

        self._tasks.ends.listen(self._hear)
        with self._looks.told_of(task.id, tell):
            now = None
            if task.id not in self._told:
                try:
                    async with asyncio.timeout(timeout_s):
                        now = await told
                except TimeoutError:
                    return None
        return now or await self.latest(task)

    async def latest(self, task: Task) -> Task:
        """The task as it is now, or as it was if the database is away. Raises TaskNotFound."""
        # It exists: a database that does not answer is no reason to say otherwise.
        with contextlib.suppress(Unavailable):
            return await run_in_threadpool(self._tasks.get, task.owner, task.id)
        return task

    def _hear(self, task_ids: Collection[str]) -> None:
        self._told.update(dict.fromkeys(task_ids))
        for old in [*islice(self._told, max(0, len(self._told) - _MOST_TOLD))]:
            del self._told[old]
        if awaited := self._looks.awaited(task_ids):
            seen: dict[str, Task | None] = dict.fromkeys(awaited)
            with contextlib.suppress(Unavailable):  # Each looks for itself, and says so.
                seen.update(self._tasks.told(awaited))
            self._looks.tell(seen)

    def _finished(self, task_ids: list[str]) -> dict[str, Task | None]:
        now, hears = time.monotonic(), self._tasks.ends.hears
        if self._stopping():
            self._stop_at = self._stop_at or now + _STOPPING_S
            if now >= self._stop_at:  # Better an unfinished record than an answer cut in two.
                return dict.fromkeys(task_ids)
        if now < self._look_at and hears and self._heard:
            return {}
        self._look_at, self._heard = now + _LOOK_S, hears
        return dict.fromkeys(self._tasks.finished(task_ids))


def _settle(told: asyncio.Future[Task | None], now: Task | None) -> None:
    if not told.done():
        told.set_result(now)


class Watching:
    """Tells those who watch tasks how far these are, a few times a second, and at their ends."""

    def __init__(self, tasks: Tasks) -> None:
        self._ends = tasks.ends
        look = Progresses(tasks.sessions).look
        self._looks = _Looks(look, _PROGRESS_S)

    @contextlib.contextmanager
    def watch(self, task_id: str) -> Iterator["Watch"]:
        """What becomes of a task from now on."""
        watch = Watch()
        self._ends.listen(self._hear)
        with self._looks.told_of(task_id, watch.tell):
            yield watch

    def _hear(self, task_ids: Collection[str]) -> None:
        if self._looks.awaited(task_ids):
            self._looks.hurry()


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

    Workers are other processes, perhaps on other machines, so rows are looked at: one statement
    for all that wait, and none while nobody does. It is a thread that looks, for as long as there
    is anything to look for: to hand every look to one would cost more than looking.
    """

    def __init__(self, look: Callable[[list[str]], Mapping[str, Seen]], every_s: float) -> None:
        """``look`` is given all ids that are waited for."""
        self._look_at = look
        self._every_s = every_s
        self._lock = threading.Lock()
        self._awaited: dict[str, set[Callable[[Seen], None]]] = {}
        self._looking = False
        self._hurry = threading.Event()

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

    def awaited(self, task_ids: Collection[str]) -> list[str]:
        """Those of these that are waited for."""
        with self._lock:
            return [task_id for task_id in task_ids if task_id in self._awaited]

    def hurry(self) -> None:
        """Look soon."""
        self._hurry.set()

    def tell(self, seen: Mapping[str, Seen]) -> None:
        """Tell whoever waits for one of these what was seen of it."""
        for task_id, news in seen.items():
            with self._lock:
                waiting = [*self._awaited.get(task_id, ())]
            for tell in waiting:
                tell(news)

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
                self.tell(self._look_at(awaited))
            time.sleep(_TOGETHER_S)
            self._hurry.wait(self._every_s - _TOGETHER_S)
            self._hurry.clear()

    def _all_or_end(self) -> list[str]:
        with self._lock:
            self._looking = bool(self._awaited)
            return [*self._awaited]

"""Requests that wait for their task: one look at the database for all of them."""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable

from app.tasks import Tasks

log = logging.getLogger(__name__)

_LOOK_S = 0.02


class Waiting:
    """Tells waiting requests of the end of their tasks within a few hundredths of a second.

    Workers are other processes, perhaps on other machines, so the row is looked at: one
    statement for all that wait, and none while nobody does. It is a thread that looks, for as
    long as there is anything to look for: to hand every look to one would cost more than looking.
    """

    def __init__(self, tasks: Tasks, stopping: Callable[[], bool]) -> None:
        self._tasks = tasks
        self._stopping = stopping
        self._lock = threading.Lock()
        self._awaited: dict[str, set[Callable[[], None]]] = {}
        self._looking = False

    async def until_final(self, task_id: str, timeout_s: float) -> bool:
        """Wait until the task is final or gone, or the server stops; False if it took too long."""
        loop, event = asyncio.get_running_loop(), asyncio.Event()

        def tell() -> None:
            with contextlib.suppress(RuntimeError):  # The loop is closed, nobody waits any more.
                loop.call_soon_threadsafe(event.set)

        with self._lock:
            self._awaited.setdefault(task_id, set()).add(tell)
            if not self._looking:
                self._looking = self._start_looking()
        try:
            async with asyncio.timeout(timeout_s):
                await event.wait()
            return True
        except TimeoutError:
            return False
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
            log.exception("there is no thread to look for ends of tasks")
            return False
        return True

    def _look(self) -> None:
        while awaited := self._all_or_end():
            # The database may be away; the wait has its end.
            with contextlib.suppress(Exception):
                # Better an unfinished record than an answer cut in two.
                stopping = self._stopping()
                for task_id in awaited if stopping else self._tasks.finished(awaited):
                    with self._lock:
                        waiting = [*self._awaited.get(task_id, ())]
                    for tell in waiting:
                        tell()
            time.sleep(_LOOK_S)

    def _all_or_end(self) -> list[str]:
        with self._lock:
            self._looking = bool(self._awaited)
            return [*self._awaited]

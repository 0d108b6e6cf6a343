"""Requests that wait for their task: one look at the database for all of them."""

import asyncio
import contextlib
from collections.abc import Callable

from starlette.concurrency import run_in_threadpool

from app.tasks import Tasks

_LOOK_S = 0.02


class Waiting:
    """Tells waiting requests of the end of their tasks within a few hundredths of a second.

    Workers are other processes, perhaps on other machines, so the row is looked at: one
    statement for all that wait, and none while nobody does.
    """

    def __init__(self, tasks: Tasks, stopping: Callable[[], bool]) -> None:
        self._tasks = tasks
        self._stopping = stopping
        self._awaited: dict[str, set[asyncio.Event]] = {}
        self._looking: asyncio.Task[None] | None = None

    async def until_final(self, task_id: str, timeout_s: float) -> bool:
        """Wait until the task is final or gone, or the server stops; False if it took too long."""
        event = asyncio.Event()
        self._awaited.setdefault(task_id, set()).add(event)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        try:
            async with asyncio.timeout(timeout_s):
                await event.wait()
            return True
        except TimeoutError:
            return False
        finally:
            events = self._awaited.get(task_id, set())
            events.discard(event)
            if not events:
                self._awaited.pop(task_id, None)

    async def _look(self) -> None:
        while self._awaited:
            if self._stopping():  # Better an unfinished record than an answer cut in two.
                for events in self._awaited.values():
                    for event in events:
                        event.set()
            with contextlib.suppress(Exception):  # The database may be away; the wait has its end.
                for task_id in await run_in_threadpool(self._tasks.finished, [*self._awaited]):
                    for event in self._awaited.get(task_id, ()):
                        event.set()
            await asyncio.sleep(_LOOK_S)

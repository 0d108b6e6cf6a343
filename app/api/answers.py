"""Records as answers: at once, or when their task has ended."""

import json
from collections.abc import AsyncIterator
from typing import Any

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response, StreamingResponse

from app.api.waiting import Waiting
from app.errors import State, TaskNotFound, Unavailable
from app.rows import Task
from app.tasks import Tasks

_MOST_FAILED_PAGES = 200  # Told in the header.
_SPACE_S = 10.0  # A waiting client hears something this often.


class Answers:
    """Answers with the records of tasks."""

    def __init__(self, tasks: Tasks, waiting: Waiting, sync_wait_s: float) -> None:
        self._tasks = tasks
        self._waiting = waiting
        self._sync_wait_s = sync_wait_s

    async def now(self, task: Task, base: str) -> Response:
        """The record as it is; ``base`` begins the result's address."""
        headers = {}
        if task.failed_pages:  # Proxies refuse long headers.
            pages = task.failed_pages.split(",")[:_MOST_FAILED_PAGES]
            headers["X-OCR-Failed-Pages"] = ",".join(pages)
        return JSONResponse(await self._envelope(task, base), headers=headers)

    async def when_final(self, request: Request, task: Task, base: str) -> Response:
        """The record once the task has ended, or the wait has."""
        first = self._sync_wait_s
        if request.scope["http_version"] != "1.0":  # Which knows no answer in pieces.
            first = min(_SPACE_S, first)
        ended = await self._waiting.until_final(task, first)
        if ended is None and first >= self._sync_wait_s:
            ended = await self._waiting.latest(task)
        if ended is not None:
            return await self.now(ended, base)
        return StreamingResponse(self._slowly(task, base), media_type="application/json")

    async def _envelope(self, task: Task, base: str) -> dict[str, Any]:
        asks = task.return_text or self._tasks.presigns  # The storage.
        if asks and task.state == State.COMPLETE:
            return await run_in_threadpool(self._tasks.record, task, base)
        return self._tasks.record(task, base)

    async def _slowly(self, task: Task, base: str) -> AsyncIterator[bytes]:
        """Spaces while the task goes on, then the record: JSON may begin with white space."""
        waited, ended = _SPACE_S, None
        try:
            while ended is None and waited < self._sync_wait_s:
                yield b" "
                step = min(_SPACE_S, self._sync_wait_s - waited)
                ended = await self._waiting.until_final(task, step)
                waited += step
            envelope = await self._envelope(ended or await self._waiting.latest(task), base)
        except TaskNotFound:  # The status line is gone, so the record has to say it.
            gone = Task(id=task.id, state=State.CANCELLED, created_at=task.created_at, progress=0)
            gone.state_detail, gone.format = "The task was deleted.", task.format
            envelope = self._tasks.record(gone, base)
        except Unavailable:  # What was known of it last; a poll will tell more.
            envelope = self._tasks.record(task, base)
        yield json.dumps(envelope, ensure_ascii=False, separators=(",", ":")).encode()

"""Progress of a task as it happens: server-sent events."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from app import progress
from app.api import schema
from app.api.proxies import base_url
from app.api.waiting import Watching
from app.errors import State, TaskNotFound, TooManyStreams
from app.progress import Progress
from app.rows import Task
from app.tasks import Tasks

_COMMENT_S = 10.0  # A client hears something this often, so that no proxy gives up.
_STOPPED_S = 0.5  # Streams end so soon after the server was told to.


class EventRoutes:
    """The handler, with what it needs."""

    def __init__(
        self, tasks: Tasks, stopping: Callable[[], bool], public_url: str, most_streams: int
    ) -> None:
        """``most_streams`` is how many tasks one token may watch at once."""
        self._tasks = tasks
        self._watching = Watching(tasks)
        self._stopping = stopping
        self._public_url = public_url.rstrip("/")
        self._most_streams = most_streams
        self._streams: Counter[str] = Counter()  # By owner.

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(tags=["tasks"])
        router.add_api_route(
            "/task/{task_id}/events",
            self.events,
            methods=["GET"],
            responses=_EVENTS,
            response_class=StreamingResponse,
            summary="Watch a task",
            operation_id="watchTask",
        )
        return router

    async def events(self, request: Request, task_id: str) -> StreamingResponse:
        """Tell how far a task is, at once and whenever that changes, until it is final.

        `event: task` has the record's `data`, and `position` while the task waits: how many are
        before it. `event: gone` is the last if the task is deleted. A stream that ends before a
        final state was told can be asked for again: the server stops, or was restarted.
        """
        owner = request.state.access.owner
        if self._streams[owner] >= self._most_streams:
            raise TooManyStreams(
                f"This token watches {self._most_streams} tasks already, which is its limit."
            )
        self._streams[owner] += 1
        try:
            first = await run_in_threadpool(self._first, owner, task_id)
        except BaseException:
            self._forget(owner)
            raise
        base = self._public_url or base_url(request)
        return _Counted(
            lambda: self._forget(owner),
            self._stream(first, base),
            headers={
                "Content-Type": "text/event-stream",
                "Cache-Control": "no-store",
                "X-Accel-Buffering": "no",
            },
        )

    def _forget(self, owner: str) -> None:
        self._streams[owner] -= 1
        self._streams += Counter()  # Without those that have none.

    def _first(self, owner: str, task_id: str) -> Progress:
        task = self._tasks.get(owner, task_id)
        with self._tasks.sessions() as session:
            return Progress(task, progress.positions(session, [task.id]).get(task.id))

    async def _stream(self, first: Progress, base: str) -> AsyncIterator[bytes]:
        """The events. What is told twice by those who look is told once."""
        task = first.task
        told = await self._event(first, base)
        yield told
        if State(task.state).final:
            return
        with self._watching.watch(task.id) as watch:
            quiet_s = 0.0
            while not self._stopping():
                try:
                    seen = await watch.news(_STOPPED_S)
                except TimeoutError:
                    quiet_s += _STOPPED_S
                    if quiet_s >= _COMMENT_S:
                        quiet_s = 0.0
                        yield b":\n\n"
                    continue
                event = await self._event(seen, base) if seen else _gone(task)
                if event != told:
                    told, quiet_s = event, 0.0
                    yield event
                if seen is None or State(seen.task.state).final:
                    return

    async def _event(self, seen: Progress, base: str) -> bytes:
        task = seen.task
        asks = task.return_text or self._tasks.presigns  # The storage.
        if asks and task.state == State.COMPLETE:
            record = await run_in_threadpool(self._tasks.record, task, base)
        else:
            record = self._tasks.record(task, base)
        data = record["data"]
        if seen.position is not None:
            data["position"] = seen.position
        return _rendered("task", data)


class _Counted(StreamingResponse):
    """A stream that is counted until it ends, whether or not it ever began."""

    def __init__(self, forget: Callable[[], None], *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._forget = forget

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._forget()


def _gone(task: Task) -> bytes:
    return _rendered("gone", {"task_id": task.id})


def _rendered(name: str, data: dict[str, Any]) -> bytes:
    # JSON has no line ends but those of its layout, so it is one line of data.
    line = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return f"event: {name}\ndata: {line}\n\n".encode()


_TASK_ID = "3f0e2c54-7d0b-4a53-9a8e-0c9a4f6b1d2e"
_SHOWN = {
    "waiting": {"event": "task", "data": f'{{"state":0,"task_id":"{_TASK_ID}","position":4}}'},
    "deleted": {"event": "gone", "data": f'{{"task_id":"{_TASK_ID}"}}'},
}
_EVENTS = schema.answers(
    {
        "description": "The events, until the task is final",
        "content": {
            "text/event-stream": {
                # Tools take it for an event, for the data of one, or for the text of them all.
                "schema": {
                    "anyOf": [
                        *(schema.ref("TaskEvent"), schema.ref("WatchedTask")),
                        {"type": "string"},
                    ]
                },
                "examples": {name: {"value": event} for name, event in _SHOWN.items()},
            }
        },
    },
    TaskNotFound,
    TooManyStreams,
)
_RECORD: dict[str, Any] = schema.SCHEMAS["Task"]
SCHEMAS: dict[str, Any] = {
    "TaskEvent": {
        "type": "object",
        "required": ["event", "data"],
        "properties": {
            "event": {"type": "string", "enum": ["task", "gone"]},
            "data": {
                "type": "string",
                "contentMediaType": "application/json",
                "contentSchema": schema.ref("WatchedTask"),
            },
        },
    },
    "WatchedTask": {
        "type": "object",
        "description": "The record; of a task that was deleted, its `task_id` alone.",
        "required": ["task_id"],
        "properties": {
            **_RECORD["properties"],
            "position": {
                "type": "integer",
                "minimum": 0,
                "description": "How many tasks are before it, while it waits.",
            },
        },
    },
}

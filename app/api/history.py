"""A token's tasks, newest first."""

from collections import defaultdict
from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse

from app import history
from app.api import schema
from app.api.derived import STRUCTURED
from app.api.proxies import base_url
from app.api.tasks import FORMATS
from app.errors import BadRequest, TaskNotFound
from app.record import record
from app.rows import Task
from app.tasks import Tasks

_LIMIT, _MOST = 50, 200
_FORMATS = (*FORMATS, *STRUCTURED)  # Pictures of pages are nothing to be downloaded.


class HistoryRoutes:
    """The handler, with what it needs."""

    def __init__(self, tasks: Tasks, public_url: str) -> None:
        self._tasks = tasks
        self._public_url = public_url.rstrip("/")

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(tags=["tasks"])
        router.add_api_route(
            "/tasks",
            self.history,
            methods=["GET"],
            responses=_LISTED,
            openapi_extra=_PARAMETERS,
            summary="List your tasks, newest first",
            operation_id="listTasks",
        )
        return router

    async def history(self, request: Request) -> JSONResponse:
        """The tasks of this token, without those that make another format of one.

        These are listed with it, under `formats`. The texts of `return_text` are left out.
        """
        limit = _number(request.query_params.get("limit"))
        before = request.query_params.get("before")
        base = self._public_url or base_url(request)
        owner = request.state.access.owner
        data = await run_in_threadpool(self._page, owner, limit, before, base)
        return JSONResponse({"status": 200, "data": data})

    def _page(self, owner: str, limit: int, before: str | None, base: str) -> dict[str, Any]:
        """Raises TaskNotFound if ``before`` is no task of the owner."""
        last = self._tasks.get(owner, before) if before else None
        with self._tasks.sessions() as session:
            # One more than is told, to see whether there are more.
            found = history.page(session, owner, limit + 1, last)
            listed = found[:limit]
            derived = history.derived(session, [task.id for task in listed], _FORMATS)
        formats: defaultdict[str | None, list[Task]] = defaultdict(list)
        for task in derived:
            formats[task.parent_id].append(task)
        return {
            "tasks": [self._told(task, formats[task.id], base) for task in listed],
            "more": len(found) > limit,
        }

    def _told(self, task: Task, derived: list[Task], base: str) -> dict[str, Any]:
        values = self._record(task, base) | {
            "format": task.format,
            "languages": [name.strip() for name in task.languages.split(",")],
            "filename": task.filename,
            "source_url": task.source_url,
            "formats": [self._format(other, base) for other in derived],
        }
        return {key: value for key, value in values.items() if value is not None}

    def _format(self, task: Task, base: str) -> dict[str, Any]:
        told: dict[str, Any] = {"format": task.format} | self._record(task, base)
        return {key: told[key] for key in ("format", "task_id", "state", "file") if key in told}

    def _record(self, task: Task, base: str) -> dict[str, Any]:
        return record(task, self._tasks.links.address(base, task))


def _number(limit: str | None) -> int:
    if not limit:
        return _LIMIT
    number = int(limit) if limit.isascii() and limit.isdecimal() and len(limit) < 9 else 0
    if not 1 <= number <= _MOST:
        raise BadRequest(f"limit must be a number from 1 to {_MOST}.")
    return number


_PARAMETERS: dict[str, Any] = {
    "parameters": [
        {
            "name": "limit",
            "in": "query",
            "description": "How many tasks at most.",
            "schema": {"type": "integer", "minimum": 1, "maximum": _MOST, "default": _LIMIT},
        },
        {
            "name": "before",
            "in": "query",
            "description": "The id of a task: those that are older are listed.",
            "schema": {"type": "string", "format": "uuid"},
        },
    ]
}
_EXAMPLE: dict[str, Any] = {
    "type": 101,
    "state": 0,
    "task_id": "3f0e2c54-7d0b-4a53-9a8e-0c9a4f6b1d2e",
    "progress": 0,
    "created_at": 1746953927,
    "input_size": 116929,
    "state_detail": "Queued",
    "format": "docx",
    "languages": ["ChinesePRC", "English"],
    "filename": "scan.pdf",
    "formats": [],
}
_LISTED = schema.answers(
    {
        "description": "The tasks, newest first",
        "content": schema.json_of(
            "TaskList",
            {"one": {"value": {"status": 200, "data": {"tasks": [_EXAMPLE], "more": False}}}},
        ),
    },
    BadRequest,
    TaskNotFound,
)
_RECORD: dict[str, Any] = schema.SCHEMAS["Task"]
SCHEMAS: dict[str, Any] = {
    "TaskList": {
        "type": "object",
        "required": ["status", "data"],
        "properties": {
            "status": {"type": "integer", "const": 200},
            "data": {
                "type": "object",
                "required": ["tasks", "more"],
                "properties": {
                    "tasks": {"type": "array", "items": schema.ref("ListedTask")},
                    "more": {"type": "boolean", "description": "Whether there are older ones."},
                },
            },
        },
    },
    "ListedTask": {
        "type": "object",
        "description": "The record, without `text`, and what was asked for.",
        "required": [*_RECORD["required"], "format", "languages", "formats"],
        "properties": {
            **{name: kind for name, kind in _RECORD["properties"].items() if name != "text"},
            "format": schema.ref("DerivedFormat"),
            "languages": {"type": "array", "items": {"type": "string"}},
            "filename": {"type": "string"},
            "source_url": {"type": "string"},
            "formats": {"type": "array", "items": schema.ref("ListedFormat")},
        },
    },
    "ListedFormat": {
        "type": "object",
        "description": "A task that makes another format of the document.",
        "required": ["format", "task_id", "state"],
        "properties": {
            "format": schema.ref("DerivedFormat"),
            "task_id": _RECORD["properties"]["task_id"],
            "state": schema.ref("State"),
            "file": _RECORD["properties"]["file"],
        },
    },
}

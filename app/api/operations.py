"""How the server is: for load balancers and supervisors, and for its operators."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from fastapi import APIRouter, Request
from sqlalchemy.orm import Session, sessionmaker
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, PlainTextResponse, Response

from app import __version__, operations
from app.api import schema
from app.disk import Disk
from app.errors import OperatorsOnly, Unavailable
from app.operations import WorkerState
from app.readiness import Readiness

_KEPT_S = 1.0  # However many operators look.


class OperationRoutes:
    """Health, readiness, and what operators see."""

    def __init__(
        self,
        sessions: sessionmaker[Session],
        readiness: Readiness,
        workers: Callable[[], Sequence[WorkerState]],
        disk: Disk,
        figures: Callable[[str], tuple[bytes, str]],
    ) -> None:
        """``figures`` gives those for Prometheus, and their media type, for what it accepts."""
        self._sessions = sessions
        self._readiness = readiness
        self._figures = figures
        self._workers = workers
        self._disk = disk
        self._told: dict[str, Any] = {}
        self._told_until = 0.0
        self._turn = asyncio.Lock()

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(tags=["operations"])
        for method in ("GET", "HEAD"):
            for path, answer, name, summary, said in (
                ("/healthz", self.health, "getHealth", "Is it alive", _ALIVE),
                ("/readyz", self.readiness, "getReadiness", "Can it work", _READY),
            ):
                router.add_api_route(
                    path,
                    answer,
                    methods=[method],
                    summary=summary,
                    responses=said,
                    operation_id=name,
                    include_in_schema=method == "GET",
                )
        router.add_api_route(
            "/operations",
            self.operations,
            methods=["GET"],
            responses=_SEEN,
            summary="What the server does",
            operation_id="getOperations",
        )
        router.add_api_route(
            "/metrics",
            self.metrics,
            methods=["GET"],
            response_class=PlainTextResponse,
            responses=_FIGURES,
            summary="Figures for Prometheus",
            operation_id="getMetrics",
        )
        return router

    async def health(self) -> JSONResponse:
        """Answers as long as the process does."""
        return JSONResponse({"status": "ok"})

    async def readiness(self) -> JSONResponse:
        """200 once the database answers and a worker has read its warm-up page; else 503.

        A database that is away for some seconds is no reason to send requests elsewhere.
        """
        if (lacking := await run_in_threadpool(self._readiness.why_not)) is not None:
            raise Unavailable(lacking)
        return JSONResponse({"status": "ready"})

    async def operations(self, request: Request) -> JSONResponse:
        """Queue, workers, pages, and the last failures of all tokens; for operators' tokens.

        Numbers are at most a second old. Workers of other servers are told of while they are at a
        task, and without what only their own server knows.
        """
        _for_operators(request)
        async with self._turn:
            if time.monotonic() >= self._told_until:
                self._told = await run_in_threadpool(self._look)
                self._told_until = time.monotonic() + _KEPT_S
            told = self._told
        return JSONResponse({"status": 200, "data": told})

    async def metrics(self, request: Request) -> Response:
        """Figures as Prometheus reads them, of this process and its workers; for operators' tokens.

        Those of the queue are of all servers together.
        """
        _for_operators(request)
        accept = request.headers.get("accept", "")
        body, media_type = await run_in_threadpool(self._figures, accept)
        return Response(body, headers={"Content-Type": media_type})

    def _look(self) -> dict[str, Any]:
        ours = self._workers()
        with self._sessions() as session:
            pages, tasks = operations.done(session)
            return {
                "queue": operations.queue(session),
                "workers": operations.workers(session, ours),
                "pages": pages,
                "tasks": tasks,
                "failures": operations.failures(session),
                "disk": {"free_bytes": self._disk.free_bytes()},
                "version": __version__,
            }


def _for_operators(request: Request) -> None:
    if not request.state.access.operator:
        raise OperatorsOnly("Only an operator's token may see this.")


def _said(status: str) -> schema.Responses:
    examples = {status: {"value": {"status": status}}}
    return {200: {"description": "Yes", "content": schema.json_of("Health", examples)}}


def _object(**properties: str | dict[str, Any]) -> dict[str, Any]:
    """A schema; names that end in an underscore may be missing."""
    return {
        "type": "object",
        "required": [name for name in properties if not name.endswith("_")],
        "properties": {
            name.rstrip("_"): {"type": kind} if isinstance(kind, str) else kind
            for name, kind in properties.items()
        },
    }


_ALIVE = _said("ok")
_READY = _said("ready") | schema.failures(Unavailable)
_EXAMPLE: dict[str, Any] = {
    "queue": {"queued": 2, "downloading": 0, "processing": 1, "oldest_s": 1.5},
    "workers": [
        {
            "name": "host-4f1d0c9a2b7e",
            "pid": 4711,
            "task_id": "3f0e2c54-7d0b-4a53-9a8e-0c9a4f6b1d2e",
            "since_s": 0.8,
            "memory_bytes": 730_000_000,
            "warm": True,
        }
    ],
    "pages": {"last_minute": 90, "last_hour": 1200, "per_s": 1.5},
    "tasks": {"complete_hour": 400, "failed_hour": 1},
    "failures": [
        {
            "task_id": "9a8e0c9a-4f6b-4d2e-8f0e-2c547d0b4a53",
            "state": -7,
            "code": "encrypted_document",
            "state_detail": "The document is protected: send its password in the field password.",
            "completed_at": 1746953928,
        }
    ],
    "disk": {"free_bytes": 50_000_000_000},
    "version": __version__,
}
_SEEN = schema.answers(
    {
        "description": "What there is to see",
        "content": schema.json_of(
            "Operations", {"busy": {"value": {"status": 200, "data": _EXAMPLE}}}
        ),
    },
    OperatorsOnly,
)
_FIGURES = schema.answers(
    {
        "description": "Prometheus' text format, or OpenMetrics if that is accepted",
        "content": {"text/plain": {"schema": {"type": "string"}}},
    },
    OperatorsOnly,
)
SCHEMAS: dict[str, Any] = {
    "Operations": _object(
        status={"type": "integer", "const": 200},
        data=_object(
            queue=schema.ref("QueueState"),
            workers={"type": "array", "items": schema.ref("WorkerState")},
            pages=schema.ref("PagesDone"),
            tasks=_object(complete_hour="integer", failed_hour="integer"),
            failures={"type": "array", "maxItems": 50, "items": schema.ref("FailedTask")},
            disk=_object(free_bytes="integer"),
            version="string",
        ),
    ),
    "QueueState": _object(
        queued="integer",
        downloading="integer",
        processing="integer",
        oldest_s={
            "type": ["number", "null"],
            "description": "How long the oldest has waited; null: none waits.",
        },
    ),
    "WorkerState": _object(
        name="string",
        pid_="integer",
        task_id_="string",
        since_s_={"type": "number", "description": "Since when the task is under way."},
        memory_bytes_="integer",
        warm_="boolean",
    )
    | {"description": "Of another server's, only its name and its task are known."},
    "PagesDone": _object(
        last_minute="integer",
        last_hour="integer",
        per_s={"type": "number", "description": "In the last minute."},
    )
    | {"description": "Pages of tasks that were completed."},
    "FailedTask": _object(
        task_id="string",
        state=schema.ref("State"),
        code={"anyOf": [schema.ref("FailureCode"), {"type": "null"}]},
        state_detail="string",
        completed_at={"type": ["integer", "null"]},
    ),
}

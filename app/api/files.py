"""Result files, at addresses that cannot be guessed."""

import re
from collections.abc import Mapping
from email.utils import formatdate
from pathlib import Path

import anyio
from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from app import media
from app.api import schema
from app.errors import InternalError, ResultExpired, TaskNotFound, Unavailable
from app.interfaces import Storage
from app.links import download_name, shown_type
from app.rows import Task
from app.tasks import Tasks

_NAME = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.([a-z]{3,4})")


class FileRoutes:
    """The one route that serves results."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(tags=["results"])
        for method in ("GET", "HEAD"):
            router.add_api_route(
                "/tasks/output/ocr/{name}",
                self.result,
                methods=[method],
                response_class=FileResponse,
                responses=_RESPONSES,
                summary="A result file",
                operation_id="getResult",
                include_in_schema=method == "GET",
            )
        return router

    async def result(
        self, request: Request, name: str, expires: str = "", signature: str = ""
    ) -> Response:
        """The file of a complete task: `{task_id}.{format}`."""
        parts = _NAME.fullmatch(name)
        if parts is None:
            raise TaskNotFound("There is no such result.")
        if not self._tasks.links.opens(name, expires, signature):
            raise TaskNotFound(
                "The address is not valid any more; the task's record has a new one."
            )
        # A link is signed for GET: the storage would refuse HEAD. The row knows all that it asks.
        if request.method == "HEAD":
            task = await run_in_threadpool(self._tasks.complete, *parts.groups())
            told = dict(self._file(task, Path()).headers)
            return Response(headers=told | {"content-length": str(task.output_size or 0)})
        link = await run_in_threadpool(self._tasks.result_link, *parts.groups())
        if link is not None:
            return RedirectResponse(link, headers={**_HEADERS, "Cache-Control": "no-store"})
        return self._file(*await run_in_threadpool(self._tasks.result, *parts.groups()))

    def _file(self, task: Task, path: Path) -> "Located":
        # Not of the path, which may be another one, and newer, at each request and machine.
        since = task.result_since or 0.0
        headers = {
            **_HEADERS,
            "Cache-Control": "private, max-age=3600",
            "ETag": f'"{since:.6f}-{task.output_size}"',
            "Last-Modified": formatdate(since, usegmt=True),
        }
        return Located(self._tasks.storage, path, shown_type(task), download_name(task), headers)


class Located(FileResponse):
    """A file that a storage located, which is told when it has been sent, or cannot be."""

    def __init__(
        self, storage: Storage, path: Path, media_type: str, name: str, headers: Mapping[str, str]
    ) -> None:
        """``name`` is the one that the client gets it under."""
        super().__init__(path, media_type=media_type, filename=name, headers=headers)
        self._storage, self._located = storage, path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            with anyio.CancelScope(shield=True):
                await run_in_threadpool(self._storage.let_go, self._located)


_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}


_FILE = {"schema": {"type": "string", "format": "binary"}}
# The one that says nothing of the format comes first: clients that are made from this know one.
_CONTENT = {
    "application/octet-stream": _FILE,
    "text/plain": _FILE,
    **dict.fromkeys((media.PDF, media.DOCX, media.XLSX, media.PPTX), _FILE),
    "application/json": {"schema": schema.ref("DocumentModel")},
    **dict.fromkeys(("text/vnd.hocr+html", "application/xml"), _FILE),
}
_PLAIN = {"text/plain": {"schema": {"type": "string"}}}
_RESPONSES: schema.Responses = {
    200: {"description": "The file", "content": _CONTENT},
    206: {"description": "The parts that the header Range asks for", "content": _CONTENT},
    307: {"description": "The storage serves the file, at the address in Location"},
    400: {"description": "The header Range cannot be understood", "content": _PLAIN},
    416: {"description": "The file has no such part", "content": _PLAIN},
    **schema.failures(TaskNotFound, ResultExpired, Unavailable, InternalError),
}

"""Result files, at addresses that cannot be guessed."""

import re
import unicodedata
from pathlib import PurePosixPath

from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse

from app import media
from app.api import schema
from app.db import Task
from app.errors import InternalError, ResultExpired, TaskNotFound, Unavailable
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

    async def result(self, name: str, expires: str = "", signature: str = "") -> FileResponse:
        """The file of a complete task: `{task_id}.{format}`."""
        parts = _NAME.fullmatch(name)
        if parts is None:
            raise TaskNotFound("There is no such result.")
        if not self._tasks.links.opens(name, expires, signature):
            raise TaskNotFound(
                "The address is not valid any more; the task's record has a new one."
            )
        task, path = await run_in_threadpool(self._tasks.result, *parts.groups())
        kind = task.output_media_type or "application/octet-stream"
        return FileResponse(
            path,
            media_type="text/plain; charset=utf-8" if kind == "text/plain" else kind,
            filename=download_name(task),
            headers={
                "X-Content-Type-Options": "nosniff",
                "Content-Security-Policy": "default-src 'none'; sandbox",
                "Cache-Control": "private, max-age=3600",
            },
        )


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
    400: {"description": "The header Range cannot be understood", "content": _PLAIN},
    416: {"description": "The file has no such part", "content": _PLAIN},
    **schema.failures(TaskNotFound, ResultExpired, Unavailable, InternalError),
}


def download_name(task: Task) -> str:
    """A harmless file name: the one asked for, without folders, controls or its extension."""
    last = re.split(r"[/\\]", task.filename or "")[-1]
    # Categories C: controls, formats such as right-to-left overrides, surrogates.
    shown = "".join(c for c in last if not unicodedata.category(c).startswith("C"))
    stem = PurePosixPath(shown).stem if shown.strip(". ") else ""
    stem = re.sub(r'[<>:"|?*]|\.\.+', "_", stem).strip(". ")
    return f"{stem or task.id}.{task.format}"

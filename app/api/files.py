"""Result files, at addresses that cannot be guessed."""

import re

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, RedirectResponse, Response

from app import media
from app.api import schema
from app.errors import InternalError, ResultExpired, TaskNotFound, Unavailable
from app.links import download_name, shown_type
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
        # A link is signed for GET: the storage would refuse HEAD.
        if request.method == "GET":
            link = await run_in_threadpool(self._tasks.result_link, *parts.groups())
            if link is not None:
                return RedirectResponse(link, headers={**_HEADERS, "Cache-Control": "no-store"})
        task, path = await run_in_threadpool(self._tasks.result, *parts.groups())
        return FileResponse(
            path,
            media_type=shown_type(task),
            filename=download_name(task),
            headers={**_HEADERS, "Cache-Control": "private, max-age=3600"},
        )


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

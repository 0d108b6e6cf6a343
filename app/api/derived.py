"""More of a finished task: further formats, what is on its pages, and what they look like."""

import uuid
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from app.api import schema
from app.api.answers import Answers
from app.api.files import Located
from app.api.forms import Bounds, read_form
from app.api.proxies import base_url
from app.api.tasks import FORMATS
from app.api.waiting import Waiting
from app.document import Align, Kind
from app.errors import (
    BadRequest,
    NotComplete,
    NotMade,
    PageNotFound,
    ResultExpired,
    SourceExpired,
    State,
    TaskNotFound,
    TooManyTasks,
    Unavailable,
)
from app.links import download_name
from app.page_model import (
    DocumentModel,
    LineModel,
    PageModel,
    ParagraphModel,
    WordModel,
    page_span,
)
from app.page_model import schema as document_schema
from app.rows import Task
from app.tasks import Tasks

STRUCTURED = ("json", "hocr", "alto")
_CHUNK = 10  # Pages that are made together: the first of a long document is there soon.
_MOST_PAGES = 10_000_000
_PIECE = 2**16
_WAIT_S = 25.0  # Proxies and clients that give up often do so after 30 s.
_HEADERS = {"Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff"}

_WANTED = (
    "The body must be application/json, application/x-www-form-urlencoded or multipart/form-data, "
    "with the field format."
)


class DerivedRoutes:
    """The handlers, with what they need."""

    def __init__(
        self,
        tasks: Tasks,
        waiting: Waiting,
        answers: Answers,
        staging: Path,
        public_url: str,
        bounds: Bounds,
    ) -> None:
        self._tasks = tasks
        self._waiting = waiting
        self._answers = answers
        self._staging = staging
        self._public_url = public_url.rstrip("/")
        self._bounds = replace(bounds, file_bytes=0)  # There is a document already.

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(prefix="/task/{task_id}", tags=["formats"])
        router.add_api_route(
            "/formats",
            self.formats,
            methods=["POST"],
            openapi_extra=_BODY,
            responses=_FORMATS,
            summary="Make another format of it",
            operation_id="makeFormat",
        )
        router.add_api_route(
            "/document",
            self.document,
            methods=["GET"],
            openapi_extra=_QUERY,
            responses=_DOCUMENT,
            summary="What is on its pages",
            operation_id="getDocument",
        )
        router.add_api_route(
            "/pages/{number}",
            self.page,
            methods=["GET"],
            responses=_PAGE,
            response_class=Response,
            summary="What a page looks like",
            operation_id="getPagePicture",
        )
        return router

    async def formats(self, request: Request, task_id: str) -> Response:
        """Make another format of the task's document, without recognizing it again.

        The answer is the record of a task of its own; the same format asked for again is the
        same task. Forms are taken, too: `application/x-www-form-urlencoded` and
        `multipart/form-data`.
        """
        await run_in_threadpool(self._tasks.get, request.state.access.owner, task_id)
        staged = self._staging / uuid.uuid4().hex
        try:
            form = await read_form(request, staged, self._bounds, wanted=_WANTED)
            base = self._public_url or base_url(request)
            wanted = form.get("format")
            if wanted not in (*FORMATS, *STRUCTURED):
                allowed = ", ".join((*FORMATS, *STRUCTURED))
                raise BadRequest(f"format must be one of {allowed} (in lower case).")
            wait = form.flag("sync", default=True)
            task = await self._derive(
                request, task_id, wanted, base, pdfa=form.flag("pdfa", default=False)
            )
        finally:
            await run_in_threadpool(staged.unlink, missing_ok=True)
        if wait:
            return await self._answers.when_final(request, task, base)
        return await self._answers.now(task, base)

    async def document(self, request: Request, task_id: str) -> Response:
        """The document as JSON, hOCR or ALTO: each page's blocks, lines and words."""
        wanted = request.query_params.get("format") or "json"
        if wanted not in STRUCTURED:
            raise BadRequest(f"format must be one of {', '.join(STRUCTURED)} (in lower case).")
        page = request.query_params.get("page")
        if page is not None and wanted != "json":
            raise BadRequest("page can only be asked for with the format json.")
        number = None if page is None else _number(page)
        pages = None if number is None else _chunk(number)
        task, path = await self._made(request, task_id, wanted, pages)
        if number is not None:
            try:
                length, page_object = await run_in_threadpool(_page_object, path, number)
            finally:  # It is open.
                await run_in_threadpool(self._tasks.storage.let_go, path)
            return StreamingResponse(
                page_object,
                media_type="application/json",
                headers=_HEADERS | {"Content-Length": str(length)},
            )
        kind = task.output_media_type or "application/octet-stream"
        return Located(self._tasks.storage, path, kind, download_name(task), _HEADERS)

    async def page(self, request: Request, task_id: str, number: str) -> Response:
        """The picture of a page, upright, at most 2000 pixels long."""
        wanted = _number(number)
        _, path = await self._made(request, task_id, "pictures", _chunk(wanted))
        try:
            picture = await run_in_threadpool(_picture, path, wanted)
        finally:
            await run_in_threadpool(self._tasks.storage.let_go, path)
        return Response(picture, media_type="image/jpeg", headers=_HEADERS)

    async def _made(
        self, request: Request, task_id: str, form: str, pages: tuple[int, int] | None = None
    ) -> tuple[Task, Path]:
        """A derived task that is complete, and its result. Raises NotMade, Unavailable."""
        task = await self._derive(request, task_id, form, base_url(request), pages=pages)
        ended = await self._waiting.until_final(task, _WAIT_S)
        task = ended or await self._waiting.latest(task)
        if not State(task.state).final:
            raise Unavailable("It is not ready yet; ask again.")
        if task.state != State.COMPLETE:
            raise NotMade(task.state_detail)
        return await run_in_threadpool(self._tasks.result, task.id, form)

    async def _derive(
        self, request: Request, task_id: str, form: str, base: str, **options: Any
    ) -> Task:
        return await run_in_threadpool(
            lambda: self._tasks.derive(request.state.access.owner, task_id, form, base, **options)
        )


def _number(text: str) -> int:
    """The number of a page. Raises PageNotFound."""
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 9 else 0
    if not 0 < number <= _MOST_PAGES:
        raise PageNotFound("The document has no such page.")
    return number


def _chunk(number: int) -> tuple[int, int]:
    """The pages that are made together with a page."""
    first = (number - 1) // _CHUNK * _CHUNK + 1
    return first, first + _CHUNK - 1


def _page_object(path: Path, number: int) -> tuple[int, Iterator[bytes]]:
    """One of the pages in the JSON file at ``path``: its length, and its bytes.

    Raises PageNotFound, ResultExpired.
    """
    try:
        span, file = page_span(path, number), path.open("rb")
    except FileNotFoundError:  # Deleted in this moment.
        raise ResultExpired("The document was just deleted.") from None
    if span is None:
        file.close()
        raise PageNotFound("The document has no such page.")
    start, length = span

    def pieces() -> Iterator[bytes]:
        with file:
            file.seek(start)
            left = length
            while piece := file.read(min(_PIECE, left)):
                left -= len(piece)
                yield piece

    return length, pieces()


def _picture(path: Path, number: int) -> bytes:
    """One of the pictures in the file at ``path``. Raises PageNotFound, ResultExpired."""
    try:
        with zipfile.ZipFile(path) as pictures:
            return pictures.read(f"{number}.jpg")
    except FileNotFoundError:  # Deleted in this moment.
        raise ResultExpired("The picture was just deleted.") from None
    except KeyError:
        raise PageNotFound("There is no picture of this page.") from None


_EDGES = [100.0, 80.0, 580.0, 120.0]
_SHOWN_PAGE = PageModel(
    number=1,
    width=1240.0,
    height=1754.0,
    dpi=150.0,
    recognized=True,
    turns=0,
    blocks=[
        ParagraphModel(
            kind=Kind.HEADING,
            level=1,
            align=Align.START,
            box=_EDGES,
            text="发票 Invoice",
            lines=[
                LineModel(
                    box=_EDGES,
                    text="发票 Invoice",
                    confidence=0.98,
                    words=[
                        WordModel("发票", [100.0, 80.0, 260.0, 120.0], 0.99),
                        WordModel("Invoice", [300.0, 80.0, 580.0, 120.0], 0.98),
                    ],
                )
            ],
        )
    ],
)
_SHOWN = DocumentModel("ocr-server-document", 1, ["zh-CN", "en-US"], [_SHOWN_PAGE])
_WHOLE, _PARTS = document_schema("#/components/schemas/{name}")
_ERRORS = (TaskNotFound, ResultExpired, SourceExpired, NotComplete, TooManyTasks)
SCHEMAS: dict[str, Any] = {
    **_PARTS,
    "DerivedFormat": {"type": "string", "enum": [*FORMATS, *STRUCTURED]},
    "DerivedForm": {
        "type": "object",
        "required": ["format"],
        "properties": {
            "format": schema.ref("DerivedFormat"),
            "sync": schema.ref("Flag")
            | {"description": "1 (as if absent): wait for the result; 0: answer at once."},
            "pdfa": schema.ref("Flag") | {"description": "1: a `pdf` becomes a PDF/A-2."},
        },
    },
}
# One kind of body: of several, clients that are made from this take any one.
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": schema.json_of("DerivedForm", {"word": {"value": {"format": "docx"}}}),
    }
}
_FORMATS = schema.answers(schema.RECORD, BadRequest, *_ERRORS)
_QUERY: dict[str, Any] = {
    "parameters": [
        {
            "name": "format",
            "in": "query",
            "schema": {"type": "string", "enum": list(STRUCTURED), "default": "json"},
        },
        {
            "name": "page",
            "in": "query",
            "description": "Of `json`, this page alone.",
            "schema": {"type": "integer", "minimum": 1},
        },
    ]
}
_DOCUMENT = schema.answers(
    {
        "description": "The document",
        "content": {
            "application/json": {
                "schema": {"oneOf": [_WHOLE, schema.ref("PageModel")]},
                "examples": {
                    "document": {"value": msgspec.to_builtins(_SHOWN)},
                    "page": {"summary": "With `page=1`", "value": msgspec.to_builtins(_SHOWN_PAGE)},
                },
            },
            "text/vnd.hocr+html": {"schema": {"type": "string"}},
            "application/xml": {"schema": {"type": "string"}},
        },
    },
    *(BadRequest, *_ERRORS, PageNotFound, NotMade),
)
_PAGE = schema.answers(
    {
        "description": "The picture",
        "content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}},
    },
    *(*_ERRORS, PageNotFound, NotMade),
)

"""Creating, polling and deleting tasks, under the endpoint's paths and the vendor's."""

import contextlib
import hashlib
import hmac
import json
import re
import uuid
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response, StreamingResponse

from app import languages
from app.access import Access
from app.api.forms import Bounds, Form, announced_bytes, read_form
from app.api.proxies import base_url
from app.api.waiting import Waiting
from app.db import Task
from app.errors import BadRequest, State, TaskNotFound, Unavailable
from app.fetch import Fetcher
from app.reading import Mode
from app.tasks import Known, Submission, Tasks

FORMATS = ("txt", "pdf", "docx", "xlsx", "pptx")
_MOST_PASSWORD = 32
_MOST_FILENAME = 200
_MOST_FAILED_PAGES = 200  # Told in the header.
_SPACE_S = 10.0  # A waiting client hears something this often.


class TaskRoutes:
    """The handlers, with what they need."""

    def __init__(
        self,
        tasks: Tasks,
        waiting: Waiting,
        fetcher: Fetcher,
        check_languages: languages.Check,
        staging: Path,
        public_url: str,
        bounds: Bounds,
        sync_wait_s: float,
    ) -> None:
        self._tasks = tasks
        self._waiting = waiting
        self._fetcher = fetcher
        self._check_languages = check_languages
        self._staging = staging
        self._public_url = public_url.rstrip("/")
        self._bounds = bounds
        self._sync_wait_s = sync_wait_s

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(tags=["tasks"])
        for n, path in enumerate(("/task/pic/ocr", "/api/tasks/document/ocr")):
            router.add_api_route(
                path,
                self.create,
                methods=["POST"],
                openapi_extra=_BODY,
                responses=_RESPONSES,
                summary="Recognize a document",
                operation_id=f"create{n or ''}",
            )
        for n, path in enumerate(("/task/pic/ocr/", "/api/tasks/document/ocr/", "/task/")):
            router.add_api_route(
                path + "{task_id}",
                self.poll,
                methods=["GET"],
                responses=_RESPONSES,
                summary="Look at a task",
                operation_id=f"poll{n or ''}",
            )
        router.add_api_route(
            "/task/{task_id}",
            self.delete,
            methods=["DELETE"],
            responses=_RESPONSES | {200: {"description": "It is gone"}},
            summary="Cancel a task, delete its source and result",
            operation_id="delete",
        )
        return router

    async def create(self, request: Request) -> Response:
        """Create a task from `image_file` or `image_url` and, unless `sync=0`, wait for it."""
        access: Access = request.state.access
        key = _idempotency_key(request)
        # Before the body is read; what counts is looked at again when the task is inserted.
        if access.allowance.any:
            await run_in_threadpool(self._tasks.look, access, key)
        staged = self._staging / uuid.uuid4().hex
        size = announced_bytes(request, self._bounds)
        await run_in_threadpool(self._tasks.check_room, size)
        try:
            digested = key is not None or self._tasks.reuses
            form = await read_form(request, staged, self._bounds, digested)
            base = self._public_url or base_url(request)
            submission = await run_in_threadpool(self._checked, form, base)
            if key is not None:
                submission = replace(submission, known_by=_known_by(key, submission, access.seal))
            wait = _flag(form, "sync", default=True)
            task = await run_in_threadpool(
                self._tasks.submit, access.owner, submission, form.file, access.allowance
            )
        finally:
            await run_in_threadpool(staged.unlink, missing_ok=True)
        if not wait:
            return await self._answer(task, base)
        first = self._sync_wait_s
        if request.scope["http_version"] != "1.0":  # Which knows no answer in pieces.
            first = min(_SPACE_S, first)
        if await self._waiting.until_final(task.id, first) or first >= self._sync_wait_s:
            # The task exists: a database that is away now is no reason to say otherwise.
            with contextlib.suppress(Unavailable):
                task = await run_in_threadpool(self._tasks.get, task.owner, task.id)
            return await self._answer(task, base)
        return StreamingResponse(self._slowly(task, base), media_type="application/json")

    async def poll(self, request: Request, task_id: str) -> Response:
        """The record of a task."""
        task = await run_in_threadpool(self._tasks.get, request.state.access.owner, task_id)
        return await self._answer(task, self._public_url or base_url(request))

    async def delete(self, request: Request, task_id: str) -> Response:
        """Cancel the task if it is unfinished, and delete all that is kept of it."""
        await run_in_threadpool(self._tasks.delete, request.state.access.owner, task_id)
        return JSONResponse({"status": 200, "data": {"task_id": task_id}})

    def _checked(self, form: Form, base: str) -> Submission:
        """The form as a submission. Raises BadRequest."""
        url = form.get("image_url", "url")
        if (form.file is None) == (url is None):
            raise BadRequest("Send exactly one of image_file and image_url.")
        if url:
            self._fetcher.check(url, "image_url", base)
        callback = form.get("callback_url")
        if callback:
            self._fetcher.check(callback, "callback_url", base)
        wanted = form.get("format") or "txt"
        if wanted not in FORMATS:
            raise BadRequest(f"format must be one of {', '.join(FORMATS)} (in lower case).")
        names = form.get("language") or languages.DEFAULT
        self._check_languages(languages.parse(names))
        password = form.get("password")
        if password and len(password) > _MOST_PASSWORD:
            raise BadRequest(f"password must have at most {_MOST_PASSWORD} characters.")
        mode = form.get("mode") or Mode.AUTO
        if mode not in _MODES:
            raise BadRequest(f"mode must be one of {', '.join(_MODES)} (in lower case).")
        filename = form.get("filename") or form.file_name
        return Submission(
            format=wanted,
            languages=names,
            base_url=base,
            password=password,
            source_url=url,
            filename=filename[-_MOST_FILENAME:] if filename else None,
            callback_url=callback,
            return_text=_flag(form, "return_text", default=False),
            pdfa=_flag(form, "pdfa", default=False),
            mode=Mode(mode),
            digest=form.digest,
        )

    async def _answer(self, task: Task, base: str) -> Response:
        headers = {}
        if task.failed_pages:  # Proxies refuse long headers.
            pages = task.failed_pages.split(",")[:_MOST_FAILED_PAGES]
            headers["X-OCR-Failed-Pages"] = ",".join(pages)
        return JSONResponse(await self._envelope(task, base), headers=headers)

    async def _envelope(self, task: Task, base: str) -> dict[str, Any]:
        if task.return_text and task.state == State.COMPLETE:  # A file is read.
            return await run_in_threadpool(self._tasks.record, task, base)
        return self._tasks.record(task, base)

    async def _slowly(self, task: Task, base: str) -> AsyncIterator[bytes]:
        """Spaces while the task goes on, then the record: JSON may begin with white space."""
        waited = _SPACE_S
        final = False
        while not final and waited < self._sync_wait_s:
            yield b" "
            step = min(_SPACE_S, self._sync_wait_s - waited)
            final = await self._waiting.until_final(task.id, step)
            waited += step
        try:
            task = await run_in_threadpool(self._tasks.get, task.owner, task.id)
            envelope = await self._envelope(task, base)
        except TaskNotFound:  # The status line is gone, so the record has to say it.
            gone = Task(id=task.id, state=State.CANCELLED, created_at=task.created_at, progress=0)
            gone.state_detail, gone.format = "The task was deleted.", task.format
            envelope = self._tasks.record(gone, base)
        except Unavailable:  # What was known of it last; a poll will tell more.
            envelope = self._tasks.record(task, base)
        yield json.dumps(envelope, ensure_ascii=False, separators=(",", ":")).encode()


def _idempotency_key(request: Request) -> str | None:
    """The key of a request that may be sent again. Raises BadRequest."""
    keys = request.headers.getlist("idempotency-key")
    if not keys:
        return None
    if len(keys) > 1 or not _KEY.fullmatch(keys[0]):
        raise BadRequest(
            "Idempotency-Key must be sent once, with 1 to 255 printable ASCII characters."
        )
    return keys[0]


def _known_by(key: str, submission: Submission, seal: bytes) -> Known:
    """What a request is known by; its fingerprint cannot be guessed at without the token.

    The password is part of it, and the fingerprint is kept for longer.
    """
    asked = json.dumps(asdict(replace(submission, base_url=""))).encode()
    return Known(key, hmac.new(seal, asked, hashlib.sha256).hexdigest())


def _flag(form: Form, name: str, *, default: bool) -> bool:
    value = form.get(name)
    if value is None:
        return default
    if value not in ("0", "1"):
        raise BadRequest(f"{name} must be 0 or 1.")
    return value == "1"


_KEY = re.compile(r"[ -~]{1,255}")
_MODES = [mode.value for mode in Mode]
_FIELDS: dict[str, Any] = {
    "image_file": {"type": "string", "format": "binary", "description": "The document."},
    "image_url": {
        "type": "string",
        "description": "Where to fetch the document instead: http or https, port 80 or 443.",
    },
    "format": {"type": "string", "enum": list(FORMATS), "default": "txt"},
    "language": {
        "type": "string",
        "default": languages.DEFAULT,
        "description": "At most 10 names, comma-separated, such as `ChinesePRC,English`.",
    },
    "password": {"type": "string", "maxLength": _MOST_PASSWORD},
    "sync": {
        "type": "string",
        "enum": ["0", "1"],
        "default": "1",
        "description": "1: wait for the result; 0: answer at once.",
    },
    "callback_url": {"type": "string", "description": "Where to POST the final record."},
    "filename": {"type": "string", "description": "Name offered when the result is downloaded."},
    "return_text": {
        "type": "string",
        "enum": ["0", "1"],
        "default": "0",
        "description": "1: add the plain text to the record as `text`.",
    },
    "mode": {
        "type": "string",
        "enum": _MODES,
        "default": Mode.AUTO.value,
        "description": "What is recognized of a document that has text of its own: what cannot be"
        " trusted, and pictures (auto), every page (force), pages without text (skip).",
    },
    "pdfa": {
        "type": "string",
        "enum": ["0", "1"],
        "default": "0",
        "description": "1: a `pdf` becomes a PDF/A-2, for archives and screen readers.",
    },
}
_WITHOUT_FILE = {
    "type": "object",
    "properties": {name: rule for name, rule in _FIELDS.items() if name != "image_file"},
}
_BODY: dict[str, Any] = {
    "parameters": [
        {
            "name": "Idempotency-Key",
            "in": "header",
            "description": "The same key with the same request gives the same task.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]*$"},
        }
    ],
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": {"type": "object", "properties": _FIELDS}},
            "application/x-www-form-urlencoded": {"schema": _WITHOUT_FILE},
            "application/json": {"schema": _WITHOUT_FILE},
        },
    },
}
_RECORD: dict[str, Any] = {
    "type": "object",
    "properties": {
        "status": {"type": "integer", "const": 200},
        "data": {
            "type": "object",
            "required": [
                "type",
                "state",
                "task_id",
                "progress",
                "created_at",
                "state_detail",
            ],
            "properties": {
                "file": {"type": "string", "description": "Address of the result."},
                "type": {"type": "integer", "const": 101},
                "state": {"type": "integer", "enum": [int(state) for state in State]},
                "task_id": {"type": "string", "format": "uuid"},
                "progress": {"type": "integer", "minimum": 0, "maximum": 100},
                "ocr_pages": {"type": "integer"},
                "created_at": {"type": "integer"},
                "file_pages": {"type": "integer"},
                "input_size": {"type": "integer"},
                "output_size": {"type": "integer"},
                "completed_at": {"type": "integer"},
                "processed_at": {"type": "integer"},
                "state_detail": {"type": "string"},
                "text": {"type": "string"},
            },
        },
    },
}
_ERROR: dict[str, Any] = {
    "type": "object",
    "properties": {
        "status": {"type": "integer"},
        "message": {"type": "string"},
        "error": {
            "type": "object",
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "code": {"type": "string"},
            },
        },
    },
}
_REFUSAL: dict[str, Any] = {
    "type": "object",
    "properties": {"error": _ERROR["properties"]["error"]},
}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"description": what, "content": {"application/json": {"schema": schema}}}
    for status, what, schema in (
        (200, "The record", _RECORD),
        (400, "A field is missing or wrong", _ERROR),
        (401, "No valid token", _REFUSAL),
        (403, "The token's pages are used up", _REFUSAL),
        (404, "No such task", _ERROR),
        (408, "The body comes too slowly", _ERROR),
        (422, "The Idempotency-Key of another request", _ERROR),
        (413, "The document is too large", _ERROR),
        (429, "Too many tasks in this minute, or unfinished; see Retry-After", _ERROR),
        (503, "The server cannot take the task now", _ERROR),
    )
}

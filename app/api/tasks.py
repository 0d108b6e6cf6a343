"""Creating, polling and deleting tasks, under the endpoint's paths and the vendor's."""

import hashlib
import hmac
import json
import re
import uuid
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response

from app import languages
from app.access import Access
from app.api import schema
from app.api.answers import Answers
from app.api.forms import Bounds, Form, announced_bytes, read_form
from app.api.proxies import base_url
from app.errors import (
    BadRequest,
    BodyTooLarge,
    IdempotencyKeyReused,
    NotStored,
    QuotaUsedUp,
    RateLimited,
    RequestTooSlow,
    TaskNotFound,
    TooManyTasks,
)
from app.fetch import Fetcher
from app.reading import Mode
from app.rows import Task
from app.tasks import Known, Submission, Tasks

FORMATS = ("txt", "pdf", "docx", "xlsx", "pptx")
_SHORT_BYTES = 2**16
_MOST_PASSWORD = 32
_MOST_FILENAME = 200


class TaskRoutes:
    """The handlers, with what they need."""

    def __init__(
        self,
        tasks: Tasks,
        answers: Answers,
        fetcher: Fetcher,
        check_languages: languages.Check,
        staging: Path,
        public_url: str,
        bounds: Bounds,
    ) -> None:
        self._tasks = tasks
        self._answers = answers
        self._fetcher = fetcher
        self._check_languages = check_languages
        self._staging = staging
        self._public_url = public_url.rstrip("/")
        self._bounds = bounds

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter()
        for path, name, tag, body in (
            ("/task/pic/ocr", "recognize", "tasks", _DOCUMENT),
            ("/api/tasks/document/ocr", "recognizeUrl", "aliases", _ADDRESS),
        ):
            router.add_api_route(
                path,
                self.create,
                methods=["POST"],
                tags=[tag],
                openapi_extra=body,
                responses=_CREATED,
                summary="Recognize a document",
                operation_id=name,
            )
        for path, name, tag in (
            ("/task/pic/ocr/", "getRecognition", "aliases"),
            ("/api/tasks/document/ocr/", "getTaskAtVendorPath", "aliases"),
            ("/task/", "getTask", "tasks"),
        ):
            router.add_api_route(
                path + "{task_id}",
                self.poll,
                methods=["GET"],
                tags=[tag],
                responses=schema.answers(schema.RECORD, TaskNotFound),
                summary="Look at a task",
                operation_id=name,
            )
        router.add_api_route(
            "/task/{task_id}",
            self.delete,
            methods=["DELETE"],
            tags=["tasks"],
            responses=schema.answers(schema.DELETED, TaskNotFound),
            summary="Cancel a task, delete its source and result",
            operation_id="deleteTask",
        )
        return router

    async def create(self, request: Request) -> Response:
        """Create a task from `image_file` or `image_url` and, unless `sync=0`, wait for it.

        Exactly one of the two is sent. Both paths take `multipart/form-data`, and, where there is
        no file, `application/x-www-form-urlencoded` and `application/json`, too.
        """
        access: Access = request.state.access
        key = _idempotency_key(request)
        # Before the body is read; what counts is looked at again when the task is inserted.
        if access.allowance.any:
            await run_in_threadpool(self._tasks.look, access, key)
        staged = self._staging / uuid.uuid4().hex
        size = announced_bytes(request, self._bounds)
        # Of a short one nothing is lost if it is read first, and a step of a thread is saved.
        is_short = 0 < size <= _SHORT_BYTES
        if not is_short:
            await run_in_threadpool(self._tasks.check_room, size)
        try:
            digested = key is not None or self._tasks.reuses
            form = await read_form(request, staged, self._bounds, digested)
            base = self._public_url or base_url(request)
            room = size if is_short else None
            task, wait = await run_in_threadpool(self._submit, form, base, access, key, room)
        finally:
            if staged.exists():
                await run_in_threadpool(staged.unlink, missing_ok=True)
        if not wait:
            return await self._answers.now(task, base)
        return await self._answers.when_final(request, task, base)

    def _submit(
        self, form: Form, base: str, access: Access, key: str | None, room: int | None
    ) -> tuple[Task, bool]:
        """The new task, and whether its end is waited for; ``room`` is still to be checked."""
        if room is not None:
            self._tasks.check_room(room)
        form.store()
        submission = self._checked(form, base)
        if key is not None:
            submission = replace(submission, known_by=_known_by(key, submission, access.seal))
        wait = form.flag("sync", default=True)
        task = self._tasks.submit(access.owner, submission, form.file, access.allowance)
        return task, wait

    async def poll(self, request: Request, task_id: str) -> Response:
        """The record of a task."""
        task = await run_in_threadpool(self._tasks.get, request.state.access.owner, task_id)
        return await self._answers.now(task, self._public_url or base_url(request))

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
            return_text=form.flag("return_text", default=False),
            pdfa=form.flag("pdfa", default=False),
            mode=Mode(mode),
            digest=form.digest,
        )


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


_KEY = re.compile(r"[ -~]{1,255}")
_MODES = [mode.value for mode in Mode]
_FIELDS: dict[str, Any] = {
    "image_file": {"type": "string", "format": "binary", "description": "The document."},
    "image_url": {
        "type": "string",
        "description": "Where to fetch the document instead: http or https, port 80 or 443.",
    },
    "format": schema.ref("Format") | {"description": "What is made; absent: `txt`."},
    "language": {
        "type": "string",
        "default": languages.DEFAULT,
        "description": "At most 10 names, comma-separated, such as `ChinesePRC,English`.",
    },
    "password": {"type": "string", "maxLength": _MOST_PASSWORD},
    "sync": schema.ref("Flag")
    | {"description": "1 (as if absent): wait for the result; 0: answer at once."},
    "callback_url": {"type": "string", "description": "Where to POST the final record."},
    "filename": {"type": "string", "description": "Name offered when the result is downloaded."},
    "return_text": schema.ref("Flag") | {"description": "1: add the plain text to the record."},
    "mode": schema.ref("Mode"),
    "pdfa": schema.ref("Flag")
    | {"description": "1: a `pdf` becomes a PDF/A-2, for archives and screen readers."},
}
SCHEMAS: dict[str, Any] = {
    "DocumentForm": {"type": "object", "properties": _FIELDS},
    "AddressForm": {
        "type": "object",
        "properties": {name: rule for name, rule in _FIELDS.items() if name != "image_file"},
    },
    "Format": {"type": "string", "enum": list(FORMATS)},
    "Flag": {"type": "string", "enum": ["0", "1"], "x-enum-varnames": ["NO", "YES"]},
    "Mode": {
        "type": "string",
        "enum": _MODES,
        "description": "What is recognized of a document that has text of its own: what cannot be"
        " trusted, and pictures (auto, as if absent), every page (force), pages without text"
        " (skip).",
    },
}
_BY_ADDRESS = {
    "summary": "A Word file of a document that lies on the web",
    "value": {
        "image_url": "https://example.com/document.pdf",
        "format": "docx",
        "language": "English",
    },
}


def _body(content: dict[str, Any]) -> dict[str, Any]:
    key = {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "The same key with the same request gives the same task.",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]*$"},
    }
    return {"parameters": [key], "requestBody": {"required": True, "content": content}}


# One kind of body for each path: of several, clients that are made from this take any one.
_DOCUMENT = _body(
    {
        "multipart/form-data": {
            "schema": schema.ref("DocumentForm"),
            "examples": {
                "text": {
                    "summary": "The text of a document, in the record",
                    "value": {
                        "image_file": "(the document's bytes)",
                        "language": "ChinesePRC,English",
                        "return_text": "1",
                    },
                },
                "pdf": {
                    "summary": "A searchable PDF of a protected one, without waiting",
                    "value": {
                        "image_file": "(the document's bytes)",
                        "format": "pdf",
                        "password": "123456",
                        "sync": "0",
                    },
                },
                "address": _BY_ADDRESS,
            },
        }
    }
)
_ADDRESS = _body(
    {
        "application/json": {
            "schema": schema.ref("AddressForm"),
            "examples": {"address": _BY_ADDRESS},
        }
    }
)
_CREATED = schema.answers(
    schema.RECORD,
    BadRequest,
    QuotaUsedUp,
    RequestTooSlow,
    BodyTooLarge,
    IdempotencyKeyReused,
    RateLimited,
    TooManyTasks,
    NotStored,
)

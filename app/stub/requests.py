"""The stub's own part in requests: their scripts, what is kept of them, and who asks for that."""

from __future__ import annotations

import asyncio
import tempfile
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.forms import Bounds, read_form
from app.errors import AppError
from app.stub.script import HEADER, Script, parse
from app.stub.work import ASKED, Asked

ABORT = "ocr_stub.abort"
"""The extension of a request's scope that ends its connection."""

_CREATE = ("/task/pic/ocr", "/api/tasks/document/ocr")
_OWN = "/stub/"
_MOST = 1000  # Requests that are kept,
_MOST_BYTES = 16 * 2**20  # and of what a body may have to be looked into.


@dataclass
class Seen:
    """A request, as a test wants to look at it."""

    method: str
    path: str
    headers: dict[str, str]
    fields: dict[str, str] | None = None  # None: it had no form, or one that is broken or large.
    file: dict[str, Any] | None = None  # "name", "size" and "sha256" of the document.
    status: int | None = None  # Of the answer; None: the connection was dropped.


@dataclass
class Requests:
    """What came, oldest first, and the scripts of those that are to come."""

    seen: deque[Seen] = field(default_factory=lambda: deque(maxlen=_MOST))
    scripts: deque[Script] = field(default_factory=deque)

    def router(self) -> APIRouter:
        """The routes that a test in any language asks."""
        router = APIRouter(include_in_schema=False)
        router.add_api_route(f"{_OWN}scripts", self.add, methods=["POST"])
        router.add_api_route(f"{_OWN}requests", self.show, methods=["GET"])
        router.add_api_route(f"{_OWN}requests", self.forget, methods=["DELETE"])
        return router

    async def add(self, request: Request) -> JSONResponse:
        """The body is the script of the next document that has none; more of them wait in line."""
        self.scripts.append(parse((await request.body()).decode("utf-8", "replace")))
        return JSONResponse({"status": 200, "data": {"waiting": len(self.scripts)}})

    async def show(self) -> JSONResponse:
        """The requests that came."""
        return JSONResponse({"status": 200, "data": {"requests": [*map(asdict, self.seen)]}})

    async def forget(self) -> JSONResponse:
        """Forget the requests, and the scripts that nobody has used."""
        self.seen.clear()
        self.scripts.clear()
        return JSONResponse({"status": 200, "data": {}})


class Scripted:
    """Treats each request as its script says; stands between the tokens and the routes."""

    def __init__(self, app: ASGIApp, requests: Requests) -> None:
        self.app = app
        self.requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Raises what the script refuses it with."""
        if scope["type"] != "http" or scope["path"].startswith(_OWN):
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        seen = Seen(scope["method"], scope["path"], dict(headers))
        self.requests.seen.append(seen)
        body = bytearray()
        is_noted = False

        async def note() -> None:
            nonlocal is_noted
            if not is_noted and body and len(body) <= _MOST_BYTES:
                is_noted = True
                await _look_into(seen, scope, bytes(body))

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":  # Who has the answer may ask at once.
                await note()
            await send(message)

        async def watched() -> Message:
            message = await receive()
            if len(body) <= _MOST_BYTES:
                body.extend(message.get("body", b""))
            return message

        try:
            asked = Asked(self._script(headers, scope))
            ASKED.set(asked)
            if asked.script is not None:
                await _refuse(asked.script, scope)
            await self.app(scope, watched, _sending(noting, seen, asked, scope))
        except AppError as error:
            seen.status = error.status
            raise
        finally:
            await note()

    def _script(self, headers: Headers, scope: Scope) -> Script | None:
        if HEADER in headers:
            return parse(headers[HEADER])
        if scope["method"] == "POST" and scope["path"] in _CREATE and self.requests.scripts:
            return self.requests.scripts.popleft()
        return None


async def _refuse(script: Script, scope: Scope) -> None:
    """Raise what the script says, in its time; a delay that is no task's is the answer's."""
    error = script.http_error()
    if error is not None or scope["method"] != "POST":
        await asyncio.sleep(script.delay)
    if error is not None:
        raise error


def _sending(send: Send, seen: Seen, asked: Asked, scope: Scope) -> Send:
    """``send``, noting the status; the connection ends where the script says."""
    abort: Callable[[], None] = scope.get("extensions", {}).get(ABORT, lambda: None)
    dropped = False

    async def sending(message: Message) -> None:
        nonlocal dropped
        if dropped:
            return
        drop = asked.script.drop if asked.script is not None else None
        if drop is None:
            seen.status = message.get("status", seen.status)
            await send(message)
            return
        if drop == "during":
            body = message.get("body", b"")
            await send({**message, "body": body[: len(body) // 2], "more_body": True})
            if message["type"] == "http.response.start":
                return
        dropped = True
        abort()
        await asyncio.sleep(0)  # The end of the connection is told to uvicorn.

    return sending


async def _look_into(seen: Seen, scope: Scope, body: bytes) -> None:
    """Note the fields and the document of a form."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    with tempfile.TemporaryDirectory(prefix="ocr-stub-") as folder:
        path = Path(folder) / "document"
        bounds = Bounds(_MOST_BYTES, 10.0, 1)
        try:
            form = await read_form(Request(scope, receive), path, bounds, digested=True)
        except AppError:
            return
        await run_in_threadpool(form.store)
        seen.fields = form.fields
        if form.file is not None:
            size = (await run_in_threadpool(path.stat)).st_size
            seen.file = {"name": form.file_name, "size": size, "sha256": form.digest}

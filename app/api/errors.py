"""Errors in the contract's shape."""

import asyncio
import contextlib
import logging
from functools import partial
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import AppError, InternalError, Refused, Unavailable

log = logging.getLogger(__name__)

_DRAIN_BYTES = 64 * 2**20
_DRAIN_S = 2.0
_RETRY_AFTER_S = 10
_OTHER = "invalid_request"
ROUTER_CODES = {404: "not_found", 405: "method_not_allowed", 400: _OTHER}
"""Codes of what no route takes, by status."""


class ErrorResponses:
    """Renders what is raised below, never leaks a traceback."""

    def __init__(self, app: ASGIApp, token_error_type: str) -> None:
        self.app = app
        self.token_error_type = token_error_type

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = scope["state"]["request_id"]
        begun = body_read = False

        async def noticed(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        async def watched() -> Message:
            nonlocal body_read
            message = await receive()
            body_read = body_read or not message.get("more_body", False)
            return message

        try:
            await self.app(scope, watched, noticed)
        except Exception as error:
            if not isinstance(error, AppError):
                log.exception("request %s failed", request_id)
                error = InternalError("An internal error; the server's log tells more.")
            if begun:
                raise
            response = rendered(error, request_id, self.token_error_type)
            if body_read or scope["method"] in ("GET", "HEAD", "OPTIONS"):
                await response(scope, receive, noticed)
            else:
                await _answer_early(response, receive, noticed)


def rendered(error: AppError, request_id: str, token_error_type: str) -> JSONResponse:
    """The answer that tells ``error``."""
    if isinstance(error, Refused):
        # The gateway's own shape, for clients that look for nothing else.
        message = f"{error} (request id: {request_id})"
        detail = {"message": message, "type": token_error_type, "code": error.code}
        return JSONResponse({"error": detail}, error.status)
    response = error_response(error.status, str(error), error.code, request_id)
    if error.retry_after_s is not None:
        response.headers["Retry-After"] = str(error.retry_after_s)
    return response


def error_response(status: int, message: str, code: str, request_id: str) -> JSONResponse:
    """An error that clients of the vendor and of the gateway can both read."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    content = {
        "status": status,
        "message": message,
        "error": {
            "message": f"{message} (request id: {request_id})",
            "type": kind,
            "code": code,
        },
    }
    headers = {"Retry-After": str(_RETRY_AFTER_S)} if status == Unavailable.status else None
    return JSONResponse(content, status, headers)


async def http_exception(request: Request, error: Exception) -> JSONResponse:
    """What the router itself refuses: unknown paths and methods."""
    assert isinstance(error, HTTPException)
    code = ROUTER_CODES.get(error.status_code, _OTHER)
    response = error_response(error.status_code, str(error.detail), code, request.state.request_id)
    response.headers.update(error.headers or {})
    if error.status_code == 405:  # The router names the methods of the first route that fits.
        response.headers["Allow"] = ", ".join(filter(partial(_takes, request), _METHODS))
    return response


_METHODS = ("DELETE", "GET", "HEAD", "POST")


def _takes(request: Request, method: str) -> bool:
    """Whether the path of ``request`` can be asked with ``method``."""
    scope = {**request.scope, "method": method}
    return any(route.matches(scope)[0] == Match.FULL for route in request.app.routes)


async def _answer_early(response: JSONResponse, receive: Receive, send: Send) -> None:
    """Answer before the body is read, then read on for a while.

    A connection that is closed with unread bytes in it is reset, and the reset may overtake the
    answer: the client would see a broken pipe and not the reason.
    """
    response.headers["Connection"] = "close"
    headers: list[Any] = response.raw_headers
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": response.body, "more_body": True})
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_S):
            read, more = 0, True
            while more and read < _DRAIN_BYTES:
                message = await receive()
                read += len(message.get("body", b""))
                more = message.get("more_body", False)
    await send({"type": "http.response.body", "body": b""})

"""What is noted of every request: its id, a line in the log, a figure, and a span of its trace."""

import logging
import re
import time
import uuid
from collections.abc import Callable
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.access import Access
from app.context import Context, Place, Span, Watch, working_for
from app.logs import EXTRA

log = logging.getLogger(__name__)

Begin = Callable[[Place | None], Place]
"""The place of a new request in a trace, below the one that its client named, if it did."""

_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_OTHER = "other"
_PROBES = ("/healthz", "/readyz", "/metrics")  # They come every few seconds.


class Watched:
    """Gives every request its id, or takes over the client's, and notes how it went."""

    def __init__(self, app: ASGIApp, watch: Watch, begin: Begin | None = None) -> None:
        """``begin`` is there if traces are wanted."""
        self.app = app
        self._watch = watch
        self._begin = begin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        request_id = given if _SANE_ID.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        status, sent = 0, 0
        began, start_ns = time.perf_counter(), time.time_ns()

        async def counted(message: Message) -> None:
            nonlocal status, sent
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = request_id
            elif message["type"] == "http.response.body":
                sent += len(message.get("body", b""))
            await send(message)

        parent = place = None
        if self._begin is not None and scope["path"] not in _PROBES:
            parent = Place.parse(headers.get("traceparent"))
            place = self._begin(parent)
        with working_for(Context(request_id=request_id, place=place, watch=self._watch)):
            try:
                await self.app(scope, receive, counted)
            finally:
                # Without a status there was nobody left to answer, or nothing could be said.
                method = scope["method"] if scope["method"] in _METHODS else _OTHER
                route = getattr(scope.get("route"), "path", _OTHER)
                seconds = time.perf_counter() - began
                self._watch.note(
                    "ocr_http_request_seconds", seconds, method, route, str(status or _OTHER)
                )
                _write_down(scope, method, route, status, seconds, sent)
                if place is not None and place.sampled:
                    self._watch.span(_span(place, parent, start_ns, method, route, status))


def _write_down(
    scope: Scope, method: str, route: str, status: int, seconds: float, sent: int
) -> None:
    """A line for the request; the address itself may hold what only its client is to know."""
    level = logging.DEBUG if route in _PROBES else logging.INFO
    if not log.isEnabledFor(level):
        return
    ms = round(seconds * 1000, 1)
    fields: dict[str, Any] = {"method": method, "route": route, "status": status, "ms": ms}
    fields["bytes"] = sent
    access: Access | None = scope["state"].get("access")
    if access is not None:
        fields["client"] = access.name or access.owner[:8]
    log.log(
        level,
        "%s %s %d, %.1f ms, %d bytes, %s",
        *(method, route, status, ms, sent, fields.get("client", "-")),
        extra={EXTRA: fields},
    )


def _span(
    place: Place, parent: Place | None, start_ns: int, method: str, route: str, status: int
) -> Span:
    made = Span(f"{method} {route}", place, parent.span_id if parent else None, start_ns)
    made.end_ns, made.kind = time.time_ns(), "server"
    made.attributes = {"http.request.method": method, "http.route": route}
    if status:
        made.attributes["http.response.status_code"] = status
    if status >= 500 or not status:
        made.error = str(status)
    return made

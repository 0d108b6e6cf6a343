"""What one connection may cost: the time and bytes of a header, a slow reader, and how many are."""

import asyncio
import fcntl
import logging
import resource
import socket
import struct
import sys
import termios
import uuid
from dataclasses import dataclass
from typing import Any, ClassVar, NoReturn, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from app.api.errors import error_response

log = logging.getLogger(__name__)

_HEADER_BYTES = 64 * 2**10
_HEADERS = 100
_WAITING = 16  # Requests of a connection behind the one that is being answered.
_TOO_LARGE = f"The header has more than {_HEADER_BYTES} bytes or {_HEADERS} lines."
_LINGER_S = 2.0  # What comes after a refusal is read for a while, lest a reset overtakes it.
_OTHER_FILES = 300  # Descriptors for all but connections and the one file that each may have open.
CODES = {
    408: "request_timeout",
    429: "too_many_requests",
    431: "header_too_large",
    503: "service_unavailable",
}
"""Codes of what is refused before any route sees it, by status."""

# No lists (RFC 9110, 5.3): of two, a proxy may believe the one and we the other.
_SINGLE = (
    *(b"host", b"content-length", b"content-type", b"transfer-encoding"),
    *(b"authorization", b"x-api-key", b"idempotency-key"),
)


@dataclass(frozen=True, slots=True)
class Pace:
    """The slowest that a client may be."""

    header_s: float  # From the connection, or a request's first byte, to the end of its header.
    silent_s: float  # Without a byte of a body.
    bytes_per_s: int  # On average, of a body or of an answer, after ``silent_s``.


def raise_file_limit(connections: int) -> int:
    """Let this process open the files for ``connections``; how many it can have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * connections + _OTHER_FILES
    if soft < wanted:
        soft = min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    possible = max(1, (soft - _OTHER_FILES) // 2)
    if possible < connections:
        log.warning("With %d file descriptors there are at most %d connections.", soft, possible)
    return min(connections, possible)


def bounded(pace: Pace, most: int) -> type[asyncio.Protocol]:
    """The protocol that uvicorn is to speak: its own, on at most ``most`` connections."""

    class Bounded(_Connection):
        pass

    Bounded.pace, Bounded.most, Bounded.idle = pace, most, {}
    return Bounded


class _Refused(Exception):
    """The connection's ``_reason`` says why."""


class _Connection(HttpToolsProtocol):
    """One connection. It is idle while no request on it is being answered."""

    pace: ClassVar[Pace]
    most: ClassVar[int]
    idle: ClassVar[dict["_Connection", None]]  # Whoever has been idle longest comes first.

    _timer: asyncio.TimerHandle | None = None  # Until the header is whole, or after a refusal.
    _write_timer: asyncio.TimerHandle | None = None
    _refused = False  # What comes now is thrown away.
    _reason: tuple[int, str] | None = None  # Why a header is refused, if not for its form.
    _upgrade: bytes | None = None  # A header that asked for another protocol, without the wish.
    _answering: RequestResponseCycle | None = None
    _unheard = 0  # Bytes that the parser has taken since it last told of a header or a body.
    _header_bytes = _headers = 0

    # What the transport calls.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_header()
        if len(self.connections) <= self.most:
            return
        longest = next(iter(self.idle))
        if longest is not self:
            longest._leave_idleness()  # Its end is told later, perhaps after the next comes.
            longest.transport.abort()  # It makes room for somebody who may have more to say.
        elif len(self.connections) <= 1.1 * self.most + 1:
            self._refuse(503, "The server has too many connections; try again later.")
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._answering is not None:  # uvicorn tells only the last of the pipeline.
            self._answering.disconnected = True
            self._answering.message_event.set()
        self._unset_keepalive_if_required()
        self._leave_idleness()
        self._stop_watching()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._unset_keepalive_if_required()
        self._unheard += len(data)
        try:
            self._feed(data)
            if self._unheard > _HEADER_BYTES:
                self._fail(431, _TOO_LARGE)
        except (HttpParserError, _Refused):
            self._spoiled()
        if self._timer is None and self._is_idle():
            self._await_header()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_writing()

    def resume_writing(self) -> None:
        super().resume_writing()
        if not self.transport.is_closing():
            self._stop_watching()

    # What the parser calls.

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._header_bytes = self._headers = 0

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers += 1
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._unheard = 0
        if self.parser.should_upgrade():
            self._upgrade = self._head_without_upgrade()
            return
        names = [name for name, _ in self.headers]
        if len(set(names)) < len(names) and any(names.count(name) > 1 for name in _SINGLE):
            self._fail(400, "A header that may be there once is there twice.")
        super().on_headers_complete()
        self._leave_idleness()
        if len(self.pipeline) > _WAITING:
            self._fail(429, f"At most {_WAITING} requests may wait for the answer to another.")

    def on_chunk_header(self) -> None:
        self._unheard = 0

    def on_body(self, body: bytes) -> None:
        self._unheard = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._upgrade is None:
            super().on_message_complete()

    # What uvicorn calls.

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answering = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            self._watch_writing()
        elif self._is_idle():
            self.idle[self] = None  # uvicorn's own timer runs until another byte comes.

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._watch_writing()

    # Time.

    def _await_header(self) -> None:
        self.idle[self] = None
        self._timer = self.loop.call_later(self.pace.header_s, self._end_waiting)

    def _leave_idleness(self) -> None:
        self.idle.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end_waiting(self) -> None:
        if self._unheard:
            self._refuse(408, "The header took too long.")
        else:  # Browsers connect before they need to, and are not to be told off for it.
            self.transport.abort()

    def _watch_writing(self) -> None:
        """End the connection unless its client takes the answer at the least pace."""
        self._stop_watching()
        unsent = self._unsent()
        self._write_timer = self.loop.call_later(self.pace.silent_s, self._look, unsent)

    def _stop_watching(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _look(self, unsent: int) -> None:
        if self._unsent() > unsent - self.pace.bytes_per_s * self.pace.silent_s:
            # With a reset: the kernel would keep what is unsent for minutes.
            at_once = struct.pack("ii", 1, 0)
            self._socket().setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
            self.transport.abort()
        else:
            self._watch_writing()

    def _unsent(self) -> int:
        """The bytes of the answer that the client has not got, in our hands or the kernel's."""
        queued = fcntl.ioctl(self._socket().fileno(), termios.TIOCOUTQ, bytes(4))
        return int.from_bytes(queued, sys.byteorder) + self.transport.get_write_buffer_size()

    def _socket(self) -> socket.socket:
        return cast(socket.socket, self.transport.get_extra_info("socket"))

    # Form.

    def _feed(self, data: bytes) -> None:
        """Give ``data`` to the parser, and a request that asks for HTTP/2 or the like once more.

        The parser takes no body behind such a wish, whether we grant it or not: the body would be
        taken for the next request. A server may ignore the wish (RFC 9110, 7.8).
        """
        rest = memoryview(data)
        while True:
            try:
                self.parser.feed_data(rest)
                return
            except HttpParserUpgrade as error:
                head, self._upgrade = self._upgrade, None
                assert head is not None
                self.parser = HttpRequestParser(self)
                self.parser.feed_data(head)
                rest = rest[error.args[0] :]

    def _head_without_upgrade(self) -> bytes:
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._fail(400, "This is no proxy.")
        lines = [b"%s %s HTTP/%s" % (method, self.url, self.parser.get_http_version().encode())]
        lines += [b"%s: %s" % pair for pair in self.headers if pair[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def _count(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > _HEADER_BYTES or self._headers > _HEADERS:
            self._fail(431, _TOO_LARGE)

    def _fail(self, status: int, message: str) -> NoReturn:
        self._reason = status, message
        raise _Refused  # In a call of the parser it stops it, and becomes an error of its own.

    def _spoiled(self) -> None:
        """Refuse what cannot be understood, but never as the answer to an earlier request."""
        status, message = self._reason or (400, "The request is not well-formed HTTP.")
        cycle = self.cycle
        if self._is_idle():
            self._refuse(status, message)
        elif not cycle.more_body:  # The last whole request is answered, and that is all.
            cycle.keep_alive, self._refused = False, True
        elif self.pipeline:
            cycle.keep_alive, self._refused = False, True
            self.pipeline[0] = cycle, _refusal(status, message)  # type: ignore[assignment]
        elif cycle.response_started:
            self.transport.abort()
        else:
            cycle.disconnected = True  # Whoever reads the body hears of it, and says nothing.
            cycle.message_event.set()
            self._refuse(status, message)

    def _refuse(self, status: int, message: str) -> None:
        self._refused = True
        self._leave_idleness()
        response = _refusal(status, message)
        headers = b"".join(b"%s: %s\r\n" % pair for pair in response.raw_headers)
        self.transport.write(STATUS_LINE[status] + headers + b"\r\n" + bytes(response.body))
        self.transport.write_eof()
        if status != 503:  # The place of who found none is nobody's.
            self.idle[self] = None
        self._timer = self.loop.call_later(_LINGER_S, self.transport.abort)

    def _is_idle(self) -> bool:
        return self.cycle is None or (self.cycle.response_complete and not self.pipeline)


def _refusal(status: int, message: str) -> Response:
    request_id = uuid.uuid4().hex
    response = error_response(status, message, CODES.get(status, "invalid_request"), request_id)
    response.headers.update({"X-Request-Id": request_id, "Connection": "close"})
    return response

"""Request bodies: fields are kept in memory, the document streams to a file."""

import asyncio
import hashlib
import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from urllib.parse import parse_qsl

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from app.errors import BadRequest, BodyTooLarge, RequestTooSlow, Unavailable

FILE_FIELDS = ("image_file", "file")
_FIELDS_BYTES = 1 * 2**20  # All fields but the document, with the multipart frame around them.
_MOST_PARTS = 1000
_WRITE_BYTES = 1 * 2**20


@dataclass
class Form:
    """The fields of a request; the document, if there is one, lies at ``file`` once stored."""

    fields: dict[str, str] = field(default_factory=dict)
    file: Path | None = None
    digest: str | None = None  # SHA-256 of it, hexadecimal.
    file_name: str | None = None
    rest: Callable[[], None] = lambda: None

    def store(self) -> None:
        """Write the rest of the document, which is short; it may block. Raises Unavailable."""
        self.rest()

    def get(self, *names: str) -> str | None:
        """The value of the first of ``names`` that was sent; empty is the same as absent.

        Raises BadRequest for what is no text.
        """
        name = next((name for name in names if self.fields.get(name)), None)
        if name is None:
            return None
        if _NO_TEXT.search(self.fields[name]):
            raise BadRequest(f"The field {name} holds characters that are no text.")
        return self.fields[name]

    def flag(self, name: str, *, default: bool) -> bool:
        """What a field says that is 0 or 1. Raises BadRequest."""
        value = self.get(name)
        if value not in (None, "0", "1"):
            raise BadRequest(f"{name} must be 0 or 1.")
        return default if value is None else value == "1"


# JSON can name halves of characters; PostgreSQL keeps no NUL.
_NO_TEXT = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a body may be."""

    file_bytes: int
    silent_s: float  # Longest time without a byte of it.
    bytes_per_s: int  # Slowest that it may come on average, once ``silent_s`` have passed.


def announced_bytes(request: Request, bounds: Bounds) -> int:
    """How long the body is said to be; 0 if it is not. Raises BodyTooLarge."""
    length = request.headers.get("content-length", "")
    said = int(length) if length.isascii() and length.isdigit() else 0
    if said > bounds.file_bytes + _FIELDS_BYTES:
        raise _too_large(bounds.file_bytes)
    return said


_DOCUMENT = (
    "The body must be multipart/form-data with image_file or image_url; "
    "application/x-www-form-urlencoded and application/json can carry image_url."
)


async def read_form(
    request: Request,
    staged: Path,
    bounds: Bounds,
    digested: bool = False,
    wanted: str = _DOCUMENT,
) -> Form:
    """Read the body of ``request``; a document is written to ``staged``, all of it by ``store``.

    ``digested``: its digest is wanted, which takes 2 ms a megabyte. ``wanted`` tells of a body that
    is none of these what it has to be.
    Raises BadRequest, RequestTooSlow, and BodyTooLarge at the first byte too many.
    """
    announced_bytes(request, bounds)
    kind, options = parse_options_header(request.headers.get("content-type"))
    try:
        if kind == b"multipart/form-data":
            if not options.get(b"boundary"):
                raise BadRequest("The Content-Type multipart/form-data names no boundary.")
            parts = _Parts(Form(), staged, bounds.file_bytes, digested)
            return await _read_multipart(request, options[b"boundary"], parts, bounds)
        too_large = BodyTooLarge(
            "A body that is no multipart/form-data may have 1 MB; "
            "send a document as image_file in multipart/form-data."
        )
        chunks = _bounded(request, _FIELDS_BYTES, bounds, too_large)
        body = b"".join([chunk async for chunk in chunks])
    except ClientDisconnect as error:
        raise BadRequest("The connection was closed before the body ended.") from error
    if kind == b"application/x-www-form-urlencoded":
        return Form(_parse_urlencoded(body))
    if kind == b"application/json":
        return Form(_parse_json(body))
    raise BadRequest(wanted)


async def _read_multipart(
    request: Request, boundary: bytes, parts: "_Parts", bounds: Bounds
) -> Form:
    ended = False

    def on_end() -> None:
        nonlocal ended
        ended = True

    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": parts.begin,
                "on_header_begin": parts.header_begin,
                "on_header_field": parts.header_field,
                "on_header_value": parts.header_value,
                "on_header_end": parts.header_end,
                "on_headers_finished": parts.headers_finished,
                "on_part_data": parts.data,
                "on_part_end": parts.end,
                "on_end": on_end,
            },
        )
        most, too_large = bounds.file_bytes + _FIELDS_BYTES, _too_large(bounds.file_bytes)
        async for chunk in _bounded(request, most, bounds, too_large):
            parser.write(chunk)
            if len(parts.pending) >= _WRITE_BYTES:
                await run_in_threadpool(parts.flush)
        parser.finalize()
    except FormParserError as error:
        raise BadRequest("The multipart/form-data body is malformed.") from error
    finally:
        parts.close()
    if not ended:
        raise BadRequest("The multipart/form-data body is cut off.")
    parts.decode_fields()
    parts.form.rest = parts.finish
    return parts.form


class _Parts:
    """Takes the parser's calls: the document's bytes to a file, fields to memory."""

    def __init__(self, form: Form, staged: Path, most: int, digested: bool) -> None:
        self.form = form
        self.staged = staged
        self.most = most
        self.pending = bytearray()  # Bytes of the document that are not written yet.
        self._out: BinaryIO | None = None
        self._count = self._fields_size = self._file_size = 0
        self._values: dict[str, bytearray] = {}
        self._headers: dict[bytes, bytes] = {}
        self._header = (bytearray(), bytearray())
        self._sink: bytearray | None = None
        self._in_file = False
        self._file_part: int | None = None  # Which part holds the document.
        self._file_name = ""
        self._digest = hashlib.sha256() if digested else None

    def begin(self) -> None:
        self._count += 1
        if self._count > _MOST_PARTS:
            raise BadRequest(f"The body has more than {_MOST_PARTS} parts.")
        self._headers = {}

    def header_begin(self) -> None:
        self._header = (bytearray(), bytearray())

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self._header[0].extend(data[start:end])

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1].extend(data[start:end])

    def header_end(self) -> None:
        self._headers[bytes(self._header[0]).lower()] = bytes(self._header[1])

    def headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        self._in_file = name in FILE_FIELDS
        if self._in_file:
            self._sink = self.pending
            self._file_name = options.get(b"filename", b"").decode("utf-8", "replace")
        else:
            self._sink = self._values[name] = bytearray()

    def data(self, data: bytes, start: int, end: int) -> None:
        assert self._sink is not None
        if start == end:
            return
        if self._in_file:
            if self._file_part is None:  # One that stays empty is absent.
                self._file_part = self._count
                self.form.file_name = self._file_name.replace("\0", "") or None
            elif self._file_part != self._count:
                raise BadRequest("Send one document: image_file was sent twice.")
            self._file_size += end - start
            if self._file_size > self.most:
                raise _too_large(self.most)
        else:
            self._fields_size += end - start
            if self._fields_size > _FIELDS_BYTES:
                raise BadRequest("The fields other than image_file are longer than 1 MB.")
        self._sink.extend(memoryview(data)[start:end])

    def end(self) -> None:
        self._sink = None

    def flush(self) -> None:
        """Write what is pending; the file is made when its first byte is."""
        if not self.pending:
            return
        try:
            if self._out is None:
                self.staged.parent.mkdir(parents=True, exist_ok=True)
                first = self.form.file is None
                self._out = self.staged.open("wb" if first else "ab", buffering=0)
                self.form.file = self.staged
            self._out.write(self.pending)
            if self._digest is not None:
                self._digest.update(self.pending)
        except OSError as error:
            raise Unavailable("The server's disk is full or fails; try again later.") from error
        self.pending.clear()

    def close(self) -> None:
        if self._out is not None:
            self._out.close()
            self._out = None

    def finish(self) -> None:
        self.flush()
        self.close()
        if self.form.file is not None and self._digest is not None:
            self.form.digest = self._digest.hexdigest()

    def decode_fields(self) -> None:
        for name, value in self._values.items():
            try:
                self.form.fields[name] = value.decode("utf-8")
            except UnicodeDecodeError as error:
                raise BadRequest(f"The field {name} is not UTF-8.") from error


async def _bounded(
    request: Request, most: int, bounds: Bounds, too_large: BodyTooLarge
) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    began, size = loop.time(), 0
    chunks = request.stream()
    while True:
        due = min(loop.time(), began + size / bounds.bytes_per_s) + bounds.silent_s
        try:
            async with asyncio.timeout_at(due):
                chunk = await anext(chunks, None)
        except TimeoutError as error:
            raise RequestTooSlow("The body comes too slowly, or has stopped coming.") from error
        if chunk is None:
            return
        size += len(chunk)
        if size > most:
            raise too_large
        yield chunk


def _parse_urlencoded(body: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_PARTS)
    except ValueError as error:  # UnicodeDecodeError is one too.
        raise BadRequest("The form-urlencoded body is malformed.") from error
    return _without_file(dict(pairs))


def _parse_json(body: bytes) -> dict[str, str]:
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest("The JSON body is malformed.") from error
    if not isinstance(values, dict):
        raise BadRequest("The JSON body must be an object.")
    fields = {}
    for name, value in values.items():
        if isinstance(value, bool | int) and name in ("sync", "return_text", "pdfa"):
            fields[name] = str(int(value))
        elif isinstance(value, str):
            fields[name] = value
        elif value is not None and name in _TEXT_FIELDS:
            raise BadRequest(f"The field {name} must be a string.")
    return _without_file(fields)


_TEXT_FIELDS = frozenset(
    {*FILE_FIELDS, "image_url", "url", "format", "language", "password"}
    | {"callback_url", "filename", "sync", "return_text", "pdfa", "mode"}
)


def _without_file(fields: dict[str, str]) -> dict[str, str]:
    if any(fields.get(name) for name in FILE_FIELDS):
        raise BadRequest("image_file must be sent as multipart/form-data.")
    return fields


def _too_large(most: int) -> BodyTooLarge:
    return BodyTooLarge(f"The document is larger than {most} bytes.")

"""HTTP spoken by hand over a socket, as no decent client would."""

import json
from contextlib import suppress
from dataclasses import dataclass, field
from socket import create_connection, socket
from typing import Any

from tests.server import TOKEN, Server

AUTH = f"Host: x\r\nAuthorization: Bearer {TOKEN}\r\n"


@dataclass
class Reply:
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Wire:
    """A connection to a server; every wait has an end."""

    server: Server
    socket: socket = field(init=False)
    _unread: bytes = b""

    def __post_init__(self) -> None:
        self.socket = create_connection(("127.0.0.1", self.server.port), timeout=60)

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes | str) -> None:
        self.socket.sendall(data.encode() if isinstance(data, str) else data)

    def post(
        self, body: bytes, kind: str = "multipart/form-data; boundary=b", more: str = ""
    ) -> Reply:
        """The answer to a whole request; one that comes before its end is an answer too."""
        head = f"POST /task/pic/ocr HTTP/1.1\r\n{AUTH}Content-Type: {kind}\r\n{more}"
        with suppress(ConnectionError):
            self.send(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        return self.reply()

    def get(self, path: str, more: str = "") -> Reply:
        self.send(f"GET {path} HTTP/1.1\r\n{AUTH}{more}\r\n")
        return self.reply()

    def reply(self, head_only: bool = False) -> Reply:
        """The next answer; EOFError if the server ends the connection instead."""
        head = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        pairs = (line.split(": ", 1) for line in head[1:-2])
        headers = {name.lower(): value for name, value in pairs}
        status = int(head[0].split()[1])
        if head_only or status == 100:
            return Reply(status, headers, b"")
        if headers.get("transfer-encoding") != "chunked":
            return Reply(status, headers, self._exactly(int(headers["content-length"])))
        body = b""
        while size := int(self._until(b"\r\n"), 16):
            body += self._exactly(size + 2)[:-2]
        self._exactly(2)
        return Reply(status, headers, body)

    def is_ended(self) -> bool:
        """Whether the server ends the connection without another word."""
        try:
            return not (self._unread or self.socket.recv(1))
        except ConnectionError:
            return True

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._unread:
            self._receive()
        found, self._unread = self._unread.split(mark, 1)
        return found + mark

    def _exactly(self, size: int) -> bytes:
        while len(self._unread) < size:
            self._receive()
        found, self._unread = self._unread[:size], self._unread[size:]
        return found

    def _receive(self) -> None:
        data = self.socket.recv(2**20)
        if not data:
            raise EOFError
        self._unread += data


def part(name: str, value: bytes | str, more: str = "") -> bytes:
    """A part of a body with the boundary ``b``."""
    content = value.encode() if isinstance(value, str) else value
    head = f'--b\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
    return head.encode() + content + b"\r\n"


def file_part(content: bytes, more: str = '; filename="a.png"') -> bytes:
    return part("image_file", content, more)


END = b"--b--\r\n"

"""Clients of a server that each send the same document again as soon as they have its result.

Usage: python -m benchmarks.load PORT TOKEN FILE CLIENTS SECONDS [FIELD=VALUE ...]

One thread, connections that are kept, and a request that was prepared: the clients are to leave the
cores to the server that is measured. Prints a line of JSON: what ``Load`` has.
"""

import dataclasses
import json
import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_BOUNDARY = "ocr-load"
_COMPLETE = b'"state":1,'


@dataclass(frozen=True, slots=True)
class Load:
    """What clients met with."""

    seconds: float  # From the first request to the last answer.
    latencies_s: tuple[float, ...]  # Of complete tasks, sorted.
    failed: int  # Answers that were no complete task.
    cpu_s: float  # Processor time of the clients themselves.

    @property
    def per_s(self) -> float:
        """Complete tasks a second."""
        return len(self.latencies_s) / self.seconds

    def quantile_s(self, share: float) -> float:
        """The latency that this share of the tasks did not exceed; 0 without any."""
        last = len(self.latencies_s) - 1
        return self.latencies_s[round(share * last)] if self.latencies_s else 0.0


def load(port: int, token: str, file: Path, clients: int, seconds: float, **fields: str) -> Load:
    """What so many ``clients`` meet with, in a process of their own."""
    words = [str(port), token, str(file), str(clients), str(seconds)]
    words += [f"{name}={value}" for name, value in fields.items()]
    command = [sys.executable, "-m", "benchmarks.load", *words]
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found = json.loads(told)
    return Load(**found | {"latencies_s": tuple(found["latencies_s"])})


def main(arguments: Sequence[str]) -> None:
    """Send and print."""
    port, token, file, clients, seconds, *fields = arguments
    request = _request(token, Path(file), dict(field.split("=", 1) for field in fields))
    found = _drive(int(port), request, int(clients), float(seconds))
    print(json.dumps(dataclasses.asdict(found)))


@dataclass(slots=True)
class _Client:
    """One connection, and the answer that is coming in."""

    line: socket.socket
    sent_at: float = 0.0
    answer: bytes = b""


def _request(token: str, file: Path, fields: dict[str, str]) -> bytes:
    """All bytes of a POST of the file."""
    start = f"--{_BOUNDARY}\r\nContent-Disposition: form-data; name="
    parts = [f'{start}"{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()]
    kind = "Content-Type: application/octet-stream"
    parts.append(f'{start}"image_file"; filename="{file.name}"\r\n{kind}\r\n\r\n')
    end = f"\r\n--{_BOUNDARY}--\r\n"
    body = "".join(parts).encode() + file.read_bytes() + end.encode()
    lines = (
        "POST /task/pic/ocr HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {token}",
        f"Content-Type: multipart/form-data; boundary={_BOUNDARY}",
        f"Content-Length: {len(body)}",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def _drive(port: int, request: bytes, clients: int, seconds: float) -> Load:
    latencies: list[float] = []
    failed = 0
    with selectors.DefaultSelector() as selector:
        began = last = time.perf_counter()
        for _ in range(clients):
            client = _Client(socket.create_connection(("127.0.0.1", port), timeout=60))
            client.line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(client.line, selectors.EVENT_READ, client)
            _send(client, request)
        while selector.get_map():
            for key, _ in selector.select():
                client = key.data
                client.answer += client.line.recv(2**16)
                if (complete := _outcome(client.answer)) is None:
                    continue
                last = time.perf_counter()
                if complete:
                    latencies.append(last - client.sent_at)
                else:
                    failed += 1
                    print(client.answer[:500], file=sys.stderr)
                if last < began + seconds:
                    _send(client, request)
                else:
                    selector.unregister(client.line)
                    client.line.close()
    used = os.times()
    return Load(last - began, tuple(sorted(latencies)), failed, used.user + used.system)


def _send(client: _Client, request: bytes) -> None:
    client.answer = b""
    client.sent_at = time.perf_counter()
    client.line.sendall(request)


def _outcome(answer: bytes) -> bool | None:
    """Whether the answer is a complete task; None while it is not all here."""
    head, found, body = answer.partition(b"\r\n\r\n")
    if not answer:
        raise ConnectionError("the server ended the connection")
    if not found:
        return None
    _, named, length = head.lower().partition(b"content-length:")
    # Without its length it comes in chunks, of which the last is empty.
    if named:
        is_whole = len(body) >= int(length.partition(b"\r\n")[0])
    else:
        is_whole = body.endswith(b"0\r\n\r\n")
    return _COMPLETE in body.replace(b" ", b"") if is_whole else None


if __name__ == "__main__":
    main(sys.argv[1:])

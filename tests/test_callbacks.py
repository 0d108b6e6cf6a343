"""Reports reach a real listener, signed."""

import hashlib
import hmac
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from app import callbacks
from app.fetch import Fetcher


class _Listener(HTTPServer):
    status = 204
    seen: list[tuple[dict[str, str], str]]


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, _Listener)
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.seen.append((dict(self.headers), body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def listener() -> Iterator[_Listener]:
    with _Listener(("127.0.0.1", 0), _Handler) as server:
        server.seen = []
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def _deliver(listener: _Listener) -> bool:
    port = listener.server_port
    fetcher = Fetcher(1000, 5, open_networks=["127.0.0.0/8"], open_ports=[port])
    return callbacks.deliver(fetcher, f"http://127.0.0.1:{port}/done", '{"a": 1}', "key")


def test_a_report_is_signed(listener: _Listener) -> None:
    """The receiver can tell that it is ours, and when it was sent."""
    assert _deliver(listener)

    ((headers, body),) = listener.seen
    assert body == '{"a": 1}'
    signed = f"{headers['X-OCR-Timestamp']}.{body}".encode()
    expected = hmac.new(b"key", signed, hashlib.sha256).hexdigest()
    assert headers["X-OCR-Signature"] == f"sha256={expected}"
    assert headers["Content-Type"] == "application/json"


def test_a_refusal_is_no_delivery(listener: _Listener) -> None:
    """Anything but a 2xx is tried again."""
    listener.status = 500

    assert not _deliver(listener)


def test_inside_addresses_get_no_report(listener: _Listener) -> None:
    """The guard is the one that downloads have."""
    url = f"http://127.0.0.1:{listener.server_port}/done"
    fetcher = Fetcher(1000, 5, open_ports=[listener.server_port])

    assert not callbacks.deliver(fetcher, url, "{}", "key")
    assert listener.seen == []


def test_the_waits_grow_and_end() -> None:
    """After the last try there is no other."""
    waits = [callbacks.retry_at(n) for n in range(1, len(callbacks.RETRY_S) + 2)]

    assert waits[-1] is None
    known = [wait for wait in waits if wait is not None]
    assert known == sorted(known)

"""A collector of traces for the tests, which takes OTLP as any does; and reports, too."""

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Received:
    """A span as a collector sees it."""

    name: str
    kind: int
    trace_id: str
    span_id: str
    parent: str  # Empty for the first of a trace.
    start_ns: int
    end_ns: int
    attributes: dict[str, str | int]
    service: str


class Collector:
    """What came."""

    def __init__(self) -> None:
        self.spans: list[Received] = []
        self.keys: set[str | None] = set()  # Of a header.
        self.callbacks: list[str | None] = []  # The trace that others name.
        self.port = 0

    def until(self, enough: Callable[[list[Received]], bool], seconds: float = 30) -> None:
        end = time.monotonic() + seconds
        while not enough(self.spans):
            assert time.monotonic() < end, [span.name for span in self.spans]
            time.sleep(0.02)

    def take(self, body: bytes) -> None:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = {a.key: a.value.string_value for a in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += [
                    Received(
                        span.name,
                        span.kind,
                        span.trace_id.hex(),
                        span.span_id.hex(),
                        span.parent_span_id.hex(),
                        span.start_time_unix_nano,
                        span.end_time_unix_nano,
                        {a.key: a.value.string_value or a.value.int_value for a in span.attributes},
                        service["service.name"],
                    )
                    for span in scope.spans
                ]


@contextmanager
def collector(status: int = 200) -> Iterator[Collector]:
    """A collector on a free port, perhaps one that refuses."""
    found = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers["Content-Encoding"] == "gzip":
                body = gzip.decompress(body)
            if self.path == "/v1/traces":
                found.keys.add(self.headers["X-Key"])
                found.take(body)
            else:
                found.callbacks.append(self.headers["traceparent"])
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

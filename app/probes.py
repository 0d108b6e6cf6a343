"""A port of its own for those who watch: figures, whether it lives, whether it is ready.

Nothing is asked of whoever reads them: it is for a network where only such are.
"""

import json
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from app.readiness import Readiness

_SILENT_S = 10.0  # After which a connection is ended.

Text = Callable[[str], tuple[bytes, str]]
"""The figures, and their media type, for what a request accepts."""


def serve(
    listener: socket.socket, text: Text, readiness: Readiness, hangs: Callable[[], bool]
) -> None:
    """Answer on ``listener`` in the background, as long as the process lives.

    ``hangs``: it lives, but does nothing any more.
    """
    server = _Server(listener, text, readiness, hangs)
    threading.Thread(target=server.serve_forever, name="probes", daemon=True).start()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(
        self,
        listener: socket.socket,
        text: Text,
        readiness: Readiness,
        hangs: Callable[[], bool],
    ) -> None:
        super().__init__(listener.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.text = text
        self.readiness = readiness
        self.hangs = hangs

    def handle_error(self, request: object, client_address: object) -> None:
        """Whoever goes away before the answer is not worth a line."""


class _Handler(BaseHTTPRequestHandler):
    timeout = _SILENT_S

    @property
    def _ours(self) -> _Server:
        assert isinstance(self.server, _Server)
        return self.server

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._answer(200, *self._ours.text(self.headers.get("Accept", "")))
        elif path == "/healthz":
            if self._ours.hangs():
                self._say(503, {"message": "The supervision of the workers hangs."})
            else:
                self._say(200, {"status": "ok"})
        elif path == "/readyz":
            lacking = self._ours.readiness.why_not()
            said = {"status": "ready"} if lacking is None else {"message": lacking}
            self._say(200 if lacking is None else 503, said)
        else:
            self._say(404, {"message": "There are /metrics, /healthz and /readyz."})

    def _say(self, status: int, said: dict[str, str]) -> None:
        self._answer(status, json.dumps(said).encode(), "application/json")

    def _answer(self, status: int, body: bytes, media_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Probes come every few seconds."""

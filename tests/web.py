"""A web server for tests of what fetches from it; it can misbehave in any way."""

import socket
import ssl
import threading
from collections.abc import Callable


class Server:
    """An HTTP server on a free port of 127.0.0.1 that counts who connects."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.answers: dict[str, Callable[[socket.socket], None] | bytes] = {}
        self.connections = 0
        self.requests: list[str] = []
        self.stopping = threading.Event()
        self._context = context
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listening.getsockname()[1])
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def stop(self) -> None:
        self.stopping.set()
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(client,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            try:
                if self._context:
                    with self._context.wrap_socket(client, server_side=True) as secure:
                        self._answer(secure)
                else:
                    self._answer(client)
            except OSError:
                pass  # The client left: some tests are about that.

    def _answer(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            received = client.recv(65536)
            if not received or received[0] == 22:  # The first byte of TLS.
                return
            head += received
        self.requests.append(head.decode())
        answer = self.answers.get(head.split()[1].decode(), b"HTTP/1.1 404 No\r\n\r\n")
        if isinstance(answer, bytes):
            client.sendall(answer)
        else:
            answer(client)


def ok(body: bytes, *headers: str) -> bytes:
    lines = ["HTTP/1.1 200 OK", *(headers or [f"Content-Length: {len(body)}"]), "", ""]
    return "\r\n".join(lines).encode() + body


def redirect(location: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()

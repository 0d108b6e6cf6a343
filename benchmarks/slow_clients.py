"""Clients that keep connections and say next to nothing, as an attacker's do (slowloris)."""

import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_EVERY_S = 1.0  # Each sends a byte this often.


@contextmanager
def slow_clients(port: int, token: str, count: int) -> Iterator[None]:
    """``count`` of them at the local ``port``: half with a header, half with a body without end.

    Whoever is put out comes back at once.
    """
    body = (
        f"POST /task/pic/ocr HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 99999999\r\n\r\n--b\r\n"
        'Content-Disposition: form-data; name="image_file"\r\n\r\n'
    ).encode()
    starts = [b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ", body]
    ended = threading.Event()

    def keep() -> None:
        clients = [_connected(port, starts[n % 2]) for n in range(count)]
        while not ended.wait(_EVERY_S / max(1, count)):
            n = random.randrange(count)  # noqa: S311
            try:
                clients[n].send(b"x")
                clients[n].recv(1000)
                raise ConnectionError  # An answer: it is put out.
            except BlockingIOError:
                continue
            except ConnectionError:
                clients[n].close()
                clients[n] = _connected(port, starts[n % 2])
        for client in clients:
            with suppress(OSError):
                client.close()

    if not count:
        yield
        return
    thread = threading.Thread(target=keep)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _connected(port: int, start: bytes) -> socket.socket:
    client = socket.create_connection(("127.0.0.1", port), timeout=30)
    client.send(start)
    client.setblocking(False)
    return client

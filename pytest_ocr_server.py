"""A pytest plugin: the OCR server's stub, for tests of its clients.

A module of its own, and one that imports little: it is loaded wherever the package is installed.
Who has a package called ``app``, too, installs this one elsewhere and starts ``serve --stub``
there: in one environment, the one would hide the other.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import subprocess

_ENDS_S = 10


@dataclass(frozen=True)
class OcrRequest:
    """A request that came."""

    method: str
    path: str
    headers: dict[str, str]
    """By names in lower case."""

    fields: dict[str, str] | None
    """The fields of the form but for the document; None if there was no form."""

    file: dict[str, Any] | None
    """``name``, ``size`` and ``sha256`` of the document that was sent."""

    status: int | None
    """Of the answer; None if the connection was dropped."""


class OcrServer:
    """A running stub."""

    token = "sk-stub"  # noqa: S105

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.headers = {"Authorization": f"Bearer {self.token}"}
        self._port = port

    def script(self, *scripts: str) -> None:
        """Say what becomes of the next documents, each with one of ``scripts``.

        Raises ValueError for what is no script.
        """
        for script in scripts:
            self._ask("POST", "/stub/scripts", script)

    @property
    def requests(self) -> list[OcrRequest]:
        """What came since the test began, oldest first."""
        return [OcrRequest(**each) for each in self._ask("GET", "/stub/requests")["requests"]]

    def reset(self) -> None:
        """Forget requests, and scripts that no document has used."""
        self._ask("DELETE", "/stub/requests")

    def _ask(self, method: str, path: str, body: str = "") -> dict[str, Any]:
        from http.client import HTTPConnection

        with contextlib.closing(HTTPConnection("127.0.0.1", self._port, timeout=30)) as connection:
            connection.request(method, path, body.encode(), self.headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
        if response.status != 200:
            raise ValueError(answer["message"])
        return dict(answer["data"])


@pytest.fixture(scope="session")
def ocr_server_session() -> Iterator[OcrServer]:
    """The server of all tests, for fixtures that live as long; it starts when first asked for."""
    with tempfile.TemporaryFile() as log, _process(log) as process:
        assert process.stdout is not None
        for line in process.stdout:
            word, _, address = line.partition(b":")
            if word == b"Address":
                yield OcrServer(int(address.rpartition(b":")[2]))
                return
        log.seek(0)
        pytest.fail(f"The OCR server did not start:\n{log.read().decode(errors='replace')}")


@pytest.fixture
def ocr_server(ocr_server_session: OcrServer) -> OcrServer:
    """The server, which has forgotten the scripts and requests of other tests."""
    ocr_server_session.reset()
    return ocr_server_session


@contextlib.contextmanager
def _process(log: IO[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    import subprocess

    # No setting of the tests' own environment counts, and no package of theirs.
    odd = ("OCR_", "PYTHONPATH", "PYTHONWARNINGS")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(odd)}
    command = [sys.executable, "-P", "-m", "app.cli", "serve", "--stub", "--port", "0"]
    process = subprocess.Popen(  # noqa: S603
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_ENDS_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        assert process.stdout is not None
        process.stdout.close()

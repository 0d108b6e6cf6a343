"""A real server in processes of its own, for tests that go through its front door."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from sqlalchemy import text

from app import database
from tests import stack
from tests.services import LOCAL, free_port

TOKEN = "sk-e2e"


@dataclass
class Server:
    """``ocr-server serve`` or ``worker`` on a data folder; started and killed as a test likes."""

    folder: Path
    settings: dict[str, str]
    log: Path | None = None
    port: int = 0
    command: str = "serve"  # Or "worker", which has no address.
    address: str = LOCAL
    prefix: Sequence[str] = ()  # What it is started by.
    process: subprocess.Popen[bytes] | None = None

    @property
    def base(self) -> str:
        return f"http://{self.address}:{self.port}"

    def start(self) -> None:
        self.process = self.launch()
        self.until(self.is_ready)

    def launch(self) -> "subprocess.Popen[bytes]":
        """A process that is to become the server."""
        self.port = self.port or free_port()
        environment = {
            **os.environ,
            "OCR_DATA_DIR": str(self.folder),
            "OCR_HOST": self.address,
            "OCR_PORT": str(self.port),
            "OCR_TOKENS": TOKEN,
            **stack.settings(self.folder),
            **self.settings,
        }
        with (self.log or self.folder.parent / "server.log").open("ab") as log:
            command = [*self.prefix, sys.executable, "-m", "app.cli", self.command]
            return subprocess.Popen(command, env=environment, stderr=log)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(60)

    def kill(self) -> None:
        """End the server and nothing else, as ``kill -9`` does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def kill_a_worker(self) -> None:
        os.kill(self.workers()[0], signal.SIGKILL)

    def workers(self) -> list[int]:
        """The process ids of the workers."""
        assert self.process is not None
        children = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return [int(pid) for path in children for pid in path.read_text().split()]

    def post(self, content: bytes, **fields: str) -> dict[str, Any]:
        """The record after a POST of ``content``."""
        response = httpx2.post(
            self.base + "/task/pic/ocr",
            headers={"Authorization": f"Bearer {TOKEN}"},
            files={"image_file": ("document", content)},
            data=fields,
            timeout=150,
        )
        assert response.status_code == 200, response.text
        return dict(response.json()["data"])

    def poll(self, task_id: str) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        response = httpx2.get(f"{self.base}/task/{task_id}", headers=headers)
        return dict(response.json()["data"])

    def result(self, record: dict[str, Any]) -> bytes:
        response = httpx2.get(record["file"])
        assert response.status_code == 200
        return response.content

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What the server's database answers."""
        sessions = database.connect(stack.database_url(self.folder))
        with sessions() as session:
            found = [tuple(row) for row in session.execute(text(query))]
        sessions.kw["bind"].dispose()
        return found

    def until(self, condition: Any, seconds: float = 120) -> Any:
        """What ``condition`` gives once it is true."""
        end = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < end, "took too long"
            time.sleep(0.05)
        return found

    def is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, "the server ended at its start"
        if self.command == "worker":
            return bool(self.workers())
        try:
            return httpx2.get(self.base + "/readyz").status_code == 200
        except httpx2.TransportError:
            return False

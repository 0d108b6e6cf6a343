"""Two machines, PostgreSQL, Redis and S3 on a network: cables that are pulled, servers that go."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2
import psycopg
import pytest

from app import languages, wiring
from app.config import Settings
from app.pipeline import Order
from tests import hosts, services
from tests.hosts import Host, Network, Service
from tests.pictures import frames
from tests.server import TOKEN, Server

PAGES = 8
LEASE_S = 3
TURN = {"format": "txt", "language": "English", "sync": "0"}


@dataclass
class Stack:
    """``front`` serves clients and works; ``back`` works."""

    front: Server
    back: Server
    hosts: tuple[Host, Host]  # Theirs.
    inner: Network  # With the services.
    database: Service[str]
    queue: Service[str]
    files: Service[services.S3]
    url: str  # Of the database.
    client: httpx2.Client
    document: bytes
    text: str

    def ask(self, method: str, path: str, **how: Any) -> httpx2.Response:
        return self.client.request(method, self.front.base + path, **how)

    def send(self) -> httpx2.Response:
        document = {"image_file": self.document}
        return self.ask("POST", "/task/pic/ocr", files=document, data=TURN)

    def post(self) -> str:
        sent = self.send()
        assert sent.status_code == 200, sent.text
        return str(sent.json()["data"]["task_id"])

    def rows(self, statement: str, *values: Any) -> list[Any]:
        with psycopg.connect(self.url) as line:
            return line.execute(statement, values).fetchall()

    def held(self, task_id: str) -> set[str]:
        """Who is at a task."""
        found = self.rows(
            "SELECT leased_by FROM parts WHERE task_id = %s UNION SELECT leased_by FROM tasks"
            " WHERE id = %s",
            *(task_id, task_id),
        )
        return {name for (name,) in found if name}

    def is_at(self, machine: Server, task_id: str) -> set[str]:
        return self.held(task_id) & {
            path.stem for path in (machine.folder / "workers").glob("*.lock")
        }

    def done(self, task_id: str, seconds: float = 40) -> None:
        """Wait for the end, which is the right one, and of one winner."""
        record = self.front.until(lambda: self._end(task_id), seconds)
        assert record["state"] == 1, record
        assert record["file_pages"] == record["ocr_pages"] == PAGES
        assert self.client.get(record["file"]).text == self.text
        assert len(self.text) == record["output_size"]
        assert self.rows("SELECT * FROM parts WHERE task_id = %s", task_id) == []
        assert self.held(task_id) == set()

    def _end(self, task_id: str) -> Any:
        answer = self.ask("GET", f"/task/{task_id}")
        if answer.status_code != 200 or answer.json()["data"]["state"] in (0, 2, 3, 4):
            return None
        return answer.json()["data"]

    def take_hold(self, machine: Server) -> str:
        """A task of which the machine does a part; it may still be starting."""
        while True:
            task_id = self.post()
            while not self.is_at(machine, task_id):
                if self._end(task_id):
                    break
                time.sleep(0.1)
            else:
                return task_id


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    if (why := hosts.unable()) and not os.environ.get("CI"):
        pytest.skip(why)
    folder = tmp_path_factory.mktemp("hosts")
    with ExitStack() as context:
        enter = context.enter_context
        inner, outer = enter(hosts.network()), enter(hosts.network())
        rows = enter(TemporaryDirectory(prefix="ocr-pg-"))  # For another user.
        database = Service(partial(services.postgresql, folder=rows), 5432, inner.address)
        queue = Service(services.redis, 6379, inner.address)
        (folder / "s3").mkdir()
        files = Service(partial(services.s3, folder=str(folder / "s3")), 9000, inner.address)
        for each in (database, queue, files):
            context.callback(each.stop)
        url, store = database.start(), files.start()
        shared = {
            "OCR_DATABASE_URL": url.replace("postgresql://", "postgresql+psycopg://"),
            "OCR_QUEUE_URL": queue.start(),
            "OCR_STORAGE_URL": store.url,
            "OCR_ENGINE": "stub",
            "OCR_STUB_PAGE_S": "0.3",
            "OCR_WORKERS": "1",
            "OCR_TURN_S": "0",
            "OCR_LEASE_S": str(LEASE_S),
            "OCR_SECRET": "one",
            **store.environment,
        }
        sides = (enter(hosts.host()), enter(hosts.host()))
        for side in sides:
            inner.join(side)
        front, back = (
            Server(folder / name, shared, folder / f"{name}.log", prefix=side.prefix)
            for name, side in zip(("front", "back"), sides, strict=True)
        )
        front.address = outer.join(sides[0])
        back.command = "worker"
        for machine in (front, back):
            machine.folder.mkdir()
            context.callback(machine.stop)
            machine.start()
        document = frames([f"PAGE {n}" for n in range(PAGES)])
        text = _text(folder, document)
        headers = {"Authorization": f"Bearer {TOKEN}"}
        client = enter(httpx2.Client(headers=headers, timeout=60))
        yield Stack(front, back, sides, inner, database, queue, files, url, client, document, text)


def _text(folder: Path, document: bytes) -> str:
    """What is to come of a document."""
    source, target = folder / "source", folder / "text"
    source.write_bytes(document)
    pipeline = wiring.pipeline(Settings(engine="stub", data_dir=folder / "data"))
    order = Order("txt", languages.parse("English"))
    pipeline.run(order, source, folder, target, lambda *_: None)
    pipeline.close()
    return target.read_text()


def test_the_work_of_a_machine_that_is_cut_off(stack: Stack) -> None:
    """Others do it after a lease; when it is back, it drops what it did, and goes on."""
    task_id = stack.take_hold(stack.back)
    with stack.inner.cut(stack.hosts[1]):
        stack.front.until(lambda: not stack.is_at(stack.back, task_id))
        stack.done(task_id)

    stack.done(stack.take_hold(stack.back))
    stack.back.until(lambda: not [*(stack.back.folder / "work").iterdir()])


def test_a_server_that_is_cut_off(stack: Stack) -> None:
    """It says so soon, and answers again as soon as it can; the others do the work."""
    task_id = stack.take_hold(stack.back)
    with stack.inner.cut(stack.hosts[0]):
        for path in (f"/task/{task_id}", "/readyz", f"/task/{task_id}"):
            began = time.monotonic()
            assert stack.ask("GET", path).status_code == 503
            assert time.monotonic() - began < 15
        assert stack.send().status_code == 503
        done = "SELECT 1 FROM tasks WHERE id = %s AND state = 1"
        stack.front.until(lambda: stack.rows(done, task_id))

    stack.done(task_id)
    stack.done(stack.take_hold(stack.front))


def test_whoever_is_restarted(stack: Stack) -> None:
    """A Redis that has forgotten all, PostgreSQL, S3 and our own, in this order or that."""
    first = stack.take_hold(stack.back)
    stack.queue.stop()
    second = stack.post()
    stack.queue.start()
    stack.database.stop()
    time.sleep(0.5)
    stack.database.start()
    third = stack.front.until(lambda: _tried(stack))
    stack.files.stop()
    time.sleep(2)
    stack.files.start()
    for each in (first, second, third):
        stack.done(each)

    fourth = stack.take_hold(stack.front)
    stack.front.stop()
    stack.queue.stop()
    stack.back.kill()
    stack.queue.start()
    stack.back.start()
    stack.front.start()
    stack.done(fourth)


def _tried(stack: Stack) -> str | None:
    answer = stack.send()
    return str(answer.json()["data"]["task_id"]) if answer.status_code == 200 else None


def test_a_machine_that_is_stopped(stack: Stack) -> None:
    """As by a hypervisor: what it held is another's, whose result stays when it goes on."""
    task_id = stack.take_hold(stack.back)
    assert stack.back.process is not None
    with _stopped([stack.back.process.pid, *stack.back.workers()]):
        stack.done(task_id)
    stack.done(stack.take_hold(stack.back))
    stack.done(task_id)


@contextlib.contextmanager
def _stopped(pids: list[int]) -> Iterator[None]:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)

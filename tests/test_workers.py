"""Real processes, and ``kill -9`` at bad moments."""

import ctypes
import multiprocessing
import os
import signal
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.workers import environment, work
from tests.pictures import frames
from tests.server import Server

PAGES = 20


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "data", {"OCR_WORKERS": "1", "OCR_TURN_S": "0"})
    (tmp_path / "data").mkdir()
    server.start()
    yield server
    server.stop()


def _under_way(server: Server, task_id: str, pages: int) -> bool:
    record = server.poll(task_id)
    return bool(record["state"] == 4 and record["progress"] >= 100 * pages // PAGES)


def _finished_parts(server: Server) -> int:
    with sqlite3.connect(server.folder / "ocr.db") as database:
        (count,) = database.execute("SELECT count(*) FROM parts WHERE finished").fetchone()
    return int(count)


def _kept(server: Server) -> set[str]:
    parts = ("files", "work", "staging", "workers")
    kept = {p for part in parts for p in (server.folder / part).rglob("*") if p.is_file()}
    return {str(p.relative_to(server.folder)) for p in kept if p.suffix != ".lock"}


def test_workers_ask_for_large_pages_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    assert environment() == {**os.environ, "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
    monkeypatch.setenv("GLIBC_TUNABLES", "")
    assert environment()["GLIBC_TUNABLES"] == ""


def test_kill_the_worker_then_the_server(server: Server) -> None:
    """The task goes on after both from where it was, and nothing is left half written."""
    document = frames([f"PAGE {n}" for n in range(PAGES)])
    task_id = server.post(document, sync="0", language="English", format="pdf")["task_id"]

    server.until(lambda: _under_way(server, task_id, 3))
    first = server.workers()
    server.kill_a_worker()
    server.until(lambda: server.workers() and server.workers() != first)
    server.until(lambda: _under_way(server, task_id, 8))
    server.kill()
    server.start()
    before = _finished_parts(server)
    record = server.until(lambda: (r := server.poll(task_id))["state"] in (1, -9) and r)

    assert before
    assert record["state"] == 1
    assert record["file_pages"] == record["ocr_pages"] == PAGES
    assert len(server.result(record)) == record["output_size"]
    server.until(lambda: _kept(server) == {f"files/results/{task_id}.pdf"})
    with sqlite3.connect(server.folder / "ocr.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("SELECT state, leased_by FROM tasks").fetchall() == [(1, None)]
        assert database.execute("SELECT * FROM parts").fetchall() == []


def test_workers_die_with_the_server(server: Server) -> None:
    """A killed server leaves no process behind that would go on with its tasks."""
    workers = server.workers()

    server.kill()

    server.until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), 10)


def test_a_stopping_server_finishes_what_it_is_at(server: Server) -> None:
    """SIGTERM lets the worker finish its turn; the next start does the rest, nothing twice."""
    document = frames([f"PAGE {n}" for n in range(5)])
    task_id = server.post(document, sync="0", language="English")["task_id"]
    server.until(lambda: server.poll(task_id)["state"] == 4)

    server.stop()
    with sqlite3.connect(server.folder / "ocr.db") as database:
        query = "SELECT count(*) FROM parts WHERE leased_by IS NOT NULL OR attempts > finished"
        assert database.execute(query).fetchall() == [(0,)]
    server.start()

    record = server.until(lambda: (r := server.poll(task_id))["state"] in (1, -9) and r)
    assert (record["state"], record["file_pages"]) == (1, 5)


def test_a_waiting_client_is_answered_when_the_server_stops(server: Server) -> None:
    """It gets the unfinished record, not half an answer."""
    found: list[dict[str, object]] = []
    document = frames([f"PAGE {n}" for n in range(PAGES)])
    thread = threading.Thread(target=lambda: found.append(server.post(document)))
    thread.start()
    server.until(lambda: list((server.folder / "work").glob("*-*")))

    server.stop()
    thread.join(60)

    assert found[0]["state"] in (0, 2, 4)


class _Hanging:
    """Tasks whose one task never returns from native code that holds the interpreter's lock."""

    def __init__(self) -> None:
        self.queue = self

    def warm_up(self) -> None: ...

    def has_room(self) -> bool:
        return True

    def get(self, timeout_s: float) -> str | None:
        return "task"

    def run(self, task_id: str, worker: str, beat: Callable[[], None]) -> None:
        beat()
        ctypes.PyDLL(None).sleep(1000)


class _Preparing(_Hanging):
    """Two steps of preparation; then a task comes that asks the worker to end."""

    def __init__(self, steps: Path) -> None:
        super().__init__()
        self._steps = steps

    def prepare(self) -> bool:
        done = f"{self._done()}p"
        self._steps.write_text(done)
        return done.count("p") < 2

    def get(self, timeout_s: float) -> str | None:
        done = f"{self._done()}{'w' if timeout_s else 'l'}"
        self._steps.write_text(done)
        return "task" if done.count("w") == 2 else None

    def run(self, task_id: str, worker: str, beat: Callable[[], None]) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    def _done(self) -> str:
        return self._steps.read_text() if self._steps.exists() else ""


def _prepare(folder: Path) -> None:
    tasks = _Preparing(folder / "steps")
    work(tasks, "preparing", folder, 5, lambda: None)  # type: ignore[arg-type]


def test_an_idle_worker_prepares_step_by_step_and_looks_for_tasks_between(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_prepare, args=(tmp_path,))

    process.start()
    process.join(30)

    assert process.exitcode == 0
    # It (w)aits for a task and (p)repares, (l)ooks for one and prepares; then it waits for one.
    assert (tmp_path / "steps").read_text() == "wplpw"


def _work(folder: Path) -> None:
    work(_Hanging(), "hanging", folder, 0.2, lambda: None)  # type: ignore[arg-type]


def test_a_hang_ends_its_worker(tmp_path: Path) -> None:
    """The kernel's timer ends even native code, and tells the supervisor why."""
    process = multiprocessing.get_context("spawn").Process(target=_work, args=(tmp_path,))

    process.start()
    process.join(30)

    assert process.exitcode == -signal.SIGALRM

"""Reports reach real listeners: signed, retried, recorded, and none holds up another."""

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from app import callbacks
from app.callbacks import Reporter
from app.errors import DownloadFailed
from app.fetch import Fetcher
from app.rows import Task
from app.tasks import Submission, Tasks
from tests.pictures import picture

OWNER = "a" * 64


class _Listener(ThreadingHTTPServer):
    status = 204
    seen: list[tuple[dict[str, str], str]]
    silent: threading.Event  # Until it is set, nothing is answered.
    most = now = 0  # Requests at once.

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/done"


class _Handler(BaseHTTPRequestHandler):
    lock = threading.Lock()

    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, _Listener)
        with self.lock:
            server.now += 1
            server.most = max(server.most, server.now)
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        server.silent.wait(30)
        with self.lock:
            server.seen.append((dict(self.headers), body))
            server.now -= 1
        self.send_response(server.status)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture
def listen() -> Iterator[Callable[[], _Listener]]:
    started = []

    def start() -> _Listener:
        server = _Listener(("127.0.0.1", 0), _Handler)
        server.seen, server.silent = [], threading.Event()
        server.silent.set()
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        started.append((server, thread))
        return server

    yield start
    for server, thread in started:
        server.silent.set()
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def listener(listen: Callable[[], _Listener]) -> _Listener:
    return listen()


def _fetcher(*listeners: _Listener) -> Fetcher:
    ports = [listener.server_port for listener in listeners]
    return Fetcher(1000, 5, open_networks=["127.0.0.0/8"], open_ports=ports)


def _reporter(tasks: Tasks, *listeners: _Listener) -> Reporter:
    return Reporter(
        tasks.sessions, _fetcher(*listeners), lambda task: tasks.record(task, task.base_url)
    )


def _finished(tasks: Tasks, tmp_path: Path, url: str) -> Task:
    """A task that is finished, and whose report is due."""
    (tmp_path / "upload").write_bytes(picture())
    asked = Submission(format="txt", languages="English", base_url="http://x", callback_url=url)
    return tasks.submit(OWNER, asked, tmp_path / "upload")


def _send_due(reporter: Reporter) -> bool:
    task = reporter.take()
    if task is not None:
        reporter.send(task)
    return task is not None


def _due_again(tasks: Tasks) -> None:
    with tasks.sessions.begin() as session:
        session.execute(
            update(Task).where(Task.callback_due.is_not(None)).values(callback_due=time.time() - 1)
        )


def _waiting(tasks: Tasks) -> int:
    """How many reports are still to be sent."""
    with tasks.sessions() as session:
        return session.query(Task).where(Task.callback_due.is_not(None)).count()


def test_a_report_is_signed(listener: _Listener) -> None:
    """The receiver can tell that it is ours, and when it was sent."""
    assert callbacks.deliver(_fetcher(listener), listener.url, '{"a": 1}', "key") == 204

    ((headers, body),) = listener.seen
    assert body == '{"a": 1}'
    signed = f"{headers['X-OCR-Timestamp']}.{body}".encode()
    expected = hmac.new(b"key", signed, hashlib.sha256).hexdigest()
    assert headers["X-OCR-Signature"] == f"sha256={expected}"
    assert headers["Content-Type"] == "application/json"


def test_inside_addresses_get_no_report(listener: _Listener) -> None:
    """The guard is the one that downloads have."""
    fetcher = Fetcher(1000, 5, open_ports=[listener.server_port])

    with pytest.raises(DownloadFailed):
        callbacks.deliver(fetcher, listener.url, "{}", "key")
    assert listener.seen == []


def test_a_report_is_retried_and_recorded(
    tasks: Tasks, tmp_path: Path, listener: _Listener
) -> None:
    """One that is refused is due again later, also after a restart; one that is taken is not."""
    task = _finished(tasks, tmp_path, listener.url)
    listener.status = 500
    assert _send_due(_reporter(tasks, listener))
    refused = tasks.get(OWNER, task.id)
    assert (refused.callback_attempts, refused.callback_result) == (1, "500")
    assert refused.callback_due is not None
    assert refused.callback_due > time.time()
    listener.status = 204

    restarted = _reporter(tasks, listener)
    assert not _send_due(restarted)  # Not due yet.
    _due_again(tasks)
    assert _send_due(restarted)
    _due_again(tasks)
    assert not _send_due(restarted)

    sent = tasks.get(OWNER, task.id)
    assert (sent.callback_attempts, sent.callback_result, sent.callback_due) == (2, "204", None)
    assert sent.callback_at is not None
    assert json.loads(listener.seen[1][1])["data"]["task_id"] == task.id


def test_who_is_gone_is_not_asked_again(tasks: Tasks, tmp_path: Path, listener: _Listener) -> None:
    """410 says that the address will not be back."""
    task = _finished(tasks, tmp_path, listener.url)
    listener.status = 410

    assert _send_due(_reporter(tasks, listener))

    assert tasks.get(OWNER, task.id).callback_due is None


def test_why_a_report_failed_is_recorded(tasks: Tasks, tmp_path: Path) -> None:
    """In words, where there was no answer."""
    task = _finished(tasks, tmp_path, "http://127.0.0.1/inside")

    assert _send_due(tasks.reporter)

    assert "not on a public network" in (tasks.get(OWNER, task.id).callback_result or "")


def test_a_report_that_cannot_be_made_is_not_lost(
    tasks: Tasks, tmp_path: Path, listener: _Listener
) -> None:
    """A fault of ours leaves it due, and does not end the sender."""
    task = _finished(tasks, tmp_path, listener.url)

    def broken(task: Task) -> dict[str, Any]:
        raise RuntimeError

    assert _send_due(Reporter(tasks.sessions, _fetcher(listener), broken))

    assert tasks.get(OWNER, task.id).callback_due is not None


def test_a_deleted_task_is_not_reported(tasks: Tasks, tmp_path: Path, listener: _Listener) -> None:
    """Nor tried again."""
    task = _finished(tasks, tmp_path, listener.url)
    tasks.delete(OWNER, task.id)

    assert not _send_due(_reporter(tasks, listener))


def test_a_silent_host_holds_up_no_other(
    tasks: Tasks, tmp_path: Path, listen: Callable[[], _Listener]
) -> None:
    """However many reports it has; it gets two at once."""
    silent, quick = listen(), listen()
    silent.silent.clear()
    for _ in range(5):
        _finished(tasks, tmp_path, silent.url)
    for _ in range(3):
        _finished(tasks, tmp_path, quick.url)
    stopping = threading.Event()
    reporter = _reporter(tasks, silent, quick)
    thread = threading.Thread(target=reporter.run, args=(stopping,))
    thread.start()

    _until(lambda: len(quick.seen) == 3)
    assert silent.seen == []
    silent.silent.set()
    _until(lambda: not _waiting(tasks))
    stopping.set()
    thread.join(10)

    assert len(silent.seen) == 5
    assert silent.most <= callbacks.MOST_OF_A_HOST


def test_a_database_that_is_away_does_not_end_the_sender(
    tasks: Tasks, tmp_path: Path, listener: _Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It asks again."""
    _finished(tasks, tmp_path, listener.url)
    reporter, stopping = _reporter(tasks, listener), threading.Event()
    take, asked = reporter.take, []

    def away() -> Task | None:
        asked.append(1)
        if len(asked) == 1:
            raise RuntimeError("away")
        return take()

    monkeypatch.setattr(reporter, "take", away)
    monkeypatch.setattr(callbacks, "_LOOK_S", 0.01)
    thread = threading.Thread(target=reporter.run, args=(stopping,))
    thread.start()
    _until(lambda: not _waiting(tasks))
    stopping.set()
    thread.join(10)


def test_no_thread_to_send_with(
    tasks: Tasks, tmp_path: Path, listener: _Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sender goes on, and the report's host is free."""
    _finished(tasks, tmp_path, listener.url)
    reporter, stopping, refused = _reporter(tasks, listener), threading.Event(), threading.Event()

    class Never(threading.Thread):
        def start(self) -> None:
            refused.set()
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(callbacks, "_LOOK_S", 0.01)
    thread = threading.Thread(target=reporter.run, args=(stopping,))
    with monkeypatch.context() as patched:
        patched.setattr("app.callbacks.threading.Thread", Never)
        thread.start()
        assert refused.wait(10)
        _until(lambda: not reporter._under_way)
    _due_again(tasks)
    _until(lambda: not _waiting(tasks))
    stopping.set()
    thread.join(10)

    assert len(listener.seen) == 1


def test_the_waits_grow_and_end() -> None:
    """After the last try there is no other."""
    waits = [callbacks.retry_at(n) for n in range(1, len(callbacks.RETRY_S) + 2)]

    assert waits[-1] is None
    known = [wait for wait in waits if wait is not None]
    assert known == sorted(known)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://Example.com/a", "example.com:80"),
        ("https://example.com./b?c", "example.com:443"),
        ("https://[2001:DB8::1]:8443", "2001:db8::1:8443"),
    ],
)
def test_hosts_are_told_apart(url: str, host: str) -> None:
    assert callbacks.host_of(url) == host


def _until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "took too long"
        time.sleep(0.01)

"""Databases, queues and disks that fail for a while: a clear answer, nothing lost."""

import contextlib
import errno
import os
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, text
from sqlalchemy.orm import Session, sessionmaker
from starlette.testclient import TestClient

from app import database, db, leases, runner
from app.disk import Disk
from app.downloads import Downloader
from app.errors import NotStored, State, Unavailable
from app.leases import Blame
from app.pipeline import Job
from app.queue import HueyQueue
from app.rows import Task
from app.tasks import Submission, Tasks
from tests import services
from tests.conftest import InlineQueue
from tests.pictures import picture
from tests.stack import kept
from tests.test_tasks import OWNER

TEXT = Submission(format="txt", languages="English", base_url="http://x")


@pytest.fixture(autouse=True)
def no_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    """Documents go when their tasks end, so that what else is left stands out."""
    monkeypatch.setenv("OCR_KEEP_SOURCES_S", "0")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "upload"
    path.write_bytes(picture())
    return path


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_LOCKED_S", 0.1)
    monkeypatch.setitem(database._PATIENCE, "options", "-c lock_timeout=100ms")


@contextlib.contextmanager
def _locked(tasks: Tasks) -> Iterator[None]:
    """Somebody else writes to the database, and does not end."""
    is_file = not tasks.sessions.commits_by_itself
    with tasks.sessions.begin() as other:
        other.execute(text("BEGIN EXCLUSIVE" if is_file else "LOCK TABLE tasks, tokens, usages"))
        yield
        other.rollback()


def _send(client: TestClient) -> Any:
    return client.post("/task/pic/ocr", files={"image_file": picture()}, data={"sync": "0"})


def _refused(response: Any, word: str) -> None:
    assert response.status_code == 503
    assert int(response.headers["Retry-After"]) > 0
    assert word in response.json()["message"]
    assert response.json()["error"]["code"] == "service_unavailable"


# Requests


def test_a_locked_database_takes_no_task(client: TestClient, tasks: Tasks, data: Path) -> None:
    """The client hears that later is better; nothing is left of it."""
    before = kept(data)
    with _locked(tasks):
        _refused(_send(client), "database")
    assert kept(data) == before

    assert _send(client).status_code == 200


def test_a_full_disk_takes_no_task(
    client: TestClient, tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said before the body is read."""
    monkeypatch.setattr(Disk, "has_room", lambda self, size=0: False)
    _refused(_send(client), "disk")
    monkeypatch.undo()

    assert _send(client).status_code == 200


def test_a_full_queue_takes_no_task(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """Until one of those that wait is done."""
    monkeypatch.setenv("OCR_MAX_QUEUED", "2")
    queue: InlineQueue = request.getfixturevalue("queue")
    client: TestClient = request.getfixturevalue("client")
    queue.held = True
    assert [_send(client).status_code for _ in range(2)] == [200, 200]
    _refused(_send(client), "wait")

    assert queue.tasks is not None
    queue.tasks.runner.run(queue.ids.pop(0), "worker")

    assert _send(client).status_code == 200


def test_a_queue_that_is_away_loses_nothing(
    client: TestClient, tasks: Tasks, queue: InlineQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task is accepted, and announced later."""
    with monkeypatch.context() as patch:

        def fail(*_: object) -> None:
            raise Unavailable("The queue does not answer.")

        patch.setattr(queue, "put", fail)
        task_id = _send(client).json()["data"]["task_id"]
    monkeypatch.setattr(leases, "_LOST_S", 0)

    tasks.runner.recover()

    assert client.get(f"/task/{task_id}").json()["data"]["state"] == 1


# Work


def test_the_end_of_a_task_waits_for_the_database(
    tasks: Tasks,
    queue: InlineQueue,
    source: Path,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What was done is not done again, and progress that cannot be told does not matter."""
    queue.held = True
    task = tasks.submit(OWNER, TEXT, source)
    release, beats = threading.Event(), []

    def hold() -> None:
        with _locked(tasks):
            locked.set()
            release.wait(30)

    locked, write = threading.Event(), Job.write

    def slow(self: Job, *arguments: Any) -> Any:
        threading.Thread(target=hold).start()
        locked.wait(30)
        return write(self, *arguments)

    def beat(_: float) -> None:
        beats.append(1)
        if len(beats) > 4:
            release.set()

    monkeypatch.setattr(Job, "write", slow)
    tasks.runner.run(task.id, "worker", beat)

    done = tasks.get(OWNER, task.id)
    assert (done.state, done.attempts) == (State.COMPLETE, 1)
    assert kept(data) == {f"files/results/{task.id}.txt"}


def _breaking_disk(monkeypatch: pytest.MonkeyPatch, room: Callable[[], bool]) -> None:
    def write(*_: object) -> None:
        raise NotStored("Not stored.") from OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(Job, "write", write)
    monkeypatch.setattr(Disk, "has_room_for_work", lambda self: room())


def test_a_disk_that_others_filled_costs_no_attempt(
    tasks: Tasks, queue: InlineQueue, source: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task waits, as often as it takes."""
    queue.held = True
    task = tasks.submit(OWNER, TEXT, source)
    with monkeypatch.context() as patch:
        _breaking_disk(patch, lambda: False)
        for _ in range(5):
            tasks.runner.run(queue.ids.pop(0), "worker")
            waiting = tasks.get(OWNER, task.id)
            assert (waiting.state, waiting.attempts, waiting.leased_by) == (0, 0, None)
            assert kept(data) == {f"files/sources/{task.id}"}

    tasks.runner.run(queue.ids.pop(0), "worker")

    assert tasks.get(OWNER, task.id).state == State.COMPLETE


def test_a_task_that_fills_the_disk_is_failed(
    tasks: Tasks, queue: InlineQueue, source: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is room as soon as its own files are gone."""
    queue.held = True
    task = tasks.submit(OWNER, TEXT, source)
    _breaking_disk(monkeypatch, lambda: True)

    for _ in range(2):
        tasks.runner.run(queue.ids.pop(0), "worker")

    done = tasks.get(OWNER, task.id)
    assert done.state == State.OUT_OF_RESOURCES
    assert "disk" in done.state_detail
    assert kept(data) == set()


def test_what_a_full_disk_is_the_cause_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error says so at the end of its chain; or the disk is full at this moment."""
    disk = Disk([tmp_path], 0)
    wrapped = NotStored("Not stored.")
    wrapped.__cause__ = OSError(errno.ENOSPC, "full")

    assert disk.is_cause(wrapped)
    assert not disk.is_cause(OSError(errno.ENOENT, "missing"))
    assert disk.has_room()
    assert not disk.has_room(2**62)
    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    scarce = Disk([tmp_path], free * 3 // 2)
    assert (scarce.has_room(), scarce.has_room_for_work()) == (False, True)
    full = os.statvfs_result((4096, 4096, 1000, 10, 10, 99, 9, 9, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda _: full)
    assert disk.is_cause(ValueError("a library's words"))
    read_only = os.statvfs_result((4096, 4096, 10**6, 10**6, 10**6, 99, 9, 9, os.ST_RDONLY, 255))
    monkeypatch.setattr(os, "statvfs", lambda _: read_only)
    assert not disk.has_room()


# Downloads


def test_a_download_that_is_interrupted_is_done_again(tasks: Tasks, queue: InlineQueue) -> None:
    """It goes to those who fetch; what is fetched goes to those who read."""
    queue.held = True
    downloads = tasks.runner.downloads
    assert isinstance(downloads, InlineQueue)
    downloads.held = True
    submission = Submission(
        format="txt", languages="English", base_url="", source_url="https://example.com/a.png"
    )
    task = tasks.submit(OWNER, submission, None)
    assert (queue.ids, downloads.ids) == ([], [task.id])
    with tasks.sessions.begin() as session:
        assert db.claim(session, downloads.ids.pop(), "fetcher", 60, download=True)

    tasks.runner.release("fetcher")
    assert (queue.ids, downloads.ids) == ([], [task.id])
    assert tasks.get(OWNER, task.id).state == State.QUEUED

    class Fetcher:
        def fetch(self, url: str, target: Path, own: str) -> None:
            target.write_bytes(picture())

    tasks.runner._fetcher = Fetcher()  # type: ignore[assignment]
    tasks.runner.download(downloads.ids.pop(), "fetcher")
    fetched = tasks.get(OWNER, task.id)
    assert (fetched.state, fetched.input_size, fetched.attempts) == (3, len(picture()), 0)
    with tasks.sessions.begin() as session:
        assert db.claim(session, queue.ids.pop(), "dead", 60)
    tasks.runner.release("dead")
    assert (tasks.get(OWNER, task.id).state, downloads.ids) == (State.WAITING, [])
    tasks.runner.run(queue.ids.pop(), "worker")

    assert tasks.get(OWNER, task.id).state == State.COMPLETE


def test_downloads_that_nobody_is_at_are_taken_back(
    tasks: Tasks, queue: InlineQueue, tmp_path: Path
) -> None:
    """Even those of a server that lives: its answer may have been lost."""
    downloads = tasks.runner.downloads
    assert isinstance(downloads, InlineQueue)
    downloads.held = True
    submission = Submission("txt", "English", "", source_url="https://example.com/a.png")
    task = tasks.submit(OWNER, submission, None)
    downloader = Downloader(tasks.runner, "server", tmp_path / "lock", 1)
    with tasks.sessions.begin() as session:
        assert db.claim(session, downloads.ids.pop(), "server#0", -1, download=True)

    tasks.runner.recover(lambda name: name in downloader.under_way())

    assert (tasks.get(OWNER, task.id).leased_by, downloads.ids) == (None, [task.id])


def test_an_accepted_task_whose_answer_was_lost(
    tasks: Tasks, queue: InlineQueue, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the client's, with its document."""
    add = db.add

    def add_and_fail(session: Session, task: Task) -> bool:
        add(session, task)
        session.commit()
        raise Unavailable("The database does not answer.")

    monkeypatch.setattr(db, "add", add_and_fail)

    task = tasks.submit(OWNER, TEXT, source)

    assert tasks.get(OWNER, task.id).state in (State.QUEUED, State.COMPLETE)
    queue.held = True
    tasks.runner.run(task.id, "worker")
    assert tasks.get(OWNER, task.id).state == State.COMPLETE


def test_a_commit_that_is_late(tasks: Tasks, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client is told to come again; the task that appears afterwards has its document."""
    add, added = db.add, []
    engine = tasks.sessions.kw["bind"]

    def add_and_note(session: Session, task: Task) -> bool:
        added.append(task)
        if tasks.sessions.commits_by_itself:
            raise Unavailable("The database does not answer.")
        return add(session, task)

    def lose(_: object) -> None:
        raise Unavailable("The database does not answer.")

    monkeypatch.setattr(db, "add", add_and_note)
    event.listen(engine, "commit", lose)
    with pytest.raises(Unavailable):
        tasks.submit(OWNER, TEXT, source)
    event.remove(engine, "commit", lose)

    with tasks.sessions.begin() as session:
        add(session, added[0])
    tasks.runner.run(added[0].id, "worker")

    assert tasks.get(OWNER, added[0].id).state == State.COMPLETE


def test_a_holder_that_lost_its_lease_harms_nobody(
    tasks: Tasks, queue: InlineQueue, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has a work folder of its own."""
    queue.held = True
    task = tasks.submit(OWNER, TEXT, source)
    write, late = Job.write, threading.Event()

    def taken_over(self: Job, *arguments: Any) -> Any:
        if late.is_set():
            return write(self, *arguments)
        late.set()
        tasks.runner.release("first")
        tasks.runner.run(task.id, "second")
        return write(self, *arguments)

    monkeypatch.setattr(Job, "write", taken_over)
    tasks.runner.run(task.id, "first")

    done = tasks.get(OWNER, task.id)
    assert (done.state, done.attempts) == (State.COMPLETE, 2)
    assert tasks.result(task.id, "txt")


@pytest.mark.parametrize(("times", "state"), [(1, State.COMPLETE), (9, State.INTERNAL_ERROR)])
def test_a_document_that_the_store_does_not_find(
    tasks: Tasks,
    queue: InlineQueue,
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
    times: int,
    state: State,
) -> None:
    """It is looked for once more: the store may have it all the same."""
    queue.held = True
    task = tasks.submit(OWNER, TEXT, source)
    storage, asked = tasks.runner._storage, []
    fetch = storage.fetch

    def find(key: str, target: Path) -> None:
        asked.append(key)
        if len(asked) <= times:
            raise FileNotFoundError(key)
        fetch(key, target)

    monkeypatch.setattr(storage, "fetch", find)
    monkeypatch.setattr(runner, "AWAY_S", 0.0)
    while queue.ids:
        tasks.runner.run(queue.ids.pop(0), "worker")

    done = tasks.get(OWNER, task.id)
    assert (done.state, len(asked)) == (state, 2)


def test_a_late_result_replaces_no_other(
    tasks: Tasks, queue: InlineQueue, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who could not renew makes sure first; two results may differ in the time they tell."""
    queue.held = True
    task = tasks.submit(OWNER, replace(TEXT, format="docx"), source)
    leases = tasks.runner._leases
    leases.lease_s = 0.0
    results: list[bytes] = []
    write = Job.write

    def taken_over(self: Job, *arguments: Any) -> Any:
        outcome = write(self, *arguments)
        if not results:
            results.append(b"")
            (hold,) = leases.lost("first")
            leases.take_back(hold, Blame.NOBODY)
            tasks.runner.run(task.id, "second")
            results.append(tasks.result(task.id, "docx")[1].read_bytes())
            arguments[1].write_bytes(b"late")
        return outcome

    monkeypatch.setattr(Job, "write", taken_over)
    tasks.runner.run(task.id, "first")

    assert tasks.result(task.id, "docx")[1].read_bytes() == results[1]


# Servers of databases and queues that stop and start again


def test_a_postgresql_that_is_restarted() -> None:
    """Who asks meanwhile gets Unavailable; afterwards all goes on with the same connections."""
    port = services.free_port()
    with tempfile.TemporaryDirectory(prefix="ocr-pg-") as folder:
        with services.postgresql(port, folder) as address:
            url = address.replace("postgresql://", "postgresql+psycopg://")
            database.migrate(url, Path(folder))
            sessions: sessionmaker[Session] = database.connect(url)
            queue = HueyQueue(address, Path(folder))
            with sessions() as session:
                db.ping(session)
            queue.put("before", 1)
        with sessions() as session, pytest.raises(Unavailable):
            db.ping(session)
        with pytest.raises(Unavailable):
            queue.get(0)
        with services.postgresql(port, folder):
            with sessions() as session:
                db.ping(session)
            assert queue.get(1) == "before"
            queue.close()
            sessions.kw["bind"].dispose()


@pytest.mark.parametrize("ask", [db.ping, lambda session: db.task(session, "t")])
def test_a_connection_that_ends_in_a_transaction(
    ask: Callable[[Session], object], tmp_path: Path
) -> None:
    """It is Unavailable too, at whichever statement it is noticed."""
    with services.postgresql() as address:
        url = address.replace("postgresql://", "postgresql+psycopg://")
        database.migrate(url, tmp_path)
        sessions = database.connect(url)
        killer = database.connect(url)
        with sessions() as session:
            ask(session)
            with killer() as other:
                other.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE pid <> pg_backend_pid() AND usename = 'ocr'"
                    )
                )
            with pytest.raises(Unavailable):
                ask(session)
        with sessions() as session:
            ask(session)
        for maker in (sessions, killer):
            maker.kw["bind"].dispose()


def test_whoever_stops_in_a_transaction_holds_up_nobody(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """PostgreSQL ends it, and what it has locked is free."""
    quickly = "-c idle_in_transaction_session_timeout=100ms"
    monkeypatch.setitem(database._PATIENCE, "options", quickly)
    with services.postgresql() as address:
        url = address.replace("postgresql://", "postgresql+psycopg://")
        database.migrate(url, tmp_path)
        sessions = database.connect(url)
        engine: Engine = sessions.kw["bind"]
        in_turn = engine.execution_options(isolation_level="READ COMMITTED")
        with sessions(bind=in_turn) as stopped:
            stopped.execute(text("LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE"))
            with sessions() as session:
                assert db.task(session, "t") is None
            with pytest.raises(Unavailable):
                db.ping(stopped)
        engine.dispose()


def test_a_standby_takes_nothing(tmp_path: Path) -> None:
    """A PostgreSQL that can only be read is away, too, until there is a better one."""
    with services.postgresql() as address:
        url = address.replace("postgresql://", "postgresql+psycopg://")
        database.migrate(url, tmp_path)
        sessions = database.connect(url)
        with sessions() as session:
            session.execute(text("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"))
            session.commit()
            with pytest.raises(Unavailable):
                db.note_queued(session, "t", 1.0)
        sessions.kw["bind"].dispose()


def test_a_redis_that_is_restarted(tmp_path: Path) -> None:
    """What it forgot is announced again by whoever looks after the rows."""
    port = services.free_port()
    with services.redis(port) as address:
        queue = HueyQueue(address, tmp_path)
        queue.put("lost", 1)
    for call in (lambda: queue.get(0), queue.head, lambda: queue.put("b", 1)):
        with pytest.raises(Unavailable):
            call()
    with services.redis(port):
        queue.put("found", 1)
        assert queue.get(1) == "found"
        queue.close()


def test_a_locked_queue(tmp_path: Path) -> None:
    """SQLite's, while somebody else writes to it."""
    queue = HueyQueue("", tmp_path)
    queue.put("a", 1)
    with contextlib.closing(sqlite3.connect(tmp_path / "queue.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Unavailable):
            queue.put("b", 2)
        other.execute("ROLLBACK")

    queue.put("c", 3)
    assert [queue.get(1), queue.get(1), queue.get(0)] == ["a", "c", None]
    queue.close()

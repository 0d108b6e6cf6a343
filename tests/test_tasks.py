"""The use cases, with a real database, storage and pipeline, and the stub engine."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from app import db, leases
from app.errors import InternalError, InvalidFile, NotStored, State, TaskNotFound
from app.leases import Blame
from app.pipeline import Job, Outcome, Pipeline
from app.rows import Task
from app.tasks import Submission, Tasks
from tests.conftest import InlineQueue
from tests.pictures import picture
from tests.stack import kept

OWNER = "a" * 64
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


def _set(tasks: Tasks, task: Task, **values: Any) -> None:
    with tasks.sessions.begin() as session:
        session.execute(update(Task).where(Task.id == task.id).values(**values))


def test_a_task_runs_to_its_result(tasks: Tasks, source: Path, data: Path) -> None:
    """Afterwards only the result is kept."""
    task = tasks.submit(OWNER, TEXT, source)

    done = tasks.get(OWNER, task.id)
    _, path = tasks.result(task.id, "txt")
    assert (done.state, done.progress, done.state_detail) == (State.COMPLETE, 100, "Complete")
    assert (done.file_pages, done.ocr_pages, done.attempts) == (1, 1, 1)
    assert done.output_size == path.stat().st_size
    assert (done.input_media_type, done.output_media_type) == ("image/png", "text/plain")
    assert done.leased_by is None
    assert kept(data) == {f"files/results/{task.id}.txt"}


def test_pages_that_could_not_be_read_are_named(
    tasks: Tasks, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task is complete; a client can tell the pages from a column of their own."""
    failed = tuple(range(2, 30))
    outcome = Outcome("application/pdf", "text/plain", 40, 12, failed, ("hidden sheets: a",))

    def write(job: Job, portions: object, target: Path, *others: object) -> Outcome:
        target.write_text("text")
        return outcome

    monkeypatch.setattr(Job, "write", write)

    done = tasks.get(OWNER, tasks.submit(OWNER, TEXT, source).id)

    assert done.state == State.COMPLETE
    assert done.state_detail.endswith(" 19, 20, 21 and 8 more; hidden sheets: a")
    assert done.failed_pages == ",".join(map(str, failed))


def test_second_delivery_is_harmless(tasks: Tasks, source: Path) -> None:
    """A queue may deliver an id twice; the task still runs once."""
    task = tasks.submit(OWNER, TEXT, source)

    tasks.runner.run(task.id, "another")

    assert tasks.get(OWNER, task.id).attempts == 1


def test_another_token_sees_nothing(tasks: Tasks, source: Path) -> None:
    """A token sees its own tasks only."""
    task = tasks.submit(OWNER, TEXT, source)

    with pytest.raises(TaskNotFound):
        tasks.get("b" * 64, task.id)
    with pytest.raises(TaskNotFound):
        tasks.delete("b" * 64, task.id)


def test_a_failed_task_says_why(tasks: Tasks, tmp_path: Path, data: Path) -> None:
    """The state and the detail come from the error; nothing is left on the disk."""
    bad = tmp_path / "bad"
    bad.write_bytes(b"no document")

    task = tasks.submit(OWNER, TEXT, bad)

    done = tasks.get(OWNER, task.id)
    assert done.state == State.INVALID_FILE
    assert done.error_code == InvalidFile.code
    assert "Accepted" in done.state_detail
    assert done.output_size is None
    assert kept(data) == set()


def test_the_password_goes_with_the_end(tasks: Tasks, queue: InlineQueue, source: Path) -> None:
    """It is kept only while it may be needed."""
    queue.held = True
    protected = Submission(format="txt", languages="English", base_url="", password="secret")
    task = tasks.submit(OWNER, protected, source)
    assert tasks.get(OWNER, task.id).password == "secret"

    tasks.runner.run(task.id, "worker")

    assert tasks.get(OWNER, task.id).password is None


def test_a_dead_workers_task_is_done_by_another(
    tasks: Tasks, queue: InlineQueue, source: Path
) -> None:
    """The supervisor gives the task back as soon as it sees the worker die."""
    queue.held = True
    task = tasks.submit(OWNER, TEXT, source)
    with tasks.sessions.begin() as session:
        assert db.claim(session, task.id, "dead", lease_s=1000)

    tasks.runner.release("dead")
    queue.ids.clear()
    tasks.runner.run(task.id, "alive")

    done = tasks.get(OWNER, task.id)
    assert (done.state, done.attempts) == (State.COMPLETE, 2)


def test_a_lease_that_ran_out_frees_the_task(
    tasks: Tasks, queue: InlineQueue, source: Path
) -> None:
    """A worker of another machine may vanish without a word."""
    queue.held = True
    task = tasks.submit(OWNER, TEXT, source)
    queue.ids.clear()
    with tasks.sessions.begin() as session:
        assert db.claim(session, task.id, "vanished", lease_s=-1)

    tasks.runner.recover()

    assert tasks.get(OWNER, task.id).state == State.QUEUED
    assert queue.ids == [task.id]


def test_a_lease_in_force_is_respected(tasks: Tasks, queue: InlineQueue, source: Path) -> None:
    """A task is not taken from a worker that is at it."""
    queue.held = True
    task = tasks.submit(OWNER, TEXT, source)
    queue.ids.clear()
    with tasks.sessions.begin() as session:
        assert db.claim(session, task.id, "busy", lease_s=1000)

    tasks.runner.recover()
    tasks.runner.run(task.id, "other")

    assert tasks.get(OWNER, task.id).leased_by == "busy"


def test_what_the_queue_lost_is_queued_again(
    tasks: Tasks, queue: InlineQueue, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash between the commit and the queue loses no task."""
    monkeypatch.setattr(leases, "_LOST_S", 0)
    queue.held = True
    task = tasks.submit(OWNER, TEXT, source)
    queue.ids.clear()

    tasks.runner.recover()
    tasks.runner.recover()

    assert queue.ids == [task.id]


def test_what_a_busy_queue_lost_is_queued_again(
    tasks: Tasks,
    queue: InlineQueue,
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Ids leave in the order of their places: who comes before the next one is lost."""
    monkeypatch.setattr(leases, "_LOST_S", 0)
    queue.held = True
    lost, next_one, behind = (
        tasks.submit(OWNER, TEXT, Path(shutil.copy(source, tmp_path / name))) for name in "abc"
    )
    now = time.time()
    for task, at in ((lost, now - 90), (next_one, now - 60), (behind, now - 30)):
        _set(tasks, task, queued_at=at)
    queue.ids, queue.places = [next_one.id, behind.id], [now - 60, now - 30]

    tasks.runner.recover()

    assert queue.ids == [next_one.id, behind.id, lost.id]


def test_the_clock_may_be_set(tasks: Tasks, queue: InlineQueue, source: Path) -> None:
    """A worker that lives keeps its task though its lease seems to have run out."""
    queue.held = True
    task = tasks.submit(OWNER, TEXT, source)
    with tasks.sessions.begin() as session:
        assert db.claim(session, task.id, "alive", lease_s=-1000)

    tasks.runner.recover(lambda name: name == "alive")
    assert tasks.get(OWNER, task.id).leased_by == "alive"
    tasks.runner.recover()
    assert tasks.get(OWNER, task.id).leased_by is None


def test_a_document_that_ends_its_workers_is_failed(
    tasks: Tasks, queue: InlineQueue, source: Path, data: Path
) -> None:
    """It is not tried for ever."""
    queue.held = True
    task = tasks.submit(OWNER, TEXT, source)

    for worker in ("first", "second"):
        with tasks.sessions.begin() as session:
            assert db.claim(session, task.id, worker, lease_s=1000)
        tasks.runner.release(worker)

    done = tasks.get(OWNER, task.id)
    assert done.state == State.INTERNAL_ERROR
    assert "2 times" in done.state_detail
    assert kept(data) == set()


def test_who_is_killed_from_outside_is_tried_longer(
    tasks: Tasks, queue: InlineQueue, source: Path
) -> None:
    """The document is hardly to blame; but it is not tried for ever."""
    queue.held = True
    task = tasks.submit(OWNER, TEXT, source)

    for n in range(10):
        assert tasks.get(OWNER, task.id).state == State.QUEUED
        with tasks.sessions.begin() as session:
            assert db.claim(session, task.id, f"worker {n}", lease_s=1000)
        tasks.runner.release(f"worker {n}", Blame.KILLER)

    assert tasks.get(OWNER, task.id).state == State.INTERNAL_ERROR


def test_a_hang_is_a_time_out(tasks: Tasks, queue: InlineQueue, source: Path) -> None:
    """A worker that its timer ended is not given the same document again."""
    queue.held = True
    task = tasks.submit(OWNER, TEXT, source)
    with tasks.sessions.begin() as session:
        assert db.claim(session, task.id, "hung", lease_s=1000)

    tasks.runner.release("hung", timed_out=True)

    assert tasks.get(OWNER, task.id).state == State.TIMED_OUT


def test_what_a_killed_worker_left_is_cleared(
    tasks: Tasks, queue: InlineQueue, source: Path, data: Path
) -> None:
    """Its work folder goes as soon as its task is taken back; the second attempt has its own."""
    queue.held = True
    task = tasks.submit(OWNER, TEXT, source)
    with tasks.sessions.begin() as session:
        assert db.claim(session, task.id, "dead", lease_s=1000)
    left = data / "work" / f"{task.id}.dead"
    left.mkdir(parents=True)
    (left / "result").write_bytes(b"half")

    tasks.runner.release("dead")
    assert not left.exists()
    tasks.runner.run(task.id, "worker")

    assert tasks.get(OWNER, task.id).state == State.COMPLETE


def _while_running(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Call ``act`` when the pipeline has read its pages, before the result is made."""
    inner = Job.write

    def write(job: Job, *args: Any) -> Outcome:
        act()
        return inner(job, *args)

    monkeypatch.setattr(Job, "write", write)


def test_deleting_stops_the_work(
    tasks: Tasks,
    queue: InlineQueue,
    source: Path,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A task that is deleted while it runs leaves nothing."""
    queue.held = True
    task = tasks.submit(OWNER, TEXT, source)
    _while_running(monkeypatch, lambda: tasks.delete(OWNER, task.id))

    tasks.runner.run(task.id, "worker")

    with pytest.raises(TaskNotFound):
        tasks.get(OWNER, task.id)
    assert kept(data) == set()


def test_a_result_that_cannot_be_stored(
    tasks: Tasks, queue: InlineQueue, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The task fails as such; it is not complete without a file."""
    queue.held = True
    task = tasks.submit(OWNER, TEXT, source)

    def full(path: Path, key: str) -> None:
        raise NotStored("The file could not be stored.")

    monkeypatch.setattr(tasks.storage, "put", full)

    tasks.runner.run(task.id, "worker")

    assert tasks.get(OWNER, task.id).state == State.NOT_STORED


def test_an_unforeseen_error_is_told_without_its_insides(
    tasks: Tasks, queue: InlineQueue, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller learns that it was our fault, not how our house looks."""
    queue.held = True
    task = tasks.submit(OWNER, TEXT, source)

    def explode() -> None:
        raise RuntimeError("/secret/path")

    _while_running(monkeypatch, explode)
    tasks.runner.run(task.id, "worker")

    done = tasks.get(OWNER, task.id)
    assert done.state == State.INTERNAL_ERROR
    assert "secret" not in done.state_detail


def test_a_worker_that_cannot_prepare_works_all_the_same(tasks: Tasks) -> None:
    class Unprepared(Pipeline):
        def prepare(self) -> bool:
            raise InternalError("No memory.")

    tasks.runner.__dict__["pipeline"] = Unprepared([], {}, {})

    assert not tasks.runner.prepare()


def test_sweeping_keeps_what_is_in_use(tasks: Tasks, data: Path) -> None:
    """Only old work folders without a running task go."""
    folders = data / "work"
    old, new = folders / "old", folders / "new"
    for folder in (old, new):
        folder.mkdir(parents=True)
    os.utime(old, (0, 0))

    tasks.runner.sweep()

    assert not old.exists()
    assert new.exists()

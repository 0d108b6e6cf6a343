"""What time takes away, and what a deletion leaves: nothing."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from reportlab.pdfgen.canvas import Canvas
from sqlalchemy import func, select, update
from starlette.testclient import TestClient

from app import db, retention, wiring
from app.config import Settings
from app.errors import ResultExpired, State, TaskNotFound
from app.main import create_app
from app.pipeline import Job, Outcome
from app.rows import Part, Task
from app.tasks import Submission, Tasks
from app.workers import Supervisor
from tests.conftest import TOKEN, InlineQueue
from tests.pictures import picture
from tests.stack import kept
from tests.test_api_tasks import refused, send

OWNER = "a" * 64
PDF = Submission(
    "pdf", "English", "http://x", return_text=True, callback_url="http://127.0.0.1/hook"
)
LONG_AGO = time.time() - 10 * 365 * 86400


@pytest.fixture(autouse=True)
def no_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    """Documents go when their tasks end, so that what else is left stands out."""
    monkeypatch.setenv("OCR_KEEP_SOURCES_S", "0")


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files need not be old to be looked at, and rounds follow each other at once."""
    monkeypatch.setattr(retention, "_SAFE_AGE_S", 0.0)
    monkeypatch.setattr(retention, "_ROUND_S", 0.0)
    monkeypatch.setattr(retention, "_SECOND_LOOK_S", 0.0)


@pytest.fixture
def upload(tmp_path: Path) -> Callable[[], Path]:
    def make() -> Path:
        path = tmp_path / "upload"
        path.write_bytes(picture())
        return path

    return make


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    """A PDF of five pages."""
    path = tmp_path / "pages"
    canvas = Canvas(str(path))
    for number in range(1, 6):
        canvas.drawString(72, 700, f"This is page {number} of the document")
        canvas.showPage()
    canvas.save()
    return path


def _set(tasks: Tasks, task: Task, **values: Any) -> None:
    with tasks.sessions.begin() as session:
        session.execute(update(Task).where(Task.id == task.id).values(**values))


def _rows(tasks: Tasks) -> int:
    with tasks.sessions() as session:
        counts = (session.scalar(select(func.count()).select_from(row)) for row in (Task, Part))
        return sum(count or 0 for count in counts)


def test_a_result_is_kept_for_its_time(
    tasks: Tasks, upload: Callable[[], Path], data: Path
) -> None:
    """Then it is gone, and its text too; the task stays, and says so."""
    task, other = tasks.submit(OWNER, PDF, upload()), tasks.submit(OWNER, PDF, upload())
    _set(tasks, task, result_since=LONG_AGO)

    assert not tasks.sweeper.step()

    gone = tasks.get(OWNER, task.id)
    assert (gone.state, gone.state_detail) == (State.COMPLETE, retention.EXPIRED)
    assert "file" not in tasks.record(gone, "http://x")["data"]
    assert "text" not in tasks.record(gone, "http://x")["data"]
    with pytest.raises(ResultExpired):
        tasks.result(task.id, "pdf")
    assert tasks.result(other.id, "pdf")
    assert kept(data) == {
        f"files/results/{other.id}.pdf",
        f"files/texts/{other.id}.txt",
    }


def test_what_a_client_sees(client: TestClient, tasks: Tasks) -> None:
    """A 404 with a code of its own; state 1 without a file."""
    data = send(client, picture()).json()["data"]
    with tasks.sessions.begin() as session:
        session.execute(update(Task).values(result_since=LONG_AGO))
    tasks.sweeper.step()

    answer = client.get(data["file"])

    refused(answer, 404)
    assert answer.json()["error"]["code"] == "result_expired"
    record = client.get(f"/task/{data['task_id']}").json()["data"]
    assert (record["state"], record["state_detail"]) == (1, retention.EXPIRED)
    assert "file" not in record


def test_a_task_is_known_for_its_time(
    tasks: Tasks, queue: InlineQueue, upload: Callable[[], Path], data: Path
) -> None:
    """Then nothing is; one that waits is never too old."""
    task = tasks.submit(OWNER, PDF, upload())
    queue.held = True
    waiting = tasks.submit(OWNER, PDF, upload())
    _set(tasks, task, completed_at=LONG_AGO)
    _set(tasks, waiting, created_at=LONG_AGO)

    tasks.sweeper.step()

    with pytest.raises(TaskNotFound):
        tasks.get(OWNER, task.id)
    assert tasks.get(OWNER, waiting.id).state == State.QUEUED
    assert kept(data) == {f"files/sources/{waiting.id}"}


def test_nothing_is_swept_for_ever(
    settings: Settings, tasks: Tasks, queue: InlineQueue, upload: Callable[[], Path]
) -> None:
    """0 keeps results and tasks."""
    kept = settings.model_copy(update={"keep_results_s": 0, "keep_tasks_s": 0})
    task = tasks.submit(OWNER, PDF, upload())
    _set(tasks, task, completed_at=LONG_AGO, result_since=LONG_AGO)
    patient = wiring.build(kept, queue)

    patient.sweeper.step()

    assert patient.result(task.id, "pdf")
    patient.close()


def test_sources_are_kept_when_asked(
    settings: Settings,
    tasks: Tasks,
    queue: InlineQueue,
    upload: Callable[[], Path],
    tmp_path: Path,
    data: Path,
    no_waiting: None,
) -> None:
    """For their time, with what was read in them; those of tasks that failed are of no use."""
    keeping = wiring.build(settings.model_copy(update={"keep_sources_s": 3600}), queue)
    queue.tasks = keeping
    good = keeping.submit(OWNER, PDF, upload())
    bad = tmp_path / "bad"
    bad.write_bytes(b"no document")
    failed = keeping.submit(OWNER, PDF, bad)
    keeping.sweeper.step()
    names = {f"files/{folder}/{good.id}" for folder in ("sources", "readings")}
    assert names < kept(data)
    assert f"files/sources/{failed.id}" not in kept(data)

    with keeping.sessions.begin() as session:
        session.execute(update(Task).values(source_since=time.time() - 3601))
    keeping.sweeper.step()

    assert not names & kept(data)
    assert keeping.get(OWNER, good.id).source_since is None
    keeping.close()


def test_batches(tasks: Tasks, upload: Callable[[], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """A little at a time; whoever asks is told whether there is more."""
    monkeypatch.setattr(retention, "_ROWS", 2)
    for _ in range(5):
        tasks.submit(OWNER, PDF, upload())
    with tasks.sessions.begin() as session:
        session.execute(update(Task).values(completed_at=LONG_AGO))

    assert [tasks.sweeper.step() for _ in range(3)] == [True, True, False]
    assert _rows(tasks) == 0


def test_a_crash_between_file_and_row(
    tasks: Tasks, upload: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file went first; the next sweep tells the row."""
    task = tasks.submit(OWNER, PDF, upload())
    _set(tasks, task, result_since=LONG_AGO)
    with monkeypatch.context() as patch:

        def die(found: list[Task], **_: object) -> None:
            if found:
                raise KeyboardInterrupt

        patch.setattr(tasks.sweeper, "_change", die)
        with pytest.raises(KeyboardInterrupt):
            tasks.sweeper.step()

    with pytest.raises(ResultExpired):
        tasks.result(task.id, "pdf")
    tasks.sweeper.step()

    assert tasks.get(OWNER, task.id).result_since is None


def test_a_file_that_cannot_be_removed_holds_up_nothing(
    tasks: Tasks,
    upload: Callable[[], Path],
    data: Path,
    no_waiting: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The walk comes back to it."""
    stuck, other = tasks.submit(OWNER, PDF, upload()), tasks.submit(OWNER, PDF, upload())
    for task in (stuck, other):
        _set(tasks, task, result_since=LONG_AGO)
    delete = tasks.storage.delete

    def refuse(key: str) -> None:
        if stuck.id in key:
            raise PermissionError
        delete(key)

    with monkeypatch.context() as patch:
        patch.setattr(tasks.storage, "delete", refuse)
        tasks.sweeper.step()
    assert tasks.get(OWNER, other.id).result_since is None
    assert kept(data)

    for _ in range(2):
        tasks.sweeper.step()

    assert kept(data) == set()


def test_files_that_no_task_wants(
    tasks: Tasks, queue: InlineQueue, upload: Callable[[], Path], data: Path, no_waiting: None
) -> None:
    """Of tasks that are gone or have ended; those of the others stay, and so does what is new."""
    done = tasks.submit(OWNER, PDF, upload())
    queue.held = True
    waiting = tasks.submit(OWNER, PDF, upload())
    wanted = kept(data)
    for key in (
        *("sources/gone", "parts/gone/1", "parts/gone/original", "results/gone.pdf"),
        *("texts/gone.txt", f"sources/{done.id}", f"parts/{done.id}/1"),
    ):
        tasks.storage.put(upload(), key)
    staged = data / "staging/left"
    staged.parent.mkdir(exist_ok=True)
    staged.write_bytes(b"half")

    for _ in range(2):
        tasks.sweeper.step()

    assert kept(data) == wanted
    assert f"files/sources/{waiting.id}" in wanted


def test_what_is_new_is_left_alone(tasks: Tasks, upload: Callable[[], Path], data: Path) -> None:
    """Its row may be about to be inserted: also of a link to a file that is old."""
    old = upload()
    os.utime(old, (0, 0))
    tasks.storage.put(old, "results/new.pdf")
    staged = data / "staging/new"
    staged.parent.mkdir(exist_ok=True)
    staged.write_bytes(b"half")

    tasks.sweeper.step()

    assert kept(data) == {"files/results/new.pdf", "staging/new"}


def test_a_clock_that_is_set_forward(
    tasks: Tasks, upload: Callable[[], Path], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All files seem old, and one has no row yet: it gets the time to have one."""
    monkeypatch.setattr(retention, "_SAFE_AGE_S", 0.0)
    monkeypatch.setattr(retention, "_ROUND_S", 0.0)
    tasks.storage.put(upload(), "results/new.pdf")

    for _ in range(3):
        tasks.sweeper.step()

    assert kept(data) == {"files/results/new.pdf"}


def test_a_long_walk_is_made_in_steps(
    tasks: Tasks, upload: Callable[[], Path], no_waiting: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They follow each other at once, and come to their end; it stays one server's meanwhile."""
    monkeypatch.setattr(retention, "_FILES", 3)
    renewed = []
    monkeypatch.setattr(db, "renew_round", lambda *asked: renewed.append(asked[1:]))
    for n in range(7):
        tasks.storage.put(upload(), f"sources/gone-{n}")

    left, more = [], []
    for _ in range(4):
        more.append(tasks.sweeper.step())
        left.append(len(list(tasks.storage.settled("sources", 0))))

    assert left == [7, 4, 1, 0]
    assert more == [True, True, False, False]
    assert renewed == [("files", 0.0)] * 2


def test_the_supervisor_sweeps(
    tasks: Tasks, upload: Callable[[], Path], tmp_path: Path, data: Path
) -> None:
    """By itself, also the work folders of tasks that nobody is at."""
    task = tasks.submit(OWNER, PDF, upload())
    _set(tasks, task, completed_at=LONG_AGO, callback_due=None)
    left = data / "work" / f"{task.id}.3"
    left.mkdir(parents=True)
    os.utime(left, (0, 0))
    supervisor = Supervisor(tasks, 0, tmp_path / "locks", tmp_path / "rooms", 5, 1, 30)
    supervisor.start()

    end = time.monotonic() + 60
    while _rows(tasks) or left.exists():
        assert time.monotonic() < end, "took too long"
        time.sleep(0.05)
    supervisor.stop()


# Deleting.


def _queued(tasks: Tasks, queue: InlineQueue, pages: Path) -> Task:
    return tasks.submit(OWNER, PDF, pages)


def _claimed(tasks: Tasks, queue: InlineQueue, pages: Path) -> Task:
    task = tasks.submit(OWNER, PDF, pages)
    with tasks.sessions.begin() as session:
        assert db.claim(session, task.id, "worker", 60)
    return task


def _divided(tasks: Tasks, queue: InlineQueue, pages: Path) -> Task:
    """Some of its pages are read."""
    task = tasks.submit(OWNER, PDF, pages)
    for _ in range(3):
        tasks.runner.run(queue.ids.pop(0), "worker")
    return task


def _complete(tasks: Tasks, queue: InlineQueue, pages: Path) -> Task:
    task = tasks.submit(OWNER, PDF, pages)
    while queue.ids:
        tasks.runner.run(queue.ids.pop(0), "worker")
    assert tasks.get(OWNER, task.id).state == State.COMPLETE
    return task


def _failed(tasks: Tasks, queue: InlineQueue, pages: Path) -> Task:
    pages.write_bytes(b"no document")
    task = tasks.submit(OWNER, PDF, pages)
    tasks.runner.run(task.id, "worker")
    assert tasks.get(OWNER, task.id).state == State.INVALID_FILE
    return task


def _expired(tasks: Tasks, queue: InlineQueue, pages: Path) -> Task:
    task = _complete(tasks, queue, pages)
    _set(tasks, task, result_since=LONG_AGO)
    tasks.sweeper.step()
    return task


STAGES = [_queued, _claimed, _divided, _complete, _failed, _expired]


@pytest.fixture(params=[0, 3600], ids=["sources go", "sources stay"])
def short_turns(
    request: pytest.FixtureRequest, settings: Settings, tasks: Tasks, queue: InlineQueue
) -> Any:
    """A server whose workers leave documents after each page."""
    changes = {"turn_s": 0, "keep_sources_s": request.param}
    other = wiring.build(settings.model_copy(update=changes), queue)
    queue.tasks, queue.held = other, True
    yield other
    other.close()


@pytest.mark.parametrize("reach", STAGES)
def test_a_deletion_leaves_nothing(
    short_turns: Tasks,
    queue: InlineQueue,
    pages: Path,
    data: Path,
    reach: Callable[[Tasks, InlineQueue, Path], Task],
) -> None:
    """Neither row nor file, whatever had become of the task; what is in the queue is harmless."""
    tasks = short_turns
    before = kept(data)
    task = reach(tasks, queue, pages)

    tasks.delete(OWNER, task.id)
    left = kept(data)
    while queue.ids:
        tasks.runner.run(queue.ids.pop(0), "late")

    assert left == before
    assert kept(data) == before
    assert _rows(tasks) == 0
    assert tasks.reporter.take() is None


@pytest.mark.parametrize("step", ["read", "write"])
def test_deleted_under_a_worker(
    short_turns: Tasks,
    queue: InlineQueue,
    pages: Path,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    """It notices, and takes its folder and all that it made away."""
    tasks = short_turns
    before = kept(data)
    task = tasks.submit(OWNER, PDF, pages)
    inner = getattr(Job, step)

    def during(job: Job, *args: Any) -> Outcome:
        done: Outcome = inner(job, *args)
        if tasks.storage.locate(f"sources/{task.id}"):
            tasks.delete(OWNER, task.id)
        return done

    monkeypatch.setattr(Job, step, during)
    while queue.ids:
        tasks.runner.run(queue.ids.pop(0), "worker")

    assert kept(data) == before
    assert _rows(tasks) == 0


def test_deleted_with_a_token_of_the_server(
    settings: Settings, short_turns: Tasks, data: Path
) -> None:
    """Over HTTP, too."""
    before = kept(data)
    app = create_app(settings, short_turns)
    with TestClient(app, headers={"Authorization": TOKEN}) as client:
        task_id = send(client, picture(), sync="0").json()["data"]["task_id"]
        assert client.delete(f"/task/{task_id}").status_code == 200

    assert kept(data) == before

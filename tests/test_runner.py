"""Long documents: divided among workers, and put together again."""

import errno
import io
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import openpyxl
import pikepdf
import pytest
from reportlab.pdfgen.canvas import Canvas

from app import db, leases, parts, turn
from app.errors import InvalidFile, State, TaskNotFound
from app.pipeline import Job
from app.portion import Portion
from app.rows import Task
from app.tasks import Submission, Tasks
from app.turn import Limits
from tests.conftest import InlineQueue
from tests.pictures import frames
from tests.stack import kept
from tests.test_tasks import OWNER

PAGES = 7
TEXT = Submission(format="txt", languages="English", base_url="http://x")


@pytest.fixture(autouse=True)
def no_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    """Documents go when their tasks end, so that what else is left stands out."""
    monkeypatch.setenv("OCR_KEEP_SOURCES_S", "0")


@pytest.fixture
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCR_TURN_S", "0")


@pytest.fixture
def tasks(short_turns: None, tasks: Tasks, queue: InlineQueue) -> Tasks:
    queue.held = True
    return tasks


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A PDF whose pages say which they are."""
    path = tmp_path / "upload"
    canvas = Canvas(str(path))
    for number in range(1, PAGES + 1):
        canvas.drawString(72, 700, f"This is page {number} of the document")
        canvas.showPage()
    canvas.save()
    return path


def _work(tasks: Tasks, queue: InlineQueue, worker: str = "worker", units: int = -1) -> None:
    """Do what is in the queue, or some ``units`` of it."""
    while queue.ids and units:
        tasks.runner.run(queue.ids.pop(0), worker)
        units -= 1


def _lines(tasks: Tasks, task: Task) -> list[str]:
    _, path = tasks.result(task.id, task.format)
    return path.read_text(encoding="utf-8").replace("\f", "\n").splitlines()


ALL = [f"This is page {number} of the document" for number in range(1, PAGES + 1)]


def test_the_time_of_a_task_is_that_of_its_pages() -> None:
    """But for opening it and making the result; and there is an end to it."""
    limits = Limits(
        task_timeout_s=3600, page_timeout_s=60, step_timeout_s=120, turn_s=1, fetch_timeout_s=60
    )

    assert limits.of_task(1) == 300
    assert limits.of_task(10_000) == 3600


def test_every_page_may_be_anothers(
    tasks: Tasks, queue: InlineQueue, source: Path, data: Path
) -> None:
    """With turns that are over at once each page is a part; the order stays, and nothing else."""
    task = tasks.submit(OWNER, TEXT, source)
    _work(tasks, queue, units=1)
    assert queue.ids == [f"{task.id}:2"]
    halfway = tasks.get(OWNER, task.id)
    assert (halfway.state, halfway.leased_by) == (State.PROCESSING, None)
    assert (halfway.file_pages, halfway.progress) == (PAGES, 100 // PAGES)

    _work(tasks, queue)

    done = tasks.get(OWNER, task.id)
    assert (done.state, done.state_detail, done.progress) == (State.COMPLETE, "Complete", 100)
    assert (done.file_pages, done.ocr_pages, done.attempts) == (PAGES, 0, 1)
    assert done.input_media_type == "application/pdf"
    assert _lines(tasks, task) == ALL
    assert kept(data) == {f"files/results/{task.id}.txt"}


def test_as_many_workers_as_are_free(
    tasks: Tasks, queue: InlineQueue, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever takes a part announces the next one; in what order they end does not matter."""
    task = tasks.submit(OWNER, TEXT, source)
    _work(tasks, queue, units=1)
    read = Job.read

    def helped(job: Job, *args: Any) -> Portion:
        if queue.ids:  # Another worker begins in the meantime, and ends first.
            tasks.runner.run(queue.ids.pop(0), f"helper {len(began)}")
        began.append(args[0])
        return read(job, *args)

    began: list[int] = []
    monkeypatch.setattr(Job, "read", helped)
    _work(tasks, queue)

    assert began == [*range(PAGES, 1, -1)]
    assert _lines(tasks, task) == ALL


def test_a_pdf_of_divided_pictures_has_them_all(
    tasks: Tasks, queue: InlineQueue, tmp_path: Path, data: Path
) -> None:
    """Their pictures are taken from the source when the result is made."""
    upload = tmp_path / "pictures"
    upload.write_bytes(frames([f"PAGE {number}" for number in range(3)]))
    task = tasks.submit(OWNER, replace(TEXT, format="pdf", return_text=True), upload)

    _work(tasks, queue)

    done = tasks.get(OWNER, task.id)
    assert (done.state, done.ocr_pages, done.file_pages) == (State.COMPLETE, 3, 3)
    text = tasks.text(done)
    assert text is not None
    assert text.count("stub 1") == 3
    with pikepdf.open(tasks.result(task.id, "pdf")[1]) as pdf:
        assert [len(page.get_images()) for page in pdf.pages] == [1, 1, 1]
    assert kept(data) == {
        f"files/results/{task.id}.pdf",
        f"files/texts/{task.id}.txt",
    }


def test_the_text_beside_a_pdf_is_all_of_it(tasks: Tasks, queue: InlineQueue, source: Path) -> None:
    """Also that which the PDF has already, and which its writer has no use for."""
    before = source.read_bytes()
    task = tasks.submit(OWNER, replace(TEXT, format="pdf", return_text=True), source)

    _work(tasks, queue)

    text = tasks.text(tasks.get(OWNER, task.id))
    assert text is not None
    assert text.replace("\f", "\n").splitlines() == ALL
    assert tasks.result(task.id, "pdf")[1].read_bytes() == before


def test_parts_are_read_without_the_password(
    tasks: Tasks, queue: InlineQueue, source: Path
) -> None:
    """They are those of the unlocked document."""
    locked = source.with_name("locked")
    with pikepdf.open(source) as pdf:
        pdf.save(locked, encryption=pikepdf.Encryption(user="secret", owner="secret"))
    task = tasks.submit(OWNER, replace(TEXT, password="secret"), locked)

    _work(tasks, queue)

    assert _lines(tasks, task) == ALL


def test_a_dead_workers_part_is_done_by_another(
    tasks: Tasks, queue: InlineQueue, source: Path
) -> None:
    """What was finished stays; the part that ended two workers ends the task."""
    task = tasks.submit(OWNER, TEXT, source)
    _work(tasks, queue, units=3)
    with tasks.sessions.begin() as session:
        assert parts.claim(session, task.id, 4, "dead", 1000)
    tasks.runner.release("dead")
    assert queue.ids == 2 * [f"{task.id}:4"]

    _work(tasks, queue)

    assert tasks.get(OWNER, task.id).state == State.COMPLETE
    assert _lines(tasks, task) == ALL


def test_a_part_that_ends_two_workers_ends_the_task(
    tasks: Tasks, queue: InlineQueue, source: Path, data: Path
) -> None:
    """It is not tried for ever, and nothing is left of it."""
    task = tasks.submit(OWNER, TEXT, source)
    _work(tasks, queue, units=2)
    for worker in ("first", "second"):
        with tasks.sessions.begin() as session:
            assert parts.claim(session, task.id, 3, worker, 1000)
        tasks.runner.release(worker)

    _work(tasks, queue)

    done = tasks.get(OWNER, task.id)
    assert done.state == State.INTERNAL_ERROR
    assert "2 times" in done.state_detail
    assert kept(data) == set()


def test_a_lost_part_is_found_again(
    tasks: Tasks, queue: InlineQueue, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queue may forget; the rows do not. So it is with the end, when all are finished."""
    monkeypatch.setattr(leases, "_LOST_S", 0)
    task = tasks.submit(OWNER, TEXT, source)
    _work(tasks, queue, units=1)
    queue.ids.clear()
    tasks.runner.recover()
    assert queue.ids == [f"{task.id}:2"]

    _work(tasks, queue, units=PAGES - 1)
    assert queue.ids == [task.id]
    queue.ids.clear()
    tasks.runner.recover()
    _work(tasks, queue)

    assert tasks.get(OWNER, task.id).state == State.COMPLETE


def test_the_end_may_be_made_twice(tasks: Tasks, queue: InlineQueue, source: Path) -> None:
    """If a worker dies when it puts the parts together, they are still there for the next."""
    task = tasks.submit(OWNER, TEXT, source)
    _work(tasks, queue, units=PAGES)
    with tasks.sessions.begin() as session:
        assert db.claim(session, task.id, "dead", 1000)
    tasks.runner.release("dead")

    _work(tasks, queue)

    done = tasks.get(OWNER, task.id)
    assert (done.state, done.attempts) == (State.COMPLETE, 2)
    assert _lines(tasks, task) == ALL


def test_a_deleted_task_has_no_parts(
    tasks: Tasks, queue: InlineQueue, source: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does the worker leave any that is at one."""
    task = tasks.submit(OWNER, TEXT, source)
    _work(tasks, queue, units=2)
    read = Job.read

    def deleted(job: Job, *args: object) -> object:
        portion = read(job, *args)  # type: ignore[arg-type]
        tasks.delete(OWNER, task.id)
        return portion

    monkeypatch.setattr(Job, "read", deleted)
    _work(tasks, queue, units=1)
    monkeypatch.undo()
    _work(tasks, queue)

    with pytest.raises(TaskNotFound):
        tasks.get(OWNER, task.id)
    with tasks.sessions() as session:
        assert parts.of(session, task.id) == []
    assert kept(data) == set()


def test_a_part_that_fails_fails_the_task(
    tasks: Tasks, queue: InlineQueue, source: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its reason."""
    task = tasks.submit(OWNER, TEXT, source)
    _work(tasks, queue, units=2)

    def fail(*_: object) -> None:
        raise InvalidFile("The document is damaged.")

    monkeypatch.setattr(Job, "read", fail)
    _work(tasks, queue)

    done = tasks.get(OWNER, task.id)
    assert (done.state, done.state_detail) == (State.INVALID_FILE, "The document is damaged.")
    assert kept(data) == set()


@pytest.mark.parametrize(
    ("cause", "state"),
    [
        (MemoryError(), State.OUT_OF_RESOURCES),
        (RuntimeError("Loading input model\nstd::bad_alloc"), State.OUT_OF_RESOURCES),
        (RuntimeError("[CPU] Interpolate node can't alloc"), State.OUT_OF_RESOURCES),
        (RuntimeError("(-4:Insufficient memory) Failed to allocate"), State.OUT_OF_RESOURCES),
        (OSError(errno.EFBIG, "File too large"), State.TOO_LARGE),
        (RuntimeError("anything else"), State.INVALID_FILE),
    ],
)
@pytest.mark.parametrize("wrapped", [True, False])
def test_what_is_over_a_limit_of_the_kernel(
    wrapped: bool,
    cause: Exception,
    state: State,
    tasks: Tasks,
    queue: InlineQueue,
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is told as such, though an adapter took it for a fault of the document."""

    def fail(*_: object) -> None:
        if wrapped:
            raise InvalidFile("The document is damaged.") from cause
        raise cause

    content = source.read_bytes()
    task = tasks.submit(OWNER, TEXT, source)
    with monkeypatch.context() as patch:
        patch.setattr(Job, "read", fail)
        _work(tasks, queue)

    unforeseen = state is State.INVALID_FILE and not wrapped
    expected = State.INTERNAL_ERROR if unforeseen else state
    assert tasks.get(OWNER, task.id).state == expected
    source.write_bytes(content)
    following = tasks.submit(OWNER, TEXT, source)
    _work(tasks, queue)
    assert tasks.get(OWNER, following.id).state == State.COMPLETE


@pytest.mark.parametrize(
    ("page_s", "pages", "reads"), [(0.25, 640, 4), (1, 20, 1), (1, 5, 5), (0.01, 3000, 100)]
)
def test_a_long_document_is_divided_soon(
    page_s: float, pages: int, reads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a fifth of a turn; parts are of a turn at most, smaller later, and have each page."""
    now = 0.0
    monkeypatch.setattr(turn, "time", SimpleNamespace(monotonic=lambda: now))
    clock, done = turn.Clock(5, is_first=True), 0
    while done < pages and not (done and clock.is_over(done, pages)):
        now, done = now + page_s, done + 1

    assert done == reads
    if done < pages:
        rest = clock.divide("t", 1, done, pages)
        sizes = [part.last - part.first + 1 for part in rest]
        assert [n for part in rest for n in range(part.first, part.last + 1)] == [
            *range(done + 1, pages + 1)
        ]
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[0] <= 5 / page_s
        assert all(size >= 2 / page_s for size in sizes[:-1])


def test_time_is_counted_over_all_parts(tasks: Tasks, queue: InlineQueue, source: Path) -> None:
    """A document does not get a new limit with each of its parts."""
    task = tasks.submit(OWNER, TEXT, source)
    _work(tasks, queue, units=2)
    with tasks.sessions.begin() as session:
        parts.of(session, task.id)[0].worked_s = 1e6

    _work(tasks, queue)

    assert tasks.get(OWNER, task.id).state == State.TIMED_OUT


def test_work_folders_of_parts_are_swept(
    tasks: Tasks, queue: InlineQueue, source: Path, data: Path
) -> None:
    """Unless the task is under way."""
    task = tasks.submit(OWNER, TEXT, source)
    _work(tasks, queue, units=1)
    running, gone = (data / "work" / name for name in (f"{task.id}.3", "gone.3"))
    for folder in (running, gone):
        folder.mkdir(parents=True)
        os.utime(folder, (0, 0))

    tasks.runner.sweep()

    assert running.exists()
    assert not gone.exists()


def test_workbooks_are_not_divided(tasks: Tasks, queue: InlineQueue, tmp_path: Path) -> None:
    """It would have to be opened anew for each part; a text is made beside one that is kept."""
    book = openpyxl.Workbook()
    for name in ("first", "second"):
        book.create_sheet(name)["A1"] = name
    out = io.BytesIO()
    book.save(out)
    for form in ("txt", "xlsx"):
        upload = tmp_path / form
        upload.write_bytes(out.getvalue())
        task = tasks.submit(OWNER, replace(TEXT, format=form, return_text=True), upload)

        _work(tasks, queue, units=1)

        done = tasks.get(OWNER, task.id)
        assert (done.state, done.file_pages) == (State.COMPLETE, 3)
        text = tasks.text(done)
        assert text is not None
        assert {"first", "second"} <= set(text.split())
    assert queue.ids == []

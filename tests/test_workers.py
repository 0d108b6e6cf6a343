"""Real processes, and ``kill -9`` at bad moments."""

import contextlib
import ctypes
import io
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import PIL.Image
import pytest

from app import probes, proc, sandbox, workers
from app.leases import Blame
from app.metrics import Metrics
from app.observer import Observer
from app.ration import Ration
from app.readiness import Readiness
from app.tasks import Tasks
from app.telling import Listener, Teller, pipe
from app.worker import work
from app.workers import Supervisor, _kills_for_memory, _reason, _Worker
from tests import stack
from tests.pictures import frames
from tests.server import TOKEN, Server
from tests.stack import kept
from tests.test_converters_office import word

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
    return len(server.rows("SELECT task_id FROM parts WHERE finished"))


def _office_processes(server: Server) -> list[int]:
    """The LibreOffices, and what confines them, whoever their parents are by now."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            command = path.read_bytes()
            if str(server.folder).encode() in command and b"soffice" in command:
                found.append(int(path.parent.name))
    return found


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
    wanted = {f"files/{name}" for name in (f"results/{task_id}.pdf", f"sources/{task_id}")}
    wanted.add(f"files/readings/{task_id}")
    server.until(lambda: kept(server.folder) == wanted)
    assert server.rows("SELECT state, leased_by FROM tasks") == [(1, None)]
    assert server.rows("SELECT task_id FROM parts") == []
    if stack.STACK == "embedded":
        assert server.rows("PRAGMA integrity_check") == [("ok",)]


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
    held = "leased_by IS NOT NULL OR attempts > CAST(finished AS INTEGER)"
    assert server.rows(f"SELECT task_id FROM parts WHERE {held}") == []
    server.start()

    record = server.until(lambda: (r := server.poll(task_id))["state"] in (1, -9) and r)
    assert (record["state"], record["file_pages"]) == (1, 5)


def test_a_waiting_client_is_answered_when_the_server_stops(server: Server) -> None:
    """It gets the unfinished record, not half an answer."""
    found: list[dict[str, object]] = []
    document = frames([f"PAGE {n}" for n in range(10 * PAGES)])
    thread = threading.Thread(target=lambda: found.append(server.post(document)))
    thread.start()
    server.until(lambda: list((server.folder / "work").glob("*-*")))

    server.stop()
    thread.join(60)

    assert found[0]["state"] in (0, 2, 4)


def test_a_worker_that_has_worked_enough_is_replaced(tmp_path: Path) -> None:
    """No task is lost or waits for it, and no crash is counted or told."""
    server = Server(tmp_path / "data", {"OCR_WORKERS": "1", "OCR_WORKER_TASKS": "2"})
    server.folder.mkdir()
    server.start()
    try:
        first = server.workers()
        image = frames(["ONE"])
        states = [server.post(image, language="English")["state"] for _ in range(3)]
        server.until(lambda: not set(first) & set(server.workers()))
        states += [server.post(image, language="English")["state"]]

        assert states == [1] * 4
        assert len(server.workers()) == 1
        assert len(list((server.folder / "tmp").iterdir())) == 1
    finally:
        server.stop()
    log = (tmp_path / "server.log").read_text()
    assert "another takes over" in log
    assert "ended (" not in log
    assert not list((server.folder / "tmp").iterdir())


@pytest.mark.skipif(
    shutil.which("soffice") is None and "CI" not in os.environ, reason="needs LibreOffice"
)
def test_kill_a_worker_at_an_office_document(server: Server, tmp_path: Path) -> None:
    """Its LibreOffice, the walls around that and its folder go with it; the task is done."""
    document = word(tmp_path / "a.docx").read_bytes()
    server.post(document, format="pdf")
    before = _office_processes(server)
    rooms = list((server.folder / "tmp").iterdir())
    for pid in before:
        os.kill(pid, signal.SIGSTOP)
    task_id = server.post(document, format="pdf", sync="0")["task_id"]
    server.until(lambda: list(rooms[0].glob("ocr-office-*/source.docx")))

    server.kill_a_worker()

    server.until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in before), 10)
    server.until(lambda: not rooms[0].exists(), 10)
    record = server.until(lambda: (r := server.poll(task_id))["state"] in (1, -9) and r)
    assert before
    assert record["state"] == 1


def test_what_works_in_the_folder_of_a_dead_worker_is_killed(tmp_path: Path) -> None:
    """Even if it is stopped; what works beside it goes on."""
    below, beside = tmp_path / "room" / "deep", tmp_path / "roomy"
    for folder in (below, beside):
        folder.mkdir(parents=True)
    with (
        subprocess.Popen(["sleep", "1000"], cwd=below) as theirs,
        subprocess.Popen(["sleep", "1000"], cwd=beside) as another,
    ):
        theirs.send_signal(signal.SIGSTOP)
        try:
            proc.end_those_in(tmp_path / "room")

            assert theirs.wait(10) == -signal.SIGKILL
            assert another.poll() is None
        finally:
            theirs.kill()
            another.kill()


def test_a_task_that_wants_too_much_memory(tmp_path: Path) -> None:
    """It is told so, its worker goes on, and the next task is done."""
    settings = {"OCR_WORKERS": "1", "OCR_TASK_MEMORY_BYTES": "300000000", "OCR_ENGINE": "stub"}
    server = Server(tmp_path / "data", settings)
    server.folder.mkdir()
    server.start()
    try:
        worker = server.workers()
        large = io.BytesIO()
        PIL.Image.new("RGB", (14_000, 14_000)).save(large, "PNG", compress_level=1)

        refused = server.post(large.getvalue(), format="pdf")
        done = server.post(frames(["ONE"]))

        assert refused["state"] == -15
        assert "memory" in refused["state_detail"]
        assert done["state"] == 1
        assert server.workers() == worker
    finally:
        server.stop()


def test_a_result_that_is_too_large_a_file(tmp_path: Path) -> None:
    """It is told so, and the next task is done."""
    settings = {"OCR_WORKERS": "1", "OCR_MAX_FILE_BYTES": "5000000", "OCR_ENGINE": "stub"}
    server = Server(tmp_path / "data", settings)
    server.folder.mkdir()
    server.start()
    try:
        noise = PIL.Image.effect_noise((3000, 3000), 90)
        picture = io.BytesIO()
        noise.save(picture, "TIFF")

        refused = server.post(picture.getvalue(), format="pptx")
        done = server.post(frames(["ONE"]))

        assert refused["state"] == -5
        assert done["state"] == 1
    finally:
        server.stop()


def test_workers_have_no_network_where_all_is_here(server: Server) -> None:
    """Documents by URL are fetched for them; only databases elsewhere they reach by themselves."""
    (worker,) = server.workers()
    devices = Path(f"/proc/{worker}/net/dev").read_text().splitlines()[2:]
    names = [line.partition(":")[0].strip() for line in devices]

    is_here = stack.STACK == "embedded"
    assert (names == ["lo"]) == (is_here and bool(sandbox.without_network()))


def test_workers_do_not_know_the_tokens(server: Server) -> None:
    """Their environment is theirs alone, as are their temporary files."""
    (worker,) = server.workers()
    entries = Path(f"/proc/{worker}/environ").read_text().split("\0")

    assert not [entry for entry in entries if TOKEN in entry]
    (room,) = (server.folder / "tmp").iterdir()
    assert f"TMPDIR={room}" in entries
    assert room.stat().st_mode & 0o777 == 0o700


def test_a_worker_that_talks_nonsense_is_killed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """That is said once, and it is the document's fault."""
    ours, theirs = pipe()
    process = subprocess.Popen(["/bin/sleep", "60"])
    worker = _Worker("w", tmp_path, process, Listener(ours), 0.0, _kills_for_memory())
    metrics = Metrics("stub")
    watch = Observer(metrics, None)

    for told in (b'{"notes":[["ocr_steps_total",NaN,"page",""]]}\n', b"nonsense\n"):
        os.write(theirs, told)
        worker.listen(watch)

    assert process.wait(30) == -signal.SIGKILL
    assert _reason(worker, process.returncode) == "crashed"
    assert [record.getMessage() for record in caplog.records] == [
        "what worker w tells is not understood: it is killed"
    ]
    assert b"nan" not in metrics.text()[0].lower()
    worker.listener.close()
    os.close(theirs)


def test_a_supervisor_that_hangs_says_so(
    tasks: Tasks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else its machine would be thought well for ever, and do nothing."""
    goes_on = threading.Event()
    monkeypatch.setattr(workers, "_HANGS_S", 0.3)
    monkeypatch.setattr(tasks.runner, "release", lambda *_: goes_on.wait(60))
    supervisor = Supervisor(tasks, 0, tmp_path / "locks", tmp_path / "rooms", 5, 1, 30)
    supervisor._dead.append(("gone", Blame.NOBODY, False))
    listener = socket.create_server(("127.0.0.1", 0))
    readiness = Readiness(lambda: None, supervisor.warm)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}/healthz"

    def status() -> int:
        return httpx2.get(address).status_code

    with probes._Server(listener, lambda _: (b"", ""), readiness, supervisor.hangs) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        supervisor.start()
        try:
            _until(lambda: status() == 503)
            goes_on.set()
            _until(lambda: status() == 200)
        finally:
            goes_on.set()
            supervisor.stop()
            server.shutdown()
            thread.join()


def _until(happens: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not happens():
        assert time.monotonic() < end, "took too long"
        time.sleep(0.01)


class _Hanging:
    """Tasks whose one task never returns from native code that holds the interpreter's lock."""

    def __init__(self) -> None:
        self.queue = self

    def warm_up(self) -> None: ...

    def has_room(self) -> bool:
        return True

    def get(self, timeout_s: float) -> str | None:
        return "task"

    def run(self, task_id: str, worker: str, beat: Callable[[float], None]) -> None:
        beat(0.2)
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

    def run(self, task_id: str, worker: str, beat: Callable[[float], None]) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    def _done(self) -> str:
        return self._steps.read_text() if self._steps.exists() else ""


def _prepare(folder: Path) -> None:
    tasks = _Preparing(folder / "steps")
    work(tasks, "preparing", folder, Ration(), Teller(pipe()[1]))  # type: ignore[arg-type]


def test_an_idle_worker_prepares_step_by_step_and_looks_for_tasks_between(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_prepare, args=(tmp_path,))

    process.start()
    process.join(30)

    assert process.exitcode == 0
    # It (w)aits for a task and (p)repares, (l)ooks for one and prepares; then it waits for one.
    assert (tmp_path / "steps").read_text() == "wplpw"


def _work(folder: Path) -> None:
    work(_Hanging(), "hanging", folder, Ration(), Teller(pipe()[1]))  # type: ignore[arg-type]


def test_a_hang_ends_its_worker(tmp_path: Path) -> None:
    """The kernel's timer ends even native code, and tells the supervisor why."""
    process = multiprocessing.get_context("spawn").Process(target=_work, args=(tmp_path,))

    process.start()
    process.join(30)

    assert process.exitcode == -signal.SIGALRM

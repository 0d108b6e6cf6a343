"""Whoever waits for a task is told of its end: by pipes on one machine, by NOTIFY of PostgreSQL."""

import asyncio
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, insert, update
from sqlalchemy.orm import Session, sessionmaker

from app import database, ends, runner, sandbox
from app.api import waiting
from app.api.waiting import Waiting
from app.ends import PipeEnds, PostgresEnds
from app.errors import State
from app.interfaces import Ends
from app.rows import Task
from tests import services
from tests.conftest import InlineQueue, Start
from tests.test_db import add

IDS = [f"{number:08}-7d0b-4a53-9a8e-0c9a4f6b1d2e" for number in range(5000)]
SOON_S = 10.0  # Generous: no test depends on time. Without being told it would be for ever.

Make = Callable[[], Ends]


class Heard:
    """What a process hears; it listens from the first moment on."""

    def __init__(self, ends: Ends) -> None:
        self.ids: list[str] = []
        self._ends = ends
        ends.listen(self)
        until(lambda: ends.hears)

    def __call__(self, task_ids: Collection[str]) -> None:
        self.ids += task_ids

    def waits_for(self, *task_ids: str) -> None:
        until(lambda: {*task_ids} <= {*self.ids})


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


@pytest.fixture
def make(url: str, tmp_path: Path) -> Iterator[Make]:
    """Makes what each process of a server has."""
    folder = tmp_path / ("a long way down" * 15) / "ends"
    with ExitStack() as stack:

        def make() -> Ends:
            if url.startswith("sqlite"):
                made: Ends = PipeEnds(folder)
            else:
                engine = database.connect(url).kw["bind"]
                stack.callback(engine.dispose)
                made = PostgresEnds(engine)
            stack.callback(made.close)
            return made

        yield make


def test_all_who_listen_are_told(make: Make) -> None:
    """Of many ends at once, too; and once each."""
    first, second, worker = Heard(make()), Heard(make()), make()

    worker.tell(IDS[:900])

    for heard in (first, second):
        heard.waits_for(*IDS[:900])
        assert len(heard.ids) == 900


def test_the_thread_ends(make: Make) -> None:
    """With the server; nothing is left of it, and to tell is harmless still."""
    listener, worker = make(), make()
    heard = Heard(listener)

    listener.close()
    worker.tell(IDS[:1])

    assert "ends" not in [thread.name for thread in threading.enumerate()]
    assert heard.ids == []
    assert not listener.hears


def test_who_listens_again_hears(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever has broken the line."""
    monkeypatch.setattr(ends, "_AGAIN_S", 0.01)
    listener, worker = make(), make()
    broken = threading.Event()

    def stumble(_: Collection[str]) -> None:
        if not broken.is_set():
            broken.set()
            raise OSError("The line is broken.")

    listener.listen(stumble)
    until(lambda: listener.hears)
    worker.tell(IDS[:1])
    assert broken.wait(SOON_S)

    heard = Heard(listener)

    def is_told() -> bool:  # Perhaps not the first time: the line may not be noticed as broken yet.
        worker.tell(IDS[1:2])
        return IDS[1] in heard.ids

    until(is_told)


def test_a_worker_that_is_confined_tells(tmp_path: Path) -> None:
    """Without a network, and in a process that ends at once."""
    folder = tmp_path / "ends"
    listener = PipeEnds(folder)
    heard = Heard(listener)
    words = [*sandbox.without_network(), sys.executable, "-c", _TELL, str(folder), IDS[0]]

    subprocess.run(words, check=True, timeout=60)

    heard.waits_for(IDS[0])
    listener.close()


_TELL = """
import sys
from pathlib import Path
from app.ends import PipeEnds

PipeEnds(Path(sys.argv[1])).tell([sys.argv[2]])
"""


def test_pipes_of_the_dead_are_removed(tmp_path: Path) -> None:
    """And who is stopped holds nobody up."""
    dead, stopped = tmp_path / "dead.pipe", tmp_path / "stopped.pipe"
    os.mkfifo(dead)
    os.mkfifo(stopped)
    reader = os.open(stopped, os.O_RDWR)

    for _ in range(3):
        PipeEnds(tmp_path).tell(IDS)

    assert not dead.exists()
    assert os.read(reader, 37) == f"{IDS[0]}\n".encode()
    os.close(reader)


def test_a_folder_for_no_pipes(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Is said once; to tell is harmless."""
    (tmp_path / "ends").touch()
    listener = PipeEnds(tmp_path / "ends")

    listener.listen(lambda _: None)
    until(lambda: ends.__name__ in [record.name for record in caplog.records])
    listener.tell(IDS[:1])
    listener.close()

    assert not listener.hears
    said = [record.levelname for record in caplog.records if record.name == ends.__name__]
    assert said == ["WARNING"]


def test_postgresql_is_restarted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who listened listens again; who has something to tell meanwhile is not held up."""
    if services.missing("postgres") and not os.environ.get("CI"):
        pytest.skip("PostgreSQL is not installed")
    monkeypatch.setattr(ends, "_AGAIN_S", 0.05)
    port = services.free_port()
    with tempfile.TemporaryDirectory(prefix="ocr-pg-") as folder:
        _restart(port, folder)


def _restart(port: int, folder: str) -> None:
    with services.postgresql(port, folder) as address:
        engine = database.connect(address.replace(":", "+psycopg:", 1)).kw["bind"]
        listener, worker = PostgresEnds(engine), PostgresEnds(engine)
        heard = Heard(listener)
        worker.tell(IDS[:1])
        heard.waits_for(IDS[0])
    until(lambda: not listener.hears)
    worker.tell(IDS[1:2])

    with services.postgresql(port, folder):
        until(lambda: listener.hears)
        worker.tell(IDS[2:3])
        heard.waits_for(IDS[2])
        listener.close()
        engine.dispose()

    assert heard.ids == [IDS[0], IDS[2]]


@pytest.fixture
def statements() -> Iterator[list[str]]:
    """Those that are carried out on the database, by whomever."""
    said: list[str] = []

    def note(_: Any, __: Any, statement: str, *___: Any) -> None:
        said.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    yield said
    event.remove(Engine, "before_cursor_execute", note)


async def _began(looks: Any, number: int) -> None:
    while len(looks._awaited) < number:
        await asyncio.sleep(0.005)


def test_thousands_wait(
    start: Start,
    sessions: sessionmaker[Session],
    statements: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each is told of its own end, and while nothing ends nothing is asked, but for a look."""
    monkeypatch.setattr(waiting, "_LOOK_S", 3600.0)
    _, tasks = start()
    known = {"owner": "o", "state": 0, "state_detail": "", "format": "txt", "languages": ""}
    known |= {"base_url": "", "created_at": 0.0}
    with sessions.begin() as session:
        session.execute(insert(Task), [known | {"id": name} for name in IDS[:3000]])
    requests = Waiting(tasks, lambda: False)
    asked: list[int] = []

    waited_for = [Task(id=name, owner="o", state=State.QUEUED) for name in IDS[:3000]]

    async def wait() -> list[Task | None]:
        all_of_them = [asyncio.create_task(requests.until_final(t, 60)) for t in waited_for]
        await _began(requests._looks, 3000)
        while not tasks.ends.hears:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.2)  # The looks of those who had just begun.
        statements.clear()
        await asyncio.sleep(0.3)
        asked.append(len(statements))
        await asyncio.to_thread(tasks.ends.tell, IDS)
        return await asyncio.gather(*all_of_them)

    assert [task.id for task in asyncio.run(wait()) if task] == IDS[:3000]
    assert asked == [0]
    statements.clear()
    until(lambda: "waiting" not in [thread.name for thread in threading.enumerate()])
    time.sleep(0.2)
    assert statements == []  # Nobody waits.


def test_what_was_not_told_is_found(start: Start, sessions: sessionmaker[Session]) -> None:
    """Rows are looked at now and then."""
    _, tasks = start()
    add(sessions, IDS[0])
    requests = Waiting(tasks, lambda: False)

    task = Task(id=IDS[0], owner="o", state=State.QUEUED)

    async def wait() -> Task | None:
        request = asyncio.create_task(requests.until_final(task, 60))
        await _began(requests._looks, 1)
        while not tasks.ends.hears:
            await asyncio.sleep(0.005)
        with sessions.begin() as session:
            session.execute(update(Task).values(state=State.COMPLETE))
        return await request

    ended = asyncio.run(wait())
    assert ended is not None
    assert ended.state == State.COMPLETE


def test_an_end_that_is_told_too_early(
    start: Start, sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anybody waits for it: then it need not be found by a look."""
    for name in ("_STEP_S", "_LOOK_S"):
        monkeypatch.setattr(waiting, name, 3600.0)
    _, tasks = start()
    add(sessions, IDS[0], state=State.COMPLETE)
    requests = Waiting(tasks, lambda: False)
    asked = Task(id=IDS[0], owner="o", state=State.QUEUED)

    requests._hear(IDS[:1])
    ended = asyncio.run(requests.until_final(asked, 60))

    assert ended is not None
    assert ended.state == State.COMPLETE


def test_every_end_is_told(
    start: Start,
    queue: InlineQueue,
    sessions: sessionmaker[Session],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After its commit; also that of what is deleted, with all that was made of it."""
    queue.held = True
    _, tasks = start()
    add(sessions, IDS[0])
    add(sessions, IDS[1], state=State.COMPLETE)
    add(sessions, IDS[2], parent_id=IDS[1])
    add(sessions, IDS[3])
    said: dict[str, bool] = {}

    def hear(task_ids: Collection[str]) -> None:
        said.update({name: name in tasks.finished([name]) for name in task_ids})

    tasks.ends.listen(hear)
    until(lambda: tasks.ends.hears)

    tasks.delete("o", IDS[0])
    tasks.delete("o", IDS[1])
    monkeypatch.setattr(runner, "AWAY_S", 0)
    for _ in range(2):  # It has no document, which is looked for twice.
        tasks.runner.run(IDS[3], "worker")

    until(lambda: len(said) == 4)
    assert said == dict.fromkeys(IDS[:4], True)

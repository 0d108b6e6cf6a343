"""What a task costs while the table of tasks grows: with the load of clients, and by step."""

import hashlib
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any
from unittest.mock import patch

from sqlalchemy import Engine, event

from app import history, operations, statement, wiring
from app.rows import Task
from app.statement import carry_out
from app.tasks import Submission, Tasks
from benchmarks import past
from benchmarks.clients import HEAD, page, send, told
from benchmarks.stacks import DATABASES, Stack, serving, stack
from tests.server import TOKEN

_SIZES = (1_000, 10_000, 100_000, 1_000_000)
_CLIENTS = 4
_ROUNDS = 100
OWNER = hashlib.sha256(TOKEN.encode()).hexdigest()
# Whoever asks the database is named after the outermost of these.
_ASKING = {f"{name}.py" for name in ("tasks", "leases", "retention", "history", "operations")}
_PASSING = ("surely", "<lambda>")


def rows(quick: bool) -> None:
    """Cost as the table grows."""
    sizes = _SIZES[:3] if quick else _SIZES
    for name in DATABASES:
        with stack(name) as opened:
            print(f"\n{name}: {_CLIENTS} clients, while the table has so many rows")
            print(f"     rows  {HEAD}")
            found: dict[int, dict[str, tuple[float, float]]] = {}
            for size in sizes:
                found[size] = _measure(opened, size - max(found, default=0), quick)
            print(f"\n{name}: milliseconds in the database, by step")
            print("  " + "".join(f"{size:>10}" for size in sizes) + "  statements")
            for step in found[sizes[0]]:
                times = "".join(f"{1000 * found[size][step][0]:10.2f}" for size in sizes)
                print(f"  {times}  {found[sizes[0]][step][1]:10.1f}  {step}", flush=True)


def _measure(opened: Stack, more: int, quick: bool) -> dict[str, tuple[float, float]]:
    """The load after ``more`` rows came to the table; then seconds and statements by step."""
    settings = opened.parsed()
    wiring.migrate(settings)
    with closing(wiring.build(settings)) as tasks:
        engine = tasks.sessions.kw["bind"]
        past.fill(engine, OWNER, more)
        with tasks.sessions() as session:
            count = session.query(Task).count()
        with serving(opened) as server:
            send(server, _CLIENTS, 2)
            print(f"  {count:7}  {told(send(server, _CLIENTS, 4 if quick else 15))}", flush=True)
        return by_step(tasks, engine, opened.folder, _ROUNDS // 4 if quick else _ROUNDS)


def by_step(
    tasks: Tasks, engine: Engine, folder: Path, rounds: int
) -> dict[str, tuple[float, float]]:
    """Median seconds in the database, and statements, of each step of a task and of upkeep."""
    times: dict[str, list[float]] = defaultdict(list)
    counts: dict[str, int] = defaultdict(int)
    for n in range(rounds + 1):
        spent: dict[str, float] = defaultdict(float)
        with _watched(engine, spent, counts if n else defaultdict(int)):
            _once(tasks, folder)
        for step, seconds in spent.items():
            if n:  # In the first all is compiled and prepared.
                times[step].append(seconds)
    return {step: (statistics.median(each), counts[step] / rounds) for step, each in times.items()}


def submit(tasks: Tasks, folder: Path) -> Task:
    """A task of a small page."""
    source = folder / "staged.png"
    source.write_bytes(page())
    tasks.check_room(source.stat().st_size)
    return tasks.submit(OWNER, Submission("txt", "English", "http://127.0.0.1"), source)


def _once(tasks: Tasks, folder: Path) -> None:
    task = submit(tasks, folder)
    unit = tasks.runner.queue.get(5)
    assert unit == task.id
    tasks.runner.run(unit, "bench")
    tasks.get(OWNER, task.id)
    tasks.finished([task.id])
    tasks.runner.recover()
    tasks.sweeper.step()
    with tasks.sessions() as session:
        newest = history.page(session, OWNER, 50)
        history.page(session, OWNER, 50, newest[-1])
        operations.queue(session)
        operations.workers(session, ())
        operations.done(session)
        operations.failures(session)


@contextmanager
def _watched(engine: Engine, spent: dict[str, float], counts: dict[str, int]) -> Iterator[None]:
    """Note what is asked of the database, and by whom."""
    began = 0.0

    def before(*_: Any) -> None:
        nonlocal began
        began = time.perf_counter()

    def after(*_: Any) -> None:
        step = _asking(sys._getframe())
        spent[step] += time.perf_counter() - began
        counts[step] += 1

    def carried_out(*arguments: Any) -> Any:
        before()
        rows = carry_out(*arguments)
        after()
        return rows

    listeners: Sequence[tuple[str, Callable[..., None]]] = (
        ("before_cursor_execute", before),
        ("after_cursor_execute", after),
    )
    for name, listener in listeners:
        event.listen(engine, name, listener)
    try:
        with patch.object(statement, "carry_out", carried_out):
            yield
    finally:
        for name, listener in listeners:
            event.remove(engine, name, listener)


def _asking(frame: FrameType | None) -> str:
    found = "other"
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        name = frame.f_code.co_name
        if path.name in _ASKING and path.parent.name == "app" and name not in _PASSING:
            found = f"{path.stem}.{name.lstrip('_')}"
        frame = frame.f_back
    return found

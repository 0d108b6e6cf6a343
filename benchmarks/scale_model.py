"""What many workers need of PostgreSQL, Redis and S3: measured costs, multiplied, and checked.

The costs of a task, of a page of a long document, and of workers that wait are those of a real
server. The check: ``pgbench`` carries out the very statements of a task as fast as PostgreSQL
can, also for as many clients as there would be workers.
"""

import re
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psycopg
import redis
from sqlalchemy import Engine, event

from app import statement, wiring
from app.statement import carry_out
from app.tasks import Tasks
from benchmarks import meters
from benchmarks.clients import document, send
from benchmarks.meters import Meter
from benchmarks.scale_rows import OWNER, submit
from benchmarks.stacks import Stack, serving, stack

_WORKERS = 1000  # Each reads a page a second.
_PAGES = 100  # Of a long document.
_CLIENTS = 10
_SETTLED_S = 10.0  # A worker that is ready still prepares this and that.
_CORES = 2.0  # Of the machine that pgbench and PostgreSQL share.
_STACK = "PostgreSQL+Redis"
_WATCHED = ("shared_preload_libraries=pg_stat_statements", "max_connections=1200")


@dataclass(frozen=True, slots=True)
class Costs:
    """What is done for one of each."""

    task: Meter  # Of one page.
    page: Meter  # Of a long document.
    worker_s: Meter  # A second of a worker without work,
    machine_s: Meter  # and of its supervisor and, with the API, of a server.
    worker_connections: tuple[int, int]  # To PostgreSQL, to Redis.
    machine_connections: tuple[int, int]


def model(quick: bool) -> None:
    """Measure the costs, say what a thousand workers need, and check how far PostgreSQL goes."""
    with stack(_STACK, _WATCHED) as opened:
        costs = _costs(opened, quick)
        _print_costs(costs)
        _print_needs(costs)
        _check(opened, costs, quick)


def _costs(opened: Stack, quick: bool) -> Costs:
    seconds = 4 if quick else 15
    idle, held = {}, {}
    for count in (1, 5):
        with serving(opened, OCR_WORKERS=str(count)) as server:
            send(server, _CLIENTS, 2)  # As many each time: the API has connections for them.
            time.sleep(_SETTLED_S)
            before = meters.read(opened)
            time.sleep(seconds)
            idle[count] = meters.read(opened).since(before)
            idle[count] = idle[count].since(_NOTHING, idle[count].seconds)
            held[count] = meters.connections(opened)
    worker_s = idle[5].since(idle[1], 4)
    with serving(opened) as server:
        send(server, 4, 2)
        before = meters.read(opened)
        done = send(server, 4, seconds)
        task = meters.read(opened).since(before, len(done.latencies_s))
    pages = _PAGES // 4 if quick else _PAGES
    with serving(opened, OCR_STUB_PAGE_S="1", OCR_WORKERS="5") as server:
        time.sleep(_SETTLED_S)
        before = meters.read(opened)
        server.post(document(pages))
        page = meters.read(opened).since(before, pages)
    each = tuple((held[5][n] - held[1][n]) // 4 for n in (0, 1))
    return Costs(
        task,
        page,
        worker_s,
        idle[1].since(worker_s),
        (each[0], each[1]),
        (held[1][0] - each[0], held[1][1] - each[1]),
    )


_NOTHING = Meter(0, 0, 0, 0, 0)


def _print_costs(costs: Costs) -> None:
    print("\nMeasured costs, PostgreSQL+Redis")
    print("                          statements  transactions  WAL bytes  Redis commands  CPU ms")
    for name, each in (
        ("a task of one page", costs.task),
        (f"a page, one of {_PAGES}", costs.page),
        ("an idle worker, 1 s", costs.worker_s),
        ("an idle server, 1 s", costs.machine_s),
    ):
        used = ", ".join(f"{kind} {1000 * s:.2f}" for kind, s in sorted(each.cpu_s.items()))
        print(
            f"  {name:22}  {each.statements:10.2f}  {each.transactions:12.2f}"
            f"  {each.wal_bytes:9.0f}  {each.commands:14.2f}  {used}"
        )
    for name, (rows, queue) in (
        ("a worker", costs.worker_connections),
        ("a server", costs.machine_connections),
    ):
        print(f"  {name}: {rows} connections to PostgreSQL, {queue} to Redis", flush=True)


def _print_needs(costs: Costs) -> None:
    print(f"\nWhat {_WORKERS} workers need that read a page a second each (predicted)")
    for name, each in (("tasks of one page", costs.task), ("long documents", costs.page)):
        cores = {kind: _WORKERS * used for kind, used in each.cpu_s.items()}
        print(
            f"  {name}: PostgreSQL {_WORKERS * each.transactions:.0f} transactions/s,"
            f" {_WORKERS * each.statements:.0f} statements/s,"
            f" {_WORKERS * each.wal_bytes / 1e6:.1f} MB/s of WAL, {cores['PostgreSQL']:.1f} cores;"
            f" Redis {_WORKERS * each.commands:.0f} commands/s, {cores['Redis']:.2f} cores;"
            f" API {cores['API']:.1f} processes"
        )
    idle = costs.worker_s
    print(
        f"  while all wait: {_WORKERS * idle.transactions:.0f} transactions/s,"
        f" {_WORKERS * idle.commands:.0f} Redis commands/s;"
        f" connections: {_WORKERS * costs.worker_connections[0]} to PostgreSQL,"
        f" {_WORKERS * costs.worker_connections[1]} to Redis, without those of machines",
        flush=True,
    )


def _check(opened: Stack, costs: Costs, quick: bool) -> None:
    seconds = 4 if quick else 15
    with closing(wiring.build(opened.parsed())) as tasks:
        lines = _recorded(tasks, opened)
    predicted = costs.task.cpu_s["PostgreSQL"]
    print(f"\nPostgreSQL alone, the {len(lines)} lines of a task by pgbench, {_CORES:.0f} cores")
    print("  connections  owners   tasks/s  mean ms  CPU ms a task (with the server: "
          f"{1000 * predicted:.2f})")  # fmt: skip
    many = _WORKERS // 10 if quick else _WORKERS
    for clients, owners in ((1, 100), (16, 100), (many, 100), (16, 1)):
        before = meters.read(opened)
        done, per_s = _pgbench(opened, lines, clients, owners, seconds)
        used = meters.read(opened).since(before, max(1, done)).cpu_s["PostgreSQL"]
        mean = 1000 * clients / per_s
        print(
            f"  {clients:11}  {owners:6}  {per_s:8.1f}  {mean:7.1f}  {1000 * used:.2f}", flush=True
        )
    print("\nRedis alone")
    with redis.Redis.from_url(opened.settings["OCR_QUEUE_URL"]) as client:
        port = client.connection_pool.connection_kwargs["port"]
    for command in ("zadd q 1 __rand_int__", "zpopmin q"):
        words = ["redis-benchmark", "-p", str(port), "--csv", "-n", "100000", "-r", "1000000"]
        words += command.split()
        told = subprocess.run(words, check=True, capture_output=True, text=True).stdout
        print(f"  {told.splitlines()[-1]}", flush=True)


def _recorded(tasks: Tasks, opened: Stack) -> list[str]:
    """The statements of a task from its submission to its end, with their transactions."""
    submit(tasks, opened.folder)
    tasks.runner.run(str(tasks.runner.queue.get(5)), "bench")  # Everything is known from here on.
    with _listened(tasks.sessions.kw["bind"]) as lines:
        task = submit(tasks, opened.folder)
        tasks.runner.run(str(tasks.runner.queue.get(5)), "bench")
        tasks.get(OWNER, task.id)
    return [_varied(line, task.id) for line in lines]


def _varied(line: str, task_id: str) -> str:
    """A recorded line for another task, of another owner, each time."""
    line = line.replace(f"'{task_id}'", "('00000000-0000-4000-8000-' || :task)")
    return line.replace(f"'{OWNER}'", "('owner-' || :owner)")


@contextmanager
def _listened(engine: Engine) -> Iterator[list[str]]:
    lines: list[str] = []
    is_open = False

    def carried_out(connection: Any, said: str, parameters: Any) -> Any:
        note(connection, said, parameters)
        return carry_out(connection, said, parameters)

    def execute(_: Any, cursor: Any, said: str, parameters: Any, *__: Any) -> None:
        note(cursor.connection, said, parameters)

    def note(connection: Any, said: str, parameters: Any) -> None:
        nonlocal is_open
        if not connection.autocommit and not is_open:
            lines.append("BEGIN")
            is_open = True
        whole = psycopg.ClientCursor(connection).mogrify(said, parameters)
        lines.append(re.sub(r"\s+", " ", whole))

    def end(*_: Any) -> None:
        nonlocal is_open
        if is_open:
            lines.append("COMMIT")
            is_open = False

    listeners = (("before_cursor_execute", execute), ("commit", end), ("rollback", end))
    for name, listener in listeners:
        event.listen(engine, name, listener)
    try:
        with patch.object(statement, "carry_out", carried_out):
            yield lines
    finally:
        for name, listener in listeners:
            event.remove(engine, name, listener)


def _pgbench(
    opened: Stack, lines: Sequence[str], clients: int, owners: int, seconds: int
) -> tuple[int, float]:
    """How many tasks were carried through, and how many a second."""
    program = max(Path("/usr/lib/postgresql").glob("*/bin/pgbench"))
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write("\\set task random(100000000000, 999999999999)\n")
        script.write(f"\\set owner random(1, {owners})\n")
        script.write("".join(f"{line};\n" for line in lines))
        script.flush()
        told = subprocess.run(
            [program, "-n", "-M", "prepared", "-c", str(clients), "-T", str(seconds),
             "-f", script.name, opened.database],
            check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
    done = re.search(r"actually processed: (\d+)", told)
    per_s = re.search(r"tps = ([\d.]+)", told)
    assert done, told
    assert per_s, told
    return int(done[1]), float(per_s[1])

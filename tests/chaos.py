"""Tasks while everything around them goes wrong; afterwards all must be right and nothing left.

Usage: python -m tests.chaos [--tasks N] [--runs N] [--seed N] [--stack scale]

A server runs on a small disk of its own; or four machines on PostgreSQL, Redis and S3 do, see
tests.chaos_scale. Clients send it documents of all kinds, as bytes and as
URLs, and look at their tasks, while every few seconds a process is killed or stopped, the server is
restarted, the disk is filled or can only be read, the database is locked, or the clock is set. In
the end each task must have its right result or its right error, and its report; and there must be
no file, row, process or folder that belongs to nothing. Needs root, or for one server user
namespaces.
"""

import argparse
import contextlib
import ctypes
import faulthandler
import io
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import docx
import httpx2
import openpyxl
import pptx
import pypdfium2
from reportlab.pdfgen import canvas

from tests.pictures import frames, picture
from tests.server import TOKEN, Server

_CLIENTS = 8
_DISK_BYTES = 1536 * 2**20
_RESERVE_BYTES = 100 * 2**20
HELD = "SELECT count(*) FROM tasks WHERE leased_by IS NOT NULL OR password IS NOT NULL"
_TASK_S = 600  # Within which each task must have its end.
# Read by every Python of the server at its start.
CLOCK = """
import os, time
true, clock = time.time, os.environ.get("CHAOS_CLOCK")
def wrong():
    with open(clock) as file:
        return true() + float(file.read())
if clock:
    time.time = wrong
"""


@dataclass(frozen=True)
class Job:
    """A document, what is asked of it, and what is to come of it."""

    number: int
    content: bytes
    format: str
    words: tuple[str, ...]  # In the order of the pages; none: the document cannot be read.
    by_url: bool = False
    reports: bool = False

    @property
    def state(self) -> int:
        return 1 if self.words else -7


@dataclass
class Outside:
    """The other side of the network: serves documents, takes reports."""

    documents: dict[str, bytes] = field(default_factory=dict)
    reports: dict[str, list[int]] = field(default_factory=dict)

    @contextlib.contextmanager
    def serving(self, address: str = "127.0.0.1") -> Iterator[str]:
        outside = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = outside.documents[self.path]
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(body)

            def do_POST(self) -> None:
                record = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["data"]
                outside.reports.setdefault(record["task_id"], []).append(record["state"])
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        server = ThreadingHTTPServer((address, 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://{address}:{server.server_port}"
        finally:
            server.shutdown()


def jobs(count: int, chance: random.Random) -> list[Job]:
    """Documents of all kinds, each with words of its own."""
    made = []
    for number in range(count):
        words = tuple(
            f"WORD {number * 100 + page + 1000}" for page in range(1, 1 + chance.choice((2, 5, 9)))
        )
        kind = chance.choice(
            ("picture", "picture", "frames", "typed", "typed", "docx", "xlsx", "broken")
        )
        form = chance.choice(("txt", "txt", "pdf", "docx", "xlsx", "pptx"))
        if kind == "picture":
            words = words[:1]
            content = picture(words[0])
        elif kind == "frames":
            content = frames(words)
        elif kind == "typed":
            content = _typed(words)
        elif kind == "docx":
            content = _docx(words)
        elif kind == "xlsx":
            content = _xlsx(words)
        else:
            words, content = (), _typed(words)[:200]
        made.append(Job(number, content, form, words, chance.random() < 0.2, chance.random() < 0.2))
    return made


def _typed(words: tuple[str, ...]) -> bytes:
    out = io.BytesIO()
    drawing = canvas.Canvas(out)
    for word in words:
        drawing.drawString(72, 700, word)
        drawing.showPage()
    drawing.save()
    return out.getvalue()


def _docx(words: tuple[str, ...]) -> bytes:
    out = io.BytesIO()
    document = docx.Document()
    for word in words:
        document.add_paragraph(word)
    document.save(out)
    return out.getvalue()


def _xlsx(words: tuple[str, ...]) -> bytes:
    out = io.BytesIO()
    book = openpyxl.Workbook()
    assert book.active is not None
    for word in words:
        book.active.append([word])
    book.save(out)
    return out.getvalue()


def _read(content: bytes, form: str) -> str:
    """All text of a result."""
    stream = io.BytesIO(content)
    if form == "txt":
        return content.decode()
    if form == "pdf":
        return "\n".join(
            page.get_textpage().get_text_range() for page in pypdfium2.PdfDocument(content)
        )
    if form == "docx":
        document = docx.Document(stream)
        lines = [p.text for p in document.paragraphs]
        lines += [c.text for t in document.tables for r in t.rows for c in r.cells]
        return "\n".join(lines)
    if form == "xlsx":
        sheets = openpyxl.load_workbook(stream)
        return "\n".join(
            str(c) for s in sheets for row in s.iter_rows(values_only=True) for c in row
        )
    slides = pptx.Presentation(stream).slides
    lines = []
    for slide in slides:
        for shape in slide.shapes:
            if shape.has_text_frame:
                lines.append(shape.text_frame.text)
            if getattr(shape, "has_table", False):
                lines += [c.text for r in shape.table.rows for c in r.cells]
    return "\n".join(lines)


class Run:
    """One server, its clients, and what is done to it."""

    def __init__(self, folder: Path, disk: Path, chance: random.Random) -> None:
        self.disk = disk
        self.data = disk / "data"
        self.temp = disk / "temp"
        self.clock = folder / "clock"
        self._begin(folder / "server.log", chance)
        for made in (self.data, self.temp):
            made.mkdir()
        self._set_clock(0)
        (folder / "sitecustomize.py").write_text(CLOCK)
        self.server = Server(
            self.data,
            {
                "OCR_WORKERS": "2",
                "OCR_THREADS": "1",
                "OCR_TURN_S": "0.1",
                "OCR_MIN_FREE_BYTES": str(_RESERVE_BYTES),
                "OCR_FETCH_NETWORKS": "127.0.0.0/8",
                "TMPDIR": str(self.temp),
                "PYTHONPATH": f"{folder}:{Path.cwd()}",
                "CHAOS_CLOCK": str(self.clock),
            },
            log=self.log,
        )

    def _begin(self, log: Path, chance: random.Random) -> None:
        self.log = log
        self.chance = chance
        self.outside = Outside()
        self.failures: list[str] = []
        self.right = 0
        self.done: Counter[str] = Counter()
        self._over = threading.Event()

    def go(self, todo: list[Job]) -> None:
        """All of it. What is wrong is told in ``failures``."""
        with self._serving() as outside:
            trouble = threading.Thread(target=self._trouble)
            trouble.start()
            with ThreadPoolExecutor(_CLIENTS) as clients:
                ids = list(clients.map(lambda job: self._guarded(job, outside), todo))
            self._over.set()
            trouble.join()
            self._look_at_reports(todo, ids)
            self._look_at_what_is_left(todo, ids)

    def jobs(self, count: int) -> list[Job]:
        """What clients want."""
        return jobs(count, self.chance)

    def stop(self) -> None:
        """End what runs."""
        self.server.stop()

    @contextlib.contextmanager
    def _serving(self) -> Iterator[str]:
        """The address of what is outside, while the server runs."""
        with self.outside.serving() as outside:
            self.server.settings["OCR_FETCH_PORTS"] = outside.rpartition(":")[2]
            self.server.start()
            yield outside

    # Clients

    def _base(self) -> str:
        """Where a client asks now."""
        return self.server.base

    def _guarded(self, job: Job, outside: str) -> str | None:
        try:
            task_id = self._client(job, outside)
            self.right += 1
            return task_id
        except Exception as error:
            self.failures.append(f"{job.number}: {error!r}")
            return None

    def _client(self, job: Job, outside: str) -> str:
        """Send one document, as often as it takes to be told so, and look at what came of it."""
        fields = {"format": job.format, "language": "English", "sync": self.chance.choice("01")}
        if job.reports:
            fields["callback_url"] = outside + "/report"
        files = None
        if job.by_url:
            path = f"/{job.number}"
            self.outside.documents[path] = job.content
            fields["image_url"] = outside + path
        else:
            files = {"image_file": ("document", job.content)}
        key = {"Idempotency-Key": uuid.uuid4().hex}
        end = time.monotonic() + _TASK_S
        record: dict[str, Any] | None = None
        while record is None or record["state"] in (0, 2, 3, 4):
            if time.monotonic() > end:
                raise TimeoutError(f"no end in time: {record}")
            if record is None:
                reply = self._ask("POST", "/task/pic/ocr", headers=key, data=fields, files=files)
            else:
                reply = self._ask("GET", f"/task/{record['task_id']}")
            if reply is not None:
                record = reply
            time.sleep(0.3)
        task_id = str(record["task_id"])
        if record["state"] != job.state:
            raise AssertionError(f"state {record['state']}, not {job.state}: {record}")
        if job.words:
            self._check(job, record, end)
        return task_id

    def _check(self, job: Job, record: dict[str, Any], end: float) -> None:
        while True:
            with contextlib.suppress(httpx2.TransportError):
                path = urlsplit(record["file"]).path
                reply = httpx2.get(self._base() + path, timeout=httpx2.Timeout(60, connect=5))
                if reply.status_code == 200:
                    break
                if reply.status_code != 503:
                    raise AssertionError(f"result: {reply.status_code}")
            if time.monotonic() > end:
                raise TimeoutError("no result in time")
            time.sleep(0.5)
        if len(reply.content) != record["output_size"]:
            raise AssertionError("the result is not as long as was said")
        text = _read(reply.content, job.format)
        at = -1
        for word in job.words:
            at = text.find(word, at + 1)
            if at < 0:
                raise AssertionError(f"{word} is not where it should be in {text!r}")

    def _ask(self, method: str, path: str, **how: Any) -> dict[str, Any] | None:
        """The record; None if there is no answer now."""
        headers = {"Authorization": f"Bearer {TOKEN}", **how.pop("headers", {})}
        try:
            timeout = httpx2.Timeout(150, connect=5)
            reply = httpx2.request(
                method, self._base() + path, headers=headers, timeout=timeout, **how
            )
        except httpx2.TransportError:
            return None
        if reply.status_code == 503:
            self.done["refused for now"] += 1
            return None
        if reply.status_code != 200:
            raise AssertionError(f"{method} {path}: {reply.status_code} {reply.text}")
        return dict(reply.json()["data"])

    # Troubles

    def _troubles(self) -> list[tuple[Callable[[], None], int]]:
        """What goes wrong, and how often."""
        return [
            (self._kill_a_worker, 4),
            (self._kill_any, 4),
            (self._kill_the_server, 2),
            (self._stop_and_go, 3),
            (self._restart, 1),
            (self._fill_the_disk, 3),
            (self._only_read, 1),
            (self._lock_the_database, 3),
            (self._step_the_clock, 3),
        ]

    def _trouble(self) -> None:
        troubles = self._troubles()
        waves = [trouble for trouble, _ in troubles]
        while not self._over.wait(self.chance.uniform(0.3, 2.5)):
            if waves:  # Each once, then by chance.
                trouble = waves.pop(self.chance.randrange(len(waves)))
            else:
                (trouble,) = self.chance.choices(*zip(*troubles, strict=True))
            self.done[trouble.__name__.strip("_").replace("_", " ")] += 1
            try:
                trouble()
            except Exception as error:
                self.failures.append(f"trouble {trouble.__name__}: {error!r}")
        self._recover()

    def _recover(self) -> None:
        """The end of all troubles."""
        self._set_clock(0)

    def _workers(self) -> list[int]:
        assert self.server.process is not None
        return children(self.server.process.pid)

    def _descendants(self, pid: int) -> list[int]:
        found = children(pid)
        return found + [each for child in found for each in self._descendants(child)]

    def _kill_a_worker(self) -> None:
        if workers := self._workers():
            self._signal(self.chance.choice(workers), signal.SIGKILL)

    def _kill_any(self) -> None:
        assert self.server.process is not None
        if pids := self._descendants(self.server.process.pid):
            self._signal(self.chance.choice(pids), signal.SIGKILL)

    def _kill_the_server(self) -> None:
        self.server.kill()
        self.server.start()

    def _restart(self) -> None:
        self.server.stop()
        self.server.start()

    def _stop_and_go(self) -> None:
        assert self.server.process is not None
        pid = self.chance.choice([self.server.process.pid, *self._workers()])
        self._signal(pid, signal.SIGSTOP)
        time.sleep(self.chance.uniform(1, 6))
        self._signal(pid, signal.SIGCONT)

    def _fill_the_disk(self) -> None:
        hog = self.disk / "hog"
        with contextlib.suppress(OSError), hog.open("wb") as file:
            while True:
                file.write(bytes(2**20))
        time.sleep(self.chance.uniform(1, 5))
        hog.unlink()

    def _only_read(self) -> None:
        """The disk comes back read-only after a crash, and is mended later."""
        self.server.kill()
        self._wait_for_orphans()
        self._mount("ro")
        failing = self.server.launch()
        with contextlib.suppress(subprocess.TimeoutExpired):
            failing.wait(self.chance.uniform(3, 8))
        failing.kill()
        failing.wait()
        self._wait_for_orphans()
        self._mount("rw")
        self.server.start()

    def _lock_the_database(self) -> None:
        name = self.chance.choice(("ocr.db", "ocr.db", "queue.db"))
        with contextlib.closing(sqlite3.connect(self.data / name, timeout=30)) as database:
            database.isolation_level = None
            database.execute("BEGIN EXCLUSIVE")
            time.sleep(self.chance.choice((1, 3, 8, 20)))
            database.execute("ROLLBACK")

    def _step_the_clock(self) -> None:
        self._set_clock(self.chance.choice((-7200, -60, 60, 7200)))

    def _set_clock(self, seconds: int) -> None:
        new = self.clock.with_suffix(".new")
        new.write_text(f"{seconds:+d}")
        new.replace(self.clock)

    def _mount(self, how: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{how}", str(self.disk)], check=True)

    def _signal(self, pid: int, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    # Afterwards

    def _look_at_reports(self, todo: list[Job], ids: list[str | None]) -> None:
        wanted = {
            name: job.state for job, name in zip(todo, ids, strict=True) if name and job.reports
        }
        end = time.monotonic() + 90  # The first retry is after a minute.
        while (late := wanted.keys() - self.outside.reports.keys()) and time.monotonic() < end:
            time.sleep(0.5)
        if late:
            self.failures.append(f"{len(late)} reports did not come")
        for name, state in wanted.items():
            if any(told != state for told in self.outside.reports.get(name, ())):
                self.failures.append(f"{name}: another state was reported")

    def _look_at_what_is_left(self, todo: list[Job], ids: list[str | None]) -> None:
        self._age()
        wanted = {
            f"files/{kept}"
            for job, name in zip(todo, ids, strict=True)
            if name and job.words
            for kept in (f"results/{name}.{job.format}", f"sources/{name}", f"readings/{name}")
        }
        end = time.monotonic() + 60
        while (left := self._files() - wanted) and time.monotonic() < end:
            time.sleep(1)
        for pid in [p for server in self._servers() for p in self._descendants(server)]:
            if self._is_zombie(pid):
                self.failures.append(f"process {pid} is a zombie")
        self.stop()
        if left:
            self.failures.append(f"files of nothing: {sorted(left)}")
        results = {name for name in wanted if name.startswith("files/results/")}
        if lacking := results - self._files():
            self.failures.append(f"results that are gone: {sorted(lacking)}")
        rows, parts, held, sound = self._rows()
        if rows != {name: job.state for job, name in zip(todo, ids, strict=True) if name}:
            known = sum(name is not None for name in ids)
            self.failures.append(f"{len(rows)} rows, {known} tasks; or other states")
        if parts or held or sound != "ok":
            self.failures.append(f"{parts} parts left, {held} rows held, database {sound}")
        if temporary := self._temporary():
            self.failures.append(f"temporary files: {temporary}")
        self._wait_for_orphans()
        if pids := self._ours():
            names = [Path(f"/proc/{p}/cmdline").read_bytes()[:100] for p in pids]
            self.failures.append(f"processes: {names}")

    def _age(self) -> None:
        """Start anew when what the server takes for abandoned is old enough."""
        self._set_clock(86400)
        self._restart()

    def _servers(self) -> list[int]:
        assert self.server.process is not None
        return [self.server.process.pid]

    def _ours(self) -> list[int]:
        """All processes of what is tried; orphans come to this one."""
        return self._descendants(os.getpid())

    def _temporary(self) -> list[str]:
        rooms = self.data / "tmp"
        return sorted(p.name for f in (self.temp, rooms) for p in f.glob("*"))

    def _rows(self) -> tuple[dict[str, int], int, int, str]:
        """The states of the tasks; how many parts there are, and rows held; of the database."""
        with contextlib.closing(sqlite3.connect(self.data / "ocr.db")) as database:
            rows = dict(database.execute("SELECT id, state FROM tasks"))
            (parts,) = database.execute("SELECT count(*) FROM parts").fetchone()
            (held,) = database.execute(HELD).fetchone()
            (sound,) = database.execute("PRAGMA integrity_check").fetchone()
        return rows, parts, held, sound

    def _files(self) -> set[str]:
        apart = ("ocr.db", "queue.db", "models/", "tmp/")  # The last is empty without workers.
        found = (p for p in self.data.rglob("*") if p.is_file())
        names = {str(path.relative_to(self.data)) for path in found}
        return {
            name
            for name in names
            if not name.startswith(apart) and not name.endswith((".lock", ".key"))
        }

    def _wait_for_orphans(self) -> None:
        """Processes of a killed server hold the disk for a moment."""
        end = time.monotonic() + 20
        while self._ours() and time.monotonic() < end:
            _reap()
            time.sleep(0.1)

    def _is_zombie(self, pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except OSError:
            return False


def children(pid: int) -> list[int]:
    """The processes that a process has started, or has inherited."""
    found: list[int] = []
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += map(int, children.read_text().split())
    return found


def _reap() -> None:
    """Take leave of orphans that came to this process; only while it has no server."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


@contextlib.contextmanager
def disk(path: Path, size: int) -> Iterator[Path]:
    """A disk of so many bytes."""
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", path], check=False)


@contextlib.contextmanager
def _embedded(folder: Path, chance: random.Random) -> Iterator[Run]:
    with disk(folder / "disk", _DISK_BYTES) as ours:
        yield Run(folder, ours, chance)


def once(tasks: int, seed: int, stack: str) -> bool:
    """One run; whether all was right."""
    from tests.chaos_scale import scale

    chance = random.Random(seed)
    setting = {"embedded": _embedded, "scale": scale}[stack]
    with contextlib.ExitStack() as context:
        folder = Path(context.enter_context(tempfile.TemporaryDirectory(prefix="ocr-chaos-")))
        run = context.enter_context(setting(folder, chance))
        began = time.monotonic()
        try:
            run.go(run.jobs(tasks))
        finally:
            with contextlib.suppress(Exception):
                run.stop()
            if run.failures:
                kept = Path(tempfile.gettempdir(), f"ocr-chaos-{stack}-{seed}.log")
                shutil.copyfile(run.log, kept)
                print(f"the server's log is in {kept}")
        troubles = ", ".join(f"{count} x {name}" for name, count in sorted(run.done.items()))
        print(
            f"{stack}, seed {seed}: {tasks} tasks in {time.monotonic() - began:.0f} s; {troubles}"
        )
        for failure in run.failures:
            print("  WRONG", failure)
        print(f"  {run.right} of {tasks} right", flush=True)
        return not run.failures


def main() -> int:
    """As often as asked for; 1 if anything was wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--tasks", type=int, default=300)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--stack", choices=("embedded", "scale"), default="embedded")
    arguments = parser.parse_args()
    if "OCR_CHAOS" not in os.environ:  # Mounts of a namespace of our own go when it goes.
        user = [] if os.getuid() == 0 else ["--user", "--map-root-user"]
        command = ["unshare", *user, "--mount", sys.executable, "-m", "tests.chaos", *sys.argv[1:]]
        return subprocess.run(command, env={**os.environ, "OCR_CHAOS": "1"}, check=False).returncode
    faulthandler.register(signal.SIGUSR1)
    ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: orphans become ours, and are seen.
    seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(10**6)
    return (
        0
        if all([once(arguments.tasks, seed + n, arguments.stack) for n in range(arguments.runs)])
        else 1
    )


if __name__ == "__main__":
    sys.exit(main())

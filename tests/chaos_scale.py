"""The same troubles for four machines on PostgreSQL, Redis and S3, and those of a network.

Two machines serve clients, who choose one at random, and work; two only work. Each has a disk and
a clock of its own, and two cables: one to the services, which is pulled now and then, and one to
clients and to what lies outside. The services are killed, stopped and started again; Redis forgets
all that it knew. Needs root.
"""

import contextlib
import os
import random
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from app import languages, wiring
from app.config import Settings
from app.pipeline import Order
from tests import hosts, services
from tests.chaos import CLOCK, HELD, Job, Run, children, disk, jobs
from tests.hosts import Host, Network, Service
from tests.server import Server

_DISK_BYTES = 512 * 2**20
_RESERVE_BYTES = 50 * 2**20
_CACHE_BYTES = 20 * 2**20
_LEASE_S = 5
_START_S = 300
_SKEWS = (-300, 0, 0, 300)  # Seconds, of the clocks of the machines.
_MARK = re.compile(r"\b[0-9a-f]{8}\b")


@dataclass
class _Box:
    """A machine with its disk and clock."""

    machine: Server
    host: Host
    disk: Path
    clock: Path
    skew: int

    @property
    def data(self) -> Path:
        return self.machine.folder


class Scale(Run):
    """Four machines, their services and clients."""

    def __init__(
        self,
        folder: Path,
        chance: random.Random,
        boxes: list[_Box],
        net: Network,
        outer: Network,
        known: dict[str, Service[Any]],
        store: Path,
        url: str,
    ) -> None:
        self._boxes = boxes
        self._net = net
        self._outer = outer
        self._services = known
        self._store = store
        self._url = url
        self._begin(folder / "server.log", chance)

    def jobs(self, count: int) -> list[Job]:
        """Pages that are read, and not only copied, have what the stub engine sees in them."""
        with tempfile.TemporaryDirectory(prefix="ocr-chaos-") as name:
            folder = Path(name)
            pipeline = wiring.pipeline(Settings(engine="stub", data_dir=folder / "data"))
            order = Order("txt", languages.parse("English"))
            made = []
            for job in jobs(count, self.chance):
                words = job.words
                if words and job.content[:4] != b"PK\3\4" and job.content[:4] != b"%PDF":
                    source, text = folder / "source", folder / "text"
                    source.write_bytes(job.content)
                    work = folder / str(job.number)
                    work.mkdir()
                    pipeline.run(order, source, work, text, lambda *_: None)
                    words = tuple(_MARK.findall(each)[0] for each in text.read_text().split("\f"))
                made.append(replace(job, words=words))
            pipeline.close()
        return made

    def stop(self) -> None:
        for box in self._boxes:
            assert box.machine.process is not None
            box.machine.process.terminate()
        for box in self._boxes:
            box.machine.stop()

    @contextlib.contextmanager
    def _serving(self) -> Iterator[str]:
        with self.outside.serving(self._outer.address) as outside:
            for box in self._boxes:
                box.machine.settings["OCR_FETCH_PORTS"] = outside.rpartition(":")[2]
            self._start()
            yield outside

    def _start(self, *boxes: _Box) -> None:
        """Start these machines, or all."""
        for box in boxes or self._boxes:
            box.machine.process = box.machine.launch()
        for box in boxes or self._boxes:
            box.machine.until(box.machine.is_ready, _START_S)

    def _base(self) -> str:
        return self.chance.choice(
            [b.machine for b in self._boxes if b.machine.command == "serve"]
        ).base

    # Troubles

    def _troubles(self) -> list[tuple[Callable[[], None], int]]:
        return [
            (self._kill_a_worker, 4),
            (self._kill_any, 4),
            (self._kill_a_machine, 2),
            (self._stop_and_go, 4),
            (self._stop_a_machine, 2),
            (self._restart_one, 1),
            (self._fill_a_disk, 2),
            (self._only_read, 1),
            (self._lock_the_database, 2),
            (self._step_a_clock, 3),
            (self._pull_a_cable, 4),
            (self._restart_a_service, 4),
            (self._freeze_a_service, 3),
            (self._restart_all, 1),
        ]

    def _box(self) -> _Box:
        return self.chance.choice(self._boxes)

    def _workers(self) -> list[int]:
        return [pid for box in self._boxes for pid in box.machine.workers()]

    def _kill_any(self) -> None:
        if pids := [p for box in self._boxes for p in self._descendants(_pid(box))]:
            self._signal(self.chance.choice(pids), signal.SIGKILL)

    def _kill_a_machine(self) -> None:
        box = self._box()
        box.machine.kill()
        self._start(box)

    def _restart_one(self) -> None:
        box = self._box()
        box.machine.stop()
        self._start(box)

    def _stop_and_go(self) -> None:
        pid = self.chance.choice([*map(_pid, self._boxes), *self._workers()])
        self._pause([pid])

    def _stop_a_machine(self) -> None:
        """All of it, as a hypervisor does; its clock goes on."""
        pid = _pid(self._box())
        self._pause([pid, *self._descendants(pid)])

    def _fill_a_disk(self) -> None:
        hog = self._box().disk / "hog"
        with contextlib.suppress(OSError), hog.open("wb") as file:
            while True:
                file.write(bytes(2**20))
        time.sleep(self.chance.uniform(1, 5))
        hog.unlink()

    def _only_read(self) -> None:
        box = self._box()
        box.machine.kill()
        time.sleep(1)
        self._remount(box, "ro")
        failing = box.machine.launch()
        with contextlib.suppress(subprocess.TimeoutExpired):
            failing.wait(self.chance.uniform(3, 8))
        failing.kill()
        failing.wait()
        self._remount(box, "rw")
        self._start(box)

    def _remount(self, box: _Box, how: str) -> None:
        command = ["mount", "-o", f"remount,{how}", str(box.disk)]
        for _ in range(20):  # Processes of a killed server hold the disk for a moment.
            if subprocess.run(command, capture_output=True, check=False).returncode == 0:
                return
            time.sleep(0.5)
        subprocess.run(command, check=True)

    def _lock_the_database(self) -> None:
        table = self.chance.choice(("tasks", "parts", "tokens"))
        with psycopg.connect(self._url) as line:
            line.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            time.sleep(self.chance.choice((1, 3, 8, 20)))

    def _step_a_clock(self) -> None:
        box = self._box()
        box.skew = self.chance.choice((-600, -60, 0, 60, 600))
        _set(box.clock, box.skew)

    def _pull_a_cable(self) -> None:
        with self._net.cut(self._box().host):
            time.sleep(self.chance.choice((1, 4, 8, 15)))

    def _restart_a_service(self) -> None:
        service = self._services[self.chance.choice([*self._services])]
        service.stop()
        time.sleep(self.chance.choice((0, 1, 5, 12)))
        service.start()

    def _freeze_a_service(self) -> None:
        name = self.chance.choice([*self._services])
        (pid,) = (p for p in children(os.getpid()) if name in _command(p))
        self._pause([pid, *self._descendants(pid)])

    def _restart_all(self) -> None:
        """In any order."""
        for box in self._boxes:
            box.machine.kill()
        for service in self._services.values():
            service.stop()
        for service in self.chance.sample([*self._services.values()], len(self._services)):
            service.start()
        self._start()

    def _pause(self, pids: list[int]) -> None:
        for pid in pids:
            self._signal(pid, signal.SIGSTOP)
        time.sleep(self.chance.choice((1, 3, 6, 12)))
        for pid in pids:
            self._signal(pid, signal.SIGCONT)

    def _recover(self) -> None:
        for box in self._boxes:
            _set(box.clock, 0)

    # Afterwards

    def _age(self) -> None:
        for box in self._boxes:
            _set(box.clock, 86400)
        self.stop()
        # The clock that is set shows the times of files by itself: what is left is no older by it.
        long_ago = time.time() - 86400
        for box in self._boxes:
            for name in ("tmp", "work", "staging"):
                for path in (box.data / name).rglob("*"):
                    os.utime(path, (long_ago, long_ago), follow_symlinks=False)
        self._start()

    def _servers(self) -> list[int]:
        return [*map(_pid, self._boxes)]

    def _ours(self) -> list[int]:
        ours = [p for p in children(os.getpid()) if not self._is_service(p)]
        return ours + [each for pid in ours for each in self._descendants(pid)]

    def _is_service(self, pid: int) -> bool:
        return any(name in _command(pid) for name in self._services)

    def _temporary(self) -> list[str]:
        found = []
        for box in self._boxes:
            for folder in (box.disk / "temp", box.data / "tmp", box.data / "work"):
                found += [f"{box.disk.name}: {path}" for path in folder.glob("*")]
            cache = [p for p in (box.data / "cache/files").rglob("*") if p.is_file()]
            if (size := sum(path.stat().st_size for path in cache)) > _CACHE_BYTES:
                found.append(f"{box.disk.name}: {size} bytes of copies")
            found += [str(path) for path in (box.data / "cache/new").glob("*")]
        return found

    def _files(self) -> set[str]:
        found = (p for p in self._store.rglob("*") if p.is_file())
        names = {f"files/{path.relative_to(self._store)}" for path in found}
        for box in self._boxes:
            names |= {f"{box.disk.name}: {p}" for p in (box.data / "staging").glob("*")}
        return names

    def _rows(self) -> tuple[dict[str, int], int, int, str]:
        with psycopg.connect(self._url) as line:
            rows: dict[str, int] = dict(line.execute("SELECT id, state FROM tasks").fetchall())
            parts = line.execute("SELECT task_id FROM parts").fetchall()
            held = line.execute(HELD).fetchone()
        assert held is not None
        return rows, len(parts), held[0], "ok"


@contextlib.contextmanager
def scale(folder: Path, chance: random.Random) -> Iterator[Scale]:
    """Services that run, and machines that do not yet."""
    if why := hosts.unable():
        raise SystemExit(why)
    with ExitStack() as context:
        enter = context.enter_context
        net, outer = enter(hosts.network()), enter(hosts.network())
        rows = enter(tempfile.TemporaryDirectory(prefix="ocr-pg-"))  # For another user.
        objects = folder / "s3"
        objects.mkdir()
        makers: dict[str, tuple[Callable[..., Any], int]] = {
            "postgres": (partial(services.postgresql, folder=rows), 5432),
            "redis-server": (services.redis, 6379),
            "rclone": (partial(services.s3, folder=str(objects)), 9000),
        }
        known: dict[str, Service[Any]] = {}
        for name, (make, port) in makers.items():
            known[name] = Service(make, port, net.address)
            context.callback(known[name].stop)
        url, queue, store = (each.start() for each in known.values())
        (folder / "sitecustomize.py").write_text(CLOCK)
        shared = {
            "OCR_DATABASE_URL": url.replace("postgresql://", "postgresql+psycopg://"),
            "OCR_QUEUE_URL": queue,
            "OCR_STORAGE_URL": store.url,
            "OCR_SECRET": "one",
            "OCR_ENGINE": "stub",
            "OCR_STUB_PAGE_S": "0.05",
            "OCR_WORKERS": "1",
            "OCR_THREADS": "1",
            "OCR_TURN_S": "0.1",
            "OCR_LEASE_S": str(_LEASE_S),
            "OCR_MIN_FREE_BYTES": str(_RESERVE_BYTES),
            "OCR_CACHE_BYTES": str(_CACHE_BYTES),
            "OCR_FETCH_NETWORKS": f"{outer.address}/32",
            "PYTHONPATH": f"{folder}:{Path.cwd()}",
            **store.environment,
        }
        boxes = []
        for number, skew in enumerate(_SKEWS):
            made = enter(disk(folder / f"disk{number}", _DISK_BYTES))
            for name in ("data", "temp"):
                (made / name).mkdir()
            clock = folder / f"clock{number}"
            _set(clock, skew)
            host = enter(hosts.host())
            net.join(host)
            settings = {"TMPDIR": str(made / "temp"), "CHAOS_CLOCK": str(clock), **shared}
            machine = Server(
                made / "data",
                settings,
                folder / "server.log",
                command="serve" if number < 2 else "worker",
                address=outer.join(host),
                prefix=host.prefix,
            )
            boxes.append(_Box(machine, host, made, clock, skew))
        run = Scale(folder, chance, boxes, net, outer, known, store.folder, url)
        try:
            yield run
        finally:
            for box in boxes:
                if box.machine.process is not None and box.machine.process.poll() is None:
                    box.machine.kill()


def _pid(box: _Box) -> int:
    assert box.machine.process is not None
    return box.machine.process.pid


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def _set(clock: Path, seconds: int) -> None:
    new = clock.with_suffix(".new")
    new.write_text(f"{seconds:+d}")
    new.replace(clock)

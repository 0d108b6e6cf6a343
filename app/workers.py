"""The supervisor, which keeps worker processes running and takes back what dead ones left.

A worker may crash, hang or be killed; it is a process of its own so that nothing else notices.
"""

import contextlib
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from app import proc, sandbox
from app.context import Blind, Watch
from app.downloads import Downloader
from app.errors import Unavailable
from app.leases import Blame
from app.locks import is_held
from app.operations import WorkerState
from app.ration import environment
from app.renewal import Renewal
from app.tasks import Tasks
from app.telling import Listener, pipe, span_of

log = logging.getLogger(__name__)

_LOOK_S = 0.05
_AGAIN_S = 1.0
_HOUSEKEEPING_S = 5.0
_BETWEEN_BATCHES_S = 0.1
_STARTING_S = 60.0  # A worker has its lock well before.
_DYING_S = 1.0
_HANGS_S = 120.0  # A step that asks a database that does not answer takes less.
_QUICK_DEATH_S = 10.0  # A worker that lives shorter is not started again at once.
_LONGEST_PAUSE_S = 30.0
_CGROUP_EVENTS = Path("/sys/fs/cgroup/memory.events")


@dataclass
class _Worker:
    """A worker process, seen from outside."""

    name: str
    room: Path
    process: subprocess.Popen[bytes]
    listener: Listener
    started: float
    kills_for_memory: int  # Of the system, when it was started.
    is_ready: bool = False
    is_spent: bool = False
    is_leaving: bool = False
    is_understood: bool = True

    def listen(self, watch: Watch) -> None:
        """Hear what it has told; figures and spans are for ``watch``.

        It is killed for what no worker tells: a document may have taken it over.
        """
        if not self.is_understood:
            return
        try:
            for told in self.listener.heard():
                self.is_ready |= "ready" in told
                self.is_spent |= "spent" in told
                for metric, value, *labels in told.get("notes", ()):
                    watch.note(metric, value, *labels)
                for span in told.get("spans", ()):
                    watch.span(span_of(span))
        except Exception:  # There are as many ways to talk nonsense.
            log.exception("what worker %s tells is not understood: it is killed", self.name)
            self.is_understood = False
            self.process.kill()

    def leave(self) -> None:
        """Ask it to end when it has finished what it is at."""
        if not self.is_leaving:
            self.process.terminate()
            self.is_leaving = True


@dataclass
class _Slot:
    """One place for a worker; for a moment it has two, while one takes over from the other."""

    workers: list[_Worker] = field(default_factory=list)  # The newest last.
    pause_s: float = 0.0
    resume_at: float = 0.0


@dataclass
class Supervisor:
    """Keeps workers running, takes back what dead ones left, fetches, reports and sweeps."""

    tasks: Tasks
    count: int
    locks: Path
    rooms: Path  # For their temporary files, each in a folder of its own.
    drain_timeout_s: float
    downloads: int
    lease_s: float
    offline: bool = False  # Whether workers can do without a network.
    watch: Watch = field(default_factory=Blind)  # Of this server, and what its workers tell.
    name: str = field(default_factory=lambda: _new_name())
    _dead: list[tuple[str, Blame, bool]] = field(default_factory=list)  # To be released.
    _gone: set[str] = field(default_factory=set)  # Workers that have ended.
    _slots: list[_Slot] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _prefix: list[str] | None = None
    _was_warm: bool = False
    _step_began: float = field(default_factory=time.monotonic)
    _downloader: Downloader = field(init=False)
    _renewal: Renewal = field(init=False)
    _ended: threading.Event = field(default_factory=threading.Event)

    @property
    def _workers(self) -> list[_Worker]:
        return [worker for slot in self._slots for worker in slot.workers]

    def start(self) -> None:
        """Start in the background."""
        self._slots = [_Slot() for _ in range(self.count)]
        self._downloader = Downloader(
            self.tasks.runner, self.name, self._lock_of(self.name), self.downloads
        )
        self._renewal = Renewal(self.tasks.runner, self.lease_s, self._living)
        jobs = {
            "leases": partial(self._renewal.run, self._ended),
            "supervisor": self._supervise,
            "callbacks": partial(self.tasks.reporter.run, self._stopping),
            "downloads": partial(self._downloader.run, self._stopping),
            "retention": self._sweep,
        }
        self._threads = [
            threading.Thread(target=self._always, args=(job,), name=name, daemon=True)
            for name, job in jobs.items()
        ]
        for thread in self._threads:
            thread.start()

    def warm(self) -> bool:
        """Whether a worker has read its warm-up page, though it may have ended since."""
        self._was_warm |= not self._slots or any(worker.is_ready for worker in self._workers)
        return self._was_warm

    def hangs(self) -> bool:
        """Whether it has been at one step for minutes, so that all should begin anew."""
        if self._stopping.is_set():  # The drain time may be longer.
            return False
        return time.monotonic() - self._step_began > _HANGS_S

    def workers(self) -> list[WorkerState]:
        """The worker processes as they are now."""
        return [
            WorkerState(w.name, w.process.pid, _resident_bytes(w.process.pid), w.is_ready)
            for w in self._workers
        ]

    def stop(self) -> None:
        """Let the workers finish what they are at, as long as the drain time lasts."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(self.drain_timeout_s + 5)

    def _supervise(self) -> None:
        # Workers are to die with the thread that starts them, so they all start in this one.
        self._guarded(self._find_the_dead)
        self._guarded(self.tasks.runner.sweep)
        housekeeping = 0.0
        while not self._stopping.is_set():
            for slot in self._slots:
                self._guarded(lambda slot=slot: self._tend(slot))  # type: ignore[misc]
            self._guarded(self._release_the_dead)
            if time.monotonic() > housekeeping:
                self._guarded(self._recover)
                self._guarded(self._sweep_rooms)
                housekeeping = time.monotonic() + min(_HOUSEKEEPING_S, self.lease_s / 3)
            self._stopping.wait(_LOOK_S)
        try:
            self._end_workers()
            self._guarded(self._sweep_rooms)
        finally:
            self._ended.set()

    def _always(self, job: Callable[[], None]) -> None:
        """Do ``job`` until the server stops, whatever becomes of it."""
        while True:
            try:
                job()
            except Exception:
                log.exception("%s stumbled; it begins anew", threading.current_thread().name)
            if self._stopping.wait(_AGAIN_S):
                return

    def _guarded(self, step: Callable[[], None]) -> None:
        """Supervision outlives a database that is away for a while."""
        self._step_began = time.monotonic()
        try:
            step()
        except Unavailable as error:
            log.warning("supervision waits: %s", error)
            time.sleep(0.5)
        except Exception:
            log.exception("supervision stumbled; it goes on")
            time.sleep(0.5)

    def _tend(self, slot: _Slot) -> None:
        for worker in list(slot.workers):
            worker.listen(self.watch)
            if (status := worker.process.poll()) is not None:
                worker.listen(self.watch)  # Its last words.
                slot.workers.remove(worker)
                self._forget(worker)
                self._mourn(slot, worker, status)
        if not slot.workers:
            if time.monotonic() >= slot.resume_at:
                slot.workers.append(self._launch())
            return
        *older, newest = slot.workers
        if newest.is_ready:
            for worker in older:
                worker.leave()
        rested = time.monotonic() >= slot.resume_at
        if newest.is_spent and rested and all(len(s.workers) <= 1 for s in self._slots):
            log.info("worker %s has worked enough; another takes over", newest.name)
            slot.workers.append(self._launch())

    def _mourn(self, slot: _Slot, worker: _Worker, status: int) -> None:
        self.watch.note("ocr_worker_ends_total", 1, _reason(worker, status))
        if worker.is_leaving and status == 0:
            self._dead.append((worker.name, Blame.NOBODY, False))
            return
        log.warning("worker %s ended (%s)", worker.name, _said(status))
        blame = Blame.KILLER if _reason(worker, status) == "killed" else Blame.DOCUMENT
        self._dead.append((worker.name, blame, status == -signal.SIGALRM))
        now = time.monotonic()
        quick = now - worker.started < _QUICK_DEATH_S
        slot.pause_s = min(_LONGEST_PAUSE_S, max(0.5, 2 * slot.pause_s)) if quick else 0.0
        slot.resume_at = now + slot.pause_s

    def _release_the_dead(self) -> None:
        """Take back what dead workers left; what fails is tried again."""
        while self._dead:
            self.tasks.runner.release(*self._dead[0])
            name, _, _ = self._dead.pop(0)
            self._lock_of(name).unlink(missing_ok=True)

    def _recover(self) -> None:
        sure = self._renewal.others_could()
        self.tasks.runner.recover(self._is_living if sure else lambda _: True)

    def _is_living(self, name: str) -> bool:
        """Whether somebody of this name is at work, here or beside us in this data folder."""
        if name.startswith(f"{self.name}#"):
            return name in self._downloader.under_way()
        for worker in self._workers:
            if worker.name == name:
                return not _is_stopped(worker.process.pid)
        lock = self._lock_of(name)
        return lock.exists() and is_held(lock)

    def _living(self) -> list[str]:
        """The names under which something is done here."""
        going = [w.name for w in self._workers if not _is_stopped(w.process.pid)]
        return going + self._downloader.under_way()

    def _lock_of(self, name: str) -> Path:
        return self.locks / f"{name.partition('#')[0]}.lock"

    def _sweep_rooms(self) -> None:
        """Remove what is left of workers: a LibreOffice may have been writing as it was killed."""
        living = {worker.name for worker in self._workers}
        for room in self.rooms.glob("*"):
            lock = self.locks / f"{room.name}.lock"
            if room.name in living or (lock.exists() and is_held(lock)):
                continue
            # Another supervisor may have made it just now, for a worker that has no lock yet.
            if room.name in self._gone or time.time() - room.stat().st_mtime > _STARTING_S:
                _remove(room)

    def _launch(self) -> _Worker:
        if self._prefix is None:
            self._prefix = sandbox.without_network() if self.offline else []
        name = _new_name()
        room = self.rooms / name
        room.mkdir(parents=True, mode=0o700)
        ours, theirs = pipe()
        words = [*self._prefix, sys.executable, "-m", "app.cli", "work", name, str(theirs)]
        if self.watch.traces:
            words.append("--traces")
        try:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                words, stdin=subprocess.DEVNULL, pass_fds=[theirs], env=environment(room)
            )
        except OSError:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        return _Worker(name, room, process, Listener(ours), time.monotonic(), _kills_for_memory())

    def _forget(self, worker: _Worker) -> None:
        worker.listener.close()
        self._gone.add(worker.name)
        _remove(worker.room)

    def _find_the_dead(self) -> None:
        """Workers that a killed server left: their locks are free."""
        left = set()
        for name in self.tasks.runner.workers():
            lock = self._lock_of(name)
            # Without a lock here it is a worker of another machine: its lease will tell.
            if lock.exists() and not is_held(lock):
                self._dead.append((name, Blame.KILLER, False))
                left.add(lock)
        for lock in self.locks.glob("*.lock"):
            if not is_held(lock):
                self._gone.add(lock.stem)
                if lock not in left:
                    lock.unlink(missing_ok=True)

    def _end_workers(self) -> None:
        for worker in self._workers:
            worker.leave()
        until = time.monotonic() + self.drain_timeout_s
        for worker in self._workers:
            try:
                worker.process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.warning("worker %s did not finish in time and is ended", worker.name)
                worker.process.kill()
                worker.process.wait()
            worker.listen(self.watch)
            self._forget(worker)
            self._dead.append((worker.name, Blame.NOBODY, False))
        with contextlib.suppress(Exception):  # The next start does it, if this fails.
            self._release_the_dead()

    def _sweep(self) -> None:
        """Remove what was kept long enough; no worker waits for it."""
        while not self._stopping.is_set():
            more = False
            try:
                self.tasks.runner.sweep(tasks_only=True)
                more = self.tasks.sweeper.step()
            except Unavailable as error:
                log.warning("the sweeper goes on later: %s", error)
            except Exception:
                log.exception("the sweeper stumbled; it goes on")
            self._stopping.wait(_BETWEEN_BATCHES_S if more else _HOUSEKEEPING_S)


def _resident_bytes(pid: int) -> int:
    """The memory that a process has; none if it has just ended."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    except OSError:
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _is_stopped(pid: int) -> bool:
    """Whether the process is held by SIGSTOP, so that not even its own timer can end it."""
    try:
        _, _, after = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
    except OSError:
        return False
    return after.split()[0] in "Tt"


def _remove(room: Path) -> None:
    """Remove a dead worker's folder, and who works there still.

    What its end kills in a namespace of processes may write for another moment.
    """
    until = time.monotonic() + _DYING_S
    while True:
        proc.end_those_in(room)
        shutil.rmtree(room, ignore_errors=True)
        if not room.exists() or time.monotonic() >= until:
            return
        time.sleep(_LOOK_S)


def _kills_for_memory() -> int:
    """How many processes the kernel has ended for want of memory: of this container, or of all."""
    for path in (_CGROUP_EVENTS, Path("/proc/vmstat")):
        with contextlib.suppress(OSError, ValueError):
            for line in path.read_text().splitlines():
                name, value = line.split()
                if name == "oom_kill":
                    return int(value)
    return 0


def _new_name() -> str:
    return f"{os.uname().nodename}-{uuid.uuid4().hex[:12]}"


def _reason(worker: _Worker, status: int) -> str:
    """Why a worker ended, in a word that figures are told by."""
    if status == 0:
        return "replaced" if worker.is_leaving else "exit"
    if status == -signal.SIGALRM:
        return "timed_out"
    if status == -signal.SIGKILL and worker.is_understood:
        killed = _kills_for_memory() == worker.kills_for_memory
        return "killed" if killed else "out_of_memory"
    return "crashed" if status < 0 else "exit"


def _said(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else f"exit status {status}"

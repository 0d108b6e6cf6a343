"""Worker processes: the loop that each runs, and the supervisor that keeps them running.

A worker may crash, hang or be killed; it is a process of its own so that nothing else notices.
Its time limit is a timer of the kernel whose signal ends the process: it works even while
native code neither returns nor lets Python run.
"""

import contextlib
import ctypes
import fcntl
import gc
import logging
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from app.errors import Unavailable
from app.leases import Blame
from app.runner import Runner
from app.tasks import Tasks

log = logging.getLogger(__name__)

_LOOK_S = 0.05
_AWAY_S = 1.0  # Between two looks at a database, a queue or a disk that cannot be used.
_HOUSEKEEPING_S = 5.0
_BETWEEN_BATCHES_S = 0.1
_QUICK_DEATH_S = 10.0  # A worker that lives shorter is not started again at once.
_LONGEST_PAUSE_S = 30.0
_CGROUP_EVENTS = Path("/sys/fs/cgroup/memory.events")
_PR_SET_PDEATHSIG = 1
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def work(
    runner: Runner, name: str, locks: Path, silent_limit_s: float, ready: Callable[[], None]
) -> None:
    """Do tasks until SIGTERM; a task that has begun is finished first.

    ``ready`` is called once a page has been read. No sign of progress for ``silent_limit_s``
    seconds ends the process with SIGALRM.
    """
    parent = _die_with_parent()
    _give_memory_back()
    # A page is thousands of objects that know no way back: to look for rings of them after each
    # 700, as is usual, takes a fifteenth of the time of a page that need not be recognized.
    gc.set_threshold(10_000)
    stopping = threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the supervisor too.
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    with _held(locks / f"{name}.lock"):
        runner.warm_up()
        ready()
        preparing, idle = True, False
        while not stopping.is_set() and os.getppid() == parent:
            if not runner.has_room():  # What waits is not lost; what is begun might be.
                stopping.wait(_AWAY_S)
                continue
            try:
                # Not between the tasks of a client that sends one after another: it would wait.
                unit = runner.queue.get(0 if preparing and idle else 0.5)
                idle = unit is None
                if unit is None:
                    preparing = preparing and runner.prepare()
                else:
                    runner.run(unit, name, lambda: _alarm(silent_limit_s))
            except Unavailable as error:
                log.warning("worker %s waits: %s", name, error)
                stopping.wait(_AWAY_S)
                # A claim may have been noted although no answer came.
                with contextlib.suppress(Unavailable):
                    runner.release(name, Blame.NOBODY)
            finally:
                _alarm(0)


def environment() -> dict[str, str]:
    """This process's environment, for a worker.

    glibc asks the kernel for large pages there: fresh memory costs a page fault for every 4 KB
    otherwise, nearly half the time of decoding a picture. Elsewhere it is not looked at.
    """
    return {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1", **os.environ}


@dataclass
class _Slot:
    """One place for a worker, and the process that fills it."""

    name: str = ""
    process: subprocess.Popen[bytes] | None = None
    ready_pipe: int = -1
    ready: bool = False
    started: float = 0.0
    kills_for_memory: int = 0  # Of the system, when it was started.
    pause_s: float = 0.0
    resume_at: float = 0.0


@dataclass
class Supervisor:
    """Keeps workers running, takes back what dead ones left, fetches, reports and sweeps."""

    tasks: Tasks
    count: int
    locks: Path
    drain_timeout_s: float
    downloads: int
    name: str = field(default_factory=lambda: _new_name())
    _dead: list[tuple[str, Blame, bool]] = field(default_factory=list)  # To be released.
    _slots: list[_Slot] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        """Start in the background."""
        self._slots = [_Slot() for _ in range(self.count)]
        reports, stopping = self.tasks.reporter.run, self._stopping
        self._threads = [
            threading.Thread(target=self._supervise, name="supervisor", daemon=True),
            threading.Thread(target=reports, args=(stopping,), name="callbacks", daemon=True),
            threading.Thread(target=self._fetch, name="downloads", daemon=True),
            threading.Thread(target=self._sweep, name="retention", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def warm(self) -> bool:
        """Whether a worker has read its warm-up page."""
        return not self._slots or any(slot.ready for slot in self._slots)

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
                housekeeping = time.monotonic() + _HOUSEKEEPING_S
            self._stopping.wait(_LOOK_S)
        self._end_workers()

    def _guarded(self, step: Callable[[], None]) -> None:
        """Supervision outlives a database that is away for a while."""
        try:
            step()
        except Exception:
            log.exception("supervision stumbled; it goes on")
            time.sleep(0.5)

    def _tend(self, slot: _Slot) -> None:
        now = time.monotonic()
        if slot.process is None:
            if now >= slot.resume_at:
                self._launch(slot)
            return
        if not slot.ready and slot.ready_pipe >= 0:
            slot.ready = _has_spoken(slot.ready_pipe)
        status = slot.process.poll()
        if status is None:
            return
        log.warning("worker %s ended (%s)", slot.name, _said(status))
        killed = status == -signal.SIGKILL and _kills_for_memory() == slot.kills_for_memory
        blame = Blame.KILLER if killed else Blame.DOCUMENT
        self._dead.append((slot.name, blame, status == -signal.SIGALRM))
        self._forget(slot)
        quick = now - slot.started < _QUICK_DEATH_S
        slot.pause_s = min(_LONGEST_PAUSE_S, max(0.5, 2 * slot.pause_s)) if quick else 0.0
        slot.resume_at = now + slot.pause_s

    def _release_the_dead(self) -> None:
        """Take back what dead workers left; what fails is tried again."""
        while self._dead:
            self.tasks.runner.release(*self._dead[0])
            self._dead.pop(0)

    def _recover(self) -> None:
        living = {self.name}
        for slot in self._slots:
            if slot.process is not None and not _is_stopped(slot.process.pid):
                living.add(slot.name)
        self.tasks.runner.recover(living)

    def _launch(self, slot: _Slot) -> None:
        slot.name = _new_name()
        slot.ready, slot.started = False, time.monotonic()
        slot.kills_for_memory = _kills_for_memory()
        slot.ready_pipe, theirs = os.pipe()
        os.set_blocking(slot.ready_pipe, False)
        command = [sys.executable, "-m", "app.cli", "work", slot.name, str(theirs)]
        try:
            slot.process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                command, stdin=subprocess.DEVNULL, pass_fds=[theirs], env=environment()
            )
        finally:
            os.close(theirs)

    def _forget(self, slot: _Slot) -> None:
        slot.process, slot.ready = None, False
        if slot.ready_pipe >= 0:
            os.close(slot.ready_pipe)
            slot.ready_pipe = -1
        (self.locks / f"{slot.name}.lock").unlink(missing_ok=True)

    def _find_the_dead(self) -> None:
        """Workers that a killed server left: their locks are free."""
        for name in self.tasks.runner.workers():
            lock = self.locks / f"{name}.lock"
            # Without a lock here it is a worker of another machine: its lease will tell.
            if lock.exists() and not _is_held(lock):
                self._dead.append((name, Blame.KILLER, False))
        for lock in self.locks.glob("*.lock"):
            if not _is_held(lock):
                lock.unlink(missing_ok=True)

    def _end_workers(self) -> None:
        running = [(slot, slot.process) for slot in self._slots if slot.process is not None]
        for _, process in running:
            process.terminate()
        until = time.monotonic() + self.drain_timeout_s
        for slot, process in running:
            try:
                process.wait(max(0.0, until - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.warning("worker %s did not finish in time and is ended", slot.name)
                process.kill()
                process.wait()
            self._forget(slot)
            with contextlib.suppress(Exception):  # The next start does it, if this fails.
                self.tasks.runner.release(slot.name, Blame.NOBODY)

    def _fetch(self) -> None:
        """Fetch what tasks name by URL, so that no worker waits for a stranger's server."""
        free = threading.Semaphore(self.downloads)

        def fetch(unit: str) -> None:
            try:
                self.tasks.runner.download(unit, self.name)
            except Unavailable as error:
                log.warning("a download is left for later: %s", error)
            except Exception:
                log.exception("a download failed")
            finally:
                free.release()

        with _held(self.locks / f"{self.name}.lock"):
            while not self._stopping.is_set():
                if not self.tasks.runner.has_room():
                    self._stopping.wait(_AWAY_S)
                elif free.acquire(timeout=0.5):
                    unit = None
                    try:
                        unit = self.tasks.runner.downloads.get(0.5)
                    except Unavailable:
                        self._stopping.wait(_AWAY_S)
                    if unit is None:
                        free.release()
                    else:
                        # A daemon: one that is under way does not keep a server from ending.
                        threading.Thread(target=fetch, args=[unit], daemon=True).start()
            with contextlib.suppress(Exception):
                self.tasks.runner.release(self.name, Blame.NOBODY)

    def _sweep(self) -> None:
        """Remove what was kept long enough; no worker waits for it."""
        while not self._stopping.is_set():
            more = False
            try:
                self.tasks.runner.sweep(tasks_only=True)
                more = self.tasks.sweeper.step()
            except Exception:
                log.exception("the sweeper stumbled; it goes on")
            self._stopping.wait(_BETWEEN_BATCHES_S if more else _HOUSEKEEPING_S)


@contextlib.contextmanager
def _held(lock: Path) -> Iterator[None]:
    """Hold ``lock``; the kernel lets go of it however the process ends."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
        lock.unlink(missing_ok=True)


def _is_held(lock: Path) -> bool:
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _alarm(seconds: float) -> None:
    """Let the kernel end this process after ``seconds``, unless called again; 0 for never."""
    signal.setitimer(signal.ITIMER_REAL, seconds)


def _die_with_parent() -> int:
    """Be killed when the supervisor ends, however it ends; its process id."""
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    return parent


def _give_memory_back() -> None:
    """Have large blocks returned to the system as soon as they are free.

    glibc would come to keep them, in pieces that fit nothing: hundreds of megabytes after some
    mixed pages. Elsewhere there is no such switch, and none is needed.
    """
    with contextlib.suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, 2**20)
        mallopt(_M_TRIM_THRESHOLD, 2**21)


def _is_stopped(pid: int) -> bool:
    """Whether the process is held by SIGSTOP, so that not even its own timer can end it."""
    try:
        _, _, after = Path(f"/proc/{pid}/stat").read_text().rpartition(")")
    except OSError:
        return False
    return after.split()[0] in "Tt"


def _kills_for_memory() -> int:
    """How many processes the kernel has ended for want of memory: of this container, or of all."""
    for path in (_CGROUP_EVENTS, Path("/proc/vmstat")):
        with contextlib.suppress(OSError, ValueError):
            for line in path.read_text().splitlines():
                name, value = line.split()
                if name == "oom_kill":
                    return int(value)
    return 0


def _has_spoken(pipe: int) -> bool:
    try:
        return bool(os.read(pipe, 1))
    except BlockingIOError:
        return False


def _new_name() -> str:
    return f"{os.uname().nodename}-{uuid.uuid4().hex[:12]}"


def _said(status: int) -> str:
    return signal.Signals(-status).name if status < 0 else f"exit status {status}"

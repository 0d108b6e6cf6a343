"""What the processes below one use: processor seconds, and memory while they are watched."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")


def tree(root: int, without: Sequence[int] = ()) -> list[int]:
    """``root`` and the processes below it, leaving out the trees of ``without``."""
    below: dict[int, list[int]] = {}
    for pid, parent in _parents():
        below.setdefault(parent, []).append(pid)
    found, waiting = [], [root]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting += [child for child in below.get(pid, ()) if child not in without]
    return found


def cpu_seconds(root: int) -> float:
    """Seconds that ``root`` and all below it have worked, also those that have ended since."""
    ticks = 0
    for pid in tree(root):
        fields = _stat(pid)
        # utime and stime, cutime and cstime: its own, and those of the children it waited for.
        ticks += sum(map(int, fields[11:15]))
    return ticks / _TICKS


def own_cpu_seconds(pid: int) -> float:
    """Seconds that one process has worked, without those below it."""
    return sum(map(int, _stat(pid)[11:13])) / _TICKS


def children(pid: int) -> dict[int, str]:
    """The processes that one has started, and the names of their programs."""
    return {child: _name(child) for child, parent in _parents() if parent == pid}


def resident_bytes(pid: int) -> int:
    """The memory that a process holds now, what it shares with others included."""
    return _kilobytes(pid, "status", "VmRSS:") * 1024


def together_bytes(pids: Sequence[int]) -> int:
    """The memory that processes hold now; what they share with each other is counted once."""
    return sum(_kilobytes(pid, "smaps_rollup", "Pss:") for pid in pids) * 1024


def descriptors(pids: Sequence[int]) -> int:
    """The files, sockets and pipes that processes have open now."""
    count = 0
    for pid in pids:
        with suppress(OSError):  # It has ended in the meantime.
            count += sum(1 for _ in (_PROC / str(pid) / "fd").iterdir())
    return count


@dataclass
class Memory:
    """The most memory that was seen."""

    total_bytes: int = 0  # Of all processes at one time; shared pages are counted once.
    peaks_bytes: dict[str, int] = field(default_factory=dict)  # Of a process, by program.


@contextmanager
def watched(pids: Callable[[], Sequence[int]], every_s: float = 1) -> Iterator[Memory]:
    """Look at the processes that ``pids`` names, every ``every_s`` until the block ends."""
    memory, ended = Memory(), Event()

    def watch() -> None:
        while True:
            _look(memory, pids())
            if ended.wait(every_s):
                return

    thread = Thread(target=watch)
    thread.start()
    try:
        yield memory
    finally:
        ended.set()
        thread.join()


def _look(memory: Memory, pids: Sequence[int]) -> None:
    total = 0
    for pid in pids:
        if _read(pid, "cmdline") == _read(os.getpid(), "cmdline"):
            continue  # A child between fork and exec, which still has our memory.
        total += _kilobytes(pid, "smaps_rollup", "Pss:")
        name, peak = _name(pid), _kilobytes(pid, "status", "VmHWM:")
        if peak:
            memory.peaks_bytes[name] = max(memory.peaks_bytes.get(name, 0), peak * 1024)
    memory.total_bytes = max(memory.total_bytes, total * 1024)


def _parents() -> Iterator[tuple[int, int]]:
    for entry in _PROC.iterdir():
        if entry.name.isdecimal() and (fields := _stat(int(entry.name))):
            yield int(entry.name), int(fields[1])


def _stat(pid: int) -> list[str]:
    """The fields from the third, the state, on; none if the process has ended."""
    text = _read(pid, "stat")
    return text[text.rfind(")") + 2 :].split()


def _name(pid: int) -> str:
    return _read(pid, "comm").strip()


def _kilobytes(pid: int, file: str, label: str) -> int:
    for line in _read(pid, file).splitlines():
        if line.startswith(label):
            return int(line.split()[1])
    return 0


def _read(pid: int, file: str) -> str:
    try:
        return (_PROC / str(pid) / file).read_text(encoding="utf-8", errors="replace")
    except OSError:  # It has ended in the meantime.
        return ""

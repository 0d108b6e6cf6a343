"""What queue, rows and storage add to the time of a page, for one client who waits; and where."""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import wraps
from typing import Any

from app import wiring
from app.leases import Leases
from app.pipeline import Job, Pipeline
from app.queue import HueyQueue
from app.tasks import Tasks
from benchmarks.clients import send
from benchmarks.scale_rows import OWNER, submit
from benchmarks.stacks import NAMES, serving, stack

_PAGE_S = 0.25


def added(quick: bool) -> None:
    """Latency of a task beyond its page time, one client at a time; the goal is 30 ms."""
    rounds = 10 if quick else 100
    for name in NAMES:
        with stack(name) as opened:
            with serving(opened, OCR_STUB_PAGE_S=str(_PAGE_S)) as server:
                send(server, 1, 2)
                found = send(server, 1, rounds * _PAGE_S)
            p50, p95 = (1000 * (found.quantile_s(q) - _PAGE_S) for q in (0.5, 0.95))
            print(f"\n{name}: {p50:.1f} ms beyond the page's {_PAGE_S} s (p50; p95 {p95:.1f} ms)")
            with closing(wiring.build(opened.parsed())) as tasks:
                steps = _steps(tasks, lambda: submit(tasks, opened.folder), rounds)
        print("  of these, measured in one process, step by step, ms (p50), calls:")
        for step, (seconds, calls) in steps.items():
            print(f"  {1000 * seconds:8.2f}  {calls:5.1f}  {step}")
        rest = p50 - 1000 * sum(seconds for seconds, _ in steps.values())
        print(
            f"  {rest:8.2f}         HTTP, from process to process, and what they wait for",
            flush=True,
        )


def _steps(tasks: Tasks, begin: Callable[[], Any], rounds: int) -> dict[str, tuple[float, float]]:
    """Median seconds of each step, without those that it calls, and how often it is done."""
    storage = type(tasks.storage)
    steps = {
        "look for room": (Tasks, "check_room"),
        "submit: row and commit": (Tasks, "submit"),
        "storage: put": (storage, "put"),
        "queue: put": (HueyQueue, "put"),
        "queue: get": (HueyQueue, "get"),
        "claim": (Leases, "claim"),
        "storage: fetch": (storage, "fetch"),
        "pipeline: open": (Pipeline, "open"),
        "pipeline: read": (Job, "read"),
        "pipeline: write": (Job, "write"),
        "note progress": (Leases, "renew"),
        "complete": (Leases, "complete"),
        "tell": (Tasks, "get"),
    }
    times: dict[str, list[float]] = defaultdict(list)
    counts: dict[str, int] = defaultdict(int)
    for n in range(rounds + 1):
        spent: dict[str, float] = defaultdict(float)
        with ExitStack() as patched:
            for label, (kind, method) in steps.items():
                patched.enter_context(_timed(kind, method, label, spent, counts))
            task = begin()
            tasks.runner.run(str(tasks.runner.queue.get(5)), "bench")
            tasks.get(OWNER, task.id)
        for label, seconds in spent.items():
            if n:  # In the first all is loaded and compiled.
                times[label].append(seconds)
    return {
        label: (statistics.median(times[label]), counts[label] / (rounds + 1))
        for label in steps
        if label in times
    }


@contextmanager
def _timed(
    kind: type, method: str, label: str, spent: dict[str, float], counts: dict[str, int]
) -> Iterator[None]:
    """Count the seconds of a method, and take them from whoever called it."""
    original = getattr(kind, method)

    @wraps(original)
    def timed(*given: Any, **named: Any) -> Any:
        counts[label] += 1
        began, inner = time.perf_counter(), sum(spent.values())
        try:
            return original(*given, **named)
        finally:
            spent[label] += time.perf_counter() - began - (sum(spent.values()) - inner)

    setattr(kind, method, timed)
    try:
        yield
    finally:
        setattr(kind, method, original)

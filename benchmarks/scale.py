"""What queue, rows and storage cost, and how far they carry: with an engine that invents its text.

Usage: python -m benchmarks.scale [--quick] [throughput | added | rows | workers | model ...]

Everything is on TMPDIR; where that is memory (TMPDIR=/dev/shm), nothing waits for a disk.
"""

import argparse
from collections.abc import Callable

from benchmarks import stacks
from benchmarks.clients import HEAD, send, told
from benchmarks.load import Load
from benchmarks.scale_added import added
from benchmarks.scale_model import model
from benchmarks.scale_rows import rows
from benchmarks.scale_workers import workers

_CLIENTS = (1, 4, 16, 64)


def main() -> None:
    """Measure what is asked for, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("parts", nargs="*", choices=[[], *_PARTS])
    parser.add_argument("--quick", action="store_true", help="a short look")
    arguments = parser.parse_args()
    for part in arguments.parts or _PARTS:
        _PARTS[part](arguments.quick)


def throughput(quick: bool) -> None:
    """Tasks a second through one API process."""
    seconds = 4 if quick else 20
    for name in stacks.NAMES:
        with stacks.stack(name) as stack, stacks.serving(stack) as server:
            send(server, 8, 2)
            print(f"\n{name}: one API process, sync=1, small PNG, txt")
            print(f"  clients  {HEAD}  CPU ms a task")
            for clients in _CLIENTS:
                before = stacks.cpu_seconds()
                found = send(server, clients, seconds)
                after = stacks.cpu_seconds()
                used = {kind: after[kind] - before.get(kind, 0) for kind in after}
                print(f"  {clients:7}  {told(found)}  {_costs(found, used)}", flush=True)


def _costs(found: Load, used: dict[str, float]) -> str:
    done = max(1, len(found.latencies_s))
    costs = {**used, "clients": found.cpu_s}
    return ", ".join(f"{kind} {1000 * seconds / done:.2f}" for kind, seconds in costs.items())


_PARTS: dict[str, Callable[[bool], None]] = {
    "throughput": throughput,
    "added": added,
    "rows": rows,
    "workers": workers,
    "model": model,
}


if __name__ == "__main__":
    main()

"""How much memory the server's workers hold while they read many different pages.

Usage: python -m benchmarks.soak [--pages N] [--corpus DIR]
       python -m benchmarks.soak --soak [--tasks N]

Sends dense pages in four languages and a phone's screen in turn, and with ``--corpus`` its pictures
and the pages of its PDF files too, with a full queue. Prints the resident memory of each worker,
shared libraries included, now and then. With ``--soak`` a thousand tasks of every kind instead, and
slow clients beside them: see benchmarks.mixed.
"""

import argparse
import math
import tempfile
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path

from benchmarks import corpus, mixed, pages, processes, systems

_EVERY = 25  # Pages between two looks.
_DRAWN = 4  # Pages in each language.


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--pages", type=int, default=500)
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--soak", action="store_true")
    parser.add_argument("--tasks", type=int, default=1000)
    arguments = parser.parse_args()
    if arguments.soak:
        mixed.measure(arguments.tasks)
        return
    with tempfile.TemporaryDirectory(prefix="ocr-bench-") as name:
        folder = Path(name)
        samples = [*pages.draw(folder, _DRAWN), pages.draw_screen(folder)]
        if arguments.corpus is not None:
            samples += corpus.samples(arguments.corpus, folder)
        jobs = [systems.Job(sample, file) for sample in samples for file in sample.pictures]
        # A large step: neighbours in the list are alike.
        step = max(
            n for n in range(1, len(jobs)) if math.gcd(n, len(jobs)) == 1 and n <= len(jobs) // 3
        )
        in_turn = [jobs[n * step % len(jobs)] for n in range(len(jobs))]
        print(f"{len(jobs)} different pages in turn, megabytes of each worker", flush=True)
        with systems.started(["ocr-server"], folder, False) as (server,):
            _soak(server, list(islice(cycle(in_turn), arguments.pages)))


def _soak(server: systems.System, jobs: list[systems.Job]) -> None:
    failed = 0
    for start in range(0, len(jobs), _EVERY):
        chunk = jobs[start : start + _EVERY]
        with ThreadPoolExecutor(server.width) as clients:
            failed += sum(clients.map(lambda job: _fails(server, job), chunk))
        # The first is the API's process.
        held = [processes.resident_bytes(pid) // 2**20 for pid in server.pids()[1:]]
        print(f"{start + len(chunk):5}  {sorted(held)}  {failed} failed", flush=True)


def _fails(server: systems.System, job: systems.Job) -> bool:
    try:
        server.read(job, False)
    except systems.ReadFailed:
        return True
    return False


if __name__ == "__main__":
    main()

"""What workers do together: one long document, and many short ones, with a fixed page time.

Each worker is a machine of its own: ``ocr-server worker`` with one process that reads.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from benchmarks.clients import document, send
from benchmarks.stacks import SCALED, Stack, serving, stack
from tests.server import Server

_PAGE_S = 0.25
_PAGES = 80  # For each worker.
_CLIENTS = 3  # Of short documents, for each worker.


def workers(quick: bool) -> None:
    """Pages a second of several workers."""
    counts = (1, 4) if quick else (1, 2, 4, 8)
    pages, seconds = (20, 5) if quick else (_PAGES, 20)
    for name in SCALED:
        print(f"\n{name}: {_PAGE_S} s a page; pages/s, and times those of one worker")
        print("  workers   one long document   many short ones")
        first = (0.0, 0.0)
        for count in counts:
            with stack(name) as opened, _machines(opened, count) as server:
                long = _long(server, pages * count)
                short = send(server, _CLIENTS * count, seconds)
            speeds = (long, short.per_s)
            first = first if first[0] else speeds
            pairs = zip(speeds, first, strict=True)
            columns = (f"{each:8.2f}  {each / one:5.2f}x" for each, one in pairs)
            print(f"  {count:7}  " + "  ".join(columns) + f"  {short.failed} failed", flush=True)


def _long(server: Server, pages: int) -> float:
    content = document(pages)
    began = time.monotonic()
    record = server.post(content, sync="0")
    while record["state"] >= 0 and record["state"] != 1:
        time.sleep(0.05)
        record = server.poll(record["task_id"])
    assert record["ocr_pages"] == pages, record
    return pages / (time.monotonic() - began)


@contextmanager
def _machines(opened: Stack, count: int) -> Iterator[Server]:
    """An API with one worker, and machines with one each; all are ready."""
    settings = {"OCR_WORKERS": "1", "OCR_STUB_PAGE_S": str(_PAGE_S)}
    others: list[Server] = []
    with ExitStack() as ended:
        server = ended.enter_context(serving(opened, **settings))
        for number in range(1, count):
            folder, log = opened.machine(number), opened.folder / f"worker{number}.log"
            folder.mkdir(exist_ok=True)
            other = Server(folder, opened.settings | settings, log, command="worker")
            other.process = other.launch()
            ended.callback(other.stop)
            others.append(other)
        _warm(server, count)
        yield server
        assert all(other.process and other.process.poll() is None for other in others), (
            "a machine has ended"
        )


def _warm(server: Server, count: int) -> None:
    """Send pages until as many workers as that take part, or none comes any more."""
    for _ in range(30):
        if send(server, 2 * count, 2).per_s > 0.75 * count / _PAGE_S:
            return

"""Many tasks of every kind at a fresh server: whether it stays as it was, and who slows it down.

Sixteen clients send pictures, scanned and typed PDF files, Office files and addresses, to all five
formats, some waiting for the answer and some asking for it. Every hundred tasks are the same, in
the same order: the first hundred, after a warm-up, compare with the last. Then the same tasks are
done in turn with and without 200 slow clients beside them.
"""

import io
import itertools
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx2
from PIL import Image, ImageDraw, ImageFont
from reportlab.pdfgen.canvas import Canvas

from benchmarks import office, pages, processes, systems
from benchmarks.slow_clients import slow_clients

_CLIENTS = 16
_BLOCK = 100
_WARM_UP = 50
_SLOW = 200
_ROUNDS = 4  # With, and without, slow clients.
_SHORT = 40  # Tasks of each such round.
_LIMIT_S = 300.0  # For one task.


@dataclass(frozen=True, slots=True)
class _Task:
    name: str
    form: str
    is_polled: bool
    by_address: bool


@dataclass(frozen=True, slots=True)
class _State:
    """What the service holds when nothing is to be done."""

    processes: int
    descriptors: int
    memory_bytes: int
    files: int  # In the folders for uploads, for work and for temporary files.


@dataclass(frozen=True, slots=True)
class _Run:
    began: float
    seconds: float  # From the request to the last byte of the result.


class _Service:
    """The server, its folders, and what is sent to it."""

    def __init__(
        self, pid: int, client: httpx2.Client, folder: Path, contents: Mapping[str, bytes], web: str
    ) -> None:
        self.client = client
        self.failures: list[str] = []
        self._pid = pid
        self._folder = folder
        self._contents = contents
        self._web = web

    def run(self, tasks: Sequence[_Task]) -> list["_Run"]:
        """Do ``tasks``, begun in their order."""
        with ThreadPoolExecutor(_CLIENTS) as clients:
            return list(clients.map(self._run, tasks))

    def _run(self, task: _Task) -> "_Run":
        began = time.perf_counter()
        try:
            self._do(task)
        except (AssertionError, KeyError, ValueError, httpx2.HTTPError) as error:
            self.failures.append(f"{task}: {error!r}")
        return _Run(began, time.perf_counter() - began)

    def _do(self, task: _Task) -> None:
        data = {"language": "ChinesePRC,English", "format": task.form}
        data["sync"] = "0" if task.is_polled else "1"
        files = None
        if task.by_address:
            data["image_url"] = f"{self._web}/{task.name}"
        else:
            files = {"image_file": (task.name, self._contents[task.name])}
        record = self._record(self.client.post("/task/pic/ocr", data=data, files=files))
        end = time.monotonic() + _LIMIT_S
        while record["state"] in (0, 2, 3, 4) and time.monotonic() < end:
            time.sleep(0.1)
            record = self._record(self.client.get(f"/task/{record['task_id']}"))
        assert record["state"] == 1, record
        result = self.client.get(str(record["file"])).content
        assert len(result) == record["output_size"]
        assert task.form != "txt" or _SAYS.get(task.name, b"HELLO") in result, result[:80]

    @staticmethod
    def _record(response: httpx2.Response) -> dict[str, object]:
        assert response.status_code == 200, response.text[:200]
        return dict(response.json()["data"])

    def state(self) -> _State:
        """As it is once the last task has been put away."""
        time.sleep(3)
        pids = processes.tree(self._pid)
        kept = ("server/staging", "server/work", "tmp")
        return _State(
            len(pids),
            processes.descriptors(pids),
            processes.together_bytes(pids),
            sum(path.is_file() for name in kept for path in (self._folder / name).rglob("*")),
        )

    def memory_bytes(self) -> int:
        return processes.together_bytes(processes.tree(self._pid))


def measure(count: int) -> None:
    """Measure and print; ``count`` tasks, a multiple of a hundred."""
    with TemporaryDirectory(prefix="ocr-bench-") as name:
        folder = Path(name)
        contents = _contents(folder)
        with _web_server(contents) as port:
            settings = {
                "OCR_FETCH_NETWORKS": "127.0.0.0/8",
                "OCR_FETCH_PORTS": f"80,443,{port}",
                "TMPDIR": str(folder / "tmp"),
            }
            (folder / "tmp").mkdir()
            with systems.serving(folder, settings) as (pid, client):
                web = f"http://127.0.0.1:{port}"
                service = _Service(pid, client, folder, contents, web)
                _soak(service, count)
                _beside_slow_clients(service)


def _soak(service: _Service, count: int) -> None:
    block = _block()
    service.run(block[:_WARM_UP])
    before = service.state()
    # Tasks before the first and behind the last, so that these too are done in company.
    tasks = [*block[:_WARM_UP], *itertools.islice(itertools.cycle(block), count), *block[:_WARM_UP]]
    with _sampled(service.memory_bytes) as samples:
        runs = service.run(tasks)[_WARM_UP:-_WARM_UP]
    after = service.state()

    print(f"{count} tasks by {_CLIENTS} clients, {len(service.failures)} failed (goal: none)")
    for failure in service.failures[:10]:
        print(failure)
    print("tasks           p50      p95   memory")
    blocks = [runs[n : n + _BLOCK] for n in range(0, count, _BLOCK)]
    figures = [(*_percentiles(runs), _mean(samples, runs)) for runs in blocks]
    for n, (p50, p95, memory) in enumerate(figures):
        first = n * _BLOCK
        print(
            f"{first + 1:5}-{first + _BLOCK:<5} {p50:6.2f} s {p95:6.2f} s {memory / 2**20:5.0f} MB"
        )
    for name, was, now in zip(("p50", "p95", "memory"), figures[0], figures[-1], strict=True):
        print(f"{name:7} last to first hundred {now / was:5.2f} (goal: at most 1.10)")
    print("idle         before    after")
    for name, was, now in (
        ("processes", before.processes, after.processes),
        ("descriptors", before.descriptors, after.descriptors),
        ("memory, MB", before.memory_bytes // 2**20, after.memory_bytes // 2**20),
        ("files", before.files, after.files),
    ):
        print(f"{name:11} {was:7} {now:8}", flush=True)


def _beside_slow_clients(service: _Service) -> None:
    tasks = _block()[:_SHORT]
    failed_before = len(service.failures)
    medians: dict[bool, list[float]] = {False: [], True: []}
    whole: dict[bool, list[float]] = {False: [], True: []}
    for number in range(2 * _ROUNDS):
        beside = number % 4 in (1, 2)  # Each goes first as often as the other.
        count = _SLOW if beside else 0
        with slow_clients(service.client.base_url.port or 80, systems.TOKEN, count):
            began = time.perf_counter()
            runs = service.run(tasks)
            whole[beside].append(time.perf_counter() - began)
        medians[beside].append(statistics.median(run.seconds for run in runs))
    for failure in service.failures[failed_before:]:
        print(failure)
    for name, found in (("a task", medians), ("all of them", whole)):
        alone, slowed = (statistics.median(found[beside]) for beside in (False, True))
        print(
            f"{name}: {alone:.2f} s alone, {slowed:.2f} s beside {_SLOW} slow clients: "
            f"{slowed / alone:.3f} (goal: at most 1.10)"
        )


def _block() -> list[_Task]:
    """A hundred tasks, the same in each call: kinds, formats and ways well mixed."""
    kinds = [name for name, share in _SHARES.items() for _ in range(share)]
    ways = itertools.cycle([(False, False), (True, False), (False, False), (True, True)])
    forms = itertools.cycle(["txt", "pdf", "docx", "xlsx", "pptx"])
    tasks = [_Task(kind, next(forms), *next(ways)) for kind in kinds]
    return [tasks[37 * n % _BLOCK] for n in range(_BLOCK)]


_SAYS = {"screen.png": b"Settings", "page-zh.jpg": b"", "page-en.jpg": b""}  # Others: HELLO.
_SHARES = {  # Of a hundred tasks.
    "line.png": 32,
    "screen.png": 8,
    "page-zh.jpg": 4,
    "page-en.jpg": 4,
    "scan.pdf": 8,
    "typed.pdf": 16,
    "typed-long.pdf": 4,
    "word.docx": 8,
    "excel.xlsx": 8,
    "powerpoint.pptx": 8,
}


def _contents(folder: Path) -> dict[str, bytes]:
    zh, en = pages.draw(folder, 1, ["zh", "en"])
    line = Image.new("RGB", (900, 220), "white")
    ImageDraw.Draw(line).text((40, 70), "HELLO 12345", "black", ImageFont.load_default(size=72))
    return {
        "line.png": _saved(line, "PNG"),
        "screen.png": pages.draw_screen(folder).original.read_bytes(),
        "page-zh.jpg": zh.original.read_bytes(),
        "page-en.jpg": en.original.read_bytes(),
        "scan.pdf": _saved(line, "PDF", save_all=True, append_images=[line] * 2),
        "typed.pdf": _typed(3),
        "typed-long.pdf": _typed(40),
        "word.docx": office.word(),
        "excel.xlsx": office.excel(),
        "powerpoint.pptx": office.powerpoint(),
    }


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def _typed(count: int) -> bytes:
    out = io.BytesIO()
    canvas = Canvas(out)
    for page in range(count):
        for line in range(40):
            canvas.drawString(72, 760 - 16 * line, f"HELLO from line {line} of page {page + 1}")
        canvas.showPage()
    canvas.save()
    return out.getvalue()


@contextmanager
def _web_server(contents: Mapping[str, bytes]) -> Iterator[int]:
    """The port of a server of ``contents``."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = contents[self.path.removeprefix("/")]
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@contextmanager
def _sampled(figure: Callable[[], int], every_s: float = 2) -> Iterator[list[tuple[float, int]]]:
    """Times, and the ``figure`` at them, until the block ends."""
    samples: list[tuple[float, int]] = []
    ended = threading.Event()

    def sample() -> None:
        while not ended.wait(every_s):
            samples.append((time.perf_counter(), figure()))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield samples
    finally:
        ended.set()
        thread.join()


def _mean(samples: Sequence[tuple[float, int]], runs: Sequence[_Run]) -> float:
    """The mean of what was sampled while ``runs`` went on."""
    began, ended = runs[0].began, max(run.began + run.seconds for run in runs)
    found = [figure for moment, figure in samples if began <= moment <= ended]
    return statistics.mean(found) if found else float("nan")


def _percentiles(runs: Sequence[_Run]) -> tuple[float, float]:
    times = sorted(run.seconds for run in runs)
    return statistics.median(times), times[int(0.95 * len(times))]

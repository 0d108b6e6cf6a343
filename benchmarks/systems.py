"""The systems that are compared, each set up to read the most pages it can on all cores."""

import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from types import MappingProxyType
from typing import Protocol

import httpx2
from PIL import Image

from app import media, proc
from app.config import Settings
from app.errors import AppError
from app.languages import models, parse
from app.ration import environment
from benchmarks import processes
from benchmarks.runner import Runner, running
from benchmarks.samples import Sample

CORES = len(os.sched_getaffinity(0))
PEERS = Path(__file__).parent.parent / ".venv-peers" / "bin"
IMG2TABLE = Path(__file__).parent.parent / ".venv-img2table" / "bin"
NAMES = ("ocr-server", "ocrmypdf", "tesseract", "rapidocr", "engine")
TOKEN = "sk-bench"  # noqa: S105 - of a server that lives as long as this run


class ReadFailed(Exception):
    """The system gave no text; says why."""


@dataclass(frozen=True, slots=True)
class Job:
    """One file to be read by one call."""

    sample: Sample
    file: Path


@dataclass(frozen=True, slots=True)
class Reading:
    """What a system read."""

    text: str  # Empty where another file was asked for.
    busy_s: float | None = None  # Seconds of work, where that is not the whole call.


class System(Protocol):
    """Something that reads files."""

    name: str
    how: str  # How it is run, in a few words.
    width: int  # As many calls at once let it read the most pages a second.
    whole_files: bool  # It takes a document of many pages as one job.
    stays: bool  # It runs from file to file, and so reads the first one more slowly.
    only_busy: bool  # Its speed is that of its work alone, not of the calls.

    def read(self, job: Job, alone: bool) -> Reading:
        """The text; ``alone``: no other call is under way. Raises ReadFailed."""

    def cpu_seconds(self) -> float:
        """Seconds worked so far, of all its processes."""

    def pids(self) -> Sequence[int]:
        """Its processes that run now."""


@contextmanager
def started(names: Sequence[str], folder: Path, as_is: bool) -> Iterator[list[System]]:
    """The systems called ``names``, ready to read; ``folder`` is theirs."""
    with ExitStack() as stack:
        residents: list[int] = []
        systems: list[System] = []
        for name in names:
            system: System
            if name == "ocr-server":
                system = stack.enter_context(our_server(folder, as_is))
                residents.append(system.pids()[0])
            elif name == "engine":
                system = stack.enter_context(_our_engine(folder))
                residents += system.roots
            elif name == "rapidocr":
                system = stack.enter_context(_rapidocr(folder))
                residents += system.roots
            elif name == "tesseract":
                system = _Tesseract(residents)
            else:
                system = _Ocrmypdf(residents)
            systems.append(system)
        yield systems


@contextmanager
def our_server(
    folder: Path, whole_files: bool, asks: Mapping[str, str] = MappingProxyType({})
) -> Iterator[System]:
    """``ocr-server serve`` on a new data folder, with the settings it comes with.

    Each request has the fields of ``asks``, such as ``format``. Only the numbers of workers and
    threads are taken from the environment.
    """
    with serving(folder) as (pid, client):
        yield _OurServer(pid, client, whole_files, asks)


@contextmanager
def serving(
    folder: Path, settings: Mapping[str, str] = MappingProxyType({})
) -> Iterator[tuple[int, httpx2.Client]]:
    """The process of ``ocr-server serve`` on a new data folder, and a client that has its token.

    ``settings`` are variables of its environment beside those that it comes with.
    """
    folder.mkdir(exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    kept = {
        name: value
        for name, value in os.environ.items()
        if name[:4] != "OCR_" or name in ("OCR_WORKERS", "OCR_THREADS")
    }
    environment = {
        **kept,
        "OCR_DATA_DIR": str(folder / "server"),
        "OCR_PORT": str(port),
        "OCR_TOKENS": TOKEN,
        "OCR_LOG_LEVEL": "warning",
        **settings,
    }
    command = [str(Path(sys.executable).with_name("ocr-server")), "serve"]
    with (
        (folder / "server.log").open("ab") as log,
        # A session of its own, like those of the programs: the kernel shares cores by session.
        subprocess.Popen(
            command, env=environment, stderr=log, stdout=log, start_new_session=True
        ) as server,
        httpx2.Client(
            base_url=f"http://127.0.0.1:{port}",
            headers={"Authorization": f"Bearer {TOKEN}"},
            timeout=_LIMIT_S,
        ) as client,
    ):
        try:
            _wait_until_ready(client, server)
            _wait_until_idle(server)
            yield server.pid, client
        finally:
            server.terminate()


@contextmanager
def text_reader(name: str, folder: Path) -> Iterator[System]:
    """The library ``name`` of ``benchmarks.run_text``, in a process for each core."""
    command = [str(PEERS / "python"), "-m", "benchmarks.run_text", name]
    with ExitStack() as stack:
        logs = [folder / f"{name}-{n}.log" for n in range(CORES)]
        runners = [stack.enter_context(running(command, log)) for log in logs]
        yield _Runners(name, f"{CORES} processes", False, runners)


def versions() -> dict[str, str]:
    """The versions of the peers."""
    listing = proc.run([str(PEERS / "python"), "-c", _VERSIONS], timeout_s=60).decode()
    tesseract = proc.run(["tesseract", "--version"], timeout_s=60).decode().split()
    return {"tesseract": tesseract[1], **dict(line.split() for line in listing.splitlines())}


_VERSIONS = """
from importlib.metadata import version
for name in ("ocrmypdf", "rapidocr", "onnxruntime", "kreuzberg", "pypdfium2"):
    print(name, version(name))
"""
_LIMIT_S = 900.0  # For one job, beyond what any of them should need.


class _OurServer:
    name = "ocr-server"
    how = f"over HTTP, {2 * CORES} requests in flight"
    width = 2 * CORES
    stays = True
    only_busy = False

    def __init__(
        self, pid: int, client: httpx2.Client, whole_files: bool, asks: Mapping[str, str]
    ) -> None:
        self.whole_files = whole_files
        self._asks = asks
        self._pid = pid
        self._client = client

    def read(self, job: Job, alone: bool) -> Reading:
        is_text = self._asks.get("format", "txt") == "txt"
        fields = {"language": job.sample.language, **self._asks}
        if is_text:
            fields["return_text"] = "1"
        if job.sample.password is not None:
            fields["password"] = job.sample.password
        files = {"image_file": (job.file.name, job.file.read_bytes())}
        response = self._client.post("/task/pic/ocr", files=files, data=fields)
        if response.status_code != 200:
            raise ReadFailed(f"HTTP {response.status_code}: {response.text[:200]}")
        record = response.json()["data"]
        while record["state"] in (0, 2, 3, 4):
            time.sleep(0.2)
            record = self._client.get(f"/task/{record['task_id']}").json()["data"]
        if record["state"] != 1:
            raise ReadFailed(record["state_detail"])
        if "text" in record:
            return Reading(record["text"])
        # A file, or a text that was not done within the time that a request waits.
        result = self._client.get(record["file"]).raise_for_status()
        return Reading(result.text if is_text else "")

    def cpu_seconds(self) -> float:
        return processes.cpu_seconds(self._pid)

    def pids(self) -> Sequence[int]:
        return processes.tree(self._pid)


def _wait_until_ready(client: httpx2.Client, server: "subprocess.Popen[bytes]") -> None:
    while server.poll() is None:
        try:
            if client.get("/readyz").status_code == 200:
                return
        except httpx2.TransportError:
            pass  # It does not listen yet.
        time.sleep(0.1)
    raise SystemExit("The server ended at its start.")


def _wait_until_idle(server: "subprocess.Popen[bytes]") -> None:
    """Until its workers have prepared themselves, as those of a server that is up a while have."""
    worked = -1.0
    while processes.cpu_seconds(server.pid) - worked > 0.1:
        worked = processes.cpu_seconds(server.pid)
        time.sleep(1)


class _Runners:
    """Processes with models loaded; each reads one picture at a time."""

    whole_files = False
    stays = True

    def __init__(self, name: str, how: str, only_busy: bool, runners: Sequence[Runner]) -> None:
        self.name = name
        self.only_busy = only_busy
        self.how = how
        self.width = len(runners)
        self.roots = [runner.pid for runner in runners]
        self._free: SimpleQueue[Runner] = SimpleQueue()
        for runner in runners:
            self._free.put(runner)

    def read(self, job: Job, alone: bool) -> Reading:
        runner = self._free.get()
        try:
            return Reading(*runner.read(job.file, job.sample.language))
        except RuntimeError as error:
            raise ReadFailed(str(error)) from error
        finally:
            self._free.put(runner)

    def cpu_seconds(self) -> float:
        return sum(map(processes.cpu_seconds, self.roots))

    def pids(self) -> Sequence[int]:
        return [pid for root in self.roots for pid in processes.tree(root)]


@contextmanager
def _rapidocr(folder: Path) -> Iterator[_Runners]:
    command = [str(PEERS / "python"), "-m", "benchmarks.run_rapidocr"]
    with running(command, folder / "rapidocr.log") as runner:
        yield _Runners("rapidocr", "models loaded once, its default threads", False, [runner])


@contextmanager
def _our_engine(folder: Path) -> Iterator[_Runners]:
    """As many processes, with as many threads, as the server has workers."""
    count = Settings().worker_count
    command = [sys.executable, "-m", "benchmarks.run_engine", str(folder / "engine")]
    how = f"our engines alone in {count} process{'es' if count > 1 else ''}"
    with ExitStack() as stack:
        logs = [folder / f"engine-{n}.log" for n in range(count)]
        runners = [stack.enter_context(running(command, log, environment(folder))) for log in logs]
        yield _Runners("engine", how, True, runners)


class _Programs:
    """A program that is started for each file; ``residents`` are the processes of others."""

    width = CORES
    stays = False
    only_busy = False

    def __init__(self, residents: Sequence[int]) -> None:
        self._residents = residents

    def cpu_seconds(self) -> float:
        # The other systems are children too, but they count only when they end.
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    def pids(self) -> Sequence[int]:
        return processes.tree(os.getpid(), without=self._residents)[1:]


class _Tesseract(_Programs):
    name = "tesseract"
    how = f"{CORES} at once, each with one thread; alone: its default threads"
    whole_files = False

    def read(self, job: Job, alone: bool) -> Reading:
        command = ["tesseract", str(job.file), "stdout", "-l", _models(job)]
        return Reading(_run(command, alone).decode(errors="replace"))


class _Ocrmypdf(_Programs):
    name = "ocrmypdf"
    how = f"{CORES} at once with a job each; alone: --jobs {CORES}"
    whole_files = True

    def read(self, job: Job, alone: bool) -> Reading:
        with tempfile.TemporaryDirectory(prefix="ocr-bench-") as folder:
            text = Path(folder) / "text.txt"
            options = ["--sidecar", str(text), *_input_options(job.file)]
            _ocrmypdf(job, options, Path(folder) / "out.pdf", alone)
            return Reading(text.read_text(encoding="utf-8"))


class SkippingOcrmypdf(_Ocrmypdf):
    """OCRmyPDF that recognizes pages without text alone."""

    def read(self, job: Job, alone: bool) -> Reading:
        """Make the PDF file, without telling its text."""
        with tempfile.TemporaryDirectory(prefix="ocr-bench-") as folder:
            _ocrmypdf(job, ["--skip-text"], Path(folder) / "out.pdf", alone)
            return Reading("")


def _ocrmypdf(job: Job, options: Sequence[str], target: Path, alone: bool) -> None:
    command = [str(PEERS / "ocrmypdf"), "--quiet", "--output-type", "pdf", "--optimize", "0"]
    command += ["--jobs", str(CORES if alone else 1), "-l", _models(job), *options]
    _run([*command, str(job.file), str(target)], alone)


def _input_options(file: Path) -> list[str]:
    if media.detect(file) == media.PDF:
        return ["--force-ocr"]
    with Image.open(file) as picture:
        # It refuses pictures that name no resolution, or one of a screen.
        named = float(picture.info.get("dpi", (0,))[0]) > 96
    return [] if named else ["--image-dpi", "300"]


def _models(job: Job) -> str:
    return "+".join(models(parse(job.sample.language)))


def _run(command: Sequence[str], alone: bool) -> bytes:
    try:
        return proc.run(command, timeout_s=_LIMIT_S, env={} if alone else {"OMP_THREAD_LIMIT": "1"})
    except AppError as error:
        raise ReadFailed(" ".join([str(error), *getattr(error, "__notes__", ())])) from error

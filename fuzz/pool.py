"""Readers in processes of their own: what they do to a file harms nobody else."""

import json
import os
import select
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

MOST_PIXELS = 20_000_000  # A tenth of the server's default: many more cases in the same time.
MOST_PAGES = 100
_MOST_ADDRESSES = 12 * 2**30  # Of memory that is only spoken for: the engines' models are mapped.
_MOST_BYTES = 1_200_000_000  # That a case may take more than was held before.
_SILENT_S = 90.0  # All that the reader does has a limit of its own, of 40 s at most.


@dataclass(frozen=True, slots=True)
class Case:
    """A file and what is to be made of it."""

    path: str
    format: str
    mode: str = "auto"
    pdfa: bool = False
    password: str | None = None
    engine: str = "stub"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that should not have come of a case."""

    what: str  # The same for the same fault, as far as that can be told.
    trace: str


class Reader:
    """A reader that is started anew when it has ended."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._log: Any = None

    @property
    def pid(self) -> int:
        """The process that reads the next case."""
        assert self._child is not None
        return self._child.pid

    def read(self, case: Case) -> tuple[str, Finding | None, float]:
        """How the case ended, what is wrong with that, and the seconds it took."""
        if self._child is None:
            self._start()
        child = self._child
        assert child is not None
        assert child.stdin is not None
        began = time.monotonic()
        try:
            child.stdin.write(json.dumps(asdict(case)).encode() + b"\n")
            answer = self._answer(child)
        except (BrokenPipeError, TimeoutError, EOFError) as error:
            seconds = time.monotonic() - began
            return (*self._lost(child, isinstance(error, TimeoutError)), seconds)
        return answer["end"], _judged(answer), answer["seconds"]

    def close(self) -> None:
        """End the process, and what it has started."""
        if self._child is not None:
            child, self._child = self._child, None
            assert child.stdin is not None
            child.stdin.close()
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
            self._close_pipes(child)
            self._log.close()

    @staticmethod
    def _close_pipes(child: subprocess.Popen[bytes]) -> None:
        for pipe in (child.stdin, child.stdout):
            assert pipe is not None
            pipe.close()

    def _start(self) -> None:
        self._log = TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        self._child = subprocess.Popen(
            ["prlimit", f"--as={_MOST_ADDRESSES}", sys.executable, "-m", "fuzz.reader"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            bufsize=0,
            cwd=Path(__file__).parent.parent,
            start_new_session=True,
        )

    def _answer(self, child: subprocess.Popen[bytes]) -> dict[str, Any]:
        assert child.stdout is not None
        heard = b""
        deadline = time.monotonic() + _SILENT_S
        while not heard.endswith(b"\n"):
            if not select.select([child.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise TimeoutError
            chunk = os.read(child.stdout.fileno(), 2**16)
            if not chunk:
                raise EOFError
            heard += chunk
        answer: dict[str, Any] = json.loads(heard)
        return answer

    def _lost(self, child: subprocess.Popen[bytes], hangs: bool) -> tuple[str, Finding]:
        if hangs:
            os.kill(child.pid, signal.SIGABRT)  # Its fault handler tells where it is.
            time.sleep(0.5)
        os.killpg(child.pid, signal.SIGKILL)
        status = child.wait()
        self._close_pipes(child)
        self._log.seek(0)
        said = self._log.read()[-6000:].decode(errors="replace")
        self._log.close()
        self._child = None
        end = "hang" if hangs else signal.Signals(-status).name if status < 0 else f"exit {status}"
        places = [line for line in said.splitlines() if "/app/" in line and "line" in line]
        where = places[0].strip().rpartition("/app/")[2] if places else "?"
        return end, Finding(f"{end} {where}", said)


def _judged(answer: dict[str, Any]) -> Finding | None:
    if "where" in answer:
        return Finding(f"{answer['end']} {answer['where']}", answer["trace"])
    if answer["bytes"] > _MOST_BYTES:
        return Finding("memory", f"{answer['bytes'] >> 20} MB")
    if answer["files"] > 5:
        return Finding("files left open", str(answer["files"]))
    return None

"""A process that keeps a model loaded and reads one picture after another.

It takes a JSON object with ``path`` and ``language`` on each line of its input, and answers each
with one that has ``text`` and ``busy_s``, or ``error``. Nothing beyond the standard library is
imported here, since the virtual environment of the peers has nothing of ours.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock


def serve(read: Callable[[Path, str], tuple[str, float]]) -> None:
    """Answer until the input ends; ``read`` gives the text and the seconds it worked."""
    # What the libraries print must not get between the answers.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        for line in sys.stdin:
            request = json.loads(line)
            try:
                text, busy_s = read(Path(request["path"]), request["language"])
                answer: dict[str, object] = {"text": text, "busy_s": busy_s}
            except Exception as error:  # A picture that cannot be read ends no measurement.
                answer = {"error": repr(error)}
            print(json.dumps(answer), file=answers, flush=True)


class Runner:
    """The other end: one process, used by one thread at a time."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.pid = process.pid
        self._process = process
        self._lock = Lock()

    def read(self, path: Path, language: str) -> tuple[str, float]:
        """The text on a picture, and the seconds it took. Raises RuntimeError."""
        with self._lock:
            assert self._process.stdin
            assert self._process.stdout
            request = json.dumps({"path": str(path), "language": language})
            print(request, file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the process has ended")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["text"], answer["busy_s"]


@contextmanager
def running(
    command: Sequence[str], log: Path, env: Mapping[str, str] | None = None
) -> Iterator[Runner]:
    """A process that calls ``serve``; its complaints go to ``log``."""
    with (
        log.open("a") as complaints,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            env=env,
            encoding="utf-8",
            start_new_session=True,
        ) as process,
    ):
        try:
            yield Runner(process)
        finally:
            process.kill()

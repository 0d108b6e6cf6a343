"""Run an external program under limits; its whole process group never outlives the call."""

import os
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from app.errors import ToolFailed, ToolTimedOut


def run(
    args: Sequence[str],
    *,
    timeout_s: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    max_memory_bytes: int | None = None,
    max_output_bytes: int = 16 * 2**20,
) -> bytes:
    """The program's standard output, of which no more than ``max_output_bytes`` are kept.

    The program sees no environment but a search path, a home, a locale and ``env``. Raises
    ToolTimedOut; ToolFailed if it is not installed or its exit status is not 0, with the end of
    its standard error as a note.
    """
    name = Path(args[0]).name
    environment = {"PATH": _PATH, "HOME": str(cwd or "/"), "LANG": "C.UTF-8", **(env or {})}
    command = _limited(args, environment["PATH"], max_memory_bytes)
    try:
        child = subprocess.Popen(  # noqa: S603 - a list of arguments, never a shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        raise ToolFailed(f"The program {name} could not be started.") from error
    with child:
        try:
            output, complaints = _communicate(child, time.monotonic() + timeout_s, max_output_bytes)
        except TimeoutError as error:
            raise ToolTimedOut(f"The program {name} took longer than {timeout_s:g} s.") from error
        finally:
            # While the leader is not reaped its number cannot become another group's.
            os.killpg(child.pid, signal.SIGKILL)
    if child.returncode != 0:
        failure = ToolFailed(f"The program {name} ended with status {child.returncode}.")
        failure.add_note(complaints[-4000:].decode(errors="replace"))
        raise failure
    return output


_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def _limited(args: Sequence[str], path: str, max_memory_bytes: int | None) -> list[str]:
    """``args`` behind util-linux's wrappers, which do what only unsafe Python could do here.

    A ``preexec_fn`` may deadlock in a process with threads; both wrappers end in an exec, so the
    program keeps the child's process id.
    """
    program = shutil.which(args[0], path=path)
    if program is None:
        raise ToolFailed(f"The program {Path(args[0]).name} is not installed.")
    command = [program, *args[1:]]
    if max_memory_bytes is not None and (prlimit := shutil.which("prlimit", path=path)):
        command = [prlimit, f"--as={max_memory_bytes}", *command]
    if setpriv := shutil.which("setpriv", path=path):
        command = [setpriv, "--pdeathsig", "KILL", *command]
    return command


def _communicate(
    child: subprocess.Popen[bytes], deadline: float, max_output_bytes: int
) -> tuple[bytes, bytes]:
    """Read both outputs until the program ends, and throw away what is over the limit."""
    kept: dict[int, bytearray] = {}
    with selectors.DefaultSelector() as selector:
        for pipe in (child.stdout, child.stderr):
            if pipe is not None:
                kept[pipe.fileno()] = bytearray()
                os.set_blocking(pipe.fileno(), False)
                selector.register(pipe.fileno(), selectors.EVENT_READ)
        while True:
            # Checked before reading: all that an ended program wrote is then in the pipes. Its
            # children may hold them open for ever, so their end is not waited for.
            ended = _has_ended(child)
            for key, _ in selector.select(0 if ended else _POLL_S):
                if not _read(key.fd, kept[key.fd], max_output_bytes):
                    selector.unregister(key.fd)
            if ended:
                break
            if time.monotonic() > deadline:
                raise TimeoutError
            if not selector.get_map():
                time.sleep(_POLL_S / 10)
    output, complaints = kept.values()
    return bytes(output), bytes(complaints)


_POLL_S = 0.05


def _has_ended(child: subprocess.Popen[bytes]) -> bool:
    """Whether the program has ended; it stays a zombie, so that its group can be killed safely."""
    return os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _read(pipe: int, kept: bytearray, limit: int) -> bool:
    """Take what is there, and whether there can be more."""
    for _ in range(16):  # As much as a pipe can hold; then the time limit has its turn.
        try:
            chunk = os.read(pipe, 2**16)
        except BlockingIOError:
            return True
        if not chunk:
            return False
        kept += chunk[: max(0, limit - len(kept))]
    return True

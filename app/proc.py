"""External programs under limits; a whole process group ends with the call or the dialogue."""

import contextlib
import os
import resource
import select
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
    command = _dying_with_us(_limited(args, environment["PATH"], max_memory_bytes))
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


def alone(args: Sequence[str], max_memory_bytes: int) -> list[str]:
    """``args`` as ``run`` would start them, for packages that start programs themselves.

    Raises ToolFailed if the program is not installed.
    """
    environment = [f"PATH={_PATH}", "HOME=/", "LANG=C.UTF-8"]
    return ["env", "-i", *environment, *_dying_with_us(_limited(args, _PATH, max_memory_bytes))]


def end_those_in(folder: Path) -> None:
    """Kill what works below a dead process's folder.

    Most ends with that, but what is held by SIGSTOP only where a namespace of processes does.
    """
    folder = folder.resolve()
    for path in Path("/proc").glob("[0-9]*/cwd"):
        # Opened before it is looked at: a number that becomes another's meanwhile harms nobody.
        with contextlib.suppress(OSError):
            process = os.pidfd_open(int(path.parent.name))
            try:
                if path.readlink().is_relative_to(folder):
                    signal.pidfd_send_signal(process, signal.SIGKILL)
            finally:
                os.close(process)


class Dialogue:
    """A program that goes on running and answers lines with lines, until ``end``.

    It sees as little environment as with ``run``. When its standard input ends, which is all that
    it hears of a killed worker, it is to end by itself. It belongs to the process that started it:
    a fork cannot end it. Raises ToolFailed if it cannot be started.
    """

    def __init__(
        self, args: Sequence[str], *, cwd: Path, env: Mapping[str, str], max_memory_bytes: int
    ) -> None:
        self._name = Path(args[0]).name
        self._owner = os.getpid()
        self._heard = b""
        environment = {"PATH": _PATH, "HOME": str(cwd), "LANG": "C.UTF-8", **env}
        try:
            self._child = subprocess.Popen(  # noqa: S603 - a list of arguments, never a shell
                _limited(args, environment["PATH"], max_memory_bytes),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                cwd=cwd,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            raise ToolFailed(f"The program {self._name} could not be started.") from error

    @property
    def is_ours(self) -> bool:
        """Whether this process started it."""
        return self._owner == os.getpid()

    def ask(self, line: str, timeout_s: float) -> str:
        """The answer to ``line``. Raises ToolTimedOut; ToolFailed if the program has ended."""
        assert self._child.stdin is not None
        try:
            self._child.stdin.write(line.encode() + b"\n")
        except OSError as error:
            raise ToolFailed(f"The program {self._name} has ended.") from error
        return self.hear(timeout_s)

    def hear(self, timeout_s: float) -> str:
        """The next line. Raises ToolTimedOut; ToolFailed if the program has ended."""
        assert self._child.stdout is not None
        deadline = time.monotonic() + timeout_s
        poll = select.poll()
        poll.register(self._child.stdout, select.POLLIN)
        while b"\n" not in self._heard:
            if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise ToolTimedOut(f"The program {self._name} took longer than {timeout_s:g} s.")
            chunk = os.read(self._child.stdout.fileno(), 2**16)
            if not chunk or len(self._heard) > _LONGEST_LINE:
                raise ToolFailed(f"The program {self._name} has ended.")
            self._heard += chunk
        line, _, self._heard = self._heard.partition(b"\n")
        return line.decode()

    def end(self) -> None:
        """End the program; what is left of its process group after a moment is killed."""
        with self._child as child:
            assert child.stdin is not None
            child.stdin.close()
            # The program can wait for its own children; in a container without an init nobody
            # else does.
            deadline = time.monotonic() + _GRACE_S
            while not _has_ended(child) and time.monotonic() < deadline:
                time.sleep(_POLL_S / 10)
            # Nobody has reaped the leader, so its number cannot have become another group's.
            os.killpg(child.pid, signal.SIGKILL)


_GRACE_S = 2.0
_LONGEST_LINE = 2**20
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def _limited(args: Sequence[str], path: str, max_memory_bytes: int | None) -> list[str]:
    """``args`` behind one of util-linux's wrappers: a ``preexec_fn`` may deadlock with threads.

    The wrappers end in an exec, so the program keeps the child's process id.
    """
    program = shutil.which(args[0], path=path)
    if program is None:
        raise ToolFailed(f"The program {Path(args[0]).name} is not installed.")
    command = [program, *args[1:]]
    if max_memory_bytes is not None and (prlimit := shutil.which("prlimit", path=path)):
        # Its own limit in the place of this process's.
        limits = [f"--as={max_memory_bytes}", f"--data={_hard_limit(resource.RLIMIT_DATA)}:"]
        command = [prlimit, *limits, *command]
    return command


def _hard_limit(kind: int) -> str:
    """The most that this process may ask for, in the words of prlimit."""
    hard = resource.getrlimit(kind)[1]
    return "unlimited" if hard == resource.RLIM_INFINITY else str(hard)


def _dying_with_us(command: list[str]) -> list[str]:
    """``command`` behind the wrapper that has the kernel kill it when this thread ends."""
    setpriv = shutil.which("setpriv", path=_PATH)
    return [setpriv, "--pdeathsig", "KILL", *command] if setpriv else command


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

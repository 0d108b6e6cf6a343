"""Real servers for the tests, on free ports: PostgreSQL and Redis of Debian, S3 by rclone."""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LOCAL = "127.0.0.1"


@contextlib.contextmanager
def redis(port: int = 0, host: str = LOCAL) -> Iterator[str]:
    """The address of a Redis that lives as long as the context."""
    port = port or free_port()
    with tempfile.TemporaryDirectory(prefix="ocr-redis-") as folder:
        command = ["redis-server", "--port", str(port), "--bind", host, "--dir", folder]
        options = ["--save", "", "--databases", "1000", "--protected-mode", "no"]
        with _running([*command, *options], port, host):
            yield f"redis://{host}:{port}/0"


@contextlib.contextmanager
def postgresql(
    port: int = 0,
    folder: str | None = None,
    options: tuple[str, ...] = ("fsync=off",),
    host: str = LOCAL,
) -> Iterator[str]:
    """The address of a PostgreSQL database that lives as long as the context.

    With a ``folder`` its data stay there, for another one. ``options`` are settings of the server.
    """
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"))
    port = port or free_port()
    with contextlib.ExitStack() as stack:
        folder = folder or stack.enter_context(tempfile.TemporaryDirectory(prefix="ocr-pg-"))
        # The server refuses to run as root; Debian's package brings a user for it.
        user = []
        if os.getuid() == 0:
            account = pwd.getpwnam("postgres")
            os.chown(folder, account.pw_uid, account.pw_gid)
            user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        data = f"{folder}/data"
        made = ["initdb", "-D", data, "-U", "ocr", "--auth=trust", "--no-sync", "-E", "UTF8"]
        if not Path(data).exists():
            subprocess.run([*user, programs / made[0], *made[1:]], check=True, capture_output=True)
            with Path(data, "pg_hba.conf").open("a") as known:
                known.write("host all all samenet trust\n")
        command = [*user, str(programs / "postgres"), "-D", data, "-p", str(port), "-k", folder]
        for option in (*options, f"listen_addresses={host}"):
            command += ["-c", option]
        with _running(command, port, host):
            address = f"postgresql://ocr@{host}:{port}/postgres"
            _until(lambda: _answers(programs, port, host))
            yield address


@dataclass(frozen=True, slots=True)
class S3:
    """A store with an empty bucket, and what must be in the environment to get into it."""

    url: str  # For OCR_STORAGE_URL.
    environment: dict[str, str]
    folder: Path  # Where the bucket's files lie.


@contextlib.contextmanager
def s3(port: int = 0, folder: str | None = None, host: str = LOCAL) -> Iterator[S3]:
    """An S3 store that lives as long as the context; with a ``folder`` its files stay there."""
    port = port or free_port()
    with contextlib.ExitStack() as stack:
        folder = folder or stack.enter_context(tempfile.TemporaryDirectory(prefix="ocr-s3-"))
        bucket = Path(folder, "files")
        bucket.mkdir(exist_ok=True)
        program = str(Path(sys.executable).with_name("rclone"))
        command = [program, "serve", "s3", folder, "--addr", f"{host}:{port}"]
        command += ["--auth-key", "ocr,ocr-secret", "--config", "/dev/null"]
        with _running(command, port, host):
            keys = {"AWS_ACCESS_KEY_ID": "ocr", "AWS_SECRET_ACCESS_KEY": "ocr-secret"}
            yield S3(f"s3://files/ocr?endpoint=http://{host}:{port}", keys, bucket / "ocr")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def missing(*programs: str) -> bool:
    """Whether a program is not installed; the set-up of ``make test`` installs them all."""
    found = [
        shutil.which(p) or list(Path("/usr/lib/postgresql").glob(f"*/bin/{p}")) for p in programs
    ]
    return not all(found)


@contextlib.contextmanager
def _running(command: list[str], port: int, host: str = LOCAL) -> Iterator[None]:
    if threading.current_thread() is threading.main_thread():  # Whose end is that of the tests.
        if command[0] != "setpriv":
            command = ["setpriv", *command]
        command = [command[0], "--pdeathsig=INT", *command[1:]]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            _until(lambda: _is_open(port, host))
            yield
        finally:
            # PostgreSQL takes SIGTERM as a wish to wait for its clients.
            server.send_signal(signal.SIGINT)
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()


def _is_open(port: int, host: str) -> bool:
    with socket.socket() as line:
        return line.connect_ex((host, port)) == 0


def _answers(programs: Path, port: int, host: str) -> bool:
    command = [str(programs / "pg_isready"), "-h", host, "-p", str(port)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _until(condition: object, seconds: float = 30) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.05)

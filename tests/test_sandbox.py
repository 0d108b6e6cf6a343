"""Every wall that works here, against programs that try to get out."""

import os
import shutil
import socket
import sys
from pathlib import Path

import pytest

from app import proc, sandbox
from app.errors import ToolFailed

NOBODY = 65534
LACKING = [wall for wall in sandbox.WALLS if wall.lacks]
CLOSED = [wall for wall in sandbox.WALLS if wall.name in ("bubblewrap", "Landlock and seccomp")]
by_name = {"ids": lambda wall: wall.name}


def run(wall: sandbox.Wall, folder: Path, script: str, *readable: Path) -> str:
    """What a shell behind ``wall`` says; a command that fails is no failure."""
    command = ["sh", "-c", f"{script}; true"]
    return proc.run(wall.around(command, folder, readable), timeout_s=30, cwd=folder).decode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    return folder


@pytest.fixture(params=CLOSED, **by_name)
def wall(request: pytest.FixtureRequest) -> sandbox.Wall:
    wall: sandbox.Wall = request.param
    if not wall.works():
        pytest.skip("the kernel does not allow it")
    return wall


def test_its_own_folder_is_all_that_it_writes(wall: sandbox.Wall, folder: Path) -> None:
    outside = folder.parent / "outside"
    outside.write_text("kept")

    run(wall, folder, f"echo new > inside; echo new > {outside}; rm {outside}; ln inside ../link")

    assert (folder / "inside").read_text() == "new\n"
    assert outside.read_text() == "kept"
    assert {path.name for path in folder.parent.iterdir()} == {"folder", "outside"}


def test_files_of_others_are_not_seen(wall: sandbox.Wall, folder: Path) -> None:
    """Neither by their paths, nor by links to them, nor through a process that has them open."""
    secret, shown = folder.parent / "secret", folder.parent / "shown"
    secret.write_text("secret")
    shown.write_text("shown")
    (folder / "link").symlink_to(secret)
    with secret.open():
        paths = f"{secret} link /proc/{os.getpid()}/root{secret} /proc/{os.getpid()}/fd/*"
        said = run(wall, folder, f"cat {paths} {shown}; cat /etc/shadow; ls {folder.parent}", shown)

    assert said.startswith("shown")
    assert "secret" not in said
    assert "root:" not in said


def test_the_environment_of_other_processes_is_not_seen(wall: sandbox.Wall, folder: Path) -> None:
    """The server's holds its tokens."""
    assert run(wall, folder, f"cat /proc/{os.getpid()}/environ") == ""
    assert run(wall, folder, f"kill -0 {os.getpid()} && echo reached") == ""


def test_there_is_no_network(wall: sandbox.Wall, folder: Path) -> None:
    """Not even this machine's own; sockets between processes remain, which UNO talks by."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        lines = (
            "import socket",
            "socket.socketpair()",
            "try:",
            f"    socket.create_connection({listener.getsockname()!r}, 2)",
            "except OSError:",
            "    print('none')",
        )
        (folder / "connect.py").write_text("\n".join(lines))

        assert run(wall, folder, "/usr/bin/python3 -I connect.py") == "none\n"
        with pytest.raises(TimeoutError):
            listener.accept()


def test_it_needs_no_rights(folder: Path) -> None:
    """An ordinary user gets the walls that root gets."""
    if os.getuid() != 0:
        pytest.skip("only root can become another user")
    for parent in (folder, *folder.parents):
        if parent != Path("/tmp"):
            os.chmod(parent, parent.stat().st_mode | 0o055) if _is_ours(parent) else None
    os.chown(folder, NOBODY, NOBODY)
    as_nobody = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    for wall in CLOSED:
        if wall.works():
            command = wall.around(["sh", "-c", "id -u > user"], folder)
            proc.run([*as_nobody, *command], timeout_s=30, cwd=folder)

            assert (folder / "user").read_text() == f"{NOBODY}\n"
            (folder / "user").unlink()

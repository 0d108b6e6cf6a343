"""Every wall that works here, against programs that try to get out."""

import os
import shutil
import socket
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from app import proc, sandbox
from app.errors import ToolFailed

NOBODY = 65534
CLOSED = [wall for wall in sandbox.WALLS if wall.name in ("bubblewrap", "Landlock and seccomp")]


def run(wall: sandbox.Wall, folder: Path, script: str, *readable: Path) -> str:
    """What a shell behind ``wall`` says; a command that fails is no failure."""
    command = ["sh", "-c", f"{script}; true"]
    return proc.run(wall.around(command, folder, readable), timeout_s=30, cwd=folder).decode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    return folder


@pytest.fixture(params=CLOSED, ids=lambda wall: wall.name)
def wall(request: pytest.FixtureRequest) -> sandbox.Wall:
    wall: sandbox.Wall = request.param
    if not wall.works():
        pytest.skip("the kernel does not allow it")
    return wall


def test_its_own_folder_is_all_that_it_writes(wall: sandbox.Wall, folder: Path) -> None:
    outside = folder.parent / "outside"
    outside.write_text("kept")

    run(wall, folder, f"echo new > inside; echo new > {outside}; mv {outside} .; ln inside ../link")

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


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_it_needs_no_rights(wall: sandbox.Wall) -> None:
    """An ordinary user gets the walls that root gets."""
    with TemporaryDirectory() as name:
        os.chown(name, NOBODY, NOBODY)
        words = wall.around(["sh", "-c", "id -u > user; ls /root"], Path(name))
        if str(_LANDLOCK) in words:  # The checkout may be in a folder that only root may enter.
            shutil.copy(_LANDLOCK, name)
            words[words.index(str(_LANDLOCK))] = f"{name}/{_LANDLOCK.name}"
        command = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *words]

        with pytest.raises(ToolFailed, match="status 2"):
            proc.run(command, timeout_s=30, cwd=Path(name))

        assert Path(name, "user").read_text() == f"{NOBODY}\n"


def test_a_wall_that_does_not_work_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left is said, down to nothing at all."""
    sandbox.strongest.cache_clear()
    monkeypatch.setattr(sandbox.Wall, "works", lambda self: self.name == "nothing")
    try:
        assert sandbox.strongest().around(["a", "b"], Path("/")) == ["a", "b"]
        said, is_warning = sandbox.report()
    finally:
        sandbox.strongest.cache_clear()

    assert "lets nobody here take their network" in said
    assert is_warning


def test_the_strongest_that_works_is_taken() -> None:
    """It is found by trying."""
    found = next(wall for wall in sandbox.WALLS if wall.works())

    assert sandbox.strongest() is found
    assert sandbox.report()[1] == bool(found.lacks)


def test_a_wall_without_its_program_does_not_work() -> None:
    wall = sandbox.Wall("none", "", lambda *_: ["no-such-program"])

    assert not wall.works()


_LANDLOCK = Path(sandbox.__file__).with_name("landlock.py")

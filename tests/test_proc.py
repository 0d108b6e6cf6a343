import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app import proc
from app.errors import ToolFailed, ToolTimedOut


def test_output_is_returned() -> None:
    """What the program writes to its standard output comes back."""
    assert proc.run(["echo", "a b"], timeout_s=10) == b"a b\n"


def test_nothing_is_read_by_a_shell() -> None:
    """Arguments reach the program as they are."""
    assert proc.run(["echo", "$HOME; `id`"], timeout_s=10) == b"$HOME; `id`\n"


def test_environment_is_not_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets of the server are not visible to the program."""
    monkeypatch.setenv("OCR_SECRET", "value")

    output = proc.run(["env"], timeout_s=10, env={"EXTRA": "1"}).decode()

    names = {line.partition("=")[0] for line in output.splitlines()}
    assert names == {"PATH", "HOME", "LANG", "EXTRA"}


def test_failure_carries_the_status_and_the_complaint() -> None:
    """A status other than 0 is an error; the standard error is a note for the log."""
    with pytest.raises(ToolFailed, match="status 3") as caught:
        proc.run(["sh", "-c", "echo oh no >&2; exit 3"], timeout_s=10)

    assert caught.value.__notes__ == ["oh no\n"]


def test_missing_program_is_a_tool_failure() -> None:
    """A program that is not installed is reported by its name."""
    with pytest.raises(ToolFailed, match="no-such-program is not installed"):
        proc.run(["no-such-program"], timeout_s=10)


def test_whole_group_is_killed_at_the_time_limit(tmp_path: Path) -> None:
    """A grandchild does not survive the limit."""
    script = "sleep 100 & echo $! > pid; wait"

    with pytest.raises(ToolTimedOut, match=r"longer than 0\.5 s"):
        proc.run(["sh", "-c", script], timeout_s=0.5, cwd=tmp_path)

    assert _is_gone(int((tmp_path / "pid").read_text()))


def test_orphans_are_killed_when_the_program_ends(tmp_path: Path) -> None:
    """A child that holds the output open neither delays the result nor lives on."""
    started = time.monotonic()

    output = proc.run(["sh", "-c", "sleep 100 & echo $!"], timeout_s=50)

    assert time.monotonic() - started < 5
    assert _is_gone(int(output))


def test_output_is_bounded() -> None:
    """A program that writes without end cannot fill the memory."""
    output = proc.run(["head", "-c", "50000000", "/dev/zero"], timeout_s=30, max_output_bytes=1000)

    assert output == bytes(1000)


def test_endless_output_ends_at_the_time_limit() -> None:
    """A program that never stops writing is ended all the same."""
    with pytest.raises(ToolTimedOut):
        proc.run(["yes"], timeout_s=0.5)


def test_closed_outputs_are_not_the_end() -> None:
    """A program that closes its outputs is still waited for."""
    with pytest.raises(ToolFailed, match="status 7"):
        proc.run(["sh", "-c", "exec >&- 2>&-; sleep 0.3; exit 7"], timeout_s=10)


def test_memory_limit() -> None:
    """A program that takes more memory than it may have fails."""
    greedy = [sys.executable, "-c", "bytearray(2**30)"]

    with pytest.raises(ToolFailed):
        proc.run(greedy, timeout_s=30, max_memory_bytes=512 * 2**20)


def test_program_dies_with_its_parent(tmp_path: Path) -> None:
    """A killed worker leaves no running program behind."""
    script = "echo $$ > pid; sleep 100"
    source = f"from app import proc; proc.run(['sh', '-c', {script!r}], timeout_s=99)"
    pid_file = tmp_path / "pid"
    root = Path(__file__).parents[1]
    with subprocess.Popen(
        [sys.executable, "-c", source], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(root)}
    ) as worker:
        while not (pid_file.exists() and pid_file.read_text().strip()):
            time.sleep(0.05)

        worker.send_signal(signal.SIGKILL)

    assert _is_gone(int(pid_file.read_text()))


def _dialogue(folder: Path, script: str) -> proc.Dialogue:
    return proc.Dialogue(["sh", "-c", script], cwd=folder, env={}, max_memory_bytes=2**30)


def test_a_dialogue_goes_on(tmp_path: Path) -> None:
    """Each line is answered by the same process, which ends when it hears no more."""
    dialogue = _dialogue(tmp_path, "while read line; do echo $$ $line; done; echo end > end")

    answers = [dialogue.ask(line, 10).split() for line in ("a", "b")]
    dialogue.end()

    assert [line for _, line in answers] == ["a", "b"]
    assert answers[0][0] == answers[1][0]
    assert (tmp_path / "end").exists()


def test_a_dialogue_that_does_not_end_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its whole group, a moment later."""
    monkeypatch.setattr(proc, "_GRACE_S", 0.1)
    dialogue = _dialogue(tmp_path, "sleep 100 & echo $!; wait")

    grandchild = int(dialogue.hear(10))
    with pytest.raises(ToolTimedOut):
        dialogue.ask("a", 0.1)
    dialogue.end()

    assert _is_gone(grandchild)


def test_a_dialogue_with_nobody(tmp_path: Path) -> None:
    """A program that has ended is a tool failure, to be told from a slow one."""
    dialogue = _dialogue(tmp_path, "exit 1")

    with pytest.raises(ToolFailed, match="sh has ended"):
        dialogue.ask("a", 10)
    dialogue.end()


def _is_gone(pid: int) -> bool:
    """Whether the process ends within a few seconds; a zombie has ended."""
    for _ in range(100):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.05)
    return False

"""The command line."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from app import database, db, languages, wiring
from app.access import NONE, Access, Allowance
from app.api.auth import Tokens, digest
from app.cli import main
from app.rows import Task
from tests import stack


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in {"OCR_DATA_DIR": str(tmp_path), **stack.settings(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def run(*args: str) -> Result:
    return CliRunner().invoke(main, args)


def test_a_tokens_life(folder: Path) -> None:
    """Created, listed, revoked; the database never holds the token itself."""
    made = run("token", "create", "office", "--days", "1")
    secret = made.output.strip().splitlines()[-1]
    sessions = database.connect(stack.database_url(folder))
    tokens = Tokens(sessions, ())

    assert secret.startswith("sk-")
    assert asyncio.run(tokens.access(secret)) == Access(digest(secret), NONE, name="office")
    assert "office\tvalid" in run("token", "list").output
    assert run("token", "create", "office").exit_code == 1
    assert run("token", "revoke", "office").exit_code == 0
    assert run("token", "revoke", "office").exit_code == 1
    assert "office\trevoked" in run("token", "list").output
    assert asyncio.run(tokens.access(secret)) is None
    sessions.kw["bind"].dispose()
    assert not stack.holds(folder, secret)


def test_a_tokens_limits(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own, or those of the settings; changed one by one."""
    monkeypatch.setenv("OCR_RATE_PER_MINUTE", "30")
    secret = run("token", "create", "a", "--tasks", "4", "--pages", "100", "--days", "1").output
    sessions = database.connect(stack.database_url(folder))
    tokens = Tokens(sessions, (), Allowance(30, 0, 0))

    def allowed() -> Allowance:
        found = asyncio.run(tokens.access(secret.strip().splitlines()[-1]))
        assert found is not None
        return found.allowance

    assert allowed() == Allowance(30, 4, 100)
    assert run("token", "set", "a", "--rate", "0", "--pages", "default").exit_code == 0
    assert allowed() == Allowance(0, 4, 0)
    listed = run("token", "list").output.splitlines()[-1].split("\t")
    assert (listed[:2], listed[4:]) == (["a", "valid"], ["-", "0 of 4", "0", "-"])
    assert listed[3] != "-"
    assert run("token", "set", "a", "--days", "0").exit_code == 0
    assert run("token", "list").output.splitlines()[-1].split("\t")[3] == "-"
    for wrong in ([""], [" "], ["b", "--days", "0"], ["b", "--days", "-1"], ["b", "--days", "1e9"]):
        assert run("token", "create", *wrong).exit_code == 2
    assert run("token", "set", "a", "--rate", "DEFAULT").exit_code == 0
    for wrong in (
        ["a"],
        ["a", "--days", "-1"],
        ["a", "--rate", "x"],
        ["a", "--rate", "-1"],
        ["b", "--rate", "1"],
    ):
        assert run("token", "set", *wrong).exit_code != 0
    sessions.kw["bind"].dispose()


def test_an_operators_token(folder: Path) -> None:
    """It is one from its creation on, or becomes one, and is listed as such."""
    run("token", "create", "a", "--operator")
    run("token", "create", "b")

    def operators() -> list[str]:
        rows = [line.split("\t") for line in run("token", "list").output.splitlines()]
        return [row[0] for row in rows if row[-1] == "yes"]

    assert operators() == ["a"]
    assert run("token", "set", "b", "--operator").exit_code == 0
    assert operators() == ["a", "b"]
    assert run("token", "set", "a", "--no-operator").exit_code == 0
    assert operators() == ["b"]


def test_a_task_is_shown(folder: Path) -> None:
    """What an operator asks for; not whose it is."""
    run("token", "list")
    row = Task(
        id="t", owner="secret", state=1, state_detail="Complete", format="txt", languages="English"
    )
    row.base_url, row.created_at, row.callback_result, row.password = "", 0.0, "204", "hidden"
    with database.opened(stack.database_url(folder)) as session:
        db.add(session, row)

    shown = run("task", "show", "t").output

    assert "callback_result\t204" in shown
    assert "created_at\t1970-01-01 00:00:00 UTC" in shown
    assert "secret" not in shown
    assert "hidden" not in shown
    assert run("task", "show", "u").exit_code == 1


def test_a_taken_port_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is started, with what to do."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("OCR_PORT", str(taken.getsockname()[1]))
        result = run("serve")

    assert result.exit_code == 1
    assert "--port" in result.output


def test_a_host_that_is_none(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No port would help; and the database is not touched."""
    monkeypatch.setenv("OCR_HOST", "host.invalid")
    result = run("serve")

    assert result.exit_code == 1
    assert "OCR_HOST" in result.output
    assert "--port" not in result.output
    assert not list(folder.iterdir())


def test_help_is_quick(folder: Path) -> None:
    """Nothing heavy is imported for it, and settings may be wrong."""
    script = """if True:
        import contextlib, sys
        from app.cli import main
        for words in ([], ["recognize"], ["languages"], ["doctor"], ["completion"]):
            with contextlib.suppress(SystemExit):
                main([*words, "--help"], "ocr-server")
        print({"pydantic", "sqlalchemy", "numpy", "alembic"} & set(sys.modules))
        """
    told = subprocess.check_output(
        [sys.executable, "-c", script], text=True, env={**os.environ, "OCR_PORT": "many"}
    )

    assert told.count("Examples:") == 5
    assert told.splitlines()[-1] == "set()"


def test_every_command_has_help(folder: Path) -> None:
    """An example, and the sentence that the help of all says of it."""
    with click.Context(main) as context:
        for name in main.list_commands(context):
            command = main.get_command(context, name)
            assert command is not None
            assert "ocr-server" in (command.epilog or "")
            assert f"  {name} " in run("--help").output


def test_errors_are_one_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of settings, the database and the disk."""
    monkeypatch.setenv("OCR_PORT", "many")
    settings = run("token", "list")
    monkeypatch.delenv("OCR_PORT")
    monkeypatch.setenv("OCR_DATABASE_URL", "sqlite:////proc/nowhere/ocr.db")
    database = run("token", "list")
    monkeypatch.setenv("OCR_DATABASE_URL", "")
    monkeypatch.setenv("OCR_DATA_DIR", "/proc/nowhere")
    disk = run("token", "list")

    assert settings.exit_code == 2
    assert "Error: OCR_PORT: " in settings.output
    for result in (database, disk):
        assert result.exit_code == 1
        assert result.output.startswith("Error: ")
        assert result.output.count("\n") == 1


def test_migrate(folder: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Says from where to where; a database of a newer version is left alone."""
    monkeypatch.setenv("OCR_DATABASE_URL", url)
    first, second = run("migrate"), run("migrate")
    with database.opened(url) as session:
        session.execute(text("UPDATE alembic_version SET version_num = 'future'"))
    newer, other = run("migrate"), run("token", "list")

    assert first.output.startswith("The schema was not there, and is now ")
    assert second.output.endswith("the newest.\n")
    assert (newer.exit_code, "newer version" in newer.output) == (1, True)
    assert other.output == newer.output


def test_languages_are_listed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each name, what reads it, and the package that is missing."""
    monkeypatch.setattr(wiring, "installed_models", lambda: frozenset({"kor"}))
    rows = [json.loads(line) for line in run("languages", "--json").output.splitlines()]
    by_name = {row["name"]: row for row in rows}

    assert tuple(by_name) == languages.names()
    assert by_name["ChinesePRC"]["engine"] == "ppocr"
    assert by_name["ChinesePRC"]["installed"]
    assert by_name["Korean"]["models"] == ["kor"]
    assert by_name["Korean"]["installed"]
    assert by_name["Russian"]["packages"] == ["tesseract-ocr-rus"]
    assert not by_name["CMC7"]["installed"]
    shown = run("languages", "russian", "cyrl").output
    assert "needs tesseract-ocr-rus" in shown
    assert "Korean" not in shown
    missing = run("languages", "--missing").output
    assert "Korean" not in missing
    assert "Symbols" not in missing  # They are accepted.
    assert "ChineseTaiwan" in run("languages", "繁体中文").output
    assert run("languages", "klingon").exit_code == 1


def test_completion(folder: Path) -> None:
    """Of commands, formats, and languages behind a comma."""

    def completed(*words: str) -> list[str]:
        shell = {
            "_OCR_SERVER_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(["ocr-server", *words]),
            "COMP_CWORD": str(len(words)),
        }
        result = CliRunner().invoke(main, prog_name="ocr-server", env=shell)
        return [line.removeprefix("plain,") for line in result.output.splitlines()]

    assert completed("re") == ["recognize"]
    assert "docx" in completed("recognize", "-f", "d")
    assert "ChinesePRC,German" in completed("recognize", "-l", "ChinesePRC,germ")
    assert "_OCR_SERVER_COMPLETE" in run("completion", "zsh").output

"""The command line."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app import db
from app.api.auth import Tokens, digest
from app.cli import main


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OCR_DATA_DIR", str(tmp_path))
    return tmp_path


def run(*args: str) -> Result:
    return CliRunner().invoke(main, args)


def test_a_tokens_life(folder: Path) -> None:
    """Created, listed, revoked; the database never holds the token itself."""
    made = run("token", "create", "office", "--days", "1")
    secret = made.output.strip().splitlines()[-1]
    sessions = db.connect(f"sqlite:///{folder / 'ocr.db'}")
    tokens = Tokens(sessions, ())

    assert secret.startswith("sk-")
    assert tokens.owner(secret) == digest(secret)
    assert "office\tvalid" in run("token", "list").output
    assert run("token", "create", "office").exit_code == 1
    assert run("token", "revoke", "office").exit_code == 0
    assert run("token", "revoke", "office").exit_code == 1
    assert "office\trevoked" in run("token", "list").output
    assert tokens.owner(secret) is None
    sessions.kw["bind"].dispose()
    assert secret.encode() not in (folder / "ocr.db").read_bytes()


def test_a_taken_port_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is started, with what to do."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("OCR_PORT", str(taken.getsockname()[1]))
        result = run("serve")

    assert result.exit_code == 1
    assert "OCR_PORT" in result.output

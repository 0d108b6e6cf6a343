"""The command line."""

import os
import shutil
import tempfile
from pathlib import Path

import docx
import PIL.Image
import pytest
from click.testing import CliRunner, Result

from app import database, db
from app.access import NONE, Access, Allowance
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
    sessions = database.connect(f"sqlite:///{folder / 'ocr.db'}")
    tokens = Tokens(sessions, ())

    assert secret.startswith("sk-")
    assert tokens.access(secret) == Access(digest(secret), NONE)
    assert "office\tvalid" in run("token", "list").output
    assert run("token", "create", "office").exit_code == 1
    assert run("token", "revoke", "office").exit_code == 0
    assert run("token", "revoke", "office").exit_code == 1
    assert "office\trevoked" in run("token", "list").output
    assert tokens.access(secret) is None
    sessions.kw["bind"].dispose()
    assert secret.encode() not in (folder / "ocr.db").read_bytes()


def test_a_tokens_limits(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own, or those of the settings; changed one by one."""
    monkeypatch.setenv("OCR_RATE_PER_MINUTE", "30")
    secret = run("token", "create", "a", "--tasks", "4", "--pages", "100", "--days", "1").output
    tokens = Tokens(database.connect(f"sqlite:///{folder / 'ocr.db'}"), (), Allowance(30, 0, 0))

    def allowed() -> Allowance:
        found = tokens.access(secret.strip().splitlines()[-1])
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
    for wrong in (["a"], ["a", "--rate", "x"], ["a", "--rate", "-1"], ["b", "--rate", "1"]):
        assert run("token", "set", *wrong).exit_code != 0


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
    row = db.Task(
        id="t", owner="secret", state=1, state_detail="Complete", format="txt", languages="English"
    )
    row.base_url, row.created_at, row.callback_result, row.password = "", 0.0, "204", "hidden"
    with database.connect(f"sqlite:///{folder / 'ocr.db'}").begin() as session:
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
    assert "OCR_PORT" in result.output


def test_recognize_without_a_server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The result stands beside the file; a picture of each page shows what was understood."""
    monkeypatch.setenv("OCR_ENGINE", "stub")
    source = folder / "scan.png"
    PIL.Image.new("RGB", (300, 200), "white").save(source)

    result = run("recognize", str(source), "-f", "docx", "--show", str(folder / "shown"))

    assert result.exit_code == 0, result.output
    assert (folder / "scan.png.docx").stat().st_size > 0
    with PIL.Image.open(folder / "shown" / "page-0001.png") as shown:
        assert shown.size == (300, 200)


def test_archival_pdf_without_a_server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The flag is what the field is."""
    monkeypatch.setenv("OCR_ENGINE", "stub")
    source = folder / "scan.png"
    PIL.Image.new("RGB", (300, 200), "white").save(source)

    result = run("recognize", str(source), "-f", "pdf", "--pdfa")

    assert result.exit_code == 0, result.output
    assert b"pdfaid:part>2<" in (folder / "scan.png.pdf").read_bytes()


@pytest.mark.skipif(
    shutil.which("soffice") is None and "CI" not in os.environ, reason="needs LibreOffice"
)
def test_recognize_ends_what_it_starts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """LibreOffice, and its folder."""
    monkeypatch.setenv("OCR_ENGINE", "stub")
    (folder / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "temporary"))
    document = docx.Document()
    document.add_paragraph("Hello from Word")
    document.save(str(folder / "a.docx"))

    result = run("recognize", str(folder / "a.docx"))

    assert result.exit_code == 0, result.output
    assert "Hello from Word" in (folder / "a.docx.txt").read_text(encoding="utf-8")
    assert not list((folder / "temporary").iterdir())


def test_what_cannot_be_recognized_is_told(folder: Path) -> None:
    source = folder / "noise.bin"
    source.write_bytes(b"\x00\x01\x02")

    result = run("recognize", str(source))

    assert result.exit_code == 3
    assert "cannot be read" in result.output
    assert not (folder / "noise.bin.txt").exists()

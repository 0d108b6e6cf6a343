"""The command ``ocr-server recognize``."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click
import docx
import pikepdf
import PIL.Image
import pytest
from click.testing import CliRunner, Result

from app.cli import main
from app.cli.files import Job, plan
from app.cli.recognize import FORMATS
from app.cli.recognizer import Failed
from app.cli.settings import without_server
from app.config import Settings
from tests.pictures import picture


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder; temporary files go to one below it."""
    monkeypatch.setenv("OCR_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("OCR_ENGINE", "stub")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def run(*args: str) -> Result:
    return CliRunner().invoke(main, ["recognize", *args])


@contextmanager
def program(*args: str) -> Iterator[subprocess.Popen[bytes]]:
    """The command as a process of its own, which can be interrupted even if the tests cannot."""
    pipe = subprocess.PIPE
    command = [sys.executable, "-m", "app.cli", "recognize", *args]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # Not ignored: inherited.
    try:
        ours = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment)
    finally:
        signal.signal(signal.SIGINT, before)
    with ours:
        yield ours


def child(of: subprocess.Popen[bytes]) -> int:
    """The process that it has read documents by, once it is there."""
    while True:
        for found in Path(f"/proc/{of.pid}/task/{of.pid}/children").read_text().split():
            with suppress(OSError):  # One that tried a wall.
                if b"read" in Path(f"/proc/{found}/cmdline").read_bytes().split(b"\0"):
                    return int(found)


def is_alive(process: int) -> bool:
    """Whether it is more than an entry that nobody has read."""
    try:
        return bool(Path(f"/proc/{process}/cmdline").read_bytes())
    except OSError:
        return False


def lock(path: Path, password: str) -> None:
    with pikepdf.new() as pdf:
        pdf.add_blank_page()
        pdf.save(path, encryption=pikepdf.Encryption(user=password, owner=password))


def is_clean(folder: Path) -> bool:
    """Whether nothing temporary is left."""
    return not list((folder / "temporary").iterdir()) and not list(folder.rglob("*.part"))


def test_a_file_and_its_pages(folder: Path) -> None:
    """The result stands beside the file; a picture of each page shows what was understood."""
    (folder / "scan.png").write_bytes(picture())

    result = run("scan.png", "-f", "pdf", "--pdfa", "--show", "shown")

    assert result.exit_code == 0, result.output
    assert result.stdout == "scan.png.pdf\n"
    assert b"pdfaid:part>2<" in (folder / "scan.png.pdf").read_bytes()
    assert [each.name for each in (folder / "shown").iterdir()] == ["page-0001.png"]
    assert is_clean(folder)


def test_many_files(folder: Path) -> None:
    """Those that fail stop no others; a second run passes over what is done."""
    for name in ("a/scan.png", "b/scan.png", "b/other.png"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(picture())
    (folder / "b/noise.png").write_bytes(b"\x00\x01\x02")
    lock(folder / "locked.pdf", "secret")

    first = run("**/*.png", "nowhere.png", "locked.pdf", "-o", "texts", "--json")
    second = run("*/scan.png", "-o", "texts", "--skip-existing")

    rows = [json.loads(line) for line in first.stdout.splitlines()]
    assert first.exit_code == 1
    assert {row["file"]: (row["state"], row.get("code"), row["result"]) for row in rows} == {
        "a/scan.png": ("complete", None, "texts/a/scan.png.txt"),
        "b/noise.png": ("failed", "invalid_file", None),
        "b/other.png": ("complete", None, "texts/other.png.txt"),
        "b/scan.png": ("complete", None, "texts/b/scan.png.txt"),
        "nowhere.png": ("failed", "unreadable", None),
        "locked.pdf": ("failed", "encrypted_document", None),
    }
    assert all(row["pages"] == 1 and row["seconds"] > 0 for row in rows if "pages" in row)
    assert "3 failed: b/noise.png, nowhere.png, locked.pdf" in first.stderr
    assert "--password-file" in first.stderr
    assert second.exit_code == 0
    assert "2 skipped" in second.stderr
    assert second.stdout == ""
    assert is_clean(folder)


def test_nothing_is_replaced_unasked(folder: Path) -> None:
    """A result that exists stays as it is."""
    (folder / "scan.png").write_bytes(picture())
    (folder / "scan.png.txt").write_text("mine")
    (folder / "made").write_text("new")
    job = Job(Path("scan.png"), Path("scan.png.txt"))

    refused, skipped = run("scan.png"), run("scan.png", "--skip-existing", "-q")
    placeless = run("scan.png", "-o", "made/a/b.txt")
    with pytest.raises(Failed, match="exists"):  # It may come about meanwhile.
        job.put(Path("made"), force=False)
    kept = (folder / "scan.png.txt").read_text()
    job.put(Path("made"), force=True)

    assert (refused.exit_code, skipped.exit_code, placeless.exit_code) == (7, 0, 7)
    assert "--force" in refused.stderr
    assert skipped.output == ""
    assert kept == "mine"
    assert (folder / "scan.png.txt").read_text() == "new"
    assert is_clean(folder)


def test_passwords(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One from a file goes before that of the environment."""
    lock(folder / "right.pdf", "secret")
    lock(folder / "wrong.pdf", "another")
    (folder / "password").write_text("secret\n")
    monkeypatch.setenv("OCR_DOCUMENT_PASSWORD", "another")

    result = run("right.pdf", "wrong.pdf", "--password-file", "password", "-q")

    assert result.exit_code == 1
    assert result.output == "wrong.pdf: The password is wrong.\n"
    assert (folder / "right.pdf.txt").exists()


def test_streams(folder: Path) -> None:
    """A document comes in, its text goes out, and nothing else does."""
    with program("-") as ours:
        out, complaints = ours.communicate(picture(), timeout=60)

    assert (ours.returncode, complaints) == (0, b"")
    assert out.startswith(b"stub 1 ")
    assert is_clean(folder)


def test_an_interruption_leaves_nothing(folder: Path) -> None:
    """Neither a process nor a file."""
    with program("-", "-o", "a.txt") as ours:
        reader = child(ours)
        ours.send_signal(signal.SIGINT)
        _, complaints = ours.communicate(timeout=60)

    assert ours.returncode == 130
    assert complaints == b"Interrupted; 0 of 1 files are done.\n"
    while is_alive(reader):  # It is killed, which takes a moment.
        time.sleep(0.01)
    assert not (folder / "a.txt").exists()
    assert is_clean(folder)


def test_a_document_that_ends_the_reader(folder: Path) -> None:
    """It is told, and the next one is read by another."""
    (folder / "scan.png").write_bytes(picture())
    with program("-", "scan.png", "-o", "texts") as ours:
        os.kill(child(ours), signal.SIGSEGV)
        _, complaints = ours.communicate(picture(), timeout=60)

    assert ours.returncode == 1
    assert b"standard input: The document ended the process that reads it (SIGSEGV)" in complaints
    assert (folder / "texts" / "scan.png.txt").exists()
    assert is_clean(folder)


@pytest.mark.skipif(
    shutil.which("soffice") is None and "CI" not in os.environ, reason="needs LibreOffice"
)
def test_what_it_starts_ends(folder: Path) -> None:
    """LibreOffice, and its folder."""
    document = docx.Document()
    document.add_paragraph("Hello from Word")
    document.save("a.docx")

    result = run("a.docx", "-o", "-")

    assert result.exit_code == 0, result.output
    assert "Hello from Word" in result.stdout
    assert is_clean(folder)


def test_a_language_that_lacks_its_model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told once, before anything is read."""
    monkeypatch.setenv("OCR_ENGINE", "tesseract")
    monkeypatch.setenv("TESSDATA_PREFIX", str(folder))
    (folder / "scan.png").write_bytes(picture())

    result = run("scan.png", "-l", "German")

    assert result.exit_code == 2
    assert "tesseract-ocr-deu" in result.stderr


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["a.png", "-l", "Klingon"], "not a known language"),
        (["a.png", "-f", "rtf"], "rtf"),
        (["a.png", "--force", "--skip-existing"], "exclude"),
        (["q*.png"], "No file"),
        ([""], "empty"),
        (["folder"], "-r"),
        (["-r", "folder"], "no documents"),
        (["a.png", "-o", "-", "--json"], "--json"),
        (["a.png", "b.png", "-o", "-"], "Only one"),
        (["a.png", "b.png", "-o", "a.png"], "is a file"),
        ([], "FILE"),
    ],
)
def test_what_is_not_understood(folder: Path, args: list[str], said: str) -> None:
    """It is told before anything is begun."""
    (folder / "folder").mkdir()
    for name in ("a.png", "b.png"):
        PIL.Image.new("1", (9, 9)).save(name)

    result = run(*args)

    assert result.exit_code == 2
    assert said in result.stderr


def test_names_of_results(folder: Path) -> None:
    """Folders are mirrored, results of an earlier run are no documents, a file is read once."""
    for name in ("in/a.pdf", "in/a.pdf.docx", "in/deep/a.pdf", "in/deep/notes.txt", "b.pdf"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()

    mirrored = plan(["in", "b.pdf"], "out", "docx", FORMATS, recursive=True)
    beside = plan(["in/a.pdf", "in/../in/a.pdf", "b.pdf"], None, "txt", FORMATS)
    single = plan(["b.pdf"], "c.txt", "txt", FORMATS)

    assert [str(job.target) for job in mirrored] == [
        "out/a.pdf.docx",
        "out/deep/a.pdf.docx",
        "out/b.pdf.docx",
    ]
    assert [str(job.target) for job in beside] == ["in/a.pdf.txt", "b.pdf.txt"]
    assert [str(job.target) for job in single] == ["c.txt"]
    with pytest.raises(click.UsageError, match="would replace"):
        plan(["in/a.pdf", "b.pdf", "b.pdf.pdf"], None, "pdf", FORMATS)


def test_where_results_go_depends_on_what_was_named(folder: Path) -> None:
    """Not on how many files a pattern or a folder happens to hold; a file's name is no folder's."""
    (folder / "a.png").touch()

    for named in (["*.png"], ["a.png", "a.png"], ["."]):
        (job,) = plan(named, "out", "txt", FORMATS, recursive=True)
        assert job.target == Path("out/a.png.txt")
        with pytest.raises(click.UsageError, match="is a name for a file"):
            plan(named, "one.txt", "txt", FORMATS, recursive=True)


def test_only_a_database_makes_a_folder_a_servers(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is put into a folder of the user's that is called data."""
    monkeypatch.delenv("OCR_DATA_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "caches"))
    (folder / "data").mkdir()

    theirs = without_server(Settings())
    (folder / "data" / "ocr.db").touch()
    ours = without_server(Settings())

    assert theirs.data_dir == folder / "caches" / "ocr-server"
    assert ours.data_dir == Path("data")

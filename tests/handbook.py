"""Reads the handbook as its readers do: each page's blocks of code are run in their order."""

import configparser
import json
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests import standins

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("README*.md"), *(ROOT / "docs").glob("*.md")])
_BLOCK = re.compile(r'^( *)```(\w*)(?: title="([^"]*)")?\n(.*?)\n\1```$', re.MULTILINE | re.DOTALL)
_FENCE = re.compile(r"^ *```", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A block of code on a page."""

    where: str  # Page and line.
    language: str
    title: str  # The file that it is; "" for none.
    text: str


def blocks(page: Path) -> list[Block]:
    """The blocks of ``page``, all of them."""
    text = page.read_text(encoding="utf-8")
    found = [
        Block(
            f"{page.name}:{text.count(chr(10), 0, match.start()) + 1}",
            match[2],
            match[3] or "",
            "\n".join(line.removeprefix(match[1]) for line in match[4].split("\n")),
        )
        for match in _BLOCK.finditer(text)
    ]
    assert len(_FENCE.findall(text)) == 2 * len(found), f"{page.name}: a fence of another form"
    return found


@dataclass
class Reader:
    """Does what one page says, in a folder of its own."""

    folder: Path
    addresses: dict[str, str]  # Addresses that stand in the text, and those to use.
    environment: dict[str, str]
    programs: Path  # First on the PATH.
    answer: Any = None  # What the last block that was run printed last, if it was JSON.
    _done: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Put the stand-ins in place; ``ocr-server serve`` and ``worker`` end once at work."""
        self.programs.mkdir()
        standins.install(self.programs, self.programs / ".calls")
        self.checks = standins.Checks(self.folder)
        server = self.programs / "ocr-server"
        server.write_text(_SERVER.format(root=ROOT, python=sys.executable))
        server.chmod(0o755)

    def do(self, block: Block) -> None:
        """Run or check ``block``; there is no way around it."""
        kind = getattr(self, f"_{block.language}", None)
        assert kind, f"{block.where}: a block of {block.language or 'nothing'} cannot be run"
        if block.title:
            is_systems = block.title.startswith("/")
            path = self.checks.root(block.title) if is_systems else self.folder / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self._here(block.text) + "\n", encoding="utf-8")
        try:
            kind(block)
        except Exception as error:
            error.add_note(f"{block.where}, after {self._done}")
            raise
        self._done.append(block.where)

    def _sh(self, block: Block) -> None:
        """A shell keeps its variables from block to block."""
        kept = self.folder / ".kept"
        kept.touch()
        script = (
            f". {kept}\nset -eu -o pipefail -a\n{self._here(block.text)}\nset +a\nexport -p >{kept}"
        )
        self._run(["bash", "-c", script])

    def _js(self, block: Block) -> None:
        script = self.folder / "block.mjs"
        script.write_text(f"const TOKEN = process.env.TOKEN;\n{self._here(block.text)}")
        self._run(["node", str(script)])

    def _python(self, block: Block) -> None:
        text = self._here(block.text)
        if "\ndef test_" in text or text.startswith("def test_"):
            (self.folder / "test_block.py").write_text(text)
            self._run([sys.executable, "-m", "pytest", "-q", "test_block.py"])
        else:
            (self.folder / "block.py").write_text(f'import os\nTOKEN = os.environ["TOKEN"]\n{text}')
            self._run([sys.executable, "block.py"])

    def _json(self, block: Block) -> None:
        """What the block before answered has the same shape; or it is a file with a command."""
        shown = json.loads(self._here(block.text))
        if block.title:
            for server in shown["mcpServers"].values():
                standins.command([server["command"], *server.get("args", [])])
            return
        assert self.answer is not None, "nothing answered in JSON before"
        _same(shown, self.answer, "")

    def _ini(self, block: Block) -> None:
        if block.title.endswith(".env"):
            standins.settings(dict(line.split("=", 1) for line in block.text.split("\n")))
            return
        unit = configparser.ConfigParser(interpolation=None)
        unit.optionxform = str  # type: ignore[assignment, method-assign]
        unit.read_string(block.text)
        assert set(unit) <= {"DEFAULT", "Unit", "Service", "Install"}
        assert set(unit["Service"]) <= _SERVICE, set(unit["Service"]) - _SERVICE
        standins.command(shlex.split(unit["Service"]["ExecStart"]))
        assert self.checks.root(unit["Service"]["EnvironmentFile"]).exists()

    def _yaml(self, block: Block) -> None:
        assert "services" in yaml.safe_load(block.text)
        standins.compose(ROOT / "docker-compose.yml", self.folder / block.title)

    def _nginx(self, block: Block) -> None:
        _directives(re.sub(r"#.*", "", block.text), r"[^;{}]+[;{]|\}", _NGINX)

    def _caddy(self, block: Block) -> None:
        _directives(block.text, r"[^\n{}]+(?:\{|\n)|\}", _CADDY)

    def _here(self, text: str) -> str:
        for there, here in self.addresses.items():
            text = text.replace(there, here)
        return text

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        for call in standins.told(self.programs / ".calls"):
            self.checks.check(*call)
        found = _last_json(done.stdout)
        if found is not None:
            assert "error" not in found or "=odt" in command[-1], found
            self.answer = found


def _last_json(text: str) -> Any:
    """The last JSON object that begins in ``text`` and is outside of others."""
    found, at = None, 0
    while (at := text.find("{", at)) >= 0:
        try:
            found, at = json.JSONDecoder().raw_decode(text, at)
        except ValueError:
            at += 1
    return found


def _same(shown: Any, real: Any, where: str) -> None:
    """``real`` has the keys, in their order, and the types of ``shown``; "…" are more keys."""
    if isinstance(shown, dict):
        names = [name for name in shown if name != "…"]
        found = [name for name in real if name in shown] if "…" in shown else list(real)
        assert names == found, f"{where}: {names} are {found}"
        for name in names:
            _same(shown[name], real[name], f"{where}.{name}")
    elif isinstance(shown, list):
        assert isinstance(real, list), where
        assert real or not shown, where
        for one, other in zip(shown, real, strict=False):
            _same(one, other, f"{where}[]")
    elif isinstance(shown, int | float) and not isinstance(shown, bool):
        assert isinstance(real, int | float), where
    else:
        assert type(shown) is type(real), f"{where}: {shown!r} is {real!r}"


def _directives(text: str, pattern: str, known: set[str]) -> None:
    """Braces are in pairs, and each line inside begins with a known word."""
    depth = 0
    assert not re.sub(pattern, "", text + "\n").strip(), re.sub(pattern, "", text + "\n")
    for part in re.findall(pattern, text + "\n"):
        if part == "}":
            depth -= 1
            assert depth >= 0
        elif word := part.split():
            assert word[0] in known, word[0]
            depth += part.endswith("{")
    assert depth == 0


_SERVICE = {"ExecStart", "EnvironmentFile", "User", "StateDirectory", "WorkingDirectory"}
_SERVICE |= {"KillMode", "TimeoutStopSec", "Restart", "NoNewPrivileges", "ProtectSystem"}
_SERVICE |= {"ProtectHome", "PrivateTmp"}
_NGINX = {"server", "listen", "server_name", "ssl_certificate", "ssl_certificate_key", "location"}
_NGINX |= {"client_max_body_size", "proxy_pass", "proxy_http_version", "proxy_set_header"}
_NGINX |= {"proxy_request_buffering", "proxy_buffering", "proxy_read_timeout"}
_CADDY = {"ocr.example.com", "request_body", "max_size", "reverse_proxy", "flush_interval"}

# What would run for ever gets a data folder of its own and ends once it is at work.
_SERVER = """#!/bin/bash
export PYTHONPATH={root}
case " $* " in
    *" serve "* | *" worker "*) ;;
    *) exec {python} -m app.cli "$@" ;;
esac
export OCR_DATA_DIR=$PWD/another OCR_PORT=0 OCR_WORKERS=1
exec {{log}}< <(exec {python} -u -m app.cli "$@" 2>&1)
server=$!
while read -r line <&$log; do
    case $line in
        *"Programs that open documents"* | *"Started server process"*) kill $server ;;
    esac
done
wait $server
"""

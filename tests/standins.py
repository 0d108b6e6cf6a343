"""Stand-ins for programs that the handbook's commands cannot really run in a test.

They change nothing but a file that tells of each call. ``check`` fails unless what the arguments
name is there: files, services, units, targets, settings, commands and options of ours.
"""

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import yaml

from app.cli import main as ours
from app.config import Settings

ROOT = Path(__file__).parent.parent
NAMES = ("make", "docker", "sudo")
_END = "\n"


def install(folder: Path, calls: Path) -> None:
    """Put a program for each stand-in into ``folder``; they tell of their calls in ``calls``."""
    for name in NAMES:
        told = f"""printf '%s\\0' {name} "$@" '{_END}' >>{calls}"""
        (folder / name).write_text(f"#!/bin/sh\n{told}\n")
        (folder / name).chmod(0o755)
    python = folder / "python3"
    python.write_text(_PYTHON.format(python=sys.executable, folder=folder, calls=calls, end=_END))
    python.chmod(0o755)


def told(calls: Path) -> Iterator[list[str]]:
    """The calls since this was asked last."""
    if calls.exists():
        text = calls.read_text(encoding="utf-8")
        calls.unlink()
        for call in text.split(f"{_END}\0")[:-1]:
            yield call.split("\0")[:-1]


def settings(values: dict[str, Any]) -> None:
    """Check environment variables."""
    values = {name: value for name, value in values.items() if not name.startswith("AWS_")}
    for name in values:
        assert name.startswith("OCR_"), name
        assert name[4:].lower() in Settings.model_fields, f"{name} is no setting"
    Settings.model_validate({name[4:].lower(): str(value) for name, value in values.items()})


def compose(*files: Path) -> dict[str, Any]:
    """The services of Compose files, checked."""
    services: dict[str, Any] = {}
    for number, file in enumerate(files):
        for name, service in yaml.safe_load(file.read_text(encoding="utf-8"))["services"].items():
            assert not number or name in services, f"{name} is no service"
            assert service.keys() <= _SERVICE, service.keys() - _SERVICE
            services.setdefault(name, {}).update(service)
            if services[name].get("image") == "ocr-server":
                values = {k: _without_variables(v or "") for k, v in service["environment"].items()}
                settings({k: v for k, v in values.items() if v and k.startswith("OCR_")})
                names = {k[4:].lower() for k in values if k.startswith("OCR_")}
                assert names <= Settings.model_fields.keys(), names
    return services


def _without_variables(value: str) -> str:
    """``value`` with the defaults of the variables that are in it."""
    return re.sub(r"\$\{\w+(?::?-([^}]*))?\}", lambda found: found[1] or "", value)


def command(words: Sequence[str]) -> None:
    """Check a call of ``ocr-server``: its command, options and arguments. Raises UsageError."""
    assert Path(words[0]).name == "ocr-server", f"{words[0]} is not ours"
    found: click.Command | None = ours
    context, rest = click.Context(ours), list(words[1:])
    while isinstance(found, click.Group):
        name, found, rest = found.resolve_command(context, rest)
        assert found is not None, words
        if isinstance(found, click.Group):
            context = click.Context(found, parent=context)
        else:
            found.make_context(name, rest, parent=context)


@dataclass
class Checks:
    """What is asked of calls in a ``folder``."""

    folder: Path

    def check(self, name: str, *arguments: str) -> None:
        """Check one call, as root or not."""
        kind = getattr(self, "_" + Path(name).name.replace("-", "_"), None)
        assert kind, f"nothing is known of {name}"
        kind(arguments)

    def _sudo(self, arguments: Sequence[str]) -> None:
        self.check(*arguments)

    def _make(self, arguments: Sequence[str]) -> None:
        plan = ["make", "-n", "-C", str(ROOT), *arguments]
        done = subprocess.run(plan, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def _docker(self, arguments: Sequence[str]) -> None:
        verb, *rest = arguments
        if verb == "compose":
            self._compose(rest)
            return
        options, words = _options(rest, _DOCKER[verb])
        if verb == "build":
            dockerfile = (self.folder / words[0] / "Dockerfile").read_text()
            for value in options["--build-arg"]:
                assert f"\nARG {value.split('=')[0]}=" in dockerfile, value
        else:
            settings(dict(value.split("=", 1) for value in options["-e"]))
            if words[1:]:
                command(["ocr-server", *words[1:]])

    def _compose(self, arguments: Sequence[str]) -> None:
        files = [self.folder / "docker-compose.yml", self.folder / "docker-compose.override.yml"]
        services = compose(*(file for file in files if file.exists()))
        _, (verb, *rest) = _options(arguments, {})
        assert verb in ("up", "exec", "down", "logs", "build"), verb
        _, words = _options(rest, {"-d": 0, "--build": 0, "-f": 0, "--rm": 0, "--scale": 1})
        if words:
            assert words[0] in services, f"{words[0]} is no service"
        if verb == "exec":
            command(words[1:])

    def _apt_get(self, arguments: Sequence[str]) -> None:
        verb, *rest = arguments
        _, packages = _options(rest, {"--no-install-recommends": 0, "-y": 0})
        known = " ".join(path.read_text() for path in ROOT.glob("debian-packages*.txt")).split()
        assert verb == "install"
        assert packages
        assert not [p for p in packages if p not in known and not p.startswith("tesseract-ocr-")]

    def _python3(self, arguments: Sequence[str]) -> None:
        assert list(arguments[:2]) == ["-m", "venv"]

    def _pip(self, arguments: Sequence[str]) -> None:
        verb, *rest = arguments
        options, words = _options(rest, {"--no-deps": 0, "--require-hashes": 0, "-r": 1})
        assert verb == "install"
        assert all((self.folder / path).exists() for path in [*options["-r"], *words])

    def _useradd(self, arguments: Sequence[str]) -> None:
        _options(arguments, {"--system": 0, "--home-dir": 1})

    def _systemctl(self, arguments: Sequence[str]) -> None:
        verb, *rest = arguments
        _, units = _options(rest, {"--now": 0})
        assert verb in ("daemon-reload", "enable", "start", "stop", "restart", "status"), verb
        assert units or verb == "daemon-reload"
        self._units(units)

    def _journalctl(self, arguments: Sequence[str]) -> None:
        options, _ = _options(arguments, {"-u": 1, "-n": 1, "-f": 0})
        self._units(options["-u"])

    def _systemd_run(self, arguments: Sequence[str]) -> None:
        known = {"--pipe": 0, "--quiet": 0, "--uid": 1, "-p": 1}
        options, words = _options(arguments, known)
        for value in options["-p"]:
            name, _, path = value.partition("=")
            assert name == "EnvironmentFile", name
            assert self.root(path).exists(), path
        command(words)

    def _units(self, names: Sequence[str]) -> None:
        for name in names:
            unit = f"/etc/systemd/system/{name.removesuffix('.service')}.service"
            assert self.root(unit).exists(), f"there is no {unit}"

    def root(self, path: str) -> Path:
        """Where a file of the system is that the page had been told to make."""
        return self.folder / "root" / path.lstrip("/")


def _options(
    arguments: Sequence[str], known: dict[str, int]
) -> tuple[dict[str, list[str]], list[str]]:
    """The values of the options before the first other word, and the words from there on."""
    found: dict[str, list[str]] = {name: [] for name in known}
    rest = list(arguments)
    while rest and rest[0].startswith("-"):
        name, equals, value = rest.pop(0).partition("=")
        assert name in known, f"{name}?"
        if known[name]:
            found[name].append(value if equals else rest.pop(0))
    return found, rest


# Python, but for the environments that it makes: pip in them tells of its calls.
_PYTHON = """#!/bin/sh
test "$1 $2" = "-m venv" || exec {python} "$@"
mkdir -p "$3/bin"
ln -s {folder}/ocr-server "$3/bin/ocr-server"
cat >"$3/bin/pip" <<'EOF'
#!/bin/sh
printf '%s\\0' pip "$@" '{end}' >>{calls}
EOF
chmod +x "$3/bin/pip"
"""

_DOCKER = {
    "build": {"--build-arg": 1, "-t": 1},
    "run": {"--rm": 0, "--init": 0, "-d": 0, "-p": 1, "-v": 1, "-e": 1, "--name": 1},
}
_SERVICE = {"build", "image", "init", "ports", "environment", "volumes", "read_only", "tmpfs"}
_SERVICE |= {"cap_drop", "security_opt", "restart", "stop_grace_period", "deploy", "command"}
_SERVICE |= {"scale", "profiles", "depends_on", "healthcheck", "entrypoint"}

"""The README says what is true."""

import re
import tomllib
from pathlib import Path

import app
from app import errors
from app.config import Settings
from app.errors import AppError, State

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_setting_is_in_the_table() -> None:
    """With its default and its description; and nothing else is."""
    rows = dict(re.findall(r"^\| `(OCR_\w+)` \| (.*) \|$", README, re.MULTILINE))

    wanted = {}
    for name, field in Settings.model_fields.items():
        default = field.get_default()
        if isinstance(default, tuple):
            default = ",".join(default)
        if hasattr(default, "get_secret_value"):
            default = default.get_secret_value()
        shown = f"`{default}`" if str(default) else ""
        wanted[f"OCR_{name.upper()}"] = f"{shown} | {field.description}"
    assert rows == wanted


def test_every_test_that_is_named_is_there() -> None:
    """A promise names the tests that hold it."""
    tests = ROOT / "tests"
    for text in (README, (ROOT / "SECURITY.md").read_text(encoding="utf-8")):
        named = re.findall(r"`(?:tests/)?(test_\w+\.py|chaos\.py)(?:::(test_\w+))?`", text)
        assert named
        for file, test in named:
            source = (tests / file).read_text(encoding="utf-8")
            assert f"def {test}(" in source or not test


def test_every_error_code_is_in_the_readme() -> None:
    """Clients can look up what they get."""
    kinds = [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, AppError)]

    assert not [k.code for k in kinds if k.code and f"`{k.code}`" not in README]


def test_every_state_is_in_the_readme() -> None:
    """With its number."""
    assert not [s for s in State if not re.search(rf"^\| {int(s)} \|", README, re.MULTILINE)]


def test_the_versions_agree() -> None:
    """Package, project and changelog name the same version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

    assert project == app.__version__
    assert f"## [{project}]" == re.findall(r"^## \[[\d.]+\]", changelog, re.MULTILINE)[0]


def test_the_image_installs_the_same_packages() -> None:
    """The Dockerfile and the set-up name the same Debian packages."""
    dockerfile = (ROOT / "Dockerfile").read_text()

    packages = (ROOT / "debian-packages.txt").read_text().split()
    assert not [p for p in packages if not re.search(rf"[\s\"]{re.escape(p)}[\s\"]", dockerfile)]

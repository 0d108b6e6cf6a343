"""The README and the handbook say what is true."""

import re
import tomllib
from pathlib import Path

import app
from app import errors
from app.config import Settings
from app.errors import AppError, State

ROOT = Path(__file__).parent.parent
PAGES = {
    path.name: path.read_text(encoding="utf-8")
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
}


def test_every_setting_is_in_the_table() -> None:
    """With its default and its description; and nothing else is."""
    rows = dict(re.findall(r"^\| `(OCR_\w+)` \| (.*) \|$", PAGES["configuration.md"], re.MULTILINE))

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
    named = {
        name: re.findall(r"`(?:tests/)?(test_\w+\.py|chaos\.py)(?:::(test_\w+))?`", text)
        for name, text in PAGES.items()
    }
    assert named["security.md"]
    assert named["SECURITY.md"]
    for file, test in {pair for pairs in named.values() for pair in pairs}:
        source = (tests / file).read_text(encoding="utf-8")
        assert f"def {test}(" in source or not test


def test_every_setting_that_is_named_exists() -> None:
    """On every page but those of the past."""
    named = {
        name
        for page, text in PAGES.items()
        if page != "CHANGELOG.md"
        for name in re.findall(r"OCR_[A-Z_]+", text)
    }

    known = {f"OCR_{name.upper()}" for name in Settings.model_fields}
    assert named - {"OCR_DOCUMENT_PASSWORD", "OCR_TEST_STACK", "OCR_TOKEN", "OCR_URL"} == known


def test_every_error_code_is_in_the_handbook() -> None:
    """Clients can look up what they get."""
    kinds = [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, AppError)]

    told = PAGES["api.md"] + PAGES["operations.md"]
    assert not [k.code for k in kinds if k.code and f"`{k.code}`" not in told]


def test_every_state_is_in_the_handbook() -> None:
    """With its number."""
    text = PAGES["api.md"]
    assert not [s for s in State if not re.search(rf"^\| {int(s)} \|", text, re.MULTILINE)]


def test_the_versions_agree() -> None:
    """Package, project and changelog name the same version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

    assert project == app.__version__
    assert f"## [{project}]" == re.findall(r"^## \[[\d.]+\]", changelog, re.MULTILINE)[0]

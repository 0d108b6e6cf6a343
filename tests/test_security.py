"""What SECURITY.md says of the dependencies is so."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parent.parent
REVIEWED = re.findall(
    r"^\| ([a-z0-9-]+) \| ([\d.]+) \| ([\d.]+) \|",
    (ROOT / "SECURITY.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)
PINNED = dict(
    re.findall(r"^([a-z0-9-]+)==([\w.]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
)


@pytest.mark.parametrize(("name", "looked_at", "floor"), REVIEWED)
def test_what_is_pinned_was_looked_at(name: str, looked_at: str, floor: str) -> None:
    """A new version is looked at before its number stands in the review."""
    assert PINNED[name] == looked_at
    assert Version(looked_at) >= Version(floor)


def test_nothing_below_the_floors_may_be_chosen() -> None:
    """Whoever installs without the lock gets no version with a known fault either."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = {r.name: r.specifier for r in map(Requirement, project["dependencies"])}

    for name, _, floor in REVIEWED:
        if name in asked:
            (least,) = (Version(s.version) for s in asked[name] if s.operator == ">=")
            assert least >= Version(floor), name


def test_the_floors_that_were_asked_for_hold() -> None:
    """The two packages that read every request."""
    floors = {name: Version(floor) for name, _, floor in REVIEWED}

    assert floors["python-multipart"] >= Version("0.0.32")
    assert floors["starlette"] >= Version("1.3.1")


def test_every_package_has_its_hashes() -> None:
    """A changed file is not installed."""
    for lock in ROOT.glob("requirements*.lock"):
        entries = re.split(r"^(?=[a-z0-9])", lock.read_text(), flags=re.MULTILINE)[1:]
        assert entries
        assert not [e.split("\n")[0] for e in entries if "--hash=sha256:" not in e]

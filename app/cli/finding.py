"""What ``doctor`` finds of one part."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How well a part is."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Finding:
    """How a part is, and what to do about it."""

    level: Level
    text: str
    mend: str = ""


def ok(text: str) -> Finding:
    """All is well."""
    return Finding(Level.OK, text)


def warning(text: str, mend: str) -> Finding:
    """It works, but not as it should."""
    return Finding(Level.WARNING, text, mend)


def fault(text: str, mend: str) -> Finding:
    """It does not work."""
    return Finding(Level.FAULT, text, mend)

"""What is measured: files, and what they say."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Sample:
    """A file, its pages as pictures, and the text on it."""

    group: str  # Files that are measured together: a language or a category.
    name: str
    language: str  # As a client names it: "ChinesePRC", or several with commas between.
    truth: str  # In reading order, a line of text for each printed line.
    original: Path
    pictures: tuple[Path, ...]  # One for each page.
    password: str | None = None

"""Real paragraphs in four languages, from the documentation that Debian packages."""

import gzip
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from app.document import is_unspaced


def reference(tag: str) -> str:
    """Debian's reference in the language ``tag`` (zh, zh-Hant, ja or en), as plain text."""
    packed = _FOLDER / f"debian-reference.{_REFERENCES[tag]}.txt.gz"
    return gzip.decompress(packed.read_bytes()).decode()


def reference_pdf(tag: str) -> Path:
    """The same as a born-digital PDF file."""
    return _FOLDER / f"debian-reference.{_REFERENCES[tag]}.pdf"


@cache
def collections(tag: str) -> tuple[tuple[str, ...], ...]:
    """The paragraphs of each work in the language ``tag``: zh, zh-Hant, ja or en."""
    works = [_prose(tag, _indented(reference(tag).replace("\xa0", " ")))]
    if tag == "zh":
        works.append(_prose(tag, _sayings(_SAYINGS.read_text(encoding="utf-8"))))
    return tuple(map(tuple, works))


_FOLDER = Path("/usr/share/debian-reference")
_REFERENCES = {"zh": "zh-cn", "zh-Hant": "zh-tw", "ja": "ja", "en": "en"}
_SAYINGS = Path("/usr/share/games/fortunes/chinese")


def _indented(text: str) -> Iterator[str]:
    """Blocks of lines that are indented by four: the running text of the reference."""
    for block in re.split(r"\n\s*\n", text):
        lines = block.strip("\n").split("\n")
        if all(re.match(r" {4}[^\s|+$#*]", line) for line in lines):
            yield _joined(lines)


def _sayings(text: str) -> Iterator[str]:
    """Blocks of the entries, without the colours and the line that names the author."""
    for entry in re.sub(r"\x1b\[[\d;]*m", "", text).split("\n%\n"):
        for block in re.split(r"\n\s*\n", entry):
            lines = block.strip("\n").split("\n")
            yield _joined(line for line in lines if not line.lstrip().startswith("-"))


def _joined(lines: Iterable[str]) -> str:
    """One line, with spaces where the break stands for one."""
    text = ""
    for line in map(str.strip, lines):
        if text and line and not (is_unspaced(text[-1]) and is_unspaced(line[0])):
            text += " "
        text += line
    return re.sub(r"\s+", " ", text)


def _prose(tag: str, paragraphs: Iterable[str]) -> list[str]:
    """The paragraphs that are sentences, not commands, names or lists."""
    chosen = []
    for text in dict.fromkeys(paragraphs):
        unspaced = sum(map(is_unspaced, text)) / max(1, len(text))
        if re.search(r"[!-~]{40}", text):  # An address that no line could hold.
            continue
        if tag == "zh" and not _is_simplified(text):
            continue
        if tag == "en":
            if len(text) > 120 and re.fullmatch(r"[A-Z].*[.:]", text):
                chosen.append(text)
        elif len(text) > 50 and unspaced > 0.6 and re.search("[。！？：]$", text):
            chosen.append(text)
    return chosen


def _is_simplified(text: str) -> bool:
    """Whether no Han character is outside the set of simplified Chinese."""
    try:
        re.sub(r"[^\u4e00-\u9fff]", "", text).encode("gb2312")
    except UnicodeEncodeError:
        return False
    return True

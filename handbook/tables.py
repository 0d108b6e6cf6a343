"""Writes the tables and the picture of the handbook that follow from the code.

Usage: python -m handbook.tables
"""

import ast
import re
import tomllib
from pathlib import Path
from xml.sax.saxutils import escape

from app import languages
from app.metrics import METRICS

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"


def main() -> None:
    """Bring every made part of ``docs/`` up to date."""
    for path, text in made().items():
        path.write_text(text, encoding="utf-8")


def made() -> dict[Path, str]:
    """What the files with made parts should say."""
    return {
        DOCS / "languages.md": _with(DOCS / "languages.md", "names", _names()),
        DOCS / "architecture.md": _with(DOCS / "architecture.md", "modules", _modules()),
        DOCS / "operations.md": _with(DOCS / "operations.md", "metrics", _metrics()),
        DOCS / "pictures" / "house.svg": _house(),
    }


def _with(page: Path, part: str, table: str) -> str:
    """The text of ``page`` with ``table`` between the marks of its ``part``."""
    begin, end = f"<!-- {part}: made by `make docs` -->", f"<!-- end of {part} -->"
    before, rest = page.read_text(encoding="utf-8").split(begin)
    return f"{before}{begin}\n\n{table}\n{end}{rest.split(end)[1]}"


def _names() -> str:
    rows = ["| name | | engine | models | script | match | |", "|---|---|---|---|---|---|---|"]
    known = {
        name: (language, name == language.name)
        for language, others in languages.readable()
        for name in (language.name, *others)
    }
    for name in languages.names():
        if name not in known:
            rows.append(f"| {name} | | | | | none | {_UNREAD.get(name, 'no model can read it')} |")
            continue
        language, is_own = known[name]
        engine = "ppocr+tesseract" if language.engine == "tesseract" else language.engine
        shown = (name, language.chinese, engine, " ".join(language.tesseract))
        note = language.note if is_own else f"the same as {language.name}"
        rows.append(f"| {' | '.join((*shown, language.script, language.match, note))} |")
    return "\n".join(rows) + "\n"


_UNREAD = {"Symbols": "adds nothing: every model reads symbols"}


def _metrics() -> str:
    rows = ["| metric | kind | labels | |", "|---|---|---|---|"]
    for name, metric in METRICS.items():
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        rows.append(f"| `{name}` | {metric.kind} | {labels} | {metric.help} |")
    rows.append("| `process_…` | | | The server's own process: memory, processor time, files. |")
    return "\n".join(rows) + "\n"


def floors() -> list[list[str]]:
    """The modules of each floor, the highest first, as import-linter is told."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    layers = next(c["layers"] for c in contracts if c["type"] == "layers")
    return [[name.strip() for name in re.split(r"[|:]", layer)] for layer in layers]


def _modules() -> str:
    rows = ["| floor | module | |", "|--:|---|---|"]
    for n, names in enumerate(floors()):
        for name in names:
            folder = ROOT / "app" / name / "__init__.py"
            path = folder if folder.exists() else ROOT / "app" / f"{name}.py"
            doc = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            says = " ".join(doc.split("\n\n")[0].split()).replace("``", "`")
            shown = f"{name}/" if folder.exists() else f"{name}.py"
            rows.append(f"| {len(floors()) - 1 - n} | `{shown}` | {says} |")
    return "\n".join(rows) + "\n"


_ROOM, _HIGH, _GAP, _SIDE = 860, 34, 8, 20
_TINTS = ("#e8eaf6", "#d5d9f0")  # The floors in turn, light enough for dark text.


def _house() -> str:
    """The floors as a picture, the modules as its rooms."""
    parts: list[str] = []
    top = 92
    for n, names in enumerate(floors()):
        rows = _rows(names)
        high = len(rows) * (_HIGH + _GAP) + _GAP
        parts.append(
            f'<rect x="{_SIDE}" y="{top}" width="{_ROOM}" height="{high}" fill="{_TINTS[n % 2]}"/>'
            f'<text x="{_SIDE + 14}" y="{top + high / 2 + 5:g}" class="floor">'
            f"{len(floors()) - 1 - n}</text>"
        )
        for m, row in enumerate(rows):
            y = top + _GAP + m * (_HIGH + _GAP)
            left = _SIDE + 40 + (_ROOM - 50 - sum(map(_width, row)) - _GAP * (len(row) - 1)) / 2
            for name in row:
                wide = _width(name)
                parts.append(
                    f'<rect x="{left:g}" y="{y}" width="{wide}" height="{_HIGH}" rx="4"'
                    f' class="room"/><text x="{left + wide / 2:g}" y="{y + 22}" class="name">'
                    f"{escape(name)}</text>"
                )
                left += wide + _GAP
        top += high
    roof = f"M{_SIDE - 14} 92 L{_SIDE + _ROOM / 2:g} 12 L{_SIDE + _ROOM + 14} 92 Z"
    wide = _ROOM + 2 * _SIDE
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {top + 10}" role="img"'
        ' aria-label="The floors of the program, the command line at the top">'
        f"<style>{_STYLE}</style>"
        f'<rect width="{wide}" height="{top + 10}" fill="#ffffff"/>'
        f'<path d="{roof}" fill="#3f51b5"/>'
        f'<text x="{_SIDE + _ROOM / 2:g}" y="72" class="roof">imports point down only</text>'
        + "".join(parts)
        + "</svg>\n"
    )


_STYLE = (
    "text{font-family:sans-serif;font-size:15px;fill:#1a237e}"
    ".name{text-anchor:middle}.floor{fill:#5c6bc0}"
    ".roof{text-anchor:middle;fill:#ffffff}.room{fill:#ffffff;stroke:#9fa8da}"
)


def _rows(names: list[str]) -> list[list[str]]:
    """``names`` in rows that a floor has room for."""
    rows: list[list[str]] = [[]]
    for name in names:
        if sum(_width(other) + _GAP for other in [*rows[-1], name]) > _ROOM - 50:
            rows.append([])
        rows[-1].append(name)
    return rows


def _width(name: str) -> int:
    return 26 + 9 * len(name)


if __name__ == "__main__":
    main()

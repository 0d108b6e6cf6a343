"""The command ``ocr-server languages``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from app.cli.settings import pass_settings
from app.languages import Language, for_tesseract, known, names, package

if TYPE_CHECKING:
    from app.config import Settings

_HELP = """\b
Examples:
  ocr-server languages
  ocr-server languages chinese
  ocr-server languages --missing
  ocr-server languages --json | jq -r 'select(.installed) | .name'
"""


@click.command(epilog=_HELP)
@click.argument("words", metavar="[WORD]...", nargs=-1)
@click.option("--missing", is_flag=True, help="Only those that cannot be read here.")
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each.")
@pass_settings
def languages(settings: Settings, words: tuple[str, ...], missing: bool, as_json: bool) -> None:
    """List the languages whose names, script or models contain each WORD, and what reads them.

    Names are also the English and the Chinese ones.
    """
    from app import wiring

    installed = wiring.installed_models()
    found = [(known(name), _row(name, known(name), settings.engine, installed)) for name in names()]
    rows = [
        row
        for language, row in found
        if _matches(language, row, words) and not (missing and row["installed"])
    ]
    if not rows:
        raise click.ClickException("There is no such language.")
    if as_json:
        for row in rows:
            click.echo(json.dumps(row, ensure_ascii=False))
        return
    lines = [[key.upper() for key in (*_COLUMNS, "here")]]
    lines += [[*(_cell(row[key]) for key in _COLUMNS), _state(row)] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        click.echo("  ".join(map(str.ljust, line, widths)).rstrip())


_COLUMNS = ("name", "engine", "models", "script")

_Row = dict[str, str | list[str] | bool]


def _row(name: str, language: Language, engine: str, installed: frozenset[str]) -> _Row:
    alone = engine if engine in ("ppocr", "tesseract") else None
    needs_tesseract = alone == "tesseract" or (alone is None and bool(for_tesseract([language])))
    models = list(language.tesseract) if needs_tesseract else []
    packages = [package(model) for model in models if model not in installed]
    readable = bool(language.engine) and (alone != "ppocr" or language.engine == "ppocr")
    reads = (alone or ("ppocr+tesseract" if needs_tesseract else "ppocr")) if readable else ""
    return {
        "name": name,
        "same_as": language.name if language.name != name else "",
        "engine": reads,
        "models": models,
        "script": language.script,
        "match": language.match,
        "installed": language.match == "alias" or (readable and not packages),
        "packages": packages,
        "note": language.note,
    }


def _matches(language: Language, row: _Row, words: tuple[str, ...]) -> bool:
    told = [_cell(row[key]) for key in (*_COLUMNS, "same_as", "note")]
    text = " ".join([*told, language.english, language.chinese]).lower()
    return all(word.lower() in text for word in words)


def _state(row: _Row) -> str:
    if not row["engine"]:
        state = ""
    elif row["installed"]:
        state = "installed"
    else:
        state = f"needs {_cell(row['packages'])}"
    alike = f"same as {row['same_as']}" if row["same_as"] else ""
    return "; ".join(filter(None, [state, alike, _cell(row["note"])]))


def _cell(value: object) -> str:
    return " ".join(value) if isinstance(value, list) else str(value)

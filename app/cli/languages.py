"""The command ``ocr-server languages``."""

import json

import click

from app.cli.settings import pass_settings
from app.config import Settings
from app.languages import Language, for_tesseract, known, names, package

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
    """List the languages whose name, script or models contain each WORD, and what reads them."""
    from app import wiring

    installed = wiring.installed_models()
    rows = [_row(name, known(name), settings.engine, installed) for name in names()]
    rows = [row for row in rows if _matches(row, words) and not (missing and row["installed"])]
    if not rows:
        raise click.ClickException("There is no such language.")
    if as_json:
        for row in rows:
            click.echo(json.dumps(row, ensure_ascii=False))
        return
    widths = {key: max(len(_cell(row[key])) for row in rows) for key in _COLUMNS}
    for row in rows:
        line = "  ".join(_cell(row[key]).ljust(widths[key]) for key in _COLUMNS)
        click.echo(f"{line}  {_state(row)}".rstrip())


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
        "installed": readable and not packages,
        "packages": packages,
        "note": language.note,
    }


def _matches(row: _Row, words: tuple[str, ...]) -> bool:
    text = " ".join(_cell(row[key]) for key in (*_COLUMNS, "same_as", "note")).lower()
    return all(word.lower() in text for word in words)


def _state(row: _Row) -> str:
    if not row["engine"]:
        state = "no model can read it"
    elif row["installed"]:
        state = "installed"
    else:
        state = f"needs {_cell(row['packages'])}"
    return f"{state}; same as {row['same_as']}" if row["same_as"] else state


def _cell(value: object) -> str:
    return " ".join(value) if isinstance(value, list) else str(value)

"""The command ``ocr-server doctor``."""

import json
import time

import click

from app.cli.finding import Finding, Level, fault
from app.cli.settings import read_settings, start_logging, without_server

_HELP = """\b
Examples:
  ocr-server doctor
  ocr-server doctor --quick
  ocr-server doctor --json | jq 'select(.level != "ok")'

\b
Exit codes:
  0  nothing is broken, though there may be warnings
  1  something is
"""


@click.command(epilog=_HELP)
@click.option(
    "--quick",
    is_flag=True,
    help="Only look whether LibreOffice is there, and do not try the engines.",
)
@click.option("--json", "as_json", is_flag=True, help="Tell of each part in a line of JSON.")
def doctor(quick: bool, as_json: bool) -> None:
    """Look at every part that the server needs, and say what to do about what is wrong."""
    faults = 0
    try:
        settings = read_settings()
    except click.UsageError as error:
        finding = fault(
            error.message.rstrip("."), "Mend it: docs/configuration.md lists the settings."
        )
        _tell("settings", finding, 0.0, as_json)
        raise SystemExit(1) from error
    start_logging(without_server(settings).log_level)
    # Imported late, since the help needs none of it.
    from app.cli import machine, service, trials, watching

    checks = {
        "python": machine.python,
        "packages": machine.packages,
        "data folder": machine.data_folder,
        "temporary files": machine.temporary_folder,
        "cores, memory": machine.resources,
        "clock": machine.clock,
        "settings": service.links,
        "address": service.address,
        "figures": watching.figures,
        "traces": watching.traces,
        "logs": watching.logs,
        "database": service.database,
        "queue": service.queue,
        "storage": service.storage,
        "tokens": service.tokens,
        "fonts": machine.fonts,
        "sandbox": machine.walls,
        "tesseract": trials.tesseract,
        "poppler": trials.poppler,
    }
    if quick:
        checks["libreoffice"] = trials.office_program
    else:
        checks |= {"libreoffice": trials.office, "recognition": trials.recognition}
    for name, check in checks.items():
        begun = time.monotonic()
        try:
            finding = check(settings)
        except Exception as error:  # A part that is broken breaks in ways of its own.
            finding = fault(f"it cannot be looked at: {error!r}", "Read the error.")
        faults += finding.level is Level.FAULT
        _tell(name, finding, time.monotonic() - begun, as_json)
    raise SystemExit(1 if faults else 0)


def _tell(name: str, finding: Finding, seconds: float, as_json: bool) -> None:
    if as_json:
        what = {"part": name, "level": finding.level, "text": finding.text, "mend": finding.mend}
        click.echo(json.dumps(what | {"seconds": round(seconds, 3)}, ensure_ascii=False))
        return
    level = click.style(f"{finding.level:<8}", fg=_COLOURS[finding.level])
    mend = f" {finding.mend}" if finding.mend else ""
    click.echo(f"{level} {name}: {finding.text}.{mend}")


_COLOURS = {Level.OK: "green", Level.WARNING: "yellow", Level.FAULT: "red"}

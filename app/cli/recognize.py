"""The command ``ocr-server recognize``."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO

import click
from click.shell_completion import CompletionItem

from app import languages
from app.cli.console import EXIT_CODES, Console
from app.cli.files import Job, plan
from app.cli.recognizer import PASSWORD, Failed, Recognizer, Refused, Wanted
from app.cli.settings import read_settings, start_logging, without_server
from app.errors import BadRequest

FORMATS = ("txt", "pdf", "docx", "xlsx", "pptx", "json", "hocr", "alto")
_BINARY = ("pdf", "docx", "xlsx", "pptx")


class _Languages(click.ParamType[str]):
    """Names of languages with commas between."""

    name = "names"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            languages.parse(value)
        except BadRequest as error:
            self.fail(str(error).removeprefix("language: "), param, ctx)
        return value

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        *before, begun = incomplete.split(",")
        return [
            CompletionItem(",".join([*before, name]))
            for name in languages.names()
            if name.lower().startswith(begun.lower()) and name not in before
        ]


_HELP = f"""\b
Examples:
  ocr-server recognize scan.pdf -f docx
  ocr-server recognize '*.pdf' -f pdf -o searchable/ --skip-existing
  ocr-server recognize -r archive/ -l German,English -o texts/
  cat scan.pdf | ocr-server recognize - > scan.txt

\b
Exit codes:
{EXIT_CODES}
"""


@click.command(epilog=_HELP)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path())
@click.option(
    "-f",
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="txt",
    show_default=True,
    help="What to make of it.",
)
@click.option(
    "-l",
    "--language",
    type=_Languages(),
    default="ChinesePRC,English",
    show_default=True,
    help="What it is written in; `ocr-server languages` lists the names.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(),
    help="A folder for the results, a file for that of a single FILE that is named in full, or - "
    "for standard output; default: beside FILE.",
)
@click.option("-r", "--recursive", is_flag=True, help="Read the documents in folders, too.")
@click.option("--force", is_flag=True, help="Replace results that exist.")
@click.option("--skip-existing", is_flag=True, help="Pass over files whose result exists.")
@click.option(
    "--mode",
    type=click.Choice(["auto", "force", "skip"]),
    default="auto",
    show_default=True,
    help="Recognize what has no text that can be trusted, every page, or pages without text.",
)
@click.option("--pdfa", is_flag=True, help="Make a PDF a PDF/A-2, with a structure tree.")
@click.option(
    "--password",
    envvar=PASSWORD,
    show_envvar=True,
    help="The password of the documents; others on this machine can see it in a command line.",
)
@click.option(
    "--password-file",
    type=click.File(encoding="utf-8"),
    help="A file whose first line is the password.",
)
@click.option(
    "--show",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Draw what was understood of each page into this folder.",
)
@click.option("-q", "--quiet", is_flag=True, help="Tell nothing but what went wrong.")
@click.option("--json", "as_json", is_flag=True, help="Tell of each file in a line of JSON.")
def recognize(
    files: tuple[str, ...],
    form: str,
    language: str,
    output: str | None,
    recursive: bool,
    force: bool,
    skip_existing: bool,
    mode: str,
    pdfa: bool,
    password: str | None,
    password_file: IO[str] | None,
    folder: Path | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Recognize each FILE without a server.

    FILE is a document, a pattern such as 'scans/**/*.pdf', or - for standard input. The result
    is called like it, with the format behind. What exists is not replaced; a file that fails
    does not stop the others, and nothing unfinished gets the name of a result.
    """
    if force and skip_existing:
        raise click.UsageError("--force and --skip-existing exclude each other.")
    if password_file is not None:
        password = password_file.readline().rstrip("\r\n")
    jobs = plan(files, output, form, FORMATS, recursive=recursive)
    _check_streams(jobs, form, as_json)
    settings = without_server(read_settings())
    start_logging(settings.log_level)
    recognizer = Recognizer(settings, Wanted(form, language, password, pdfa, mode))
    console = Console(len(jobs), quiet=quiet, as_json=as_json)
    with _signals() as came:
        try:
            for number, job in enumerate(jobs, 1):
                shown = folder and (folder if len(jobs) == 1 else folder / f"{number}-{job.label}")
                if skip_existing and job.exists:
                    console.skipped(job)
                else:
                    _recognize(recognizer, console, job, shown, force=force)
            recognizer.close()
        except Refused as error:
            recognizer.close(at_once=True)
            raise click.UsageError(str(error)) from error
        except KeyboardInterrupt:
            console.interrupted()
            raise SystemExit(128 + came[0]) from None
        finally:
            recognizer.close(at_once=True)
    console.sum_up()
    raise SystemExit(console.exit_code)


def _recognize(
    recognizer: Recognizer, console: Console, job: Job, show: Path | None, *, force: bool
) -> None:
    begun = time.monotonic()
    made, failure = None, None
    try:
        job.check(force)
        with job.opened() as source, console.progress(job) as progress:
            made = recognizer.run(source, partial(job.put, force=force), progress, show)
    except Failed as error:
        failure = error if error.code != "encrypted_document" else _locked(recognizer.wanted)
    console.tell(job, made, failure, time.monotonic() - begun)


def _locked(wanted: Wanted) -> Failed:
    """The service speaks of a field of its form."""
    told = f"The document is protected: give its password by --password-file, or in {PASSWORD}."
    return Failed("encrypted_document", "The password is wrong." if wanted.password else told)


def _check_streams(jobs: list[Job], form: str, as_json: bool) -> None:
    """Raise UsageError for what cannot come from, or go to, where the streams lead."""
    if any(job.source is None for job in jobs) and sys.stdin.isatty():
        raise click.UsageError("Nothing comes in: `cat FILE | ocr-server recognize -`.")
    if any(job.target is None for job in jobs):
        if as_json:
            raise click.UsageError("--json needs standard output; name a file by -o.")
        if form in _BINARY and sys.stdout.isatty():
            raise click.UsageError(f"A {form} is not for a terminal; name a file by -o.")


@contextmanager
def _signals() -> Iterator[list[int]]:
    """Have signals that end the command raise KeyboardInterrupt once; which one is listed.

    A second one is not to disturb the cleaning up.
    """
    came: list[int] = []

    def interrupt(number: int, _: object) -> None:
        came.append(number)
        for each in before:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    ours = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    # nohup, for one, has had them ignored.
    before = {
        each: signal.getsignal(each) for each in ours if signal.getsignal(each) != signal.SIG_IGN
    }
    for each in before:
        signal.signal(each, interrupt)
    try:
        yield came
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)

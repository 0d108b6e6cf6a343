"""What ``recognize`` tells: people, scripts by the exit code, and machines in lines of JSON."""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from app.cli.files import Job, readable
from app.cli.recognizer import Failed, Made, Progress

EXIT_CODES = """\
    0  all is well
    1  some files failed, or failed for different reasons, or by a fault of ours
    2  the command was not understood
    3  not readable: damaged, of another kind, not there
    4  a password is missing or wrong
    5  took too long
    6  needs more memory or disk than there is, or more pages than allowed
    7  the result exists, or cannot be written
  130  interrupted (143: ended by SIGTERM, 129: by SIGHUP)
  From 3 to 7, all files failed for that one reason."""

_CODES = {
    "unreadable": 3,
    "invalid_file": 3,
    "encrypted_document": 4,
    "timed_out": 5,
    "out_of_resources": 6,
    "document_too_large": 6,
    "result_exists": 7,
    "not_stored": 7,
}


class Console:
    """Tells of files as they are done, and of all in the end."""

    def __init__(self, files: int, *, quiet: bool, as_json: bool) -> None:
        self._files = files
        self._quiet = quiet
        self._as_json = as_json
        self._states: Counter[str] = Counter()
        self._codes: set[int] = set()
        self._failed: list[str] = []
        self._pages = 0
        self._seconds = 0.0

    @property
    def exit_code(self) -> int:
        """What to end with."""
        if not self._failed:
            return 0
        all_alike = len(self._codes) == 1 and len(self._failed) == self._files
        return min(self._codes) if all_alike else 1

    @contextmanager
    def progress(self, job: Job) -> Iterator[Progress]:
        """A bar on standard error, if that is a terminal."""
        if self._quiet or not sys.stderr.isatty():
            yield lambda *_: None
            return
        number = f"{self._done + 1}/{self._files} " if self._files > 1 else ""
        label = f"{number}{job.name[-_LONGEST:]}"
        with click.progressbar(
            range(1), length=1, label=label, file=sys.stderr, show_pos=True
        ) as bar:

            def progress(done: int, pages: int) -> None:
                bar.length = max(1, pages)
                bar.update(done - bar.pos)

            yield progress

    def tell(self, job: Job, made: Made | None, failure: Failed | None, seconds: float) -> None:
        """Tell what came of a file."""
        self._seconds += seconds
        what: dict[str, Any] = {"seconds": round(seconds, 3)}
        if failure is not None:
            self._failed.append(job.name)
            self._codes.add(_CODES.get(failure.code, 1))
            click.echo(f"{job.name}: {failure}", err=True)
            self._note(job, "failed", what | {"code": failure.code, "message": str(failure)})
            return
        assert made is not None
        self._pages += made.pages
        if made.detail != "Complete":
            click.echo(f"{job.name}: {made.detail}.", err=True)
        if job.target is not None and not self._quiet and not self._as_json:
            click.echo(readable(job.target))
        self._note(
            job,
            "complete",
            what
            | {
                "pages": made.pages,
                "recognized": made.recognized,
                "failed_pages": made.failed_pages,
                "detail": made.detail,
            },
        )

    def skipped(self, job: Job) -> None:
        """Tell of a file whose result exists."""
        self._note(job, "skipped", {})

    def interrupted(self) -> None:
        """Tell that the rest is not done."""
        click.echo(f"Interrupted; {self._done} of {self._files} files are done.", err=True)

    def sum_up(self) -> None:
        """Tell of all files together."""
        if self._quiet or self._files == 1:
            return
        told = [f"{self._states['complete']} of {self._files} files done, {self._pages} pages"]
        if skipped := self._states["skipped"]:
            told.append(f"{skipped} skipped")
        told.append(f"{self._seconds:.1f} s")
        click.echo(", ".join(told) + ".", err=True)
        if self._failed:
            click.echo(f"{len(self._failed)} failed: {', '.join(self._failed)}", err=True)

    @property
    def _done(self) -> int:
        return sum(self._states.values())

    def _note(self, job: Job, state: str, what: dict[str, Any]) -> None:
        self._states[state] += 1
        if self._as_json:
            file = "-" if job.source is None else str(job.source)
            result = str(job.target) if state != "failed" else None
            click.echo(json.dumps({"file": file, "state": state, "result": result} | what))


_LONGEST = 40  # Characters of a name beside the bar.

"""Which files ``recognize`` reads, and what their results are called."""

import glob
import os
import secrets
import shutil
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import click

from app.cli.recognizer import Failed

STREAM = "-"
"""Standard input, or output."""


@dataclass(frozen=True, slots=True)
class Job:
    """One file to recognize."""

    source: Path | None  # None: standard input.
    target: Path | None  # None: standard output.
    below: Path = Path()  # Where it lies in a folder that was named.

    @property
    def name(self) -> str:
        """What to call it in messages; no file name can change a terminal by it."""
        return "standard input" if self.source is None else readable(self.source)

    @property
    def label(self) -> str:
        """The name of its file."""
        return "stdin" if self.source is None else self.source.name

    @property
    def exists(self) -> bool:
        """Whether its result does; a device, or a pipe, is none."""
        return self.target is not None and self.target.is_file()

    def check(self, force: bool) -> None:
        """Raise Failed if the result exists and is not to be replaced, or has no place."""
        if self.target is None:
            return
        if self.exists and not force:
            raise Failed("result_exists", f"{readable(self.target)} {_EXISTS}")
        above = next(each for each in self.target.absolute().parents if each.exists())
        if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
            raise Failed("not_stored", f"The folder {readable(above)} cannot be written to.")

    @contextmanager
    def opened(self) -> Iterator[IO[bytes]]:
        """Its bytes. Raises Failed."""
        if self.source is None:
            yield sys.stdin.buffer
            return
        try:
            file = self.source.open("rb")
        except OSError as error:
            raise Failed("unreadable", f"The file cannot be read: {error.strerror}.") from error
        with file:
            yield file

    def put(self, made: Path, *, force: bool) -> None:
        """Bring the result to its place: all of it, or nothing. Raises Failed."""
        try:
            if self.target is None:
                _print(made)
            elif self.target.exists() and not self.target.is_file():
                with self.target.open("wb") as device, made.open("rb") as file:
                    shutil.copyfileobj(file, device)
            else:
                _place(made, self.target.resolve(), force)
        except FileExistsError as error:
            raise Failed("result_exists", f"{readable(self.target or Path())} {_EXISTS}") from error
        except OSError as error:
            place = "standard output" if self.target is None else readable(self.target)
            raise Failed(
                "not_stored", f"The result cannot be written to {place}: {error.strerror}."
            ) from error


_EXISTS = "exists already; --force replaces it, --skip-existing passes over it."


def readable(path: Path) -> str:
    """``path`` without what is not to be printed."""
    return "".join(each if each.isprintable() else "?" for each in click.format_filename(path))


def plan(
    named: Sequence[str],
    output: str | None,
    form: str,
    formats: Sequence[str],
    *,
    recursive: bool = False,
) -> list[Job]:
    """The work to do: each file once, each with a result of its own.

    Patterns that a shell left alone are expanded, and folders if ``recursive``. Raises UsageError.
    """
    jobs = list(_jobs(named, formats, recursive))
    sources = {job.source.resolve() for job in jobs if job.source is not None}
    jobs = _placed(jobs, output, form, len(named) == 1 and _is_literal(named[0]))
    for job in jobs:
        if job.source is None or job.target is None:
            continue
        if job.target.resolve() in sources - {job.source.resolve()}:
            raise click.UsageError(
                f"The result of {job.name} would replace {readable(job.target)}, which is to be "
                "read as well; name a folder by -o."
            )
    return jobs


def _jobs(named: Sequence[str], formats: Sequence[str], recursive: bool) -> Iterator[Job]:
    seen: set[Path | None] = set()
    for argument in named:
        for job in _found(argument, formats, recursive):
            known = job.source and job.source.resolve()
            if known not in seen:
                yield job
            seen.add(known)


def _found(argument: str, formats: Sequence[str], recursive: bool) -> list[Job]:
    path = Path(argument)
    if not argument:
        raise click.UsageError("The name of a file is empty.")
    if argument == STREAM:
        return [Job(None, None)]
    if path.is_dir():
        if not recursive:
            raise click.UsageError(f"{readable(path)} is a folder; -r reads the files in it.")
        inside = (Path(folder, name) for folder, _, names in os.walk(path) for name in names)
        files = [file for file in inside if file.suffix.lower() in _SUFFIXES]
        below = {file: file.parent.relative_to(path) for file in files}
        wrong = f"There are no documents in the folder {readable(path)}."
    elif _is_literal(argument):
        # One that is not there, or is no file, is told when its turn comes; others are read.
        return [Job(path, None)]
    else:
        files = [Path(name) for name in glob.glob(argument, recursive=True)]  # noqa: PTH207 - may be absolute
        files, below = [file for file in files if file.is_file()], {}
        wrong = f"No file is called {argument!r}."
    results = {f"{file}.{form}" for file in files for form in formats}
    files = [file for file in files if str(file) not in results]  # Of an earlier run.
    if not files:
        raise click.UsageError(wrong)
    return [Job(file, None, below.get(file, Path())) for file in sorted(files)]


def _is_literal(argument: str) -> bool:
    """Whether it names one file, whatever else there is."""
    path = Path(argument)
    return not path.is_dir() and (os.path.lexists(path) or not glob.has_magic(argument))


def _placed(jobs: list[Job], output: str | None, form: str, is_single: bool) -> list[Job]:
    """The jobs with their targets; only for a single file can ``output`` be one."""
    if output == STREAM or (output is None and any(job.source is None for job in jobs)):
        if len(jobs) > 1:
            raise click.UsageError("Only one file can go to standard output; name a folder by -o.")
        return jobs
    if output is None:
        return [_beside(job, form) for job in jobs]
    folder = Path(output)
    if is_single and not output.endswith(os.sep) and not folder.is_dir():
        return [replace(jobs[0], target=folder)]
    if folder.exists() and not folder.is_dir():
        raise click.UsageError(f"{readable(folder)} is a file; several results need a folder.")
    if folder.suffix == f".{form}" and not output.endswith(os.sep) and not folder.is_dir():
        raise click.UsageError(
            f"{readable(folder)} is a name for a file, but several results need a folder; "
            f"with a {os.sep} behind it, it becomes one."
        )
    flat = [folder / job.below / _result(job, form) for job in jobs]
    times = Counter(flat)
    parents = [job.source.absolute().parent for job in jobs if job.source is not None]
    common = Path(os.path.commonpath(parents)) if parents else Path()
    return [
        replace(job, target=_apart(job, folder, common, form) if times[place] > 1 else place)
        for job, place in zip(jobs, flat, strict=True)
    ]


def _beside(job: Job, form: str) -> Job:
    assert job.source is not None
    return replace(job, target=job.source.with_name(_result(job, form)))


def _apart(job: Job, folder: Path, common: Path, form: str) -> Path:
    """Where the result goes if another file has the same name: below the folder of its source."""
    parent = common if job.source is None else job.source.absolute().parent
    return folder / parent.relative_to(common) / _result(job, form)


def _place(made: Path, target: Path, force: bool) -> None:
    """Copy ``made`` beside ``target``, which it becomes when it is complete."""
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.parent / f".ocr-{secrets.token_hex(8)}.part"
    try:
        shutil.copyfile(made, unfinished)
        if force:
            unfinished.replace(target)
            return
        try:
            os.link(unfinished, target)  # Unlike a renaming, it replaces nothing.
        except FileExistsError:
            raise
        except OSError:  # A file system without hard links.
            unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


def _print(made: Path) -> None:
    output = sys.stdout.buffer
    try:
        with made.open("rb") as file:
            shutil.copyfileobj(file, output)
        output.flush()
    except BrokenPipeError:
        # What is left in the buffer would be tried once more, and complained of, at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), output.fileno())
        raise


def _result(job: Job, form: str) -> str:
    return f"{job.label}.{form}"


_SUFFIXES = (
    *(".pdf", ".doc", ".docx", ".xls", ".xlsx", ".ppt", ".pptx"),
    *(".jpg", ".jpeg", ".png", ".gif", ".bmp", ".tif", ".tiff", ".webp"),
)

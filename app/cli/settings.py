"""Settings for commands, read when one runs: its help needs none, and they take long to import."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

import click

if TYPE_CHECKING:
    from app.config import Settings

P = ParamSpec("P")
R = TypeVar("R")


def pass_settings(command: Callable[Concatenate[Settings, P], R]) -> Callable[P, R]:
    """Call ``command`` with the settings first; only warnings are logged, unless they say more."""

    @functools.wraps(command)
    def with_settings(*args: P.args, **options: P.kwargs) -> R:
        settings = read_settings()
        start_logging(_quiet(settings), settings.log_format)
        return command(settings, *args, **options)

    return with_settings


def pass_server_settings(command: Callable[Concatenate[Settings, P], R]) -> Callable[P, R]:
    """The same for a server, which logs what it does."""

    @functools.wraps(command)
    def with_settings(*args: P.args, **options: P.kwargs) -> R:
        settings = read_settings()
        start_logging(settings.log_level, settings.log_format)
        return command(settings, *args, **options)

    return with_settings


def read_settings() -> Settings:
    """The settings of the environment. Raises UsageError that names what is wrong."""
    from pydantic import ValidationError

    from app.config import Settings

    try:
        return Settings()
    except ValidationError as error:
        wrong = "; ".join(
            f"OCR_{'_'.join(map(str, each['loc'])).upper()}: "
            f"{each['msg'].removeprefix('Value error, ')}"
            for each in error.errors()
        )
        raise click.UsageError(f"{wrong}.") from error


def without_server(settings: Settings) -> Settings:
    """The settings for work that no server does.

    All cores are for it, only errors are logged, and compiled models are kept among the user's
    caches, unless ``settings`` say otherwise or the data of a server are here.
    """
    from app.config import cores

    found: dict[str, object] = {"threads": settings.threads or cores()}
    if "log_level" not in settings.model_fields_set:
        found["log_level"] = "error"  # What is wrong with a document is told anyway.
    if "data_dir" not in settings.model_fields_set and not (settings.data_dir / "ocr.db").is_file():
        caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        found["data_dir"] = Path(caches, "ocr-server")
    return settings.model_copy(update=found)


def start_logging(level: str, form: str = "text", worker: str = "") -> None:
    """Log messages of ``level`` and above to standard error; ``worker`` is this process's name."""
    from app import logs

    logs.start(level, form, worker)


def _quiet(settings: Settings) -> str:
    return settings.log_level if "log_level" in settings.model_fields_set else "warning"

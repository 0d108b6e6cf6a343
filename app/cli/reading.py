"""The process that reads documents for ``recognize``; ``recognizer`` is its other side."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import click

from app import wiring, worker
from app.cli.recognizer import FULL, Wanted
from app.cli.settings import pass_settings
from app.config import Settings
from app.disk import Disk
from app.errors import AppError, BadRequest, InternalError, OutOfResources
from app.languages import parse
from app.pipeline import Order, Pipeline
from app.reading import Mode
from app.runner import over_a_limit
from app.show import show
from app.turn import detail

log = logging.getLogger(__name__)

_GRACE_S = 15.0  # What has a time limit of its own comes to it before the process is ended.


@click.command(hidden=True)
@click.argument("pipe", type=int)
@pass_settings
def read(settings: Settings, pipe: int) -> None:
    """Be the process that reads documents for another, which gets answers through PIPE."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the other side, too.
    ration = wiring.ration(settings)
    worker.settle(ration)
    if not (line := sys.stdin.readline()):
        return  # The other side has ended meanwhile.
    wanted = Wanted(**json.loads(line))
    order = Order(
        wanted.format, parse(wanted.languages), wanted.password, wanted.pdfa, Mode(wanted.mode)
    )
    try:
        wiring.check_languages(settings, order.languages)
    except BadRequest as error:
        _tell(pipe, refused=str(error))
        return
    pipeline = wiring.pipeline(settings)
    try:
        reading = _Reading(settings, pipeline, order, pipe)
        for files, line in enumerate(sys.stdin, 1):
            ration.limit_task()
            answer = reading.attempt(json.loads(line))
            worker.alarm(0)
            _tell(pipe, **answer, spent=ration.is_spent(files))
    finally:
        pipeline.close()


class _Reading:
    """Reads one document after another."""

    def __init__(self, settings: Settings, pipeline: Pipeline, order: Order, pipe: int) -> None:
        self._settings = settings
        self._pipeline = pipeline
        self._order = order
        self._pipe = pipe
        self._is_warm = False

    def attempt(self, asked: dict[str, Any]) -> dict[str, Any]:
        """What came of a document."""
        self._limit(self._settings.step_timeout_s)
        shows = None if asked["show"] is None else partial(show, folder=Path(asked["show"]))
        with tempfile.TemporaryDirectory(prefix="ocr-") as work:
            try:
                outcome = self._pipeline.run(
                    self._order,
                    Path(asked["source"]),
                    Path(work),
                    Path(asked["result"]),
                    self._progress,
                    shows,
                )
            except Exception as error:
                told = _told(error)
                log.debug("%s", told, exc_info=error)
                return {"code": told.code, "message": str(told)}
        return {
            "pages": outcome.pages,
            "recognized": outcome.recognized,
            "failed_pages": outcome.failed,
            "detail": detail(outcome),
        }

    def _progress(self, done: int, pages: int, recognized: int) -> None:
        limits = self._settings
        self._is_warm = self._is_warm or recognized > 0
        self._limit(limits.page_timeout_s if done < pages else limits.step_timeout_s)
        _tell(self._pipe, done=done, of=pages)

    def _limit(self, seconds: float) -> None:
        """End this process unless there is a sign of progress; the first one takes longest."""
        worker.alarm(seconds + (_GRACE_S if self._is_warm else worker.WARM_UP_S))


def _told(error: Exception) -> AppError:
    if Disk([Path(tempfile.gettempdir())], 0).is_cause(error):
        return OutOfResources(FULL)
    if (over := over_a_limit(error)) is not None:
        return over
    if isinstance(error, AppError):
        return error
    return InternalError(f"An internal error, {type(error).__name__}; OCR_LOG_LEVEL=debug tells.")


def _tell(pipe: int, **what: object) -> None:
    os.write(pipe, json.dumps(what).encode() + b"\n")

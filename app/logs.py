"""Log lines, as text or as JSON, that say for which request and task they are; without secrets."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from app.context import current

EXTRA = "fields"
"""The attribute of a record that holds more fields: ``log.info(..., extra={EXTRA: {...}})``."""


def start(level: str, form: str = "text", worker: str = "") -> None:
    """Log messages of ``level`` and above to standard error, in the form "text" or "json".

    ``worker`` is the name of this process, if it is one.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(formatter(form, worker))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    # A line for each of its parts.
    logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)
    # Addresses of others, with what they are signed with.
    for name in ("httpx2", "httpcore2", "urllib3"):
        logging.getLogger(name).setLevel(logging.WARNING)
    if form == "json":
        logging.captureWarnings(capture=True)
        sys.excepthook = _log_last_words
        threading.excepthook = _log_last_words_of_thread


def formatter(form: str, worker: str = "") -> logging.Formatter:
    """What makes lines of records."""
    return _Json(worker) if form == "json" else _Text(_TEXT)


_TEXT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


class _Text(logging.Formatter):
    """A line for people, and a traceback below it."""

    def format(self, record: logging.LogRecord) -> str:
        """The text."""
        said = cleaned(super().format(record))
        first, newline, rest = said.partition("\n")
        context = current()
        if context.task_id is not None and context.task_id not in first:
            first += f" [task {context.task_id}]"
        if context.request_id is not None and context.request_id not in first:
            first += f" [request {context.request_id}]"
        return f"{first}{newline}{rest}"


class _Json(logging.Formatter):
    """A line for programs: one object."""

    def __init__(self, worker: str) -> None:
        super().__init__()
        self._process = {"host": os.uname().nodename, "pid": os.getpid()}
        if worker:
            self._process["worker"] = worker

    def format(self, record: logging.LogRecord) -> str:
        """The object."""
        context = current()
        said: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": cleaned(record.getMessage()),
        }
        if context.request_id is not None:
            said["request_id"] = context.request_id
        if context.task_id is not None:
            said["task_id"] = context.task_id
        if context.place is not None:
            said["trace_id"] = context.place.trace_id
            said["span_id"] = context.place.span_id
        said |= getattr(record, EXTRA, {})
        said |= self._process
        if record.exc_info:
            said["exception"] = cleaned(self.formatException(record.exc_info))
        return json.dumps(said, ensure_ascii=False, default=str)


def cleaned(text: str) -> str:
    """``text`` without passwords, tokens and signatures; a library may have put some into it."""
    lower = text.lower()
    if any(sign in lower for sign in _SIGNS):
        for secret in _SECRETS:
            text = secret.sub(r"\1***", text)
    return text


# To look for these takes a microsecond, for the patterns thirty.
_SIGNS = ("://", "signature", "passw", "token", "secret", "x-amz", "api-key", "bearer ", "basic ")
_SECRETS = (
    re.compile(r"(://[^\s:/@\"']*:)[^\s@\"']+(?=@)"),  # Before the host of an address.
    re.compile(  # In a query, a form, or the words of a program.
        r"((?:signature|password|passwd|token|secret|api-key|x-amz-credential)"
        r"[\"']?\s?[=:]\s?[\"']?)[^\s&\"',;)}\\]+",
        re.IGNORECASE,
    ),
    re.compile(r"(\b(?:bearer|basic)\s)[^\s\"',;\\]+", re.IGNORECASE),
)


def _log_last_words(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
    else:
        log.critical("it ends by an error: %s", error, exc_info=(kind, error, traceback))


def _log_last_words_of_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None:
        log.critical(
            "a thread ends by an error: %s",
            args.exc_value,
            exc_info=(args.exc_type, args.exc_value, args.exc_traceback),
        )


log = logging.getLogger(__name__)

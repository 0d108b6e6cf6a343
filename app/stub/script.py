"""Scripts: what a developer wants the stub to do with a document or a request.

A script is words with their values, ``state=-7; delay=2``, parted by semicolons or commas; a bare
number after a comma goes on with the list before it. It comes in the header ``X-OCR-Stub``, or in
the name of the document, between ``.stub-`` and the extension. Values are URL-encoded where they
have to be.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote

from app.errors import (
    AppError,
    BadRequest,
    BodyTooLarge,
    Cancelled,
    DownloadFailed,
    IdempotencyKeyReused,
    InternalError,
    InvalidFile,
    NotComplete,
    NotMade,
    NotStored,
    OperatorsOnly,
    OutOfResources,
    PageNotFound,
    QuotaUsedUp,
    RateLimited,
    RequestTooSlow,
    ResultExpired,
    SourceExpired,
    State,
    TaskNotFound,
    TimedOut,
    TooLarge,
    TooManyStreams,
    TooManyTasks,
    Unauthorized,
    Unavailable,
)

HEADER = "X-OCR-Stub"
MOST_PAGES = 1000
_MOST_S = 3600.0


@dataclass(frozen=True, slots=True)
class Script:
    """What is to happen; the default is what the real server does."""

    state: State = State.COMPLETE  # In which the task ends, or stays.
    http: str | None = None  # Status or code of the answer, instead of a task.
    retry: int | None = None  # Its Retry-After, in seconds.
    delay: float = 0.0  # Seconds that the task waits in the queue, or the answer.
    progress: tuple[int, ...] = ()  # Percent, one after another,
    step: float = 0.2  # and the seconds that each is shown.
    pages: int | None = None  # Of the document that is read instead of the one that was sent.
    text: str | None = None  # The text of each of its pages.
    failed: tuple[int, ...] = ()  # Numbers of pages that could not be read.
    drop: str | None = None  # The connection ends "before" the answer, or "during" it.
    callback: str | None = None  # The report is "lost", comes "twice", or is "forged".

    @property
    def texts(self) -> list[str] | None:
        """The pages of the document that is read instead; None if it is the one that was sent."""
        if self.pages is None and self.text is None:
            return None
        pages = self.pages or 1
        if self.text is not None:
            return [self.text] * pages
        return [f"Page {n} of {pages}" for n in range(1, pages + 1)]

    def task_error(self) -> AppError | None:
        """What the task fails of; its state, code and ``state_detail`` are the real server's."""
        return _FAILURES[self.state]() if self.state < 0 else None

    def http_error(self) -> AppError | None:
        """What the request is refused with."""
        if self.http is None:
            return None
        error = _REFUSALS[self.http]()
        if self.retry is not None:
            error.retry_after_s = self.retry
        return error


def parse(text: str) -> Script:
    """The script that ``text`` is. Raises BadRequest, which names the known words."""
    values: dict[str, list[str]] = {}
    word = ""
    for item in filter(None, map(str.strip, re.split("[;,]", text))):
        name, equals, value = item.partition("=")
        if equals:
            word = name.strip().lower()
            if word not in _WORDS:
                raise BadRequest(
                    f"{HEADER}: {word!r} is no word of a script; known are {', '.join(_WORDS)}."
                )
            values[word] = [unquote(value.strip())]
        elif values and item.isdecimal():
            values[word].append(item)
        else:
            raise BadRequest(
                f"{HEADER}: {item!r} has no value; a script is like state=-7; delay=2, "
                f"of the words {', '.join(_WORDS)}."
            )
    script = Script()
    for word, given in values.items():
        try:
            script = replace(script, **{word: _WORDS[word].read(given)})
        except (ValueError, KeyError) as error:
            raise BadRequest(f"{HEADER}: {word} must be {_WORDS[word].rule}.") from error
    return script


def in_name(name: str) -> str | None:
    """The script in the name of a document, or in the last part of a URL."""
    found = _NAMED.search(name)
    return found[1] if found else None


_NAMED = re.compile(r"\.stub-([^/?#]*?)(?:\.[A-Za-z][A-Za-z0-9]*)?(?:[?#].*)?$")


def _one(given: list[str]) -> str:
    (value,) = given
    return value


def _number(least: float, most: float, kind: type[int] | type[float] = int) -> Callable[..., Any]:
    def read(given: list[str]) -> float:
        number = kind(_one(given))
        if not least <= number <= most:
            raise ValueError
        return number

    return read


def _list(least: int, most: int) -> Callable[[list[str]], tuple[int, ...]]:
    number = _number(least, most)
    return lambda given: tuple(number([value]) for value in given)


def _among(known: Mapping[str, object]) -> Callable[[list[str]], str]:
    def read(given: list[str]) -> str:
        if (value := _one(given)) not in known:
            raise ValueError
        return value

    return read


@dataclass(frozen=True, slots=True)
class _Word:
    """What is allowed after a word."""

    read: Callable[[list[str]], Any]
    rule: str = field(default="")


_REFUSALS: dict[str, Callable[[], AppError]] = {
    "400": lambda: BadRequest("Send exactly one of image_file and image_url."),
    "401": lambda: Unauthorized("无效的令牌"),
    "403": lambda: QuotaUsedUp("用户额度不足, 剩余额度: 0 页, 总额度: 100 页"),
    "404": lambda: TaskNotFound("There is no such task."),
    "408": lambda: RequestTooSlow("The body comes too slowly, or has stopped coming."),
    "409": lambda: NotComplete("The task is not complete; ask again when its state is 1."),
    "413": lambda: BodyTooLarge("The document is larger than 209715200 bytes."),
    "422": lambda: IdempotencyKeyReused(
        "This Idempotency-Key was sent with another request before."
    ),
    "429": lambda: RateLimited("This token may create 60 tasks in a minute.", 30),
    "500": lambda: InternalError("An internal error; the server's log tells more."),
    "503": lambda: Unavailable("Too many documents wait; try again later."),
    # The second cases of a status, by their codes.
    "source_expired": lambda: SourceExpired(
        "The document is not kept any more, so no other format can be made; send it again."
    ),
    "page_not_exist": lambda: PageNotFound("The document has no such page."),
    "not_made": lambda: NotMade("The document has no page that could be read."),
    "result_expired": lambda: ResultExpired("The result was kept for its time and is deleted."),
    "operators_only": lambda: OperatorsOnly("Only an operator's token may see this."),
    "too_many_streams": lambda: TooManyStreams(
        "This token watches 500 tasks already, which is its limit."
    ),
    "too_many_tasks": lambda: TooManyTasks(
        "This token has 4 unfinished tasks, which is its limit."
    ),
    "not_stored": lambda: NotStored("The file could not be stored: the disk is full or fails."),
}


def _failed() -> AppError:
    return AppError("The document could not be recognized.")


_EMPTY = type("_Empty", (AppError,), {"state": State.EMPTY_RESULT, "code": "internal_error"})

_FAILURES: dict[State, Callable[[], AppError]] = {
    State.FAILED: _failed,
    State.NOT_STORED: lambda: NotStored("The file could not be stored: the disk is full or fails."),
    State.DOWNLOAD_FAILED: lambda: DownloadFailed(
        "The server behind the URL answered with status 404."
    ),
    State.TOO_LARGE: lambda: TooLarge("The document has more than 5000 pages; send it in parts."),
    State.INVALID_FILE: lambda: InvalidFile("The file is damaged."),
    State.TIMED_OUT: lambda: TimedOut(
        "The document takes longer than the limit; send fewer pages."
    ),
    State.INTERNAL_ERROR: lambda: InternalError(
        "An internal error; the server's log tells more under the task's id."
    ),
    State.EMPTY_RESULT: lambda: _EMPTY("The result is empty."),
    State.CANCELLED: lambda: Cancelled("The task was cancelled."),
    State.OUT_OF_RESOURCES: lambda: OutOfResources(
        "The document needs more memory than a task may take."
    ),
}

_STATES = {str(int(state)): state for state in sorted(State)}

_WORDS: dict[str, _Word] = {
    "state": _Word(lambda given: _STATES[_one(given)], f"one of {', '.join(_STATES)}"),
    "http": _Word(_among(_REFUSALS), f"one of {', '.join(_REFUSALS)}"),
    "retry": _Word(_number(0, _MOST_S), "a number of seconds"),
    "delay": _Word(_number(0, _MOST_S, float), "a number of seconds"),
    "progress": _Word(_list(0, 100), "numbers from 0 to 100 with commas between"),
    "step": _Word(_number(0, _MOST_S, float), "a number of seconds"),
    "pages": _Word(_number(1, MOST_PAGES), f"a number from 1 to {MOST_PAGES}"),
    "text": _Word(_one, "URL-encoded text"),
    "failed": _Word(_list(1, MOST_PAGES), "numbers of pages with commas between"),
    "drop": _Word(_among({"before": 0, "during": 0}), "before or during"),
    "callback": _Word(_among({"lost": 0, "twice": 0, "forged": 0}), "lost, twice or forged"),
}

"""For whom the code that runs now works: a request, a task, a span of a trace.

It goes with the thread or coroutine, so that log lines and spans can say so without being told.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass, field, replace
from functools import wraps
from types import TracebackType
from typing import ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Place:
    """A span of a trace, as others know it: the ``traceparent`` of W3C Trace Context."""

    trace_id: str  # 32 hexadecimal digits.
    span_id: str  # 16 of them.
    sampled: bool = True

    @staticmethod
    def parse(traceparent: str | None) -> Place | None:
        """What ``traceparent`` says; None if it says nothing."""
        found = _TRACEPARENT.fullmatch(traceparent or "")
        if (
            found is None
            or found["version"] == "ff"
            or (found["version"] == "00" and found["more"])
        ):
            return None
        if not int(found["trace"], 16) or not int(found["span"], 16):
            return None
        return Place(found["trace"], found["span"], bool(int(found["flags"], 16) & 1))

    def __str__(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{self.sampled:02x}"

    def below(self) -> Place:
        """A new span of the same trace."""
        return Place(self.trace_id, os.urandom(8).hex(), self.sampled)


_TRACEPARENT = re.compile(
    "(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})"
    "-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)


Attributes = dict[str, str | int | float | bool]


@dataclass(slots=True)
class Span:
    """What was done for a request or a task, from when to when (nanoseconds of Unix time)."""

    name: str
    place: Place
    parent: str | None  # The id of the span that it belongs to.
    start_ns: int
    end_ns: int = 0
    kind: str = "internal"  # server, client, producer, consumer.
    attributes: Attributes = field(default_factory=dict)
    error: str | None = None  # What went wrong, in a word.


class Watch(Protocol):
    """Where figures and spans go."""

    @property
    def traces(self) -> bool:
        """Whether spans are wanted."""

    def note(self, metric: str, value: float, *labels: str) -> None:
        """Add ``value`` to a metric of ``app.metrics``."""

    def span(self, span: Span) -> None:
        """Take a span that has ended."""


class Blind:
    """A watch that looks away."""

    traces = False

    def note(self, metric: str, value: float, *labels: str) -> None:
        """Nothing is noted."""

    def span(self, span: Span) -> None:
        """Nothing is kept."""


@dataclass(frozen=True, slots=True)
class Context:
    """For whom we work."""

    request_id: str | None = None
    task_id: str | None = None
    place: Place | None = None  # The span that what is done now belongs to.
    watch: Watch = field(default_factory=Blind)

    @property
    def is_traced(self) -> bool:
        """Whether spans of what is done now are wanted."""
        return self.place is not None and self.place.sampled and self.watch.traces


NOBODY = Context()

_now: ContextVar[Context] = ContextVar("context", default=NOBODY)
_step: ContextVar[step | None] = ContextVar("step", default=None)


def current() -> Context:
    """For whom we work now."""
    return _now.get()


@contextmanager
def working_for(context: Context) -> Iterator[None]:
    """Work for somebody else, and then as before."""
    token = _now.set(context)
    try:
        yield
    finally:
        _now.reset(token)


def origin() -> dict[str, str | None]:
    """What the row of a task keeps of the request that makes it."""
    context = _now.get()
    traced = context.place if context.is_traced else None
    return {"request_id": context.request_id, "traceparent": str(traced) if traced else None}


class step:
    """A step of the work: its seconds, without those of steps within it, are noted, and a span.

    ``engine`` is the engine that does it. Not around a ``yield``: whoever gets the value would be
    within it.
    """

    __slots__ = ("_began", "_engine", "_inner", "_name", "_outer", "_span", "_token", "_watch")

    def __init__(self, name: str, engine: str = "", **attributes: str | int | float) -> None:
        context = _now.get()
        self._name, self._engine, self._watch = name, engine, context.watch
        self._token: Token[Context] | None = None
        self._span: Span | None = None
        self._inner = 0.0
        if context.is_traced:
            assert context.place is not None
            self._span = Span(name, context.place.below(), context.place.span_id, time.time_ns())
            self._span.attributes.update(attributes)
            if engine:
                self._span.attributes["ocr.engine"] = engine

    def __enter__(self) -> step:
        """Begin."""
        if self._span is not None:
            self._token = _now.set(replace(_now.get(), place=self._span.place))
        self._outer = _step.get()
        _step.set(self)
        self._began = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """End."""
        seconds = time.perf_counter() - self._began
        _step.set(self._outer)
        if self._outer is not None:
            self._outer._inner += seconds
        own = max(0.0, seconds - self._inner)
        self._watch.note("ocr_step_seconds_total", own, self._name, self._engine)
        self._watch.note("ocr_steps_total", 1, self._name, self._engine)
        if self._span is not None:
            assert self._token is not None
            _now.reset(self._token)
            self._span.end_ns = time.time_ns()
            self._span.error = _word(error)
            self._watch.span(self._span)


def stepped(name: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make all that a function does a step."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def within(*args: P.args, **options: P.kwargs) -> R:
            with step(name):
                return function(*args, **options)

        return within

    return decorate


@contextmanager
def span(name: str, kind: str, parent: Place, attributes: Attributes) -> Iterator[None]:
    """Work within a span of its own below ``parent``."""
    context = _now.get()
    made = Span(name, parent.below(), parent.span_id, time.time_ns(), 0, kind, attributes)
    try:
        with working_for(replace(context, place=made.place)):
            yield
    except BaseException as error:
        made.error = _word(error)
        raise
    finally:
        made.end_ns = time.time_ns()
        context.watch.span(made)


def _word(error: BaseException | None) -> str | None:
    """What is told of an error: its code if it has one; messages may have names in them."""
    return None if error is None else str(getattr(error, "code", "") or type(error).__name__)

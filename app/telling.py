"""What a worker tells its supervisor through a pipe: that it is ready or spent, figures, spans.

Lines of JSON, each written in one piece. The pipe never holds up a worker: what it has no room for
is told later, or, if it is a span, not at all.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from app.context import Place, Span

_ATOMIC_BYTES = 4096  # PIPE_BUF of Linux: writes up to it are whole, or are not at all.
_PIPE_BYTES = 2**20
_MOST_SPANS = 500  # Between two tellings,
_EVERY_S = 0.2  # which are no more often, as tasks may take less time than to tell of them.


def pipe() -> tuple[int, int]:
    """A pipe to read from and to write to; neither end makes anybody wait."""
    ours, theirs = os.pipe()
    for end in (ours, theirs):
        os.set_blocking(end, False)
    with contextlib.suppress(OSError):  # The system may allow less.
        fcntl.fcntl(theirs, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return ours, theirs


class Teller:
    """The worker's end: a watch that keeps what it is told until it can be passed on."""

    def __init__(self, descriptor: int, traces: bool = False) -> None:
        self.traces = traces
        self._descriptor = descriptor
        self._sums: dict[tuple[str, ...], float] = {}
        self._single: list[tuple[str | float, ...]] = []
        self._spans: list[Span] = []
        self._left_out = 0
        self._due = 0.0

    def ready(self) -> None:
        """It has read its warm-up page."""
        self._write({"ready": True})

    def spent(self) -> None:
        """Another worker should take over; it may be said more than once."""
        self._write({"spent": True})

    def note(self, metric: str, value: float, *labels: str) -> None:
        """Keep a figure."""
        if metric.endswith("_total"):
            key = (metric, *labels)
            self._sums[key] = self._sums.get(key, 0.0) + value
        else:
            self._single.append((metric, value, *labels))

    def span(self, span: Span) -> None:
        """Keep a span, unless there are too many."""
        if len(self._spans) < _MOST_SPANS:
            self._spans.append(span)
        else:
            self._left_out += 1

    def pass_on_if_due(self) -> None:
        """Tell what is kept, if the last time was a moment ago."""
        if time.monotonic() >= self._due:
            self.pass_on()

    def pass_on(self) -> None:
        """Tell what is kept."""
        self._due = time.monotonic() + _EVERY_S
        notes = [(name, value, *labels) for (name, *labels), value in self._sums.items()]
        for batch in _batches([*notes, *self._single]):
            if not self._write({"notes": batch}):
                break
            for metric, value, *labels in batch:
                if self._sums.pop((metric, *labels), None) is None:
                    self._single.remove((metric, value, *labels))
        spans, self._spans = self._spans, []
        if spans and self._left_out:
            spans[-1].attributes["ocr.spans_left_out"] = self._left_out
            self._left_out = 0
        for batch in _batches([asdict(span) for span in spans]):
            if not self._write({"spans": batch}):
                break

    def _write(self, told: dict[str, Any]) -> bool:
        line = json.dumps(told, separators=(",", ":")).encode() + b"\n"
        try:
            return os.write(self._descriptor, line) == len(line)
        except BlockingIOError:
            return False


class Listener:
    """The supervisor's end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._rest = b""

    def heard(self) -> Iterator[dict[str, Any]]:
        """What was told since; a worker that was killed may have left half a line.

        Raises ValueError, RecursionError for what no worker tells.
        """
        try:
            # Once, so that nobody who writes on and on is listened to for ever.
            data = os.read(self._descriptor, _PIPE_BYTES)
        except BlockingIOError:
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in (*lines, self._rest):
            if len(line) > _ATOMIC_BYTES:
                raise ValueError("No line is as long.")
        for line in lines:
            yield json.loads(line)

    def close(self) -> None:
        """Let go of the pipe."""
        os.close(self._descriptor)


def span_of(told: dict[str, Any]) -> Span:
    """A span as it was told."""
    return Span(**{**told, "place": Place(**told["place"])})


def _batches(items: list[Any]) -> Iterator[list[Any]]:
    """The items in order, as many at a time as one line can hold; none that is too long."""
    batch: list[Any] = []
    size = _FRAME_BYTES
    for item in items:
        length = len(json.dumps(item, separators=(",", ":"))) + 1
        if length + _FRAME_BYTES > _ATOMIC_BYTES:
            continue
        if size + length > _ATOMIC_BYTES:
            yield batch
            batch, size = [], _FRAME_BYTES
        batch.append(item)
        size += length
    if batch:
        yield batch


_FRAME_BYTES = 20

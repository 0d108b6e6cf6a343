"""What work on a task leaves behind: log lines with its ids, figures of its wait, its spans."""

import contextlib
import time
from collections.abc import Iterator

from app.context import Attributes, Context, Place, Span, Watch, span, working_for
from app.leases import Hold


@contextlib.contextmanager
def on(hold: Hold, watch: Watch, asked_ns: int) -> Iterator[None]:
    """Work on what is held, for whose claim the database was asked at ``asked_ns`` (Unix time)."""
    task, now_ns = hold.task, time.time_ns()
    place = Place.parse(task.traceparent) if watch.traces else None
    is_first = hold.part is None and not hold.parts and task.attempts == 1
    is_first &= task.source_url is None or hold.is_download  # What is downloaded waited before.
    if is_first:
        watch.note("ocr_task_wait_seconds", max(0.0, asked_ns / 1e9 - task.created_at))
    with working_for(Context(task.request_id, task.id, place, watch)):
        if place is None or not place.sampled:
            yield
            return
        about: Attributes = {"ocr.task_id": task.id}
        about["ocr.queue"] = "downloads" if hold.is_download else "recognition"
        spans = [("claim", asked_ns, now_ns)]
        if is_first:  # Of others, rows know a place in the queue, and no time.
            spans.append(("wait", min(int(task.created_at * 1e9), asked_ns), asked_ns))
        for name, start_ns, end_ns in spans:
            watch.span(Span(name, place.below(), place.span_id, start_ns, end_ns, attributes=about))
        known: Attributes = {"ocr.task_id": task.id, "ocr.worker": hold.worker}
        if hold.part is not None:
            known |= {"ocr.first_page": hold.part.first, "ocr.last_page": hold.part.last}
        with span("download" if hold.is_download else "work", "consumer", place, known):
            yield

"""Reports to the addresses that clients name in ``callback_url``: signed, retried, recorded.

Several are under way at once, few of them to one host, so that a host which is slow or gone holds
up no reports but its own.
"""

import contextlib
import hashlib
import hmac
import json
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy.orm import Session, sessionmaker

from app import db
from app.context import Blind, Context, Place, Watch, current, span, working_for
from app.errors import AppError
from app.fetch import Fetcher
from app.rows import Task

log = logging.getLogger(__name__)

RETRY_S = (60, 300, 1800, 7200, 6 * 3600)
"""Seconds to wait after each failed try; after the last, no more."""

TIMEOUT_S = 10.0
"""Limit for one report, in seconds; well below the first of ``RETRY_S``."""

MOST_AT_ONCE = 16
"""Reports under way."""

MOST_OF_A_HOST = 2
"""Of these, to one host and port."""

_GONE = 410
_LOOK_S = 1.0


class Reporter:
    """Sends the reports that are due; the rows say which, so that a restart loses none."""

    def __init__(
        self,
        sessions: sessionmaker[Session],
        fetcher: Fetcher,
        envelope: Callable[[Task], dict[str, Any]],
        watch: Watch | None = None,
    ) -> None:
        """``envelope`` gives what is told of a task."""
        self._watch = watch or Blind()
        self._sessions = sessions
        self._fetcher = fetcher
        self._envelope = envelope
        self._lock = threading.Lock()
        self._under_way: Counter[str | None] = Counter()
        self._ended = threading.Event()

    def run(self, stopping: threading.Event) -> None:
        """Send reports until ``stopping``; those under way then are sent again after a start."""
        while not stopping.is_set():
            self._ended.clear()
            try:
                task = self.take()
            except Exception:
                log.exception("the database was not asked for reports; it is tried again")
                task = None
            if task is None:
                self._ended.wait(_LOOK_S)
            else:
                self._start(task, stopping)

    def _start(self, task: Task, stopping: threading.Event) -> None:
        try:
            threading.Thread(target=self.send, args=(task,), name="callback", daemon=True).start()
        except RuntimeError:  # The row says when it is due again.
            log.exception("there is no thread for the report of task %s; it is sent later", task.id)
            self._ends(task)
            stopping.wait(_LOOK_S)

    def take(self) -> Task | None:
        """A task whose report is due and may be sent now; nobody else gets it for a while."""
        with self._lock:
            if self._under_way.total() >= MOST_AT_ONCE:
                return None
            busy = [host for host, n in self._under_way.items() if n >= MOST_OF_A_HOST]
        with self._sessions.begin() as session:
            task = db.due_callback(session, time.time() + RETRY_S[0], busy)
        if task is not None:
            with self._lock:
                self._under_way[task.callback_host] += 1
        return task

    def send(self, task: Task) -> None:
        """Send the report of a task that was taken, and note what came of it."""
        try:
            with self._trail(task):
                due, result = self._try(task)
            with self._sessions.begin() as session:
                db.settle_callback(session, task.id, due, result)
        except Exception:
            log.exception("the report of task %s is sent again", task.id)
        finally:
            self._ends(task)

    @contextlib.contextmanager
    def _trail(self, task: Task) -> Iterator[None]:
        place = Place.parse(task.traceparent) if self._watch.traces else None
        with working_for(Context(task.request_id, task.id, place, self._watch)):
            if place is None or not place.sampled:
                yield
                return
            with span("callback", "client", place, {"ocr.task_id": task.id}):
                yield

    def _ends(self, task: Task) -> None:
        with self._lock:
            self._under_way[task.callback_host] -= 1
            self._under_way += Counter()  # Forgets hosts that have none.
        self._ended.set()

    def _try(self, task: Task) -> tuple[float | None, str]:
        """When the next try is due, if there is one, and what came of this one."""
        assert task.callback_url is not None
        body = json.dumps(self._envelope(task))
        try:
            status = deliver(self._fetcher, task.callback_url, body, task.owner)
        except AppError as error:
            log.info("the report of task %s could not be delivered: %s", task.id, error)
            self._watch.note("ocr_callbacks_total", 1, "failed")
            return retry_at(task.callback_attempts), str(error)
        done = 200 <= status < 300 or status == _GONE
        self._watch.note("ocr_callbacks_total", 1, "delivered" if done else "refused")
        return None if done else retry_at(task.callback_attempts), str(status)


def deliver(fetcher: Fetcher, url: str, body: str, key: str) -> int:
    """POST ``body`` to ``url``; the status of the answer. Raises DownloadFailed."""
    now = str(int(time.time()))
    headers = {
        "Content-Type": "application/json",
        "X-OCR-Timestamp": now,
        "X-OCR-Signature": "sha256=" + signature(key, now, body),
    }
    context = current()
    if context.is_traced:
        headers["traceparent"] = str(context.place)
    return fetcher.post(url, body.encode(), headers)


def signature(key: str, timestamp: str, body: str) -> str:
    """HMAC-SHA256, hexadecimal, of the time stamp, a full stop and the body.

    ``key`` is the SHA-256 of the token, hexadecimal: both sides know it, and nothing else is
    to be agreed upon. The time stamp is signed so that an old report cannot be sent again.
    """
    return hmac.new(key.encode(), f"{timestamp}.{body}".encode(), hashlib.sha256).hexdigest()


def retry_at(attempts: int) -> float | None:
    """When to try again after ``attempts`` failed tries (Unix seconds); None for never."""
    return time.time() + RETRY_S[attempts - 1] if attempts <= len(RETRY_S) else None


def host_of(url: str) -> str:
    """The host and port of a URL that was checked: what reports are counted by."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{(parts.hostname or '').rstrip('.')}:{port}"

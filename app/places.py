"""Places in the queues: fair between tokens, and short work before long.

A place is a number, and lower ones come first. It is a time while a queue is short; in a queue
that grows, it is the virtual time of start-time fair queueing (Goyal, Vin and Cheng, 1996): a
token's first task goes next to who is served, each further one a step behind the one before. So
tokens take turns, whoever has sent a thousand documents too, and whoever is alone is served as
quickly as if there were no order.
"""

from __future__ import annotations

import time
from functools import cache
from typing import Any

from sqlalchemy import bindparam, func, select, text
from sqlalchemy.orm import Session

from app.db import DIVIDED, LINKED, SENT, Task, is_download
from app.errors import Unavailable
from app.interfaces import Queue

_STEP = 1e-3  # Small against what a queue takes for a step, so that no place is ahead of the clock.
_NEXT = _STEP / 10  # Tokens with one task each keep their order,
_BEHIND = 20 * _STEP  # and so many tasks, or ten times as many tokens, pass a part.
_KEPT_S = 0.02  # Who is next is asked so seldom.


class Places:
    """Gives places in the two queues; safe to share between threads."""

    def __init__(self, queue: Queue, downloads: Queue) -> None:
        self._queues = (queue, downloads)
        self._known: dict[bool, tuple[float, float]] = {}  # When it was asked, and what came of it.

    def of_task(self, session: Session, task: Task, *, ahead: bool = False) -> float:
        """That of a task which waits for a worker, or to be downloaded.

        ``ahead``: before all others, for what takes next to no time.
        """
        if ahead:
            return self._now(is_download(task)) - _STEP
        return self._behind_own(session, task.owner, is_download(task))

    def downloaded(self, session: Session, owner: str) -> float:
        """That of a task which was downloaded and waits for a worker."""
        return self._behind_own(session, owner, download=False)

    def of_part(self, session: Session, owner: str) -> float:
        """That of the next part of one of a token's long documents."""
        now = self._now(download=False) + _BEHIND
        last = _last(session, DIVIDED, owner)
        return now if last is None else max(now, last + _STEP)

    def again(self, download: bool) -> float:
        """That of what has had its turn, and must have another."""
        return self._now(download) + _NEXT

    def _behind_own(self, session: Session, owner: str, download: bool) -> float:
        now = self._now(download) + _NEXT
        last = _last(session, LINKED if download else SENT, owner)
        return now if last is None else max(now, last + _STEP)

    def _now(self, download: bool) -> float:
        asked, found = self._known.get(download, (0.0, 0.0))
        if time.monotonic() - asked >= _KEPT_S:
            found = self._ask(download)
            self._known[download] = time.monotonic(), found
        return found

    def _ask(self, download: bool) -> float:
        try:
            head = self._queues[download].head()
        except Unavailable:  # What it does not hear of is announced later, by the place it has.
            head = None
        if head is None:
            return time.time()
        unit, place = head
        return place - _BEHIND if ":" in unit else place


def _last(session: Session, waiting: str, owner: str) -> float | None:
    """The last place that an owner has among those that wait so."""
    found = session.connection().execute(_last_of(waiting), {"owner": owner})
    last: float | None = found.scalar_one()
    return last


@cache
def _last_of(waiting: str) -> Any:
    return select(func.max(Task.queued_at)).where(Task.owner == bindparam("owner"), text(waiting))

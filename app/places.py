"""Places in the queues: fair between tokens, and short work before long.

A place is a number, and lower ones come first. It is a time while a queue is short; in a queue
that grows, it is the virtual time of start-time fair queueing (Goyal, Vin and Cheng, 1996): a
token's first task goes next to who is served, each further one a step behind the one before, even
if that one is served already. So tokens take turns, whoever has sent a thousand documents too, and
whoever is alone is served as quickly as if there were no order.
"""

from __future__ import annotations

import threading
import time
from functools import cache

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from app.db import is_download
from app.errors import Unavailable
from app.interfaces import Queue
from app.rows import DIVIDED, LINKED, SENT, Task
from app.statement import Statement, given

_STEP = 1e-3  # Small against what a queue takes for a step, so that no place is ahead of the clock.
_NEXT = _STEP / 10  # Tokens with one task each keep their order,
_BEHIND = 5 * _STEP  # and so many tasks, or ten times as many tokens, pass a part.
_KEPT_S = 0.02  # Who is next, or an owner's last, is asked so seldom,
_AWAY_S = 2.0  # and a queue that does not answer even less.
_MOST_OWNERS = 1000


class Places:
    """Gives places in the two queues; safe to share between threads."""

    def __init__(self, queue: Queue, downloads: Queue) -> None:
        self._clocks = (_Clock(queue), _Clock(downloads))

    def of_task(self, session: Session, task: Task, *, ahead: bool = False) -> float:
        """That of a task which waits for a worker, or to be downloaded.

        ``ahead``: next to who is served, for what takes next to no time.
        """
        if ahead:
            return self.again(is_download(task))
        return self._behind_own(session, task.owner, is_download(task))

    def downloaded(self, session: Session, owner: str) -> float:
        """That of a task which was downloaded and waits for a worker."""
        return self._behind_own(session, owner, download=False)

    def of_part(self, session: Session, owner: str) -> float:
        """That of the next part of one of a token's long documents."""
        now = self._clocks[False].now() + _BEHIND
        last = _last(session, DIVIDED, owner)
        return now if last is None else max(now, last + _STEP)

    def again(self, download: bool) -> float:
        """That of what has had its turn, and must have another."""
        clock = self._clocks[download]
        return clock.give(clock.now() + _NEXT)

    def _behind_own(self, session: Session, owner: str, download: bool) -> float:
        clock = self._clocks[download]
        now = clock.now()  # Before the database is asked: the queue may be slow to answer.
        waiting = 0.0
        if clock.asks_for(owner):
            waiting = _last(session, LINKED if download else SENT, owner) or 0.0
        return clock.give(now + _NEXT, owner, waiting)


class _Clock:
    """The virtual time of a queue, as one process sees it."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._lock = threading.Lock()
        self._asked_until = 0.0
        self._start = self._end = 0.0  # What time it may be, by who is next in the queue.
        self._given = 0.0  # The last place that was given to one who comes next.
        self._lasts: dict[str, float] = {}  # The last places that owners were given.
        self._asked: dict[str, float] = {}  # Until when it is known what others gave them.

    def now(self) -> float:
        """The time: next to who is served, and behind those who came since.

        If it stood still while a part waits, each who comes would pass that.
        """
        if time.monotonic() >= self._asked_until:
            self._ask()
        with self._lock:
            # What was given outside of that was at another time, such as when nobody waited.
            return self._given if self._start <= self._given <= self._end else self._start

    def asks_for(self, owner: str) -> bool:
        """Whether it is time to ask where the last of an owner's tasks waits."""
        now = time.monotonic()
        with self._lock:
            if now < self._asked.get(owner, 0.0):
                return False
            if len(self._asked) > _MOST_OWNERS:
                self._asked.clear()
            self._asked[owner] = now + _KEPT_S
            return True

    def give(self, next_one: float, owner: str | None = None, waiting: float = 0.0) -> float:
        """The place ``next_one``, or if that is later, a step behind the last one of ``owner``.

        ``waiting`` is where the last of the owner's tasks waits, given by whichever process.
        """
        with self._lock:
            behind = max(waiting, self._lasts.get(owner, 0.0) if owner else 0.0) + _STEP
            if behind <= next_one:
                self._given = next_one
            place = max(next_one, behind)
            if owner is not None:
                self._lasts[owner] = place
                if len(self._lasts) > _MOST_OWNERS:
                    self._lasts = {o: last for o, last in self._lasts.items() if last > next_one}
            return place

    def _ask(self) -> None:
        kept_s = _KEPT_S
        try:
            head = self._queue.head()
        except Unavailable:  # What it does not hear of is announced later, by the place it has.
            head, kept_s = None, _AWAY_S
        with self._lock:
            self._asked_until = time.monotonic() + kept_s
            unit, place = head or ("", time.time())
            self._start = place - _BEHIND if ":" in unit else place
            self._end = place + _BEHIND
            if head is None:
                self._lasts.clear()


def _last(session: Session, waiting: str, owner: str) -> float | None:
    """The last place that an owner has among those that wait so."""
    row = _last_of(waiting).row(session, {"owner": owner})
    return row["last"] if row else None


@cache
def _last_of(waiting: str) -> Statement:
    last = func.max(Task.queued_at).label("last")
    return Statement(lambda _: select(last).where(Task.owner == given("owner"), text(waiting)))

"""Whether requests should come to this process: for load balancers.

All processes share one database. If each left its load balancer the moment this does not answer,
nobody would be left to say so in words that clients understand: whoever was ready stays so for
a while.
"""

import threading
import time
from collections.abc import Callable

_PATIENCE_S = 2.0  # Probes do not wait long, and a database that is cut off does not say so.
_GRACE_S = 15.0


class Readiness:
    """Ready is who has read a warm-up page and reached the database in the last while."""

    def __init__(self, ping: Callable[[], object], warm: Callable[[], bool]) -> None:
        """``ping`` raises something, or does not return, if the database does not answer."""
        self._ping = ping
        self._warm = warm
        self._lock = threading.Lock()
        self._answered_at: float | None = None
        self._asking: threading.Event | None = None  # Set when there is an answer, or none.

    def why_not(self) -> str | None:
        """What is lacking; None if nothing is."""
        self._asked().wait(_PATIENCE_S)
        at = self._answered_at
        if at is None or time.monotonic() - at > _GRACE_S:
            return "The database does not answer."
        if not self._warm():
            return "The workers are warming up."
        return None

    def _asked(self) -> threading.Event:
        with self._lock:
            if self._asking is None:
                answered = threading.Event()
                try:
                    threading.Thread(target=self._ask, args=[answered], daemon=True).start()
                except RuntimeError:  # There can be no more threads now; the next one asks again.
                    answered.set()
                    return answered
                self._asking = answered
            return self._asking

    def _ask(self, answered: threading.Event) -> None:
        try:
            self._ping()
            self._answered_at = time.monotonic()
        except Exception:  # noqa: S110 - what is wrong with it others say, in the log
            pass
        finally:
            with self._lock:
                self._asking = None
            answered.set()

"""Leases of what lives here are renewed; others' are left alone until those could do the same."""

import logging
import threading
import time
from collections.abc import Callable, Collection

from app.runner import Runner

log = logging.getLogger(__name__)

_TRIES = 6  # In the time of a lease.


class Renewal:
    """Renews the leases of those who are ``living``, by their names, while their supervisor runs.

    Workers do so with each page, and a page may take longer than a lease.
    """

    def __init__(
        self, runner: Runner, lease_s: float, living: Callable[[], Collection[str]]
    ) -> None:
        self._runner = runner
        self._lease_s = lease_s
        self._living = living
        self._every_s = lease_s / _TRIES
        self._renewed = self._since = float("-inf")  # The last time, and the first of its row.

    def run(self, over: threading.Event) -> None:
        """Renew until it is ``over``, whatever happens."""
        while True:
            try:
                self.renew()
            except Exception as error:
                log.warning("leases could not be renewed: %s", error)
            if over.wait(self._every_s):
                return

    def renew(self) -> None:
        """Renew once. Raises Unavailable."""
        self._runner.renew(self._living())
        now = _now()
        if not self._is_fresh(now):
            self._since = now
        self._renewed = now

    def others_could(self) -> bool:
        """Whether whoever lives has renewed: the database has answered for as long as a lease.

        It may have been away, or this machine stopped, while the leases of all ran out.
        """
        now = _now()
        return self._is_fresh(now) and now - self._since >= self._lease_s

    def _is_fresh(self, now: float) -> bool:
        return now - self._renewed <= 2 * self._every_s


def _now() -> float:
    """Seconds on a clock that nobody sets, and that goes on while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)

"""Fetches the documents that tasks name by URL, so that no worker waits for a stranger's server."""

import itertools
import logging
import threading
import time
from functools import partial
from pathlib import Path

from app.errors import Unavailable
from app.leases import Blame
from app.locks import held
from app.runner import ANSWER_S, AWAY_S, Runner

log = logging.getLogger(__name__)


class Downloader:
    """Does what the queue of downloads announces, at most ``most`` at once.

    Each is held under a name of its own: ``name``, a ``#`` and a number. ``lock`` says that the
    process which has this name lives.
    """

    def __init__(self, runner: Runner, name: str, lock: Path, most: int) -> None:
        self._runner = runner
        self._name = name
        self._lock = lock
        self._free = threading.Semaphore(most)
        self._numbers = itertools.count()
        self._under_way: dict[str, float] = {}  # And when each is overdue; monotonic.

    def under_way(self) -> list[str]:
        """The names under which something is held that is not overdue."""
        now = time.monotonic()
        return [name for name, until in [*self._under_way.items()] if now < until]

    def run(self, stopping: threading.Event) -> None:
        """Fetch until told to stop; what is under way then is left for the next one."""
        with held(self._lock):
            while not stopping.is_set():
                if not self._runner.has_room():
                    stopping.wait(AWAY_S)
                elif self._free.acquire(timeout=0.5):
                    begun = False
                    try:
                        begun = self._begin(stopping)
                    finally:
                        if not begun:
                            self._free.release()
            for name in [*self._under_way]:
                self._runner.release(name, Blame.NOBODY)

    def _begin(self, stopping: threading.Event) -> bool:
        """Begin what the queue has next; False if it has nothing."""
        try:
            unit = self._runner.downloads.get(0.5)
        except Unavailable:
            stopping.wait(AWAY_S)
            return False
        if unit is None:
            return False
        name = f"{self._name}#{next(self._numbers)}"
        self._beat(name, ANSWER_S)
        try:
            # A daemon: one that is under way does not keep a server from ending.
            threading.Thread(target=self._fetch, args=[unit, name], daemon=True).start()
        except RuntimeError:  # No more threads; the task waits until it is missed.
            del self._under_way[name]
            raise
        return True

    def _fetch(self, unit: str, name: str) -> None:
        try:
            self._runner.download(unit, name, partial(self._beat, name))
        except Unavailable as error:
            log.warning("a download is left for later: %s", error)
        except Exception:
            log.exception("a download failed")
        finally:
            # If it is held still, though no answer came or for a fault, its lease will tell.
            del self._under_way[name]
            self._free.release()

    def _beat(self, name: str, seconds: float) -> None:
        self._under_way[name] = time.monotonic() + seconds

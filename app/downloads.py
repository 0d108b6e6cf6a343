"""Fetches the documents that tasks name by URL, so that no worker waits for a stranger's server."""

import contextlib
import logging
import threading
from pathlib import Path

from app.errors import Unavailable
from app.leases import Blame
from app.locks import held
from app.runner import AWAY_S, Runner

log = logging.getLogger(__name__)


class Downloader:
    """Does what the queue of downloads announces, at most ``most`` at once."""

    def __init__(self, runner: Runner, name: str, lock: Path, most: int) -> None:
        """``name`` is what it holds leases by, and ``lock`` says that it lives."""
        self._runner = runner
        self._name = name
        self._lock = lock
        self._free = threading.Semaphore(most)

    def run(self, stopping: threading.Event) -> None:
        """Fetch until told to stop; what is under way then is left for the next one."""
        with held(self._lock):
            while not stopping.is_set():
                if not self._runner.has_room():
                    stopping.wait(AWAY_S)
                elif self._free.acquire(timeout=0.5):
                    unit = None
                    try:
                        unit = self._runner.downloads.get(0.5)
                    except Unavailable:
                        stopping.wait(AWAY_S)
                    if unit is None:
                        self._free.release()
                    else:
                        # A daemon: one that is under way does not keep a server from ending.
                        threading.Thread(target=self._fetch, args=[unit], daemon=True).start()
            with contextlib.suppress(Exception):  # The next start does it, if this fails.
                self._runner.release(self._name, Blame.NOBODY)

    def _fetch(self, unit: str) -> None:
        try:
            self._runner.download(unit, self._name)
        except Unavailable as error:
            log.warning("a download is left for later: %s", error)
        except Exception:
            log.exception("a download failed")
        finally:
            self._free.release()

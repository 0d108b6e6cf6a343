"""Does what the queues announce, whatever happens, and deals with what dead workers left."""

import contextlib
import errno
import logging
import os
import shutil
import time
from collections.abc import Callable, Collection
from functools import cached_property, partial
from pathlib import Path

from app import languages, trail
from app.context import Blind, Watch, step
from app.disk import Disk
from app.errors import (
    AppError,
    Cancelled,
    InternalError,
    OutOfResources,
    TimedOut,
    TooLarge,
    Unavailable,
)
from app.fetch import Fetcher
from app.interfaces import Queue, Storage
from app.keys import source_key
from app.leases import Beat, Blame, Hold, Leases, surely
from app.pipeline import Order, Pipeline
from app.rows import Task
from app.turn import GRACE_S, Limits, Turn

log = logging.getLogger(__name__)

SAMPLE = Path(__file__).parent / "sample.png"
"""A small page with Chinese and English, for warming up and for trying things out."""

AWAY_S = 1.0
"""Between two looks at a database, a queue or a disk that cannot be used."""

ANSWER_S = 120.0
"""Within which the database answers a worker that takes or returns something, or fails."""

_ABANDONED_S = 60.0  # A folder may be a moment older than the row that says it is in use.


class Runner:
    """Does what the queues announce: documents in one thread, downloads in any number of them.

    A database that is away while a task is done is waited for; a task that the disk has no room
    for, or whose files cannot be reached, is queued again.
    """

    def __init__(
        self,
        leases: Leases,
        storage: Storage,
        queue: Queue,
        downloads: Queue,
        fetcher: Fetcher,
        pipeline: Callable[[], Pipeline],
        work: Path,
        disk: Disk,
        limits: Limits,
        watch: Watch | None = None,
    ) -> None:
        self._leases = leases
        self._storage = storage
        self.queue = queue
        self.downloads = downloads
        self._fetcher = fetcher
        self._make_pipeline = pipeline
        self._work = work
        self._disk = disk
        self._limits = limits
        self._watch = watch or Blind()

    @cached_property
    def pipeline(self) -> Pipeline:
        """Built on first use: only workers pay for the engines."""
        return self._make_pipeline()

    @property
    def keeps_sources(self) -> bool:
        """Whether documents are kept for other formats of them."""
        return self._leases.keeps_sources

    def close(self) -> None:
        """Let go of the queue; end what the parts of the pipeline have started."""
        if "pipeline" in self.__dict__:
            self.pipeline.close()
        self.queue.close()
        self.downloads.close()

    def warm_up(self) -> None:
        """Read a page, so that the first task finds everything loaded."""
        folder = self._work / f"warm-up-{os.getpid()}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            order = Order("txt", languages.parse(languages.DEFAULT))
            self.pipeline.run(order, SAMPLE, folder, folder / "result", lambda *_: None)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def prepare(self) -> bool:
        """Do a little that makes later tasks quicker; False where nothing is left to do."""
        try:
            return self.pipeline.prepare()
        except AppError as error:
            log.warning("not prepared, so that the first tasks take longer: %s", error)
            return False

    def announce(self, task: Task) -> None:
        """Queue a task whose row is new."""
        self._leases.announce(task)

    def has_room(self) -> bool:
        """Whether the disk has room for another task."""
        return self._disk.has_room_for_work()

    def run(self, unit: str, worker: str, beat: Beat = lambda _: None) -> None:
        """Do a task or a part, if it is still to be done.

        ``beat`` is called at every sign of progress. Raises Unavailable, with nothing begun.
        """
        beat(ANSWER_S)
        asked_ns = time.time_ns()
        hold = self._leases.claim(unit, worker)
        if hold is not None:

            def work(folder: Path) -> None:
                Turn(
                    self._leases, self._storage, self.pipeline, self._limits, hold, folder, beat
                ).take()

            with trail.on(hold, self._watch, asked_ns):
                self._attempt(hold, work, beat)

    def download(self, unit: str, worker: str, beat: Beat = lambda _: None) -> None:
        """Fetch the document of a task, if that is still to be done, and let workers have it.

        ``beat`` is called at every sign of progress. Raises Unavailable, with nothing begun.
        """
        beat(ANSWER_S)
        asked_ns = time.time_ns()
        hold = self._leases.claim(unit, worker, download=True)
        if hold is not None:
            with trail.on(hold, self._watch, asked_ns):
                self._attempt(hold, partial(self._download, hold, beat), beat)

    def _attempt(self, hold: Hold, work: Callable[[Path], None], beat: Beat) -> None:
        """Do ``work`` in a folder of its own, and deal with all that can go wrong."""
        folder = self._work / hold.folder
        try:
            folder.mkdir(parents=True)
            work(folder)
        except Cancelled:
            log.info("task %s was deleted or taken over while it ran", hold.task.id)
        except Exception as error:
            self._fail(hold, error, folder, beat)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _fail(self, hold: Hold, error: Exception, folder: Path, beat: Beat) -> None:
        if isinstance(error, Unavailable):
            log.warning("task %s is left for later: %s", hold.task.id, error)
            surely(lambda: self._leases.take_back(hold, Blame.NOBODY), beat)
            time.sleep(AWAY_S)  # Or it would come at once, as often as there is time.
        elif self._disk.is_cause(error):
            log.warning("task %s found no room on the disk", hold.task.id, exc_info=error)
            shutil.rmtree(folder, ignore_errors=True)
            # If there is room now, it was the task itself that had taken it.
            blame = Blame.DOCUMENT if self._disk.has_room_for_work() else Blame.NOBODY
            cause = OutOfResources("The document needs more room on the disk than the server has.")
            surely(lambda: self._leases.take_back(hold, blame, cause), beat)
        elif isinstance(error, FileNotFoundError):
            # A store of several machines may not find at once what it has.
            log.exception("task %s misses a file", hold.task.id)
            missing = _translated(error)
            time.sleep(AWAY_S)
            surely(lambda: self._leases.take_back(hold, Blame.DOCUMENT, missing), beat)
        else:
            if (over := over_a_limit(error)) is not None:
                log.warning("task %s is over a limit", hold.task.id, exc_info=error)
                told = over
            elif isinstance(error, AppError):
                log.info("task %s failed: %s", hold.task.id, error, exc_info=error.__cause__)
                told = error
            else:
                log.exception("task %s failed", hold.task.id)
                told = _translated(error)
            surely(lambda: self._leases.fail(hold, told), beat)

    def _download(self, hold: Hold, beat: Beat, folder: Path) -> None:
        task, source = hold.task, folder / "source"
        assert task.source_url is not None
        beat(self._limits.fetch_timeout_s + GRACE_S)
        with step("fetch"):
            self._fetcher.fetch(task.source_url, source, task.base_url)
        beat(self._limits.step_timeout_s + GRACE_S)
        size = source.stat().st_size
        self._storage.put(source, source_key(task))
        surely(lambda: self._leases.hand_over(hold, input_size=size), beat)

    def workers(self) -> set[str]:
        """The workers that hold a lease."""
        return self._leases.workers()

    def renew(self, workers: Collection[str]) -> None:
        """Extend the leases of whatever ``workers`` hold. Raises Unavailable."""
        self._leases.renew_all(workers)

    def sweep(self, *, tasks_only: bool = False) -> None:
        """Remove the work folders that nobody works in: what killed processes left.

        ``tasks_only``: those of tasks, which can be told while others are in use.
        """
        busy = self._leases.running()
        for folder in self._work.glob("????????-????-*" if tasks_only else "*"):
            task_id, _, _ = folder.name.partition(".")
            with contextlib.suppress(FileNotFoundError):
                if task_id not in busy and time.time() - folder.stat().st_mtime > _ABANDONED_S:
                    shutil.rmtree(folder, ignore_errors=True)

    def release(self, worker: str, blame: Blame = Blame.DOCUMENT, timed_out: bool = False) -> None:
        """Deal with what a dead worker left: try again, or fail what ended it too often.

        ``timed_out``: its timer ended it.
        """
        for hold in self._leases.lost(worker):
            if timed_out:
                self._leases.fail(hold, TimedOut("A page takes longer than the limit."))
            else:
                self._take_back(hold, blame)

    def recover(self, is_living: Callable[[str], bool] = lambda _: False) -> None:
        """Queue again what lost its worker, and what the queue lost.

        Workers that live keep what they hold: the clock may have been set.
        """
        for hold in self._leases.lost():
            if not is_living(hold.worker):
                # No proof against the document.
                self._take_back(hold, Blame.KILLER, expired=True)
        self._leases.announce_lost()

    def _take_back(self, hold: Hold, blame: Blame, *, expired: bool = False) -> None:
        self._leases.take_back(hold, blame, expired=expired)
        shutil.rmtree(self._work / hold.folder, ignore_errors=True)


def over_a_limit(error: BaseException) -> AppError | None:
    """What a caller is told if the kernel gave a task no more memory, or no larger file.

    Libraries have their own words for it, and adapters take it for a fault of the document.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError) or any(words in str(cause) for words in _NO_MEMORY):
            return OutOfResources("The document needs more memory than a task may take.")
        if isinstance(cause, OSError) and cause.errno == errno.EFBIG:
            return TooLarge("The result, or a file on the way to it, would be too large.")
        cause = cause.__cause__ or cause.__context__
    return None


# Of C++, OpenCV, the system, OpenVINO; the last is a thread that could not be started.
_NO_MEMORY = (
    "bad_alloc",
    "Insufficient memory",
    "Cannot allocate memory",
    "can't alloc",
    "Resource temporarily unavailable",
)


def _translated(error: Exception) -> AppError:
    """What a caller is told of an error that no part foresaw."""
    if isinstance(error, OSError) and error.errno == errno.EMFILE:
        return OutOfResources("The server has too many files open; try again later.")
    return InternalError("An internal error; the server's log tells more under the task's id.")

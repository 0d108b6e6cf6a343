"""What workers do: whole tasks, parts of long ones, and what dead workers left.

A document that is not done in one turn is divided into parts, of which each leaves its pages in a
file. Whoever takes the task when all are finished makes the result of all pages.
"""

import errno
import logging
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

from app import languages
from app.db import Part
from app.errors import AppError, Cancelled, InternalError, OutOfResources, State, TimedOut
from app.fetch import Fetcher
from app.interfaces import Queue, Storage
from app.keys import original_key, portion_key, result_key, source_key, text_key
from app.leases import Hold, Leases
from app.pipeline import Job, Order, Outcome, Pipeline, Progress
from app.portion import Portion
from app.reading import Mode

log = logging.getLogger(__name__)

SAMPLE = Path(__file__).parent / "sample.png"
"""A small page with Chinese and English, for warming up and for trying things out."""

_PROGRESS_S = 0.2  # Between two pages that are told.
_ABANDONED_S = 60.0  # A folder may be a moment older than the row that says it is in use.


@dataclass(frozen=True, slots=True)
class Limits:
    """How long work may take."""

    task_timeout_s: float
    turn_s: float  # After which a worker lets other tasks have their turn.


class Runner:
    """Does what the queue announces, in one thread."""

    def __init__(
        self,
        leases: Leases,
        storage: Storage,
        queue: Queue,
        fetcher: Fetcher,
        pipeline: Callable[[], Pipeline],
        work: Path,
        limits: Limits,
    ) -> None:
        self._leases = leases
        self._storage = storage
        self.queue = queue
        self._fetcher = fetcher
        self._make_pipeline = pipeline
        self._work = work
        self._limits = limits

    @cached_property
    def pipeline(self) -> Pipeline:
        """Built on first use: only workers pay for the engines."""
        return self._make_pipeline()

    def close(self) -> None:
        """Let go of the queue; end what the parts of the pipeline have started."""
        if "pipeline" in self.__dict__:
            self.pipeline.close()
        self.queue.close()

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

    def run(self, unit: str, worker: str, beat: Callable[[], None] = lambda: None) -> None:
        """Do a task or a part, if it is still to be done.

        ``beat`` is called at every sign of progress.
        """
        hold = self._leases.claim(unit, worker)
        if hold is None:
            return
        beat()
        folder = self._work / hold.folder
        shutil.rmtree(folder, ignore_errors=True)  # What a killed worker left.
        try:
            folder.mkdir(parents=True)
            self._do(hold, folder, beat)
        except Cancelled:
            log.info("task %s was deleted or taken over while it ran", hold.task.id)
        except AppError as error:
            log.info("task %s failed: %s", hold.task.id, error, exc_info=error.__cause__)
            self._leases.fail(hold, error)
        except Exception as error:
            log.exception("task %s failed", hold.task.id)
            self._leases.fail(hold, _translated(error))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def workers(self) -> set[str]:
        """The workers that hold a lease."""
        return self._leases.workers()

    def sweep(self) -> None:
        """Remove the work folders that nobody works in: what killed processes left."""
        busy = self._leases.running()
        for folder in self._work.glob("*"):
            task_id, _, _ = folder.name.partition(".")
            if task_id not in busy and time.time() - folder.stat().st_mtime > _ABANDONED_S:
                shutil.rmtree(folder, ignore_errors=True)

    def release(self, worker: str, *, timed_out: bool = False, innocent: bool = False) -> None:
        """Deal with what a dead worker left: try again, or fail what ended it too often.

        ``timed_out``: its timer ended it. ``innocent``: it was ended from outside, so that the
        attempt does not count.
        """
        for hold in self._leases.lost(worker):
            if timed_out:
                self._leases.fail(hold, TimedOut("A page takes longer than the limit."))
            else:
                self._take_back(hold, innocent)

    def recover(self) -> None:
        """Queue again what lost its worker, and what the queue lost."""
        for hold in self._leases.lost():
            self._take_back(hold)
        self._leases.announce()

    def _take_back(self, hold: Hold, innocent: bool = False) -> None:
        self._leases.take_back(hold, innocent)
        shutil.rmtree(self._work / hold.folder, ignore_errors=True)

    def _do(self, hold: Hold, folder: Path, beat: Callable[[], None]) -> None:
        task, source, progress = hold.task, folder / "source", self._progress(hold, beat)
        order = Order(
            task.format,
            languages.parse(task.languages),
            task.password,
            task.pdfa,
            Mode(task.mode),
            hold.wants_text,
        )
        if hold.parts:
            self._storage.fetch(original_key(task.id), source)
            order = replace(order, password=None)
        elif task.source_url:
            self._fetcher.fetch(task.source_url, source)
            self._leases.renew(hold, input_size=source.stat().st_size)
            beat()
        else:
            self._storage.fetch(source_key(task), source)
        with self.pipeline.open(order, source, folder) as job:
            if job.indivisible:
                self._give_back(hold, job, order, folder, progress)
            elif hold.parts and hold.part is None:
                self._write(hold, job, partial(self._portions, hold, folder), folder, progress)
            else:
                self._read(hold, job, source, folder, progress)

    def _progress(self, hold: Hold, beat: Callable[[], None]) -> Progress:
        deadline = time.monotonic() + self._limits.task_timeout_s - hold.worked_s
        said = 0.0

        def progress(done: int, pages: int, recognized: int) -> None:
            nonlocal said
            now = time.monotonic()
            if now > deadline:
                raise TimedOut("The document takes longer than the limit; send fewer pages.")
            beat()
            if now < said + _PROGRESS_S and 0 < done < pages:
                return  # A page may take less time than to say so.
            said = now
            if hold.parts:
                self._leases.renew(hold, done=done, recognized=recognized)
            else:
                self._leases.renew(
                    hold,
                    state=State.PROCESSING,
                    state_detail=f"Processing: {done} of {pages} pages",
                    progress=min(99, 100 * done // max(1, pages)),
                    file_pages=pages,
                    ocr_pages=recognized,
                )

        return progress

    def _read(self, hold: Hold, job: Job, source: Path, folder: Path, progress: Progress) -> None:
        """Read until the turn is over; let others do what is left."""
        first, last = (
            (1, job.page_count) if hold.part is None else (hold.part.first, hold.part.last)
        )
        turn = _Turn(self._limits.turn_s)
        portion = job.read(first, last, lambda done: turn.is_over(done, last - first + 1), progress)
        done = len(portion.pages)
        if done == job.page_count:
            self._write(hold, job, lambda: [portion], folder, progress)
            return
        reached = first + done - 1
        rest = turn.divide(hold.task.id, first, reached, last)
        saved = folder / "portion"
        portion.save(saved)
        self._storage.put(saved, portion_key(hold.task.id, first))
        if hold.part is None:
            self._storage.put(job.original or source, original_key(hold.task.id))
        self._leases.divide(
            hold,
            rest,
            {"input_media_type": job.media_type, "file_pages": job.page_count},
            last=reached,
            done=done,
            recognized=portion.recognized,
            worked_s=turn.worked_s,
        )

    def _portions(self, hold: Hold, folder: Path) -> Iterator[Portion]:
        fetched = folder / "portion"
        for part in hold.parts:
            self._storage.fetch(portion_key(part.task_id, part.first), fetched)
            yield Portion.saved(fetched)
            fetched.unlink()

    def _write(
        self,
        hold: Hold,
        job: Job,
        portions: Callable[[], Iterable[Portion]],
        folder: Path,
        progress: Progress,
    ) -> None:
        text = folder / "text" if hold.wants_text else None
        outcome = job.write(portions, folder / "result", progress, text)
        self._complete(hold, outcome, folder)

    def _give_back(
        self, hold: Hold, job: Job, order: Order, folder: Path, progress: Progress
    ) -> None:
        """Let the document stay what it is; if its text is wanted, that is a work of its own."""
        outcome = job.run(folder / "result", progress)
        if hold.wants_text:

            def beat(*_: int) -> None:
                progress(outcome.pages, outcome.pages, outcome.recognized)

            (folder / "as-text").mkdir()
            plain = replace(order, format="txt")
            source, work, text = folder / "source", folder / "as-text", folder / "text"
            self.pipeline.run(plain, source, work, text, beat)
        self._complete(hold, outcome, folder)

    def _complete(self, hold: Hold, outcome: Outcome, folder: Path) -> None:
        task, target = hold.task, folder / "result"
        size = target.stat().st_size
        if hold.wants_text:
            self._storage.put(folder / "text", text_key(task))
        self._storage.put(target, result_key(task))
        self._leases.complete(
            hold,
            state_detail=_detail(outcome),
            progress=100,
            input_media_type=task.input_media_type or outcome.input_media_type,
            output_media_type=outcome.output_media_type,
            output_size=size,
            file_pages=outcome.pages,
            ocr_pages=outcome.recognized,
            failed_pages=",".join(map(str, outcome.failed)) or None,
        )


class _Turn:
    """The time for which a worker stays with one document."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._began = time.monotonic()

    @property
    def worked_s(self) -> float:
        """Seconds so far."""
        return time.monotonic() - self._began

    def is_over(self, done: int, pages: int) -> bool:
        """Whether it is after ``done`` of ``pages``; what takes no other turn is finished in it."""
        left_s = self.worked_s * (pages - done) / done
        return min(self.worked_s, left_s) >= self._seconds

    def divide(self, task_id: str, first: int, reached: int, last: int) -> list[Part]:
        """Parts of a turn each, of the pages after ``reached``, by those from ``first`` on."""
        pages = reached - first + 1
        size = max(1, round(pages * self._seconds / self.worked_s))
        return [
            Part(task_id=task_id, first=start, last=min(last, start + size - 1))
            for start in range(reached + 1, last + 1, size)
        ]


def _translated(error: Exception) -> AppError:
    """What a caller is told of an error that no part foresaw."""
    if isinstance(error, MemoryError):
        return OutOfResources("The document needs more memory than there is.")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EMFILE):
        return OutOfResources("The server's disk is full; try again later.")
    return InternalError("An internal error; the server's log tells more under the task's id.")


def _detail(outcome: Outcome) -> str:
    """What is said of a task that is complete, and of what its result lacks."""
    lacking = list(outcome.left_out)
    if failed := outcome.failed:
        numbers = ", ".join(map(str, failed[:_MOST_NAMED]))
        more = f" and {len(failed) - _MOST_NAMED} more" if len(failed) > _MOST_NAMED else ""
        lacking.insert(0, f"pages that could not be read: {numbers}{more}")
    return f"Complete, but for {'; '.join(lacking)}" if lacking else "Complete"


_MOST_NAMED = 20

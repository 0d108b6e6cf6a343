"""A worker's turn at a document: read pages, leave the rest to others, or make the result.

A document that is not done in one turn is divided into parts, of which each leaves its pages in a
file. Whoever takes the task when all are finished makes the result of all pages.
"""

import contextlib
import math
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from app import languages
from app.context import current
from app.errors import State, TimedOut, Unavailable
from app.interfaces import Storage
from app.keys import (
    original_key,
    portion_key,
    portion_readings_key,
    readings_key,
    result_key,
    source_key,
    text_key,
)
from app.leases import Beat, Hold, Leases, surely
from app.pipeline import Job, Order, Outcome, Pipeline
from app.portion import Portion
from app.reading import Mode
from app.readings import Readings, count
from app.rows import Part

_PROGRESS_S = 0.2  # Between two pages that are told,
_PART_PROGRESS_S = 1.0  # and of a part, for which the rows of all that read are locked and summed.
GRACE_S = 15.0  # What has a time limit of its own comes to it before its worker is ended.


@dataclass(frozen=True, slots=True)
class Limits:
    """How long work may take, in seconds."""

    task_timeout_s: float
    page_timeout_s: float
    step_timeout_s: float  # To open a document, or to finish the file that is made of it.
    turn_s: float  # After which a worker lets other tasks have their turn.
    fetch_timeout_s: float

    def of_task(self, pages: int) -> float:
        """How long a task may take that has so many pages."""
        return min(self.task_timeout_s, 2 * self.step_timeout_s + self.page_timeout_s * pages)


class Turn:
    """What is held, and where it is done: ``folder`` is empty, and removed afterwards."""

    def __init__(
        self,
        leases: Leases,
        storage: Storage,
        pipeline: Pipeline,
        limits: Limits,
        hold: Hold,
        folder: Path,
        beat: Beat,
    ) -> None:
        self._leases = leases
        self._storage = storage
        self._pipeline = pipeline
        self._limits = limits
        self._hold = hold
        self._folder = folder
        self._beat = beat
        self._said = time.monotonic()
        self._held = time.monotonic()  # When it was still ours.
        self._began = time.monotonic() - hold.worked_s

    def take(self) -> None:
        """Do as much as a turn is long; each sign of progress is a beat.

        Raises Cancelled if it is no longer held, and whatever is wrong with the document.
        """
        self._beat(self._limits.step_timeout_s + GRACE_S)
        hold, task, source = self._hold, self._hold.task, self._folder / "source"
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
        else:
            self._storage.fetch(source_key(task), source)
        with self._pipeline.open(order, source, self._folder, self._readings()) as job:
            if job.indivisible:
                self._give_back(job, order)
            elif hold.parts and hold.part is None:
                self._write(job, self._portions)
            else:
                self._read(job, source)

    def _readings(self) -> Readings:
        """What was read in the document for other formats, and notes of what is read in it now."""
        task, known = self._hold.task, self._folder / "known"
        if not self._leases.keeps_sources:
            return Readings()
        if task.parent_id is None:
            return Readings(notes=self._notes)
        try:
            self._storage.fetch(readings_key(task.parent_id), known)
        except FileNotFoundError:  # Nothing had to be read.
            return Readings(notes=self._notes)
        return Readings(known, self._notes)

    @property
    def _notes(self) -> Path:
        return self._folder / "readings"

    def _progress(self, done: int, pages: int, recognized: int) -> None:
        now = time.monotonic()
        if now > self._began + self._limits.of_task(pages):
            raise TimedOut("The document takes longer than the limit; send fewer pages.")
        limits = self._limits
        due_s = limits.page_timeout_s if done < pages else limits.step_timeout_s
        self._beat(due_s + GRACE_S)
        # A page, and a short document, may take less time than to say so; of a part that begins
        # nothing is new.
        begins = done == 0 and pages > 1 and not self._hold.parts
        between_s = _PART_PROGRESS_S if self._hold.parts else _PROGRESS_S
        if not begins and now < self._said + between_s:
            return
        self._said = now
        # The database may be away for a while; the end waits for it.
        with contextlib.suppress(Unavailable):
            if self._hold.parts:
                self._leases.renew(self._hold, done=done, recognized=recognized)
            else:
                self._leases.renew(
                    self._hold,
                    state=State.PROCESSING,
                    state_detail=f"Processing: {done} of {pages} pages",
                    progress=min(99, 100 * done // max(1, pages)),
                    file_pages=pages,
                    ocr_pages=recognized,
                )
            self._held = now

    def _make_sure(self) -> None:
        """Wait for the database if nothing was heard of it for long. Raises Cancelled.

        Others may have the task by now, and their result, which is of this size or that, its place.
        """
        if time.monotonic() >= self._held + self._leases.lease_s / 2:
            surely(lambda: self._leases.renew(self._hold), self._beat)
            self._held = time.monotonic()

    def _note_pages(self, pages: int, recognized: int) -> None:
        note = current().watch.note
        note("ocr_pages_total", recognized, "recognized")
        note("ocr_pages_total", max(0, pages - recognized), "given")

    def _read(self, job: Job, source: Path) -> None:
        """Read until the turn is over; let others do what is left."""
        part, task_id = self._hold.part, self._hold.task.id
        first, last = (1, job.page_count) if part is None else (part.first, part.last)
        clock = Clock(self._limits.turn_s, is_first=part is None)
        if self._hold.task.pages is not None:  # So few that they take no other turn.
            first, last = map(int, self._hold.task.pages.split("-"))
            portion = job.read(first, last, lambda _: False, self._progress)
            self._note_pages(len(portion.pages), portion.recognized)
            self._write(job, lambda: [portion])
            return
        portion = job.read(
            first, last, lambda done: clock.is_over(done, last - first + 1), self._progress
        )
        done = len(portion.pages)
        self._note_pages(done, portion.recognized)
        if done == job.page_count:
            self._write(job, lambda: [portion])
            return
        reached = first + done - 1
        rest = clock.divide(task_id, first, reached, last)
        saved = self._folder / "portion"
        portion.save(saved)
        self._storage.put(saved, portion_key(task_id, first, reached))
        if self._notes.exists():
            self._storage.put(self._notes, portion_readings_key(task_id, first, reached))
        if part is None:
            self._storage.put(job.original or source, original_key(task_id))
        divide = partial(
            self._leases.divide,
            self._hold,
            rest,
            {"input_media_type": job.media_type, "file_pages": job.page_count},
            last=reached,
            done=done,
            recognized=portion.recognized,
            worked_s=clock.worked_s,
        )
        surely(divide, self._beat)

    def _portions(self) -> Iterator[Portion]:
        fetched = self._folder / "portion"
        for part in self._hold.parts:
            self._storage.fetch(portion_key(part.task_id, part.first, part.last), fetched)
            yield Portion.saved(fetched)
            fetched.unlink()

    def _write(self, job: Job, portions: Callable[[], Iterable[Portion]]) -> None:
        text = self._folder / "text" if self._hold.wants_text else None
        self._complete(job.write(portions, self._folder / "result", self._progress, text))

    def _give_back(self, job: Job, order: Order) -> None:
        """Let the document stay what it is; if its text is wanted, that is a work of its own."""
        outcome = job.run(self._folder / "result", self._progress)
        self._note_pages(outcome.pages, outcome.recognized)
        if self._hold.wants_text:

            def beat(*_: int) -> None:
                self._progress(outcome.pages, outcome.pages, outcome.recognized)

            work = self._folder / "as-text"
            work.mkdir()
            plain = replace(order, format="txt")
            self._pipeline.run(plain, self._folder / "source", work, self._folder / "text", beat)
        self._complete(outcome)

    def _complete(self, outcome: Outcome) -> None:
        task, target = self._hold.task, self._folder / "result"
        size = target.stat().st_size
        self._make_sure()
        if self._hold.wants_text:
            self._storage.put(self._folder / "text", text_key(task))
        noted = self._keep() if self._leases.keeps_sources else 0
        self._make_sure()
        # Of a document that is there already, no more is counted than had to be read now.
        counts = outcome.pages if task.parent_id is None else min(noted, outcome.recognized)
        self._storage.put(target, result_key(task))
        complete = partial(
            self._leases.complete,
            self._hold,
            counts,
            state_detail=detail(outcome),
            progress=100,
            input_media_type=task.input_media_type or outcome.input_media_type,
            output_media_type=outcome.output_media_type,
            output_size=size,
            file_pages=outcome.pages,
            ocr_pages=outcome.recognized,
            failed_pages=",".join(map(str, outcome.failed)) or None,
        )
        surely(complete, self._beat)

    def _keep(self) -> int:
        """Store what other formats are made of: the document without its protection, the notes.

        How many there were.
        """
        task = self._hold.task
        for part in self._hold.parts:
            self._gather(portion_readings_key(task.id, part.first, part.last))
        noted = count(self._notes) if self._notes.exists() else 0
        if noted:
            if task.parent_id is not None:
                self._gather(readings_key(task.parent_id))
            self._storage.put(self._notes, readings_key(task.parent_id or task.id), lasting=False)
        if task.password is not None:
            self._beat(self._limits.step_timeout_s + GRACE_S)
            locked, work = self._folder / "locked", self._folder / "unlocking"
            self._storage.fetch(source_key(task), locked)
            work.mkdir()
            unlocked = self._pipeline.unlock(locked, work, task.password)
            if unlocked != locked:
                self._storage.put(unlocked, source_key(task))
        return noted

    def _gather(self, key: str) -> None:
        """Add the readings under ``key`` to the notes."""
        fetched = self._folder / "gathered"
        with contextlib.suppress(FileNotFoundError):  # Nothing had to be read.
            self._storage.fetch(key, fetched)
            with fetched.open("rb") as more, self._notes.open("ab") as notes:
                shutil.copyfileobj(more, notes)
            fetched.unlink()


class Clock:
    """The time for which a worker stays with one document.

    Of a long one that is not divided yet it reads a little, and others join in soon. Parts are of
    a turn each, and smaller towards the end, so that all who read come to it together (guided
    self-scheduling, Polychronopoulos and Kuck, 1987).
    """

    def __init__(self, seconds: float, is_first: bool) -> None:
        self._turn_s = seconds
        self._stay_s = seconds / 5 if is_first else seconds
        self._began = time.monotonic()

    @property
    def worked_s(self) -> float:
        """Seconds so far."""
        return time.monotonic() - self._began

    def is_over(self, done: int, pages: int) -> bool:
        """Whether it is after ``done`` of ``pages``; what takes no other turn is finished in it."""
        worked_s = self.worked_s
        left_s = worked_s * (pages - done) / done
        return worked_s >= self._stay_s and left_s >= self._turn_s

    def divide(self, task_id: str, first: int, reached: int, last: int) -> list[Part]:
        """Parts of the pages after ``reached``, by the time of those from ``first`` on."""
        per_s = (reached - first + 1) / self.worked_s
        most, least = (max(1, round(per_s * s)) for s in (self._turn_s, self._turn_s / 2))
        parts, start = [], reached + 1
        while start <= last:
            size = max(least, min(most, math.ceil((last - start + 1) / _SHARE)))
            end = min(last, start + size - 1)
            parts.append(Part(task_id=task_id, first=start, last=end))
            start = end + 1
        return parts


_SHARE = 8  # Of what is left, one gets no more than so many would get each.


def detail(outcome: Outcome) -> str:
    """What is said of a task that is complete, and of what its result lacks."""
    lacking = list(outcome.left_out)
    if failed := outcome.failed:
        numbers = ", ".join(map(str, failed[:_MOST_NAMED]))
        more = f" and {len(failed) - _MOST_NAMED} more" if len(failed) > _MOST_NAMED else ""
        lacking.insert(0, f"pages that could not be read: {numbers}{more}")
    return f"Complete, but for {'; '.join(lacking)}" if lacking else "Complete"


_MOST_NAMED = 20

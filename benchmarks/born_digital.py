"""PDF files that have their text, beside OCRmyPDF, kreuzberg and PDFium alone: speed and memory.

Usage: python -m benchmarks.born_digital [--languages zh ...]

The files are Debian's reference in four languages: each alone, all at once, and joined to one long
document. Ours goes over HTTP, a new server for each format; while it works on all at once, a single
page is sent a second after each answer, and the wait for it is told. F1 is that of the words in
Debian's own text of the same books, which has neither the heads nor the numbers of pages.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from threading import Event, Thread

import pikepdf

import app
from benchmarks import processes, prose, report, systems
from benchmarks.metrics import token_f1
from benchmarks.pages import LANGUAGES
from benchmarks.samples import Sample
from benchmarks.systems import Job, Reading, System

_FORMATS = ("txt", "pdf", "docx")
_LOOK_S = 0.5  # Between two looks at the memory; the quickest takes 2 s for the long document.


@dataclass(frozen=True, slots=True)
class Book:
    """A PDF file to be read."""

    job: Job
    pages: int


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: one system, asked for one format."""

    alone_pages_per_s: float  # One book after another.
    pages_per_s: float  # All books at once.
    peak_mb: float  # Of all its processes together, then.
    cpu_s_per_page: float
    waits_s: tuple[float, ...]  # Of single pages sent in the meantime.
    long_pages_per_s: float
    long_peak_mb: float
    f1: float | None  # None where the format is not text.


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--languages", nargs="+", choices=LANGUAGES, default=list(LANGUAGES), help="of the books"
    )
    arguments = parser.parse_args()
    about = {**report.machine(), "ocr-server": app.__version__, **systems.versions()}
    print(", ".join(f"{name} {value}" for name, value in about.items()) + "\n")
    with tempfile.TemporaryDirectory(prefix="ocr-bench-") as name:
        folder = Path(name)
        books = [_book(tag) for tag in arguments.languages]
        long = _joined(books, folder / "long.pdf")
        page = _joined(books[:1], folder / "page.pdf", slice(99, 100))
        for line in _heads(books, long):
            print(line)
        for form, started in _systems(folder):
            with started as system:
                row = _measured(system, books, long, page)
                print(_line(form, system.name, row), flush=True)


def _systems(folder: Path) -> Iterator[tuple[str, AbstractContextManager[System]]]:
    for form in _FORMATS:
        yield form, systems.our_server(folder / form, True, {"format": form})
        if form == "txt":
            yield form, systems.text_reader("kreuzberg", folder)
            yield form, systems.text_reader("pdfium", folder)
        elif form == "pdf":
            yield form, nullcontext(systems.SkippingOcrmypdf(()))


def _book(tag: str) -> Book:
    path = prose.reference_pdf(tag)
    sample = Sample("born-digital", tag, LANGUAGES[tag], prose.reference(tag), path, ())
    with pikepdf.open(path) as pdf:
        return Book(Job(sample, path), len(pdf.pages))


def _joined(books: Sequence[Book], path: Path, pages: slice = slice(None)) -> Book:
    """The ``pages`` of all ``books`` as one file."""
    with pikepdf.new() as whole:
        for book in books:
            with pikepdf.open(book.job.file) as pdf:
                whole.add_pages_from(pdf, pages=range(len(pdf.pages))[pages])
        whole.save(path)
        return Book(Job(books[0].job.sample, path), len(whole.pages))


def _measured(system: System, books: Sequence[Book], long: Book, page: Book) -> Row:
    for _ in range(system.width if system.stays else 0):
        system.read(page.job, False)
    # The long one first: what a process has done before may still take memory.
    with processes.watched(system.pids, _LOOK_S) as long_memory:
        long_s, _ = _timed(system, long, True)
    alone_s = sum(_timed(system, book, True)[0] for book in books)
    with processes.watched(system.pids, _LOOK_S) as memory, _single_pages(system, page) as waits_s:
        worked, began = system.cpu_seconds(), time.perf_counter()
        with ThreadPoolExecutor(system.width) as clients:
            readings = list(clients.map(lambda book: system.read(book.job, False), books))
        seconds, worked = time.perf_counter() - began, system.cpu_seconds() - worked
    pages = sum(book.pages for book in books)
    scores = [
        token_f1(reading.text, book.job.sample.truth)
        for reading, book in zip(readings, books, strict=True)
        if reading.text
    ]
    return Row(
        pages / alone_s,
        pages / seconds,
        memory.total_bytes / 2**20,
        worked / pages,
        tuple(waits_s),
        long.pages / long_s,
        long_memory.total_bytes / 2**20,
        fmean(scores) if scores else None,
    )


@contextmanager
def _single_pages(system: System, page: Book) -> Iterator[list[float]]:
    """Send our server a page, a second after each answer until the block ends; the waits."""
    waits_s: list[float] = []
    ended = Event()

    def send() -> None:
        while system.name == report.SERVER and not ended.wait(1):
            waits_s.append(_timed(system, page, False)[0])

    thread = Thread(target=send)
    thread.start()
    try:
        yield waits_s
    finally:
        ended.set()
        thread.join()


def _timed(system: System, book: Book, alone: bool) -> tuple[float, Reading]:
    began = time.perf_counter()
    reading = system.read(book.job, alone)
    return time.perf_counter() - began, reading


def _heads(books: Sequence[Book], long: Book) -> Iterator[str]:
    heads = (
        "alone, pages/s",
        f"{len(books)} at once, pages/s",
        "peak MB",
        "CPU ms/page",
        "a page meanwhile, p50 / longest",
        f"{long.pages} pages in one, pages/s",
        "peak MB",
        "F1 %",
    )
    yield f"| to | system | {' | '.join(heads)} |"
    yield "|---|---|" + "--:|" * len(heads)


def _line(form: str, system: str, row: Row) -> str:
    waits_s = row.waits_s
    cells = (
        f"{row.alone_pages_per_s:.1f}",
        f"{row.pages_per_s:.1f}",
        f"{row.peak_mb:.0f}",
        f"{row.cpu_s_per_page * 1000:.1f}",
        f"{median(waits_s):.2f} / {max(waits_s):.2f} s" if waits_s else "–",
        f"{row.long_pages_per_s:.1f}",
        f"{row.long_peak_mb:.0f}",
        "–" if row.f1 is None else f"{row.f1 * 100:.1f}",
    )
    return f"| {form} | {system} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()

"""Runs a system over a group of files: once with its queue full, once with one waiting client."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks import processes
from benchmarks.metrics import character_error_rate, token_f1
from benchmarks.samples import Sample
from benchmarks.systems import Job, ReadFailed, Reading, System


@dataclass(frozen=True, slots=True)
class FileResult:
    """How well one file was read."""

    file: str
    pages: int
    cer: float
    f1: float
    error: str  # Empty if there was a text.


@dataclass(frozen=True, slots=True)
class Run:
    """What reading a group of files took, and how well it was read."""

    system: str
    group: str
    pages: int
    seconds: float  # With the queue full.
    cpu_s: float
    latencies_s: tuple[float, ...]  # Of single pages, with one waiting client.
    peak_bytes: int  # Of all its processes together.
    peaks_bytes: dict[str, int]  # Of the largest process of each program.
    files: tuple[FileResult, ...]


def measure(system: System, samples: Sequence[Sample], waited_for: int) -> Run:
    """Read ``samples``; then again the first ``waited_for`` of them, one after another."""
    jobs = [Job(sample, file) for sample in samples for file in _files(system, sample)]
    with processes.watched(system.pids) as memory:
        worked, began = system.cpu_seconds(), time.perf_counter()
        with ThreadPoolExecutor(system.width) as clients:
            answers = list(clients.map(lambda job: _read(system, job, False), jobs))
        seconds, worked = time.perf_counter() - began, system.cpu_seconds() - worked
        waiting: list[float] = []
        for sample in samples[:waited_for]:
            if len(sample.pictures) == 1:
                job = Job(sample, _files(system, sample)[0])
                start = time.perf_counter()
                _read(system, job, True)
                waiting.append(time.perf_counter() - start)
    busy_s = [answer.busy_s for answer in answers if isinstance(answer, Reading) and answer.busy_s]
    return Run(
        system.name,
        samples[0].group,
        sum(len(sample.pictures) for sample in samples),
        sum(busy_s) / system.width if system.only_busy and busy_s else seconds,
        worked,
        tuple(waiting),
        memory.total_bytes,
        memory.peaks_bytes,
        tuple(_scored(sample, jobs, answers) for sample in dict.fromkeys(samples)),
    )


def _files(system: System, sample: Sample) -> tuple[Path, ...]:
    return (sample.original,) if system.whole_files else sample.pictures


def _read(system: System, job: Job, alone: bool) -> Reading | str:
    try:
        return system.read(job, alone)
    except ReadFailed as error:
        return str(error)


def _scored(sample: Sample, jobs: Sequence[Job], answers: Sequence[Reading | str]) -> FileResult:
    read: dict[Path, Reading | str] = {
        job.file: answer for job, answer in zip(jobs, answers, strict=True) if job.sample == sample
    }
    errors = [answer for answer in read.values() if isinstance(answer, str)]
    name, pages = sample.name, len(sample.pictures)
    if errors:
        return FileResult(name, pages, 1.0, 0.0, errors[0][-500:])
    text = "\n".join(answer.text for answer in read.values() if isinstance(answer, Reading))
    cer, f1 = character_error_rate(text, sample.truth), token_f1(text, sample.truth)
    return FileResult(name, pages, cer, f1, "")

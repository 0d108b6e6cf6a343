"""The figures for Prometheus: what there is, and one process's count of it.

Workers count nothing themselves: what they note goes to their supervisor, whose process adds it up
and is asked for it.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from app import __version__
from app.errors import AppError
from app.operations import WorkerState

_MOST_LABELLED = 1000  # Of a metric, sets of labels; whoever makes up labels gets no more.
_MOST = 1e12  # Seconds or pieces, at a time.
_KEPT_S = 1.0  # What the database was asked, however many ask.


@dataclass(frozen=True, slots=True)
class Metric:
    """What a figure is."""

    kind: Literal["counter", "histogram", "gauge"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()  # Upper bounds, in seconds.


_QUICK = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_LONG = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)

METRICS: Mapping[str, Metric] = {
    # What waits, from the database: the same whichever server is asked.
    "ocr_queue_tasks": Metric("gauge", "Tasks that wait to be read, or downloaded.", ("queue",)),
    "ocr_queue_oldest_seconds": Metric(
        "gauge", "How long the oldest of them has waited; 0: none waits.", ("queue",)
    ),
    "ocr_queue_parts": Metric("gauge", "Parts of long documents that nobody is at."),
    "ocr_tasks_under_way": Metric("gauge", "Tasks that are read, or downloaded, now.", ("queue",)),
    "ocr_workers_busy": Metric("gauge", "Workers of all machines that are at a task or a part."),
    "ocr_database_up": Metric(
        "gauge", "Whether the database answered (1), so that these are there."
    ),
    # What became of tasks.
    "ocr_tasks_accepted_total": Metric("counter", "Tasks that were put into a queue when new."),
    "ocr_tasks_finished_total": Metric(
        "counter", "Tasks that ended, by state and error code.", ("state", "code")
    ),
    "ocr_task_seconds": Metric(
        "histogram", "From the acceptance of a task to its end.", ("outcome",), _LONG
    ),
    "ocr_task_wait_seconds": Metric(
        "histogram", "From the acceptance of a task to the first that works at it.", (), _LONG
    ),
    "ocr_taken_back_total": Metric(
        "counter", "Tasks and parts that lost their worker, by who is to blame.", ("blame",)
    ),
    "ocr_pages_total": Metric(
        "counter", "Pages that were read: recognized, or from a text of their own.", ("how",)
    ),
    "ocr_step_seconds_total": Metric(
        "counter", "Time that steps of the work took.", ("step", "engine")
    ),
    "ocr_steps_total": Metric(
        "counter", "Steps; of `recognize`, images that an engine was given.", ("step", "engine")
    ),
    "ocr_callbacks_total": Metric(
        "counter", "Reports that were sent: delivered, refused, failed.", ("outcome",)
    ),
    # The server itself.
    "ocr_http_request_seconds": Metric(
        "histogram", "Requests, to the end of the answer.", ("method", "route", "status"), _QUICK
    ),
    "ocr_unavailable_total": Metric(
        "counter", "Times that the database, queue or storage did not answer.", ("part",)
    ),
    "ocr_workers": Metric("gauge", "Worker processes of this server."),
    "ocr_workers_ready": Metric("gauge", "Those that have read their warm-up page."),
    "ocr_worker_memory_bytes": Metric("gauge", "Resident memory of each.", ("worker",)),
    "ocr_worker_ends_total": Metric(
        "counter", "Worker processes that ended, by reason.", ("reason",)
    ),
    "ocr_disk_free_bytes": Metric("gauge", "Free room on the disk of `OCR_DATA_DIR`."),
    "ocr_build_info": Metric(
        "gauge", "1; its labels say what runs.", ("version", "python", "engine")
    ),
}
"""All by name; processes add those of their own, `process_*`."""


class Metrics:
    """Adds up what is noted in this process, and what its workers tell."""

    def __init__(self, engine: str) -> None:
        # Half as many lines again, of which nobody asks for one.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self._noted: dict[str, Any] = {}
        for name, metric in METRICS.items():
            if metric.kind == "counter":
                self._noted[name] = Counter(
                    name, metric.help, metric.labels, registry=self._registry
                )
            elif metric.kind == "histogram":
                self._noted[name] = Histogram(
                    name,
                    metric.help,
                    metric.labels,
                    buckets=metric.buckets,
                    registry=self._registry,
                )
        self._known: dict[tuple[str, tuple[str, ...]], Callable[[float], None]] = {}
        self._labelled = dict.fromkeys(self._noted, 0)
        ProcessCollector(registry=self._registry)
        self._registry.register(_Gauges(self._gauges))
        self._ask: Callable[[], Mapping[str, Sequence[Reading]]] = dict
        self._engine = engine

    def note(self, metric: str, value: float, *labels: str) -> None:
        """Add ``value`` to a counter, or to what a histogram is of. Safe in any thread.

        Raises KeyError, TypeError, ValueError for what is no figure: it would stay in the sum.
        """
        if not 0 <= value <= _MOST:  # Nor is NaN.
            raise ValueError(f"{metric} cannot grow by {value}.")
        key = metric, labels
        add = self._known.get(key)
        if add is None:
            "".join(labels).encode()  # Half a surrogate could not be written down.
            if self._labelled[metric] >= _MOST_LABELLED:
                return
            found = self._noted[metric]
            child = found.labels(*labels) if labels else found
            self._labelled[metric] += 1
            add = self._known[key] = (
                child.inc if METRICS[metric].kind == "counter" else child.observe
            )
        add(value)

    def watch(self, ask: Callable[[], Mapping[str, Sequence[Reading]]]) -> None:
        """Have ``ask`` called for the readings of gauges, when somebody wants to know."""
        self._ask = ask

    def text(self, accept: str = "") -> tuple[bytes, str]:
        """All as Prometheus reads it, and the media type; ``accept`` is what it asked for."""
        encode, media_type = choose_encoder(accept)
        return encode(self._registry), media_type

    def _gauges(self) -> Iterable[Family]:
        info = (1.0, (__version__, platform.python_version(), self._engine))
        readings = {"ocr_build_info": [info], **self._ask()}
        for name, found in readings.items():
            family = GaugeMetricFamily(name, METRICS[name].help, labels=METRICS[name].labels)
            for value, labels in found:
                family.add_metric(labels, value)
            yield family


Reading = tuple[float, tuple[str, ...]]
"""A value of a gauge, and its labels."""


class _Gauges(Collector):
    """What is looked up when it is asked for."""

    def __init__(self, look: Callable[[], Iterable[Family]]) -> None:
        self._look = look

    def collect(self) -> Iterable[Family]:
        """All of them."""
        return self._look()

    def describe(self) -> Iterable[Family]:
        """None, so that nothing is looked up before it is asked for."""
        return ()


class Gauges:
    """The gauges of one server: its workers, its disk, and the database's queues."""

    def __init__(
        self,
        workers: Callable[[], Sequence[WorkerState]],
        free_bytes: Callable[[], int],
        queue: Callable[[], Mapping[str, Any]] | None,
    ) -> None:
        """``queue`` asks the database as ``app.operations.queues`` does; None: others do."""
        self._workers = workers
        self._free_bytes = free_bytes
        self._queue = queue
        self._lock = Lock()
        self._asked: dict[str, list[Reading]] = {}
        self._asked_until = 0.0

    def __call__(self) -> dict[str, list[Reading]]:
        """What they read now; of the database what they did within the last second."""
        workers = self._workers()
        readings: dict[str, list[Reading]] = {
            "ocr_workers": [(len(workers), ())],
            "ocr_workers_ready": [(sum(worker.is_warm for worker in workers), ())],
            # Names would be as many as there ever were workers.
            "ocr_worker_memory_bytes": [
                (worker.memory_bytes, (str(n),)) for n, worker in enumerate(workers)
            ],
            "ocr_disk_free_bytes": [(self._free_bytes(), ())],
        }
        if self._queue is not None:
            with self._lock:
                if time.monotonic() >= self._asked_until:
                    self._asked = self._of_database(self._queue)
                    self._asked_until = time.monotonic() + _KEPT_S
                readings |= self._asked
        return readings

    def _of_database(self, queue: Callable[[], Mapping[str, Any]]) -> dict[str, list[Reading]]:
        try:
            found = queue()
        except AppError:
            return {"ocr_database_up": [(0, ())]}
        return {
            "ocr_database_up": [(1, ())],
            "ocr_queue_parts": [(found["parts"], ())],
            "ocr_workers_busy": [(found["busy"], ())],
            **{
                metric: [(found[key][name], (name,)) for name in found[key]]
                for metric, key in (
                    ("ocr_queue_tasks", "waiting"),
                    ("ocr_queue_oldest_seconds", "oldest_s"),
                    ("ocr_tasks_under_way", "under_way"),
                )
            },
        }

"""Takes the figures and spans of a server and its workers."""

from __future__ import annotations

from dataclasses import dataclass

from app.context import Span
from app.metrics import Metrics
from app.otlp import Exporter


@dataclass(frozen=True, slots=True)
class Observer:
    """What a server, and each of its parts, tells of what it does."""

    metrics: Metrics
    exporter: Exporter | None  # None: no traces are wanted.

    @property
    def traces(self) -> bool:
        """Whether spans are wanted."""
        return self.exporter is not None

    def note(self, metric: str, value: float, *labels: str) -> None:
        """Add ``value`` to a metric."""
        self.metrics.note(metric, value, *labels)

    def span(self, span: Span) -> None:
        """Send a span."""
        if self.exporter is not None:
            self.exporter.send(span)

    def close(self) -> None:
        """Send what is left."""
        if self.exporter is not None:
            self.exporter.close()

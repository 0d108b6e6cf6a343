"""Spans for a collector, by OpenTelemetry's exporter (OTLP over HTTP), as its variables say.

It is imported only where traces are wanted. The standard variables ``OTEL_*`` hold: endpoint,
headers, certificates, compression, sampler, resource, batches.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING

from app import __version__
from app.context import Place, Span
from app.errors import Unavailable

if TYPE_CHECKING:
    from opentelemetry.trace import NonRecordingSpan

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_LAST_S = 3.0  # For what is still to be sent when the server ends.


def endpoint(environment: Mapping[str, str] = os.environ) -> str | None:
    """Where spans are sent to; None if there are to be none."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    if environment.get("OTEL_TRACES_EXPORTER", "otlp") != "otlp":
        return None
    special, common = (environment.get(name, "").strip() for name in _ENDPOINTS)
    return special or (f"{common.rstrip('/')}/v1/traces" if common else None)


class Exporter:
    """Sends spans in the background; what there is no room for, or nobody takes, is dropped."""

    def __init__(self) -> None:
        """Raises Unavailable if it is not installed."""
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as error:
            raise Unavailable(
                "Traces need the packages of the extra: `pip install 'ocr-server[scale]'`."
            ) from error

        resource = Resource.create()
        if str(resource.attributes["service.name"]).startswith("unknown_service"):
            resource = resource.merge(Resource({"service.name": "ocr-server"}))
        ours = {"service.version": __version__, "host.name": os.uname().nodename}
        self._resource = Resource(ours).merge(resource)
        self._sampler = TracerProvider(shutdown_on_exit=False).sampler
        self._exporter = OTLPSpanExporter()
        self._processor = BatchSpanProcessor(self._exporter)

    def begin(self, parent: Place | None) -> Place:
        """A new span: of the trace of its ``parent``, or of a new one. The sampler decides."""
        from opentelemetry.sdk.trace.sampling import Decision
        from opentelemetry.trace import set_span_in_context

        trace_id = parent.trace_id if parent else os.urandom(16).hex()
        context = set_span_in_context(_remote(parent)) if parent else None
        decision = self._sampler.should_sample(context, int(trace_id, 16), "request").decision
        return Place(trace_id, os.urandom(8).hex(), decision is Decision.RECORD_AND_SAMPLE)

    def send(self, span: Span) -> None:
        """Send a span soon."""
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope
        from opentelemetry.trace import SpanKind, Status, StatusCode

        parent = Place(span.place.trace_id, span.parent) if span.parent else None
        self._processor.on_end(
            ReadableSpan(
                span.name,
                _remote(span.place).get_span_context(),
                _remote(parent).get_span_context() if parent else None,
                self._resource,
                span.attributes,
                kind=SpanKind[span.kind.upper()],
                status=Status(StatusCode.ERROR, span.error) if span.error else Status(),
                start_time=span.start_ns,
                end_time=span.end_ns,
                instrumentation_scope=InstrumentationScope("ocr-server", __version__),
            )
        )

    def close(self) -> None:
        """Send what is left, within a few seconds."""
        last = threading.Thread(target=self._processor.shutdown, daemon=True)
        last.start()
        last.join(_LAST_S)
        if last.is_alive():  # It is to try no more; what is left is dropped.
            self._exporter.shutdown()  # type: ignore[no-untyped-call]
            last.join(_LAST_S)


def _remote(place: Place) -> NonRecordingSpan:
    from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

    return NonRecordingSpan(
        SpanContext(
            int(place.trace_id, 16),
            int(place.span_id, 16),
            is_remote=True,
            trace_flags=TraceFlags(place.sampled),
        )
    )

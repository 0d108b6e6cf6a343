"""What ``doctor`` looks at of those who watch the server: figures, traces, logs."""

import os
import socket
from importlib.util import find_spec
from urllib.parse import urlsplit

from app import otlp
from app.cli.finding import Finding, fault, ok, warning
from app.cli.service import port
from app.config import Settings

_PATIENCE_S = 5.0


def figures(settings: Settings) -> Finding:
    """Whether there is a port for those who scrape, or somebody who may do so without one."""
    if settings.metrics_port == 0:
        return ok("/metrics is on the server's own port, for operators' tokens")
    if settings.metrics_port == settings.port:
        return fault(
            f"OCR_METRICS_PORT and OCR_PORT are both {settings.port}", "Name two; 0: no other."
        )
    return port(settings.host, settings.metrics_port, "Another port: OCR_METRICS_PORT=9091")


def traces(settings: Settings) -> Finding:
    """Whether spans come to where they are sent."""
    where = otlp.endpoint()
    if where is None:
        return ok("none are wanted: OTEL_EXPORTER_OTLP_ENDPOINT says where they go")
    if find_spec("opentelemetry.sdk") is None or find_spec("opentelemetry.exporter") is None:
        return fault(
            "OpenTelemetry's exporter is not installed", "`pip install 'ocr-server[scale]'`."
        )
    protocol = os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    if protocol != "http/protobuf":
        return warning(
            f"OTEL_EXPORTER_OTLP_PROTOCOL={protocol} is not spoken, http/protobuf is",
            "Leave it out, and name the collector's port for HTTP, usually 4318.",
        )
    parts = urlsplit(where)
    shown = f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return fault(
            f"{shown} is no address of a collector",
            "Such as OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318.",
        )
    try:
        host, number = shown.rsplit(":", 1)
        socket.create_connection((host, int(number)), _PATIENCE_S).close()
    except OSError as error:
        return warning(
            f"nobody answers on {shown}, so that spans are lost: {error.strerror or error}",
            "Start the collector, or mend OTEL_EXPORTER_OTLP_ENDPOINT.",
        )
    return ok(f"spans go to {shown}")


def logs(settings: Settings) -> Finding:
    """How log lines are."""
    if settings.log_level == "debug":
        return warning(
            "OCR_LOG_LEVEL=debug: libraries tell much of what they are given",
            "Leave it out when you have seen enough.",
        )
    form = "a JSON object in each line" if settings.log_format == "json" else "lines for people"
    return ok(f"{settings.log_level} and worse, {form}, on standard error")

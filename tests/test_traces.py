"""One trace from a request over the queue to the workers, as a real collector sees it."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from app import otlp
from app.context import Place, Span
from tests.collector import Collector, Received, collector
from tests.listener import listener
from tests.pictures import frames
from tests.server import TOKEN, Server
from tests.services import free_port

PARENT = Place("ab" * 16, "12" * 8)
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def seen() -> Iterator[Collector]:
    with collector() as found:
        yield found


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a document of three pages."""
    folder = tmp_path_factory.mktemp("web")
    (folder / "a.tiff").write_bytes(frames(["one", "two", "three"]))
    with listener(folder) as (address, _):
        yield f"{address}/a.tiff"


@pytest.fixture(scope="module")
def server(
    seen: Collector, document: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    settings = {
        "OCR_ENGINE": "stub",
        "OCR_WORKERS": "2",
        "OCR_TURN_S": "0",  # Each page is a part of its own.
        "OCR_FETCH_NETWORKS": "127.0.0.0/8",
        "OCR_FETCH_PORTS": f"{urlsplit(document).port},{seen.port}",
        "OCR_METRICS_PORT": str(free_port()),
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{seen.port}",
        "OTEL_EXPORTER_OTLP_HEADERS": "X-Key=k",
        "OTEL_SERVICE_NAME": "ocr-test",
        "OTEL_BSP_SCHEDULE_DELAY": "50",
    }
    server = Server(tmp_path_factory.mktemp("traces") / "data", settings)
    server.start()
    yield server
    server.stop()


def test_a_trace_goes_through_the_queue(server: Server, seen: Collector, document: str) -> None:
    """Request, wait, download, each part and its steps, callback: all below the client's span."""
    answer = httpx2.post(
        f"{server.base}/task/pic/ocr",
        headers=AUTHORIZED | {"traceparent": str(PARENT)},
        json={"image_url": document, "callback_url": f"http://127.0.0.1:{seen.port}/done"},
        timeout=120,
    )
    seen.until(lambda spans: {"callback", "write"} <= {span.name for span in spans})
    server.until(lambda: len(named(seen.spans, "work")) >= 4)

    assert answer.json()["data"]["ocr_pages"] == 3
    spans = [span for span in seen.spans if span.trace_id == PARENT.trace_id]
    (request,), (submit,) = named(spans, "POST /task/pic/ocr"), named(spans, "submit")
    assert (request.parent, request.kind) == (PARENT.span_id, SERVER)
    assert request.attributes["http.response.status_code"] == 200
    assert submit.parent == request.span_id
    for name in ("wait", "claim", "download", "work", "callback"):
        assert {span.parent for span in named(spans, name)} == {submit.span_id}, name
    known = {span.span_id: span for span in spans}
    for name, above in {
        "fetch": "download",
        "page": "work",
        "convert": "page",
        "recognize": "page",
        "layout": "page",
        "write": "work",
        "store": "work",
    }.items():
        inner = [(span, known[span.parent]) for span in named(spans, name)]
        assert above in {outer.name for _, outer in inner}, name
        for span, outer in inner:
            assert outer.start_ns <= span.start_ns <= span.end_ns <= outer.end_ns
    assert sorted(span.attributes["page"] for span in named(spans, "page")) == [1, 2, 3]
    ids = {span.attributes["ocr.task_id"] for span in named(spans, "work")}
    assert ids == {answer.json()["data"]["task_id"]}
    (callback,) = named(spans, "callback")
    assert seen.callbacks == [str(Place(PARENT.trace_id, callback.span_id))]
    assert {span.service for span in spans} == {"ocr-test"}
    assert seen.keys == {"k"}


def test_workers_are_counted_by_their_supervisor(server: Server) -> None:
    """On a port of its own, without a token; beside it, whether it lives and is ready."""
    server.post(frames(["four"]))
    base = f"http://127.0.0.1:{server.settings['OCR_METRICS_PORT']}"
    step = re.compile('^ocr_steps_total{engine="stub",step="recognize"} [1-9]', re.MULTILINE)

    server.until(lambda: step.search(httpx2.get(f"{base}/metrics").text))

    text = httpx2.get(f"{base}/metrics").text
    assert "\nocr_workers_ready 2.0\n" in text
    assert re.search('ocr_worker_memory_bytes{worker="1"} [1-9]', text)
    assert [httpx2.get(base + path).status_code for path in ("/healthz", "/readyz", "/")] == [
        *(200, 200, 404)
    ]


def test_a_client_without_a_trace_gets_its_own(server: Server, seen: Collector) -> None:
    """And probes get none."""
    httpx2.get(f"{server.base}/readyz")
    httpx2.get(f"{server.base}/tasks", headers=AUTHORIZED)
    seen.until(lambda spans: bool(named(spans, "GET /tasks")))

    (found,) = named(seen.spans, "GET /tasks")
    assert found.parent == ""
    assert not named(seen.spans, "GET /readyz")


def test_the_sampler_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """The standard one follows the client; others are chosen by the standard variables."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    unwanted = Place(PARENT.trace_id, PARENT.span_id, sampled=False)
    usual = otlp.Exporter()
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
    rare = otlp.Exporter()

    assert usual.begin(None).sampled
    assert usual.begin(PARENT).sampled
    assert not usual.begin(unwanted).sampled
    assert not rare.begin(None).sampled
    assert rare.begin(PARENT).trace_id == PARENT.trace_id
    for exporter in (usual, rare):
        exporter.close()


@pytest.mark.parametrize("status", [None, 503])
def test_a_collector_that_is_away_holds_nobody_up(
    status: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Spans are dropped, the server goes on, and ends when it is told to."""
    with collector(status or 200) as away:
        port = away.port if status else 9
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
        exporter = otlp.Exporter()
        began = time.monotonic()
        for _ in range(5000):
            exporter.send(Span("a", PARENT.below(), None, 1, 2))
        exporter.close()

    assert time.monotonic() - began < 20  # The exporter itself tries for longer, batch by batch.


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318/"}, "http://c:4318/v1/traces"),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c/x"}, "http://c/x"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_SDK_DISABLED": "true"}, None),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c", "OTEL_TRACES_EXPORTER": "none"}, None),
    ],
)
def test_where_to(environment: dict[str, str], found: str | None) -> None:
    """The standard variables say it."""
    assert otlp.endpoint(environment) == found


def test_nothing_is_loaded_for_traces_that_nobody_wants(tmp_path: Path) -> None:
    """Neither the exporter nor protobuf."""
    script = (
        "import sys; from app import main, wiring; from app.config import Settings;"
        "assert wiring.observer(Settings()).exporter is None;"
        "assert not {'opentelemetry.sdk', 'google.protobuf', 'requests'} & {*sys.modules}"
    )
    quiet = {name: v for name, v in os.environ.items() if not name.startswith("OTEL_")}

    subprocess.run([sys.executable, "-c", script], env=quiet, check=True)


@pytest.mark.parametrize(
    "said",
    [
        None,
        "",
        "00-0-0-01",
        f"ff-{'ab' * 16}-{'12' * 8}-01",
        f"00-{'00' * 16}-{'12' * 8}-01",
        f"00-{'ab' * 16}-{'00' * 8}-01",
        f"00-{'ab' * 16}-{'12' * 8}-01-more",
        f"00-{'AB' * 16}-{'12' * 8}-01",
    ],
)
def test_a_traceparent_that_is_none(said: str | None) -> None:
    """W3C Trace Context says what is one; of later versions, what is known of them holds."""
    assert Place.parse(said) is None
    assert Place.parse(f"01-{'ab' * 16}-{'12' * 8}-01-more") == PARENT
    assert Place.parse(str(PARENT)) == PARENT


def named(spans: list[Received], name: str) -> list[Received]:
    return [span for span in spans if span.name == name]


SERVER = 2  # Of OTLP's kinds.

"""The figures for Prometheus: what they say, who may read them, and what reads them."""

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from sqlalchemy.orm import Session, sessionmaker
from starlette.testclient import TestClient

from app import metrics, operations, wiring
from app.config import Settings
from app.errors import State, Unavailable
from app.main import create_app
from app.metrics import METRICS, Gauges, Metrics
from app.operations import WorkerState
from app.rows import Part
from tests.conftest import InlineQueue
from tests.pictures import picture
from tests.test_db import add

DEPLOY = Path(__file__).parent.parent / "deploy"
OPERATOR = {"Authorization": "sk-operator"}
Values = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    """A server that does its tasks itself, and is watched."""
    changed = settings.model_copy(update={"operator_tokens": SecretStr("sk-operator")})
    wiring.migrate(changed)
    observer, queue = wiring.observer(changed), InlineQueue()
    downloads = InlineQueue(held=True)
    tasks = wiring.build(changed, queue, downloads, watch=observer)
    queue.tasks = tasks
    workers = [WorkerState("host-1", 1, 700, True), WorkerState("host-2", 2, 80, False)]
    app = create_app(changed, tasks, workers=lambda: workers, observer=observer)
    with TestClient(app, headers={"Authorization": "sk-test"}) as client:
        yield client
    tasks.close()


def read(text: str) -> Values:
    """The values by their names and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(values: Values, name: str, **labels: str) -> float:
    return values[name, frozenset(labels.items())]


def test_a_task_is_counted(client: TestClient) -> None:
    """With its pages, its steps by engine, its request, and what it took."""
    client.post("/task/pic/ocr", files={"image_file": picture()}).raise_for_status()
    client.post("/task/pic/ocr", files={"image_file": b"%PDF-1.4 nothing"}).raise_for_status()

    answer = client.get("/metrics", headers=OPERATOR)
    found = read(answer.text)
    assert answer.headers["content-type"].startswith("text/plain; version=")
    assert value(found, "ocr_tasks_accepted_total") == 2
    finished = "ocr_tasks_finished_total"
    assert value(found, finished, state="complete", code="") == 1
    assert value(found, finished, state="invalid_file", code="invalid_file") == 1
    assert value(found, "ocr_pages_total", how="recognized") == 1
    assert value(found, "ocr_steps_total", step="recognize", engine="stub") == 1
    for step in ("submit", "store", "convert", "page", "layout", "write"):
        assert value(found, "ocr_step_seconds_total", step=step, engine="") > 0
    assert value(found, "ocr_task_seconds_count", outcome="complete") == 1
    assert value(found, "ocr_task_wait_seconds_count") == 2
    request = {"method": "POST", "route": "/task/pic/ocr", "status": "200"}
    assert value(found, "ocr_http_request_seconds_count", **request) == 2
    assert (value(found, "ocr_workers"), value(found, "ocr_workers_ready")) == (2, 1)
    assert value(found, "ocr_worker_memory_bytes", worker="0") == 700
    assert value(found, "ocr_database_up") == 1
    assert value(found, "ocr_queue_tasks", queue="recognition") == 0
    assert value(found, "ocr_disk_free_bytes") > 0
    assert value(found, "process_resident_memory_bytes") > 0


def test_they_are_for_operators(client: TestClient) -> None:
    """As ``/operations`` is; a port of their own asks for no token."""
    statuses = [
        client.get("/metrics", headers={"Authorization": token}).status_code
        for token in ("", "sk-nobody", "sk-test", "Bearer sk-operator")
    ]
    opened = client.get("/metrics", headers=OPERATOR | {"Accept": "application/openmetrics-text"})

    assert statuses == [401, 401, 403, 200]
    assert opened.headers["content-type"].startswith("application/openmetrics-text")
    assert opened.text.endswith("# EOF\n")


def test_no_stranger_makes_a_label(client: TestClient) -> None:
    """Paths and methods that nobody knows are one."""
    for n in range(3):
        client.get(f"/nothing/{n}")
        client.request(f"METHOD{n}", f"/task/{n}")
        client.get(f"/task/{n}")

    found = read(client.get("/metrics", headers=OPERATOR).text)
    labels = [dict(key) for name, key in found if name == "ocr_http_request_seconds_count"]
    assert {(each["method"], each["route"]) for each in labels} == {
        ("GET", "other"),
        ("other", "/task/{task_id}"),
        ("GET", "/task/{task_id}"),
    }


def test_what_the_database_tells(sessions: sessionmaker[Session]) -> None:
    """By queue, on both databases; parts are those that nobody is at, who is at one is busy."""
    away = {"source_url": "http://x"}
    add(sessions, "queued", created_at=1.0)
    add(sessions, "downloaded", state=State.WAITING, created_at=2.0, input_size=9, **away)
    add(sessions, "to be fetched", created_at=3.0, **away)
    add(sessions, "fetched", state=State.PREPARING, leased_by="server#1", **away)
    add(sessions, "read", state=State.PROCESSING)
    add(sessions, "short", state=State.PROCESSING, leased_by="v")
    with sessions.begin() as session:
        for first, leased_by, finished in ((1, None, True), (2, "w", False), (3, None, False)):
            part = Part(task_id="read", first=first, last=first, leased_by=leased_by)
            part.finished = finished
            session.add(part)

    with sessions() as session:
        found = operations.queues(session)

    oldest = found.pop("oldest_s")
    assert oldest["recognition"] - oldest["downloads"] == pytest.approx(2, abs=0.2)
    assert found == {
        "waiting": {"recognition": 2, "downloads": 1},
        "under_way": {"recognition": 2, "downloads": 1},
        "parts": 1,
        "busy": 2,
    }


def test_a_database_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Says so, and no more is told of it; it is asked once a second, whoever asks."""
    asked: list[int] = []

    def queue() -> dict[str, Any]:
        asked.append(1)
        raise Unavailable("away")

    monkeypatch.setattr(metrics, "_KEPT_S", 60.0)
    gauges = Gauges(lambda: (), lambda: 5, queue)
    figures = Metrics("auto")
    figures.watch(gauges)

    told = [read(figures.text()[0].decode()) for _ in range(3)]

    assert value(told[2], "ocr_database_up") == 0
    assert not [name for name, _ in told[2] if name.startswith("ocr_queue")]
    assert len(asked) == 1


def test_what_is_asked_for_is_there(client: TestClient) -> None:
    """Each metric that the dashboard, the alerts and the autoscaler ask for is in an answer."""
    families = text_string_to_metric_families(client.get("/metrics", headers=OPERATOR).text)
    there = set()
    for family in families:
        name = family.name
        there |= {name, f"{name}_total"}
        if family.type == "histogram":
            there |= {f"{name}_bucket", f"{name}_count", f"{name}_sum"}

    asked = {
        name: set(re.findall(r"\b(?:ocr|process)_[a-z_]+\b", "\n".join(queries)))
        for name, queries in {
            "dashboard": [t["expr"] for p in _panels() for t in p.get("targets", ())],
            "alerts": re.findall(
                r"expr:(.*?)(?:for|labels):",
                (DEPLOY / "prometheus/alerts.yml").read_text(),
                re.DOTALL,
            ),
            "autoscaler": re.findall(
                "query: (.*)", (DEPLOY / "kubernetes/autoscaler.yaml").read_text()
            ),
        }.items()
    }
    assert all(asked.values())
    for where, names in asked.items():
        assert not names - there, where
    assert not {name for name in METRICS if name not in there}


def test_the_labels_that_are_asked_for_exist() -> None:
    """A panel by a label that its metric does not have would be one line."""
    for panel in _panels():
        for target in panel.get("targets", ()):
            labels = {
                label
                for name in re.findall(r"ocr_[a-z_]+", target["expr"])
                for label in METRICS[re.sub("_(bucket|count|sum)$", "", name)].labels
            }
            by = re.findall(r"by \(([^)]*)\)", target["expr"])
            wanted = {each.strip() for group in by for each in group.split(",")} - {"le"}
            shown = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            assert wanted | shown <= labels | {"instance"}, panel["title"]


def _panels() -> list[dict[str, Any]]:
    board = json.loads((DEPLOY / "grafana/dashboard.json").read_text())
    return list(board["panels"])


@pytest.mark.parametrize(
    "note",
    [
        *[("ocr_steps_total", value, "page", "") for value in (math.nan, math.inf, -1, 1e300, "1")],
        ("ocr_steps_total", 1, "page", "\ud800"),
        ("ocr_steps_total", 1, "page", 3),
        ("ocr_steps_total", 1, "page"),
        ("ocr_workers", 1),
    ],
)
def test_what_is_no_figure_is_refused(note: Any) -> None:
    """It would stay in the sum, or in all that is told after it."""
    found = Metrics("stub")
    found.note("ocr_steps_total", 2, "page", "")
    before, _ = found.text()

    with pytest.raises((KeyError, TypeError, ValueError)):
        found.note(*note)

    steps = re.compile(rb"^ocr_steps_total.*", re.MULTILINE)
    assert steps.findall(found.text()[0]) == steps.findall(before)


def test_labels_are_bounded() -> None:
    """Nobody fills the memory by new ones; those that are known go on."""
    found = Metrics("stub")
    for n in range(1100):
        found.note("ocr_steps_total", 1, str(n), "")
    found.note("ocr_steps_total", 1, "0", "")
    found.note("ocr_pages_total", 1, "recognized")

    values = read(found.text()[0].decode())
    assert sum(name == "ocr_steps_total" for name, _ in values) == 1000
    assert value(values, "ocr_steps_total", step="0", engine="") == 2
    assert value(values, "ocr_pages_total", how="recognized") == 1

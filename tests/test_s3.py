"""Machines that share a bucket, and no folder."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient

from app import wiring
from app.bucket import Bucket
from app.cli import service
from app.cli.finding import Level
from app.config import Settings
from app.errors import State
from app.main import create_app
from app.storage.presign import Keys, presigned
from app.storage.s3 import S3Storage
from app.tasks import Tasks
from tests import services
from tests.conftest import TOKEN, InlineQueue
from tests.pictures import picture


@dataclass
class Machines:
    """A server and a worker machine, with data folders of their own."""

    client: TestClient
    server: Tasks
    worker: Tasks
    queue: InlineQueue
    store: services.S3

    def work(self) -> None:
        """Have the worker machine do all that waits."""
        while unit := self.queue.get(0):
            self.worker.runner.run(unit, "worker")

    def files(self) -> set[str]:
        """What is in the bucket: the first part of each key."""
        found = self.store.folder.rglob("*")
        return {p.relative_to(self.store.folder).parts[0] for p in found if p.is_file()}


@pytest.fixture(scope="module")
def store() -> Iterator[services.S3]:
    with services.s3() as started:
        yield started


@pytest.fixture
def settings(tmp_path: Path, store: services.S3, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in store.environment.items():
        monkeypatch.setenv(name, value)
    shutil.rmtree(store.folder, ignore_errors=True)
    return Settings(
        tokens=TOKEN,
        engine="stub",
        data_dir=tmp_path / "server",
        database_url=f"sqlite:///{tmp_path / 'ocr.db'}",
        storage_url=store.url,
    )


@pytest.fixture
def machines(
    request: pytest.FixtureRequest, settings: Settings, store: services.S3, tmp_path: Path
) -> Iterator[Machines]:
    settings = settings.model_copy(update=getattr(request, "param", {}))
    settings.data_dir.mkdir()
    wiring.migrate(settings)
    queue = InlineQueue(held=True)
    elsewhere = settings.model_copy(update={"data_dir": tmp_path / "worker"})
    with ExitStack() as stack:
        server, worker = (wiring.build(each, queue, queue) for each in (settings, elsewhere))
        stack.callback(server.close)
        stack.callback(worker.close)
        app = create_app(settings, server)
        client = stack.enter_context(TestClient(app, headers={"Authorization": TOKEN}))
        yield Machines(client, server, worker, queue, store)


def test_a_task_goes_through(machines: Machines) -> None:
    """Result, text, another format and the picture of a page; deleted, nothing is left."""
    task = _post(machines, format="pdf", return_text="1")
    machines.work()

    record = machines.client.get(f"/task/{task['task_id']}").json()["data"]
    assert record["state"] == State.COMPLETE
    assert record["text"]
    result = machines.client.get(record["file"])
    assert result.content.startswith(b"%PDF")
    assert result.headers["content-disposition"] == 'attachment; filename="page.pdf"'

    fields = {"format": "docx", "sync": "0"}
    other = machines.client.post(f"/task/{task['task_id']}/formats", json=fields).json()["data"]
    machines.work()
    other = machines.client.get(f"/task/{other['task_id']}").json()["data"]
    assert machines.client.get(other["file"]).content.startswith(b"PK")

    for gone in (other, task):
        machines.client.delete(f"/task/{gone['task_id']}")
    assert machines.client.get(record["file"]).status_code == 404
    assert machines.files() == set()


def test_a_store_that_is_away_costs_no_task(
    machines: Machines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A result that cannot be stored is made again, without blame; an upload is a 503."""
    task = _post(machines, format="txt")
    monkeypatch.setattr("app.runner.AWAY_S", 0)
    with monkeypatch.context() as wrong:
        # The store refuses, which is quicker than to be silent.
        wrong.setattr(_watched(machines.worker), "_store", _refused(machines))
        wrong.setattr(_watched(machines.server), "_store", _refused(machines))
        for _ in range(5):
            unit = machines.queue.get(0)
            assert unit is not None
            machines.worker.runner.run(unit, "worker")
        refused = machines.client.post(
            "/task/pic/ocr", data={"format": "txt"}, files={"image_file": ("a.png", picture())}
        )

    machines.work()

    assert refused.status_code == 503
    assert machines.server.get(_owner(machines, task), task["task_id"]).state == State.COMPLETE


def test_a_deletion_needs_no_store(machines: Machines, monkeypatch: pytest.MonkeyPatch) -> None:
    """The task is gone at once; its files go when they are found."""
    task = _post(machines, format="txt")
    monkeypatch.setattr(_watched(machines.server), "_store", _refused(machines))

    answer = machines.client.delete(f"/task/{task['task_id']}")

    assert answer.status_code == 200
    assert machines.client.get(f"/task/{task['task_id']}").status_code == 404


@pytest.mark.parametrize("machines", [{"result_links": "presigned"}], indirect=True)
def test_the_store_serves_results(machines: Machines) -> None:
    """At an address of its own, with the name and the type; ours leads there."""
    task = _post(machines, name="发票 (1).png", format="txt")
    machines.work()
    record = machines.client.get(f"/task/{task['task_id']}").json()["data"]

    direct = httpx2.get(record["file"])
    path = f"/tasks/output/ocr/{task['task_id']}.txt"
    redirect = machines.client.get(path, follow_redirects=False)
    led = httpx2.get(redirect.headers["location"])
    head = machines.client.head(path, follow_redirects=False)

    assert direct.status_code == led.status_code == 200
    assert direct.content == led.content != b""
    for answer in (direct, led):
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert "filename*=UTF-8''%E5%8F%91" in answer.headers["content-disposition"]
    assert redirect.status_code == 307
    assert redirect.headers["cache-control"] == "no-store"
    assert "X-Amz-Expires=604800&" in record["file"]
    assert "X-Amz-Expires=300&" in redirect.headers["location"]
    assert redirect.headers["x-content-type-options"] == "nosniff"
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(direct.content)))
    assert httpx2.get(record["file"] + "0").status_code == 403
    machines.client.delete(f"/task/{task['task_id']}")
    assert machines.client.get(path, follow_redirects=False).status_code == 404


@pytest.mark.parametrize("machines", [{"cache_bytes": 0}], indirect=True)
def test_what_is_not_kept_is_gone_when_it_is_sent(
    machines: Machines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it is asked for, and however that ends; HEAD downloads nothing."""
    task = _post(machines, format="txt", return_text="1")
    machines.work()
    record = machines.client.get(f"/task/{task['task_id']}").json()["data"]
    address, path = record["file"], f"/task/{task['task_id']}"
    monkeypatch.setattr("app.api.derived._WAIT_S", 0.1)
    others = {"/document": 200, "/document?page=1": 200, "/document?page=9": 404, "/pages/1": 200}
    for more in others:
        machines.client.get(path + more)
        machines.work()

    whole = machines.client.get(address)
    ranges = {"bytes=0-3": 206, "bytes=99999-": 416, "lines=1": 400}
    answers = {r: machines.client.get(address, headers={"Range": r}) for r in ranges}
    again = {"Range": "bytes=0-3", "If-Range": whole.headers["etag"]}
    with monkeypatch.context() as away:
        away.setattr(S3Storage, "locate", None)
        head = machines.client.head(address)

    assert record["text"] == whole.text
    assert {r: answer.status_code for r, answer in answers.items()} == ranges
    assert machines.client.get(address, headers=again).status_code == 206
    assert {more: machines.client.get(path + more).status_code for more in others} == others
    for name in ("content-length", "content-type", "content-disposition", "etag", "last-modified"):
        assert head.headers[name] == whole.headers[name]
    shown = (tmp_path / "server/cache/shown").rglob("*")
    assert not [found for found in shown if found.is_file()]


def test_links_are_signed_as_amazon_says() -> None:
    """The example of its reference."""
    link = presigned(
        "https://examplebucket.s3.amazonaws.com/test.txt",
        {},
        Keys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        "us-east-1",
        86400,
        datetime(2013, 5, 24, tzinfo=UTC),
    )

    assert link.endswith(
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )


def test_the_doctor_tries_the_store(settings: Settings, store: services.S3) -> None:
    """It leaves nothing there, and tells a wrong bucket from a store that is away."""
    good = service.storage(settings)
    wrong = settings.model_copy(update={"storage_url": store.url.replace("files", "never")})

    assert good.level is Level.OK
    assert not [path for path in store.folder.rglob("*") if path.is_file()]
    assert "NoSuchBucket" in service.storage(wrong).text
    assert "ocr-secret" not in service.storage(wrong).text


@pytest.mark.parametrize(
    ("url", "bucket"),
    [
        ("s3://b-1", Bucket("b-1", virtual=True)),
        ("s3://b.1/a/b%20c/", Bucket("b.1", "a/b c")),
        (
            "s3://bucket?endpoint=http://host:9000&region=eu-west-1",
            Bucket("bucket", endpoint="http://host:9000", region="eu-west-1"),
        ),
        (
            "s3://bucket?endpoint=https://oss.example/&style=virtual&public=https://files.example",
            Bucket("bucket", "", "https://oss.example", "", True, "https://files.example"),
        ),
    ],
)
def test_addresses_of_buckets(url: str, bucket: Bucket) -> None:
    """Where a store has no endpoint it is Amazon's, with the bucket's name in the host."""
    assert Bucket.at(url) == bucket


@pytest.mark.parametrize(
    "url",
    [
        "s3://key:hidden@bucket",
        "s3://",
        "s3://bucket/../x",
        "s3://bucket?endpoint=host:9000",
        "s3://bucket?endpoint=http://key:hidden@host",
        "s3://bucket?key=hidden",
        "s3://bucket?style=odd",
        "file://folder",
        "/folder",
    ],
)
def test_addresses_that_are_none(url: str) -> None:
    """They are refused at the start, and what may be a key is not repeated."""
    with pytest.raises(ValueError, match="storage_url") as told:
        Settings(storage_url=url)

    assert "hidden" not in told.value.errors()[0]["msg"]  # type: ignore[attr-defined]


def _post(machines: Machines, name: str = "page.png", **fields: str) -> dict[str, Any]:
    answer = machines.client.post(
        "/task/pic/ocr", data={"sync": "0", **fields}, files={"image_file": (name, picture())}
    )
    return dict(answer.json()["data"])


def _owner(machines: Machines, task: dict[str, Any]) -> str:
    from app.rows import Task

    with machines.server.sessions() as session:
        found = session.get(Task, task["task_id"])
        assert found is not None
        return found.owner


def _watched(tasks: Any) -> Any:
    """The storage itself, of which it is noted how long it takes."""
    return tasks.storage._storage


def _refused(machines: Machines) -> Any:
    """The same store, with keys that it does not take."""
    from obstore.store import S3Store

    endpoint = Bucket.at(machines.store.url).endpoint
    return S3Store(
        "files",
        endpoint=endpoint,
        access_key_id="none",
        secret_access_key="none",
        client_options={"allow_http": True},
    )

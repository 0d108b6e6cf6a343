"""The OpenAPI document: valid, and what it says of requests, records and errors is what comes."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from httpx2 import Response
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from sqlalchemy import update
from starlette.testclient import TestClient

from app.api import schema
from app.config import Settings
from app.errors import NotStored
from app.main import create_app
from app.rows import Task
from app.tasks import Tasks
from tests.conftest import TOKEN, InlineQueue
from tests.pictures import picture
from tests.test_api_tasks import send
from tests.web import Server, ok

Described = dict[str, Any]
METHODS = ("get", "post", "delete")


@pytest.fixture
def described(client: TestClient) -> Described:
    return dict(client.get("/openapi.json").json())


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Serves a document that the server may fetch; asked for before the server."""
    server = Server()
    server.answers["/document.pdf"] = ok(picture())
    monkeypatch.setenv("OCR_FETCH_NETWORKS", "127.0.0.0/8")
    monkeypatch.setenv("OCR_FETCH_PORTS", str(server.port))
    yield server
    server.stop()


def operations(described: Described) -> Iterator[tuple[str, str, Described]]:
    for path, methods in described["paths"].items():
        for method in METHODS:
            if method in methods:
                yield path, method, methods[method]


def contents(operation: Described) -> Iterator[Described]:
    """What it takes and answers, of each media type."""
    for part in (operation.get("requestBody", {}), *operation["responses"].values()):
        yield from part.get("content", {}).values()


def wrong(described: Described, rule: Described, value: Any) -> list[str]:
    """What of ``value`` is not as the rule says."""
    complete = {**rule, "components": described["components"]}
    return [error.message for error in Draft202012Validator(complete).iter_errors(value)]


def check(described: Described, path: str, answer: Response) -> None:
    """The answer is one of those that the operation has, with their body."""
    operation = described["paths"][path][answer.request.method.lower()]
    said = operation["responses"][str(answer.status_code)]
    rule = said["content"]["application/json"]["schema"]
    assert not wrong(described, rule, answer.json())


def test_it_is_valid(described: Described) -> None:
    """OpenAPI 3.1, and each operation has a name of its own, a summary and a good answer."""
    assert described["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(described).validate()
    named = [operation for _, _, operation in operations(described)]
    names = [operation["operationId"] for operation in named]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z]+([A-Z][a-z]+)*", name) for name in names)
    for operation in named:
        assert operation["summary"]
        assert operation["responses"]["200"]["content"]
        for content in contents(operation):
            assert content["schema"]


def test_every_schema_is_used(described: Described) -> None:
    """And each that is named is there, or the document were not valid."""
    used = set(re.findall(r"#/components/schemas/(\w+)", str(described)))

    assert used == set(described["components"]["schemas"])


def test_the_examples_are_right(described: Described) -> None:
    """Each as the schema beside it says; whatever answers JSON has one."""
    for path, method, operation in operations(described):
        for content in contents(operation):
            examples = content.get("examples", {})
            for name, example in examples.items():
                assert not wrong(described, content["schema"], example["value"]), (path, name)
        for answer in operation["responses"].values():
            content = answer.get("content", {})
            if [*content] == ["application/json"]:
                assert content["application/json"]["examples"], (path, method)


def test_the_requests_that_are_shown_are_accepted(
    web: Server, client: TestClient, tasks: Tasks, queue: InlineQueue
) -> None:
    """Each is sent; its task succeeds, and all answers are as described."""
    described = client.get("/openapi.json").json()
    of = send(client, picture()).json()["data"]["task_id"]
    sent = 0
    for path, method, operation in operations(described):
        for kind, content in operation.get("requestBody", {}).get("content", {}).items():
            for example in content["examples"].values():
                fields = dict(example["value"])
                if "image_url" in fields:
                    fields["image_url"] = f"http://127.0.0.1:{web.port}/document.pdf"
                    fields["sync"] = "0"
                    queue.held = True
                if kind == "application/json":
                    body: dict[str, Any] = {"json": fields}
                else:
                    body = {"files": {name: (None, fields[name]) for name in fields}}
                    if "image_file" in fields:
                        body["files"]["image_file"] = ("a.png", picture(), "image/png")
                answer = client.request(method, path.format(task_id=of), **body)
                check(described, path, answer)
                task_id = answer.json()["data"]["task_id"]
                if queue.held:
                    queue.held = False
                    tasks.runner.run(task_id, "worker")
                record = client.get(f"/task/{task_id}")
                check(described, "/task/{task_id}", record)
                assert record.json()["data"]["state"] == 1, record.text
                sent += 1
    assert sent >= 5


def test_records_are_as_described(
    client: TestClient, queue: InlineQueue, described: Described
) -> None:
    """Complete with its text, failed, waiting, deleted."""
    complete = send(client, picture(), return_text="1")
    failed = send(client, b"no document")
    queue.held = True
    waiting = send(client, picture(), sync="0")
    task_id = waiting.json()["data"]["task_id"]

    for answer in (complete, failed, waiting):
        check(described, "/task/pic/ocr", answer)
    for task in (complete, failed, waiting):
        answer = client.get(f"/task/{task.json()['data']['task_id']}")
        check(described, "/task/{task_id}", answer)
    check(described, "/task/{task_id}", client.delete(f"/task/{task_id}"))
    for path in ("/healthz", "/readyz", "/tasks"):
        check(described, path, client.get(path))


def test_more_of_a_task_is_as_described(client: TestClient, described: Described) -> None:
    """The document and one page as JSON, further formats, files of the types that are said."""
    task_id = send(client, picture()).json()["data"]["task_id"]
    document = "/task/{task_id}/document"
    said = described["paths"]["/tasks/output/ocr/{name}"]["get"]["responses"]["200"]["content"]
    of_document = described["paths"][document]["get"]["responses"]["200"]["content"]

    whole = client.get(f"/task/{task_id}/document")
    page = client.get(f"/task/{task_id}/document?page=1")

    assert whole.json()["pages"] == [page.json()]
    check(described, document, whole)
    check(described, document, page)
    for form in described["components"]["schemas"]["DerivedFormat"]["enum"]:
        made = client.post(f"/task/{task_id}/formats", json={"format": form})
        check(described, "/task/{task_id}/formats", made)
        file = client.get(made.json()["data"]["file"])
        assert file.headers["content-type"].partition(";")[0] in said
        if form in ("json", "hocr", "alto"):
            asked = client.get(f"/task/{task_id}/document?format={form}")
            assert asked.headers["content-type"].partition(";")[0] in of_document


Ask = Callable[..., Response]
REFUSED: dict[str, Ask] = {
    "invalid_parameter": lambda client, **_: send(client, picture(), format="odt"),
    "unauthorized": lambda client, **_: client.get("/task/1", headers={"Authorization": "x"}),
    "task_not_exist": lambda client, **_: client.get("/task/1"),
    "file_too_large": lambda limited, **_: send(limited(max_upload_bytes=9), picture()),
    "insufficient_user_quota": lambda limited, **_: send(limited(page_quota=1), picture()),
    "rate_limited": lambda limited, **_: send(limited(rate_per_minute=1), picture()),
    "too_many_tasks": lambda limited, **_: send(limited(tasks_at_once=1), picture()),
    "idempotency_key_reused": lambda client, **_: client.post(
        "/task/pic/ocr",
        files={"image_file": b"another"},
        headers={"Idempotency-Key": "k"},
    ),
    "not_stored": lambda full, **_: send(full, picture()),
    "result_expired": lambda expired, **_: expired,
    "operators_only": lambda client, **_: client.get("/operations"),
    "task_not_complete": lambda client, waiting, **_: client.get(
        f"/task/{waiting['task_id']}/document"
    ),
    "page_not_exist": lambda client, first, **_: client.get(f"/task/{first['task_id']}/pages/0"),
    "service_unavailable": lambda cold, **_: cold.get("/readyz"),
}


@pytest.mark.parametrize("code", REFUSED)
def test_errors_are_as_described(
    code: str,
    settings: Settings,
    tasks: Tasks,
    client: TestClient,
    queue: InlineQueue,
    described: Described,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is shown has the status, shape and code of what comes."""
    first = client.post(
        "/task/pic/ocr", files={"image_file": picture()}, headers={"Idempotency-Key": "k"}
    ).json()["data"]
    queue.held = True
    waiting = send(client, picture(), sync="0").json()["data"]
    fitting: dict[str, Any] = {"client": client, "first": first, "waiting": waiting}

    def limited(**limits: int) -> TestClient:
        app = create_app(settings.model_copy(update=limits), tasks)
        one = TestClient(app, headers={"Authorization": TOKEN})
        send(one, picture(), sync="0")
        return one

    def nowhere(*_: object) -> None:
        raise NotStored("The file could not be stored: the disk is full or fails.")

    fitting["limited"] = limited
    fitting["cold"] = TestClient(create_app(settings, tasks, warm=lambda: False))
    if code == "not_stored":
        monkeypatch.setattr(tasks.storage, "put", nowhere)
        fitting["full"] = client
    if code == "result_expired":
        with tasks.sessions.begin() as session:
            session.execute(update(Task).values(result_since=1.0))
        tasks.sweeper.step()
        fitting["expired"] = client.get(first["file"])

    answer = REFUSED[code](**fitting)

    shown = [
        said["content"]["application/json"]["examples"][code]["value"]
        for _, _, operation in operations(described)
        for said in operation["responses"].values()
        if code in said.get("content", {}).get("application/json", {}).get("examples", {})
    ]
    assert shown
    assert (answer.json() | {"status": answer.status_code}).keys() >= shown[0].keys()
    assert _plain(answer.json()) == _plain(shown[0]) or code == "service_unavailable"
    of_code = described["components"]["schemas"]["ErrorCode"]
    assert not wrong(described, of_code, answer.json()["error"]["code"])


def test_every_code_is_named(described: Described) -> None:
    """Those of requests and those of tasks, and no other."""
    schemas = described["components"]["schemas"]

    assert {"", "invalid_parameter", "header_too_large"} <= set(schemas["ErrorCode"]["enum"])
    assert "encrypted_document" not in schemas["ErrorCode"]["enum"]
    assert schemas["State"]["x-enum-varnames"][1] == "COMPLETE"
    assert schema.SCHEMAS["TaskRecord"]


def _plain(body: Described) -> str:
    """Without the numbers and the request's id, which are others each time."""
    return re.sub(r"[0-9a-f]{32}|\d+", "0", str(body))

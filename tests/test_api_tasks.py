"""The endpoint over HTTP, point by point; recognition is the stub engine's."""

import asyncio
import json
import threading
import time
import uuid
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from httpx2 import Response
from reportlab.pdfgen.canvas import Canvas
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from app.api import answers
from app.api.waiting import Waiting
from app.config import Settings
from app.errors import Unavailable
from app.main import create_app
from app.pipeline import Job, Outcome
from app.rows import Task
from app.tasks import Tasks
from tests.conftest import TOKEN, InlineQueue
from tests.pictures import frames, picture
from tests.stack import kept
from tests.test_db import add

KEYS = [
    *("file", "type", "state", "task_id", "progress", "ocr_pages", "created_at", "file_pages"),
    *("input_size", "output_size", "completed_at", "processed_at", "state_detail"),
]


def send(client: TestClient, content: bytes | None = None, **fields: str) -> Response:
    """POST as the documented examples do: every field is a part of multipart/form-data."""
    files: dict[str, Any] = {name: (None, value) for name, value in fields.items()}
    if content is not None:
        files["image_file"] = ("a.png", content, "image/jpeg")
    return client.post("/task/pic/ocr", files=files)


def refused(response: Response, status: int, *words: str) -> None:
    body = response.json()
    assert response.status_code == status, body
    assert body["status"] == status
    assert list(body["error"]) == ["message", "type", "code"]
    assert response.headers["x-request-id"] in body["error"]["message"]
    for word in words:
        assert word in body["message"]


def test_the_record_is_exact(client: TestClient) -> None:
    """A complete task has the 13 keys in their order, and nothing else."""
    content = picture()

    body = send(client, content, language="English").json()

    assert list(body) == ["status", "data"]
    data = body["data"]
    assert list(data) == KEYS
    assert uuid.UUID(data["task_id"]).version == 4
    assert (data["type"], data["state"], data["progress"]) == (101, 1, 100)
    assert data["state_detail"] == "Complete"
    assert data["input_size"] == len(content)
    assert data["file"] == f"http://testserver/tasks/output/ocr/{data['task_id']}.txt"
    assert client.get(f"/task/{data['task_id']}").json() == body


def test_an_unfinished_record_leaves_out_what_it_lacks(
    client: TestClient, queue: InlineQueue
) -> None:
    """Keys without a value are absent, never null."""
    queue.held = True

    data = send(client, picture(), sync="0").json()["data"]

    assert list(data) == [
        "type",
        "state",
        "task_id",
        "progress",
        "created_at",
        "input_size",
        "state_detail",
    ]
    assert data["state"] == 0


@pytest.mark.parametrize("suffix", ["txt", "pdf", "docx", "xlsx", "pptx"])
def test_every_format_is_served(client: TestClient, suffix: str) -> None:
    """The file is fetched without a token and is as long as the record says."""
    data = send(client, picture(), format=suffix).json()["data"]

    file = client.get(data["file"], headers={"Authorization": ""})

    assert data["file"].endswith(suffix)
    assert file.status_code == 200
    assert len(file.content) == data["output_size"]


def test_frames_are_pages(client: TestClient) -> None:
    """A form feed stands between the texts of two pages."""
    data = send(client, frames(["one", "two", "three"])).json()["data"]

    assert data["file_pages"] == data["ocr_pages"] == 3
    assert client.get(data["file"]).text.count("\f") == 2


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"format": "odt"}, ("format", "txt", "pdf", "docx", "xlsx", "pptx")),
        ({"format": "TXT"}, ("format",)),
        ({"language": "Klingon"}, ("language", "Klingon")),
        ({"language": "english"}, ("language", "English")),
        ({"language": "E13B"}, ("language", "E13B")),
        ({"password": "x" * 33}, ("password", "32")),
        ({"sync": "maybe"}, ("sync",)),
        ({"image_url": "https://example.com/a.pdf"}, ("image_file", "image_url")),
        ({"callback_url": "ftp://example.com"}, ("callback_url",)),
    ],
)
def test_wrong_fields_are_named(
    client: TestClient, fields: dict[str, str], words: tuple[str, ...]
) -> None:
    """A 400 says which field is wrong and what it takes; there is no task."""
    refused(send(client, picture(), **fields), 400, *words)


def test_a_document_is_needed(client: TestClient) -> None:
    """Neither file nor URL is a 400; so is a file of no bytes."""
    refused(send(client, language="English"), 400, "image_file", "image_url")
    refused(send(client, b"", language="English"), 400, "image_file", "image_url")


@pytest.mark.parametrize("url", ["ftp://example.com/a", "http://example.com:22/", "http:///a", "x"])
def test_bad_urls_are_refused(client: TestClient, url: str) -> None:
    """What cannot be fetched at all never becomes a task."""
    refused(send(client, image_url=url), 400, "image_url")


def test_an_inside_address_fails_the_task(client: TestClient) -> None:
    """The server's own network is out of reach."""
    data = send(client, image_url="http://127.0.0.1/a.pdf").json()["data"]

    assert data["state"] == -3
    assert "file" not in data


def test_empty_is_absent_and_unknown_is_ignored(client: TestClient) -> None:
    """Clients send empty and foreign fields."""
    fields = {"image_url": "", "format": "", "language": "", "password": "", "return_type": "1"}

    assert send(client, picture(), **fields).json()["data"]["state"] == 1


def test_the_text_comes_along_when_asked(client: TestClient) -> None:
    """``return_text`` adds one key, for every format."""
    for suffix in ("txt", "docx"):
        data = send(client, picture(), return_text="1", format=suffix).json()["data"]

        assert list(data) == [*KEYS, "text"]
        assert data["text"]
        assert client.get(f"/task/{data['task_id']}").json()["data"] == data


def test_a_document_with_text_is_recognized_when_asked(client: TestClient) -> None:
    """``mode``: its own text by default, what is recognized with force."""
    stream = BytesIO()
    canvas = Canvas(stream, pagesize=(400, 300))
    canvas.drawString(50, 200, "Its own text")
    canvas.save()

    found = {}
    for mode in ("", "auto", "skip", "force"):
        data = send(client, stream.getvalue(), mode=mode, return_text="1").json()["data"]
        found[mode] = data["ocr_pages"], "Its own text" in data["text"]

    assert found == {"": (0, True), "auto": (0, True), "skip": (0, True), "force": (1, False)}
    refused(send(client, stream.getvalue(), mode="Force"), 400, "mode")


def test_failed_pages_are_in_a_header(
    client: TestClient, tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record's keys are fixed; its detail says it in words."""

    def write(job: Job, portions: object, target: Path, *others: object) -> Outcome:
        target.write_text("text")
        return Outcome("application/pdf", "text/plain", pages, 2, failed)

    pages = 3
    failed: tuple[int, ...] = (2,)
    assert "X-OCR-Failed-Pages" not in send(client, picture()).headers
    monkeypatch.setattr(Job, "write", write)

    response = send(client, picture())

    assert response.headers["X-OCR-Failed-Pages"] == "2"
    assert response.json()["data"]["state_detail"] == (
        "Complete, but for pages that could not be read: 2"
    )
    assert list(response.json()["data"]) == KEYS

    pages, failed = 5000, tuple(range(1, 4000))
    told = send(client, picture()).headers["X-OCR-Failed-Pages"]
    assert told == ",".join(map(str, range(1, 201)))


def test_hidden_sheets_are_named(client: TestClient) -> None:
    """Where they are left out; a workbook that is given back has them."""
    stream = BytesIO()
    with closing(openpyxl.Workbook()) as book:
        book.worksheets[0]["A1"] = "seen"
        book.create_sheet("计算").sheet_state = "hidden"
        book.create_sheet("Lists").sheet_state = "veryHidden"
        book.save(stream)

    details = {
        suffix: send(client, stream.getvalue(), format=suffix).json()["data"]["state_detail"]
        for suffix in ("txt", "docx", "pptx", "xlsx")
    }

    told = "Complete, but for hidden sheets: 计算, Lists"
    assert details == {"txt": told, "docx": told, "pptx": told, "xlsx": "Complete"}


def test_other_bodies(client: TestClient) -> None:
    """JSON and form-urlencoded carry a URL, under the vendor's name too."""
    url = "http://127.0.0.1/a.pdf"
    path = "/api/tasks/document/ocr"

    for response in (client.post(path, json={"url": url}), client.post(path, data={"url": url})):
        assert response.json()["data"]["state"] == -3


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", b"--b\r\nbroken"),
        ("multipart/form-data; boundary=" + "b" * 9000, b"--b\r\n"),
        ("application/json", b"{"),
        ("application/json", b"[1]"),
        ("application/json", b'{"url": 5}'),
        ("application/json", b"[" * 100_000),
        ("application/x-www-form-urlencoded", b"a=1&" * 5000),
        ("text/plain", b"hi"),
    ],
)
def test_odd_bodies_get_an_answer(client: TestClient, kind: str, body: bytes) -> None:
    """Nothing that is sent is a 500."""
    refused(client.post("/task/pic/ocr", content=body, headers={"Content-Type": kind}), 400)


def test_vendor_paths_and_aliases(client: TestClient) -> None:
    """The same task under every path, with the vendor's header and field."""
    response = client.post(
        "/api/tasks/document/ocr",
        files={"file": ("a.png", picture())},
        headers={"X-API-KEY": TOKEN, "Authorization": ""},
    )

    data = response.json()["data"]
    for path in ("/api/tasks/document/ocr/", "/task/pic/ocr/", "/task/"):
        assert client.get(path + data["task_id"]).json()["data"] == data


@pytest.mark.parametrize(
    "name", ["9b2d6f4e-5a3c-4e1d-8f70-1c2b3a4d5e6f", "1", "..%2f..%2fetc%2fpasswd"]
)
def test_unknown_tasks(client: TestClient, name: str) -> None:
    """A 404 in the error shape, whatever the id looks like."""
    refused(client.get(f"/task/{name}"), 404)
    refused(client.delete(f"/task/{name}"), 404)


def test_deleting_leaves_nothing(client: TestClient, settings: Settings) -> None:
    """Neither task nor file is found afterwards."""
    data = send(client, picture()).json()["data"]

    assert client.delete(f"/task/{data['task_id']}").status_code == 200

    refused(client.get(f"/task/{data['task_id']}"), 404)
    refused(client.get(data["file"]), 404)
    assert not kept(settings.data_dir)


def test_the_public_url_begins_results(settings: Settings, tasks: Tasks) -> None:
    """A configured base stands before every result's path."""
    public = settings.model_copy(update={"public_url": "https://ocr.example/base/"})
    with TestClient(create_app(public, tasks), headers={"Authorization": TOKEN}) as client:
        data = send(client, picture()).json()["data"]

    assert data["file"].startswith("https://ocr.example/base/tasks/output/ocr/")


def test_forwarded_headers_need_trust(settings: Settings, tasks: Tasks) -> None:
    """Only a trusted proxy may say what the client called us."""
    told = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "ocr.example"}
    seen = []
    for networks in ((), ("127.0.0.0/8",)):
        app = create_app(settings.model_copy(update={"trusted_proxies": networks}), tasks)
        headers = {"Authorization": TOKEN, **told}
        with TestClient(app, headers=headers, client=("127.0.0.1", 5)) as client:
            seen.append(send(client, picture()).json()["data"]["file"])

    assert seen[0].startswith("http://testserver/")
    assert seen[1].startswith("https://ocr.example/")


def test_waiting_has_its_cap(settings: Settings, tasks: Tasks, queue: InlineQueue) -> None:
    """A request that waits too long gets the unfinished record."""
    queue.held = True
    app = create_app(settings.model_copy(update={"sync_wait_s": 0.1}), tasks)
    with TestClient(app, headers={"Authorization": TOKEN}) as client:
        data = send(client, picture()).json()["data"]

    assert data["state"] == 0


def test_long_waits_are_kept_alive(
    settings: Settings,
    tasks: Tasks,
    queue: InlineQueue,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Spaces come ahead of the JSON, so that nobody on the way loses patience."""
    queue.held = True
    monkeypatch.setattr(answers, "_SPACE_S", 0.05)
    app = create_app(settings.model_copy(update={"sync_wait_s": 0.3}), tasks)
    with TestClient(app, headers={"Authorization": TOKEN}) as client:
        response = send(client, picture())

    assert response.text.startswith("  ")
    assert json.loads(response.text)["data"]["state"] == 0


def test_an_old_client_gets_its_answer_in_one_piece(
    settings: Settings,
    tasks: Tasks,
    queue: InlineQueue,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """HTTP/1.0 has no chunks: such a wait is a silent one."""
    queue.held = True
    monkeypatch.setattr(answers, "_SPACE_S", 0.05)
    app = create_app(settings.model_copy(update={"sync_wait_s": 0.3}), tasks)

    async def old(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, "http_version": "1.0"}, receive, send)

    with TestClient(old, headers={"Authorization": TOKEN}) as client:
        response = send(client, picture())

    assert int(response.headers["Content-Length"]) == len(response.content)
    assert response.json()["data"]["state"] == 0


@pytest.mark.parametrize("sync", ["0", "1"])
def test_a_task_that_exists_is_told(
    sync: str,
    settings: Settings,
    tasks: Tasks,
    queue: InlineQueue,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A database that is away once the row is written is no reason to send the document again."""

    def away(owner: str, task_id: str) -> Task:
        raise Unavailable("The database does not answer.")

    queue.held = True
    monkeypatch.setattr(tasks, "get", away)
    app = create_app(settings.model_copy(update={"sync_wait_s": 0.1}), tasks)
    with TestClient(app, headers={"Authorization": TOKEN}) as client:
        response = send(client, picture(), sync=sync)

    assert response.status_code == 200
    assert response.json()["data"]["state"] == 0


def test_no_thread_to_look_with(tasks: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wait has its end then, and the next one tries again."""
    task = tasks.get("o", add(tasks.sessions))

    class Never(threading.Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    waiting = Waiting(tasks, lambda: True)
    with monkeypatch.context() as patched:
        patched.setattr("app.api.waiting.threading.Thread", Never)
        assert asyncio.run(waiting.until_final(task, 0.05)) is None

    assert asyncio.run(waiting.until_final(task, 30)) is not None


def test_the_end_is_told_quickly(client: TestClient, tasks: Tasks, queue: InlineQueue) -> None:
    """A waiting request learns of the end at once, not at the next poll of seconds."""
    queue.held = True
    ended: list[float] = []

    def finish() -> None:
        while not queue.ids:
            time.sleep(0.005)
        tasks.runner.run(queue.ids.pop(), "worker")
        ended.append(time.monotonic())

    thread = threading.Thread(target=finish)
    thread.start()
    response = send(client, picture())
    told = time.monotonic()
    thread.join()

    assert response.json()["data"]["state"] == 1
    assert told - ended[0] < 1  # Generous: no test depends on time. The benchmark measures it.


@pytest.mark.parametrize(("patience_s", "state"), [(3600.0, 1), (0.0, 0)])
def test_a_server_that_stops_waits_for_what_ends_soon(
    patience_s: float,
    state: int,
    settings: Settings,
    tasks: Tasks,
    queue: InlineQueue,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A client need not ask again because of a restart, unless it takes long."""
    monkeypatch.setattr("app.api.waiting._STOPPING_S", patience_s)
    queue.held = True
    looked, answered = threading.Event(), threading.Event()

    def stopping() -> bool:
        looked.set()
        return True

    def finish() -> None:
        (looked if state else answered).wait()
        tasks.runner.run(queue.ids.pop(), "worker")

    thread = threading.Thread(target=finish)
    thread.start()
    with TestClient(create_app(settings, tasks, stopping=stopping)) as client:
        client.headers["Authorization"] = TOKEN
        response = send(client, picture())
    answered.set()
    thread.join()

    assert response.json()["data"]["state"] == state


def test_file_names_are_harmless(client: TestClient) -> None:
    """What is offered for the download has no folder, no control, no foreign extension."""
    names = {
        "../..\\季度 report": "季度 report.txt",
        "a\u202egnp.exe": "agnp.txt",
        "..": None,
        'x"y.pdf': "x_y.txt",
        "n" * 500 + ".png": "n" * 196 + ".txt",
    }
    for sent, shown in names.items():
        data = send(client, picture(), filename=sent).json()["data"]
        disposition = client.get(data["file"]).headers["content-disposition"]
        from urllib.parse import unquote

        assert (shown or f"{data['task_id']}.txt") in unquote(disposition)


def test_results_are_static_files(client: TestClient) -> None:
    """HEAD, ranges and the headers that keep browsers from guessing."""
    data = send(client, picture(), format="pdf").json()["data"]

    head = client.head(data["file"])
    part = client.get(data["file"], headers={"Range": "bytes=0-3"})
    # Ten thousand were quadratic work once (CVE-2025-62727); overlapping ones become one.
    flood = ",".join(f"{n}-{n + 1}" for n in range(0, 30000, 3))
    flooded = client.get(data["file"], headers={"Range": f"bytes={flood}"})
    overlapping = client.get(data["file"], headers={"Range": "bytes=" + ",".join(["0-9"] * 90)})

    assert int(head.headers["content-length"]) == data["output_size"]
    assert head.headers["content-type"] == "application/pdf"
    assert head.headers["x-content-type-options"] == "nosniff"
    assert (part.status_code, part.content) == (206, b"%PDF")
    assert (flooded.status_code, len(flooded.content)) == (200, data["output_size"])
    assert (overlapping.status_code, overlapping.content[:4]) == (206, b"%PDF")
    assert len(overlapping.content) == 10


@pytest.mark.parametrize("name", ["%2e%2e/%2e%2e/etc/passwd", "{id}.exe", "{id}", "{id}.pdf", ""])
def test_only_results_are_served(client: TestClient, name: str) -> None:
    """No path leads elsewhere, and no format but the task's own."""
    data = send(client, picture()).json()["data"]

    response = client.get("/tasks/output/ocr/" + name.format(id=data["task_id"]))

    assert response.status_code == 404


def test_browsers_elsewhere_may_call(client: TestClient) -> None:
    """The documented example is a browser's."""
    asked = {
        "Origin": "https://app.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
        "Authorization": "",
    }

    preflight = client.options("/task/pic/ocr", headers=asked)
    refusal = client.get("/task/x", headers={"Origin": "https://app.example", "Authorization": ""})

    assert "authorization" in preflight.headers["access-control-allow-headers"].lower()
    assert preflight.headers["x-request-id"]
    assert refusal.status_code == 401
    assert refusal.headers["access-control-allow-origin"] == "*"


def test_health(client: TestClient) -> None:
    """Both probes answer without a token."""
    for path in ("/healthz", "/readyz"):
        for method in ("GET", "HEAD"):
            response = client.request(method, path, headers={"Authorization": ""})
            assert response.status_code == 200


def test_not_ready_before_the_workers_are(settings: Settings, tasks: Tasks) -> None:
    """A 503 with Retry-After until the warm-up page is read."""
    with TestClient(create_app(settings, tasks, warm=lambda: False)) as client:
        response = client.get("/readyz")

    refused(response, 503)
    assert response.headers["retry-after"]


def test_the_api_is_described(client: TestClient) -> None:
    """Tools can build a client from the OpenAPI document."""
    spec = client.get("/openapi.json").json()

    body = spec["paths"]["/task/pic/ocr"]["post"]["requestBody"]["content"]
    name = body["multipart/form-data"]["schema"]["$ref"].rpartition("/")[2]
    assert {"image_file", "image_url", "format", "language", "password"} <= set(
        spec["components"]["schemas"][name]["properties"]
    )
    assert spec["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    operations = [o["operationId"] for p in spec["paths"].values() for o in p.values()]
    assert len(set(operations)) == len(operations)
    assert "404" in spec["paths"]["/task/{task_id}"]["delete"]["responses"]
    assert "HTTPValidationError" not in str(spec["paths"])
    assert "422" in spec["paths"]["/task/pic/ocr"]["post"]["responses"]


@pytest.mark.parametrize("odd", ["\\u0000", "\\ud800"])
@pytest.mark.parametrize("name", ["password", "filename", "language", "url"])
def test_what_is_no_text_is_refused(client: TestClient, name: str, odd: str) -> None:
    """JSON can spell what no database keeps."""
    fields = {"url": "http://example.com/", "sync": "0", name: f"x{odd}"}
    body = json.dumps(fields).replace("\\\\", "\\")

    response = client.post(
        "/task/pic/ocr", content=body, headers={"Content-Type": "application/json"}
    )

    refused(response, 400, name)


def test_a_wrong_method_is_told_the_right_ones(client: TestClient) -> None:
    """All of them, though each has a route of its own."""
    response = client.options("/task/0")

    refused(response, 405)
    assert response.headers["Allow"] == "DELETE, GET"


def test_a_full_disk_is_a_503(
    client: TestClient, tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be stored is not accepted."""
    from app.errors import NotStored

    def full(path: Path, key: str, lasting: bool = True) -> None:
        raise NotStored("The file could not be stored.")

    monkeypatch.setattr(tasks.storage, "put", full)

    response = send(client, picture())

    refused(response, 503)
    with tasks.sessions() as session:
        assert session.query(Task).count() == 0

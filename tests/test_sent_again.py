"""Requests that are sent again give the same task; documents that are sent again may its result."""

import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from httpx2 import Response
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker
from starlette.testclient import TestClient

from app import access, wiring
from app.api.auth import digest
from app.config import Settings
from app.rows import Task, Token
from app.tasks import Tasks
from tests.conftest import TOKEN, InlineQueue, Start
from tests.pictures import picture
from tests.stack import kept
from tests.test_api_tasks import refused

OTHER = "sk-other"


def _send(
    client: TestClient,
    content: bytes | None,
    key: str | list[str] | None = None,
    token: str = TOKEN,
    **fields: str,
) -> Response:
    files: dict[str, Any] = {name: (None, value) for name, value in fields.items()}
    if content is not None:
        files["image_file"] = ("a.png", content)
    keys = [key] if isinstance(key, str) else key or []
    headers = [("Authorization", token), *(("Idempotency-Key", key) for key in keys)]
    return client.post("/task/pic/ocr", files=files, headers=headers)


def _id(response: Response) -> str:
    assert response.status_code == 200, response.text
    return str(response.json()["data"]["task_id"])


def _count(tasks: Tasks) -> int:
    with tasks.sessions() as session:
        return len(session.scalars(select(Task.id)).all())


def _files(settings: Settings) -> Counter[str]:
    """How many files there are in each folder of the store, and of uploads."""
    return Counter(Path(name).parent.name for name in kept(settings.data_dir))


@pytest.fixture
def other(sessions: sessionmaker[Session]) -> str:
    """Another token."""
    with sessions.begin() as session:
        row = Token(digest=digest(OTHER), name="other", created_at=1.0)
        assert access.add_token(session, row)
    return OTHER


def test_the_same_request_gives_the_same_task(
    start: Start, queue: InlineQueue, settings: Settings
) -> None:
    """Finished or not, and also by a server that was started anew; nothing is kept twice."""
    queue.held = True
    client, tasks = start()
    first = _send(client, picture(), "k", sync="0", language="English", password="p")
    again = _send(client, picture(), "k", sync="0", password="p", language="English")
    assert _files(settings) == {"sources": 1}
    tasks.runner.run(_id(first), "worker")
    restarted, _ = start()
    late = _send(restarted, picture(), "k", language="English", password="p")

    assert _id(first) == _id(again) == _id(late)
    assert late.json()["data"]["state"] == 1
    assert _count(tasks) == 1


def test_requests_without_a_key_are_not_known(start: Start) -> None:
    """Nor are those with another one."""
    client, tasks = start()

    sent = {_id(_send(client, picture(), key)) for key in (None, None, "a", "b")}

    assert len(sent) == _count(tasks) == 4


def test_a_key_is_for_one_request(start: Start, settings: Settings) -> None:
    """Whatever differs, it is told; the first task stays."""
    client, tasks = start()
    asked = {"language": "English", "password": "p", "format": "txt"}
    first = _id(_send(client, picture(), "k", **asked))
    before = _files(settings)

    for content, fields in (
        (picture("OTHER"), asked),
        (picture(), asked | {"format": "pdf"}),
        (picture(), asked | {"password": "q"}),
        (picture(), asked | {"filename": "b"}),
        (picture(), asked | {"callback_url": "http://example.com/"}),
        (None, asked | {"image_url": "http://example.com/a.png"}),
    ):
        answer = _send(client, content, "k", **fields)
        refused(answer, 422)
        assert answer.json()["error"]["code"] == "idempotency_key_reused"
    assert _count(tasks) == 1
    assert _files(settings) == before
    assert _id(_send(client, picture(), "k", **asked)) == first


def test_the_fingerprint_tells_no_password(start: Start) -> None:
    """It is kept for longer than that, and the same request of two tokens has two."""
    client, tasks = start()
    _send(client, picture(), "k", password="p")
    _send(client, picture(), "l", password="p")

    with tasks.sessions() as session:
        found = session.execute(select(Task.password, Task.fingerprint)).all()

    assert {password for password, _ in found} == {None}
    assert len({fingerprint for _, fingerprint in found}) == 1


def test_each_token_has_its_keys(start: Start, other: str) -> None:
    """Nobody gets another's task."""
    client, tasks = start()

    assert _id(_send(client, picture(), "k")) != _id(_send(client, picture(), "k", other))
    assert _count(tasks) == 2


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb", ["a", "a"]])
def test_odd_keys_are_refused(start: Start, key: str | list[str]) -> None:
    """Before the body is read."""
    client, tasks = start()

    refused(_send(client, picture(), [key] if isinstance(key, str) else key), 400, "Idempotency")
    assert _count(tasks) == 0


def test_the_longest_key(start: Start) -> None:
    client, _ = start()

    assert _id(_send(client, picture(), "~ " * 127 + "x"))


def test_two_at_the_same_moment(start: Start, queue: InlineQueue, settings: Settings) -> None:
    """To two servers: one task, which all are told of; it counts once."""
    queue.held = True
    clients = [start(rate_per_minute=1)[0], start(rate_per_minute=1)[0]]
    _, tasks = start()
    together = threading.Barrier(8)
    answers: list[Response] = []

    def post(client: TestClient) -> None:
        together.wait()
        answers.append(_send(client, picture(), "k", sync="0"))

    threads = [threading.Thread(target=post, args=(client,)) for client in clients * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({_id(answer) for answer in answers}) == 1
    assert len(answers) == 8
    assert _count(tasks) == 1
    assert len(queue.ids) == 1
    assert _files(settings) == {"sources": 1}


def test_a_deleted_task_frees_its_key(start: Start) -> None:
    """It is kept as long as the task."""
    client, _ = start()
    first = _id(_send(client, picture(), "k"))
    client.delete(f"/task/{first}")

    assert _id(_send(client, picture("OTHER"), "k")) != first


# Results that are used again.


@pytest.fixture
def reusing(start: Start) -> tuple[TestClient, Tasks]:
    return start(reuse_results=True, page_quota=100)


def _attempts(tasks: Tasks, task_id: str) -> int:
    with tasks.sessions() as session:
        return session.get_one(Task, task_id).attempts


def test_an_equal_document_is_complete_at_once(
    reusing: tuple[TestClient, Tasks], queue: InlineQueue
) -> None:
    """A task of its own with a copy of the result, which outlives the other; no pages count."""
    client, tasks = reusing
    asked = {"format": "pdf", "return_text": "1"}
    first = _send(client, picture(), **asked).json()["data"]
    queue.held = True

    second = _send(client, picture(), **asked, filename="b", sync="0").json()["data"]

    assert second["task_id"] != first["task_id"]
    same = ("state", "progress", "state_detail", "file_pages", "ocr_pages", "output_size", "text")
    assert [second[name] for name in same] == [first[name] for name in same]
    assert list(second) == list(first)
    assert queue.ids == []
    assert _attempts(tasks, second["task_id"]) == 0
    with tasks.sessions() as session:
        assert list(access.pages_used(session).values()) == [1]
    content = client.get(first["file"]).content
    client.delete(f"/task/{first['task_id']}")
    assert client.get(second["file"]).content == content
    third = _send(client, picture(), **asked, sync="0").json()["data"]
    assert third["state"] == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"format": "docx"},
        {"language": "English"},
        {"mode": "force"},
        {"pdfa": "1"},
        {"return_text": "1"},
        {"password": "p"},
    ],
)
def test_other_options_are_other_work(
    reusing: tuple[TestClient, Tasks], fields: dict[str, str]
) -> None:
    client, tasks = reusing
    _send(client, picture(), format="pdf")

    done = [_id(_send(client, picture(), **{"format": "pdf", **fields}))]
    if "password" in fields:  # Not even the same one.
        done.append(_id(_send(client, picture(), **{"format": "pdf", **fields})))

    assert [_attempts(tasks, name) for name in done] == [1] * len(done)


def test_what_is_not_reused(
    reusing: tuple[TestClient, Tasks], start: Start, other: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another's, another version's, one that expired, or lacks pages, or was not wanted."""
    client, tasks = reusing
    first = _id(_send(client, picture()))

    assert _attempts(tasks, _id(_send(client, picture(), token=other))) == 1
    assert _attempts(tasks, _id(_send(start()[0], picture()))) == 1
    with monkeypatch.context() as patch:
        patch.setattr(wiring, "__version__", "next")
        assert _attempts(tasks, _id(_send(start(reuse_results=True)[0], picture()))) == 1
    for values in ({"failed_pages": "2"}, {"result_since": None}):
        with tasks.sessions.begin() as session:
            session.execute(update(Task).values(**values))
        assert _attempts(tasks, _id(_send(client, picture()))) == 1
    assert _attempts(tasks, first) == 1


def test_a_result_that_vanishes_is_made_again(
    reusing: tuple[TestClient, Tasks], settings: Settings
) -> None:
    """Nothing is left of the attempt to use it."""
    client, tasks = reusing
    first = _send(client, picture(), format="pdf", return_text="1").json()["data"]
    tasks.storage.delete(f"texts/{first['task_id']}.txt")

    second = _id(_send(client, picture(), format="pdf", return_text="1"))

    assert _attempts(tasks, second) == 1
    assert _files(settings) == {"results": 2, "texts": 1, "sources": 2, "readings": 2}


def test_other_formats_of_a_reused_result(reusing: tuple[TestClient, Tasks]) -> None:
    """Its document is its own: it stays when the other one is deleted."""
    client, _ = reusing
    first, second = (_id(_send(client, picture())) for _ in range(2))
    client.delete(f"/task/{first}")

    made = client.post(f"/task/{second}/formats", data={"format": "docx"}).json()["data"]

    assert made["state"] == 1


def test_a_reused_result_is_reported(reusing: tuple[TestClient, Tasks]) -> None:
    """As any other end."""
    client, tasks = reusing
    _send(client, picture())
    second = _id(_send(client, picture(), callback_url="http://example.com/hook"))

    due = tasks.reporter.take()

    assert due is not None
    assert due.id == second

"""What a token may do holds exactly, whoever accepts its tasks, on SQLite and on PostgreSQL."""

import contextlib
import threading
import time
from collections import Counter

import pytest
from httpx2 import Response
from sqlalchemy import update
from sqlalchemy.orm import Session, sessionmaker
from starlette.testclient import TestClient

from app import access
from app.access import Access, Allowance
from app.api.auth import digest
from app.config import Settings
from app.errors import QuotaUsedUp, RateLimited
from app.rows import Task, Token, Usage
from app.tasks import Tasks
from tests.conftest import TOKEN, InlineQueue, Start
from tests.pictures import picture
from tests.stack import kept
from tests.test_api_tasks import refused, send

OWNER = digest(TOKEN)


def _storm(clients: list[TestClient], posts: int) -> list[Response]:
    """The answers to ``posts`` requests at once to each of ``clients``."""
    answers: list[Response] = []
    together = threading.Barrier(posts * len(clients))

    def post(client: TestClient) -> None:
        together.wait()
        answers.append(send(client, picture(), sync="0"))

    threads = [threading.Thread(target=post, args=(c,)) for c in clients for _ in range(posts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def _rows(tasks: Tasks) -> int:
    with tasks.sessions() as session:
        return session.query(Task).count()


@pytest.mark.parametrize(
    ("limit", "code"), [("rate_per_minute", "rate_limited"), ("tasks_at_once", "too_many_tasks")]
)
def test_exactly_as_many_as_allowed(
    start: Start, queue: InlineQueue, settings: Settings, limit: str, code: str
) -> None:
    """Of many requests at once to two servers; the others are told when to try again."""
    queue.held = True
    one, tasks = start(**{limit: 5})
    two, _ = start(**{limit: 5})

    answers = _storm([one, two], 12)

    assert Counter(answer.status_code for answer in answers) == {200: 5, 429: 19}
    for answer in answers:
        if answer.status_code == 429:
            refused(answer, 429)
            assert answer.json()["error"]["code"] == code
            assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert _rows(tasks) == 5
    assert len(kept(settings.data_dir)) == 5


def test_a_minute_later_is_another_minute(start: Start, queue: InlineQueue) -> None:
    """The wait that is told is the one that is needed; a clock set back locks nobody out."""
    queue.held = True
    client, tasks = start(rate_per_minute=2)
    for _ in range(2):
        assert send(client, picture(), sync="0").status_code == 200
    assert 50 < int(send(client, picture(), sync="0").headers["retry-after"]) <= 60

    seen = []
    for ago in (30, 60, 3600, -3600):
        with tasks.sessions.begin() as session:
            session.execute(update(Usage).values(minute_from=time.time() - ago, minute_tasks=2))
        answer = send(client, picture(), sync="0")
        seen.append(answer.headers.get("retry-after", "accepted"))

    assert seen[0] in ("29", "30")
    assert seen[1:] == ["accepted"] * 3


def test_an_end_makes_room(start: Start, queue: InlineQueue) -> None:
    """Failed, complete and deleted tasks are none of those that are unfinished."""
    queue.held = True
    client, tasks = start(tasks_at_once=1)
    data = send(client, picture(), sync="0").json()["data"]
    assert send(client, picture(), sync="0").status_code == 429

    tasks.runner.run(data["task_id"], "worker")
    second = send(client, picture(), sync="0")
    client.delete(f"/task/{second.json()['data']['task_id']}")

    assert send(client, picture(), sync="0").status_code == 200


def test_pages_are_counted_and_end(start: Start, queue: InlineQueue) -> None:
    """The gateway's 403 once they are used up; other requests go on."""
    client, tasks = start(page_quota=2)
    for _ in range(2):
        data = send(client, picture()).json()["data"]
        assert data["state"] == 1
    send(client, b"no document")

    answer = send(client, picture())

    body = answer.json()
    assert answer.status_code == 403
    assert list(body) == ["error"]
    assert body["error"]["code"] == "insufficient_user_quota"
    assert body["error"]["type"] == "new_api_error"
    assert "额度不足" in body["error"]["message"]
    assert answer.headers["x-request-id"] in body["error"]["message"]
    assert client.get(f"/task/{data['task_id']}").status_code == 200
    with tasks.sessions() as session:
        assert access.pages_used(session) == {OWNER: 2}


def test_the_body_of_a_refused_request_is_not_read(start: Start, queue: InlineQueue) -> None:
    """A look comes first."""
    queue.held = True
    client, _ = start(tasks_at_once=1)
    send(client, picture(), sync="0")

    broken = {"Content-Type": "multipart/form-data; boundary=b"}
    answer = client.post("/task/pic/ocr", content=b"--b\r\nbroken", headers=broken)

    assert answer.status_code == 429


def test_a_tokens_own_limits(sessions: sessionmaker[Session]) -> None:
    """They go before those of the settings; 0 is none."""
    default = Allowance(10, 20, 30)
    rows = (
        Token(digest="a", name="a", created_at=1.0),
        Token(digest="b", name="b", created_at=1.0, rate_per_minute=1, page_quota=0),
    )

    assert default.of(rows[0]) == default
    assert default.of(rows[1]) == Allowance(1, 20, 0)


def test_without_limits_nothing_is_looked_up(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who sets none pays nothing for them."""

    def never(*_: object) -> None:
        raise AssertionError

    client, _ = start()
    monkeypatch.setattr(Tasks, "look", never)
    monkeypatch.setattr("app.tasks.enter", never)

    assert send(client, picture()).json()["data"]["state"] == 1


def test_a_refusal_counts_for_nothing(sessions: sessionmaker[Session]) -> None:
    """What is rolled back has not been."""
    allowed = Allowance(rate_per_minute=2, page_quota=5)
    with sessions.begin() as session:
        access.enter(session, "o", allowed)
    with contextlib.suppress(KeyError), sessions.begin() as session:
        access.enter(session, "o", allowed)
        raise KeyError
    with sessions.begin() as session:
        access.enter(session, "o", allowed)
    for check in (access.look, access.enter):
        with pytest.raises(RateLimited), sessions.begin() as session:
            check(session, "o", allowed)

    with sessions.begin() as session:
        session.execute(update(Usage).where(Usage.owner == "o").values(pages=5))
        session.add(Usage(owner="new", pages=1))
    for check in (access.look, access.enter):
        with pytest.raises(QuotaUsedUp), sessions.begin() as session:
            check(session, "o", allowed)
    with sessions() as session:
        access.look(session, "new", allowed)
        assert Access("new", allowed).allowance.any

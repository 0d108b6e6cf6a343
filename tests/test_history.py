"""The list of a token's tasks, on SQLite and on PostgreSQL."""

import time
from typing import Any

import pytest
from httpx2 import Response
from sqlalchemy.orm import Session, sessionmaker
from starlette.testclient import TestClient

from app import history
from app.api.auth import digest
from app.errors import State
from app.rows import Task
from tests.conftest import TOKEN, InlineQueue, Start
from tests.pictures import picture
from tests.test_api_tasks import KEYS, refused, send
from tests.test_db import add, plan

OWNER = digest(TOKEN)


def ids(response: Response) -> list[str]:
    return [task["task_id"] for task in response.json()["data"]["tasks"]]


def test_page_by_page(start: Start, sessions: sessionmaker[Session]) -> None:
    """Newest first; nothing comes twice or is left out, also of those made at one moment."""
    client, _ = start()
    names = [f"{n:02d}" for n in range(10)]
    for n, name in enumerate(names):
        add(sessions, name, owner=OWNER, created_at=float(n // 3))
    add(sessions, "another's", owner="another", created_at=99.0)

    seen: list[str] = []
    pages, before = 0, {"limit": "4"}
    while True:
        response = client.get("/tasks", params=before)
        seen += ids(response)
        pages += 1
        if not response.json()["data"]["more"]:
            break
        add(sessions, f"new {pages}", owner=OWNER, created_at=50.0)  # It moves nothing.
        before["before"] = seen[-1]

    assert seen == names[::-1]
    assert pages == 3
    assert ids(client.get("/tasks", params={"before": "00"})) == []


def test_what_is_told_of_a_task(start: Start, queue: InlineQueue) -> None:
    """Its record and what was asked for, but no text; what there is not is left out."""
    client, _ = start()
    done = send(client, picture(), language="ChinesePRC, English", return_text="1").json()["data"]
    queue.held = True
    waiting = send(client, image_url="https://example.com/a.pdf", sync="0", format="pdf")

    later, first = client.get("/tasks").json()["data"]["tasks"]

    text = done.pop("text")
    assert text
    assert list(first) == [*KEYS, "format", "languages", "filename", "formats"]
    assert first == done | {
        "format": "txt",
        "languages": ["ChinesePRC", "English"],
        "filename": "a.png",
        "formats": [],
    }
    assert later == waiting.json()["data"] | {
        "format": "pdf",
        "languages": ["ChinesePRC"],
        "source_url": "https://example.com/a.pdf",
        "formats": [],
    }


def test_other_formats_are_told_with_their_document(
    start: Start, sessions: sessionmaker[Session]
) -> None:
    """Not by themselves; pictures of pages are none, nor single pages."""
    client, _ = start()
    now = time.time()
    add(sessions, "root", owner=OWNER)
    done = {"state": State.COMPLETE, "result_since": now, "completed_at": now}
    kinds: dict[str, dict[str, Any]] = {
        "docx": done,
        "json": {},
        "pictures": done,
        "alto": {"pages": "1-10"},
    }
    for n, (kind, values) in enumerate(kinds.items()):
        at = {"created_at": now + n, "owner": OWNER, "parent_id": "root", "format": kind}
        add(sessions, f"as {kind}", **(at | values))

    (task,) = client.get("/tasks").json()["data"]["tasks"]

    file = "http://testserver/tasks/output/ocr/as docx.docx"
    assert task["formats"] == [
        {"format": "docx", "task_id": "as docx", "state": 1, "file": file},
        {"format": "json", "task_id": "as json", "state": 0},
    ]


@pytest.mark.parametrize("limit", ["0", "201", "-1", "x", "1.5", "٣", "9" * 5000, "000000001999"])
def test_wrong_limits(client: TestClient, limit: str) -> None:
    """They are named, as every wrong field is."""
    refused(client.get("/tasks", params={"limit": limit}), 400, "limit", "200")


@pytest.mark.parametrize("before", ["unknown", "a\0b", "another's"])
def test_only_ones_own_tasks_are_a_place(client: TestClient, before: str) -> None:
    """Others' are as unknown as those that never were."""
    refused(client.get("/tasks", params={"before": before}), 404)


def test_a_long_history_is_not_walked_along(sessions: sessionmaker[Session]) -> None:
    """The database goes to the place in its index, and reads on from there."""
    add(sessions, "a")
    with sessions.begin() as session:
        last = session.get_one(Task, "a")
        plans = [
            plan(session, lambda: history.page(session, "o", 10)),
            plan(session, lambda: history.page(session, "o", 10, last)),
        ]

    for found in plans:
        assert "ix_tasks_owner_created_at_id" in found
        assert "sort" not in found.lower()
        assert "order by" not in found.lower()
    assert "created_at" in plans[1].split("ix_tasks_owner_created_at_id")[1]

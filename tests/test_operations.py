"""What operators see, on SQLite and on PostgreSQL."""

import os
import time

import pytest
from pydantic import SecretStr
from sqlalchemy.orm import Session, sessionmaker
from starlette.testclient import TestClient

from app import __version__, access, operations
from app.api import operations as routes
from app.api.auth import digest
from app.config import Settings
from app.errors import State
from app.main import create_app
from app.operations import WorkerState
from app.rows import Part, Token
from app.tasks import Tasks
from tests.conftest import Start
from tests.test_api_tasks import refused
from tests.test_db import add, plan

OPERATOR = {"Authorization": "sk-operator"}
CHANGES = {"operator_tokens": SecretStr("sk-operator")}


def test_nothing_to_see(start: Start) -> None:
    """A server that has done nothing tells so, with every key."""
    client, _ = start(**CHANGES)

    data = client.get("/operations", headers=OPERATOR).json()["data"]

    assert data.pop("disk")["free_bytes"] > 0
    assert data == {
        "queue": {"queued": 0, "downloading": 0, "processing": 0, "oldest_s": None},
        "workers": [],
        "pages": {"last_minute": 0, "last_hour": 0, "per_s": 0.0},
        "tasks": {"complete_hour": 0, "failed_hour": 0},
        "failures": [],
        "version": __version__,
    }


def test_what_waits_and_what_is_under_way(sessions: sessionmaker[Session]) -> None:
    """Documents that are fetched are told apart from those that are read."""
    now = time.time()
    away = {"source_url": "http://x"}
    add(sessions, "queued", created_at=now - 30)
    add(sessions, "waiting", state=State.WAITING, created_at=now - 60, input_size=9, **away)
    add(sessions, "to be fetched", **away)
    add(sessions, "fetched", state=State.PREPARING, created_at=now - 90, **away)
    add(sessions, "prepared", state=State.PREPARING)
    add(sessions, "processed", state=State.PROCESSING)
    add(sessions, "done", state=State.COMPLETE, created_at=now - 99)

    with sessions() as session:
        found = operations.queue(session)

    assert 60 <= found.pop("oldest_s") < 90
    assert found == {"queued": 3, "downloading": 1, "processing": 2}


def test_workers_and_their_tasks(sessions: sessionmaker[Session]) -> None:
    """Ours all, with what they are at; others' while they are at something; no downloads."""
    begun = {"state": State.PROCESSING, "processed_at": time.time() - 5}
    add(sessions, "a", leased_by="ours", **begun)
    add(sessions, "b", leased_by="another's", **begun)
    add(sessions, "c", leased_by="server#1", **begun)
    add(sessions, "d", **begun)
    with sessions.begin() as session:
        session.add(Part(task_id="d", first=1, last=9, leased_by="at a part"))
    ours = [
        WorkerState(name, 7, 8, is_warm=name != "idle") for name in ("idle", "ours", "at a part")
    ]

    with sessions() as session:
        found = operations.workers(session, ours)

    for worker in found:
        assert 5 <= worker.pop("since_s", 5) < 60
    process = {"pid": 7, "memory_bytes": 8}
    assert found == [
        {"name": "idle", **process, "warm": False},
        {"name": "ours", "task_id": "a", **process, "warm": True},
        {"name": "at a part", "task_id": "d", **process, "warm": True},
        {"name": "another's", "task_id": "b"},
    ]


def test_what_was_done_lately(sessions: sessionmaker[Session]) -> None:
    """Pages of complete tasks; other formats of a document are not its pages once more."""
    now = time.time()
    done = {"state": State.COMPLETE, "file_pages": 30}
    add(sessions, "now", completed_at=now - 5, **done)
    add(sessions, "lately", completed_at=now - 1000, **done)
    add(sessions, "long ago", completed_at=now - 5000, **done)
    add(sessions, "again", completed_at=now - 5, parent_id="now", **done)
    add(sessions, "failed", completed_at=now - 5, state=State.FAILED, file_pages=30)

    with sessions() as session:
        pages, tasks = operations.done(session)

    assert pages == {"last_minute": 30, "last_hour": 60, "per_s": 0.5}
    assert tasks == {"complete_hour": 2, "failed_hour": 1}


def test_the_last_failures(sessions: sessionmaker[Session]) -> None:
    """The newest first, and no more than are looked through."""
    for n in range(52):
        failed = {"state": State.INVALID_FILE, "error_code": "invalid_file"}
        add(sessions, f"{n:02d}", completed_at=1000.5 + n, state_detail="Corrupt", **failed)
    add(sessions, "done", state=State.COMPLETE, completed_at=9999.0)

    with sessions() as session:
        found = operations.failures(session)

    assert [failure["task_id"] for failure in found] == [f"{n:02d}" for n in range(51, 1, -1)]
    assert found[0] == {
        "task_id": "51",
        "state": -7,
        "code": "invalid_file",
        "state_detail": "Corrupt",
        "completed_at": 1051,
    }


def test_nothing_is_walked_along(sessions: sessionmaker[Session]) -> None:
    """Each number comes from an index that holds little else."""
    with sessions.begin() as session:
        assert "ix_tasks_state" in plan(session, lambda: operations.queue(session))
        assert "ix_tasks_completed_at" in plan(session, lambda: operations.done(session))
        failures = plan(session, lambda: operations.failures(session))
    assert "ix_tasks_failed_completed_at" in failures
    assert "sort" not in failures.lower()


def test_only_operators_see_it(start: Start, sessions: sessionmaker[Session]) -> None:
    """Tokens of the settings and of the database that have the right; it can be taken away."""
    client, _ = start(**CHANGES)
    with sessions.begin() as session:
        for name in ("user", "chief"):
            known = digest(f"sk-{name}")
            row = Token(digest=known, name=name, created_at=1.0, operator=name == "chief")
            assert access.add_token(session, row)

    def status(token: str) -> int:
        return client.get("/operations", headers={"Authorization": token}).status_code

    refusal = client.get("/operations")
    refused(refusal, 403)
    assert refusal.json()["error"]["code"] == "operators_only"
    tokens = ("sk-nobody", "sk-user", "sk-chief", "sk-operator")
    assert [status(token) for token in tokens] == [401, 403, 200, 200]
    assert client.get("/tasks", headers=OPERATOR).status_code == 200
    with sessions.begin() as session:
        assert access.change_token(session, "chief", operator=False)
    assert status("sk-chief") == 403


def test_it_is_looked_at_once_a_second(
    settings: Settings, tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However often it is asked for."""
    asked: list[int] = []

    def workers() -> list[WorkerState]:
        asked.append(1)
        return [WorkerState("w", os.getpid(), 1, True)]

    app = create_app(settings.model_copy(update=CHANGES), tasks, workers=workers)
    with TestClient(app, headers=OPERATOR) as client:
        monkeypatch.setattr(routes, "_KEPT_S", 60.0)
        told = [client.get("/operations").json()["data"]["workers"] for _ in range(5)]

    assert told == [[{"name": "w", "pid": os.getpid(), "memory_bytes": 1, "warm": True}]] * 5
    assert len(asked) == 1

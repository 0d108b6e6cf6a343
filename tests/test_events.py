"""Server-sent events of a task, on SQLite and on PostgreSQL."""

import asyncio
import json
import threading
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session, sessionmaker
from starlette.testclient import TestClient

from app import db, progress
from app.api import events, waiting
from app.config import Settings
from app.errors import State, Unavailable
from app.main import create_app
from app.rows import Task
from app.tasks import Tasks
from tests.conftest import TOKEN, InlineQueue, Start
from tests.pictures import picture
from tests.test_api_tasks import KEYS, refused, send
from tests.test_db import add

Events = list[tuple[str, dict[str, Any]]]


def parsed(stream: str) -> Events:
    """The events of a stream, without its comments."""
    found = []
    for block in stream.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if line[:1] != ":")
        if lines:
            found.append((lines["event"], json.loads(lines["data"])))
    return found


class Watcher:
    """Watches a task in a thread; what it heard is there when the stream has ended."""

    def __init__(self, client: TestClient, task_id: str) -> None:
        self._client, self._path = client, f"/task/{task_id}/events"
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        self._stream = self._client.get(self._path).text

    def heard(self) -> Events:
        self._thread.join(60)
        return parsed(self._stream)


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def submit(client: TestClient) -> str:
    return str(send(client, picture(), sync="0").json()["data"]["task_id"])


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tasks each look at the database was for."""
    counted: list[int] = []
    look = progress.Progresses.look

    def counting(self: Any, task_ids: Any) -> Any:
        found = look(self, task_ids)
        counted.append(len(task_ids))
        return found

    monkeypatch.setattr(progress.Progresses, "look", counting)
    monkeypatch.setattr(progress, "_POSITIONS_S", 0.0)
    return counted


def test_the_way_of_a_task(
    start: Start, queue: InlineQueue, looks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each change is told once to all who watch, by looks that end with them."""
    queue.held = True
    watched: list[str] = []
    watch = waiting.Watching.watch

    def noted(self: waiting.Watching, task_id: str) -> Any:
        watched.append(task_id)
        return watch(self, task_id)

    monkeypatch.setattr(waiting.Watching, "watch", noted)
    client, tasks = start()
    first, second = submit(client), submit(client)
    watchers = [Watcher(client, name) for name in (first, first, second)]
    until(lambda: len(watched) == 3)
    before = len(looks)
    until(lambda: len(looks) >= before + 2)

    tasks.runner.run(first, "worker")
    one, same = watchers[0].heard(), watchers[1].heard()
    until(lambda: looks[-1] == 1)
    tasks.runner.run(second, "worker")
    other = watchers[2].heard()

    for heard, task_id in ((one, first), (same, first), (other, second)):
        assert all(event != following for event, following in pairwise(heard))
        assert [data["state"] in db.FINAL for _, data in heard] == [False] * len(heard[1:]) + [True]
        assert heard[-1] == ("task", client.get(f"/task/{task_id}").json()["data"])
        assert list(heard[-1][1]) == KEYS
    assert one[0][1]["position"] == same[0][1]["position"] == 0
    assert [data.get("position") for _, data in other][:2] == [1, 0]
    time.sleep(0.5)
    ended = len(looks)
    time.sleep(0.5)
    assert len(looks) == ended  # Nobody watches: nobody looks.


def test_what_a_stream_says_of_itself(client: TestClient) -> None:
    """No cache and no proxy keeps it; a task that is final is told at once, with its text."""
    data = send(client, picture(), return_text="1").json()["data"]

    response = client.get(f"/task/{data['task_id']}/events")

    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-accel-buffering"] == "no"
    assert parsed(response.text) == [("task", data)]


def test_a_storage_that_signs_holds_no_stream_up(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked in a thread: its keys may come over the network."""
    client, tasks = start()
    task_id = send(client, picture()).json()["data"]["task_id"]

    def link(*_: object) -> str:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        return "https://store.example/link"

    monkeypatch.setattr(tasks, "presigns", True)
    monkeypatch.setattr(tasks.storage, "link", link)
    heard = parsed(client.get(f"/task/{task_id}/events").text)

    assert heard[-1][1]["file"] == "https://store.example/link"


def test_only_its_owner_watches_a_task(client: TestClient, settings: Settings) -> None:
    """Others are told what they are told of a task that never was."""
    task_id = submit(client)

    refused(client.get("/task/unknown/events"), 404)
    other = {"Authorization": "sk-other"}
    assert client.get(f"/task/{task_id}/events", headers=other).status_code == 401


def test_a_deleted_task_is_gone(looks: list[int], client: TestClient, queue: InlineQueue) -> None:
    """The last event says so."""
    queue.held = True
    task_id = submit(client)
    watcher = Watcher(client, task_id)
    until(lambda: looks)

    client.delete(f"/task/{task_id}")

    assert watcher.heard()[1:] == [("gone", {"task_id": task_id})]


def test_a_database_that_is_away(
    client: TestClient, tasks: Tasks, queue: InlineQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stream goes on when it is back, and says something meanwhile."""
    queue.held = True
    tried = threading.Event()
    task_id = submit(client)
    with monkeypatch.context() as away:

        def look(*_: object) -> None:
            tried.set()
            raise Unavailable("The database does not answer.")

        away.setattr(progress, "_versions", look)
        away.setattr(events, "_COMMENT_S", 0.5)
        watcher = Watcher(client, task_id)
        assert tried.wait(30)
        time.sleep(1)
    tasks.runner.run(task_id, "worker")

    assert [data["state"] for _, data in watcher.heard()] == [State.QUEUED, State.COMPLETE]
    assert "\n\n:\n\n" in watcher._stream


def test_a_server_that_stops_ends_its_streams(
    settings: Settings, tasks: Tasks, queue: InlineQueue, looks: list[int]
) -> None:
    """Without an event: whoever asks again gets the rest from the next one."""
    queue.held = True
    stopping = threading.Event()
    app = create_app(settings, tasks, stopping=stopping.is_set)
    with TestClient(app, headers={"Authorization": TOKEN}) as client:
        watcher = Watcher(client, submit(client))
        until(lambda: looks)
        stopping.set()

        assert [data["state"] for _, data in watcher.heard()] == [State.QUEUED]


def test_a_token_watches_so_many_tasks(
    settings: Settings, tasks: Tasks, queue: InlineQueue, looks: list[int]
) -> None:
    """The next is told to come later; the end of one makes room."""
    queue.held = True
    app = create_app(settings.model_copy(update={"max_connections": 4}), tasks)
    with TestClient(app, headers={"Authorization": TOKEN}) as client:
        task_id = submit(client)
        watcher = Watcher(client, task_id)
        until(lambda: looks)
        refusal = client.get(f"/task/{task_id}/events")
        tasks.runner.run(task_id, "worker")
        watcher.heard()

        refused(refusal, 429)
        assert refusal.json()["error"]["code"] == "too_many_streams"
        assert int(refusal.headers["retry-after"]) > 0
        assert client.get(f"/task/{task_id}/events").status_code == 200


def test_places_in_the_queue(sessions: sessionmaker[Session]) -> None:
    """Downloads have their own; whose time is the same have the same place."""
    now = time.time()
    waits = {"state": State.WAITING, "source_url": "http://x", "input_size": 9}
    add(sessions, "first", queued_at=now - 9)
    add(sessions, "here", queued_at=now - 8, **waits)
    add(sessions, "same", queued_at=now - 8)
    add(sessions, "last", queued_at=now)
    add(sessions, "away", queued_at=now - 5, source_url="http://x")
    add(sessions, "next away", queued_at=now - 4, source_url="http://x")
    add(sessions, "at it", queued_at=now - 20, state=State.PROCESSING)

    with sessions() as session:
        names = ["first", "here", "same", "last", "away", "next away", "at it", "none"]
        found = progress.positions(session, names)

    assert found == {"first": 0, "here": 1, "same": 1, "last": 3, "away": 0, "next away": 1}


def test_what_is_new_is_a_new_object(sessions: sessionmaker[Session]) -> None:
    """And what is not is the same, whoever else is looked at."""
    add(sessions, "a")
    look = progress.Progresses(sessions).look
    first = look(["a"])["a"]
    add(sessions, "b")
    again = look(["a", "b"])
    with sessions.begin() as session:
        session.execute(update(Task).where(Task.id == "a").values(progress=50))
    moved = look(["a", "b", "c"])

    assert first is not None
    assert again["a"] is first
    assert (moved["a"] and moved["a"].task.progress, moved["c"]) == (50, None)
    assert moved["b"] is again["b"]

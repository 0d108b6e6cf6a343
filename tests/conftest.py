"""Fixtures: an application in a folder, or on services, whose tasks run as they are put."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete
from sqlalchemy.orm import Session, sessionmaker
from starlette.testclient import TestClient

from app import database, wiring
from app.config import Settings
from app.main import create_app
from app.rows import Task, Token, Usage
from app.tasks import Tasks
from tests import stack

TOKEN = "sk-test"


Start = Callable[..., tuple[TestClient, Tasks]]
"""Starts a server with settings of its own."""


@dataclass
class InlineQueue:
    """Runs each task where it is put; or, when ``held``, only remembers it."""

    tasks: Tasks | None = None
    held: bool = False
    downloads: bool = False
    runs: int = 0
    ids: list[str] = field(default_factory=list)
    places: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def put(self, unit: str, place: float) -> None:
        if self.held or self.tasks is None:
            with self.lock:  # Requests come in several threads.
                self.ids.append(unit)
                self.places.append(place)
            return
        # Work at a task may put its next part while it is going on: that is another worker's.
        self.runs += 1
        act = self.tasks.runner.download if self.downloads else self.tasks.runner.run
        act(unit, f"inline {self.runs}")

    def get(self, timeout_s: float) -> str | None:
        return self.ids.pop(0) if self.ids else None

    def head(self) -> tuple[str, float] | None:
        with self.lock:
            if not self.ids:
                return None
            waiting = zip(self.ids, self.places[-len(self.ids) :], strict=True)
            return min(waiting, key=lambda each: each[1])

    def size(self) -> int:
        return len(self.ids)

    def close(self) -> None: ...


@pytest.fixture(scope="session", autouse=True)
def _services() -> Iterator[None]:
    os.environ.pop("OCR_TEST_STACK", None)  # To a server it would be a setting that is none.
    yield
    stack.SERVICES.close()


@pytest.fixture(scope="module", autouse=True)
def _places_of_the_module(_services: None) -> Iterator[None]:
    with stack.tidied():
        yield


@pytest.fixture(autouse=True)
def _places_of_the_test(_places_of_the_module: None) -> Iterator[None]:
    with stack.tidied():
        yield


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder of the server in this process."""
    folder = tmp_path / "data"
    monkeypatch.setenv("OCR_DATA_DIR", str(folder))
    for name, value in stack.settings(folder).items():
        monkeypatch.setenv(name, value)
    return folder


@pytest.fixture
def settings(data: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("OCR_TOKENS", TOKEN)
    monkeypatch.setenv("OCR_ENGINE", "stub")
    return Settings()


@pytest.fixture
def queue() -> InlineQueue:
    return InlineQueue()


@pytest.fixture
def tasks(settings: Settings, queue: InlineQueue) -> Iterator[Tasks]:
    wiring.migrate(settings)
    downloads = InlineQueue(downloads=True)
    tasks = wiring.build(settings, queue, downloads)
    queue.tasks = downloads.tasks = tasks
    yield tasks
    tasks.close()


@pytest.fixture
def client(settings: Settings, tasks: Tasks) -> Iterator[TestClient]:
    app = create_app(settings, tasks)
    with TestClient(app, headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        yield client


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an empty database, of either kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path_factory.mktemp('db') / 'ocr.db'}"
    else:
        with stack.SERVICES.database() as address:
            yield address


@pytest.fixture
def sessions(url: str, tmp_path: Path) -> Iterator[sessionmaker[Session]]:
    """Sessions on it, with the migrations applied and nothing in it."""
    database.migrate(url, tmp_path)
    sessions = database.connect(url)
    with sessions.begin() as session:
        session.execute(delete(Task))
        session.execute(delete(Token))
        session.execute(delete(Usage))
    yield sessions
    sessions.kw["bind"].dispose()


@pytest.fixture
def start(
    settings: Settings, url: str, sessions: sessionmaker[Session], queue: InlineQueue
) -> Iterator[Start]:
    """Starts servers with settings of their own on the same database."""
    with ExitStack() as stack:

        def begin(**changes: Any) -> tuple[TestClient, Tasks]:
            changed = settings.model_copy(update={"database_url": url, **changes})
            tasks = wiring.build(changed, queue)
            queue.tasks = tasks
            stack.callback(tasks.close)
            client = TestClient(create_app(changed, tasks), headers={"Authorization": TOKEN})
            return stack.enter_context(client), tasks

        yield begin


_LONGEST = ("hostile", "workers", "hosts", "handbook", "fuzz", "page_browser", "machines", "ppocr")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that none is left alone at the end."""
    order = {f"test_{name}": number for number, name in enumerate(_LONGEST)}
    items.sort(key=lambda item: order.get(item.path.stem, len(order)))

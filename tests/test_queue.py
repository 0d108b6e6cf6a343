"""One contract for the queue on SQLite, Redis and PostgreSQL."""

import multiprocessing
import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from app.queue import HueyQueue
from tests import services

NEEDS = {"sqlite": (), "redis": ("redis-server",), "postgresql": ("postgres",)}


@pytest.fixture(scope="module", params=list(NEEDS))
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    kind = request.param
    if services.missing(*NEEDS[kind]) and not os.environ.get("CI"):
        pytest.skip(f"{kind} is not installed")
    if kind == "sqlite":
        yield ""
    else:
        with getattr(services, kind)() as address:
            yield address


@pytest.fixture
def queue(url: str, tmp_path: Path) -> Iterator[HueyQueue]:
    queue = HueyQueue(url, tmp_path)
    while queue.get(0):
        pass
    yield queue
    queue.close()


def test_first_in_first_out(queue: HueyQueue) -> None:
    """Ids come in the order they were put, once each."""
    for at, name in enumerate(("a", "b", "c")):
        queue.put(name, at)

    assert queue.size() == 3
    assert [queue.get(1) for _ in range(3)] == ["a", "b", "c"]
    assert queue.size() == 0


def test_long_work_lets_others_pass(queue: HueyQueue) -> None:
    """But only those whose places come first."""
    queue.put("long", 110)
    queue.put("longer", 120)
    queue.put("short", 100)
    queue.put("later", 115)

    assert [queue.get(1) for _ in range(4)] == ["short", "long", "later", "longer"]


def test_the_place_of_the_next_one(queue: HueyQueue) -> None:
    """It tells which ids have left the queue."""
    assert queue.head() is None
    queue.put("b", 1000000002.25)
    queue.put("a", 1000000001.5)

    assert queue.head() == ("a", 1000000001.5)
    assert (queue.get(1), queue.head()) == ("a", ("b", 1000000002.25))


def test_queues_with_other_names_are_others(queue: HueyQueue, url: str, tmp_path: Path) -> None:
    """Downloads and documents do not mix."""
    with closing(HueyQueue(url, tmp_path, "others")) as others:
        queue.put("a", 1)
        assert others.get(0.1) is None
        others.put("b", 1)
        assert (queue.get(1), others.get(1)) == ("a", "b")


def test_nothing_comes_of_nothing(queue: HueyQueue) -> None:
    """An empty queue gives None after the time asked for."""
    assert queue.get(0.1) is None


def test_a_waiting_reader_is_woken(queue: HueyQueue) -> None:
    """An id that is put while a reader waits reaches it."""
    threading.Timer(0.2, lambda: queue.put("late", 1)).start()

    assert queue.get(5) == "late"


def _drain(url: str, folder: Path, found: "multiprocessing.Queue[str]") -> None:
    queue = HueyQueue(url, folder)
    end = time.monotonic() + 20
    while time.monotonic() < end and (name := queue.get(1)) is not None:
        found.put(name)


def test_readers_share(queue: HueyQueue, url: str, tmp_path: Path) -> None:
    """Two processes get each id once between them."""
    names = [str(n) for n in range(40)]
    for at, name in enumerate(names):
        queue.put(name, at)
    spawn = multiprocessing.get_context("spawn")
    found: multiprocessing.Queue[str] = spawn.Queue()

    readers = [spawn.Process(target=_drain, args=(url, tmp_path, found)) for _ in range(2)]
    for reader in readers:
        reader.start()
    seen = [found.get(timeout=30) for _ in names]
    for reader in readers:
        reader.join(30)

    assert sorted(seen) == sorted(names)


def test_an_address_that_is_none(tmp_path: Path) -> None:
    """A wrong setting is told at the start."""
    with pytest.raises(ValueError, match="OCR_QUEUE_URL"):
        HueyQueue("amqp://x", tmp_path)

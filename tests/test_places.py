"""Places in the queue: tokens take turns, short work passes long, nothing is passed for ever."""

import itertools
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from sqlalchemy.orm import Session, sessionmaker

from app import db, places
from app.errors import State, Unavailable
from app.places import Places
from app.rows import DIVIDED, LINKED, SENT, Task
from tests.conftest import InlineQueue
from tests.test_db import add

_numbers = itertools.count()


class Line:
    """A queue, and the rows of those who wait in it."""

    def __init__(self, sessions: sessionmaker[Session]) -> None:
        self.sessions = sessions
        self.queue, self.downloads = InlineQueue(held=True), InlineQueue(held=True)
        self.places = Places(self.queue, self.downloads)

    def join(self, owner: str, ahead: bool = False, **values: object) -> float:
        """A task of ``owner`` takes its place."""
        name = f"{owner}{next(_numbers)}"
        task = Task(id=name, owner=owner, input_size=None, **values)
        with self.sessions() as session:
            place = self.places.of_task(session, task, ahead=ahead)
        add(self.sessions, name, owner=owner, queued_at=place, **values)
        (self.downloads if db.is_download(task) else self.queue).put(name, place)
        return place

    def join_part(self, owner: str, document: str) -> float:
        """The next part of a long document takes its place."""
        with self.sessions.begin() as session:
            place = self.places.of_part(session, owner)
            db.note_queued(session, document, place)
        self.queue.put(f"{document}:1", place)
        return place

    def serve(self) -> str:
        """Who is next; that task is done."""
        found = self.queue.head()
        assert found is not None
        at = self.queue.ids.index(found[0])
        del self.queue.ids[at], self.queue.places[at]
        task_id, _, part = found[0].partition(":")
        if not part:
            with self.sessions.begin() as session:
                session.get_one(Task, task_id).state = State.COMPLETE
        return task_id

    def __iter__(self) -> Iterator[str]:
        while self.queue.ids:
            yield _owner(self.serve())


def _owner(task_id: str) -> str:
    return task_id.rstrip("0123456789")


@pytest.fixture
def line(sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch) -> Line:
    monkeypatch.setattr(places, "_KEPT_S", 0)
    return Line(sessions)


def test_first_in_first_out(line: Line) -> None:
    """Of one token, and of tokens with one task each."""
    for _ in range(5):
        line.join("a")
    mine = sorted(line.queue.places)
    assert line.queue.places == mine

    for owner in "bcde":
        line.join(owner)

    assert "".join(line).replace("a", "") == "bcde"


def test_tokens_take_turns(line: Line) -> None:
    """Whoever has sent many documents holds nobody else up."""
    for _ in range(30):
        line.join("many")
    assert [_owner(line.serve()) for _ in range(10)] == ["many"] * 10
    for _ in range(5):
        line.join("few")

    served = [_owner(line.serve()) for _ in range(10)]

    assert Counter(served) == {"many": 5, "few": 5}
    assert set(line) == {"many"}


def test_however_busy_it_is_nobody_waits_for_ever(line: Line) -> None:
    """Those who send one document after another have no more turns than who sent many at once."""
    for _ in range(20):
        line.join("burst")
    for owner in "xyz":
        line.join(owner)
    served = []
    for _ in range(40):
        served.append(name := _owner(line.serve()))
        if name != "burst":
            line.join(name)

    assert Counter(served) == {"burst": 10, "x": 10, "y": 10, "z": 10}


def test_a_part_lets_short_work_pass(line: Line) -> None:
    """But not all of it."""
    add(line.sessions, "long", owner="a", state=State.PROCESSING, queued_at=0)
    line.join_part("a", "long")
    for _ in range(5):
        line.join("b")
    assert [_owner(line.serve()) for _ in range(6)] == ["b"] * 5 + ["long"]


@pytest.mark.parametrize("tokens", [1, 2, 8])
def test_a_part_is_not_passed_for_ever(line: Line, tokens: int) -> None:
    """Not by those either who send the next document when one is done."""
    add(line.sessions, "long", owner="a", state=State.PROCESSING, queued_at=0)
    line.join_part("a", "long")
    for number in [*range(tokens)] * 2:
        line.join(f"b{number}-")
    served: Counter[str] = Counter()
    for _ in range(60 * tokens):
        name = line.serve()
        served[name if name == "long" else name.partition("-")[0]] += 1
        if name == "long":
            line.join_part("a", "long")
        else:
            line.join(name.partition("-")[0] + "-")

    assert served["long"] >= 5
    assert min(served[f"b{n}"] for n in range(tokens)) >= 40


def test_long_documents_take_turns_too(line: Line) -> None:
    """A token with many has no more than one with one."""
    for number in range(10):
        add(line.sessions, f"many{number}", owner="a", state=State.PROCESSING, queued_at=0)
        line.join_part("a", f"many{number}")
    add(line.sessions, "one", owner="b", state=State.PROCESSING, queued_at=0)
    line.join_part("b", "one")
    served = []
    for _ in range(20):
        served.append(name := line.serve())
        line.join_part("b" if name == "one" else "a", name)

    assert served.count("one") >= 9


def test_downloads_are_another_queue(line: Line) -> None:
    """Neither holds up the other."""
    before = time.time()
    for _ in range(9):
        line.join("a", source_url="http://x")
    assert line.join("a") >= before
    assert line.join("a") == max(line.queue.places)
    assert line.downloads.places == sorted(line.downloads.places)


def test_what_takes_no_time_comes_next(line: Line) -> None:
    """Also if others of its token wait; but those who wait get their turn."""
    for _ in range(3):
        line.join("a")
    line.join("b")
    line.join("b")
    line.join("b", ahead=True)
    assert _owner(line.serve()) == "a"
    assert [_owner(line.serve()) for _ in range(2)] == ["b", "b"]

    served = []
    for _ in range(40):
        line.join("b", ahead=True)
        served.append(_owner(line.serve()))
    assert served.count("a") == 2


def test_what_has_had_its_turn(line: Line) -> None:
    """It comes next, and with an empty queue now."""
    before = time.time()
    assert before <= line.places.again(download=False) <= time.time() + 1
    first, second = line.join("a"), line.join("a")

    assert first < line.places.again(download=False) < second


def test_a_queue_that_is_away(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """Places are times then."""

    def fail() -> None:
        raise Unavailable("The queue does not answer.")

    monkeypatch.setattr(line.queue, "head", fail)

    assert line.join("a") == pytest.approx(time.time(), abs=5)


def test_of_ten_thousand_the_last_is_found_at_once(line: Line) -> None:
    """By an index, on either database."""
    with line.sessions.begin() as session:
        for condition in (SENT, LINKED, DIVIDED):
            plan = _plan(session, condition)
            assert "queued_at" in plan, plan


def _plan(session: Session, condition: str) -> str:
    from sqlalchemy import text

    postgresql = session.get_bind().dialect.name == "postgresql"
    if postgresql:
        session.execute(text("SET LOCAL enable_seqscan = off"))
        session.execute(text("SET LOCAL enable_bitmapscan = off"))
    explain = "EXPLAIN" if postgresql else "EXPLAIN QUERY PLAN"
    found = session.execute(
        text(f"{explain} SELECT max(queued_at) FROM tasks WHERE {condition} AND owner = 'a'")
    )
    return " ".join(str(row) for row in found)

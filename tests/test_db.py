"""The statements and the migrations, on SQLite and on PostgreSQL."""

import math
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import event, text
from sqlalchemy.orm import Session, sessionmaker

from app import access, database, db, parts
from app.database import Sessions
from app.errors import State
from app.rows import Base, Part, Task, Token


def add(sessions: sessionmaker[Session], name: str = "t", **values: object) -> str:
    """Insert a task."""
    row = {
        "id": name,
        "owner": "o",
        "state": State.QUEUED,
        "state_detail": "Queued",
        "format": "txt",
        "languages": "English",
        "base_url": "",
        "created_at": time.time(),
        "queued_at": time.time(),
    }
    with sessions.begin() as session:
        db.add(session, Task(**(row | values)))
    return name


def plan(session: Session, ask: Callable[[], object]) -> str:
    """How the database finds what the statement of ``ask`` asks for, in a table of any size."""
    asked: list[tuple[str, Any]] = []

    def hear(_: Any, __: Any, statement: str, parameters: Any, *others: Any) -> None:
        asked.append((statement, parameters))

    connection = session.connection()
    explain = "EXPLAIN QUERY PLAN"
    if connection.dialect.name != "sqlite":  # A small table is read as a whole, if that is allowed.
        explain = "EXPLAIN"
        for way in ("seqscan", "bitmapscan"):
            session.execute(text(f"SET LOCAL enable_{way} = off"))
    event.listen(connection, "before_cursor_execute", hear)
    ask()
    event.remove(connection, "before_cursor_execute", hear)
    ((statement, parameters),) = asked
    rows = connection.exec_driver_sql(f"{explain} {statement}", parameters)
    return "\n".join(str(row[-1]) for row in rows)


def test_the_migrations_make_the_model(url: str, sessions: sessionmaker[Session]) -> None:
    """The schema that the revisions build is the one that the classes describe."""
    with sessions() as session:
        context = MigrationContext.configure(session.connection())
        assert compare_metadata(context, Base.metadata) == []


def test_migrating_together(url: str, sessions: sessionmaker[Session], tmp_path: Path) -> None:
    """Processes that start at the same time take turns."""
    failures: list[BaseException] = []

    def migrate() -> None:
        try:
            database.migrate(url, tmp_path)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=migrate) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert failures == []


def test_one_claim_wins(sessions: sessionmaker[Session]) -> None:
    """Of many that try at once, exactly one gets the task."""
    name = add(sessions)
    won: list[str] = []

    def claim(worker: str) -> None:
        with sessions.begin() as session:
            if db.claim(session, name, worker, 60):
                won.append(worker)

    threads = [threading.Thread(target=claim, args=(f"w{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len(won) == 1


def test_only_the_holder_changes_a_task(sessions: sessionmaker[Session]) -> None:
    """A worker that lost its lease can neither renew nor finish."""
    name = add(sessions)
    with sessions.begin() as session:
        assert db.claim(session, name, "first", 60)
    with sessions.begin() as session:
        (lost,) = db.orphans(session, "first")
        assert db.let_go(session, lost, state=State.QUEUED, attempts=1)
    with sessions.begin() as session:
        assert db.claim(session, name, "second", 60)

    with sessions.begin() as session:
        assert not db.renew(session, name, "first", 60)
        assert not db.finish(session, name, "first", state=State.COMPLETE)
        assert db.renew(session, name, "second", 60, progress=50)
        assert db.finish(session, name, "second", state=State.COMPLETE, state_detail="Complete")
        assert not db.finish(session, name, "second", state=State.FAILED)


def test_pages_are_counted_with_the_end(sessions: sessionmaker[Session]) -> None:
    """Once, and if the task was still this worker's."""
    for name, divided in (("whole", False), ("divided", True)):
        add(sessions, name)
        with sessions.begin() as session:
            assert db.claim(session, name, "worker", 60)
        for worker, ours in (("other", False), ("worker", True), ("worker", False)):
            with sessions.begin() as session:
                ended = db.finish(session, name, worker, divided, 3, state=State.COMPLETE)
            assert (ended is not None) == ours

    with sessions() as session:
        assert access.pages_used(session) == {"o": 6}


def test_a_single_statement_is_a_transaction(sessions: Sessions) -> None:
    """It is there for others at its end, without a commit."""
    add(sessions)

    with sessions.single() as session:
        assert db.claim(session, "t", "worker", 60)

    with sessions() as session:
        assert db.workers(session) == {"worker"}


def test_a_row_is_read_as_it_was_added(sessions: Sessions) -> None:
    """With what is the same in all, and with flags, which are numbers in SQLite."""
    add(sessions, return_text=True, state=State.WAITING, input_size=2**40, created_at=1.5)

    with sessions() as session, sessions.single() as connection:
        for task in (db.task(session, "t"), db.told(connection, "t")):
            assert task is not None
            assert (task.return_text, task.state, task.progress) == (True, State.WAITING, 0)
            assert isinstance(task.return_text, bool)
            assert (task.input_size, task.created_at, task.ocr_pages) == (2**40, 1.5, None)


def test_finished(sessions: sessionmaker[Session]) -> None:
    """Final and deleted tasks are finished, others are not."""
    add(sessions, "going")
    add(sessions, "done", state=State.COMPLETE)
    add(sessions, "failed", state=State.INVALID_FILE)

    with sessions() as session:
        assert db.finished(session, ["going", "done", "failed", "gone"]) == {
            "done",
            "failed",
            "gone",
        }


def test_orphans_by_their_lease(sessions: sessionmaker[Session]) -> None:
    """Only a lease that ran out makes an orphan."""
    for name, lease in (("late", -1), ("busy", 60)):
        add(sessions, name)
        with sessions.begin() as session:
            db.claim(session, name, f"worker of {name}", lease)

    with sessions() as session:
        assert [task.id for task in db.orphans(session)] == ["late"]
        assert db.workers(session) == {"worker of late", "worker of busy"}
        assert db.running(session) == {"late", "busy"}


def test_one_renewal_for_all(sessions: sessionmaker[Session]) -> None:
    """Of tasks and parts of those who are named; who is at a row just now holds up nobody."""
    for name in ("a", "b", "c"):
        add(sessions, name)
        with sessions.begin() as session:
            assert db.claim(session, name, f"worker of {name}", -1)
    with sessions.begin() as session:
        session.add(Part(task_id="a", first=1, last=2))
    with sessions.begin() as session:
        assert parts.claim(session, "a", 1, "reader", -1)

    with sessions() as busy:
        if busy.get_bind().dialect.name == "postgresql":
            assert db.renew(busy, "b", "worker of b", -1)
        with sessions.begin() as session:
            db.renew_all(session, ["worker of a", "worker of b", "reader"], 60)
        with sessions() as session:
            late = {task.id for task in db.orphans(session)}
            assert parts.orphans(session) == []
    assert {"c"} <= late <= {"b", "c"}


def test_leases_go_by_one_clock(
    sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of machines may differ where the database has one."""
    add(sessions, "a")
    with sessions.begin() as session:
        assert db.claim(session, "a", "worker", 60)
        ours = session.get_bind().dialect.name == "sqlite"

    monkeypatch.setattr(time, "time", lambda: 5e9)

    with sessions() as session:
        assert bool(db.orphans(session)) == ours


def test_queued_oldest_first(sessions: sessionmaker[Session]) -> None:
    """Waiting tasks come in the order of the queue; those to be fetched are another queue's."""
    now = time.time()
    add(sessions, "new", queued_at=now)
    add(sessions, "old", queued_at=now - 100)
    add(sessions, "away", queued_at=now, source_url="http://x")
    add(sessions, "here", queued_at=now - 1, source_url="http://x", input_size=9)

    with sessions() as session:
        waiting = partial(_waiting, session)
        assert waiting(now + 1, now + 9) == ["old", "here", "new"]
        assert waiting(math.inf, math.inf) == ["old", "here", "new"]
        assert waiting(now - 50, now + 9) == ["old"]
        assert waiting(now - 50, now - 0.5) == ["old", "new"]
        assert waiting(now + 1, now + 9, download=True) == ["away"]


def _waiting(session: Session, before: float, after: float, download: bool = False) -> list[str]:
    return [name for name, _ in db.waiting(session, before, after, download)]


def test_a_clock_that_was_set_back(sessions: sessionmaker[Session]) -> None:
    """Nothing waits until it is again as late as it was."""
    now = time.time()
    ended = {"completed_at": now + 3600, "callback_due": now + 3600, "callback_host": "a:80"}
    add(sessions, "done", state=State.COMPLETE, **ended)
    retried = {"callback_at": now, "callback_due": now + 300, "callback_host": "b:80"}
    add(sessions, "patient", state=State.COMPLETE, completed_at=now, **retried)

    with sessions.begin() as session:
        assert (first := db.due_callback(session, now + 60, []))
        assert first.id == "done"
        assert db.due_callback(session, now + 60, []) is None


def test_who_fetches_and_who_reads(sessions: sessionmaker[Session]) -> None:
    """A worker does not get what is not here yet, nor a download what is."""
    add(sessions, "away", source_url="http://x")
    add(sessions, "here", state=State.WAITING, source_url="http://x", input_size=9)

    with sessions.begin() as session:
        assert db.claim(session, "away", "worker", 60) is None
        assert db.claim(session, "here", "fetcher", 60, download=True) is None
        assert db.claim(session, "away", "fetcher", 60, download=True)
        assert db.claim(session, "here", "worker", 60)


def test_a_full_queue(sessions: sessionmaker[Session]) -> None:
    """What waits counts, and nothing else."""
    add(sessions, "done", state=State.COMPLETE)
    add(sessions, "at it", state=State.PROCESSING)
    add(sessions, "one", state=State.QUEUED)

    with sessions.begin() as session:
        assert db.count_waiting(session, 2) == 1
    add(sessions, "two", state=State.WAITING)
    with sessions.begin() as session:
        assert db.count_waiting(session, 2) == 2


def _divided(sessions: sessionmaker[Session], count: int) -> None:
    """The task ``t``, of whose parts, ``count`` of ten pages, the first one is finished."""
    add(sessions)
    rows = [Part(task_id="t", first=10 * n + 1, last=10 * n + 10) for n in range(count)]
    rows[0].finished, rows[0].done, rows[0].recognized = True, 10, 4
    with sessions.begin() as session:
        assert db.claim(session, "t", "first", 60)
        assert parts.divide(session, "t", "first", rows, file_pages=10 * count)


def _at(sessions: sessionmaker[Session]) -> tuple[int, int, str, int | None]:
    with sessions() as session:
        task = session.get_one(Task, "t")
        return task.state, task.progress, task.state_detail, task.ocr_pages


def test_a_divided_task_is_had_again_when_its_parts_are_finished(
    sessions: sessionmaker[Session],
) -> None:
    """Until then nobody gets it; it tells how far it is."""
    _divided(sessions, 2)
    assert _at(sessions) == (State.PROCESSING, 50, "Processing: 10 of 20 pages", 4)
    with sessions.begin() as session:
        assert db.claim(session, "t", "early", 60) is None
        assert _waiting(session, math.inf, math.inf) == []
        assert parts.first_waiting(session, "t") == 11
        assert [row[:2] for row in parts.waiting(session, math.inf, math.inf)] == [("t", 11)]
        part = parts.claim(session, "t", 11, "second", 60)
        assert part is not None
        assert parts.claim(session, "t", 11, "third", 60) is None
        assert parts.waiting(session, math.inf, math.inf) == []
        assert parts.first_waiting(session, "t") is None
        assert db.workers(session) == {"second"}
        assert not parts.renew(session, part, "third", 60, done=1, recognized=1)
        assert parts.renew(session, part, "second", 60, done=6, recognized=1)
    assert _at(sessions) == (State.PROCESSING, 80, "Processing: 16 of 20 pages", 5)

    with sessions.begin() as session:
        assert parts.finish(session, part, "second", [], done=10, recognized=1)
        assert not parts.finish(session, part, "second", [], done=10, recognized=1)

    assert _at(sessions) == (State.PROCESSING, 99, "Processing: 20 of 20 pages", 5)
    with sessions.begin() as session:
        assert _waiting(session, math.inf, math.inf) == ["t"]
        assert (task := db.claim(session, "t", "last", 60))
        assert (task.state, task.attempts) == (State.PROCESSING, 1)
        assert db.claim(session, "t", "late", 60) is None
        assert db.finish(session, "t", "last", state=State.COMPLETE)
        assert parts.of(session, "t") == []


def test_what_is_left_of_a_part_becomes_others(sessions: sessionmaker[Session]) -> None:
    """The task waits for those too."""
    _divided(sessions, 2)
    with sessions.begin() as session:
        part = parts.claim(session, "t", 11, "worker", 60)
        assert part is not None
        rest = [Part(task_id="t", first=14, last=20)]
        assert parts.finish(session, part, "worker", rest, last=13, done=3)

    with sessions.begin() as session:
        found = [(part.first, part.last, part.finished) for part in parts.of(session, "t")]
        assert found == [(1, 10, True), (11, 13, True), (14, 20, False)]
        assert db.claim(session, "t", "early", 60) is None


def test_parts_that_end_together(sessions: sessionmaker[Session]) -> None:
    """Whoever looks after its own part is finished finds the task, and one alone gets it."""
    _divided(sessions, 9)
    together = threading.Barrier(8)
    taken: list[str] = []

    def end(first: int) -> None:
        with sessions.begin() as session:
            part = parts.claim(session, "t", first, f"worker {first}", 60)
        assert part is not None
        together.wait()
        with sessions.begin() as session:
            assert parts.finish(session, part, f"worker {first}", [], done=10)
        with sessions.begin() as session:
            if db.claim(session, "t", f"worker {first}", 60):
                taken.append(f"worker {first}")

    threads = [threading.Thread(target=end, args=(first,)) for first in range(11, 91, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(taken) == 1
    assert _at(sessions)[2] == "Processing: 90 of 90 pages"


def test_a_part_ends_its_task(sessions: sessionmaker[Session]) -> None:
    """If it fails, the other parts are no longer wanted; a task that is deleted has none."""
    _divided(sessions, 3)
    with sessions.begin() as session:
        part = parts.claim(session, "t", 11, "worker", 60)
        other = parts.claim(session, "t", 21, "other", 60)
        assert part is not None
        assert other is not None
        assert not parts.fail(session, part, "other", state=State.TIMED_OUT)
        assert parts.fail(session, part, "worker", state=State.TIMED_OUT)
        assert not parts.renew(session, other, "other", 60, done=1, recognized=1)
        assert session.get_one(Task, "t").state == State.TIMED_OUT

    with sessions.begin() as session:
        db.remove(session, ["t"])
    _divided(sessions, 2)
    with sessions.begin() as session:
        db.remove(session, ["t"])
        assert parts.of(session, "t") == []


def test_orphaned_parts(sessions: sessionmaker[Session]) -> None:
    """They are had again, as often as they are put back."""
    _divided(sessions, 3)
    with sessions.begin() as session:
        assert parts.claim(session, "t", 11, "gone", -1)
        assert parts.claim(session, "t", 21, "busy", 60)

    with sessions.begin() as session:
        (part,) = parts.orphans(session)
        assert parts.orphans(session, "busy")[0].first == 21
        assert parts.let_go(session, part, attempts=1)

    with sessions.begin() as session:
        again = parts.claim(session, "t", 11, "next", 60)
        assert again is not None
        assert again.attempts == 2


def test_a_report_is_taken_once(sessions: sessionmaker[Session]) -> None:
    """Two senders do not send the same report; busy hosts are passed over."""
    add(sessions, "going", callback_url="http://x/")
    add(sessions, "done", state=State.COMPLETE, callback_due=2.0, callback_host="a:80")
    add(sessions, "slow", state=State.COMPLETE, callback_due=1.0, callback_host="b:80")

    with sessions.begin() as session:
        first = db.due_callback(session, time.time() + 60, ["b:80"])
    with sessions.begin() as session:
        second = db.due_callback(session, time.time() + 60, ["b:80"])

    assert first is not None
    assert (first.id, first.callback_attempts) == ("done", 1)
    assert second is None


def test_token_names_are_unique(sessions: sessionmaker[Session]) -> None:
    """A name stands for one token; revoking needs a valid one."""
    for digest, new in (("1", True), ("2", False)):
        with sessions.begin() as session:
            assert access.add_token(session, Token(digest=digest, name="n", created_at=1.0)) is new

    with sessions.begin() as session:
        assert access.change_token(session, "n", revoked_at=1.0)
        assert not access.change_token(session, "n", revoked_at=1.0)
        assert [token.name for token in access.tokens(session)] == ["n"]


def test_no_task_has_such_an_id(sessions: sessionmaker[Session]) -> None:
    """PostgreSQL would refuse to look."""
    with sessions() as session:
        assert db.task(session, "a\0b") is None


def test_one_of_all_servers_does_it(sessions: sessionmaker[Session]) -> None:
    """Every so often; also after the clock was set back."""
    with sessions.begin() as session:
        session.execute(text("DELETE FROM rounds"))

    def take(name: str, every_s: float) -> bool:
        with sessions.begin() as session:
            return db.take_round(session, name, every_s)

    assert [take("files", 60), take("files", 60), take("others", 60)] == [True, False, True]
    assert take("files", 10)
    assert not take("files", 10)
    with sessions.begin() as session:
        session.execute(text("UPDATE rounds SET due = 0"))
        db.renew_round(session, "files", 10)
    assert [take("files", 10), take("others", 60)] == [False, True]
    assert [take("always", 0), take("always", 0)] == [True, True]

"""When requests should come to a process."""

import threading

import pytest

from app import readiness
from app.readiness import Readiness


def test_a_database_that_is_away_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever was ready stays so for some seconds: else all processes would go at once."""
    answers = [False, True, False]

    def ping() -> None:
        if not answers.pop(0):
            raise OSError

    found = Readiness(ping, lambda: True)

    assert found.why_not() == "The database does not answer."
    assert found.why_not() is None
    assert found.why_not() is None
    answers.append(False)
    monkeypatch.setattr(readiness, "_GRACE_S", -1.0)
    assert found.why_not() == "The database does not answer."


def test_a_database_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe gets its answer, and no number of probes asks more than once."""
    monkeypatch.setattr(readiness, "_PATIENCE_S", 0.01)
    asked: list[int] = []
    silent = threading.Event()

    def ping() -> None:
        asked.append(1)
        silent.wait(60)

    found = Readiness(ping, lambda: True)

    assert [found.why_not() for _ in range(3)] == ["The database does not answer."] * 3
    assert len(asked) == 1
    silent.set()


def test_workers_that_are_not_warm() -> None:
    """They are waited for."""
    warm = [False]
    found = Readiness(lambda: None, lambda: warm[0])

    assert found.why_not() == "The workers are warming up."
    warm[0] = True
    assert found.why_not() is None


def test_no_more_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once there can be some again, the next probe asks."""
    found = Readiness(lambda: None, lambda: True)

    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        assert found.why_not() == "The database does not answer."

    assert found.why_not() is None

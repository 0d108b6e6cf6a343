"""Whose leases are renewed, and when others' are judged."""

import threading
from collections.abc import Collection
from typing import Any

import pytest

from app import renewal
from app.errors import Unavailable
from app.renewal import Renewal

LEASE_S = 30


class _Rows:
    """Notes who is renewed; its database may be away."""

    def __init__(self) -> None:
        self.away = False
        self.renewed: list[list[str]] = []

    def renew(self, workers: Collection[str]) -> None:
        if self.away:
            raise Unavailable("The database does not answer.")
        self.renewed.append([*workers])


class _Clock:
    now = 1000.0

    def wait(self, seconds: float) -> bool:
        self.now += seconds
        return False


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    clock = _Clock()
    monkeypatch.setattr(renewal, "_now", lambda: clock.now)
    return clock


def _renew(renewal: Renewal, clock: _Clock, seconds: float) -> None:
    """As long as that, as often as it does."""
    until = clock.now + seconds

    class Over:
        def wait(self, step_s: float) -> bool:
            return clock.wait(step_s) or clock.now >= until

    over: Any = Over()
    renewal.run(over)


def test_those_who_live_are_renewed() -> None:
    rows, over = _Rows(), threading.Event()
    over.set()

    Renewal(rows, LEASE_S, lambda: ["a", "b"]).run(over)  # type: ignore[arg-type]

    assert rows.renewed == [["a", "b"]]


def test_nobody_is_judged_who_had_no_time_to_renew(clock: _Clock) -> None:
    """After a start, after the database was away, and after this machine was stopped."""
    rows = _Rows()
    renewal = Renewal(rows, LEASE_S, lambda: ["a"])  # type: ignore[arg-type]
    assert not renewal.others_could()

    for trouble in ("start", "database", "stop"):
        if trouble == "database":
            rows.away = True
            _renew(renewal, clock, 60)
            rows.away = False
        elif trouble == "stop":
            clock.wait(60)
        _renew(renewal, clock, 20)
        assert not renewal.others_could()
        _renew(renewal, clock, 15)
        assert renewal.others_could()
    clock.wait(15)  # It does not answer since.
    assert not renewal.others_could()


def test_a_short_silence_changes_nothing(clock: _Clock) -> None:
    """Nobody loses a lease by it."""
    rows = _Rows()
    renewal = Renewal(rows, LEASE_S, list)  # type: ignore[arg-type]
    _renew(renewal, clock, 40)

    rows.away = True
    _renew(renewal, clock, 5)
    rows.away = False
    _renew(renewal, clock, 5)

    assert renewal.others_could()

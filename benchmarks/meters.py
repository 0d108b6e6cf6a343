"""What PostgreSQL and Redis have been asked to do, and what processor time it took whom."""

import time
from dataclasses import dataclass, field

import psycopg
import redis

from benchmarks import stacks
from benchmarks.stacks import Stack

_SETTLED_S = 1.5  # Backends tell what they did once a second.
_COUNTED = """
    SELECT sum(calls)::float, sum(wal_bytes)::float FROM pg_stat_statements
    WHERE query !~* '^(begin|commit|rollback|set|show)' AND query NOT LIKE '%pg_stat_%'
"""
_COMMITTED = "SELECT sum(xact_commit + xact_rollback)::float FROM pg_stat_database"
_WRITTEN = "SELECT pg_current_wal_lsn() - '0/0'::pg_lsn"
_CONNECTED = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"


@dataclass(frozen=True, slots=True)
class Meter:
    """Counts up to a moment; the difference of two is what was done in between."""

    seconds: float
    statements: float
    transactions: float
    wal_bytes: float
    commands: float  # Of Redis.
    cpu_s: dict[str, float] = field(default_factory=dict)  # By kind of process.

    def since(self, before: "Meter", per: float = 1.0) -> "Meter":
        """What was done since, divided by ``per``."""
        return Meter(
            (self.seconds - before.seconds) / per,
            (self.statements - before.statements) / per,
            (self.transactions - before.transactions) / per,
            (self.wal_bytes - before.wal_bytes) / per,
            (self.commands - before.commands) / per,
            {kind: (used - before.cpu_s.get(kind, 0)) / per for kind, used in self.cpu_s.items()},
        )


def read(stack: Stack) -> Meter:
    """The counts now."""
    time.sleep(_SETTLED_S)
    with psycopg.connect(stack.database, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        statements, _ = _row(connection, _COUNTED)
        (transactions,) = _row(connection, _COMMITTED)
        (written,) = _row(connection, _WRITTEN)
    return Meter(
        time.monotonic(),
        statements or 0.0,
        transactions,
        float(written),
        sum(_commands(stack).values()),
        stacks.cpu_seconds(),
    )


def connections(stack: Stack) -> tuple[int, int]:
    """Connections to PostgreSQL and to Redis that the servers hold now."""
    with psycopg.connect(stack.database, autocommit=True) as connection:
        (found,) = _row(connection, _CONNECTED)
    with redis.Redis.from_url(stack.settings["OCR_QUEUE_URL"]) as client:
        clients = int(client.info("clients")["connected_clients"])
    return int(found) - 1, clients - 1


def _row(connection: "psycopg.Connection[tuple[float, ...]]", query: str) -> tuple[float, ...]:
    row = connection.execute(query).fetchone()
    assert row is not None
    return tuple(row)


def _commands(stack: Stack) -> dict[str, int]:
    with redis.Redis.from_url(stack.settings["OCR_QUEUE_URL"]) as client:
        told = client.info("commandstats")
    return {name: int(each["calls"]) for name, each in told.items()}

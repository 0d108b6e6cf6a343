"""Rows of tasks that ended within the last month, as a busy server has them."""

import hashlib
import random
import time
import uuid
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Engine, delete, insert, text

from app.errors import State
from app.rows import Base, Task, Usage

_AGE_S = 29 * 86400.0  # None is old enough to be removed while something is measured.
_KEPT_S = 6.9 * 86400  # Files of younger ones are there.
_OWNERS = 1000
_BATCH = 10_000
_INDEXES = Base.metadata.tables["tasks"].indexes


def fill(engine: Engine, owner: str, count: int) -> None:
    """Add so many past tasks, of which a tenth are the ``owner``'s; and count the pages."""
    chance = random.Random(count)  # noqa: S311 - the same rows each time
    owners = [hashlib.sha256(b"%d" % n).hexdigest() for n in range(_OWNERS)]
    columns = [column.key for column in Task.__table__.columns]
    with engine.begin() as connection:
        # Made anew at the end, which takes a fraction of the time.
        for index in _INDEXES:
            index.drop(connection)
        for start in range(0, count, _BATCH):
            rows = [_row(chance, owner, owners) for _ in range(min(_BATCH, count - start))]
            _insert(connection.connection.driver_connection, columns, rows)
        pages = [{"owner": each, "pages": chance.randrange(100_000)} for each in owners]
        connection.execute(delete(Usage).where(Usage.owner.in_(owners)))
        connection.execute(insert(Usage), pages)
        for index in _INDEXES:
            index.create(connection)
    _tidy(engine)


def _row(chance: random.Random, owner: str, owners: list[str]) -> dict[str, Any]:
    whose = owner if chance.random() < 0.1 else chance.choice(owners)
    completed = time.time() - chance.random() * _AGE_S - 60
    created = completed - chance.expovariate(0.1)
    fails, derived, again = (chance.random() < share for share in (0.04, 0.05, 0.03))
    form = chance.choice(("txt", "txt", "pdf", "docx", "xlsx"))
    pages = 1 + int(chance.expovariate(0.3))
    kept = completed if not fails and completed > time.time() - _KEPT_S else None
    return {
        "id": str(uuid.UUID(int=chance.getrandbits(128), version=4)),
        "parent_id": str(uuid.UUID(int=chance.getrandbits(128), version=4)) if derived else None,
        "owner": whose,
        "state": State.INVALID_FILE if fails else State.COMPLETE,
        "state_detail": "The file is damaged." if fails else "Complete",
        "error_code": "invalid_file" if fails else None,
        "progress": 0 if fails else 100,
        "format": form,
        "languages": "ChinesePRC,English",
        "filename": f"扫描件 {chance.randrange(10_000)}.pdf",
        "base_url": "https://ocr.example.org",
        "return_text": False,
        "pdfa": False,
        "mode": "auto",
        "input_media_type": "application/pdf",
        "output_media_type": "text/plain",
        "input_size": chance.randrange(10**4, 10**7),
        "output_size": chance.randrange(10**2, 10**6),
        "file_pages": pages,
        "ocr_pages": pages,
        "created_at": created,
        "processed_at": created + 0.1,
        "completed_at": completed,
        "queued_at": created,
        "attempts": 1,
        "kills": 0,
        "callback_attempts": 0,
        "idempotency_key": uuid.UUID(int=chance.getrandbits(128)).hex if again else None,
        "source_since": kept,
        "result_since": kept,
    }


def _insert(connection: Any, columns: list[str], rows: list[dict[str, Any]]) -> None:
    """The quickest way that each database has; ``connection`` is the driver's."""
    names = ", ".join(columns)
    values: Iterator[tuple[Any, ...]] = (tuple(row.get(name) for name in columns) for row in rows)
    if hasattr(connection, "pgconn"):
        with connection.cursor().copy(f"COPY tasks ({names}) FROM STDIN") as copy:
            for each in values:
                copy.write_row(each)
    else:
        marks = ", ".join("?" * len(columns))
        connection.executemany(f"INSERT INTO tasks ({names}) VALUES ({marks})", values)  # noqa: S608


def _tidy(engine: Engine) -> None:
    """What PostgreSQL does by and by; SQLite has no statistics unless somebody asks for them."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("VACUUM ANALYZE"))
            connection.execute(text("CHECKPOINT"))
        else:
            connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))

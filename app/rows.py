"""The rows of the database: tasks, their parts, tokens and what these have used.

Times are Unix seconds. The schema is changed by migrations, which tests compare with this.
"""

from sqlalchemy import BigInteger, ForeignKey, Index, MetaData, String, Text, false, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# What waits for a worker, and to be downloaded; what others do parts of. Indexes go by these words.
SENT = "state IN (0, 3) AND (source_url IS NULL OR input_size IS NOT NULL)"
LINKED = "state IN (0, 3) AND source_url IS NOT NULL AND input_size IS NULL"
DIVIDED = "state = 4 AND leased_by IS NULL"


class Base(DeclarativeBase):
    """The metadata, with names for all constraints so that migrations can speak of them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


def _index_of_filled(*columns: str, unique: bool = False) -> Index:
    """An index of the rows in which the first of ``columns`` has a value."""
    return _index_where(f"{columns[0]} IS NOT NULL", *columns, unique=unique)


def _index_where(
    condition: str, *columns: str, name: str | None = None, unique: bool = False
) -> Index:
    """An index of the rows that meet ``condition``, which statements have to repeat as it is."""
    where = text(condition)
    return Index(name, *columns, unique=unique, sqlite_where=where, postgresql_where=where)


class Task(Base):
    """One document to recognize, from its submission to its result."""

    __tablename__ = "tasks"

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    # The complete task of whose document this one makes another format; it goes with that one.
    # No foreign key: for one, SQLite would have to make the table anew, which deletes all parts.
    parent_id: Mapped[str | None] = mapped_column(String(36))
    owner: Mapped[str] = mapped_column(String(64))  # Digest of the token.
    state: Mapped[int] = mapped_column(index=True)
    state_detail: Mapped[str] = mapped_column(Text)
    error_code: Mapped[str | None] = mapped_column(String(64))
    progress: Mapped[int] = mapped_column(default=0)  # Percent.
    # What was asked for.
    format: Mapped[str] = mapped_column(String(8))
    languages: Mapped[str] = mapped_column(Text)
    password: Mapped[str | None] = mapped_column(String(64))  # Only until the task ends.
    source_url: Mapped[str | None] = mapped_column(Text)
    filename: Mapped[str | None] = mapped_column(Text)
    callback_url: Mapped[str | None] = mapped_column(Text)
    base_url: Mapped[str] = mapped_column(Text)  # What the client called the server.
    return_text: Mapped[bool] = mapped_column(default=False)
    pdfa: Mapped[bool] = mapped_column(default=False, server_default=false())
    mode: Mapped[str] = mapped_column(String(8), default="auto", server_default="auto")
    pages: Mapped[str | None] = mapped_column(String(32))  # "first-last"; None: all.
    # What is known of it.
    input_media_type: Mapped[str | None] = mapped_column(String(128))
    output_media_type: Mapped[str | None] = mapped_column(String(128))
    input_size: Mapped[int | None] = mapped_column(BigInteger)  # Bytes.
    output_size: Mapped[int | None] = mapped_column(BigInteger)
    file_pages: Mapped[int | None]
    ocr_pages: Mapped[int | None]
    failed_pages: Mapped[str | None] = mapped_column(Text)  # Numbers with commas between.
    created_at: Mapped[float]
    processed_at: Mapped[float | None]
    completed_at: Mapped[float | None]
    # Its place in the queue, or that of its part which is there: see app.places.
    queued_at: Mapped[float | None]
    # Who works on it.
    attempts: Mapped[int] = mapped_column(default=0)
    kills: Mapped[int] = mapped_column(default=0, server_default=text("0"))  # Of its workers.
    leased_by: Mapped[str | None] = mapped_column(String(128))
    leased_until: Mapped[float | None] = mapped_column(index=True)
    # The report to callback_url: when the next try is due (None: not yet, or no more), tries so
    # far, and what came of the last one.
    callback_host: Mapped[str | None] = mapped_column(String(300))  # With its port.
    callback_due: Mapped[float | None]
    callback_attempts: Mapped[int] = mapped_column(default=0)
    callback_at: Mapped[float | None]
    callback_result: Mapped[str | None] = mapped_column(Text)  # An HTTP status, or an error.
    # What is known again: a request that is sent twice, a document that was read before.
    idempotency_key: Mapped[str | None] = mapped_column(String(255))
    fingerprint: Mapped[str | None] = mapped_column(String(64))  # Of the request.
    reuse_key: Mapped[str | None] = mapped_column(String(64))  # Of document, options, software.
    # What the logs and traces of other processes are to say of it.
    request_id: Mapped[str | None] = mapped_column(String(64))  # Of the request that made it.
    traceparent: Mapped[str | None] = mapped_column(String(64))  # Of its span; W3C Trace Context.
    # Since when files are kept that time takes away; None: they are gone, or not there yet.
    source_since: Mapped[float | None]
    result_since: Mapped[float | None]

    __table_args__ = (
        Index(None, "owner", "state"),
        # Of columns that many rows leave empty only what is filled in.
        _index_of_filled("completed_at"),
        _index_of_filled("callback_due", "callback_host"),
        _index_of_filled("source_since"),
        _index_of_filled("result_since"),
        _index_of_filled("parent_id"),
        _index_of_filled("reuse_key", "owner"),
        _index_of_filled("idempotency_key", "owner", unique=True),
        # A token's history, newest first, and what failed last: see app.history, app.operations.
        _index_where("parent_id IS NULL", "owner", "created_at", "id"),
        _index_where("state < 0", "completed_at", name="ix_tasks_failed_completed_at"),
        # The last place in the queue that an owner's tasks have: see app.places.
        _index_where(SENT, "owner", "queued_at", name="ix_tasks_sent_queued_at"),
        _index_where(LINKED, "owner", "queued_at", name="ix_tasks_linked_queued_at"),
        _index_where(DIVIDED, "owner", "queued_at", name="ix_tasks_divided_queued_at"),
    )


class Part(Base):
    """Pages of a long document, for one worker at a time; the task itself puts them together."""

    __tablename__ = "parts"

    task_id: Mapped[str] = mapped_column(
        ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True
    )
    first: Mapped[int] = mapped_column(primary_key=True)  # Numbers of pages.
    last: Mapped[int]
    finished: Mapped[bool] = mapped_column(default=False)
    done: Mapped[int] = mapped_column(default=0)  # Pages,
    recognized: Mapped[int] = mapped_column(default=0)  # and those that were recognized.
    worked_s: Mapped[float] = mapped_column(default=0.0)  # Seconds, once it is finished.
    attempts: Mapped[int] = mapped_column(default=0)
    kills: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    leased_by: Mapped[str | None] = mapped_column(String(128), index=True)
    leased_until: Mapped[float | None] = mapped_column(index=True)


class Token(Base):
    """A right to use the server. The token itself is not kept."""

    __tablename__ = "tokens"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)  # SHA-256, hexadecimal.
    name: Mapped[str] = mapped_column(String(200), unique=True)
    created_at: Mapped[float]
    expires_at: Mapped[float | None]
    revoked_at: Mapped[float | None]
    operator: Mapped[bool] = mapped_column(default=False, server_default=false())  # Sees all work.
    # Limits of its own; None: that of the settings, 0: none.
    rate_per_minute: Mapped[int | None]
    tasks_at_once: Mapped[int | None]
    page_quota: Mapped[int | None] = mapped_column(BigInteger)


class Usage(Base):
    """What a token has used; those of the settings, which have no other row, too."""

    __tablename__ = "usages"

    owner: Mapped[str] = mapped_column(String(64), primary_key=True)
    pages: Mapped[int] = mapped_column(BigInteger, default=0)  # Of complete tasks.
    minute_from: Mapped[float] = mapped_column(default=0.0)  # When the last minute began,
    minute_tasks: Mapped[int] = mapped_column(default=0)  # and tasks that were created in it.


class Round(Base):
    """Something that one of all servers does, every now and then."""

    __tablename__ = "rounds"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    due: Mapped[float]  # When it is done again.

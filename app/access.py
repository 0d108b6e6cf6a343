"""Tokens, the limits of those who show them, and what they have used: the statements about them.

A limit holds exactly, however many threads, processes and machines accept tasks: it is checked
in the transaction that inserts the task, behind the lock on its owner's row of ``usages``.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Select, case, func, select, update
from sqlalchemy.orm import Session

from app.db import RUNNING, TO_BE_HAD, changed, insert
from app.errors import QuotaUsedUp, RateLimited, TooManyTasks
from app.rows import Task, Token, Usage

_MINUTE_S = 60.0


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one token may do; 0: no limit."""

    rate_per_minute: int = 0  # Tasks that are created.
    tasks_at_once: int = 0  # Tasks that are unfinished.
    page_quota: int = 0  # Pages of complete tasks, ever.

    @property
    def any(self) -> bool:
        """Whether there is one."""
        return bool(self.rate_per_minute or self.tasks_at_once or self.page_quota)

    def of(self, token: Token) -> "Allowance":
        """The token's own limits, and these where it has none."""
        return Allowance(
            _own(token.rate_per_minute, self.rate_per_minute),
            _own(token.tasks_at_once, self.tasks_at_once),
            _own(token.page_quota, self.page_quota),
        )


NONE = Allowance()


@dataclass(frozen=True, slots=True)
class Access:
    """What a request may do that showed a valid token."""

    owner: str  # SHA-256 of the token, hexadecimal.
    allowance: Allowance
    # Made of the token, and nowhere kept: what is signed with it cannot be guessed from the
    # database.
    seal: bytes = field(default=b"", repr=False, compare=False)
    operator: bool = False  # May see how the server does, and what fails of all tokens.
    name: str = ""  # What operators call it; those of the settings have none.


def look(session: Session, owner: str, allowance: Allowance) -> None:
    """Raise QuotaUsedUp, TooManyTasks or RateLimited if a task would be refused now."""
    usage = session.get(Usage, owner)
    if usage is None:
        usage = Usage(pages=0, minute_from=0.0, minute_tasks=0)
    now = time.time()
    began = usage.minute_tasks if abs(now - usage.minute_from) < _MINUTE_S else 0
    _check(session, owner, allowance, usage.pages, usage.minute_from, began + 1, new=1)


def enter(session: Session, owner: str, allowance: Allowance) -> None:
    """Count a task that was inserted, and hold the owner's row until the commit.

    Raises QuotaUsedUp, TooManyTasks, RateLimited; the caller then rolls back.
    """
    now = time.time()
    # Not all that is later than ``now`` is odd: others may have waited less for the row.
    over = (Usage.minute_from <= now - _MINUTE_S) | (Usage.minute_from > now + _MINUTE_S)
    pages, minute_from, tasks = session.execute(
        insert(session.get_bind().dialect.name, Usage)
        .values(owner=owner, pages=0, minute_from=now, minute_tasks=1)
        .on_conflict_do_update(
            index_elements=[Usage.owner],
            set_={
                "minute_from": case((over, now), else_=Usage.minute_from),
                "minute_tasks": case((over, 1), else_=Usage.minute_tasks + 1),
            },
        )
        .returning(Usage.pages, Usage.minute_from, Usage.minute_tasks)
    ).one()
    _check(session, owner, allowance, pages, minute_from, tasks, new=0)


def pages_used(session: Session) -> dict[str, int]:
    """The pages of complete tasks, by owner."""
    return {owner: pages for owner, pages in session.execute(select(Usage.owner, Usage.pages))}


def token(session: Session, digest: str) -> Token | None:
    """The row of a token."""
    return session.get(Token, digest)


def tokens(session: Session) -> Sequence[Token]:
    """All tokens, oldest first."""
    return session.scalars(select(Token).order_by(Token.created_at)).all()


def add_token(session: Session, token: Token) -> bool:
    """Insert a token; False if the name is taken."""
    if session.scalars(select(Token.name).where(Token.name == token.name)).first():
        return False
    session.add(token)
    return True


def change_token(session: Session, name: str, **values: Any) -> bool:
    """Change a token; False if no valid one has this name."""
    return changed(
        session,
        update(Token).where(Token.name == name, Token.revoked_at.is_(None)).values(**values),
    )


def unfinished(session: Session, owner: str) -> int:
    """How many tasks of an owner are to be done, or under way."""
    return session.scalars(_counted(owner).where(Task.parent_id.is_(None))).one()


def unfinished_derived(session: Session, owner: str) -> int:
    """The same of tasks that make other formats of documents."""
    return session.scalars(_counted(owner).where(Task.parent_id.is_not(None))).one()


def _counted(owner: str) -> Select[int]:
    return select(func.count()).where(Task.owner == owner, Task.state.in_((*TO_BE_HAD, *RUNNING)))


def _check(
    session: Session,
    owner: str,
    allowance: Allowance,
    pages: int,
    minute_from: float,
    tasks: int,
    new: int,
) -> None:
    """Raise if a limit is passed by the last of ``tasks`` in this minute.

    ``new`` is how many tasks are not in the table yet.
    """
    if allowance.page_quota and pages >= allowance.page_quota:
        raise QuotaUsedUp(f"用户额度不足, 剩余额度: 0 页, 总额度: {allowance.page_quota} 页")
    if allowance.rate_per_minute and tasks > allowance.rate_per_minute:
        raise RateLimited(
            f"This token may create {allowance.rate_per_minute} tasks in a minute.",
            retry_after_s=max(1, math.ceil(minute_from + _MINUTE_S - time.time())),
        )
    most = allowance.tasks_at_once
    if most and unfinished(session, owner) + new > most:
        raise TooManyTasks(f"This token has {most} unfinished tasks, which is its limit.")


def _own(own: int | None, default: int) -> int:
    return default if own is None else own

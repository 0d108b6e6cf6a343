"""The commands ``ocr-server token``, ``task`` and ``migrate``, for who runs the server."""

import secrets
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from app import access, database, db, wiring
from app.api.auth import digest
from app.cli.settings import pass_settings
from app.config import Settings
from app.rows import Task, Token

_TOKEN_BYTES = 32
_DEFAULT = -1
_MOST_DAYS = 100 * 366.0
_DAYS = click.FloatRange(0, _MOST_DAYS, min_open=True)

_EXAMPLES = """\b
Examples:
  ocr-server token create office --days 90 --rate 60 --pages 100000
  ocr-server token list
  ocr-server token set office --pages default
  ocr-server token revoke office
"""
_TASK_HELP = """\b
Example:
  ocr-server task show 3f0e2a4c-0d35-4a6f-9a53-2f0c6c6f8f0e
"""
_MIGRATE_HELP = """\b
Example:
  ocr-server migrate && ocr-server serve
"""


class _Limit(click.ParamType[int]):
    """A number, or ``default`` for the setting's."""

    name = "N|default"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if str(value).lower() == "default":
            return _DEFAULT
        if not str(value).isdecimal():
            self.fail(f"{value} is neither a number nor 'default'.", param, ctx)
        return min(int(value), 2**31 - 1)


def _limits(command: Any) -> Any:
    for name, limited in (
        ("--pages", "Pages that it may have recognized in all"),
        ("--tasks", "Unfinished tasks that it may have"),
        ("--rate", "Tasks that it may create in a minute"),
    ):
        said = limited + "; 0: no limit, default: that of the settings."
        command = click.option(name, type=_Limit(), metavar=_Limit.name, help=said)(command)
    return command


def _not_empty(ctx: click.Context, param: click.Parameter, value: str) -> str:
    if not value.strip():
        raise click.BadParameter("A token needs a name.", ctx, param)
    return value


@click.group(epilog=_EXAMPLES)
def token() -> None:
    """Create, list, change and revoke tokens."""


@token.command(name="create")
@click.argument("name", callback=_not_empty)
@click.option("--days", type=_DAYS, metavar="N", help="Let it expire after this many days.")
@click.option("--operator", is_flag=True, help="Let it see how the server does, and what fails.")
@_limits
@pass_settings
def token_create(
    settings: Settings,
    name: str,
    days: float | None,
    operator: bool,
    rate: int | None,
    tasks: int | None,
    pages: int | None,
) -> None:
    """Create a token called NAME and print it; it cannot be shown again."""
    wiring.migrate(settings)
    secret = new_token()
    row = Token(
        digest=digest(secret),
        name=name,
        created_at=time.time(),
        expires_at=None if days is None else _in_days(days),
        operator=operator,
        **_changes(rate, tasks, pages),
    )
    with database.opened(settings.database) as session:
        if not access.add_token(session, row):
            raise click.ClickException(f"There is a token called {name} already.")
    click.echo(secret)


@token.command(name="set")
@click.argument("name")
@click.option(
    "--days",
    type=click.FloatRange(0, _MOST_DAYS),
    metavar="N",
    help="Let it expire this many days from now; 0: never.",
)
@click.option("--operator/--no-operator", default=None, help="Whether it sees how the server does.")
@_limits
@pass_settings
def token_set(
    settings: Settings,
    name: str,
    days: float | None,
    operator: bool | None,
    rate: int | None,
    tasks: int | None,
    pages: int | None,
) -> None:
    """Change the rights of the token called NAME; what is not named stays as it is."""
    wiring.migrate(settings)
    values = _changes(rate, tasks, pages)
    if days is not None:
        values["expires_at"] = _in_days(days) if days else None
    if operator is not None:
        values["operator"] = operator
    if not values:
        raise click.UsageError("Name what is to be changed.")
    with database.opened(settings.database) as session:
        if not access.change_token(session, name, **values):
            raise click.ClickException(f"There is no valid token called {name}.")


@token.command(name="list")
@pass_settings
def token_list(settings: Settings) -> None:
    """List the tokens, with what they have used of their limits."""
    wiring.migrate(settings)
    default = wiring.allowance(settings)
    click.echo("name\tstate\tcreated\texpires\ttasks/minute\tunfinished\tpages\toperator")
    with database.opened(settings.database) as session:
        used = access.pages_used(session)
        for row in access.tokens(session):
            expired = row.expires_at is not None and row.expires_at <= time.time()
            allowance = default.of(row)
            columns = (
                row.name,
                "revoked" if row.revoked_at else "expired" if expired else "valid",
                _day(row.created_at),
                _day(row.expires_at),
                str(allowance.rate_per_minute or "-"),
                _of(access.unfinished(session, row.digest), allowance.tasks_at_once),
                _of(used.get(row.digest, 0), allowance.page_quota),
                "yes" if row.operator else "-",
            )
            click.echo("\t".join(columns))


@token.command(name="revoke")
@click.argument("name")
@pass_settings
def token_revoke(settings: Settings, name: str) -> None:
    """End the right of the token called NAME; its tasks stay."""
    wiring.migrate(settings)
    with database.opened(settings.database) as session:
        if not access.change_token(session, name, revoked_at=time.time()):
            raise click.ClickException(f"There is no valid token called {name}.")


@click.command(epilog=_MIGRATE_HELP)
@pass_settings
def migrate(settings: Settings) -> None:
    """Bring the database's schema up to date.

    The server does so when it starts; this does it before, or alone. Documents and results stay.
    """
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    before, known = wiring.revisions(settings)
    if before == known[-1]:
        click.echo(f"The schema is {before}, the newest.")
        return
    wiring.migrate(settings)
    click.echo(f"The schema was {before or 'not there'}, and is now {known[-1]}.")


@click.group(epilog=_TASK_HELP)
def task() -> None:
    """Look at tasks."""


@task.command(name="show")
@click.argument("task_id")
@pass_settings
def task_show(settings: Settings, task_id: str) -> None:
    """Show what is known of a task; of its token and password nothing."""
    wiring.migrate(settings)
    with database.opened(settings.database) as session:
        row = db.task(session, task_id)
    if row is None:
        raise click.ClickException("There is no such task.")
    for name in (column.key for column in Task.__table__.columns):
        value = getattr(row, name)
        if name not in _PRIVATE and value is not None:
            moment = name.endswith(("_at", "_due", "_since", "_until"))
            click.echo(f"{name}\t{_second(value) if moment else value}")


def new_token() -> str:
    """A token that cannot be guessed, in the form that clients know."""
    return "sk-" + secrets.token_urlsafe(_TOKEN_BYTES)


_PRIVATE = ("owner", "password", "fingerprint", "reuse_key")


def _changes(rate: int | None, tasks: int | None, pages: int | None) -> dict[str, Any]:
    """The columns of limits that were named."""
    named = {"rate_per_minute": rate, "tasks_at_once": tasks, "page_quota": pages}
    return {
        column: None if value == _DEFAULT else value
        for column, value in named.items()
        if value is not None
    }


def _in_days(days: float) -> float:
    return time.time() + timedelta(days=days).total_seconds()


def _of(used: int, most: int) -> str:
    return f"{used} of {most}" if most else str(used)


def _day(moment: float | None) -> str:
    return "-" if moment is None else datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d")


def _second(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")

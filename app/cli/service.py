"""What ``doctor`` looks at of a server: database, queue, storage, address, proxies, tokens."""

import errno
import ipaddress
import json
import os
import socket
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import select, text

from app import access, db, wiring
from app.cli.finding import Finding, fault, ok, warning
from app.config import Settings, unknown
from app.database import opened
from app.errors import AppError
from app.rows import Token


def database(settings: Settings) -> Finding:
    """Whether it answers, and its schema."""
    if not settings.database_url and not (settings.data_dir / "ocr.db").exists():
        return ok("SQLite; the first start makes it")
    kind = settings.database.partition(":")[0]
    try:
        now, known = wiring.revisions(settings)
    except Exception as error:  # Drivers that are missing, addresses that are none.
        told = str(error.__cause__ if kind == "sqlite" and error.__cause__ else error)
        mend = "Start it, or mend OCR_DATABASE_URL; the log of the database may tell more."
        if kind == "sqlite":
            mend = "Let it be written to, put a copy of it back, or mend OCR_DATABASE_URL."
        return fault(f"{kind} cannot be used: {told.splitlines()[0].rstrip('.')}", mend)
    if now is None:
        return warning(
            f"{kind}; it has no tables yet", "`ocr-server migrate`, or start the server."
        )
    if now not in known:
        return fault(
            f"{kind}; its schema {now} is of a newer version than this, which knows {known[-1]}",
            "Install the newer version again.",
        )
    if now != known[-1]:
        return warning(
            f"{kind}; its schema is {now}, the newest {known[-1]}",
            "`ocr-server migrate`, or start the server.",
        )
    if kind != "sqlite":
        return _far(settings, f"{kind} answers; its schema is {now}, the newest")
    return ok(f"{kind} answers; its schema is {now}, the newest")


def _far(settings: Settings, told: str) -> Finding:
    """Whether PostgreSQL has connections left, and goes by about the same time."""
    with opened(settings.database) as session:
        taken, most = session.execute(_CONNECTIONS).one()
        begun = time.time()
        later_s = session.execute(select(db.present(session))).scalar_one() - begun
    told = f"{told}; {taken} of its {most} connections are taken"
    if abs(later_s) > _SKEW_S:
        return warning(
            f"{told}; its clock is {abs(later_s):.0f} s {'ahead' if later_s > 0 else 'behind'}",
            "Set both clocks, by NTP.",
        )
    if most - taken < _SPARE_CONNECTIONS:
        return warning(
            told, "Set its max_connections higher; docs/scaling.md says how many are needed."
        )
    return ok(told)


_CONNECTIONS = text(
    "SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),"
    " current_setting('max_connections')::int"
    " - current_setting('superuser_reserved_connections')::int"
)
_SPARE_CONNECTIONS = 20  # What one busy server takes.
_SKEW_S = 5.0  # More than asking can take, and than what expiry and reports bear.


def queue(settings: Settings) -> Finding:
    """Whether it answers."""
    if "OCR_QUEUE_URL" in unshared(settings):
        return warning("it is this machine's alone, the database is not", _SHARE)
    if not settings.queue_url and not (settings.data_dir / "queue.db").exists():
        return ok("SQLite; the first start makes it")
    try:
        with closing(wiring.work_queue(settings)) as waiting:
            return ok(f"it answers; {waiting.size()} units wait")
    except Exception as error:
        return fault(str(error).rstrip("."), "Start it, or mend OCR_QUEUE_URL.")


def storage(settings: Settings) -> Finding:
    """Whether files can be put, read and removed where they are kept."""
    bucket = settings.bucket
    if "OCR_STORAGE_URL" in unshared(settings):
        return warning("files are this machine's alone, the database is not", _SHARE)
    if bucket is None and not settings.storage_url:
        return ok("files are kept in the data folder")
    where = f"the bucket {bucket.name}" if bucket else str(settings.files)
    mend = "Let the server write there, or mend OCR_STORAGE_URL."
    if bucket is not None:
        mend = (
            "OCR_STORAGE_URL names bucket, endpoint and region; AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY are its keys; docs/operations.md tells what these must allow."
        )
    key = f"trials/{uuid.uuid4()}"
    try:
        with tempfile.TemporaryDirectory(prefix="ocr-doctor-") as name:
            folder = Path(name)
            trial = settings.model_copy(update={"data_dir": folder})
            files, content = wiring.store(trial), os.urandom(1000)
            (folder / "put").write_bytes(content)
            files.put(folder / "put", key)
            files.fetch(key, folder / "read")
            listed = key in files.settled("trials", 0)
            files.delete(key)
            if not listed or (folder / "read").read_bytes() != content:
                return fault(f"{where} does not give back what is put there", mend)
            if files.locate(key) is not None:
                return fault(f"{where} does not remove what is deleted", mend)
    except (AppError, OSError) as error:
        cause = error.__cause__ or error
        told = " ".join(str(cause).partition("\n\nDebug source")[0].split())
        return fault(f"{where} cannot be used: {told.rstrip('.')}", mend)
    return ok(f"{where} takes files, gives them back and removes them")


def unshared(settings: Settings) -> tuple[str, ...]:
    """Settings without which machines that share PostgreSQL would lose each other's tasks.

    A folder that ``OCR_STORAGE_URL`` names is taken to be mounted by all of them.
    """
    if not settings.database.startswith("postgresql"):
        return ()
    named = {"OCR_QUEUE_URL": settings.queue_url, "OCR_STORAGE_URL": settings.storage_url}
    return tuple(name for name, value in named.items() if not value)


def lacks_database(settings: Settings) -> bool:
    """Whether a worker would make a database of its own beside what it shares with others."""
    if settings.database.startswith("postgresql"):
        return False
    is_made = Path(settings.database.removeprefix("sqlite:///")).exists()
    return bool(settings.queue_url or settings.storage_url) and not is_made


_SHARE = (
    "Set OCR_QUEUE_URL and OCR_STORAGE_URL if there are other machines: what one has, the others "
    "would not find, and fail its tasks."
)


def address(settings: Settings) -> Finding:
    """Whether the server runs, or could."""
    return port(settings.host, settings.port, "Another port: OCR_PORT=8001")


def port(host: str, number: int, another: str) -> Finding:
    """Whether a server answers on a port, or could; ``another`` is what to do if it is taken."""
    there = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    where = f"{host}:{number}"
    shown = f"[{there}]" if ":" in there else there
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, number), family=family):
            return ok(f"{where} is free for a server")
    except OSError as error:
        refused = error
    try:
        status, answer = _asked(f"http://{shown}:{number}/readyz")
    except (OSError, ValueError):
        told = f"{where} cannot be listened on, and no ocr-server answers there: {refused.strerror}"
        if refused.errno not in (errno.EADDRINUSE, errno.EACCES):
            return fault(told, "OCR_HOST is an address of this machine; 0.0.0.0 is all of them.")
        return fault(told, f"{another}; who has it: `ss -ltnp`.")
    if status == 200:
        return ok(f"a server answers on {where} and is ready")
    message = answer.get("message", f"status {status}")
    return warning(f"a server answers on {where}: {message}", "Wait a little, or read its log.")


def links(settings: Settings) -> Finding:
    """Whether what the settings say, of the way to clients above all, makes sense."""
    if names := unknown(os.environ):
        return warning(f"no such setting: {', '.join(names)}", "Correct the name, or leave it out.")
    for name, networks in (
        ("OCR_TRUSTED_PROXIES", settings.trusted_proxies),
        ("OCR_FETCH_NETWORKS", settings.fetch_networks),
    ):
        if any(ipaddress.ip_network(each, strict=False).prefixlen == 0 for each in networks):
            return warning(f"{name} holds everybody", "Name the addresses alone that are meant.")
    if settings.bucket and settings.result_url_s and not settings.secret.get_secret_value():
        return warning(
            "addresses of results are signed with a secret of this machine alone",
            "OCR_SECRET, the same on all machines.",
        )
    if settings.result_links == "presigned" and (where := _hidden_store(settings)):
        return warning(
            f"links to results lead to {where}, which clients may not reach",
            "Say in OCR_STORAGE_URL by &public=https://… how clients reach the store.",
        )
    if settings.public_url:
        return ok(f"results have addresses below {settings.public_url}")
    if settings.trusted_proxies:
        return ok(f"{', '.join(settings.trusted_proxies)} may say what clients call the server")
    return ok("results have the address that the client used")


def _hidden_store(settings: Settings) -> str:
    """The store's address if it looks like one of a private network alone, else empty."""
    bucket = settings.bucket
    if bucket is None or bucket.public or not bucket.endpoint:
        return ""
    parts = urlsplit(bucket.endpoint)
    host = parts.hostname or ""
    try:
        is_inside = not ipaddress.ip_address(host).is_global
    except ValueError:
        is_inside = "." not in host or host.endswith((".internal", ".local"))
    return bucket.endpoint if is_inside or parts.scheme == "http" else ""


def tokens(settings: Settings) -> Finding:
    """Whether somebody may use it."""
    mend = "`ocr-server token create NAME`, or OCR_TOKENS."
    try:
        kept, given = valid_tokens(settings)
    except Exception:
        return warning("the database cannot tell", "See there.")
    told = f"{kept} in the database, {given} in the settings"
    if (settings.data_dir / "local.token").exists():
        return ok(f"{told}, and that of `serve --local-token`")
    return ok(told) if kept or given else warning("there are none: nobody can use the server", mend)


def valid_tokens(settings: Settings) -> tuple[int, int]:
    """How many there are in the database, if there is one, and in the settings."""
    both = (settings.tokens, settings.operator_tokens)
    given = sum(bool(each.strip()) for held in both for each in held.get_secret_value().split(","))
    if not settings.database_url and not (settings.data_dir / "ocr.db").exists():
        return 0, given
    with opened(settings.database) as session:
        return sum(_is_valid(row) for row in access.tokens(session)), given


def _is_valid(row: Token) -> bool:
    return row.revoked_at is None and (row.expires_at is None or row.expires_at > time.time())


_PATIENCE_S = 5.0


def _asked(url: str) -> tuple[int, dict[str, object]]:
    """Status and answer. Raises OSError, ValueError."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=_PATIENCE_S) as answer:
            return answer.status, dict(json.load(answer))
    except urllib.error.HTTPError as error:
        return error.code, dict(json.load(error))

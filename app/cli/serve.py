"""The commands ``ocr-server serve`` and ``ocr-server worker``."""

from __future__ import annotations

import errno
import gc
import logging
import os
import shutil
import signal
import socket
import sys
import threading
from contextlib import closing
from typing import TYPE_CHECKING
from urllib.parse import quote

import click

from app import sandbox, wiring
from app.cli.admin import new_token
from app.cli.service import lacks_database, unshared, valid_tokens
from app.cli.settings import pass_server_settings, read_settings, start_logging
from app.config import Settings, unknown
from app.runner import SAMPLE
from app.tasks import Tasks
from app.telling import Teller
from app.worker import work as work_on
from app.workers import Supervisor

if TYPE_CHECKING:
    from app.observer import Observer

log = logging.getLogger(__name__)


_HELP = """\b
Examples:
  ocr-server serve --local-token
  ocr-server serve --stub
  OCR_TOKENS=sk-choose-one OCR_HOST=0.0.0.0 OCR_PORT=8080 ocr-server serve
"""
_WORKER_HELP = """\b
Example, for servers with the same database, queue and files:
  OCR_DATABASE_URL=postgresql+psycopg://ocr@db/ocr OCR_QUEUE_URL=redis://queue \\
    OCR_STORAGE_URL=s3://ocr-files?endpoint=https://s3:9000 ocr-server worker
"""


@click.command(epilog=_HELP)
@click.option("--local-token", is_flag=True, help="Make a token for this machine and print it.")
@click.option("--port", type=click.IntRange(0, 65535), help="In the place of OCR_PORT.")
@click.option(
    "--stub",
    is_flag=True,
    help="Serve developers of clients: no engine or other program is needed, documents get made-up "
    "text, and nothing is kept.",
)
@click.option("--no-workers", is_flag=True, help="Leave the work to `ocr-server worker` elsewhere.")
@pass_server_settings
def serve(
    settings: Settings, local_token: bool, port: int | None, stub: bool, no_workers: bool
) -> None:
    """Run the HTTP server and its workers."""
    if port is not None:
        settings = settings.model_copy(update={"port": port})
    _warn_of_unknown()
    if stub:
        _serve_stub(settings)
        return
    import uvicorn

    from app.api.connections import Pace, bounded, raise_file_limit
    from app.main import create_app

    if local_token:
        settings = _with_local_token(settings)
    _exit_on_signals()
    listener = _listen(settings)
    watched = _listen_for_probes(settings)
    wiring.migrate(settings)
    if missing := unshared(settings):
        log.warning(
            "The database may be other machines', too: set %s if it is, for they would not find "
            "what this one has.",
            " and ".join(missing),
        )
    if not any(valid_tokens(settings)):
        log.warning(
            "There are no tokens, so nobody can use the server: `ocr-server token create NAME` "
            "makes one, also while it runs."
        )
    observer = wiring.observer(settings)
    tasks = wiring.build(settings, watch=observer)
    supervisor = _supervisor(settings, tasks, observer, 0 if no_workers else None)
    supervisor.start()
    try:
        if local_token:
            _greet(settings, listener)
        pace = Pace(settings.header_timeout_s, settings.body_timeout_s, settings.min_bytes_per_s)
        config = uvicorn.Config(
            create_app(
                settings,
                tasks,
                supervisor.warm,
                lambda: server.should_exit,
                supervisor.workers,
                observer=observer,
            ),
            http=bounded(pace, raise_file_limit(settings.max_connections)),
            ws="none",
            log_config=None,
            log_level=settings.log_level,
            access_log=False,  # app.api.watching writes it, without what addresses hide.
            proxy_headers=False,  # app.api.proxies knows whom to believe.
            server_header=False,
            timeout_keep_alive=75,  # Proxies use idle connections again for 60 s.
            timeout_graceful_shutdown=5,
        )
        server = uvicorn.Server(config)
        # What is loaded stays: to look through it for rings of objects takes a tenth of a request.
        gc.freeze()
        gc.set_threshold(10_000)
        if watched is not None:
            _answer_probes(watched, tasks, observer, supervisor)
        server.run([listener])
    finally:
        supervisor.stop()
        tasks.ends.close()
        observer.close()


def _serve_stub(settings: Settings) -> None:
    gc.disable()  # All that is loaded stays: to look for what can go costs a tenth of the start.
    from app.stub import server

    _exit_on_signals()
    listener = _listen(settings)
    server.run(settings, listener, lambda stub: _greet(stub, listener))


@click.command(epilog=_WORKER_HELP)
@pass_server_settings
def worker(settings: Settings) -> None:
    """Run workers alone, for servers elsewhere on the same database, queue and files."""
    _warn_of_unknown()
    if missing := unshared(settings):
        raise click.UsageError(
            f"{' and '.join(missing)} must say what this machine shares with those that take "
            "documents, as OCR_DATABASE_URL does: it would fail their tasks."
        )
    if lacks_database(settings):
        raise click.UsageError(
            "OCR_DATABASE_URL must say which database this machine shares with those that take "
            "documents: there is none in OCR_DATA_DIR, and it would find none of their tasks."
        )
    _exit_on_signals()
    watched = _listen_for_probes(settings)
    wiring.migrate(settings)
    observer = wiring.observer(settings)
    tasks = wiring.build(settings, watch=observer)
    supervisor = _supervisor(settings, tasks, observer)
    observer.metrics.watch(wiring.gauges(settings, tasks, supervisor.workers, queue=False))
    supervisor.start()
    try:
        if watched is not None:
            _answer_probes(watched, tasks, observer, supervisor)
        threading.Event().wait()
    finally:
        supervisor.stop()
        observer.close()


@click.command(name="work", hidden=True)
@click.argument("name")
@click.argument("pipe", type=int)
@click.option("--traces", is_flag=True)
def work(name: str, pipe: int, traces: bool) -> None:
    """Be one worker process of a supervisor."""
    settings = read_settings()
    start_logging(settings.log_level, settings.log_format, name)
    teller = Teller(pipe, traces)
    with closing(wiring.build(settings, watch=teller)) as tasks:
        work_on(tasks.runner, name, wiring.locks(settings), wiring.ration(settings), teller)


def _supervisor(
    settings: Settings, tasks: Tasks, observer: Observer, count: int | None = None
) -> Supervisor:
    said, is_warning = sandbox.report()
    log.log(logging.WARNING if is_warning else logging.INFO, said)
    return Supervisor(
        tasks,
        settings.worker_count if count is None else count,
        wiring.locks(settings),
        wiring.rooms(settings),
        settings.drain_timeout_s,
        settings.downloads,
        settings.lease_s,
        offline=wiring.is_local(settings),
        watch=observer,
    )


def _listen_for_probes(settings: Settings) -> socket.socket | None:
    return _listener(settings.host, settings.metrics_port) if settings.metrics_port else None


def _answer_probes(
    listener: socket.socket, tasks: Tasks, observer: Observer, supervisor: Supervisor
) -> None:
    from app import probes

    readiness = wiring.readiness(tasks, supervisor.warm)
    probes.serve(listener, observer.metrics.text, readiness, supervisor.hangs)
    log.info("Figures and probes are on %s:%d.", *listener.getsockname()[:2])


def _warn_of_unknown() -> None:
    if names := unknown(os.environ):
        log.warning("No such setting: %s.", ", ".join(names))


def _exit_on_signals() -> None:
    """Leave by an exception, through every ``finally``; a second signal does not wait for them."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))


def _listen(settings: Settings) -> socket.socket:
    """The listening socket, made first: a taken port is told before anything is changed."""
    return _listener(settings.host, settings.port, "Another port: --port 8001.")


def _listener(
    host: str, port: int, another: str = "Another port for figures: OCR_METRICS_PORT."
) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES):
            another = "OCR_HOST is an address of this machine; 0.0.0.0 is all of them."
        raise click.ClickException(
            f"Cannot listen on {host}:{port}: {error.strerror}. {another}"
        ) from error


def _with_local_token(settings: Settings) -> Settings:
    """The settings with an operator's token that is kept beside the data, for its owner to read."""
    path = settings.data_dir / "local.token"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(new_token())
    known = settings.operator_tokens.get_secret_value()
    both = ",".join(filter(None, [known, path.read_text().strip()]))
    return settings.model_copy(update={"operator_tokens": type(settings.tokens)(both)})


def _greet(settings: Settings, listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104
    address = f"http://{host}:{port}"
    secret = settings.operator_tokens.get_secret_value().split(",")[-1]
    sample = settings.data_dir / "sample.png"
    shutil.copyfile(SAMPLE, sample)
    click.echo(
        f"\nAddress: {address}\nToken:   {secret}\n\n"
        f"In a browser:\n\n  {address}/#token={quote(secret)}\n\nOn a command line:\n\n"
        f"  curl -s {address}/task/pic/ocr -H 'Authorization: Bearer {secret}' \\\n"
        f"    -F image_file=@{sample} -F language=ChinesePRC,English -F return_text=1\n"
    )

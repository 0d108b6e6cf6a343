"""The command ``ocr-server``."""

import logging
import os
import shutil
import signal
import socket
import sys
import threading
from contextlib import closing
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from app import __version__, admin, languages, sandbox, wiring
from app.config import Settings
from app.errors import AppError
from app.pipeline import Order
from app.reading import Mode
from app.runner import SAMPLE
from app.tasks import Tasks
from app.worker import work
from app.workers import Supervisor

log = logging.getLogger(__name__)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
@click.pass_context
def main(context: click.Context) -> None:
    """OCR server: send a document, get text, a searchable PDF, Word, Excel or PowerPoint back.

    Settings come from environment variables that begin with OCR_.
    """
    settings = Settings()
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)-7s %(name)s: %(message)s"
    )
    logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)  # A line for each part.
    context.obj = settings


@main.command()
@click.option("--local-token", is_flag=True, help="Make a token for this machine and print it.")
@click.pass_obj
def serve(settings: Settings, local_token: bool) -> None:
    """Run the HTTP server and its workers."""
    import uvicorn

    from app.api.connections import Pace, bounded, raise_file_limit
    from app.main import create_app

    if local_token:
        settings = _with_local_token(settings)
    _exit_on_signals()
    wiring.migrate(settings)
    listener = _listen(settings)
    tasks = wiring.build(settings)
    supervisor = _supervisor(settings, tasks)
    supervisor.start()
    try:
        if local_token:
            _greet(settings, listener)
        pace = Pace(settings.header_timeout_s, settings.body_timeout_s, settings.min_bytes_per_s)
        config = uvicorn.Config(
            create_app(settings, tasks, supervisor.warm, lambda: server.should_exit),
            http=bounded(pace, raise_file_limit(settings.max_connections)),
            ws="none",
            log_config=None,
            log_level=settings.log_level,
            proxy_headers=False,  # app.api.proxies knows whom to believe.
            server_header=False,
            timeout_keep_alive=75,  # Proxies use idle connections again for 60 s.
            timeout_graceful_shutdown=5,
        )
        server = uvicorn.Server(config)
        server.run([listener])
    finally:
        supervisor.stop()


@main.command()
@click.pass_obj
def worker(settings: Settings) -> None:
    """Run workers alone, for a server that runs elsewhere on the same database and files."""
    _exit_on_signals()
    wiring.migrate(settings)
    supervisor = _supervisor(settings, wiring.build(settings))
    supervisor.start()
    try:
        threading.Event().wait()
    finally:
        supervisor.stop()


@main.command(name="work", hidden=True)
@click.argument("name")
@click.argument("pipe", type=int)
@click.pass_obj
def work_(settings: Settings, name: str, pipe: int) -> None:
    """Be one worker process of a supervisor."""
    with closing(wiring.build(settings)) as tasks:
        work(
            tasks.runner,
            name,
            wiring.locks(settings),
            wiring.ration(settings),
            partial(os.write, pipe),
        )


@main.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "-f",
    "--format",
    "form",
    type=click.Choice(["txt", "pdf", "docx", "xlsx", "pptx"]),
    default="txt",
    show_default=True,
)
@click.option("-l", "--language", default="ChinesePRC,English", show_default=True)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="A file, or a folder for it; default: beside FILE.",
)
@click.option("--password", help="The password of the document.")
@click.option("--pdfa", is_flag=True, help="Make a PDF a PDF/A-2, with a structure tree.")
@click.option(
    "--mode",
    type=click.Choice(["auto", "force", "skip"]),
    default="auto",
    show_default=True,
    help="Recognize what has no text that can be trusted, every page, or pages without text.",
)
@click.option(
    "--show",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Draw what was understood of each page into this folder.",
)
@click.pass_obj
def recognize(
    settings: Settings,
    file: Path,
    form: str,
    language: str,
    output: Path | None,
    password: str | None,
    pdfa: bool,
    mode: str,
    folder: Path | None,
) -> None:
    """Recognize FILE without a server."""
    from app.show import show

    name = f"{file.name}.{form}"
    target = file.with_name(name) if output is None else output
    if target.is_dir():
        target /= name
    try:
        order = Order(form, languages.parse(language), password, pdfa, Mode(mode))
        wiring.check_languages(settings, order.languages)
        with (
            TemporaryDirectory(prefix="ocr-") as work,
            TemporaryDirectory() as made,
            closing(wiring.pipeline(settings)) as pipeline,
        ):
            result = Path(made) / target.name
            pipeline.run(
                order,
                file,
                Path(work),
                result,
                lambda *_: None,
                show=None if folder is None else partial(show, folder=folder),
            )
            shutil.move(result, target)
    except AppError as error:
        raise click.ClickException(str(error)) from error
    click.echo(target)


def _supervisor(settings: Settings, tasks: Tasks) -> Supervisor:
    said, is_warning = sandbox.report()
    log.log(logging.WARNING if is_warning else logging.INFO, said)
    return Supervisor(
        tasks,
        settings.worker_count,
        wiring.locks(settings),
        wiring.rooms(settings),
        settings.drain_timeout_s,
        settings.downloads,
        offline=wiring.is_local(settings),
    )


def _exit_on_signals() -> None:
    """Leave by an exception, through every ``finally``; a second signal does not wait for them."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))


def _listen(settings: Settings) -> socket.socket:
    """The listening socket, made first: a taken port is told before anything is started."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        raise click.ClickException(
            f"Cannot listen on {settings.host}:{settings.port}: {error.strerror}. "
            "Another port: OCR_PORT=8001."
        ) from error


def _with_local_token(settings: Settings) -> Settings:
    """The settings with a token that is kept beside the data, readable by its owner alone."""
    path = settings.data_dir / "local.token"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(admin.new_token())
    known = settings.tokens.get_secret_value()
    both = ",".join(filter(None, [known, path.read_text().strip()]))
    return settings.model_copy(update={"tokens": type(settings.tokens)(both)})


def _greet(settings: Settings, listener: socket.socket) -> None:
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)  # noqa: S104
    address = f"http://{host}:{port}"
    secret = settings.tokens.get_secret_value().split(",")[-1]
    sample = settings.data_dir / "sample.png"
    shutil.copyfile(SAMPLE, sample)
    click.echo(
        f"\nAddress: {address}\nToken:   {secret}\n\nTry it:\n\n"
        f"  curl -s {address}/task/pic/ocr -H 'Authorization: Bearer {secret}' \\\n"
        f"    -F image_file=@{sample} -F language=ChinesePRC,English -F return_text=1\n"
    )


main.add_command(admin.token)
main.add_command(admin.task)


if __name__ == "__main__":
    main()

"""The command ``ocr-server mcp``."""

import os
import socket
from contextlib import suppress
from pathlib import Path

import click

_HELP = """\b
Examples:
  OCR_URL=http://127.0.0.1:8000 OCR_TOKEN=sk-... ocr-server mcp --folder ~/Documents
  ocr-server mcp --folder ~/Scans --folder ~/Invoices --port 8100
"""


@click.command(epilog=_HELP)
@click.option(
    "--url",
    envvar="OCR_URL",
    default="http://127.0.0.1:8000",
    show_default=True,
    help="Address of the OCR server; also OCR_URL.",
)
@click.option(
    "--token", envvar="OCR_TOKEN", help="A token of that server; also, and better, OCR_TOKEN."
)
@click.option(
    "--folder",
    "folders",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Folder whose documents agents may have read, and where results may be stored; can be "
    "given several times. Default: the current one, unless that is /.",
)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="Speak streamable HTTP on this port of 127.0.0.1, at /mcp, rather than over stdin.",
)
def mcp(url: str, token: str | None, folders: tuple[Path, ...], port: int | None) -> None:
    """Give agents tools of a running server, by the Model Context Protocol."""
    from app.agents.folders import Folders
    from app.agents.remote import Remote
    from app.agents.server import create_server

    if not token:
        raise click.UsageError(
            "Name a token of the OCR server with OCR_TOKEN; `ocr-server token create NAME` makes "
            "one, and `ocr-server serve --local-token` prints one."
        )
    if not url.startswith(("http://", "https://")):
        raise click.UsageError(f"{url} is no http(s) address; OCR_URL names the OCR server's.")
    for folder in folders:
        if not folder.is_dir():
            raise click.UsageError(f"There is no folder {folder}.")
    here = Path.cwd()
    opened = folders or (() if here == Path(here.anchor) else (here,))
    server = create_server(Remote(url, token), Folders(opened))
    with suppress(KeyboardInterrupt):
        if port is None:
            server.run("stdio")
        else:
            _check_port(port)
            server.run("streamable-http", host="127.0.0.1", port=port)


def _check_port(port: int) -> None:
    """Raise ClickException if others have it."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError as error:
        raise click.ClickException(
            f"Cannot listen on 127.0.0.1:{port}: {os.strerror(error.errno or 0)}."
        ) from error

"""The command ``ocr-server health``."""

import http.client

import click

from app.cli.settings import read_settings
from app.config import Settings
from app.locks import is_held

_PATIENCE_S = 5.0

_HELP = """\b
Example, for a container:
  HEALTHCHECK CMD ["ocr-server", "health"]

\b
Exit codes:
  0  it is ready
  1  it is not
"""


@click.command(epilog=_HELP)
def health() -> None:
    """Ask whether the server, or the workers, of this machine are ready.

    It asks on OCR_METRICS_PORT, else on OCR_PORT. Workers alone without OCR_METRICS_PORT have no
    port: they are well as long as one of them lives.
    """
    settings = read_settings()
    port = settings.metrics_port or settings.port
    try:
        status, said = _asked(_near(settings.host), port)
    except ConnectionRefusedError as error:
        if settings.metrics_port or not _works(settings):
            raise click.ClickException(f"Nobody listens on port {port}.") from error
    except (OSError, http.client.HTTPException) as error:
        raise click.ClickException(f"No answer on port {port}: {error!r}.") from error
    else:
        if status != 200:
            raise click.ClickException(f"Port {port} answers with {status}: {said}")
    click.echo("ready")


def _asked(host: str, port: int) -> tuple[int, str]:
    connection = http.client.HTTPConnection(host, port, timeout=_PATIENCE_S)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    finally:
        connection.close()


def _near(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104


def _works(settings: Settings) -> bool:
    """Whether a worker process lives on this data folder."""
    from app import wiring  # Late: it takes a second, and those who have a port need none of it.

    return any(map(is_held, wiring.locks(settings).glob("*.lock")))

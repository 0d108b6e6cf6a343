"""Whether a server is ready, as containers ask."""

import socket
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app import probes
from app.cli import main
from app.locks import held
from app.readiness import Readiness
from tests.services import free_port


def health(folder: Path, **settings: int) -> Result:
    values = {f"OCR_{name.upper()}": str(value) for name, value in settings.items()}
    environment = {"OCR_HOST": "0.0.0.0", "OCR_DATA_DIR": str(folder), **values}
    return CliRunner().invoke(main, ["health"], env=environment)


@pytest.mark.parametrize("name", ["port", "metrics_port"])
def test_who_has_a_port_is_asked(tmp_path: Path, name: str) -> None:
    """It is ready if it says so; why it is not is passed on."""
    warm = [False]
    listener = socket.create_server(("127.0.0.1", 0))
    readiness = Readiness(lambda: None, lambda: warm[0])
    probes.serve(listener, lambda _: (b"", ""), readiness, lambda: False)
    port = {name: listener.getsockname()[1]}

    cold = health(tmp_path, **port)
    warm[0] = True
    ready = health(tmp_path, **port)

    assert (cold.exit_code, ready.exit_code) == (1, 0)
    assert "503" in cold.output
    assert "warming up" in cold.output


def test_workers_without_a_port(tmp_path: Path) -> None:
    """They are well as long as one of them lives; not so those that are to have a port."""
    port = free_port()

    dead = health(tmp_path, port=port)
    with held(tmp_path / "workers" / "host-1.lock"):
        alive = health(tmp_path, port=port)
        silent = health(tmp_path, metrics_port=port)
    ended = health(tmp_path, port=port)

    assert [each.exit_code for each in (dead, alive, silent, ended)] == [1, 0, 1, 1]
    assert f"Nobody listens on port {port}." in dead.output

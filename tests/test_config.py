"""Settings: what is refused, and the numbers of workers and threads that fit a machine."""

import click
import pytest

from app import config
from app.cli.settings import read_settings
from app.config import Settings

_GB = 10**9


@pytest.mark.parametrize(
    ("cores", "memory", "workers", "threads"),
    [
        (1, 8 * _GB, 1, 1),
        (2, 1 * _GB, 1, 2),
        (2, 8 * _GB, 2, 2),
        (4, 8 * _GB, 3, 2),
        (4, 4 * _GB, 2, 2),
        (16, 64 * _GB, 9, 2),
        (16, 3 * _GB, 2, 8),
    ],
)
def test_workers_and_threads_fit_the_machine(
    monkeypatch: pytest.MonkeyPatch, cores: int, memory: int, workers: int, threads: int
) -> None:
    monkeypatch.setattr(config, "cores", lambda: cores)
    monkeypatch.setattr(config, "memory_bytes", lambda: memory)
    settings = Settings(workers=0, threads=0)
    assert (settings.worker_count, settings.worker_threads) == (workers, threads)


def test_what_is_set_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "cores", lambda: 16)
    monkeypatch.setattr(config, "memory_bytes", lambda: _GB)
    assert Settings(workers=4, threads=0).worker_threads == 4
    assert Settings(workers=4, threads=3).worker_count == 4


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TRUSTED_PROXIES", "1.2.3.400"),
        ("FETCH_NETWORKS", "foo"),
        ("FETCH_NETWORKS", "10.1.2.3/8"),
        ("FETCH_PORTS", "443,abc"),
        ("FETCH_PORTS", "70000"),
        ("PUBLIC_URL", "ocr.example.com"),
        ("DATABASE_URL", "nonsense"),
        ("QUEUE_URL", "amqp://queue"),
    ],
)
def test_what_cannot_be_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"OCR_{name}", value)
    with pytest.raises(click.UsageError, match=f"OCR_{name}: "):
        read_settings()


def test_empty_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """No empty address, which would be all of them; a list, though, can be empty."""
    for name in ("HOST", "PORT", "CORS_ORIGINS"):
        monkeypatch.setenv(f"OCR_{name}", "")

    settings = read_settings()

    assert (settings.host, settings.port, settings.cors_origins) == ("127.0.0.1", 8000, ())
    assert "host" not in settings.model_fields_set

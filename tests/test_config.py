"""The numbers of workers and threads that fit a machine."""

import pytest

from app import config
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

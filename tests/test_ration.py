import errno
import multiprocessing
import os
import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from app.ration import Ration, environment

SMALL = Ration(task_memory_bytes=200_000_000, file_bytes=1000)


def in_a_process(act: Callable[[Path], None], folder: Path) -> int | None:
    """The exit status of a process that does it."""
    process = multiprocessing.get_context("spawn").Process(target=act, args=(folder,))
    process.start()
    process.join(60)
    return process.exitcode


def _take_memory(folder: Path) -> None:
    SMALL.limit_task()
    np.ones(100_000_000, np.uint8)
    with pytest.raises(MemoryError):
        np.ones(400_000_000, np.uint8)
    SMALL.limit_task()
    np.ones(100_000_000, np.uint8)


def test_a_task_may_take_so_much_memory_and_no_more(tmp_path: Path) -> None:
    """Each one anew, whatever the process has before."""
    assert in_a_process(_take_memory, tmp_path) == 0


def _write(folder: Path) -> None:
    SMALL.limit_process()
    (folder / "small").write_bytes(bytes(1000))
    with pytest.raises(OSError, match="File too large") as caught:
        (folder / "large").write_bytes(bytes(2000))
    assert caught.value.errno == errno.EFBIG
    assert resource.getrlimit(resource.RLIMIT_CORE)[0] == 0
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] <= 1024
    for kind in (resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE):  # Others may choose their own.
        assert resource.getrlimit(kind)[1] != resource.getrlimit(kind)[0]


def test_a_file_may_be_so_large_and_no_larger(tmp_path: Path) -> None:
    """It is an error that can be told, not the end."""
    assert in_a_process(_write, tmp_path) == 0


def test_a_worker_is_spent_by_tasks_or_memory() -> None:
    assert not Ration(worker_bytes=2**40).is_spent(10**6)
    assert Ration(worker_bytes=2**40, worker_tasks=3).is_spent(3)
    assert not Ration(worker_bytes=2**40, worker_tasks=3).is_spent(2)
    assert Ration(worker_bytes=1).is_spent(0)


def test_the_environment_is_what_workers_need(tmp_path: Path) -> None:
    """No tokens, what leads to a store if there is one, nothing of other programs; large pages."""
    ours = {
        "PATH": "/bin",
        "LC_ALL": "C",
        "OCR_DATA_DIR": "/data",
        "OCR_TOKENS": "sk-secret",
        "OMP_NUM_THREADS": "1",
        "HTTPS_PROXY": "http://proxy",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "TMPDIR": "/elsewhere",
    }

    assert environment(tmp_path, ours) == {
        "PATH": "/bin",
        "LC_ALL": "C",
        "OCR_DATA_DIR": "/data",
        "OMP_NUM_THREADS": "1",
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
        "TMPDIR": str(tmp_path),
    }
    store = {**ours, "OCR_STORAGE_URL": "s3://files"}
    assert environment(tmp_path, store).keys() >= {"AWS_SECRET_ACCESS_KEY", "HTTPS_PROXY"}
    assert environment(tmp_path, {"GLIBC_TUNABLES": ""})["GLIBC_TUNABLES"] == ""
    assert environment(tmp_path)["PATH"] == os.environ["PATH"]

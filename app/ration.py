"""What one worker process may take: memory, files, and what it is told of the world."""

import os
import resource
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from app.config import Settings


@dataclass(frozen=True, slots=True)
class Ration:
    """Limits that the kernel keeps, in bytes, and when a worker has worked enough."""

    task_memory_bytes: int = 4_000_000_000
    file_bytes: int = 16_000_000_000
    worker_bytes: int = 1_200_000_000
    worker_tasks: int = 0  # None.

    def limit_process(self) -> None:
        """Limit files, for this process and those that it starts; leave no core dumps.

        A larger file is an OSError with EFBIG: Python ignores the signal. LibreOffice closes every
        number that a file may have, so there are not to be a million.
        """
        _limit(resource.RLIMIT_CORE, 0)
        _limit(resource.RLIMIT_FSIZE, self.file_bytes)
        _limit(resource.RLIMIT_NOFILE, _OPEN_FILES)

    def limit_task(self) -> None:
        """Limit the memory to what the process has now and a task may take.

        It is the memory that can be written to which counts (RLIMIT_DATA): of its address space
        a worker only reserves one half, by arenas of glibc and files of models and libraries,
        and it reserves more with each thread. What is over the limit is a MemoryError, or the
        end of a library that cannot do without.
        """
        _limit(resource.RLIMIT_DATA, _memory_bytes(_WRITABLE) + self.task_memory_bytes)

    def is_spent(self, tasks: int) -> bool:
        """Whether the process should be replaced, after so many tasks, with what it has now."""
        enough = 0 < self.worker_tasks <= tasks
        return enough or _memory_bytes(_RESIDENT) > self.worker_bytes


def environment(room: Path, ours: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of a worker whose temporary files go to ``room``; ``ours`` is this one's.

    It does not need to know whom the server lets in. glibc asks the kernel for large pages there:
    fresh memory costs a page fault for every 4 KB otherwise, nearly half the time of decoding a
    picture. Elsewhere it is not looked at.
    """
    names, prefixes = list(_NAMES), list(_PREFIXES)
    if ours.get("OCR_STORAGE_URL", "").startswith("s3:"):
        names += _WAY_NAMES
        prefixes.append("AWS_")

    def is_needed(name: str) -> bool:
        return name not in _SECRETS and (name in names or name.startswith(tuple(prefixes)))

    kept = {name: value for name, value in ours.items() if is_needed(name)}
    return {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1", **kept, "TMPDIR": str(room)}


def _memory_bytes(column: int) -> int:
    """What this process has of a kind of memory, by its column in statm (proc(5))."""
    with _STATM.open("rb", buffering=0) as file:
        return int(file.read().split()[column]) * _PAGE_BYTES


_STATM = Path("/proc/self/statm")
_RESIDENT, _WRITABLE = 1, 5


def _limit(kind: int, value: int) -> None:
    """Lower what the kernel allows now; programs that we start may have it raised again."""
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, hard))


_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_OPEN_FILES = 1024
_SECRETS = {
    f"OCR_{name.upper()}"
    for name, field in Settings.model_fields.items()
    if field.annotation is SecretStr
}
_NAMES = ("PATH", "HOME", "LANG", "TZ", "LD_LIBRARY_PATH", "LD_PRELOAD", "TESSDATA_PREFIX")
# On the way to a store of files, to which "AWS_…" lets them in.
_WAY_NAMES = ("SSL_CERT_FILE", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY")
# Settings, locale, Python's own, how many threads libraries start, how memory is managed, where
# a database is.
_PREFIXES = ("OCR_", "LC_", "PYTHON", "OMP_", "OPENBLAS_", "OV_", "GLIBC_", "MALLOC_", "PG")

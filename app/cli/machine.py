"""What ``doctor`` looks at first: packages, disk, memory, cores, clock, fonts, walls."""

import errno
import os
import re
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path

from app import __version__, proc, sandbox
from app.cli.finding import Finding, Level, fault, ok, warning
from app.config import Settings, cores, memory_bytes
from app.errors import ToolFailed

_LOCK = Path(__file__).parents[2] / "requirements.lock"
_LEAST_PYTHON = (3, 11)


def python(settings: Settings) -> Finding:
    """The interpreter."""
    text = f"ocr-server {__version__} on Python {sys.version.split()[0]}"
    if sys.version_info < _LEAST_PYTHON:
        return fault(text, "Install Python 3.11 or newer.")
    return ok(text)


def packages(settings: Settings) -> Finding:
    """The packages, beside the versions that are tested."""
    if not _LOCK.is_file():  # Installed from a wheel, which has none.
        wanted = [re.match(r"[\w.-]+", each) for each in metadata.requires("ocr-server") or ()]
        needed = [each.group() for each in wanted if each and "extra ==" not in each.string]
        missing = [name for name in needed if _installed(name) is None]
        if missing:
            return fault(f"not installed: {', '.join(missing)}", _INSTALL)
        return ok(f"all {len(needed)} packages that are asked for are installed")
    locked: dict[str, set[str]] = {}
    needed = []
    for line in _LOCK.read_text(encoding="utf-8").splitlines():
        if found := re.match(r"([\w.-]+)==(\S+) (;)?", line):
            name, version, marked = found.groups()
            locked.setdefault(name, set()).add(version)
            if not marked:
                needed.append(name)
    missing = [name for name in needed if _installed(name) is None]
    if missing:
        return fault(f"not installed: {', '.join(missing)}", _INSTALL)
    others = [
        f"{name} {version} instead of {' or '.join(sorted(versions))}"
        for name, versions in locked.items()
        if (version := _installed(name)) is not None and version not in versions
    ]
    if others:
        return warning(f"not the tested versions: {', '.join(others)}", _INSTALL)
    return ok(f"{len(locked)} packages are as in requirements.lock")


_INSTALL = (
    "Install the tested ones: `make run` in a checkout, or "
    "`pip install --no-deps --require-hashes -r requirements.lock`."
)


def data_folder(settings: Settings) -> Finding:
    """Where everything is kept."""
    folder = settings.data_dir.absolute()
    there = folder.exists()
    place = folder if there else next(each for each in folder.parents if each.exists())
    owner = place.stat().st_uid
    if (error := _refusal(place)) is not None:
        told = f"{place} cannot be written to by user {os.getuid()}: {error.strerror}"
        if error.errno not in (errno.EACCES, errno.EPERM):
            return fault(told, "Mend the disk, or name a folder elsewhere by OCR_DATA_DIR.")
        return fault(
            f"{told}; it belongs to user {owner}",
            f"`chown -R {os.getuid()} {place}`, run as user {owner}, or name another by "
            "OCR_DATA_DIR."
            if there
            else f"Let user {os.getuid()} write there, or name a folder by OCR_DATA_DIR.",
        )
    now = os.statvfs(place)
    free = now.f_bavail * now.f_frsize
    text = f"{folder}, {_free(place)} free"
    if free < settings.min_free_bytes:
        return fault(
            f"{text}, less than OCR_MIN_FREE_BYTES: no tasks are taken",
            "Make room, or keep less by OCR_KEEP_RESULTS_S.",
        )
    if not there:
        return ok(f"{text}; the first start will make it")
    if owner != os.getuid():
        return warning(
            f"{text}; it belongs to user {owner}, this is user {os.getuid()}",
            f"Run as user {owner}: what is made by another, the server may not be able to change.",
        )
    return ok(text)


def temporary_folder(settings: Settings) -> Finding:
    """Where commands without a server have their temporary files."""
    folder = Path(tempfile.gettempdir())
    if (error := _refusal(folder)) is not None:
        return fault(f"{folder} cannot be written to: {error.strerror}", "Name another by TMPDIR.")
    now = os.statvfs(folder)
    if now.f_bavail * now.f_frsize < _LEAST_TEMPORARY:
        return warning(
            f"{folder}, only {_free(folder)} free", "Make room, or name another by TMPDIR."
        )
    return ok(f"{folder}, {_free(folder)} free")


_LEAST_TEMPORARY = 500 * 2**20


def resources(settings: Settings) -> Finding:
    """Whether workers fit into cores and memory."""
    workers, threads = settings.worker_count, settings.worker_threads
    memory = f"{memory_bytes() / 1e9:.1f} GB of memory"
    text = f"{workers} workers of {threads} threads on {cores()} cores and {memory}"
    if workers * settings.worker_max_bytes > memory_bytes():
        return warning(
            f"{text}: together they may take more",
            "Set OCR_WORKERS lower, or give the container more memory.",
        )
    if settings.task_memory_bytes > memory_bytes():
        return warning(
            f"{text}: one task may take more, {settings.task_memory_bytes / 1e9:.1f} GB",
            "Set OCR_TASK_MEMORY_BYTES, and OCR_MAX_PIXELS (15 bytes a pixel), lower.",
        )
    if workers * threads > 2 * cores() + 2:
        return warning(
            f"{text}: they wait for each other", "Leave OCR_WORKERS and OCR_THREADS out."
        )
    return ok(text)


def clock(settings: Settings) -> Finding:
    """Whether the time can be right: leases, expiry and signed addresses go by it."""
    now = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    if time.time() < Path(__file__).stat().st_mtime - _DAY_S:
        return fault(f"it says {now}, before this program was installed", "Set it, by NTP.")
    return ok(f"it says {now}")


_DAY_S = 86400.0


def fonts(settings: Settings) -> Finding:
    """What LibreOffice lays documents out with."""
    try:
        chinese = proc.run(["fc-list", ":lang=zh-cn", "family"], timeout_s=10)
        latin = proc.run(["fc-list", ":lang=en", "family"], timeout_s=10)
    except ToolFailed as error:
        return warning(str(error).rstrip("."), "`apt-get install fontconfig`.")
    if not latin.strip():
        return fault("there are none", "`apt-get install fonts-liberation fonts-noto-cjk`.")
    if not chinese.strip():
        return warning(
            "none has Chinese characters: Office documents show boxes",
            "`apt-get install fonts-noto-cjk`.",
        )
    families = len(set(chinese.splitlines()) | set(latin.splitlines()))
    return ok(f"{families} families, {len(set(chinese.splitlines()))} with Chinese characters")


def walls(settings: Settings) -> Finding:
    """How programs that open documents are confined."""
    said, is_warning = sandbox.report()
    said = said[0].lower() + said[1:]
    if not is_warning:
        return ok(said)
    return Finding(
        Level.WARNING, said, "Install bubblewrap, and let it make user namespaces (SECURITY.md)."
    )


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _refusal(folder: Path) -> OSError | None:
    """Why nothing can be written to ``folder``; None if it can."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return error


def _free(folder: Path) -> str:
    now = os.statvfs(folder)
    return f"{now.f_bavail * now.f_frsize / 1e9:.1f} GB"

"""Copies of a store's files on this machine's disk, shared by its processes and bounded.

A copy lies at ``files/<key>/=<size>=<ETag>``: it appears whole, by a rename, and is good for
exactly the version of the file that has this ETag. Copies are handed out as hard links, so that
one which is removed stays with those who use it.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote

from app.locks import held
from app.storage.folder import below, link_or_copy

_OLD_S = 3600.0  # What nobody used for so long may have been deleted by another machine.
_SHOWN_S = 600.0  # A path that was handed out for a while is good at least for so long.
_TIDY_S = 60.0
_LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class Copy:
    """A file as the store had it."""

    path: Path
    etag: str


class Cache:
    """The files that were fetched or put last; safe between processes, and if one is killed."""

    def __init__(self, root: Path, max_bytes: int, reserve_bytes: int) -> None:
        """At most ``max_bytes`` below ``root``, as long as the disk has ``reserve_bytes``."""
        self._files = root / "files"
        self._new = root / "new"
        self._shown = root / "shown"
        self._locks = root / "locks"
        self._max_bytes = max_bytes
        self._reserve_bytes = reserve_bytes
        self._added = 0  # Bytes, since this process looked at all.
        self._tidied = 0.0  # Monotonic seconds.
        for folder in (self._files, self._new, self._shown, self._locks):
            folder.mkdir(parents=True, exist_ok=True)

    def find(self, key: str) -> Copy | None:
        """The newest copy of the file, if there is one."""
        copies = []
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            for path in below(self._files, key).glob("=*=*"):
                with contextlib.suppress(FileNotFoundError):
                    _, size, etag = path.name.split("=")
                    found = path.stat()
                    if found.st_size == int(size):  # Less after a power cut.
                        copies.append((found.st_mtime, Copy(path, unquote(etag))))
        return max(copies, key=lambda each: each[0])[1] if copies else None

    def keep(self, key: str, etag: str, path: Path) -> None:
        """Move the file at ``path``, of the version ``etag``, in here, or remove it.

        Where the disk is full or fails it is not kept: the store has it.
        """
        folder = below(self._files, key)
        with contextlib.suppress(OSError), _removed(path):
            size = path.stat().st_size
            kept = folder / f"={size}={quote(etag, safe='')}"
            if etag and len(kept.name) <= _LONGEST_NAME and self.has_room(size):
                _rename(path, kept)
                os.utime(kept)
                self._added += size
                for other in folder.glob("=*=*"):
                    if other != kept:
                        other.unlink(missing_ok=True)

    def hand_out(self, copy: Copy, target: Path) -> bool:
        """Make a copy available at ``target``; False if it is gone."""
        try:
            link_or_copy(copy.path, target)
        except FileNotFoundError:
            if copy.path.exists():
                raise
            return False
        with contextlib.suppress(FileNotFoundError):
            os.utime(copy.path)
        return True

    def also(self, key: str, new: str) -> None:
        """Have what is kept of a file under another key, too, if the disk takes it."""
        path = self.path()
        with contextlib.suppress(OSError), _removed(path):
            if (copy := self.find(key)) and self.hand_out(copy, path):
                self.keep(new, copy.etag, path)

    def forget(self, key: str) -> None:
        """Remove what is kept of a file, or of all below ``key/``."""
        path = below(self._files, key.removesuffix("/"))
        shutil.rmtree(path, ignore_errors=True)

    def alone(self, key: str) -> AbstractContextManager[None]:
        """Held by one process or thread of the machine at a time."""
        return held(self._locks / hashlib.sha256(key.encode()).hexdigest()[:3])

    def path(self) -> Path:
        """Where a file may be made that is to be kept."""
        return self._new / uuid.uuid4().hex

    def shown(self) -> Path:
        """Where a file may be made that somebody looks at in the next minutes."""
        folder = self._shown / str(int(time.time() // _SHOWN_S))
        folder.mkdir(exist_ok=True)
        return folder / uuid.uuid4().hex

    def has_room(self, size: int) -> bool:
        """Whether so many bytes may be kept; older files make room for them."""
        if size > self._max_bytes:
            return False
        if self._added + size > self._max_bytes // 32 or self._free_bytes() < size:
            self._shrink(size, size)
        return self._free_bytes() >= size

    def make_room(self, size: int) -> None:
        """Have ``size`` bytes free on the disk, its reserve among them, as far as can be done."""
        beyond = size - self._reserve_bytes
        if self._free_bytes() < beyond:
            self._end_shown()
            self._shrink(0, beyond, wait=True)

    def tidy(self) -> None:
        """Remove what nobody uses any more; to be called now and then."""
        now = time.monotonic()
        if self._tidied and now - self._tidied < _TIDY_S:
            return
        self._tidied = now
        self._end_shown()
        for path in self._new.iterdir():  # Of processes that were killed.
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > _OLD_S:
                    path.unlink()
        self._shrink(0, 0)

    def _end_shown(self) -> None:
        """Remove what was shown to somebody who did not say that it is over."""
        present = int(time.time() // _SHOWN_S)
        for folder in self._shown.iterdir():
            is_ours = folder.name.isascii() and folder.name.isdecimal()
            # What was shown at the end of a period is left for another one.
            if is_ours and not present - 1 <= int(folder.name) <= present:
                shutil.rmtree(folder, ignore_errors=True)

    def _shrink(self, size: int, free: int, *, wait: bool = False) -> None:
        """Remove what is old, and of the rest the least recently used.

        Then ``size`` more bytes may be kept, and ``free`` are free on the disk beside its reserve.
        """
        with (self._locks / "shrink").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:  # Another process is at it.
                return
            self._added = 0
            copies = sorted(_all(self._files))
            total = sum(length for _, length, _ in copies) + size
            old = time.time() - _OLD_S
            for used, length, path in copies:
                if used > old and total <= self._max_bytes and self._free_bytes() >= free:
                    break
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
                    total -= length
                    _remove_empty(path.parent, self._files)

    def _free_bytes(self) -> int:
        now = os.statvfs(self._files)
        return now.f_bavail * now.f_frsize - self._reserve_bytes


def _all(folder: Path) -> Iterator[tuple[float, int, Path]]:
    """When each copy was used last, its bytes, its path."""
    for parent, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                path = Path(parent, name)
                found = path.stat()
                yield found.st_mtime, found.st_size, path


@contextlib.contextmanager
def _removed(path: Path) -> Iterator[None]:
    """Leave no file at ``path`` in the end."""
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _rename(path: Path, target: Path) -> None:
    """Others may remove the folder, empty as it is, at this moment."""
    for _ in range(3):
        target.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            path.replace(target)
            return


def _remove_empty(folder: Path, root: Path) -> None:
    while folder.parent != root:
        folder.rmdir()
        folder = folder.parent

"""Files in a local folder, each put under its name in one atomic step."""

import contextlib
import errno
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from app.errors import NotStored


class FolderStorage:
    """Keeps files below one folder; best on the file system that the work folders are on too."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, path: Path, key: str, lasting: bool = True) -> None:
        """Move the file at ``path`` under ``key``: all of it or nothing. Raises NotStored.

        What is not ``lasting`` may be gone, or cut off, after a power cut.
        """
        target = below(self.root, key)
        with _storing(target, lasting):
            if lasting:
                with path.open("rb") as file:
                    # The name must not be on the disk before the bytes are.
                    os.fsync(file.fileno())
            try:
                path.replace(target)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                _copy(path, target, shutil.copyfile)
                path.unlink()

    def fetch(self, key: str, target: Path) -> None:
        """Make the file available at ``target``. Raises FileNotFoundError."""
        link_or_copy(below(self.root, key), target)

    def copy(self, key: str, new: str) -> None:
        """Have the file under another key, too. Raises FileNotFoundError, NotStored."""
        source, target = below(self.root, key), below(self.root, new)
        try:
            with _storing(target):
                _copy(source, target, link_or_copy)
        except NotStored:
            if not source.exists():
                raise FileNotFoundError(key) from None
            raise

    def locate(self, key: str) -> Path | None:
        """A local path to serve the file from, or None if there is no such file."""
        path = below(self.root, key)
        return path if path.is_file() else None

    def let_go(self, path: Path) -> None:
        """The file is the one that is kept: it stays."""

    def link(self, key: str, name: str, media_type: str, seconds: float) -> str | None:
        """None: nobody else serves the files of a folder."""
        return None

    def delete(self, key: str) -> None:
        """Remove the file, or all below ``key/``; it is no error if there is none."""
        path = below(self.root, key.removesuffix("/"))
        try:
            path.unlink(missing_ok=True)
        except IsADirectoryError:
            # Others may put files there, or remove them, at this moment.
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(path, ignore_errors=True)
                if path.exists():
                    shutil.rmtree(path)

    def settled(self, folder: str, age_s: float) -> Iterator[str]:
        """The keys in a folder, also of folders, that nothing was put under for ``age_s``."""
        try:
            with os.scandir(self.root / folder) as entries:
                for entry in entries:
                    # Not when it was written: a link to an old file is new.
                    with contextlib.suppress(FileNotFoundError):
                        if time.time() - entry.stat().st_ctime >= age_s:
                            yield f"{folder}/{entry.name}" + "/" * entry.is_dir()
        except FileNotFoundError:
            return


def below(root: Path, key: str) -> Path:
    """The path of a key below ``root``. Raises ValueError if it would lead elsewhere."""
    parts = key.split("/")
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise ValueError("a key has an empty part, or one of dots")
    return root.joinpath(*parts)


def link_or_copy(source: Path, target: Path) -> None:
    """Make a file available under another name. Raises FileNotFoundError."""
    try:
        target.hardlink_to(source)
    except FileNotFoundError:
        raise
    except OSError:  # Another file system, or one without hard links.
        shutil.copyfile(source, target)


@contextlib.contextmanager
def _storing(target: Path, lasting: bool = True) -> Iterator[None]:
    """Have on the disk what is done to ``target``. Raises NotStored."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield
        if lasting:
            _sync_folder(target.parent)
    except OSError as error:
        raise NotStored("The file could not be stored: the disk is full or fails.") from error


def _copy(source: Path, target: Path, copy: Callable[[Path, Path], object]) -> None:
    """Have all bytes of ``source`` at ``target``, or none."""
    # A name of no task: what a killed process leaves is removed by the sweeper.
    copied = target.with_name(f".{uuid.uuid4().hex}")
    try:
        copy(source, copied)
        with copied.open("rb") as file:
            os.fsync(file.fileno())
        copied.replace(target)
    finally:
        copied.unlink(missing_ok=True)  # Two names of the same file stay both.


def _sync_folder(folder: Path) -> None:
    """Write the folder's entries to the disk, so that a rename survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

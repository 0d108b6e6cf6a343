"""Files in a local folder, each put under its name in one atomic step."""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from app.errors import NotStored


class FolderStorage:
    """Keeps files below one folder, on the file system that the work folders are on too."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, path: Path, key: str) -> None:
        """Move the file at ``path`` under ``key``: all of it or nothing. Raises NotStored."""
        target = self.root / key
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with path.open("rb") as file:
                # The name must not be on the disk before the bytes are.
                os.fsync(file.fileno())
            path.replace(target)
            _sync_folder(target.parent)
        except OSError as error:
            raise NotStored("The file could not be stored: the disk is full or fails.") from error

    def fetch(self, key: str, target: Path) -> None:
        """Make the file available at ``target``. Raises FileNotFoundError."""
        try:
            target.hardlink_to(self.root / key)
        except FileNotFoundError:
            raise
        except OSError:  # Another file system, or one without hard links.
            shutil.copyfile(self.root / key, target)

    def locate(self, key: str) -> Path | None:
        """A local path to serve the file from, or None if there is no such file."""
        path = self.root / key
        return path if path.is_file() else None

    def delete(self, key: str) -> None:
        """Remove the file, or all files below a folder; it is no error if there is none."""
        try:
            (self.root / key).unlink(missing_ok=True)
        except IsADirectoryError:
            # Others may put files there, or remove them, at this moment.
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(self.root / key, ignore_errors=True)
                if (self.root / key).exists():
                    shutil.rmtree(self.root / key)

    def settled(self, folder: str, age_s: float) -> Iterator[str]:
        """The keys in a folder, also of folders, that nothing was put under for ``age_s``."""
        try:
            with os.scandir(self.root / folder) as entries:
                for entry in entries:
                    # Not when it was written: a link to an old file is new.
                    with contextlib.suppress(FileNotFoundError):
                        if time.time() - entry.stat().st_ctime >= age_s:
                            yield f"{folder}/{entry.name}"
        except FileNotFoundError:
            return


def _sync_folder(folder: Path) -> None:
    """Write the folder's entries to the disk, so that a rename survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""A storage of which it is noted how long it takes, and when it does not answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.context import Watch, step
from app.errors import NotStored, Unavailable
from app.interfaces import Storage


class WatchedStorage:
    """Does as ``storage`` does."""

    def __init__(self, storage: Storage, watch: Watch) -> None:
        self._storage = storage
        self._watch = watch

    def put(self, path: Path, key: str, lasting: bool = True) -> None:
        """Move the file at ``path`` under ``key``."""
        with self._noted("store"):
            self._storage.put(path, key, lasting)

    def fetch(self, key: str, target: Path) -> None:
        """Make the file available at ``target``."""
        with self._noted("load"):
            self._storage.fetch(key, target)

    def copy(self, key: str, new: str) -> None:
        """Have the file under another key, too."""
        with self._noted("store"):
            self._storage.copy(key, new)

    def locate(self, key: str) -> Path | None:
        """A local path to serve the file from."""
        with self._noted("load"):
            return self._storage.locate(key)

    def let_go(self, path: Path) -> None:
        """Be told that nobody opens a located path any more."""
        self._storage.let_go(path)

    def link(self, key: str, name: str, media_type: str, seconds: float) -> str | None:
        """An address at which anybody gets the file for so long."""
        return self._storage.link(key, name, media_type, seconds)

    def delete(self, key: str) -> None:
        """Remove the file, or all files below a folder."""
        with self._noted("delete"):
            self._storage.delete(key)

    def settled(self, folder: str, age_s: float) -> Iterator[str]:
        """The keys in a folder that nothing was put under for ``age_s``."""
        return self._storage.settled(folder, age_s)

    @contextmanager
    def _noted(self, name: str) -> Iterator[None]:
        try:
            with step(name):
                yield
        except (Unavailable, NotStored):
            self._watch.note("ocr_unavailable_total", 1, "storage")
            raise

"""Files appear whole or not at all."""

import errno
from pathlib import Path

import pytest

from app.errors import NotStored
from app.storage import FolderStorage


@pytest.fixture
def storage(tmp_path: Path) -> FolderStorage:
    return FolderStorage(tmp_path / "files")


def test_put_moves(storage: FolderStorage, tmp_path: Path) -> None:
    """The file is found under its key, and no longer where it was."""
    path = tmp_path / "new"
    path.write_bytes(b"content")

    storage.put(path, "results/a.txt")

    found = storage.locate("results/a.txt")
    assert found is not None
    assert found.read_bytes() == b"content"
    assert not path.exists()


def test_a_failing_disk_leaves_nothing(
    storage: FolderStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is ours, and there is no half file under the key."""
    path = tmp_path / "new"
    path.write_bytes(b"content")

    def fail(self: Path, target: Path) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)

    with pytest.raises(NotStored):
        storage.put(path, "results/a.txt")
    assert storage.locate("results/a.txt") is None


def test_fetch_survives_the_deletion(storage: FolderStorage, tmp_path: Path) -> None:
    """A worker keeps what it fetched, whatever happens to the original."""
    path = tmp_path / "new"
    path.write_bytes(b"content")
    storage.put(path, "sources/a")

    storage.fetch("sources/a", tmp_path / "mine")
    storage.delete("sources/a")
    storage.delete("sources/a")

    assert (tmp_path / "mine").read_bytes() == b"content"


def test_fetch_of_nothing(storage: FolderStorage, tmp_path: Path) -> None:
    """What is not there is said, not made up."""
    with pytest.raises(FileNotFoundError):
        storage.fetch("sources/a", tmp_path / "mine")


def test_delete(storage: FolderStorage, tmp_path: Path) -> None:
    """A file, a folder with all that is in it, or nothing; and nothing else."""
    for key in ("a/file", "a/folder/1", "a/folder/2", "a/folder-2"):
        (tmp_path / "source").write_bytes(b"x")
        storage.put(tmp_path / "source", key)

    for key in ("a/file", "a/folder", "a/never"):
        storage.delete(key)

    assert [path.name for path in (storage.root / "a").iterdir()] == ["folder-2"]


def test_settled(storage: FolderStorage, tmp_path: Path) -> None:
    """Names of files and folders that nothing was put under lately; no folder, no names."""
    for key in ("a/file", "a/folder/1", "b/file"):
        (tmp_path / "source").write_bytes(b"x")
        storage.put(tmp_path / "source", key)

    assert set(storage.settled("a", 0)) == {"a/file", "a/folder"}
    assert list(storage.settled("a", 3600)) == []
    assert list(storage.settled("never", 0)) == []

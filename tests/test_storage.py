"""Files appear whole or not at all, in a folder and in a bucket."""

import contextlib
import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from app.bucket import Bucket
from app.disk import Disk
from app.errors import NotStored, Unavailable
from app.interfaces import Storage
from app.storage.cache import Cache
from app.storage.folder import FolderStorage
from app.storage.s3 import Patience, S3Storage
from tests import services

LARGE = 20 * 2**20  # More than goes in one request.


@pytest.fixture(scope="module")
def store() -> Iterator[services.S3]:
    with services.s3() as started, pytest.MonkeyPatch.context() as patch:
        for name, value in started.environment.items():
            patch.setenv(name, value)
        yield started


@pytest.fixture(params=["folder", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    if request.param == "folder":
        return FolderStorage(tmp_path / "files")
    return _bucket(request.getfixturevalue("store"), tmp_path)


def test_put_moves(storage: Storage, tmp_path: Path) -> None:
    """The file is found under its key, and no longer where it was."""
    path = _file(tmp_path, b"content")

    storage.put(path, "results/a.txt")

    assert _content(storage, "results/a.txt") == b"content"
    assert not path.exists()


def test_what_is_put_again_is_new(storage: Storage, tmp_path: Path) -> None:
    """A key may come to mean another file; who fetched the first one keeps it."""
    storage.put(_file(tmp_path, b"old"), "sources/a")
    storage.fetch("sources/a", tmp_path / "first")

    storage.put(_file(tmp_path, b"new"), "sources/a")
    storage.fetch("sources/a", tmp_path / "second")

    assert (tmp_path / "first").read_bytes() == b"old"
    assert (tmp_path / "second").read_bytes() == b"new"


def test_a_large_file(storage: Storage, tmp_path: Path) -> None:
    """It comes back as it was put, and can be copied."""
    content = os.urandom(LARGE)
    storage.put(_file(tmp_path, content), "parts/large/original")

    storage.copy("parts/large/original", "sources/large")

    assert _content(storage, "parts/large/original") == content
    assert _content(storage, "sources/large") == content


def test_a_copy_is_a_file_of_its_own(storage: Storage, tmp_path: Path) -> None:
    """What becomes of the original does not matter to it."""
    storage.put(_file(tmp_path, b"content"), "sources/b")

    storage.copy("sources/b", "sources/c")
    storage.copy("sources/b", "sources/c")
    storage.delete("sources/b")

    assert _content(storage, "sources/c") == b"content"
    with pytest.raises(FileNotFoundError):
        storage.copy("sources/b", "sources/d")


def test_fetch_survives_the_deletion(storage: Storage, tmp_path: Path) -> None:
    """A worker keeps what it fetched, whatever happens to the original."""
    storage.put(_file(tmp_path, b"content"), "sources/a")

    storage.fetch("sources/a", tmp_path / "mine")
    storage.delete("sources/a")
    storage.delete("sources/a")

    assert (tmp_path / "mine").read_bytes() == b"content"
    assert storage.locate("sources/a") is None


def test_fetch_of_nothing(storage: Storage, tmp_path: Path) -> None:
    """What is not there is said, not made up."""
    with pytest.raises(FileNotFoundError):
        storage.fetch("sources/never", tmp_path / "mine")
    assert storage.locate("sources/never") is None


def test_delete(storage: Storage, tmp_path: Path) -> None:
    """A file, a folder with all that is in it, or nothing; and nothing else."""
    for key in ("a/file", "a/folder/1", "a/folder/2", "a/folder-2"):
        storage.put(_file(tmp_path, b"x"), key)

    for key in ("a/file", "a/folder/", "a/never", "a/never/"):
        storage.delete(key)

    assert list(storage.settled("a", 0)) == ["a/folder-2"]


def test_settled(storage: Storage, tmp_path: Path) -> None:
    """Names of files and folders that nothing was put under lately; no folder, no names."""
    for key in ("s/file", "s/folder/1", "s/folder/2", "b/file"):
        storage.put(_file(tmp_path, b"x"), key)

    assert set(storage.settled("s", 0)) == {"s/file", "s/folder/"}
    assert list(storage.settled("s", 3600)) == []
    assert list(storage.settled("never", 0)) == []


@pytest.mark.parametrize("key", ["../a", "a/../../b", "a//b", "/a", "", "a/.", "a\0b"])
def test_keys_lead_nowhere_else(storage: Storage, tmp_path: Path, key: str) -> None:
    """Whatever a key says, it stays below the storage's own folder."""
    for step in (storage.put, storage.fetch):
        with pytest.raises(ValueError, match="key"):
            step(*((_file(tmp_path, b"x"), key) if step == storage.put else (key, tmp_path / "y")))
    with pytest.raises(ValueError, match="key"):
        storage.delete(key)


def test_odd_names_are_names(storage: Storage, tmp_path: Path) -> None:
    """Of signs that mean something in addresses, nothing is lost."""
    for key in ("odd/a b%2F?#&=ü", "odd/=3=4"):
        storage.put(_file(tmp_path, key.encode()), key)

    for key in ("odd/a b%2F?#&=ü", "odd/=3=4"):
        assert _content(storage, key) == key.encode()


def test_a_failing_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is ours, and there is no half file under the key."""
    storage = FolderStorage(tmp_path / "files")

    def fail(self: Path, target: Path) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)

    with pytest.raises(NotStored):
        storage.put(_file(tmp_path, b"content"), "results/a.txt")
    assert storage.locate("results/a.txt") is None


def test_work_folders_may_be_on_another_file_system(tmp_path: Path) -> None:
    """A file that cannot be renamed is copied, and appears whole all the same."""
    storage = FolderStorage(tmp_path / "files")
    path = Path("/dev/shm", f"ocr-{os.getpid()}")
    path.write_bytes(b"content")

    storage.put(path, "results/a.txt")

    assert _content(storage, "results/a.txt") == b"content"
    assert not path.exists()
    assert [each.name for each in (tmp_path / "files/results").iterdir()] == ["a.txt"]


def test_a_killed_put_leaves_nothing(store: services.S3, tmp_path: Path) -> None:
    """A large file whose writer dies half-way is not there."""
    path = _file(tmp_path, b"")
    os.truncate(path, 2**30)
    words = f"""if True:
        from tests.test_storage import _bucket, Path, services
        storage = _bucket(services.S3({store.url!r}, {{}}, Path()), Path({str(tmp_path)!r}))
        print(flush=True)
        storage.put(Path({str(path)!r}), "results/killed")
    """
    with subprocess.Popen([sys.executable, "-c", words], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(0.1)
        child.send_signal(signal.SIGKILL)

    assert _bucket(store, tmp_path).locate("results/killed") is None


def test_a_machine_downloads_once(store: services.S3, tmp_path: Path) -> None:
    """However many of its processes want a file at the same moment."""
    _bucket(store, tmp_path / "elsewhere").put(_file(tmp_path, os.urandom(LARGE)), "sources/one")
    storages = [_bucket(store, tmp_path / "here") for _ in range(4)]

    threads = [
        threading.Thread(target=each.fetch, args=("sources/one", tmp_path / f"copy{n}"))
        for n, each in enumerate(storages)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({(tmp_path / f"copy{n}").stat().st_ino for n in range(4)}) == 1


def test_a_full_disk_shows_nothing(
    store: services.S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another machine may have room for the copy; it is no fault of the request."""
    storage = _bucket(store, tmp_path)
    storage.put(_file(tmp_path, b"content"), "results/full.txt")
    elsewhere = _bucket(store, tmp_path / "elsewhere")
    monkeypatch.setattr(Cache, "path", lambda self: Path("/dev/full/copy"))

    with pytest.raises(Unavailable, match="disk"):
        elsewhere.locate("results/full.txt")


def test_a_full_disk_fails_nothing_that_is_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store has the file already; only the copy of it is not kept."""
    cache = Cache(tmp_path / "cache", 10_000, 0)
    cache.keep("sources/a", "tag", _file(tmp_path, b"x"))
    new = _file(tmp_path, b"y")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    for name in ("mkdir", "open", "hardlink_to"):
        monkeypatch.setattr(Path, name, full)
    monkeypatch.setattr("shutil.copyfile", full)
    monkeypatch.setattr(Cache, "_free_bytes", lambda self: 0)
    cache.keep("sources/b", "tag", new)
    cache.also("sources/a", "sources/c")

    assert not new.exists()
    assert not list((tmp_path / "cache/new").iterdir())
    assert [bool(cache.find(f"sources/{name}")) for name in "abc"] == [True, False, False]


def test_what_is_kept_is_bounded(tmp_path: Path) -> None:
    """Of many files the last used stay; those that are in use stay with their users."""
    cache = Cache(tmp_path / "cache", 10_000, 0)
    for number in range(30):
        cache.keep(f"sources/{number}", "tag", _file(tmp_path, b"x" * 1000))
        copy = cache.find(f"sources/{number}")
        assert copy is not None
        os.utime(copy.path, (0, time.time() - 100 + number))
        if number == 15:
            assert cache.hand_out(copy, tmp_path / "used")

    kept = [number for number in range(30) if cache.find(f"sources/{number}")]

    assert kept[-1] == 29
    assert 15 in kept or len(kept) <= 10
    assert len(kept) <= 11
    assert (tmp_path / "used").stat().st_size == 1000


def test_the_disk_keeps_its_reserve(tmp_path: Path) -> None:
    """Where the reserve is used already, nothing is kept, and what was is removed."""
    cache = Cache(tmp_path / "cache", 10_000, 0)
    cache.keep("sources/a", "tag", _file(tmp_path, b"x"))

    scarce = Cache(tmp_path / "cache", 10_000, 2**60)
    scarce.keep("sources/b", "tag", _file(tmp_path, b"x"))
    scarce.make_room(2**60)

    assert scarce.find("sources/a") is None
    assert scarce.find("sources/b") is None


def test_copies_make_room_for_uploads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache fills the disk down to its reserve; what comes in needs more, and gets it."""
    cache = Cache(tmp_path / "cache", 10_000, 500)
    for number in range(3):
        cache.keep(f"sources/{number}", "tag", _file(tmp_path, b"x" * 1000))
        copy = cache.find(f"sources/{number}")
        assert copy is not None
        os.utime(copy.path, (0, time.time() - 100 + number))

    def statvfs(_: object) -> os.statvfs_result:
        """A disk of 3500 bytes with nothing else on it."""
        free = 3500 - sum(cache.find(f"sources/{n}") is not None for n in range(3)) * 1000
        return os.statvfs_result((1, 1, 3500, free, free, 9, 9, 9, 0, 255))

    monkeypatch.setattr(os, "statvfs", statvfs)
    disk = Disk([tmp_path], 500, cache.make_room)

    assert disk.has_room()
    assert cache.find("sources/0")
    assert disk.has_room(1500)
    assert [n for n in range(3) if cache.find(f"sources/{n}")] == [2]
    assert not disk.has_room(10_000)


def test_what_nobody_uses_is_removed(tmp_path: Path) -> None:
    """Another machine may have deleted it; killed processes leave halves."""
    cache = Cache(tmp_path / "cache", 10_000, 0)
    cache.keep("sources/a", "tag", _file(tmp_path, b"x"))
    copy = cache.find("sources/a")
    assert copy is not None
    cache.path().write_bytes(b"half")
    for name in ("lost+found", "²", "1"):
        (tmp_path / "cache/shown" / name).mkdir()
    for path in (tmp_path / "cache").rglob("*"):
        os.utime(path, (0, time.time() - 2 * 3600))

    cache.tidy()

    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] in (
        [],
        [tmp_path / "cache/locks/shrink"],
    )
    assert {path.name for path in (tmp_path / "cache/shown").iterdir()} == {"lost+found", "²"}


@dataclass
class Broken:
    """A store that answers as it is told to: with a status, or in ways of its own."""

    how: str
    port: int = 0
    asked: list[str] = field(default_factory=list)

    def storage(self, folder: Path) -> S3Storage:
        patience = Patience(connect_s=0.3, silent_s=0.3, whole_s=2, retry_s=0.5, retries=1)
        bucket = Bucket("b", endpoint=f"http://127.0.0.1:{self.port}")
        return S3Storage(bucket, Cache(folder / "cache", 10_000, 0), patience)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answer a request."""
        request.rfile.read(int(request.headers["Content-Length"] or 0))
        self.asked.append(f"{request.command} {request.path}")
        status, length, body = 200, 0, b""
        if self.how == "silent":
            time.sleep(1)
        elif self.how == "short":
            length, body = 1000, b"x" * 10
        elif self.how == "second part":
            status = 400 if "partNumber=2" in request.path else 200
            body = _STARTED if request.path.endswith("uploads=") else b""
        else:
            status = int(self.how)
        request.send_response(status)
        request.send_header("Content-Length", str(length or len(body)))
        request.send_header("ETag", '"a"')
        request.send_header("Last-Modified", "Thu, 26 Nov 2026 21:59:55 GMT")
        request.end_headers()
        request.wfile.write(body)


_STARTED = b"""<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>k</Key><UploadId>id</UploadId>
</InitiateMultipartUploadResult>"""


@pytest.fixture
def broken(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Broken]:
    made = Broken(request.param)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ocr")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "ocr-secret")
    if made.how == "away":
        made.port = services.free_port()
        yield made
        return

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.answer(self)

        do_PUT = do_DELETE = do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None: ...

        def handle(self) -> None:
            with contextlib.suppress(ConnectionError):  # Whoever waited has gone.
                super().handle()

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.port = server.server_port
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield made
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("broken", ["away", "503", "429", "403", "silent", "short"], indirect=True)
def test_a_store_that_fails(
    broken: Broken, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said to be unavailable, soon; nothing is lost or half there, and the log tells why."""
    storage, path = broken.storage(tmp_path), _file(tmp_path, b"content")

    with pytest.raises(Unavailable) as told:
        storage.fetch("sources/a", tmp_path / "mine")
    if broken.how != "short":
        with pytest.raises(Unavailable):
            storage.put(path, "sources/a")
        with pytest.raises(Unavailable):
            storage.delete("parts/a/")
        with pytest.raises(Unavailable):
            list(storage.settled("sources", 0))
        assert path.exists()

    assert not (tmp_path / "mine").exists()
    assert "127.0.0.1" not in str(told.value)
    assert "store of files" in caplog.text


@pytest.mark.parametrize("broken", ["second part"], indirect=True)
def test_what_was_sent_of_a_large_file_is_taken_back(broken: Broken, tmp_path: Path) -> None:
    """A piece that is refused leaves no others in the store, to be paid for unseen.

    One that is on its way at that moment may come to the store later: nobody can call it back.
    """
    path = _file(tmp_path, os.urandom(LARGE))

    with pytest.raises(Unavailable):
        broken.storage(tmp_path).put(path, "sources/a")

    assert "DELETE /b/sources/a?uploadId=id" in broken.asked
    assert path.exists()


@pytest.mark.parametrize(
    ("bucket", "secret", "said"),
    [("files", "wrong", "refuses the keys"), ("never", "ocr-secret", "no bucket never")],
)
def test_a_store_that_refuses(
    bucket: str,
    secret: str,
    said: str,
    store: services.S3,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Wrong keys and a bucket that is none are no missing file; the log says which it is."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    endpoint = Bucket.at(store.url).endpoint
    storage = S3Storage(Bucket(bucket, endpoint=endpoint), Cache(tmp_path / "cache", 1, 0))

    with pytest.raises(Unavailable):
        storage.fetch("sources/a", tmp_path / "mine")
    with pytest.raises(Unavailable):
        list(storage.settled("sources", 0))

    assert said in caplog.text
    assert secret not in caplog.text


def _bucket(store: services.S3, folder: Path) -> S3Storage:
    return S3Storage(Bucket.at(store.url), Cache(folder / "cache", 2**31, 0))


def _file(folder: Path, content: bytes) -> Path:
    path = folder / "new"
    path.write_bytes(content)
    return path


def _content(storage: Storage, key: str) -> bytes:
    path = storage.locate(key)
    assert path is not None
    return path.read_bytes()

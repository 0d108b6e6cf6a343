"""Files in a bucket of an S3 store, through obstore; the machine keeps copies of the last ones."""

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import obstore
from obstore.exceptions import (
    BaseError,
    NotModifiedError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import S3Store

from app.bucket import Bucket
from app.errors import Unavailable
from app.storage.cache import Cache
from app.storage.folder import below, link_or_copy
from app.storage.presign import LONGEST_S, Keys, presigned

if TYPE_CHECKING:
    from obstore.store import S3Config

log = logging.getLogger(__name__)

_PART_BYTES = 8 * 2**20  # A larger file goes in several requests, and appears with the last.
_PARTS_AT_ONCE = 4
_PIECE_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a store is waited for, in seconds."""

    connect_s: float = 5
    silent_s: float = 30  # Of a request that gets no answer, and an answer that stops coming.
    whole_s: float = 600
    retry_s: float = 20  # After which nothing is tried again.
    retries: int = 5


class S3Storage:
    """Keeps files in a bucket; keys of its own come from the environment's ``AWS_*``."""

    def __init__(self, bucket: Bucket, cache: Cache, patience: Patience | None = None) -> None:
        self._bucket = bucket
        self._cache = cache
        self._region = (
            bucket.region
            or os.environ.get("AWS_REGION")
            or os.environ.get("AWS_DEFAULT_REGION")
            or "us-east-1"
        )
        self._store = self._opened(bucket.endpoint, patience or Patience())

    def put(self, path: Path, key: str, lasting: bool = True) -> None:
        """Move the file at ``path`` under ``key``: all of it or nothing. Raises Unavailable."""
        with self._asking(key):
            put = obstore.put(
                self._store,
                key,
                path,
                chunk_size=_PART_BYTES,
                max_concurrency=_PARTS_AT_ONCE,
            )
        self._cache.keep(key, put["e_tag"] or "", path)

    def fetch(self, key: str, target: Path) -> None:
        """Make the file available at ``target``. Raises FileNotFoundError, Unavailable."""
        if self._cache.find(key) and self._take(key, target):
            return
        with self._cache.alone(key):  # Another worker may be fetching it at this moment.
            while not self._take(key, target, download=True):
                pass

    def copy(self, key: str, new: str) -> None:
        """Have the store copy the file to another key. Raises FileNotFoundError, Unavailable."""
        with self._asking(key):
            obstore.copy(self._store, key, new)
        self._cache.also(key, new)

    def locate(self, key: str) -> Path | None:
        """A local path that is good for some minutes, or None if there is no such file."""
        path = self._cache.shown()
        try:
            self.fetch(key, path)
        except FileNotFoundError:
            return None
        except OSError as error:
            self.let_go(path)  # Half of it.
            raise Unavailable("The server's disk is full, or fails; try again later.") from error
        return path

    def let_go(self, path: Path) -> None:
        """Remove a located path, which is one look's own; what is not kept has no other."""
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)

    def link(self, key: str, name: str, media_type: str, seconds: float) -> str | None:
        """A link to the file for whoever follows it, good for so long, a week at most."""
        whole = int(min(seconds, LONGEST_S))
        keys = _keys()
        if keys is None:  # A web identity, say: obstore gets keys itself, and sets no names.
            with self._asking(key):
                return obstore.sign(self._store, "GET", key, timedelta(seconds=whole))
        parameters = {
            "response-content-type": media_type,
            "response-content-disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
        }
        address = f"{self._address()}/{'/'.join(filter(None, [self._bucket.prefix, key]))}"
        return presigned(address, parameters, keys, self._region, whole, datetime.now(UTC))

    def delete(self, key: str) -> None:
        """Remove the file, or all below ``key/``; it is no error if there is none."""
        with self._asking(key):
            if not key.endswith("/"):
                obstore.delete(self._store, key)
            else:
                for batch in obstore.list(self._store, key.rstrip("/")):
                    obstore.delete(self._store, [each["path"] for each in batch])
        self._cache.forget(key)

    def settled(self, folder: str, age_s: float) -> Iterator[str]:
        """The keys in a folder, also of folders, that nothing was put under for ``age_s``."""
        last, newest = "", 0.0
        with self._asking(folder):
            for batch in obstore.list(self._store, folder):  # In the order of the keys.
                for each in batch:
                    name, slash, _ = each["path"].removeprefix(f"{folder}/").partition("/")
                    if name + slash != last:
                        if last and time.time() - newest >= age_s:
                            yield f"{folder}/{last}"
                        last, newest = name + slash, 0.0
                    newest = max(newest, each["last_modified"].timestamp())
        if last and time.time() - newest >= age_s:
            yield f"{folder}/{last}"

    def _take(self, key: str, target: Path, *, download: bool = False) -> bool:
        """Make the file available from what is kept, or else, if wanted, from the store."""
        known = self._cache.find(key)
        with self._asking(key):
            try:
                answer = obstore.get(
                    self._store, key, options={"if_none_match": known.etag} if known else None
                )
            except NotModifiedError:
                return known is not None and self._cache.hand_out(known, target)
            if not download:
                return False
            self._cache.has_room(answer.meta["size"])
            path = self._cache.path()
            try:
                with path.open("wb") as file:
                    for piece in answer.stream(min_chunk_size=_PIECE_BYTES):
                        file.write(piece)
                link_or_copy(path, target)
                self._cache.keep(key, answer.meta["e_tag"] or "", path)
            finally:
                path.unlink(missing_ok=True)
        return True

    @contextlib.contextmanager
    def _asking(self, key: str) -> Iterator[None]:
        """Raises FileNotFoundError where there is no such file, Unavailable for all else."""
        below(Path(), key.removesuffix("/"))
        try:
            yield
        except (BaseError, FileNotFoundError) as error:
            told = " ".join(str(error).partition("\n\nDebug source")[0].split())
            if "NoSuchBucket" in told:
                log.error("there is no bucket %s: %s", self._bucket.name, told)
                raise Unavailable(_REFUSED) from error
            if isinstance(error, FileNotFoundError):
                raise FileNotFoundError(key) from None
            if isinstance(error, PermissionDeniedError | UnauthenticatedError):
                log.error("the store of files refuses the keys it is given: %s", told)
                raise Unavailable(_REFUSED) from error
            log.warning("the store of files does not answer: %s", told)
            raise Unavailable("The store of files does not answer; try again later.") from error

    def _address(self) -> str:
        """Of the bucket, as clients reach it."""
        name, region = self._bucket.name, self._region
        base = self._bucket.public or self._bucket.endpoint
        base = base or f"https://s3.{region}.amazonaws.com"
        scheme, _, host = base.partition("://")
        return f"{scheme}://{name}.{host}" if self._bucket.virtual else f"{base}/{name}"

    def _opened(self, endpoint: str, patience: Patience) -> S3Store:
        config: S3Config = {
            "region": self._region,
            "virtual_hosted_style_request": self._bucket.virtual,
        }
        if endpoint:
            scheme, _, host = endpoint.partition("://")
            name = f"{self._bucket.name}." if self._bucket.virtual else ""
            config["endpoint"] = f"{scheme}://{name}{host}"
        return S3Store(
            self._bucket.name,
            prefix=self._bucket.prefix or None,
            config=config,
            client_options={
                "allow_http": endpoint.startswith("http:"),
                "connect_timeout": timedelta(seconds=patience.connect_s),
                "read_timeout": timedelta(seconds=patience.silent_s),
                "timeout": timedelta(seconds=patience.whole_s),
            },
            retry_config={
                "max_retries": patience.retries,
                "retry_timeout": timedelta(seconds=patience.retry_s),
                "backoff": {
                    "init_backoff": timedelta(seconds=0.1),
                    "max_backoff": timedelta(seconds=5),
                    "base": 2,
                },
            },
        )


_REFUSED = "The store of files refuses the server; its log tells more."


def _keys() -> Keys | None:
    access = os.environ.get("AWS_ACCESS_KEY_ID", "")
    secret = os.environ.get("AWS_SECRET_ACCESS_KEY", "")
    return Keys(access, secret, os.environ.get("AWS_SESSION_TOKEN", "")) if access else None

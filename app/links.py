"""Addresses of results: static and unguessable, or signed and good for a while."""

import contextlib
import hashlib
import hmac
import os
import re
import secrets
import time
import unicodedata
from pathlib import Path, PurePosixPath

from app.rows import Task

LONGEST_S = 7 * 86400.0
"""For how long others serve a result at an address, if nothing is said of it, in seconds."""

_SECRET_BYTES = 32


class Links:
    """Makes addresses, and tells whether one opens its file."""

    def __init__(self, lifetime_s: float, secret: bytes) -> None:
        """``lifetime_s`` of 0 makes static addresses, which need no ``secret``."""
        self.lifetime_s = lifetime_s
        self._secret = secret

    def address(self, base: str, task: Task) -> str:
        """Where the result of ``task`` is to be had; its path ends in the format."""
        name = f"{task.id}.{task.format}"
        address = f"{base}/tasks/output/ocr/{name}"
        if not self.lifetime_s:
            return address
        expires = str(int(time.time() + self.lifetime_s))
        return f"{address}?expires={expires}&signature={self._signature(name, expires)}"

    def opens(self, name: str, expires: str, signature: str) -> bool:
        """Whether an address with these parameters is ours and still good."""
        if not self.lifetime_s:
            return True
        # Forged or late, it takes the same time to say no.
        ours = hmac.compare_digest(
            self._signature(name, expires).encode(), signature.encode("utf-8", "surrogateescape")
        )
        return ours and int(expires) > time.time()

    def _signature(self, name: str, expires: str) -> str:
        signed = f"{name}?{expires}".encode("utf-8", "surrogateescape")
        return hmac.new(self._secret, signed, hashlib.sha256).hexdigest()


def download_name(task: Task) -> str:
    """A harmless file name: the one asked for, without folders, controls or its extension."""
    last = re.split(r"[/\\]", task.filename or "")[-1]
    # Categories C: controls, formats such as right-to-left overrides, surrogates.
    shown = "".join(c for c in last if not unicodedata.category(c).startswith("C"))
    stem = PurePosixPath(shown).stem if shown.strip(". ") else ""
    stem = re.sub(r'[<>:"|?*]|\.\.+', "_", stem).strip(". ")
    return f"{stem or task.id}.{task.format}"


def shown_type(task: Task) -> str:
    """The media type that a result is served with."""
    kind = task.output_media_type or "application/octet-stream"
    return "text/plain; charset=utf-8" if kind == "text/plain" else kind


def kept_secret(path: Path) -> bytes:
    """The secret in the file at ``path``, which its owner alone can read; made once."""
    if not path.exists():
        new = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(secrets.token_bytes(_SECRET_BYTES))
            file.flush()
            os.fsync(file.fileno())
        # Of processes that start together the first one's holds, and nobody reads a half.
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(new)
        new.unlink()
    return path.read_bytes()

"""Nothing is fetched: the stub makes the document that a URL would lead to. Reports are sent."""

from __future__ import annotations

import json
import posixpath
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from app.errors import DownloadFailed
from app.fetch import Fetcher
from app.runner import SAMPLE
from app.stub import papers
from app.stub.script import Script


class StubFetcher(Fetcher):
    """Checks addresses as the real one does, as far as that needs no network.

    Reports may go to any port of this machine, where developers have their receivers.
    """

    def __init__(self, scripts: Mapping[str, Script], **limits: Any) -> None:
        """``scripts`` are those of the tasks; ``limits`` are those of ``Fetcher``."""
        super().__init__(**limits, resolve=_numbers)
        self._scripts = scripts
        self._limits = limits

    def check(self, url: str, field: str = "image_url", own: str = "") -> None:
        """Raise BadRequest, naming ``field``, unless ``url`` is well-formed."""
        if field != "callback_url" or not _is_here(url):
            super().check(url, field, own)

    def fetch(self, url: str, target: Path, own: str = "") -> None:
        """Write a document to ``target``: a picture for a picture's name, else a PDF.

        Raises DownloadFailed for what is no public address.
        """
        with self._translated(time.monotonic() + self._timeout_s):
            parsed = self._parse(url, own=own)
            if not all(map(self._allows, _numbers(parsed.host, parsed.port))):
                raise DownloadFailed("The host in the URL is not on a public network.")
        name = posixpath.basename(urlsplit(url).path)
        if name.lower().endswith(_PICTURES):
            target.write_bytes(SAMPLE.read_bytes())
        else:
            shown = unquote(name) or parsed.host
            target.write_bytes(papers.pdf([f"The stub fetches nothing; this stands for {shown}."]))

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Send a report, or what its script makes of it. Raises DownloadFailed."""
        task_id = json.loads(body)["data"]["task_id"]
        way = self._scripts.get(task_id, Script()).callback
        if way == "lost":
            raise DownloadFailed("The server behind the URL does not answer.")
        if way == "forged":
            headers = {**headers, "X-OCR-Signature": f"sha256={'0' * 64}"}
        limits = self._limits
        if _is_here(url):
            ports = (urlsplit(url).port or 80,)
            limits = {**limits, "open_networks": ("127.0.0.0/8", "::1/128"), "open_ports": ports}
        real = Fetcher(**limits)
        if way == "twice":
            real.post(url, body, headers)
        return real.post(url, body, headers)


_PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp")
_SOMEWHERE = "1.1.1.1"  # Stands for the address of every name: nothing is sent there.


def _numbers(host: str, port: int) -> list[str]:
    """The address of a host that is a number in any spelling; a public one for every name."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
        return [str(address[0]) for *_, address in found]
    except socket.gaierror:
        return ["127.0.0.1" if _is_localhost(host) else _SOMEWHERE]


def _is_here(url: str) -> bool:
    """Whether a well-formed URL leads to this machine."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        there = parts.scheme == "http" and parts.port is not None and "@" not in parts.netloc
    except ValueError:
        return False
    return there and (_is_localhost(host) or host in ("127.0.0.1", "::1"))


def _is_localhost(host: str) -> bool:
    return host == "localhost" or host.endswith(".localhost")

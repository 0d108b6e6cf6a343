"""Downloads a document from a URL that a stranger chose, without letting it reach our network.

The host name is resolved once per hop, every address it has is checked as a number, and the
connection goes to exactly the address that was checked; redirects are followed by hand, each
checked like the first URL.
"""

import ipaddress
import posixpath
import re
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, unquote, urljoin, urlsplit

import httpcore2

from app.addresses import is_local, is_public, resolve
from app.errors import BadRequest, DownloadFailed, TooLarge

Resolve = Callable[[str, int], Sequence[str]]
"""Gives the addresses of a host and port as text; raises OSError."""


class Fetcher:
    """Downloads over http and https within limits of address, size and time."""

    def __init__(
        self,
        max_bytes: int,
        timeout_s: float,
        open_networks: Iterable[str] = (),
        open_ports: Iterable[int] = (),
        resolve: Resolve = resolve,
    ) -> None:
        """``open_networks`` and ``open_ports`` are allowed beyond public networks, 80 and 443."""
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._networks = [ipaddress.ip_network(network) for network in open_networks]
        self._ports = {80, 443, *open_ports}
        self._resolve = resolve

    def check(self, url: str, field: str = "image_url", own: str = "") -> None:
        """Raise BadRequest, naming ``field``, unless ``url`` is well-formed; looks nothing up.

        ``own`` is the address of this server, whose results are nobody's documents.
        """
        self._parse(url, field, own)

    def fetch(self, url: str, target: Path, own: str = "") -> None:
        """Write the body behind ``url`` to ``target``; on failure there is no ``target``.

        ``own`` is as for ``check``. Raises DownloadFailed, TooLarge.
        """
        deadline = time.monotonic() + self._timeout_s
        try:
            with self._translated(deadline):
                self._follow(url, target, deadline, own)
        except BaseException:
            target.unlink(missing_ok=True)
            raise

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Send ``body`` to ``url``; the status of the answer. Redirects are not followed.

        Raises DownloadFailed.
        """
        deadline = time.monotonic() + self._timeout_s
        with (
            self._translated(deadline),
            self._exchange(self._parse(url), deadline, "POST", headers, body) as response,
        ):
            return response.status

    def _follow(self, url: str, target: Path, deadline: float, own: str) -> None:
        parsed = self._parse(url, own=own)
        for _ in range(1 + _MOST_REDIRECTS):
            location = self._get(parsed, target, deadline)
            if location is None:
                return
            try:
                url = urljoin(url, location)
                parsed = self._parse(url, own=own)
            except (ValueError, BadRequest) as error:
                raise DownloadFailed(
                    "The server behind the URL redirects to an address that is not allowed."
                ) from error
        raise DownloadFailed(f"The URL redirects more than {_MOST_REDIRECTS} times.")

    def _parse(self, url: str, field: str = "image_url", own: str = "") -> "_Url":
        if len(url) > _MOST_CHARACTERS:
            raise BadRequest(f"{field}: longer than {_MOST_CHARACTERS} characters.")
        if not url.isprintable() or any(c.isspace() or c == "\\" for c in url):
            raise BadRequest(
                f"{field}: white space, control characters and backslashes are not allowed."
            )
        try:
            parts = urlsplit(url)
            port = parts.port
            host = _ascii_host(parts.hostname or "")
        except ValueError as error:  # Of urlsplit, ipaddress and the idna codec.
            raise BadRequest(f"{field}: the host or port is not well-formed.") from error
        if parts.scheme not in ("http", "https"):
            raise BadRequest(f"{field}: must begin with http:// or https://.")
        if "@" in parts.netloc:
            raise BadRequest(f"{field}: a user name or password in it is not allowed.")
        if port is None:
            port = 443 if parts.scheme == "https" else 80
        if port not in self._ports:
            ports = ", ".join(map(str, sorted(self._ports)))
            raise BadRequest(f"{field}: only these ports are allowed: {ports}.")
        if host == _host_of(own) and _RESULTS in posixpath.normpath(unquote(parts.path)):
            raise BadRequest(f"{field}: is a result of this server; name the document itself.")
        path = quote(parts.path or "/", safe=_UNQUOTED)
        query = "?" + quote(parts.query, safe=_UNQUOTED + "?") if parts.query else ""
        return _Url(parts.scheme, host, port, path + query)

    def _get(self, url: "_Url", target: Path, deadline: float) -> str | None:
        """Write the body to ``target``, or return where the server sends us."""
        with self._exchange(url, deadline, "GET") as response:
            headers = {
                name.lower(): value.decode("utf-8", "replace").strip()
                for name, value in response.headers
            }
            location = headers.get(b"location")
            if response.status in (301, 302, 303, 307, 308) and location:
                return location.replace(" ", "%20")  # As browsers do.
            if response.status != 200:
                raise _bad_status(response.status)
            self._check_length(headers.get(b"content-length", ""))
            received = self._bounded(response.iter_stream(), deadline)
            decoded = _decoded(received, headers.get(b"content-encoding", ""))
            with target.open("wb") as file:
                for chunk in self._bounded(decoded, deadline):
                    file.write(chunk)
            return None

    @contextmanager
    def _exchange(
        self,
        url: "_Url",
        deadline: float,
        method: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Iterator[httpcore2.Response]:
        sent = {
            "Host": url.host_header,
            "User-Agent": "ocr-server",
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Connection": "close",
            **({} if body is None else {"Content-Length": str(len(body))}),
            **(headers or {}),
        }
        request = httpcore2.Request(
            method,
            httpcore2.URL(
                scheme=url.scheme, host=url.host, port=url.port, target=url.target.encode()
            ),
            headers=list(sent.items()),
            content=body,
            extensions={
                "timeout": {"connect": _CONNECT_S, "read": _SILENCE_S, "write": _SILENCE_S}
            },
        )
        # A bare connection: no pool, no proxy from the environment, no other way to a socket.
        with httpcore2.HTTPConnection(
            request.url.origin,
            ssl_context=httpcore2.default_ssl_context() if url.scheme == "https" else None,
            network_backend=_CheckedBackend(self._resolve, self._allows, deadline),
        ) as connection:
            yield connection.handle_request(request)

    def _check_length(self, text: str) -> None:
        if text.isdecimal() and int(text) > self._max_bytes:
            raise self._too_large()

    def _bounded(self, chunks: Iterable[bytes], deadline: float) -> Iterator[bytes]:
        size = 0
        for chunk in chunks:
            size += len(chunk)
            if size > self._max_bytes:
                raise self._too_large()
            if time.monotonic() > deadline:
                raise TimeoutError
            yield chunk

    def _allows(self, address: str) -> bool:
        ip = ipaddress.ip_address(address)
        if isinstance(ip, ipaddress.IPv6Address):
            if ip.scope_id:
                return False
            ip = ip.ipv4_mapped or ip
        if any(ip in network for network in self._networks):
            return True
        # What listens on a public address of this machine may be meant for its neighbours only.
        return is_public(ip) and not is_local(ip)

    def _too_large(self) -> TooLarge:
        return TooLarge(
            f"The document is larger than the {self._max_bytes / 2**20:g} MB that are accepted; "
            "send it in parts."
        )

    @contextmanager
    def _translated(self, deadline: float) -> Iterator[None]:
        """Turns what the network raises into what the caller should hear."""
        try:
            yield
        except BadRequest as error:
            raise DownloadFailed(str(error)) from error
        except (httpcore2.TimeoutException, TimeoutError) as error:
            if time.monotonic() < deadline:
                raise DownloadFailed("The server behind the URL does not answer.") from error
            raise DownloadFailed(
                f"The server behind the URL took longer than {self._timeout_s:g} s."
            ) from error
        except httpcore2.NetworkError as error:
            if isinstance(error.__cause__, ssl.SSLCertVerificationError):
                raise DownloadFailed(
                    "The certificate of the server behind the URL is not valid."
                ) from error
            raise DownloadFailed("The server behind the URL cannot be reached.") from error
        except (httpcore2.ProtocolError, zlib.error) as error:
            raise DownloadFailed(
                "The answer of the server behind the URL is broken or incomplete."
            ) from error


@dataclass(frozen=True, slots=True)
class _Url:
    """A checked URL."""

    scheme: str
    host: str  # ASCII; an IPv6 address without brackets.
    port: int
    target: str  # Path and query.

    @property
    def host_header(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = self.port == {"http": 80, "https": 443}[self.scheme]
        return host if usual else f"{host}:{self.port}"


class _CheckedBackend(httpcore2.NetworkBackend):
    """Opens a socket only to an address that was checked, and all its streams end in time."""

    def __init__(self, resolve: Resolve, allows: Callable[[str], bool], deadline: float) -> None:
        self._resolve = resolve
        self._allows = allows
        self._deadline = deadline
        self._sockets = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        try:
            addresses = _within(self._deadline, lambda: self._resolve(host, port))
        except TimeoutError:
            raise
        except (OSError, UnicodeError) as error:
            raise DownloadFailed("The host name in the URL cannot be resolved.") from error
        # One bad address spoils all: a name that has both kinds is an attempt to get in.
        if not addresses or not all(self._allows(address) for address in addresses):
            raise DownloadFailed("The host in the URL is not on a public network.")
        failures: list[Exception] = []
        for address in addresses[:_MOST_ADDRESSES]:
            try:
                return self._open(address, port, timeout)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failures.append(error)
        raise failures[0]

    def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        raise DownloadFailed("The host in the URL is not on a public network.")

    def _open(self, address: str, port: int, timeout: float | None) -> httpcore2.NetworkStream:
        # ``address`` is a number, so that nothing is looked up again.
        stream = self._sockets.connect_tcp(address, port, _clamp(timeout, self._deadline))
        return _TimedStream(stream, self._deadline)


class _TimedStream(httpcore2.NetworkStream):
    """Ends at the deadline even if every single read is quick (a byte a second)."""

    def __init__(self, stream: httpcore2.NetworkStream, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _clamp(timeout, self._deadline))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _clamp(timeout, self._deadline))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        try:
            left = _clamp(timeout, self._deadline)
        except TimeoutError:
            self.close()  # The caller has not taken the stream over yet.
            raise
        stream = self._stream.start_tls(ssl_context, server_hostname, left)
        return _TimedStream(stream, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


_MOST_CHARACTERS = 8192
_MOST_REDIRECTS = 5
_MOST_ADDRESSES = 4
_CONNECT_S = 10.0
_SILENCE_S = 20.0
_PIECE_BYTES = 64 * 1024
_GZIP, _GZIP_BYTE = 31, 0x1F  # What zlib calls it, and what it begins with.
_RESULTS = "/tasks/output/"
_UNQUOTED = "/%:;=@!$&'()*+,~"

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*\Z")

_T = TypeVar("_T")


def _bad_status(status: int) -> DownloadFailed:
    return DownloadFailed(f"The server behind the URL answered with status {status}.")


def _host_of(url: str) -> str:
    try:
        return _ascii_host(urlsplit(url).hostname or "")
    except ValueError:
        return ""


def _ascii_host(host: str) -> str:
    """The host in lower-case ASCII; raises ValueError if it is not well-formed."""
    if ":" in host:
        if "%" in host:
            raise ValueError("a zone")
        return str(ipaddress.IPv6Address(host))
    ascii_host = host.removesuffix(".")
    if not host.isascii():
        ascii_host = ascii_host.encode("idna").decode("ascii").lower()
        # The codec folds look-alikes such as full-width digits into ASCII: take none of them.
        if ascii_host.encode("ascii").decode("idna") != host.removesuffix(".").lower():
            raise ValueError("look-alikes")
    if not _HOST.match(ascii_host):
        raise ValueError("not a host name")
    return ascii_host


def _clamp(timeout: float | None, deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left if timeout is None else min(left, timeout)


def _within(deadline: float, call: Callable[[], _T]) -> _T:
    """What ``call`` returns or raises; TimeoutError if it has not come back by ``deadline``."""
    # getaddrinfo has no limit of its own: it waits as long as /etc/resolv.conf says.
    results: list[_T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="resolve", daemon=True)
    thread.start()
    thread.join(max(0.0, deadline - time.monotonic()))
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError
    return results[0]


def _decoded(chunks: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """The body without its content encoding, in pieces of bounded size."""
    if encoding.strip().lower() in ("", "identity"):
        yield from chunks
        return
    # We asked for identity; servers that store a file gzipped send it so all the same.
    if encoding.strip().lower() not in ("gzip", "x-gzip"):
        raise DownloadFailed("The server behind the URL sends an unknown content encoding.")
    inflate = zlib.decompressobj(wbits=_GZIP)
    for chunk in chunks:
        rest = chunk
        while rest:
            if inflate.eof:  # Another member may follow (RFC 1952, 2.2), or padding.
                if rest[0] != _GZIP_BYTE:
                    return
                inflate = zlib.decompressobj(wbits=_GZIP)
            yield inflate.decompress(rest, _PIECE_BYTES)
            rest = inflate.unused_data if inflate.eof else inflate.unconsumed_tail
    if not inflate.eof:
        yield inflate.flush()  # The few bytes that a full piece had no room for.
    if not inflate.eof:
        raise zlib.error("the gzip stream ends early")

"""Downloads a document from a URL that a stranger chose, without letting it reach our network.

The host name is resolved once per hop, every address it has is checked as a number, and the
connection goes to exactly the address that was checked; redirects are followed by hand, each
checked like the first URL.
"""

import ipaddress
import re
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urljoin, urlsplit

import httpcore2

from app.errors import BadRequest, DownloadFailed, TooLarge

Resolve = Callable[[str, int], Sequence[str]]
"""Gives the addresses of a host and port as text; raises OSError."""


def resolve_host(host: str, port: int) -> list[str]:
    """The addresses of ``host`` as the system sees them, odd spellings of numbers included."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Fetcher:
    """Downloads over http and https within limits of address, size and time."""

    def __init__(
        self,
        max_bytes: int,
        timeout_s: float,
        open_networks: Iterable[str] = (),
        open_ports: Iterable[int] = (),
        resolve: Resolve = resolve_host,
    ) -> None:
        """``open_networks`` and ``open_ports`` are allowed beyond public networks, 80 and 443."""
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._networks = [ipaddress.ip_network(network) for network in open_networks]
        self._ports = {80, 443, *open_ports}
        self._resolve = resolve

    def check(self, url: str, field: str = "image_url") -> None:
        """Raise BadRequest, naming ``field``, unless ``url`` is well-formed; looks nothing up."""
        self._parse(url, field)

    def fetch(self, url: str, target: Path) -> None:
        """Write the body behind ``url`` to ``target``; on failure there is no ``target``.

        Raises DownloadFailed, TooLarge.
        """
        deadline = time.monotonic() + self._timeout_s
        try:
            with self._translated(deadline):
                self._follow(url, target, deadline)
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

    def _follow(self, url: str, target: Path, deadline: float) -> None:
        parsed = self._parse(url)
        for _ in range(1 + _MOST_REDIRECTS):
            location = self._get(parsed, target, deadline)
            if location is None:
                return
            try:
                url = urljoin(url, location)
                parsed = self._parse(url)
            except (ValueError, BadRequest) as error:
                raise DownloadFailed(
                    "The server behind the URL redirects to an address that is not allowed."
                ) from error
        raise DownloadFailed(f"The URL redirects more than {_MOST_REDIRECTS} times.")

    def _parse(self, url: str, field: str = "image_url") -> "_Url":
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
            raise BadRequest(f"{field}: only the ports 80 and 443 are allowed.")
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
            chunks = _decoded(response.iter_stream(), headers.get(b"content-encoding", ""))
            self._save(chunks, target, deadline)
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

    def _save(self, chunks: Iterable[bytes], target: Path, deadline: float) -> None:
        size = 0
        with target.open("wb") as file:
            for chunk in chunks:
                size += len(chunk)
                if size > self._max_bytes:
                    raise self._too_large()
                if time.monotonic() > deadline:
                    raise TimeoutError
                file.write(chunk)

    def _allows(self, address: str) -> bool:
        ip = ipaddress.ip_address(address)
        if isinstance(ip, ipaddress.IPv6Address):
            if ip.scope_id:
                return False
            ip = ip.ipv4_mapped or ip
        return any(ip in network for network in self._networks) or _is_public(ip)

    def _too_large(self) -> TooLarge:
        return TooLarge(f"The document is larger than {self._max_bytes / 2**20:g} MB.")

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
_UNQUOTED = "/%:;=@!$&'()*+,~"

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(?:\.{_LABEL})*\Z")

# Only these IPv6 addresses are given out to the public (RFC 4291, IANA registry) ...
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")
# ... except those that carry an IPv4 address for a relay to unpack: Teredo and kin, 6to4.
_TUNNELS = (ipaddress.IPv6Network("2001::/23"), ipaddress.IPv6Network("2002::/16"))
# How an IPv6-only network reaches IPv4 hosts (RFC 6052): as public as the address inside.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# What ``is_global`` lets through: relays of 6to4 (RFC 7526) and, in old releases, protocol use.
_SPECIAL_IPV4 = (ipaddress.IPv4Network("192.88.99.0/24"), ipaddress.IPv4Network("192.0.0.0/24"))

_T = TypeVar("_T")


def _bad_status(status: int) -> DownloadFailed:
    return DownloadFailed(f"The server behind the URL answered with status {status}.")


def _is_public(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(ip, ipaddress.IPv4Address):
        special = ip.is_multicast or ip.is_reserved or any(ip in net for net in _SPECIAL_IPV4)
        return ip.is_global and not special
    if ip in _NAT64:
        return _is_public(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF))
    # ISATAP (RFC 5214): the last half is 0000:5efe or 0200:5efe and an IPv4 address.
    isatap = (int(ip) >> 32) & 0xFDFFFFFF == 0x5EFE
    tunnel = isatap or any(ip in network for network in _TUNNELS)
    return ip in _GLOBAL_UNICAST and ip.is_global and not ip.is_multicast and not tunnel


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
    inflate = zlib.decompressobj(wbits=31)
    for chunk in chunks:
        rest = chunk
        while rest and not inflate.eof:
            yield inflate.decompress(rest, _PIECE_BYTES)
            rest = inflate.unconsumed_tail
    yield inflate.flush()  # The few bytes that a full piece had no room for.
    if not inflate.eof:
        raise zlib.error("the gzip stream ends early")

"""Servers and URLs that mean harm."""

import datetime
import gzip
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.addresses import is_local
from app.errors import BadRequest, DownloadFailed, TooLarge
from app.fetch import Fetcher
from tests.web import Server, ok, redirect

BODY = b"%PDF-1.7 the document"
HEAD = b"HTTP/1.1 200 OK\r\n"
OWN = "http://ocr.example:8000"


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    server.answers["/ok"] = ok(BODY)
    yield server
    server.stop()


@pytest.fixture
def fetcher(server: Server) -> Fetcher:
    """A fetcher that may reach the local server, for two seconds."""
    return Fetcher(1000, 2, ["127.0.0.0/8"], [server.port])


def _own_addresses() -> list[str]:
    """Addresses of this machine's network cards, as far as its routes tell them."""
    found = []
    for family, far in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((far, 9))
                found.append(str(probe.getsockname()[0]))
        except OSError:
            continue
    return found


def test_no_socket_of_this_machine_sees_a_connection(tmp_path: Path) -> None:
    """Whatever a name resolves to, nobody knocks on any address that this machine has."""
    listening = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    port = listening.getsockname()[1]
    listening.settimeout(0.2)
    own = ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1", *_own_addresses()]
    own += [f"::ffff:{each}" for each in own if "." in each and ":" not in each]
    own += [f"64:ff9b::{each}" for each in own if "." in each and ":" not in each]

    for address in own:
        guarded = Fetcher(1000, 2, open_ports=[port], resolve=lambda *_, a=address: [a])
        with pytest.raises(DownloadFailed, match="public network"):
            guarded.fetch(f"http://name.example:{port}/", tmp_path / "file")
        with pytest.raises(DownloadFailed, match="public network"):
            guarded.post(f"http://name.example:{port}/", b"{}", {})

    with listening, pytest.raises(TimeoutError):
        listening.accept()


def test_own_addresses_are_known() -> None:
    """Those of the loopback are; one that is far away is not."""
    assert is_local(ipaddress.ip_address("127.0.0.1"))
    assert not is_local(ipaddress.ip_address("8.8.8.8"))
    assert all(is_local(ipaddress.ip_address(each)) for each in _own_addresses())


def test_a_public_address_of_this_machine_is_not_public(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a firewall keeps from the world is not to be had by asking us."""
    monkeypatch.setattr("app.fetch.is_local", lambda ip: str(ip) == "8.8.8.8")
    guarded = Fetcher(1000, 2, resolve=lambda *_: ["8.8.8.8"])

    with pytest.raises(DownloadFailed, match="public network"):
        guarded.fetch("http://name.example/", tmp_path / "file")


@pytest.mark.parametrize(
    "url",
    [
        "http://ocr.example:8000/tasks/output/ocr/1.txt",
        "http://ocr.example/tasks/output/ocr/1.txt",
        "https://OCR.example./tasks/output/ocr/1.txt",
        "http://ocr.example/prefix/tasks/output/ocr/1.txt",
        "http://ocr.example/x/../tasks//output/./ocr/1.txt",
        "http://ocr.example//tasks/output/ocr/1.txt",
        "http://ocr.example/%74asks/outpu%74/ocr/1.txt?x=1",
    ],
)
def test_own_results_are_no_documents(url: str) -> None:
    """A result of this server is refused, however its address is spelled."""
    fetcher = Fetcher(1000, 2, open_ports=[8000])

    for field in ("image_url", "callback_url"):
        with pytest.raises(BadRequest, match=f"^{field}: is a result of this server"):
            fetcher.check(url, field, OWN)


def test_other_paths_and_hosts_are_not_own_results() -> None:
    """What else the host has may be fetched, and what others keep under such a path."""
    fetcher = Fetcher(1000, 2)

    fetcher.check("http://ocr.example/tasks/1.pdf", own=OWN)
    fetcher.check("http://other.example/tasks/output/1.pdf", own=OWN)


def test_a_redirect_to_an_own_result_is_refused(
    server: Server, fetcher: Fetcher, tmp_path: Path
) -> None:
    """A detour does not help."""
    server.answers["/out"] = redirect("/tasks/output/ocr/1.txt")
    own = f"http://127.0.0.1:{server.port}"

    with pytest.raises(DownloadFailed, match="not allowed"):
        fetcher.fetch(f"{own}/out", tmp_path / "file", own)

    assert server.connections == 1


def test_eleven_redirects_are_too_many(server: Server, fetcher: Fetcher, tmp_path: Path) -> None:
    """A long way through different addresses ends as a loop does."""
    for hop in range(11):
        server.answers[f"/{hop}"] = redirect(f"/{hop + 1}")

    with pytest.raises(DownloadFailed, match="more than 5 times"):
        fetcher.fetch(f"http://127.0.0.1:{server.port}/0", tmp_path / "file")

    assert server.connections == 6


def test_each_hop_is_resolved_anew_and_pinned(server: Server, tmp_path: Path) -> None:
    """A name that was public for the first hop is not believed to be so for the second."""
    answers = iter([["127.0.0.1"], ["127.0.0.2"]])
    guarded = Fetcher(1000, 2, ["127.0.0.1/32"], [server.port], lambda *_: next(answers))
    server.answers["/out"] = redirect("/ok")

    with pytest.raises(DownloadFailed, match="public network"):
        guarded.fetch(f"http://rebind.example:{server.port}/out", tmp_path / "file")

    assert server.connections == 1


def _for_ever(head: bytes, piece: bytes) -> Callable[[socket.socket], None]:
    def send(client: socket.socket) -> None:
        client.sendall(head)
        while True:
            client.sendall(piece)

    return send


CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(_for_ever(HEAD, b"X-A: " + b"a" * 1000 + b"\r\n"), id="headers"),
        pytest.param(_for_ever(HEAD + b"X-A: ", b"a" * 1000), id="one header"),
        pytest.param(_for_ever(b"HTTP/1.1 100 Go on\r\n\r\n", b"HTTP/1.1 103 H\r\n\r\n"), id="1xx"),
        pytest.param(_for_ever(b"HTTP/1.1 200 ", b"a" * 1000), id="reason"),
        pytest.param(_for_ever(CHUNKED + b"1;", b"a=b;" * 250), id="one chunk extension"),
        pytest.param(_for_ever(CHUNKED, b"1;" + b"a" * 900 + b"\r\nx\r\n"), id="chunk extensions"),
        pytest.param(_for_ever(CHUNKED + b"0\r\n", b"X-A: a\r\n" * 99), id="trailers"),
        pytest.param(_for_ever(HEAD + b"\r\n", b"x" * 1000), id="body"),
        pytest.param(
            _for_ever(HEAD + b"Content-Encoding: gzip\r\n\r\n", gzip.compress(b"")), id="gzip"
        ),
        pytest.param(
            _for_ever(HEAD + b"Content-Encoding: gzip\r\n\r\n", gzip.compress(bytes(99_999))),
            id="gzip bombs",
        ),
        pytest.param(HEAD + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n", id="length"),
        pytest.param(HEAD + "Content-Length: ٣\r\n\r\n".encode(), id="digits"),
        pytest.param(HEAD + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"")[:5], id="cut"),
        pytest.param(b"HTTP/1.1 302 F\r\nLocation: /" + b"a" * 90_000 + b"\r\n\r\n", id="way"),
        pytest.param(b"HTTP/1.1 302 F\r\nLocation: /\xff\xfe\r\n\r\n", id="odd way"),
        pytest.param(b"HTTP/1.1 101 Other\r\nUpgrade: x\r\n\r\n" + b"x" * 9999, id="upgrade"),
        pytest.param(b"\0" * 200_000, id="zeros"),
    ],
)
def test_answers_that_never_end_are_ended(
    answer: Callable[[socket.socket], None] | bytes,
    server: Server,
    fetcher: Fetcher,
    tmp_path: Path,
) -> None:
    """No part of an answer can be endless, or break more than its own download."""
    server.answers["/x"] = answer
    began = time.monotonic()

    with pytest.raises((DownloadFailed, TooLarge)):
        fetcher.fetch(f"http://127.0.0.1:{server.port}/x", tmp_path / "file")

    assert time.monotonic() - began < 10
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("status", [b"200 OK", b"500 No"])
def test_a_report_is_over_when_its_answer_begins(
    status: bytes, server: Server, fetcher: Fetcher
) -> None:
    """Of the answer to a report only the status is read, however much follows."""
    left = threading.Event()

    def endless(client: socket.socket) -> None:
        client.sendall(b"HTTP/1.1 " + status + b"\r\n\r\n")
        try:
            while True:
                client.sendall(b"x" * 65536)
        except OSError:
            left.set()

    server.answers["/hook"] = endless
    url = f"http://127.0.0.1:{server.port}/hook"

    assert fetcher.post(url, b"{}", {}) == int(status[:3])

    assert left.wait(5)


def test_reports_bound_headers_too(server: Server, fetcher: Fetcher) -> None:
    """Megabytes of headers in the answer to a report end it."""
    server.answers["/hook"] = _for_ever(HEAD, b"X-A: " + b"a" * 1000 + b"\r\n")

    with pytest.raises(DownloadFailed, match="broken"):
        fetcher.post(f"http://127.0.0.1:{server.port}/hook", b"{}", {})


def test_gzip_of_several_members_is_undone(
    server: Server, fetcher: Fetcher, tmp_path: Path
) -> None:
    """Files may be gzipped in pieces, and padded with zeros."""
    packed = gzip.compress(b"first ") + gzip.compress(b"second") + bytes(50)
    server.answers["/gz"] = ok(packed, "Content-Encoding: gzip")

    fetcher.fetch(f"http://127.0.0.1:{server.port}/gz", tmp_path / "file")

    assert (tmp_path / "file").read_bytes() == b"first second"


def test_an_expired_certificate_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even of an authority that is trusted."""
    path = _expired(tmp_path / "certificate.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    secure = Server(context)
    fetcher = Fetcher(1000, 5, ["127.0.0.0/8"], [secure.port], lambda *_: ["127.0.0.1"])

    with pytest.raises(DownloadFailed, match="certificate"):
        fetcher.fetch(f"https://secure.example:{secure.port}/ok", tmp_path / "file")
    secure.stop()

    assert secure.requests == []


def _expired(path: Path) -> Path:
    """A certificate for secure.example that was valid for a day, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "secure.example")])
    start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("secure.example")]), False)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    pkcs8 = serialization.PrivateFormat.PKCS8
    encoding = serialization.Encoding.PEM
    path.write_bytes(key.private_bytes(encoding, pkcs8, plain) + certificate.public_bytes(encoding))
    return path


def test_a_url_of_ten_megabytes_is_refused() -> None:
    """It is too long before it is anything else."""
    with pytest.raises(BadRequest, match="longer than 8192 characters"):
        Fetcher(1, 1).check("http://example.com/" + "a" * 10 * 2**20)

import gzip
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.errors import BadRequest, DownloadFailed, TooLarge
from app.fetch import Fetcher
from tests.web import Server, ok, redirect

BODY = b"%PDF-1.7 the document"


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    server.answers["/ok"] = ok(BODY)
    yield server
    server.stop()


@pytest.fixture
def fetcher(server: Server) -> Fetcher:
    """A fetcher that may reach the local server."""
    return Fetcher(1000, 5, ["127.0.0.0/8"], [server.port])


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/a.pdf",
        "https://example.com:443/a?b=c#d",
        "HTTP://EXAMPLE.COM:80",
        "https://例え.jp/文件.pdf",
        "http://93.184.216.34/",
        "http://[2606:4700::1111]/",
        "http://example.com./",
        "http://a_b.example.com/%20",
    ],
)
def test_well_formed_urls_pass(url: str) -> None:
    """The check takes what browsers take, and looks nothing up."""
    Fetcher(1, 1, resolve=_unreachable).check(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "//example.com",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "data:text/plain,hello",
        "dict://example.com/",
        "jar:http://example.com!/",
        "ldap://example.com/",
        "http://",
        "http:///path",
        "http://user@example.com/",
        "http://user:password@example.com/",
        "http://:@example.com/",
        "http://example.com:22/",
        "http://example.com:25/",
        "http://example.com:6379/",
        "http://example.com:8080/",
        "http://example.com:0/",
        "http://example.com:99999/",
        "http://example.com:x/",
        "http://example.com:-80/",
        "http://example.com\\@evil.com/",
        "http://example.com/a b",
        "http://example.com/\ta",
        "http://example.com/\r\nX: y",
        "\nhttp://example.com/",
        "http://example.com/\u3000",
        "http://example.com/\u200b",
        "http://exam\u00adple.com/",
        "http://１２７.0.0.1/",
        "http://①②⑦.0.0.1/",
        "http://127。0。0。1/",
        "http://ｅxample.com/",
        "http://%31%32%37.0.0.1/",
        "http://[fe80::1%25eth0]/",
        "http://[::1",
        "http://[::g]/",
        "http://a..b/",
        "http://-a.com/",
        "http://" + "a" * 64 + ".com/",
        "http://" + "a." * 127 + "com/",
        "http://exa$mple.com/",
        "http://example.com/" + "a" * 8192,
    ],
)
def test_malformed_urls_are_refused(url: str) -> None:
    """What is not a plain http or https URL never becomes a task; the error names the field."""
    with pytest.raises(BadRequest, match=r"^image_url: "):
        Fetcher(1, 1, resolve=_unreachable).check(url)


ADDRESSES = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "127.8.8.8",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "::ffff:10.0.0.1",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::808:808",
    "100::1",
    "2001::1",
    "2001:0:7f00:1::",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::1",
    "2606:4700::5efe:7f00:1",
    "2606:4700::200:5efe:a00:1",
    "3fff:ffff::1%eth0",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_addresses_that_are_not_public_are_refused(address: str, tmp_path: Path) -> None:
    """No name leads to an address inside, and the message does not tell which it was."""
    fetcher = Fetcher(1000, 5, resolve=lambda host, port: [address])

    with pytest.raises(DownloadFailed, match="not on a public network") as caught:
        fetcher.fetch("http://example.com/", tmp_path / "file")

    assert address not in str(caught.value)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "0",
        "0.0.0.0",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::FFFF:7F00:1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[fc00::1]",
        "localhost",
        "LOCALHOST",
        "localhost.",
    ],
)
def test_every_spelling_of_home_is_refused(host: str, server: Server, tmp_path: Path) -> None:
    """The system's own resolver decides what a host means; the port is open, nobody knocks."""
    fetcher = Fetcher(1000, 5, open_ports=[server.port])

    with pytest.raises(DownloadFailed, match=r"public network|resolved"):
        fetcher.fetch(f"http://{host}:{server.port}/ok", tmp_path / "file")

    assert server.connections == 0


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "2606:4700::1111",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
        "2a00:1450:4001:80b::200e",
    ],
)
def test_public_addresses_are_connected_to(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection goes to the very address that was checked."""
    connected = []

    def connect(target: tuple[str, int], *_: object, **__: object) -> socket.socket:
        connected.append(target)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", connect)
    fetcher = Fetcher(1000, 5, resolve=lambda host, port: [address])

    with pytest.raises(DownloadFailed, match="cannot be reached"):
        fetcher.fetch("http://example.com/", tmp_path / "file")

    assert connected == [(address, 80)]


def test_one_private_address_among_public_ones_is_enough(tmp_path: Path, server: Server) -> None:
    """A name with both kinds of addresses is refused before anything is connected to."""
    fetcher = Fetcher(
        1000, 5, open_ports=[server.port], resolve=lambda host, port: ["8.8.8.8", "127.0.0.1"]
    )

    with pytest.raises(DownloadFailed, match="public network"):
        fetcher.fetch(f"http://example.com:{server.port}/ok", tmp_path / "file")

    assert server.connections == 0


def test_a_name_is_resolved_once_per_hop(server: Server, tmp_path: Path) -> None:
    """A resolver that gives another answer the second time is not asked a second time."""
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])
    fetcher = Fetcher(1000, 5, ["127.0.0.0/8"], [server.port], lambda host, port: next(answers))

    fetcher.fetch(f"http://rebind.example:{server.port}/ok", tmp_path / "file")

    assert next(answers) == ["10.0.0.1"]
    assert f"Host: rebind.example:{server.port}" in server.requests[0]


def test_a_name_without_addresses_fails(tmp_path: Path) -> None:
    """Not finding the host is the caller's to know."""

    def resolve(host: str, port: int) -> list[str]:
        raise socket.gaierror(-2, "Name or service not known")

    with pytest.raises(DownloadFailed, match="cannot be resolved"):
        Fetcher(1000, 5, resolve=resolve).fetch("http://nowhere.example/", tmp_path / "file")


def test_a_resolver_that_hangs_is_left_behind(tmp_path: Path) -> None:
    """The limit holds while the name is looked up, too."""
    release = threading.Event()

    def resolve(host: str, port: int) -> list[str]:
        release.wait(10)
        return []

    with pytest.raises(DownloadFailed, match=r"longer than 0\.2 s"):
        Fetcher(1000, 0.2, resolve=resolve).fetch("http://slow.example/", tmp_path / "file")
    release.set()


def test_the_body_arrives(server: Server, fetcher: Fetcher, tmp_path: Path) -> None:
    """The usual case, with a path that is not ASCII and a fragment that is not sent."""
    server.answers["/%E6%96%87%E4%BB%B6%20a.pdf?q=%E6%96%87&r=1?"] = ok(BODY)

    fetcher.fetch(
        f"http://127.0.0.1:{server.port}/文件%20a.pdf?q=文&r=1?#fragment", tmp_path / "file"
    )

    assert (tmp_path / "file").read_bytes() == BODY
    assert "accept-encoding: identity" in server.requests[0].lower()


def test_proxies_of_the_environment_are_ignored(
    server: Server, fetcher: Fetcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy would connect to whatever it likes in our name."""
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    fetcher.fetch(f"http://127.0.0.1:{server.port}/ok", tmp_path / "file")

    assert (tmp_path / "file").read_bytes() == BODY


def test_redirects_are_followed(server: Server, fetcher: Fetcher, tmp_path: Path) -> None:
    """Five hops, relative and absolute, are followed."""
    server.answers["/0"] = redirect("/1")
    server.answers["/1"] = redirect("2?x=y z")
    server.answers["/2?x=y%20z"] = redirect(f"http://127.0.0.1:{server.port}/3")
    server.answers["/3"] = redirect(f"//127.0.0.1:{server.port}/4")
    server.answers["/4"] = redirect("/ok")

    fetcher.fetch(f"http://127.0.0.1:{server.port}/0", tmp_path / "file")

    assert (tmp_path / "file").read_bytes() == BODY


def test_a_loop_of_redirects_ends(server: Server, fetcher: Fetcher, tmp_path: Path) -> None:
    """The sixth hop is not made."""
    server.answers["/loop"] = redirect("/loop")

    with pytest.raises(DownloadFailed, match="more than 5 times"):
        fetcher.fetch(f"http://127.0.0.1:{server.port}/loop", tmp_path / "file")

    assert server.connections == 6


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "ftp://a.example/",
        "http://a.example:6379/",
        "http://u:p@a.example/",
        "http://[::1",
        "gopher://a.example/",
        "http://１２７.0.0.1/",
        "data:,x",
    ],
)
def test_redirects_to_other_schemes_and_ports_are_refused(
    location: str, server: Server, fetcher: Fetcher, tmp_path: Path
) -> None:
    """A redirect must pass the check that the first URL passed."""
    server.answers["/out"] = redirect(location)

    with pytest.raises(DownloadFailed, match="redirects to an address that is not allowed"):
        fetcher.fetch(f"http://127.0.0.1:{server.port}/out", tmp_path / "file")


def test_a_redirect_from_public_to_private_is_refused(tmp_path: Path, server: Server) -> None:
    """The second hop is resolved and checked like the first."""
    inside = Server()
    inside.answers["/ok"] = ok(BODY)
    addresses = {"public.example": ["127.0.0.1"], "private.example": ["127.0.0.2"]}
    fetcher = Fetcher(
        1000,
        5,
        ["127.0.0.1/32"],
        [server.port, inside.port],
        lambda host, port: addresses[host],
    )
    server.answers["/out"] = redirect(f"http://private.example:{inside.port}/ok")

    with pytest.raises(DownloadFailed, match="public network"):
        fetcher.fetch(f"http://public.example:{server.port}/out", tmp_path / "file")
    inside.stop()

    assert inside.connections == 0


@pytest.mark.parametrize("status", [204, 206, 300, 304, 403, 404, 500])
def test_other_statuses_fail(status: int, server: Server, fetcher: Fetcher, tmp_path: Path) -> None:
    """Only a 200 has the document; the message says what the server said."""
    server.answers["/x"] = f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode()

    with pytest.raises(DownloadFailed, match=f"status {status}"):
        fetcher.fetch(f"http://127.0.0.1:{server.port}/x", tmp_path / "file")


def test_a_length_over_the_limit_is_refused_unread(
    server: Server, fetcher: Fetcher, tmp_path: Path
) -> None:
    """The announced length is enough to say no."""
    server.answers["/big"] = ok(b"", "Content-Length: 1001")

    with pytest.raises(TooLarge, match="larger than"):
        fetcher.fetch(f"http://127.0.0.1:{server.port}/big", tmp_path / "file")

    assert list(tmp_path.iterdir()) == []


def test_the_limit_itself_is_allowed(server: Server, fetcher: Fetcher, tmp_path: Path) -> None:
    """The limit is inclusive."""
    server.answers["/just"] = ok(b"x" * 1000)

    fetcher.fetch(f"http://127.0.0.1:{server.port}/just", tmp_path / "file")

    assert (tmp_path / "file").stat().st_size == 1000


def test_an_endless_body_is_cut(server: Server, fetcher: Fetcher, tmp_path: Path) -> None:
    """Without a length the bytes are counted as they come; nothing stays behind."""

    def endless(client: socket.socket) -> None:
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            client.sendall(b"x" * 100)

    server.answers["/endless"] = endless

    with pytest.raises(TooLarge):
        fetcher.fetch(f"http://127.0.0.1:{server.port}/endless", tmp_path / "file")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"])
def test_a_trickle_is_ended(head: bytes, server: Server, tmp_path: Path) -> None:
    """Bytes that keep coming one by one, of the head or the body, do not stretch the limit."""

    def trickle(client: socket.socket) -> None:
        client.sendall(head)
        while not server.stopping.wait(0.05):
            client.sendall(b"H")

    server.answers["/trickle"] = trickle
    fetcher = Fetcher(1000, 0.6, ["127.0.0.0/8"], [server.port])
    began = time.monotonic()

    with pytest.raises(DownloadFailed, match=r"longer than 0\.6 s"):
        fetcher.fetch(f"http://127.0.0.1:{server.port}/trickle", tmp_path / "file")

    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    "answer",
    [
        ok(b"short", "Content-Length: 500"),
        ok(b"", "Content-Length: -1"),
        ok(b"", "Content-Length: 5", "Content-Length: 6"),
        ok(b"zz\r\n", "Transfer-Encoding: chunked"),
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
        b"",
        ok(gzip.compress(BODY, mtime=0)[:-9], "Content-Encoding: gzip"),
        ok(BODY, "Content-Encoding: gzip"),
    ],
)
def test_broken_answers_fail(
    answer: bytes, server: Server, fetcher: Fetcher, tmp_path: Path
) -> None:
    """Half a document is no document."""
    server.answers["/broken"] = answer

    with pytest.raises(DownloadFailed, match="broken or incomplete"):
        fetcher.fetch(f"http://127.0.0.1:{server.port}/broken", tmp_path / "file")

    assert list(tmp_path.iterdir()) == []


def test_gzip_that_nobody_asked_for_is_undone(
    server: Server, fetcher: Fetcher, tmp_path: Path
) -> None:
    """Servers that keep their files gzipped send them so."""
    server.answers["/gz"] = ok(gzip.compress(BODY * 40, mtime=0), "Content-Encoding: GZIP")

    fetcher.fetch(f"http://127.0.0.1:{server.port}/gz", tmp_path / "file")

    assert (tmp_path / "file").read_bytes() == BODY * 40


def test_a_gzip_bomb_is_cut(server: Server, fetcher: Fetcher, tmp_path: Path) -> None:
    """The limit counts decoded bytes."""
    server.answers["/bomb"] = ok(gzip.compress(bytes(500_000)), "Content-Encoding: gzip")

    with pytest.raises(TooLarge):
        fetcher.fetch(f"http://127.0.0.1:{server.port}/bomb", tmp_path / "file")


def test_other_encodings_are_refused(server: Server, fetcher: Fetcher, tmp_path: Path) -> None:
    """What cannot be undone under a limit is not undone."""
    server.answers["/br"] = ok(b"?", "Content-Encoding: br")

    with pytest.raises(DownloadFailed, match="content encoding"):
        fetcher.fetch(f"http://127.0.0.1:{server.port}/br", tmp_path / "file")


def test_a_closed_port_fails(fetcher: Fetcher, server: Server, tmp_path: Path) -> None:
    """Nobody listens: the caller hears it at once."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    closed = Fetcher(1000, 5, ["127.0.0.0/8"], [port])

    with pytest.raises(DownloadFailed, match="cannot be reached"):
        closed.fetch(f"http://127.0.0.1:{port}/", tmp_path / "file")


def test_the_next_address_is_tried(server: Server, tmp_path: Path) -> None:
    """A name with a dead first address still works."""
    fetcher = Fetcher(
        1000, 5, ["127.0.0.0/8"], [server.port], lambda host, port: ["127.0.0.9", "127.0.0.1"]
    )

    fetcher.fetch(f"http://two.example:{server.port}/ok", tmp_path / "file")

    assert (tmp_path / "file").read_bytes() == BODY


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for secure.example, with its key, that signs itself."""
    if not shutil.which("openssl"):
        pytest.skip("openssl is not installed")
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    subprocess.run(
        f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
        f" -subj /CN=secure.example -addext subjectAltName=DNS:secure.example"
        f" -keyout {path} -out {path}.crt".split(),
        check=True,
        capture_output=True,
    )
    path.write_bytes(path.read_bytes() + Path(f"{path}.crt").read_bytes())
    return path


@pytest.fixture
def secure(certificate: Path) -> Iterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = Server(context)
    server.answers["/ok"] = ok(BODY)
    yield server
    server.stop()


def test_tls_is_verified_against_the_host_name(
    secure: Server, certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pinned address does not replace the name in SNI and in the certificate's check."""
    monkeypatch.setenv("SSL_CERT_FILE", f"{certificate}.crt")
    fetcher = Fetcher(1000, 5, ["127.0.0.0/8"], [secure.port], lambda host, port: ["127.0.0.1"])

    fetcher.fetch(f"https://secure.example:{secure.port}/ok", tmp_path / "file")
    with pytest.raises(DownloadFailed, match="certificate"):
        fetcher.fetch(f"https://other.example:{secure.port}/ok", tmp_path / "other")

    assert (tmp_path / "file").read_bytes() == BODY


def test_a_self_signed_certificate_is_refused(secure: Server, tmp_path: Path) -> None:
    """Only the system's authorities are trusted."""
    fetcher = Fetcher(1000, 5, ["127.0.0.0/8"], [secure.port], lambda host, port: ["127.0.0.1"])

    with pytest.raises(DownloadFailed, match="certificate"):
        fetcher.fetch(f"https://secure.example:{secure.port}/ok", tmp_path / "file")


def test_a_server_without_tls_fails(server: Server, fetcher: Fetcher, tmp_path: Path) -> None:
    """A port that speaks plain http is no place for https."""
    with pytest.raises(DownloadFailed, match="cannot be reached"):
        fetcher.fetch(f"https://127.0.0.1:{server.port}/ok", tmp_path / "file")


def test_the_error_names_the_field(fetcher: Fetcher) -> None:
    """One check serves every field that takes a URL."""
    with pytest.raises(BadRequest, match=r"^callback_url: "):
        fetcher.check("http://example.com:22/", "callback_url")


def test_a_report_is_posted(server: Server, fetcher: Fetcher) -> None:
    """The body and the headers arrive."""
    server.answers["/hook"] = b"HTTP/1.1 204 Taken\r\n\r\n"

    url = f"http://127.0.0.1:{server.port}/hook"
    assert fetcher.post(url, b'{"a": 1}', {"X-Signature": "s"}) == 204

    assert server.requests[0].startswith("POST /hook HTTP/1.1")
    assert "X-Signature: s" in server.requests[0]
    assert "Content-Length: 8" in server.requests[0]


@pytest.mark.parametrize("status", [302, 400, 500])
def test_the_answer_to_a_report_is_told(status: int, server: Server, fetcher: Fetcher) -> None:
    """A redirect is not followed: it would turn the report into another request."""
    server.answers["/hook"] = f"HTTP/1.1 {status} X\r\nLocation: /ok\r\n\r\n".encode()

    assert fetcher.post(f"http://127.0.0.1:{server.port}/hook", b"{}", {}) == status

    assert server.connections == 1


def test_a_report_does_not_go_inside(server: Server) -> None:
    """The address guard is the same."""
    guarded = Fetcher(1000, 5, open_ports=[server.port])

    with pytest.raises(DownloadFailed, match="public network"):
        guarded.post(f"http://127.0.0.1:{server.port}/ok", b"{}", {})

    assert server.connections == 0


def _unreachable(host: str, port: int) -> list[str]:
    raise AssertionError("the check looked a name up")

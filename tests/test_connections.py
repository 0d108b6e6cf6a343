"""Connections of slow and of hostile clients, to a real server through real sockets."""

import io
import os
import resource
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from PIL import Image

from tests.pictures import picture
from tests.server import Server
from tests.wire import AUTH, END, Reply, Wire, file_part, part

LIMIT_S = 2
MOST = 1200
HEALTH = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
HEAD = f"POST /task/pic/ocr HTTP/1.1\r\n{AUTH}"
FORM = f"{HEAD}Content-Type: multipart/form-data; boundary=b\r\n"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("http") / "data"
    folder.mkdir()
    settings = {
        "OCR_WORKERS": "1",
        "OCR_ENGINE": "stub",
        "OCR_HEADER_TIMEOUT_S": str(LIMIT_S),
        "OCR_BODY_TIMEOUT_S": str(LIMIT_S),
        "OCR_MAX_CONNECTIONS": str(MOST),
        "OCR_MAX_UPLOAD_BYTES": str(4 * 2**20),
    }
    server = Server(folder, settings)
    server.start()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def serves_afterwards(server: Server) -> Iterator[None]:
    """It answers whatever was done to it, keeps nothing that was cut off, logs no traceback."""
    yield
    with Wire(server) as wire:
        reply = wire.post(file_part(picture()) + END)
        assert (reply.status, reply.json["data"]["state"]) == (200, 1)
    server.until(lambda: not [*server.folder.glob("staging/*")], 10)
    assert "Traceback" not in (server.folder.parent / "server.log").read_text(errors="replace")


def refused(reply: Reply, status: int, code: str) -> None:
    """In the shape of every error, with the request's number."""
    assert (reply.status, reply.json["status"], reply.json["error"]["code"]) == (
        *(status, status),
        code,
    )
    assert reply.headers["x-request-id"] in reply.json["error"]["message"]


def drip(wire: Wire, data: bytes, every_s: float = 0.1) -> None:
    """Send a byte now and then until the server has an answer or has gone."""
    wire.socket.setblocking(True)
    for n in range(len(data)):
        try:
            wire.send(data[n : n + 1])
        except ConnectionError:
            return
        wire.socket.settimeout(every_s)
        try:
            wire.socket.recv(1, socket.MSG_PEEK)
            break
        except TimeoutError:
            continue
        except ConnectionError:
            return
    wire.socket.settimeout(60)


def test_nothing_is_waited_for_forever(server: Server) -> None:
    """A connection on which nothing is ever said is ended without a word."""
    with Wire(server) as wire:
        assert wire.is_ended()


@pytest.mark.parametrize("start", ["", "GET", "GET / HTTP/1.1\r\nHost: x\r\nX-A: ", "\r\n"])
def test_a_header_has_its_time(server: Server, start: str) -> None:
    """A byte now and then does not lengthen it."""
    with Wire(server) as wire:
        wire.send(start)
        drip(wire, b"\r\n" * 500 if start == "\r\n" else b"G" + b"a" * 1000)

        reply = wire.reply()

        assert reply.status in (400, 408)
        assert wire.is_ended()


def test_the_second_header_has_its_time_too(server: Server) -> None:
    """On a connection that is kept, from its first byte on."""
    with Wire(server) as wire:
        assert wire.get("/healthz").status == 200
        wire.send("GET /healthz HT")

        refused(wire.reply(), 408, "request_timeout")


@pytest.mark.parametrize("stray", ["\r\n", "abc"], ids=["line end", "body"])
def test_stray_bytes_keep_no_connection(server: Server, stray: str) -> None:
    """Nor does the end of a body that nobody read."""
    with Wire(server) as wire:
        length = 0 if stray == "\r\n" else 1000
        wire.send(f"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n")
        assert wire.reply().status == 200
        wire.send(stray)

        reply = wire.reply() if stray == "\r\n" else None

        assert reply is None or reply.status == 408
        assert wire.is_ended()


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_stops_is_told(server: Server, chunked: bool) -> None:
    """In the middle of the document: what had come of it is removed."""
    content = file_part(b"x" * 2_000_000)
    with Wire(server) as wire:
        if chunked:
            wire.send(f"{FORM}Transfer-Encoding: chunked\r\n\r\n{len(content):x}\r\n")
        else:
            wire.send(f"{FORM}Content-Length: {len(content)}\r\n\r\n")
        wire.send(content[:1_500_000])
        server.until(lambda: [*server.folder.glob("staging/*")], 10)

        refused(wire.reply(), 408, "request_timeout")
        assert wire.is_ended()


def test_a_trickle_of_a_body_is_ended(server: Server) -> None:
    """It is never silent, but would take hours."""
    with Wire(server) as wire:
        wire.send(f"{FORM}Content-Length: 100000\r\n\r\n")
        drip(wire, file_part(b"x" * 10_000))

        refused(wire.reply(), 408, "request_timeout")


def test_a_slow_body_is_taken(server: Server) -> None:
    """One that keeps the pace may take longer than a pause may."""
    body = file_part(picture()) + part("language", "English") + part("x", "y" * 6000) + END
    pieces = [body[n : n + 2000] for n in range(0, len(body), 2000)]
    with Wire(server) as wire:
        wire.send(f"{FORM}Content-Length: {len(body)}\r\n\r\n")
        for piece in pieces:
            time.sleep(1.2 * LIMIT_S / len(pieces))
            wire.send(piece)

        assert wire.reply().json["data"]["state"] == 1


def test_an_answer_is_taken_or_ended(server: Server) -> None:
    """Who asks and does not read holds no connection."""
    noise = io.BytesIO()
    Image.effect_noise((1500, 900), 100).save(noise, "PNG")
    record = server.post(noise.getvalue(), format="pdf")
    path = record["file"].split("/", 3)[3]
    times = 16
    assert times * record["output_size"] > 12_000_000
    with Wire(server) as wire:
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for _ in range(times):
            wire.send(f"GET /{path} HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(3 * LIMIT_S)

        with suppress(EOFError, ConnectionError):
            for _ in range(times):
                wire.reply()
            pytest.fail("all was sent")


@pytest.mark.parametrize(
    "head",
    [
        "Content-Length: -1",
        "Content-Length: +5",
        "Content-Length: 5, 5",
        "Content-Length: 99999999999999999999999999",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding : chunked",
        "X: y\r\n Transfer-Encoding: chunked",
        "X: y\rTransfer-Encoding: chunked",
        "X: \0",
        "Host: y",
        "Authorization: Bearer sk-other",
        "Content-Type: a/b\r\nContent-Type: multipart/form-data; boundary=b",
    ],
)
def test_what_can_be_understood_in_two_ways_is_refused(server: Server, head: str) -> None:
    """Where we would see an end, a proxy might see the beginning of another's request."""
    with Wire(server) as wire:
        wire.send(f"{HEAD}{head}\r\n\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")

        refused(wire.reply(), 400, "invalid_request")
        assert wire.is_ended()


@pytest.mark.parametrize(
    "start",
    [
        "GET / HTTP/9.9\r\nHost: x",
        "BREW /pot HTTP/1.1\r\nHost: x",
        "get / HTTP/1.1\r\nHost: x",
        "GET /a b HTTP/1.1\r\nHost: x",
        "GET HTTP/1.1\r\nHost: x",
        "CONNECT a:80 HTTP/1.1\r\nHost: x",
        "OPTIONS * HTTP/1.1\r\nHost: x",
        "PRI * HTTP/2.0\r\n\r\nSM",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "{}",
    ],
)
def test_what_is_no_request_is_refused(server: Server, start: str) -> None:
    """Odd methods, versions and protocols."""
    with Wire(server) as wire:
        wire.send(start.encode("latin-1") + b"\r\n\r\n")

        assert 400 <= wire.reply().status < 500


@pytest.mark.parametrize(
    "path",
    [
        "//",
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/task/%00",
        "/task/%ff%fe",
        "/task/pic/ocr/../../x",
        "/task/" + "x" * 30_000,
        "/task/pic/ocr?" + "a=1&" * 5000,
        "http://127.0.0.1/task/1",
        "/task/1#x",
        "/task/\u8bc6",
    ],
)
def test_odd_paths(server: Server, path: str) -> None:
    """They lead nowhere, and are told so in the shape of all errors."""
    with Wire(server) as wire:
        reply = wire.get(path)

    assert reply.status in (400, 404, 405)
    assert reply.json["status"] == reply.status


@pytest.mark.parametrize(
    "more",
    [
        "X-A: " + "a" * 1_000_000 + "\r\n",
        "Authorization: Bearer " + "a" * 1_000_000 + "\r\n",
        "".join(f"X-{n}: {n}\r\n" for n in range(200)),
        "".join(f"X-{n}: {'a' * 1000}\r\n" for n in range(80)),
    ],
    ids=["one", "token", "many", "together"],
)
def test_headers_have_a_size(server: Server, more: str) -> None:
    """In bytes and in lines."""
    with Wire(server) as wire:
        refused(wire.get("/task/1", more), 431, "header_too_large")


def test_addresses_have_a_size(server: Server) -> None:
    """They count as header."""
    with Wire(server) as wire:
        refused(wire.get("/" + "x" * 100_000), 431, "header_too_large")


@pytest.mark.parametrize("tail", ["0\r\nX-T: ", "5;x="], ids=["trailer", "extension"])
def test_what_chunks_carry_besides_has_a_size(server: Server, tail: str) -> None:
    """A header behind the body is one too."""
    with Wire(server) as wire:
        wire.send(f"{FORM}Transfer-Encoding: chunked\r\n\r\n")
        with suppress(ConnectionError):
            wire.send(tail + "a" * 3_000_000)

        refused(wire.reply(), 431, "header_too_large")


def test_requests_may_come_at_once(server: Server) -> None:
    """They are answered in their order; what is not well-formed ends only what follows."""
    with Wire(server) as wire:
        wire.send(HEALTH * 15 + "GET /task/1 HTTP/1.1\r\nHost: x\r\n\r\n" + "nonsense\r\n\r\n")

        assert [wire.reply().status for _ in range(16)] == [200] * 15 + [401]
        assert wire.is_ended()


def test_few_requests_may_wait_for_the_answer_to_another(server: Server) -> None:
    """A flood of them costs neither memory nor anybody else's time."""
    before = _resident(server)
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(server)) for _ in range(20)]
        for wire in wires:
            with suppress(ConnectionError):
                wire.send("GET /healthz HTTP/1.1\r\n\r\n" * 60_000)
        assert _answers(server) == 200
        assert _resident(server) - before < 50 * 2**20

        replies = [wires[0].reply()]
        while replies[-1].status == 200:
            replies.append(wires[0].reply())
        refused(replies[-1], 429, "too_many_requests")
        assert len(replies) < 1000
        assert wires[0].is_ended()


def _resident(server: Server) -> int:
    """Bytes of memory."""
    assert server.process is not None
    pages = Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]
    return int(pages) * resource.getpagesize()


def test_a_broken_body_behind_others_is_refused_in_its_turn(server: Server) -> None:
    """No earlier request gets its answer."""
    with Wire(server) as wire:
        wire.send(HEALTH * 3 + f"{FORM}Transfer-Encoding: chunked\r\n\r\nzz\r\n")

        assert [wire.reply().status for _ in range(4)] == [200, 200, 200, 400]
        assert wire.is_ended()


@pytest.mark.parametrize("more", ["", "Transfer-Encoding: chunked\r\n"])
@pytest.mark.parametrize("at_once", [True, False])
def test_a_wish_for_another_protocol_is_ignored(server: Server, more: str, at_once: bool) -> None:
    """As Java's and curl's clients send it; the body is the request's, never a request itself."""
    body = file_part(picture()) + part("x", HEALTH) + END
    if more:
        body = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
    upgrade = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    length = more or f"Content-Length: {len(body)}\r\n"
    with Wire(server) as wire:
        wire.send((FORM + upgrade + length + "\r\n").encode() + (body if at_once else b""))
        if not at_once:
            time.sleep(0.1)
            wire.send(body)

        assert wire.reply().json["data"]["state"] == 1
        assert wire.get("/healthz", "Connection: Upgrade\r\nUpgrade: websocket\r\n").status == 200
        assert wire.get("/healthz").status == 200


@pytest.mark.parametrize("size", [1, 7, 100, 3000])
def test_pieces_do_not_matter(server: Server, size: int) -> None:
    """Requests of every kind behind each other, however they are cut."""
    body = file_part(picture(size=(60, 20))) + part("x", HEALTH) + END
    upgrade = "Connection: Upgrade\r\nUpgrade: h2c\r\n"
    chunks = [body[n : n + 300] for n in range(0, len(body), 300)]
    framed = b"".join(b"%x;a=b\r\n%b\r\n" % (len(c), c) for c in chunks)
    sent = b"".join(
        [
            HEALTH.encode(),
            f"{FORM}{upgrade}Content-Length: {len(body)}\r\n\r\n".encode() + body,
            HEALTH.encode(),
            f"{FORM}{upgrade}Transfer-Encoding: chunked\r\n\r\n".encode() + framed,
            b"0\r\nX-Trailer: 1\r\n\r\n",
            HEALTH.encode(),
            b"nonsense\r\n\r\n",
        ]
    )
    with Wire(server) as wire:
        wire.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for n in range(0, len(sent), size):
            wire.send(sent[n : n + size])

        statuses = [wire.reply().status for _ in range(5)]
        assert statuses == [200] * 5
        with suppress(EOFError):
            assert wire.reply().status == 400


def test_an_old_client_is_answered(server: Server) -> None:
    """HTTP/1.0: the connection ends with the answer."""
    body = file_part(picture()) + END
    with Wire(server) as wire:
        head = f"{FORM}Content-Length: {len(body)}\r\n\r\n".replace("HTTP/1.1", "HTTP/1.0")
        wire.send(head.encode() + body)

        assert wire.reply().json["data"]["state"] == 1
        assert wire.is_ended()


def test_a_client_may_wait_to_be_asked_for_its_body(server: Server) -> None:
    """``Expect: 100-continue``: not asked if its token or the body's size is no good."""
    body = file_part(picture()) + END
    with Wire(server) as wire:
        wire.send(f"{FORM}Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n")
        assert wire.reply().status == 100
        wire.send(body)
        assert wire.reply().json["data"]["state"] == 1
    for head, status in ((FORM, 413), (FORM.replace("Bearer", "Basic"), 401)):
        with Wire(server) as wire:
            wire.send(f"{head}Content-Length: 999999999\r\nExpect: 100-continue\r\n\r\n")
            assert wire.reply().status == status


def test_a_client_may_go_before_its_answer(server: Server) -> None:
    """Whether it ends the connection or resets it; its task is done all the same."""
    body = file_part(picture()) + END
    for reset in (False, True):
        with Wire(server) as wire:
            wire.send(f"{FORM}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            if reset:
                linger = struct.pack("ii", 1, 0)
                wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        with Wire(server) as wire:
            wire.send(f"{FORM}Content-Length: {len(body) + 9_000}\r\n\r\n".encode() + body)


@pytest.fixture
def waits(server: Server) -> Iterator[str]:
    """The address of the events of a task that nobody begins."""
    (worker,) = server.workers()
    os.kill(worker, signal.SIGSTOP)
    try:
        yield f"/task/{server.post(picture(), sync='0')['task_id']}/events"
    finally:
        os.kill(worker, signal.SIGCONT)


def test_a_stream_may_be_quiet(server: Server, waits: str) -> None:
    """No limit of time is one for an answer that has nothing to say yet."""
    (worker,) = server.workers()
    with Wire(server) as wire:
        wire.send(f"GET {waits} HTTP/1.1\r\n{AUTH}\r\n")
        assert wire.reply(head_only=True).status == 200
        time.sleep(2.5 * LIMIT_S)
        os.kill(worker, signal.SIGCONT)

        heard = b""
        while not heard.endswith(b"0\r\n\r\n"):
            heard += wire.socket.recv(2**16)
    assert b'"state":1,' in heard


def test_who_has_left_watches_no_more(server: Server, waits: str) -> None:
    """A token has so many streams; also those on which other requests wait count no longer."""
    get = f"GET {waits} HTTP/1.1\r\n{AUTH}\r\n"

    def all_begin() -> bool:
        with ExitStack() as stack:
            wires = [stack.enter_context(Wire(server)) for _ in range(MOST // 4)]
            for n, wire in enumerate(wires):
                wire.send(get + HEALTH * (n % 2))
            begun = all(wire.reply(head_only=True).status == 200 for wire in wires)
            with Wire(server) as wire:
                wire.send(get)
                return begun and wire.reply(head_only=True).status == 429

    assert all_begin()
    server.until(all_begin, 20)


def test_idle_clients_hinder_nobody(server: Server) -> None:
    """Two hundred with a kept connection, half a header, or a body that trickles."""
    starts = [HEALTH, "GET /healthz HT", f"{FORM}Content-Length: 999999\r\n\r\n--b\r\n"]
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(server)) for _ in range(200)]
        for n, wire in enumerate(wires):
            wire.send(starts[n % 3])

        for _ in range(20):
            with Wire(server) as wire:
                assert wire.get("/healthz").status == 200
                assert wire.get("/readyz").status == 200
                assert wire.post(file_part(picture()) + END).json["data"]["state"] == 1


def test_many_uploads_hold_no_thread(server: Server) -> None:
    """More than there are threads, each in the middle of a document."""
    content = file_part(b"x" * 3_000_000)
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(server)) for _ in range(100)]
        for wire in wires:
            wire.send(f"{FORM}Content-Length: {len(content)}\r\n\r\n".encode())
            wire.send(content[:1_200_000])

        for _ in range(20):
            with Wire(server) as wire:
                assert wire.get("/readyz").status == 200
                assert wire.get("/task/1").status == 404


def test_there_are_only_so_many_connections(server: Server) -> None:
    """Those who say nothing make room; if none does, who comes last is told to come again."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4 * MOST), hard))
    try:
        with ExitStack() as stack:
            for _ in range(2 * MOST):
                stack.enter_context(Wire(server))
            server.until(lambda: _connections(server) <= 1.2 * MOST, 20)
            with Wire(server) as wire:
                assert wire.get("/healthz").status == 200
        with ExitStack() as stack:
            for _ in range(MOST):
                stack.enter_context(Wire(server)).send("nonsense\r\n\r\n")
            assert _answers(server) == 200  # Who was refused makes room as well.
        with ExitStack() as stack:
            busy = [stack.enter_context(Wire(server)) for _ in range(MOST)]
            for wire in busy:
                wire.send(f"{FORM}Content-Length: 999999\r\n\r\n--b\r\n")
            server.until(lambda: _answers(server) == 503, 20)
            with Wire(server) as wire:
                reply = wire.get("/healthz")
                refused(reply, 503, "service_unavailable")
                assert int(reply.headers["retry-after"]) > 0
        server.until(lambda: _answers(server) == 200, 20)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _connections(server: Server) -> int:
    assert server.process is not None
    with Path("/proc/net/tcp").open() as table:
        port = f":{server.port:04X}"
        return sum(row.split()[1].endswith(port) and row.split()[3] == "01" for row in table)


def _answers(server: Server) -> int:
    with Wire(server) as wire:
        return wire.get("/healthz").status


@pytest.mark.parametrize(("hard", "most"), [(5000, 2000), (1300, 500)])
def test_the_limit_of_files_is_raised_as_far_as_it_goes(hard: int, most: int) -> None:
    """Two for each connection, and some; where that is forbidden, there are fewer."""
    script = (
        "import resource; from app.api.connections import raise_file_limit\n"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, (256, {hard}))\n"
        "print(raise_file_limit(2000), resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    )
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout

    assert printed.split() == [str(most).encode(), str(min(hard, 4300)).encode()]

"""Requests as nobody should send them, to a real server through real sockets."""

import time
import uuid
from collections.abc import Iterator
from urllib.parse import unquote

import pytest

from benchmarks import processes
from tests.pictures import picture
from tests.server import TOKEN, Server
from tests.wire import AUTH, END, Reply, Wire, file_part, part

GOOD = file_part(picture()) + END
MOST = 4 * 2**20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("requests") / "data"
    folder.mkdir()
    settings = {"OCR_WORKERS": "1", "OCR_ENGINE": "stub", "OCR_MAX_UPLOAD_BYTES": str(MOST)}
    server = Server(folder, settings)
    server.start()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def bounded(server: Server) -> Iterator[None]:
    """Afterwards the server answers, keeps nothing, has not grown, and has logged no fault."""
    assert server.process is not None
    before = processes.resident_bytes(server.process.pid)
    yield
    with Wire(server) as wire:
        assert wire.post(GOOD).json["data"]["state"] == 1
    server.until(lambda: not [*server.folder.glob("staging/*")], 10)
    assert processes.resident_bytes(server.process.pid) - before < 40 * 2**20
    assert "Traceback" not in (server.folder.parent / "server.log").read_text(errors="replace")


def refused(reply: Reply, status: int, *words: str) -> None:
    body = reply.json
    assert (reply.status, body["status"]) == (status, status)
    assert [*body["error"]] == ["message", "type", "code"]
    assert all(word in body["message"] for word in words), body


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (END, ("image_file",)),
        (b"", ("cut off",)),
        (b"x" * 3_000_000, ("malformed",)),
        (b"x" * 2_000_000 + b"\r\n" + GOOD, ("malformed",)),
        (part("f", "1") * 100_000 + END, ("parts",)),
        (file_part(b"a") + file_part(b"b") + END, ("twice",)),
        (part("file", "a") + file_part(b"b") + END, ("twice",)),
        (part("image_url", "http://a.example/") + GOOD, ("image_file", "image_url")),
        (part("language", "English") + END, ("image_file", "image_url")),
        (file_part(b"") + END, ("image_file", "image_url")),
        (part("x", "y" * 2_000_000) + GOOD, ("1 MB",)),
        (part("x" * 10_000_000, "y") + GOOD, ("malformed",)),
        (part("x", "y", "\r\nX-A: " + "a" * 3_000_000) + GOOD, ("malformed",)),
        (part("x", "y", "\r\nX-A: b" * 100_000) + GOOD, ("malformed",)),
        (b"--b\r\n: \r\n\r\n\r\n" + GOOD, ("malformed",)),
        (b"--b\r\nno colon\r\n\r\n\r\n" + GOOD, ("malformed",)),
        (b"--b\n\n\n" + GOOD, ("malformed",)),
    ],
)
def test_odd_bodies(server: Server, body: bytes, words: tuple[str, ...]) -> None:
    """A 400 that says what is wrong, or 413 where the body alone is too long."""
    with Wire(server) as wire:
        reply = wire.post(body)

    if len(body) > MOST + 2**20:
        refused(reply, 413)
    else:
        refused(reply, 400, *words)


@pytest.mark.parametrize(
    "body",
    [b"\r\n" * 1_500_000 + GOOD, GOOD + b"x" * 3_000_000, GOOD + GOOD * 300],
    ids=["preamble", "epilogue", "twice"],
)
def test_what_stands_around_the_parts_is_ignored(server: Server, body: bytes) -> None:
    """However much it is, it costs no time to speak of."""
    began = time.process_time()
    with Wire(server) as wire:
        assert wire.post(body).json["data"]["state"] == 1
    assert time.process_time() - began < 10


@pytest.mark.parametrize(
    "kind",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=" + "b" * 10_000,
        'multipart/form-data; boundary="b',
        "multipart/form-data; boundary=\xff\xfe",
        "multipart/form-data; " + "a=1;" * 10_000,
        "multipart/mixed; boundary=b",
        "application/json",
        "application/json; charset=utf-16",
        "application/x-www-form-urlencoded",
        "text/html",
        ";",
        "",
    ],
)
def test_odd_content_types(server: Server, kind: str) -> None:
    """What is not understood is refused."""
    with Wire(server) as wire:
        refused(wire.post(GOOD, kind), 400)


@pytest.mark.parametrize("field", ["filename", "password", "language", "format", "image_url"])
@pytest.mark.parametrize("text", ["a\\u0000b", "a\\ud800b"])
def test_what_is_no_text_is_refused(server: Server, field: str, text: str) -> None:
    """Half a character in JSON, or one that no database keeps."""
    address = "" if field == "image_url" else '"image_url": "http://127.0.0.1/", '
    with Wire(server) as wire:
        refused(wire.post(f'{{{address}"{field}": "{text}"}}'.encode(), "application/json"), 400)


def test_urlencoded_fields_have_a_number(server: Server) -> None:
    """And a size."""
    kind = "application/x-www-form-urlencoded"
    for body in (b"a=1&" * 100_000, b"&" * 900_000 + b"a=%ff", b"a=" + b"%41" * 300_000):
        with Wire(server) as wire:
            refused(wire.post(body, kind), 400)
    with Wire(server) as wire:
        refused(wire.post(b"a=" + b"%41" * 600_000, kind), 413)


def test_too_much_is_refused_before_it_is_sent(server: Server) -> None:
    """By its length, or at the first byte too many of a body that names none."""
    head = f"POST /task/pic/ocr HTTP/1.1\r\n{AUTH}Content-Type: multipart/form-data; boundary=b\r\n"
    for length in (MOST + 2 * 2**20, 2**40, 2**64 - 2):
        with Wire(server) as wire:
            wire.send(f"{head}Content-Length: {length}\r\n\r\n")
            refused(wire.reply(), 413)
    with Wire(server) as wire:
        wire.send(f"{head}Transfer-Encoding: chunked\r\n\r\n")
        content = part("image_file", b"")[:-2]
        wire.send(f"{len(content):x}\r\n".encode() + content + b"\r\n")
        chunk = b"10000\r\n" + bytes(2**16) + b"\r\n"
        for _ in range(MOST // 2**16 + 1):
            wire.send(chunk)
        refused(wire.reply(), 413)


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "C:\\\\x\\\\y.png",
        "a\0b.png",
        "a\tb.png",
        "x" * 3900,
        "\u202egnp.exe",
        "\u8bc6\u522b.png",
        '\\".png',
        "",
        ".",
        "..",
        "con",
        "-rf",
        "%2e%2e%2f",
        "\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"),
    ],
)
def test_odd_file_names(server: Server, name: str) -> None:
    """None is part of a path, and what is offered for the download is harmless."""
    with Wire(server) as wire:
        reply = wire.post(file_part(picture(), f'; filename="{name}"') + END)
        file = reply.json["data"]["file"].split("/", 3)[3]
        offered = unquote(wire.get(f"/{file}").headers["content-disposition"])

    shown = offered.split("filename")[1].lstrip("*=").removeprefix("utf-8''").strip('"')
    assert shown.endswith(".txt")
    assert len(shown) <= 204
    assert not set(shown) & set('/\\:"\0\r\n\t\u202e')
    assert not shown.startswith(".")


def test_a_line_end_in_a_file_name_begins_no_header(server: Server) -> None:
    """The answer to the download has no header of the client's making."""
    with Wire(server) as wire:
        fields = part("filename", "a\r\nSet-Cookie: x=1\r\n\r\n<script>.png")
        record = wire.post(fields + GOOD).json["data"]
        reply = wire.get("/" + record["file"].split("/", 3)[3])

    assert "set-cookie" not in reply.headers
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["content-disposition"].startswith("attachment")


@pytest.mark.parametrize(
    "shown",
    [
        "",
        "Authorization: \r\n",
        "Authorization: Bearer\r\n",
        "Authorization: Bearer  \r\n",
        f"Authorization: Basic {TOKEN}\r\n",
        f"Authorization: Bearer {TOKEN} {TOKEN}\r\n",
        f"Authorization: Bearer {TOKEN[:-1]}\r\n",
        f"Authorization: Bearer {TOKEN.upper()}\r\n",
        "Authorization: Bearer \u8bc6\u522b\r\n",
        "Authorization: Bearer " + "x" * 50_000 + "\r\n",
        "X-API-KEY: ' OR 1=1 --\r\n",
        "Cookie: token=" + TOKEN + "\r\n",
    ],
)
def test_odd_tokens(server: Server, shown: str) -> None:
    """None of them opens anything."""
    with Wire(server) as wire:
        wire.send(f"GET /task/{uuid.uuid4()} HTTP/1.1\r\nHost: x\r\n{shown}\r\n")
        reply = wire.reply()

    assert reply.status == 401
    assert reply.json["error"]["type"] == "new_api_error"


@pytest.mark.parametrize("shown", ["Bearer ", "bearer ", "BEARER   ", ""])
def test_tokens_as_clients_show_them(server: Server, shown: str) -> None:
    """In any case, and without a scheme."""
    with Wire(server) as wire:
        wire.send(f"GET /task/1 HTTP/1.1\r\nHost: x\r\nAuthorization: {shown}{TOKEN}\r\n\r\n")

        assert wire.reply().status == 404


def test_results_under_a_flood_of_ranges(server: Server) -> None:
    """Ten thousand overlapping ones cost no more than a few."""
    with Wire(server) as wire:
        record = wire.post(part("format", "pdf") + GOOD).json["data"]
        path = "/" + record["file"].split("/", 3)[3]
        whole = wire.get(path).body
        flood = ",".join(f"{n % 500}-" for n in range(10_000))
        for ranges in (flood, "0-" + ",0-" * 5000, "-" + "9" * 5000, "5-1", "x", "0-0,-1"):
            began = time.monotonic()
            reply = wire.get(path, f"Range: bytes={ranges}\r\n")
            assert reply.status in (200, 206, 400, 416)
            assert len(reply.body) <= 2 * len(whole) + 10_000
            assert time.monotonic() - began < 20
        assert wire.get(path, "Range: bytes=5-9\r\n").body == whole[5:10]
        wire.send(f"HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n")
        assert int(wire.reply(head_only=True).headers["content-length"]) == len(whole)
        assert wire.get("/healthz").status == 200


@pytest.mark.parametrize(
    "path",
    [
        "../../../ocr.db",
        "..%2f..%2f..%2focr.db",
        "%2e%2e/%2e%2e/ocr.db",
        "..%5c..%5cocr.db",
        "{id}.txt%00.pdf",
        "{id}.txt/",
        "{id}.TXT",
        "{id}.pdf",
        "{ID}.txt",
        "{id}.txt.",
        "%7bid%7d.txt",
        "//{id}.txt",
    ],
)
def test_only_the_results_own_address_leads_to_it(server: Server, path: str) -> None:
    """No other spelling, and nothing else of the data."""
    with Wire(server) as wire:
        task_id = wire.post(GOOD).json["data"]["task_id"]
        path = path.replace("{id}", task_id).replace("{ID}", task_id.upper())

        reply = wire.get(f"/tasks/output/ocr/{path}")

    assert reply.status in (307, 404)
    assert b"SQLite" not in reply.body


@pytest.mark.parametrize("method", ["PUT", "PATCH", "TRACE", "DELETE", "PROPFIND", "OPTIONS"])
def test_odd_methods(server: Server, method: str) -> None:
    """They change nothing and echo nothing."""
    with Wire(server) as wire:
        wire.send(f"{method} /task/pic/ocr HTTP/1.1\r\n{AUTH}X-Secret: 42\r\n\r\n")
        reply = wire.reply()

    assert reply.status in (400, 404, 405)
    assert b"42" not in reply.body or reply.json["status"] == reply.status


def test_nothing_was_written_elsewhere(server: Server) -> None:
    """All that these requests left lies where it belongs."""
    names = {p.name for p in server.folder.iterdir()}

    assert names <= {"ocr.db", "ocr.db-shm", "ocr.db-wal", *_OTHERS}, names


_OTHERS = {
    *("files", "staging", "work", "workers", "models", "tmp", "migrate.lock", "cache", "ends"),
    *("queue.db", "queue.db-shm", "queue.db-wal"),
}

"""Malformed request bodies: each is answered, and never with a fault of the server.

The requests are written to the connection byte by byte, for no client library would send them.
"""

import json
import select
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random

from fuzz.mutate import bytes_of
from tests.pictures import picture

FINE = frozenset({200, 400, 401, 403, 404, 405, 408, 411, 413, 414, 415, 422, 429, 431})
_ANSWER_S = 30.0
_PATIENCE_S = 0.5
_HEAD = "POST /task/pic/ocr HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"


def fuzz(port: int, token: str, seed: int, most: Callable[[], bool], findings: Path) -> list[str]:
    """Send requests while ``most`` says so; what is wrong with the answers."""
    statuses: Counter[str] = Counter()
    found: dict[str, str] = {}
    number = 0
    while most():
        rng = Random(f"{seed}:{number}")
        number += 1
        request, whole = _request(rng, token)
        status, wrong = judged(ask(port, request, whole), whole)
        statuses[status] += 1
        if wrong and wrong not in found:
            findings.mkdir(exist_ok=True)
            path = findings / f"request-{seed}-{number}"
            path.write_bytes(request)
            found[wrong] = f"{wrong} ({path})"
            print(f"FINDING {found[wrong]}", flush=True)
    told = ", ".join(f"{count} x {status}" for status, count in statuses.most_common())
    print(f"bodies: {number} requests: {told}", flush=True)
    return list(found.values())


def ask(port: int, request: bytes, whole: bool) -> bytes | None:
    """The answer to a request; None if there is none in time.

    One that is not ``whole`` is ended after a moment, as by a client that goes away.
    """
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=_ANSWER_S) as line:
        with suppress(OSError):  # It need not wait for the end to answer.
            line.sendall(request)
        if not whole and not select.select([line], [], [], _PATIENCE_S)[0]:
            line.shutdown(socket.SHUT_WR)
        try:
            while chunk := line.recv(2**16):
                answer += chunk
        except TimeoutError:
            return None
        except OSError:
            pass
    return answer


def judged(answer: bytes | None, whole: bool) -> tuple[str, str]:
    """The status of an answer, and what is wrong with it."""
    if answer is None:
        return "no answer", "no answer in time"
    if not answer:
        return "closed", "closed without an answer" if whole else ""
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head.split(b" ")[1].decode() if head.startswith(b"HTTP/1.1 ") else "?"
    if not status.isdigit() or int(status) not in FINE:
        return status, f"status {status}: {body[:200]!r}"
    if b"application/json" in head:
        try:
            json.loads(body)
        except ValueError:
            return status, f"status {status} with no JSON: {body[:200]!r}"
    return status, ""


def _request(rng: Random, token: str) -> tuple[bytes, bool]:
    """A request, and whether the server can tell where it ends."""
    kind = rng.choices((_multipart, _json, _urlencoded), (8, 1, 1))[0]
    media_type, body = kind(rng)
    if rng.random() < 0.15:
        body = bytes_of(body, rng)
    head = _HEAD.encode()
    if rng.random() < 0.95:
        head += f"Authorization: Bearer {token}\r\n".encode()
    if rng.random() < 0.97:
        head += b"Content-Type: " + media_type + b"\r\n"
    way = rng.random()
    if way < 0.75:
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body, True
    if way < 0.8:
        length = rng.choice((0, 1, len(body) // 2, len(body) + 1, 2**31, 10**30, -1))
        return head + b"Content-Length: %d\r\n\r\n" % length + body, False
    if way < 0.97:
        chunks, whole = _chunked(body, rng)
        return head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks, whole
    return head + b"\r\n" + body, False


def _chunked(body: bytes, rng: Random) -> tuple[bytes, bool]:
    length = rng.choice((7, 100, 5000, len(body) or 1))
    length = max(length, len(body) // 200)
    places = range(0, len(body), length)
    pieces = (body[place : place + length] for place in places)
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    end = rng.choice((b"0\r\n\r\n",) * 6 + (b"0\r\nX: y\r\n\r\n", b"zz\r\n", b""))
    return chunks + end, end.startswith(b"0")


def _mostly(rng: Random, usual: bytes, odd: Sequence[bytes]) -> bytes:
    """The usual one, or now and then an odd one, so that most of a request is as it should be."""
    return rng.choice(odd) if rng.random() < 0.08 else usual


# multipart/form-data


def _multipart(rng: Random) -> tuple[bytes, bytes]:
    boundary = rng.choice((b"b", b"----WebKitFormBoundary", b"x" * 70, b"a'()+_,-./:=?"))
    line = _mostly(rng, b"\r\n", (b"\n", b"\r"))
    mark, end = b"--" + boundary, b"--" + boundary + b"--"
    body = _mostly(rng, b"", (b"preamble\r\n", b"\r\n", b"x" * 70000, b"--"))
    names = rng.sample(list(_VALUES), rng.choice((0, 1, 2, 2, 3, 4)))
    fields = [(name, _mostly(rng, _VALUES[name][0], _VALUES[name] + _ODD)) for name in names]
    fields += [(b"sync", b"0"), *rng.choice(([_file(rng)], [_file(rng)], [], [_file(rng)] * 2))]
    for name, value in fields:
        body += mark + line + _part_head(rng, name, line) + line + value + line
    body += _mostly(rng, b"", ((mark + line + b"X: y" + line * 2) * 1200,))
    ends = (mark + b"\r\n", b"", end, mark + b"-", end + b"\r\nepilogue" + b"x" * 70000,
            end + b"\r\n" + end)  # fmt: skip
    body += _mostly(rng, end + b"\r\n", ends)
    named = _mostly(rng, boundary, (b'"%b"' % boundary, b"other", b"", b'"', boundary[:-1]))
    head = b"multipart/form-data; boundary=" + named
    heads = (
        head + b"; charset=utf-16", head + b"; boundary=other",
        b"Multipart/Form-Data;BOUNDARY=" + named, b"multipart/form-data", b"\xff\xfe",
        b"multipart/mixed; boundary=" + named, b"multipart/form-data; boundary*=utf-8''" + named,
        b"multipart/form-data; boundary=" + b"b" * 10000,
    )  # fmt: skip
    return _mostly(rng, head, heads), body


def _file(rng: Random) -> tuple[bytes, bytes]:
    odd = (b"", b"%PDF-", b"--b\r\n", rng.randbytes(3000), b"\r\n--b--\r\n")
    return b"image_file", _mostly(rng, _PICTURE, odd)


def _part_head(rng: Random, name: bytes, line: bytes) -> bytes:
    quoted = _mostly(rng, b'"%b"' % name, (name, b'"%b' % name, b"'%b'" % name, b'""'))
    said = b"form-data; name=" + quoted
    if name in (b"image_file", b"file"):
        said += rng.choice(_FILE_NAMES)
    head = b"Content-Disposition: " + said + line
    heads = (
        head + b"Content-Type: text/plain; charset=utf-7" + line,
        head + b"Content-Type: multipart/mixed; boundary=inner" + line,
        head + b"Content-Transfer-Encoding: base64" + line,
        head + head, b"", b"Content-Disposition" + line, b": x" + line, b" folded: x" + line,
        b"X: " + b"y" * 100000 + line + head,
        b"".join(b"X%d: y" % n + line for n in range(3000)) + head,
        b"CONTENT-DISPOSITION:" + said + line, b"Content-Disposition: attachment; name=x" + line,
        b"\xff\xfe: \x00" + line + head,
    )  # fmt: skip
    return _mostly(rng, head, heads)


_FILE_NAMES = (
    b'; filename="a.png"', b"", b'; filename=""', b"; filename*=UTF-8''%e4%b8%ad.pdf",
    b"; filename*=utf-16''%ff%fe%00", b"; filename*=x-none'", b"; filename*0=a; filename*1=b",
    b'; filename="../../etc/passwd"', b'; filename="C:\\x\\y"', b"; filename=a; filename=b",
    b'; filename="' + b"n" * 5000 + b'"', b'; filename="\xff\xfe\x80"', b'; filename="\x00"',
    b'; filename="\xe2\x80\xaegnp.exe"', b'; filename="a\\"b"',
)  # fmt: skip
_PICTURE = picture("A B", size=(200, 60), points=20)
_ODD = (b"", b"\x00", b"\xff\xfe", "表".encode(), "\u202e".encode(), b"x" * 5000, b"1\r\n", b" ",
        "\U0001f600".encode())  # fmt: skip
_VALUES: dict[bytes, tuple[bytes, ...]] = {
    b"format": (b"txt", b"pdf", b"docx", b"xlsx", b"TXT", b"exe"),
    b"language": (b"English", b"ChinesePRC, English", b",", b"English," * 11, b"None"),
    b"image_url": (b"", b"http://127.0.0.1/", b"ftp://x", b"http://[::1", b"http://a:b:c/"),
    b"callback_url": (
        b"",
        b"http://10.0.0.1/",
        b"javascript:x",
        b"http://\xe2\x98\x83.example:99999",
    ),
    b"password": (b"secret", b"p" * 33),
    b"sync": (b"0", b"1", b"2"),
    b"filename": (b"a.pdf", b"../../x", b'a"b\r\nX: y', b"\xed\xa0\x80"),
    b"return_text": (b"0", b"1"),
    b"pdfa": (b"0", b"1"),
    b"mode": (b"auto", b"force", b"skip", b"AUTO"),
    b"file": (b"", _PICTURE),
    b"url": (b"", b"http://0x7f000001/"),
    b"unknown": (b"x",),
    b"": (b"x",),
    b"\xff": (b"x",),
}


# Others


def _json(rng: Random) -> tuple[bytes, bytes]:
    values: dict[str, object] = {
        name.decode("latin-1"): rng.choice(
            (rng.choice(choices).decode("latin-1"), 1, None, True, [], {}, 1e400, -1, "\ud800")
        )
        for name, choices in rng.sample(list(_VALUES.items()), 4)
    }
    whole = json.dumps(values).encode()
    body = rng.choice((whole,) * 8 + (
        b"[" * 100000, b'{"a":' * 100000, b"1" * 10000, b"null", b"[]", b"", b'{"a":1e99999}',
        whole.decode().encode("utf-16"), b"\xef\xbb\xbf" + whole, b'{"url": "\\ud800"}',
    ))  # fmt: skip
    return rng.choice((b"application/json", b"application/json; charset=utf-16")), body


def _urlencoded(rng: Random) -> tuple[bytes, bytes]:
    pairs = [
        name + b"=" + rng.choice(choices).replace(b"&", b"%26")
        for name, choices in rng.sample(list(_VALUES.items()), 4)
    ]
    whole = b"&".join(pairs)
    odd = (b"&" * 5000, b"=" * 5000, b"%", b"%zz=%", b"a=1&" * 2000, b"url=%ed%a0%80", b"url=%00")
    return b"application/x-www-form-urlencoded", rng.choice((whole,) * 8 + odd)

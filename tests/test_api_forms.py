"""Bodies are read alike however they are cut into pieces."""

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from app.api.forms import Bounds, Form, read_form
from app.errors import BadRequest, BodyTooLarge

BODY = (
    b'--b\r\nContent-Disposition: form-data; name="image_file"; filename="\xe5\xad\xa3.png"\r\n'
    b"Content-Type: image/png\r\n\r\n\x89PNG\r\n--not the end\r\n\r\n--b\r\n"
    b'Content-Disposition: form-data; name="language"\r\n\r\nChinesePRC\r\n'
    b'--b\r\nContent-Disposition: form-data; name="image_url"\r\n\r\n\r\n--b--\r\n'
)


def _read(
    chunks: list[bytes], staged: Path, most: int = 1000, headers: dict[str, str] | None = None
) -> Form:
    pending = list(chunks)

    async def receive() -> dict[str, Any]:
        body = pending.pop(0) if pending else b""
        return {"type": "http.request", "body": body, "more_body": bool(pending)}

    sent = {"content-type": "multipart/form-data; boundary=b"} | (headers or {})
    raw = [(k.encode(), v.encode()) for k, v in sent.items()]
    request = Request({"type": "http", "method": "POST", "headers": raw}, receive)
    form = asyncio.run(read_form(request, staged, Bounds(most, 30, 500)))
    form.store()
    return form


@given(cuts=st.sets(st.integers(1, len(BODY) - 1)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_pieces_do_not_matter(tmp_path: Path, cuts: set[int]) -> None:
    """The same fields and bytes come out for every way to cut the body."""
    places = [0, *sorted(cuts), len(BODY)]
    chunks = [BODY[a:b] for a, b in pairwise(places)]

    form = _read(chunks, tmp_path / "staged")

    assert form.fields == {"language": "ChinesePRC", "image_url": ""}
    assert form.file_name == "季.png"
    assert form.file is not None
    assert form.file.read_bytes() == b"\x89PNG\r\n--not the end\r\n"


def test_too_large_by_its_length(tmp_path: Path) -> None:
    """The header is enough; not a byte of the body is read."""
    with pytest.raises(BodyTooLarge):
        _read([], tmp_path / "staged", headers={"content-length": "300000000"})


def test_too_large_by_its_bytes(tmp_path: Path) -> None:
    """Without a length, the first byte too many ends it."""
    with pytest.raises(BodyTooLarge):
        _read([BODY], tmp_path / "staged", most=10)


@pytest.mark.parametrize("end", [20, 150, len(BODY) - 8])
def test_cut_off(tmp_path: Path, end: int) -> None:
    """Half a body is not a document."""
    with pytest.raises(BadRequest):
        _read([BODY[:end]], tmp_path / "staged")


def test_two_documents(tmp_path: Path) -> None:
    """Which one was meant cannot be known."""
    part = BODY[: BODY.index(b'--b\r\nContent-Disposition: form-data; name="language')]

    with pytest.raises(BadRequest, match="twice"):
        _read([part + BODY], tmp_path / "staged")


@pytest.mark.parametrize("before", [True, False])
def test_an_empty_document_beside_another(tmp_path: Path, before: bool) -> None:
    """Clients send both names, and leave one empty: that is absent."""
    empty = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.png"\r\n\r\n\r\n'
    body = empty + BODY if before else BODY.replace(b"--b--", empty + b"--b--")

    form = _read([body], tmp_path / "staged")

    assert form.file_name == "季.png"
    assert form.file is not None
    assert form.file.read_bytes() == b"\x89PNG\r\n--not the end\r\n"


@pytest.mark.parametrize("kind", ["application/json", "application/x-www-form-urlencoded"])
def test_a_document_in_another_body(tmp_path: Path, kind: str) -> None:
    """It does not fit, and the client hears into which it does."""
    with pytest.raises(BodyTooLarge, match=r"1 MB.*multipart/form-data"):
        _read([b"x" * 1_100_000], tmp_path / "staged", 10**8, {"content-type": kind})


def test_many_parts(tmp_path: Path) -> None:
    """A flood of fields is refused."""
    part = b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n'

    with pytest.raises(BadRequest, match="parts"):
        _read([part * 2000 + b"--b--\r\n"], tmp_path / "staged", most=10**6)


def test_a_field_that_is_not_text(tmp_path: Path) -> None:
    """Fields are UTF-8."""
    body = b'--b\r\nContent-Disposition: form-data; name="format"\r\n\r\n\xff\r\n--b--\r\n'

    with pytest.raises(BadRequest, match="format"):
        _read([body], tmp_path / "staged")


def test_a_file_name_with_nul(tmp_path: Path) -> None:
    """It is no reason to refuse a document, and no part of its name."""
    body = BODY.replace(b"\xe5\xad\xa3", b"a\0b")

    assert _read([body], tmp_path / "staged").file_name == "ab.png"

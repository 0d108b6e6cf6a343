"""Log lines: for whom they are, in both forms, and what is in none of them."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO

import pytest
from starlette.testclient import TestClient

from app import logs
from app.context import Context, Place, working_for
from tests.conftest import TOKEN
from tests.pictures import picture

PLACE = Place("ab" * 16, "12" * 8)


@contextmanager
def lines(form: str) -> Iterator[StringIO]:
    """What is logged meanwhile, in this form."""
    out = StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(logs.formatter(form, "worker-1"))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield out
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def objects(out: StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_is_an_object() -> None:
    """It says for whom it is, and what went wrong, in one line."""
    with lines("json") as out, working_for(Context("r-1", "t-1", PLACE)):
        try:
            raise ValueError("第一行\nsecond")
        except ValueError:
            logging.getLogger("app.x").exception("page %d", 3)

    (found,) = objects(out)
    assert found.pop("time")
    assert found.pop("host")
    assert found.pop("pid")
    assert str(found.pop("exception")).endswith("ValueError: 第一行\nsecond")
    assert found == {
        "level": "error",
        "logger": "app.x",
        "message": "page 3",
        "request_id": "r-1",
        "task_id": "t-1",
        "trace_id": PLACE.trace_id,
        "span_id": PLACE.span_id,
        "worker": "worker-1",
    }


def test_a_line_for_people() -> None:
    """The ids follow the message, unless it has them; a traceback has lines of its own."""
    with lines("text") as out, working_for(Context("r-1", "t-1")):
        logging.getLogger("app.x").warning("task t-1 waits")
        try:
            raise ValueError
        except ValueError:
            logging.getLogger("app.x").exception("no")

    first, second, third, *_ = out.getvalue().splitlines()
    assert first.endswith("WARNING app.x: task t-1 waits [request r-1]")
    assert second.endswith("ERROR   app.x: no [task t-1] [request r-1]")
    assert third.startswith("Traceback")


@pytest.mark.parametrize(
    "said",
    [
        "postgresql+psycopg://ocr:geheim@db.internal/ocr does not answer",
        "GET https://s3.internal/a?X-Amz-Credential=geheim&X-Amz-Signature=geheim&x=1",
        "/tasks/output/ocr/1.txt?expires=1&signature=geheim",
        "{'password': 'geheim', 'format': 'txt'}",
        '{"password": "geheim"}',
        "Authorization: Bearer geheim",
        "X-API-KEY: geheim",
        "--token=geheim",
    ],
)
@pytest.mark.parametrize("form", ["text", "json"])
def test_secrets_that_others_log(form: str, said: str) -> None:
    """Libraries say what they are given; what is secret of it does not come out."""
    with lines(form) as out:
        logging.getLogger("some.library").warning("%s", said)
        try:
            raise OSError(said)
        except OSError:
            logging.getLogger("some.library").exception("failed")

    assert "geheim" not in out.getvalue()
    assert out.getvalue().count("***") >= 2


def test_a_request_has_a_line(client: TestClient) -> None:
    """With the client's id for it, and neither its token, its password, nor its document's name."""
    with lines("json") as out:
        answer = client.post(
            "/task/pic/ocr",
            headers={"X-Request-Id": "mine-1"},
            files={"image_file": ("Kündigung.png", picture())},
            data={"password": "geheim", "filename": "Kündigung.txt"},
        )
        client.get("/tasks/output/ocr/x.txt?expires=1&signature=abcdef")
        client.get("/healthz")

    assert answer.headers["x-request-id"] == "mine-1"
    found = objects(out)
    mine = [line for line in found if line.get("request_id") == "mine-1"]
    accesses = [line for line in found if "route" in line]
    assert {line["task_id"] for line in mine if "task_id" in line} == {
        answer.json()["data"]["task_id"]
    }
    request, result = accesses
    assert request["status"] == 200
    assert (request["method"], request["route"]) == ("POST", "/task/pic/ocr")
    assert request["bytes"] == len(answer.content)
    assert float(str(request["ms"])) > 0
    assert len(str(request["client"])) == 8
    assert (result["status"], result["route"]) == (404, "/tasks/output/ocr/{name}")
    for secret in (TOKEN, "geheim", "Kündigung", "abcdef"):
        assert secret not in out.getvalue()


@pytest.mark.parametrize("given", ["a b", "x" * 65, "a\u00e9", "", "<script>"])
def test_odd_ids_are_not_taken_over(client: TestClient, given: str) -> None:
    """What stands in logs and headers is ours then."""
    answer = client.get("/tasks", headers={b"X-Request-Id": given.encode()})

    assert len(answer.headers["x-request-id"]) == 32

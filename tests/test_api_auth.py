"""Who may enter."""

import time

import pytest
from starlette.testclient import TestClient

from app import access
from app.api.auth import digest
from app.rows import Token
from app.tasks import Tasks
from tests.conftest import TOKEN
from tests.pictures import picture


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Bearer",
        "Bearer sk-wrong",
        "Basic eDp5",
        "Bearer " + "x" * 5000,
        f"Bearer  {TOKEN}x",
        f"Digest {TOKEN}",
        "Bearer é".encode(),
    ],
)
def test_no_entry(client: TestClient, value: str | bytes) -> None:
    """The gateway's body, before anything of the request's is read."""
    shown = value.encode() if isinstance(value, str) else value
    response = client.post(
        "/task/pic/ocr", headers={b"Authorization": shown}, files={"image_file": picture()}
    )

    body = response.json()
    assert response.status_code == 401
    assert list(body) == ["error"]
    assert list(body["error"]) == ["message", "type", "code"]
    assert body["error"]["type"] == "new_api_error"
    assert response.headers["x-request-id"] in body["error"]["message"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": f"Bearer {TOKEN}"},
        {"Authorization": f"bearer {TOKEN}"},
        {"Authorization": TOKEN},
        {"X-API-KEY": TOKEN, "Authorization": ""},
        {"X-API-KEY": TOKEN, "Authorization": "Basic eDp5"},
    ],
)
def test_every_way_to_show_a_token(client: TestClient, headers: dict[str, str]) -> None:
    """``Bearer`` in any case, the bare token, the vendor's header."""
    assert client.get("/task/x", headers=headers).status_code == 404


def test_a_wrong_token_is_wrong_whatever_else_is_shown(client: TestClient) -> None:
    """Only what is no token makes way for the vendor's header."""
    for shown, key in (("Bearer sk-wrong", TOKEN), ("Basic eDp5", "sk-wrong"), ("Basic eDp5", "")):
        headers = {"Authorization": shown, "X-API-KEY": key}
        assert client.get("/task/x", headers=headers).status_code == 401


def test_tokens_of_the_database(client: TestClient, tasks: Tasks) -> None:
    """A token is valid until it expires or is revoked."""
    now = time.time()
    rows = {
        "good": Token(name="a", digest=digest("good"), created_at=now),
        "later": Token(name="b", digest=digest("later"), created_at=now, expires_at=now + 99),
        "old": Token(name="c", digest=digest("old"), created_at=now, expires_at=now - 1),
        "gone": Token(name="d", digest=digest("gone"), created_at=now),
    }
    with tasks.sessions.begin() as session:
        for row in rows.values():
            assert access.add_token(session, row)
    with tasks.sessions.begin() as session:
        assert access.change_token(session, "d", revoked_at=now)

    seen = {
        token: client.get("/task/x", headers={"Authorization": token}).status_code for token in rows
    }

    assert seen == {"good": 404, "later": 404, "old": 401, "gone": 401}


def test_what_is_not_named_public_is_guarded(client: TestClient) -> None:
    """A new route is closed until someone opens it."""
    for path in ("/web", "/tasks", "/task/x", "/nothing", "/healthz/x", "/docs/../task/x"):
        assert client.get(path, headers={"Authorization": ""}).status_code == 401

"""Addresses of results: static, or signed and good for a while."""

import stat
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from starlette.testclient import TestClient

from app import wiring
from app.config import Settings
from app.links import Links, kept_secret
from app.main import create_app
from tests.conftest import TOKEN, InlineQueue
from tests.pictures import picture
from tests.test_api_tasks import refused, send


@pytest.fixture
def client(settings: Settings, queue: InlineQueue) -> Iterator[TestClient]:
    """A server whose addresses are good for an hour."""
    signing = settings.model_copy(update={"result_url_s": 3600})
    wiring.migrate(signing)
    tasks = queue.tasks = wiring.build(signing, queue)
    with TestClient(create_app(signing, tasks), headers={"Authorization": TOKEN}) as client:
        yield client
    tasks.close()


def test_a_signed_address_opens_its_file(client: TestClient) -> None:
    """Its path still ends in the format; ranges and HEAD work as on static ones."""
    data = send(client, picture(), format="pdf").json()["data"]

    parts = urlsplit(data["file"])
    asked = parse_qs(parts.query)
    assert parts.path == f"/tasks/output/ocr/{data['task_id']}.pdf"
    assert set(asked) == {"expires", "signature"}
    assert 3500 < int(asked["expires"][0]) - time.time() <= 3600
    nobody = {"Authorization": ""}
    assert client.get(data["file"], headers=nobody).content.startswith(b"%PDF")
    part = client.get(data["file"], headers={**nobody, "Range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, b"%PDF")
    assert client.head(data["file"]).headers["content-length"] == str(data["output_size"])


def test_no_other_address_opens_it(client: TestClient) -> None:
    """Without a signature, with another's, with another end, or late."""
    data = send(client, picture()).json()["data"]
    other = send(client, picture()).json()["data"]
    path, _, query = data["file"].partition("?")
    asked = {name: values[0] for name, values in parse_qs(query).items()}
    later = str(int(asked["expires"]) + 1)

    for wrong in (
        {},
        {"expires": asked["expires"]},
        {**asked, "expires": later},
        {**asked, "expires": "é"},
        {**asked, "expires": "9" * 5000},
        {**asked, "signature": ""},
        {**asked, "signature": asked["signature"][:-1] + "ü"},
        {**asked, "signature": parse_qs(urlsplit(other["file"]).query)["signature"][0]},
    ):
        refused(client.get(path, params=wrong), 404)
    assert client.get(path, params=asked).status_code == 200


def test_an_address_has_its_end() -> None:
    """Who holds the secret alone can make it longer."""
    name = f"{uuid.uuid4()}.txt"
    links, others = Links(60, b"secret"), Links(60, b"other")
    past, future = str(int(time.time()) - 1), str(int(time.time()) + 60)

    assert links.opens(name, future, links._signature(name, future))
    assert not links.opens(name, past, links._signature(name, past))
    assert not links.opens(name, future, others._signature(name, future))
    assert not links.opens("x" + name, future, links._signature(name, future))


def test_the_secret_is_made_once(tmp_path: Path) -> None:
    """However many processes start together, they have the same; nobody else can read it."""
    path, found = tmp_path / "secret", set()
    together = threading.Barrier(8)

    def start() -> None:
        together.wait()
        found.add(kept_secret(path))

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == {path.read_bytes()}
    assert len(path.read_bytes()) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_secret_of_the_settings_is_taken(settings: Settings, queue: InlineQueue) -> None:
    """Several machines have the same; static addresses need none."""
    secret = type(settings.secret)("shared")
    for changes in ({"result_url_s": 60, "secret": secret}, {}):
        tasks = wiring.build(settings.model_copy(update=changes), queue)
        tasks.close()

    assert not (settings.data_dir / "secret").exists()

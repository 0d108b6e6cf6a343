"""More of a finished task: the stub engine reads each page once, whatever is made of it."""

import io
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import docx
import pytest
from httpx2 import Response
from PIL import Image as Pictures
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfgen.canvas import Canvas
from sqlalchemy import update
from starlette.testclient import TestClient

from app.config import Settings
from app.document import Line
from app.engines.stub import StubEngine
from app.interfaces import Image
from app.languages import Language
from app.rows import Task
from app.tasks import Tasks
from tests.conftest import InlineQueue
from tests.pictures import frames, picture
from tests.protection import protect_standard
from tests.stack import kept
from tests.test_api_tasks import refused, send

MAGIC = {
    **{"txt": b"stub", "pdf": b"%PDF-", "docx": b"PK", "xlsx": b"PK", "pptx": b"PK"},
    **{"json": b"{", "hocr": b"<?xml", "alto": b"<?xml"},
}


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes of the images that the engine was asked to read."""
    shapes: list[tuple[int, ...]] = []
    plain = StubEngine.recognize

    def recognize(
        self: StubEngine, image: Image, languages: Sequence[Language], dpi: float
    ) -> list[Line]:
        shapes.append(image.shape)
        return plain(self, image, languages, dpi)

    monkeypatch.setattr(StubEngine, "recognize", recognize)
    return shapes


def derive(client: TestClient, task_id: str, **fields: str) -> Response:
    return client.post(f"/task/{task_id}/formats", data=fields)


def done(response: Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    data: dict[str, Any] = response.json()["data"]
    assert data["state"] == 1, data
    return data


def test_every_format_of_a_finished_task(client: TestClient, read: list[tuple[int, ...]]) -> None:
    """Each is what it would have been at once, with a record and an address of its own."""
    content = frames(["ONE", "TWO"])
    first = done(send(client, content, language="English"))
    assert len(read) == 2

    for form, magic in MAGIC.items():
        data = done(derive(client, first["task_id"], format=form))
        result = client.get(data["file"], headers={"Authorization": ""}).content
        assert result.startswith(magic)
        assert (data["file_pages"], data["ocr_pages"]) == (2, 2)
        assert (data["task_id"] == first["task_id"]) == (form == "txt")
        assert done(derive(client, first["task_id"], format=form)) == data
        # Asked of one that was made so, it is the same.
        assert done(derive(client, data["task_id"], format=form)) == data
    assert len(read) == 2

    at_once = done(send(client, content, language="English", format="docx"))
    made = done(derive(client, first["task_id"], format="docx"))
    texts = [
        [p.text for p in docx.Document(io.BytesIO(client.get(each["file"]).content)).paragraphs]
        for each in (at_once, made)
    ]
    assert texts[0] == texts[1]


def test_no_pages_are_counted_and_no_limit_is_reached(
    settings: Settings, tasks: Tasks, queue: InlineQueue
) -> None:
    """A format more is not a document more."""
    from app import access
    from app.main import create_app

    limited = settings.model_copy(update={"rate_per_minute": 1, "page_quota": 100})
    with TestClient(
        create_app(limited, tasks), headers={"Authorization": "Bearer sk-test"}
    ) as client:
        task_id = done(send(client, picture()))["task_id"]
        for form in ("docx", "json"):
            done(derive(client, task_id, format=form))
    with tasks.sessions() as session:
        assert [*access.pages_used(session).values()] == [1]


def test_the_document(client: TestClient) -> None:
    """All of it, or a page."""
    task_id = done(send(client, frames(["ONE", "TWO"]), language="English"))["task_id"]

    document = client.get(f"/task/{task_id}/document")
    assert document.headers["content-type"] == "application/json"
    pages = document.json()["pages"]
    assert [page["number"] for page in pages] == [1, 2]
    assert [client.get(f"/task/{task_id}/document?page={n}").json() for n in (1, 2)] == pages
    for form, mark in (("hocr", b"ocr_page"), ("alto", b"<alto")):
        assert mark in client.get(f"/task/{task_id}/document?format={form}").content

    refused(client.get(f"/task/{task_id}/document?page=3"), 404, "page")
    refused(client.get(f"/task/{task_id}/document?page=0"), 404, "page")
    refused(client.get(f"/task/{task_id}/document?page=x"), 404, "page")
    refused(client.get(f"/task/{task_id}/document?format=docx"), 400, "format", "hocr")
    refused(client.get(f"/task/{task_id}/document?format=alto&page=1"), 400, "page")


def test_pictures_of_pages(client: TestClient, read: list[tuple[int, ...]]) -> None:
    """Of any page, also behind those that are made together, without reading anything."""
    task_id = done(send(client, frames([str(n) for n in range(12)]), language="English"))["task_id"]
    count = len(read)

    for number in (1, 12):
        response = client.get(f"/task/{task_id}/pages/{number}")
        assert response.headers["content-type"] == "image/jpeg"
        assert Pictures.open(io.BytesIO(response.content)).size == (900, 220)
    rows = len(client.get("/tasks").json()["data"]["tasks"][0]["formats"])
    for odd in ("13", "21", "999", "0", "-1", "x", "1" * 30):
        refused(client.get(f"/task/{task_id}/pages/{odd}"), 404, "page")
    assert len(read) == count
    assert len(client.get("/tasks").json()["data"]["tasks"][0]["formats"]) == rows


def test_what_was_locked(client: TestClient, tmp_path: Path) -> None:
    """Its password is gone, but the document is kept without it."""
    typed = tmp_path / "typed.docx"
    docx.Document().save(str(typed))
    protect_standard(typed, "s3cret")
    locked = io.BytesIO()
    canvas = Canvas(locked, encrypt=StandardEncryption("s3cret"))
    canvas.drawString(72, 700, "Hello")
    canvas.save()
    for content in (locked.getvalue(), typed.read_bytes()):
        data = done(send(client, content, language="English", password="s3cret"))
        done(derive(client, data["task_id"], format="docx"))
        assert client.get(f"/task/{data['task_id']}/document").status_code == 200


def test_only_of_what_is_complete_and_kept(
    client: TestClient, tasks: Tasks, queue: InlineQueue, settings: Settings
) -> None:
    """Each refusal says what to do."""
    failed = send(client, b"%PDF-1.7\nnot really").json()["data"]["task_id"]
    refused(derive(client, failed, format="docx"), 409, "failed")
    refused(derive(client, str(uuid.uuid4()), format="docx"), 404)

    gone = done(send(client, picture()))["task_id"]
    tasks.storage.delete(f"sources/{gone}")
    refused(derive(client, gone, format="docx"), 404, "again")
    assert not [*tasks.storage.settled("sources", 0)]

    whole = done(send(client, picture()))["task_id"]
    refused(derive(client, whole, format="odt"), 400, "format", "alto")
    refused(derive(client, whole, sync="1"), 400, "format")

    queue.held = True
    waiting = send(client, picture(), sync="0").json()["data"]["task_id"]
    refused(derive(client, waiting, format="docx"), 409, "complete")


def test_one_that_failed_is_made_again(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """But not at every request."""
    from app import tasks
    from app.errors import InternalError
    from app.writers.docx import DocxWriter

    task_id = done(send(client, picture()))["task_id"]

    def fail(*_: object) -> None:
        raise InternalError("Not today.")

    with monkeypatch.context() as patch:
        patch.setattr(DocxWriter, "write", fail)
        data = derive(client, task_id, format="docx").json()["data"]
        assert (data["state"], data["state_detail"]) == (-9, "Not today.")

    assert derive(client, task_id, format="docx").json()["data"] == data
    monkeypatch.setattr(tasks, "_AGAIN_S", 0.0)
    assert done(derive(client, task_id, format="docx"))["task_id"] != data["task_id"]


def test_a_deletion_takes_all_formats_along(client: TestClient, settings: Settings) -> None:
    """And leaves no file."""
    task_id = done(send(client, frames(["ONE", "TWO"])))["task_id"]
    addresses = [done(derive(client, task_id, format=form))["file"] for form in ("pdf", "json")]
    client.get(f"/task/{task_id}/pages/1")

    assert client.delete(f"/task/{task_id}").status_code == 200

    assert [client.get(address).status_code for address in addresses] == [404, 404]
    assert not kept(settings.data_dir)


def test_it_is_made_while_others_wait(client: TestClient, queue: InlineQueue) -> None:
    """Its document has had its turn: it comes next, whatever of its token waits."""
    task_id = done(send(client, picture()))["task_id"]
    queue.held = True
    next_one, later = (
        send(client, picture("LATER"), sync="0").json()["data"]["task_id"] for _ in range(2)
    )

    derived = derive(client, task_id, format="docx", sync="0").json()["data"]["task_id"]

    assert queue.ids == [next_one, later, derived]
    assert queue.places[0] < queue.places[2] < queue.places[1]


def test_only_so_many_at_once(
    client: TestClient, queue: InlineQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first passes those who wait, the others do not."""
    from app import tasks

    monkeypatch.setattr(tasks, "_MOST_DERIVED", 2)
    task_id = done(send(client, picture()))["task_id"]
    queue.held = True
    for _ in range(2):
        send(client, picture("LATER"), sync="0")

    made = [derive(client, task_id, format=form, sync="0") for form in ("docx", "pdf", "xlsx")]

    refused(made.pop(), 429)
    assert [each.status_code for each in made] == [200, 200]
    assert queue.places[0] < queue.places[2] < queue.places[1] < queue.places[3]
    assert len(queue.ids) == 4


def test_what_has_to_be_read_after_all_is_counted(
    client: TestClient, tasks: Tasks, read: list[tuple[int, ...]]
) -> None:
    """Of a document that was given back as it is, only its pictures are known; then all is."""
    from app import access

    typed = docx.Document()
    typed.add_picture(io.BytesIO(picture()))
    stream = io.BytesIO()
    typed.save(stream)
    task_id = done(send(client, stream.getvalue(), format="docx"))["task_id"]
    once = len(read)

    done(derive(client, task_id, format="pdf"))
    more = len(read)
    assert more > once
    for form in ("txt", "json"):
        done(derive(client, task_id, format=form))

    assert len(read) == more
    with tasks.sessions() as session:
        assert [*access.pages_used(session).values()] == [2]


def test_no_body_is_taken_in_vain(client: TestClient) -> None:
    """A document is there already, and so is the task."""
    files = {"image_file": ("a.png", picture())}
    refused(client.post(f"/task/{uuid.uuid4()}/formats", files=files), 404)

    task_id = done(send(client, picture()))["task_id"]
    refused(client.post(f"/task/{task_id}/formats", files=files), 413)

    without = client.post(f"/task/{task_id}/formats")
    refused(without, 400)
    assert "format" in without.json()["message"]
    assert "image_file" not in without.json()["message"]


def test_pages_go_with_their_document(client: TestClient, tasks: Tasks, settings: Settings) -> None:
    """When it is not kept any more, its pictures are not either; formats are results."""
    task_id = done(send(client, picture()))["task_id"]
    client.get(f"/task/{task_id}/pages/1")
    file = done(derive(client, task_id, format="docx"))["file"]
    with tasks.sessions.begin() as session:
        session.execute(update(Task).where(Task.id == task_id).values(source_since=1.0))

    tasks.sweeper.step()

    refused(client.get(f"/task/{task_id}/pages/1"), 404)
    assert client.get(file).status_code == 200
    kept = {key.rpartition(".")[2] for key in tasks.storage.settled("results", 0)}
    assert kept == {"txt", "docx"}

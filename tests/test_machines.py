"""Two API processes and a machine of workers; they share PostgreSQL, Redis and S3, no folder."""

import io
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import docx
import httpx2
import openpyxl
import pikepdf
import pptx
import psycopg
import pytest

from app.api.auth import digest
from tests.pictures import frames, picture
from tests.server import TOKEN, Server
from tests.stack import SERVICES, Place

PAGES = 24


@dataclass(frozen=True, slots=True)
class Machines:
    """Who answers, who only works, and what they share."""

    apis: tuple[Server, Server]
    worker: Server
    place: Place

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with closing(psycopg.connect(self.place.database)) as connection:
            return connection.execute(query.encode()).fetchall()

    def together(
        self, ask: Callable[[Server], httpx2.Response], each: int
    ) -> list[httpx2.Response]:
        """The answers of both to ``each`` requests at the same moment."""
        answers: list[httpx2.Response] = []
        barrier = threading.Barrier(each * len(self.apis))

        def send(api: Server) -> None:
            barrier.wait()
            answers.append(ask(api))

        threads = [threading.Thread(target=send, args=(api,)) for api in self.apis * each]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return answers


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    with SERVICES.place() as place:
        settings = place.settings | {
            "OCR_ENGINE": "stub",
            "OCR_STUB_PAGE_S": "0.1",
            "OCR_TURN_S": "0",
            "OCR_WORKERS": "1",
        }

        def server(name: str, command: str = "serve") -> Server:
            folder = tmp_path_factory.mktemp(name) / "data"
            folder.mkdir()
            made = Server(folder, settings, command=command)
            made.process = made.launch()
            return made

        one, two, worker = server("one"), server("two"), server("worker", "worker")
        try:
            for each in (one, two, worker):
                each.until(each.is_ready)
            yield Machines((one, two), worker, place)
        finally:
            for each in (one, two, worker):
                if each.process is not None:
                    each.process.terminate()  # All at once; then each is waited for.
            for each in (one, two, worker):
                each.stop()


def _post(api: Server, content: bytes, headers: dict[str, str], **fields: str) -> httpx2.Response:
    return httpx2.post(
        api.base + "/task/pic/ocr",
        headers={"Authorization": f"Bearer {TOKEN}", **headers},
        files={"image_file": ("document", content)},
        data=fields,
        timeout=60,
    )


def _file(api: Server, record: dict[str, object]) -> httpx2.Response:
    """A result as this API gives it, whoever told its address."""
    return httpx2.get(api.base + urlsplit(str(record["file"])).path)


def _words(content: bytes, form: str) -> str:
    file = io.BytesIO(content)
    match form:
        case "txt":
            return content.decode()
        case "pdf":
            with pikepdf.open(file) as pdf:
                return f"stub in {len(pdf.pages)} page"
        case "docx":
            return "\n".join(paragraph.text for paragraph in docx.Document(file).paragraphs)
        case "xlsx":
            rows = openpyxl.load_workbook(file).worksheets[0].iter_rows(values_only=True)
            return "\n".join(str(cell) for row in rows for cell in row)
    shapes = pptx.Presentation(file).slides[0].shapes
    return "\n".join(shape.text_frame.text for shape in shapes if shape.has_text_frame)


@pytest.mark.parametrize("form", ["txt", "pdf", "docx", "xlsx", "pptx"])
def test_any_api_answers_for_any_task(machines: Machines, form: str) -> None:
    """Who accepted it waits for its end; the other tells the same, and has the file, too."""
    one, two = machines.apis

    record = one.post(picture(), format=form)

    assert record["state"] == 1, record
    assert {**two.poll(record["task_id"]), "file": record["file"]} == record
    files = [_file(api, record) for api in (one, two)]
    assert files[0].content == files[1].content
    assert len(files[0].content) == record["output_size"]
    assert "stub" in _words(files[1].content, form)


def test_a_long_document_is_read_by_several_machines(machines: Machines) -> None:
    """Page by page, by whoever is free; each once, and in their order."""
    one, two = machines.apis
    document = frames([f"PAGE {n}" for n in range(PAGES)])

    task_id = one.post(document, sync="0", format="txt", language="English")["task_id"]
    holders = set()
    while (record := two.poll(task_id))["state"] not in (1, -9):
        query = f"SELECT leased_by FROM parts WHERE task_id = '{task_id}' AND leased_by IS NOT NULL"
        holders |= {str(row[0]) for row in machines.rows(query)}
        time.sleep(0.01)

    assert (record["state"], record["file_pages"], record["ocr_pages"]) == (1, PAGES, PAGES)
    assert _file(one, record).text.count("\f") == PAGES - 1
    folders = [server.folder for server in (one, two, machines.worker)]
    working = [f for f in folders if holders & {path.stem for path in f.glob("workers/*.lock")}]
    assert len(working) > 1
    assert machines.worker.folder in working


def test_another_api_makes_other_formats(machines: Machines) -> None:
    """Of a document that the first one took; and shows its pages."""
    one, two = machines.apis
    root = one.post(picture(), format="txt")["task_id"]
    headers = {"Authorization": f"Bearer {TOKEN}"}

    made = httpx2.post(
        f"{two.base}/task/{root}/formats", headers=headers, data={"format": "docx"}, timeout=60
    )
    page = httpx2.get(f"{two.base}/task/{root}/pages/1", headers=headers, timeout=60)

    record = made.json()["data"]
    assert record["state"] == 1, record
    assert "stub" in _words(_file(one, record).content, "docx")
    assert page.headers["content-type"] == "image/jpeg"


def test_a_deletion_by_another_api_leaves_nothing(machines: Machines) -> None:
    """Neither row nor file, and no machine gives out its copy; also while it is worked at."""
    one, two = machines.apis
    done = one.post(picture(), format="pdf")
    assert [_file(api, done).status_code for api in (one, two)] == [200, 200]
    busy = one.post(frames(["A"] * PAGES), sync="0")
    two.until(lambda: two.poll(busy["task_id"])["state"] == 4)

    headers = {"Authorization": f"Bearer {TOKEN}"}
    for record in (done, busy):
        gone = httpx2.delete(f"{two.base}/task/{record['task_id']}", headers=headers)
        assert gone.status_code == 200

    assert [_file(api, done).status_code for api in (one, two)] == [404, 404]
    names = (done["task_id"], busy["task_id"])

    def left() -> list[Path]:
        places = [s.folder for s in (one, two, machines.worker)] + [machines.place.storage.folder]
        paths = (path for folder in places for path in folder.rglob("*") if path.is_file())
        return [p for p in paths if "cache" not in p.parts and any(n in str(p) for n in names)]

    one.until(lambda: not left(), 20)
    assert machines.rows("SELECT task_id FROM parts") == []


def test_the_same_request_to_both_at_once_is_one_task(machines: Machines) -> None:
    """By its key; all of them are told of it."""
    key = {"Idempotency-Key": "once"}

    answers = machines.together(lambda api: _post(api, picture(), key, sync="0"), 4)

    assert {answer.status_code for answer in answers} == {200}
    (task_id,) = {answer.json()["data"]["task_id"] for answer in answers}
    assert machines.rows("SELECT id FROM tasks WHERE idempotency_key = 'once'") == [(task_id,)]


@pytest.mark.parametrize("limit", ["rate_per_minute", "tasks_at_once"])
def test_limits_hold_across_both(machines: Machines, limit: str) -> None:
    """Exactly, however the requests fall on them."""
    secret = f"sk-{limit}"
    with psycopg.connect(machines.place.database) as connection:
        connection.execute(
            f"INSERT INTO tokens (digest, name, created_at, {limit})"
            f" VALUES ('{digest(secret)}', '{limit}', 1, 3)".encode()
        )
    token = {"Authorization": f"Bearer {secret}"}
    document = frames(["A"] * PAGES)  # Long enough that none ends meanwhile.

    answers = machines.together(lambda api: _post(api, document, token, sync="0"), 4)

    assert Counter(answer.status_code for answer in answers) == {200: 3, 429: 5}
    for answer in answers:
        if answer.status_code == 200:
            task = f"{machines.apis[1].base}/task/{answer.json()['data']['task_id']}"
            assert httpx2.delete(task, headers=token).status_code == 200

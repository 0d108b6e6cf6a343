import hashlib
import hmac
import http.client
import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import openpyxl
import pikepdf
import pytest

from app import errors, media
from app.errors import AppError, State
from app.stub import papers
from app.stub.script import _FAILURES, _REFUSALS, _WORDS, parse
from pytest_ocr_server import OcrServer
from tests.pictures import picture
from tests.protection import protect_standard

PATH = "/task/pic/ocr"
FINAL = [state for state in State if state < 0]
GOING = [State.QUEUED, State.PREPARING, State.WAITING, State.PROCESSING]


@pytest.fixture
def http2(ocr_server: OcrServer) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=ocr_server.url, headers=ocr_server.headers, timeout=60) as client:
        yield client


@pytest.fixture
def send(http2: httpx2.Client) -> Any:
    """Posts a document, by default one that nobody could read; gives the answer."""

    def post(
        script: str | None = None, content: bytes = b"x", name: str = "document", **fields: str
    ) -> httpx2.Response:
        headers = {} if script is None else {"X-OCR-Stub": script}
        files = {"image_file": (name, content)}
        return http2.post(PATH, files=files, data=fields, headers=headers)

    return post


@pytest.mark.parametrize("state", FINAL)
def test_a_task_ends_in_any_state(send: Any, state: State) -> None:
    """With the words of the real server, and no result."""
    record = send(f"state={int(state)}").json()["data"]

    assert record["state"] == state
    assert len(record["state_detail"]) > 10
    assert "file" not in record
    assert {"completed_at", "processed_at", "input_size"} <= set(record)


@pytest.mark.parametrize("state", GOING)
def test_a_task_stays_in_any_state(send: Any, http2: httpx2.Client, state: State) -> None:
    """A client that waits for its end has to give up by itself."""
    task_id = send(f"state={int(state)}; progress=30; step=0", sync="0").json()["data"]["task_id"]

    record = _until(lambda: _data(http2, task_id), lambda r: r["state"] == state)

    assert "completed_at" not in record
    assert http2.delete(f"/task/{task_id}").status_code == 200


@pytest.mark.parametrize("word", _REFUSALS)
def test_a_request_is_refused(send: Any, word: str) -> None:
    """With every status and code of the real server, in its shape."""
    response = send(f"http={word}; retry=7")

    error = response.json()["error"]
    assert error["code"] == word if not word.isdecimal() else response.status_code == int(word)
    assert response.headers["x-request-id"] in error["message"]
    refused = word in ("401", "403")  # In the gateway's own shape.
    assert ("status" in response.json()) is not refused
    assert response.headers.get("retry-after") == (None if refused else "7")


def test_every_refusal_of_the_server_can_be_had() -> None:
    """Those that its errors name."""
    kinds = [k for k in vars(errors).values() if isinstance(k, type) and issubclass(k, AppError)]
    ours = {make().code for make in _REFUSALS.values()}

    assert {kind.code for kind in kinds if kind.status != 500} <= ours


def test_a_rate_has_its_usual_wait(send: Any) -> None:
    """Without a word for it."""
    assert send("http=429").headers["retry-after"] == "30"
    assert send("http=503").headers["retry-after"] == "10"


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("scan.stub-state=-7,delay=0.1.pdf", -7),
        ("scan.stub-state=-5", -5),
        ("a b.stub-text=ok;pages=2.docx", 1),
    ],
)
def test_the_name_of_a_document_is_a_script(send: Any, name: str, state: int) -> None:
    """For clients whose headers cannot be changed."""
    assert send(name=name).json()["data"]["state"] == state


def test_a_name_refuses_too_and_the_header_wins(send: Any) -> None:
    """A script in both places is that of the header."""
    assert send(name="a.stub-http=503.pdf").status_code == 503
    assert send("state=-8", name="a.stub-http=503.pdf").json()["data"]["state"] == -8


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("colour=red", "state, http, retry, delay"),
        ("state=5", "one of -15, -13"),
        ("state", "has no value"),
        ("delay=soon", "a number of seconds"),
        ("http=418", "one of 400, 401"),
        ("progress=10,500", "from 0 to 100"),
        ("drop=after", "before or during"),
    ],
)
def test_a_wrong_script_is_told(send: Any, script: str, told: str) -> None:
    """With the words and values that there are, also for a name."""
    for response in (send(script), send(name=f"a.stub-{script}.pdf")):
        assert response.status_code == 400
        assert told in response.json()["message"]


def test_progress_is_seen(send: Any, http2: httpx2.Client) -> None:
    """By who watches, step by step and never backwards, with pages to fit."""
    script = "progress=10,50,90; step=0.6; pages=10"
    task_id = send(script, sync="0").json()["data"]["task_id"]

    told = http2.get(f"/task/{task_id}/events").text
    seen = [json.loads(line[6:]) for line in told.splitlines() if line.startswith("data: ")]
    shown = [record["progress"] for record in seen]
    assert shown == sorted(shown)
    assert {50, 100} <= set(shown) <= {0, 10, 50, 90, 100}
    recognized = [record["ocr_pages"] for record in seen if "ocr_pages" in record]
    assert recognized == sorted(recognized)
    details = {record["progress"]: record["state_detail"] for record in seen}
    assert details[50] == "Processing: 5 of 10 pages"


def test_a_task_takes_its_time(send: Any, http2: httpx2.Client) -> None:
    """And others are done meanwhile."""
    slow = send("delay=3600", sync="0").json()["data"]["task_id"]
    began = time.monotonic()

    quick = send("delay=0.3; state=-7").json()["data"]

    assert quick["state"] == -7
    assert time.monotonic() - began >= 0.3
    assert _data(http2, slow)["state"] == 0


@pytest.mark.parametrize("form", ["txt", "pdf", "docx", "xlsx", "pptx"])
def test_the_text_is_what_was_asked_for(send: Any, form: str) -> None:
    """In every format, made by the real writers."""
    record = send("text=%E4%BD%A0%E5%A5%BD%2C%20OCR; pages=2", format=form).json()["data"]
    made = httpx2.get(record["file"]).content

    assert (record["file_pages"], record["ocr_pages"]) == (2, 2)
    assert record["output_size"] == len(made)
    if form == "txt":
        assert made.decode() == "你好, OCR\f你好, OCR"
    elif form == "pdf":
        assert len(pikepdf.open(io.BytesIO(made)).pages) == 2
    elif form == "xlsx":
        assert openpyxl.load_workbook(io.BytesIO(made)).worksheets[1]["A1"].value == "你好, OCR"
    else:
        with zipfile.ZipFile(io.BytesIO(made)) as package:
            everything = b"".join(map(package.read, package.namelist())).decode("utf-8", "replace")
        assert "你好" in everything


def test_pages_that_could_not_be_read(send: Any) -> None:
    """In the detail and the header, as the real server tells them; those that there are."""
    response = send("pages=3; failed=2,3,9")

    assert response.json()["data"]["state_detail"].endswith("could not be read: 2, 3")
    assert response.headers["x-ocr-failed-pages"] == "2,3"


def test_other_formats_have_the_same_text(send: Any, http2: httpx2.Client) -> None:
    """As if it had been recognized: with pages of blocks, and pictures of them."""
    task_id = send("pages=2; text=Hello").json()["data"]["task_id"]

    page = http2.get(f"/task/{task_id}/document", params={"page": 2}).json()
    other = http2.post(f"/task/{task_id}/formats", data={"format": "docx"}).json()["data"]

    assert [block["text"] for block in page["blocks"]] == ["Hello"]
    assert (other["file_pages"], other["ocr_pages"]) == (2, 2)
    assert http2.get(f"/task/{task_id}/pages/2").headers["content-type"] == "image/jpeg"


def test_a_document_without_a_script_is_read(send: Any) -> None:
    """By the real pipeline: the text of a PDF is its own, that of a picture the stub engine's."""
    born = send(content=papers.pdf(["Born digital"]), return_text="1").json()["data"]
    drawn = send(content=picture("AB"), return_text="1").json()["data"]

    assert (born["text"].strip(), born["ocr_pages"]) == ("Born digital", 0)
    assert drawn["text"].startswith("stub 1 ")
    assert drawn["ocr_pages"] == 1


@pytest.mark.parametrize("kind", [media.DOCX, media.PPTX, media.XLSX])
@pytest.mark.parametrize("form", ["txt", "docx"])
def test_office_documents_need_no_office(send: Any, tmp_path: Path, kind: str, form: str) -> None:
    """They have their pages; what LibreOffice would have laid out says that it was not."""
    path = tmp_path / "document"
    papers.office(["One", "Two", "Three"], kind, path)

    record = send(content=path.read_bytes(), format=form, return_text="1").json()["data"]

    assert record["state"] == 1
    assert record["file_pages"] == (1 if kind == media.DOCX else 3)
    assert "stands for the text" in record["text"] or kind == media.XLSX


def test_what_cannot_be_read_is_told(send: Any, tmp_path: Path) -> None:
    """Damaged and protected documents are as with the real server."""
    path = tmp_path / "document"
    papers.office(["One"], media.DOCX, path)
    whole = path.read_bytes()
    protect_standard(path, "secret")

    cut = send(content=whole[: len(whole) // 2]).json()["data"]
    locked = send(content=path.read_bytes()).json()["data"]
    opened = send(content=path.read_bytes(), password="secret").json()["data"]
    nothing = send().json()["data"]

    assert [each["state"] for each in (cut, locked, opened, nothing)] == [-7, -7, 1, -7]
    assert "password" in locked["state_detail"]


def test_nothing_is_fetched(http2: httpx2.Client) -> None:
    """A URL gives a document for its name, or what the script in it says, or is refused."""

    def record(url: str, **fields: str) -> dict[str, Any]:
        fields |= {"image_url": url, "return_text": "1"}
        return dict(http2.post(PATH, data=fields).json()["data"])

    assert record("https://nowhere.example/files/a.pdf?x=1")["text"].strip().endswith("for a.pdf.")
    assert record("https://nowhere.example/a.PNG")["ocr_pages"] == 1
    assert record("http://nowhere.example/a.stub-state=-3.pdf")["state"] == -3
    assert record("http://nowhere.example/a.stub-text=x.pdf?sig=1")["text"] == "x"
    assert record("http://169.254.169.254/a.pdf")["state"] == -3
    assert record("http://localhost/a.pdf")["state"] == -3


@pytest.mark.parametrize("way", ["header", "name"])
@pytest.mark.parametrize(
    ("drop", "error"),
    [("before", http.client.RemoteDisconnected), ("during", http.client.IncompleteRead)],
)
def test_the_connection_drops(
    ocr_server: OcrServer, http2: httpx2.Client, drop: str, error: type[Exception], way: str
) -> None:
    """Before the answer, or in its middle; in any case after the task was made."""
    script = f"drop={drop},text=x"
    headers = ocr_server.headers | {"Content-Type": "application/json"}
    headers |= {"Idempotency-Key": f"{drop} {way}"}
    name = "a.pdf" if way == "header" else f"a.stub-{script}.pdf"
    body = json.dumps({"image_url": f"http://nowhere.example/{name}"})
    asked = headers | ({"X-OCR-Stub": script} if way == "header" else {})
    connection = http.client.HTTPConnection("127.0.0.1", int(ocr_server.url.rpartition(":")[2]))
    connection.request("POST", PATH, body, asked)

    with pytest.raises(error):
        connection.getresponse().read()

    connection.close()
    # The first one's task, whatever is asked for now.
    again = http2.post(PATH, content=body, headers=headers | {"X-OCR-Stub": "state=-5"})
    assert again.json()["data"]["state"] == 1


def test_other_requests_have_scripts(send: Any, http2: httpx2.Client) -> None:
    """A poll may fail, or take its time, and so may a download."""
    data = send("text=x").json()["data"]
    began = time.monotonic()

    poll = http2.get(f"/task/{data['task_id']}", headers={"X-OCR-Stub": "http=503"})
    slow = http2.get(f"/task/{data['task_id']}", headers={"X-OCR-Stub": "delay=0.3"})
    gone = http2.get(data["file"], headers={"X-OCR-Stub": "http=result_expired"})

    assert (poll.status_code, slow.status_code, gone.status_code) == (503, 200, 404)
    assert time.monotonic() - began >= 0.3
    assert gone.json()["error"]["code"] == "result_expired"


def test_reports(send: Any, ocr_server: OcrServer) -> None:
    """They come to any port of this machine; once, twice, not at all, or not from us."""
    came: list[tuple[str, bool]] = []
    key = hashlib.sha256(ocr_server.token.encode()).hexdigest()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            signed = self.headers["X-OCR-Timestamp"].encode() + b"." + body
            ours = "sha256=" + hmac.new(key.encode(), signed, hashlib.sha256).hexdigest()
            told = json.loads(body)["data"]["task_id"]
            came.append((told, ours == self.headers["X-OCR-Signature"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as receiver:
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{receiver.server_port}/done"
        ids = [
            send(f"state=-7{more}", callback_url=url).json()["data"]["task_id"]
            for more in ("; callback=lost", "; callback=twice", "; callback=forged", "")
        ]
        _until(lambda: len(came), lambda n: n == 4)
        receiver.shutdown()

    assert sorted(came) == sorted([(ids[1], True), (ids[1], True), (ids[2], False), (ids[3], True)])


def test_a_wrong_token_is_refused(ocr_server: OcrServer) -> None:
    """Clients can be tested for it."""
    response = httpx2.post(ocr_server.url + PATH, headers={"Authorization": "Bearer sk-other"})

    assert response.status_code == 401
    assert response.json()["error"]["type"] == "new_api_error"


def test_scripts_wait_in_line(ocr_server: OcrServer, send: Any) -> None:
    """Each is one document's; a script of the document's own goes first, and uses none up."""
    ocr_server.script("http=503; retry=1", "state=-7")
    with pytest.raises(ValueError, match="known are state"):
        ocr_server.script("colour=red")

    answers = [send(), send("state=-1"), send(), send("text=x")]

    assert answers[0].status_code == 503
    assert [each.json()["data"]["state"] for each in answers[1:]] == [-1, -7, 1]


def test_what_came_is_shown(ocr_server: OcrServer, send: Any, http2: httpx2.Client) -> None:
    """Fields, document and answer, in the order in which they came."""
    task_id = send("state=-7", b"\r\n\0bytes", "合同.pdf", format="docx", odd="1").json()["data"][
        "task_id"
    ]
    http2.get(f"/task/{task_id}")

    first, second = ocr_server.requests
    assert (first.method, first.path, first.status) == ("POST", PATH, 200)
    assert first.fields == {"format": "docx", "odd": "1"}
    digest = hashlib.sha256(b"\r\n\0bytes").hexdigest()
    assert first.file == {"name": "合同.pdf", "size": 8, "sha256": digest}
    assert first.headers["authorization"] == "Bearer sk-stub"
    assert (second.method, second.path, second.fields) == ("GET", f"/task/{task_id}", None)


def test_it_starts_without_what_is_heavy(tmp_path: Path) -> None:
    """No engine, no reader or writer of documents, no migrations; they come when needed."""
    program = """
import sys
from pathlib import Path
import app.cli.serve
from app.config import Settings
from app.stub import server
application, workshop = server.build(Settings(data_dir=Path(sys.argv[1]), engine="stub"))
print(*sys.modules)
"""
    command = [sys.executable, "-c", program, str(tmp_path / "data")]

    loaded = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    assert "app.stub.work" in loaded
    heavy = {"cv2", "openvino", "pypdfium2", "pikepdf", "PIL", "lxml", "tesserocr", "alembic"}
    heavy |= {"docx", "pptx", "openpyxl", "reportlab", "fontTools", "huey", "app.page_maker"}
    assert not heavy & set(loaded)


def test_it_leaves_nothing(tmp_path: Path) -> None:
    """It says where it is and how to ask it, needs no folder, and removes what it kept."""
    process = subprocess.Popen(
        [sys.executable, "-m", "app.cli", "serve", "--stub", "--port", "0"],
        env={**os.environ, "TMPDIR": str(tmp_path), "PATH": "", "OCR_TOKENS": "sk-mine"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    said: list[str] = []
    with process.stdout:
        while not said or "return_text" not in said[-1]:  # The end of the line for curl.
            said.append(process.stdout.readline())
            assert said[-1]
    kept = [*tmp_path.iterdir()]

    process.send_signal(signal.SIGTERM)

    assert process.wait(30) == 0
    assert "Token:   sk-mine\n" in said
    assert len(kept) == 1
    assert not [*tmp_path.iterdir()]


def test_the_handbook_says_all() -> None:
    """Each word, state and refusal, with what is told of it."""
    text = (Path(__file__).parent.parent / "docs" / "stub.md").read_text(encoding="utf-8")

    assert not [word for word in _WORDS if f"| `{word}` |" not in text]
    assert not [word for word in _REFUSALS if f"`{word}`" not in text]
    assert not [state for state in GOING if f"| `{int(state)}` |" not in text]
    details = {state: str(make()) for state, make in _FAILURES.items()}
    assert not [
        s for s in FINAL if not re.search(rf"^\| `{int(s)}` .*`{details[s]}` \|$", text, re.M)
    ]


def test_scripts_are_read() -> None:
    """Lists, quoting, and either separator."""
    script = parse("progress=10,50,90,step=1;text=a%3Bb%2Cc%0Ad, pages=2 ")

    assert script.progress == (10, 50, 90)
    assert (script.step, script.pages) == (1, 2)
    assert script.texts == ["a;b,c\nd"] * 2


def _data(client: httpx2.Client, task_id: str) -> dict[str, Any]:
    return dict(client.get(f"/task/{task_id}").json()["data"])


def _until(look: Any, enough: Any) -> Any:
    """What ``look`` gives once it is ``enough``."""
    end = time.monotonic() + 30
    while not enough(found := look()):
        assert time.monotonic() < end, found
        time.sleep(0.05)
    return found

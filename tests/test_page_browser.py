"""The page for people, in Debian's Chromium, against a real server with the stub engine."""

import io
import json
import os
import re
import shutil
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import docx
import httpx2
import openpyxl
import pikepdf
import pytest
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright
from reportlab.pdfgen import canvas

from tests import web
from tests.pictures import frames, picture
from tests.server import TOKEN, Server

OPERATOR = "sk-operator"
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
AXE = files("axe_playwright_python") / "axe.min.js"
MAGIC = {
    "Plain text": b"stub",
    "Searchable PDF": b"%PDF-",
    "Word document": b"PK\x03\x04",
    "Excel workbook": b"PK\x03\x04",
    "PowerPoint slides": b"PK\x03\x04",
    "Pages with words and places": b'{"format"',
    "hOCR for other programs": b"<?xml",
    "ALTO for libraries": b"<?xml",
}

pytestmark = pytest.mark.skipif(
    shutil.which("chromium") is None and not os.environ.get("CI"),
    reason="Chromium is not installed",
)


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[web.Server]:
    """A server that documents are fetched from."""
    server = web.Server()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, elsewhere: web.Server) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("page") / "data"
    folder.mkdir()
    settings = {
        "OCR_ENGINE": "stub",
        "OCR_WORKERS": "1",
        "OCR_OPERATOR_TOKENS": OPERATOR,
        "OCR_FETCH_NETWORKS": "127.0.0.0/8",
        "OCR_FETCH_PORTS": str(elsewhere.port),
    }
    server = Server(folder, settings)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


class Visitor:
    """Opens pages, each of a new browser, that may neither break a rule nor ask another host."""

    def __init__(self, browser: Browser, server: Server) -> None:
        self.browser, self.server = browser, server
        self.troubles: list[str] = []
        self.contexts: list[Any] = []

    def __call__(
        self, token: str | None = TOKEN, view: str = "", width: int = 1280, **options: Any
    ) -> Page:
        options = {"locale": "en-GB", "reduced_motion": "reduce"} | options
        context = self.browser.new_context(viewport={"width": width, "height": 800}, **options)
        self.contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: self.troubles.append(str(error)))
        page.on("console", self._heard)
        page.on("request", self._asked)
        if token:
            keep = f"localStorage['ocr.token'] ??= {json.dumps(token)}"
            page.add_init_script(keep)
        page.goto(f"{self.server.base}/{view}")
        return page

    def _heard(self, message: Any) -> None:
        # A refusal of the server is an error to the browser, and expected in some tests.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.troubles.append(message.text)

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((self.server.base, "blob:" + self.server.base)):
            self.troubles.append(f"asked {request.url}")


@pytest.fixture
def visit(browser: Browser, server: Server) -> Iterator[Visitor]:
    visitor = Visitor(browser, server)
    yield visitor
    for context in visitor.contexts:
        context.close()
    assert visitor.troubles == []


def test_the_token_is_asked_for_once(visit: Visitor) -> None:
    """A wrong one is told apart; the right one is kept until it is forgotten."""
    page = visit(token=None)
    field = page.get_by_label("Token")
    expect(field).to_be_focused()
    for wrong in ("sk-wrong", "令牌"):
        field.fill(wrong)
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("does not know this token")
    field.fill(TOKEN)
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", name="Drop documents here")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Drop documents here")).to_be_visible()

    page.get_by_role("button", name="Token").click()
    page.get_by_role("button", name="Forget the token").click()

    expect(page.get_by_label("Token")).to_be_focused()
    page.reload()
    expect(page.get_by_label("Token")).to_be_visible()


def test_a_token_that_an_address_brings(visit: Visitor) -> None:
    """It is offered, not used unasked, and does not stay in the address."""
    page = visit(token=None, view=f"#token={TOKEN}")
    field = page.get_by_label("Token")
    expect(field).to_have_value(TOKEN)
    assert TOKEN not in page.url
    assert page.evaluate("localStorage['ocr.token']") is None

    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name="Drop documents here")).to_be_visible()


def test_a_token_that_ends_is_asked_for_again(visit: Visitor) -> None:
    """Whoever comes back with a token that is good no more is told so."""
    page = visit(token="sk-of-old")

    expect(page.get_by_role("alert")).to_contain_text("does not know this token")
    expect(page.get_by_label("Token")).to_be_focused()


def test_several_files_of_every_kind(visit: Visitor) -> None:
    """They are sent together, each becomes a task that is followed to its end, and is shown."""
    page = visit()
    documents = {
        "pages.pdf": _pdf(3),
        "text.docx": _docx(),
        "table.xlsx": _xlsx(),
        "photo.png": picture(),
        "frames.tiff": frames(["one", "two"]),
    }

    _send(page, documents)

    for name in documents:
        expect(_row(page, name)).to_have_attribute("data-kind", "ready", timeout=60_000)
    for name, shown in (
        ("pages.pdf", "typed page 1"),
        ("text.docx", "扫描件和照片都能识别"),
        ("table.xlsx", "单价"),
        ("photo.png", "900"),
    ):
        _open(page, name)
        expect(page.locator(".pane-text")).to_contain_text(shown)
        if name == "table.xlsx":  # A sheet has no picture: its words are shown.
            expect(page.locator(".sheet.bare")).to_contain_text(shown)
        else:
            _picture_shown(page)
        page.get_by_role("link", name="All documents").click()


def test_paste_and_drop(visit: Visitor) -> None:
    """A picture from the clipboard, files that are let go anywhere, and addresses."""
    page = visit()
    expect(page.get_by_role("heading", name="Drop documents here")).to_be_visible()

    page.evaluate(_GIVE, {"kind": "paste", "name": "pasted.png", "bytes": [*picture("PASTED")]})
    page.evaluate(_GIVE, {"kind": "drop", "name": "dropped.png", "bytes": [*picture("DROPPED")]})
    for name in ("pasted.png", "dropped.png"):
        expect(_row(page, name)).to_have_attribute("data-kind", "ready", timeout=30_000)
    page.evaluate(_GIVE, {"kind": "paste", "text": "https://example.org/a.pdf"})
    expect(page.get_by_label("Address of the document")).to_have_value("https://example.org/a.pdf")
    expect(page.locator("#curtain")).to_be_hidden()


def test_a_document_by_its_address(visit: Visitor, elsewhere: web.Server) -> None:
    """It is fetched by the server; an address that is none is told at once."""
    elsewhere.answers["/paper/scan.png?x=1"] = web.ok(picture("FETCHED"))
    page = visit()
    page.get_by_role("button", name="From a web address").click()
    field = page.get_by_label("Address of the document")
    expect(field).to_be_focused()
    field.fill("ftp://example.org/x")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("http://")

    field.fill(f"http://127.0.0.1:{elsewhere.port}/paper/scan.png?x=1")
    page.get_by_role("button", name="Fetch").click()

    expect(_row(page, "scan.png")).to_have_attribute("data-kind", "ready", timeout=30_000)


def test_sending_is_seen_and_can_be_stopped(visit: Visitor, server: Server) -> None:
    """The share that is sent; what is deleted on its way never becomes a task."""
    page = visit()
    expect(page.get_by_role("heading", name="Drop documents here")).to_be_visible()
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 200_000}
    page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", slow)
    _send(page, {"large.png": bytes(3_000_000)})
    row = _row(page, "large.png")
    expect(row).to_contain_text(re.compile(r"Sending – [1-9]\d? %"))
    expect(row.get_by_role("progressbar")).to_have_attribute("aria-valuenow", re.compile("[1-9]"))

    row.get_by_role("checkbox").check()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()

    expect(page.locator(".name", has_text="large.png")).to_have_count(0)
    listed = _get(server, "/tasks").json()["data"]["tasks"]
    assert "large.png" not in [task.get("filename") for task in listed]


def test_progress(visit: Visitor) -> None:
    """Place in the queue, then page by page; a stream that breaks off is taken up again."""
    page = visit()
    streams: list[Route] = []
    page.route("**/events", lambda route: streams.append(route))

    def tell(**news: Any) -> None:
        while not streams:
            page.wait_for_timeout(20)
        _tell(streams.pop(), news)

    _send(page, {"slow.png": picture("SLOW")})
    row = _row(page, "slow.png")
    tell(state=0, progress=0, position=2, state_detail="Queued")
    expect(row).to_contain_text("Waiting – 2 before it")
    tell(state=4, progress=22, file_pages=9, state_detail="Processing: 2 of 9 pages")
    expect(row).to_contain_text("Page 3 of 9")
    expect(row.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "22")
    row.get_by_role("link", name="slow.png").click()
    expect(page.locator(".cells .done")).to_have_count(2)
    tell(state=4, progress=55, file_pages=9, state_detail="Processing: 5 of 9 pages")
    expect(page.locator(".cells .done")).to_have_count(5)
    while not streams:
        page.wait_for_timeout(20)
    streams.pop().continue_()

    expect(page.locator(".viewer")).to_be_visible(timeout=20_000)


def test_progress_without_events(visit: Visitor) -> None:
    """Where a proxy lets no streams through, the page asks, until it is answered."""
    page = visit()
    page.route("**/events", lambda route: route.abort())
    gone = re.compile(r"/task/[0-9a-f-]{36}$")
    page.route(gone, lambda route: route.abort())

    _send(page, {"asked.png": picture("ASKED")})

    row = _row(page, "asked.png")
    expect(row).to_contain_text("No connection; trying again", timeout=20_000)
    page.unroute(gone)
    expect(row).to_have_attribute("data-kind", "ready", timeout=20_000)


def test_words_lie_over_the_picture(visit: Visitor, server: Server) -> None:
    """Each where the JSON says, at any zoom; both sides show what is meant; it can be copied."""
    page = visit()
    task = _done(server, frames(["over", "lay"]), "over.tiff")
    model = _get(server, f"/task/{task}/document?format=json&page=2").json()
    lowest = {"text": "竖排", "box": [800.0, 20.0, 830.0, 210.0], "confidence": 1.0}
    down = {"box": lowest["box"], "text": "竖排", "confidence": 1.0, "vertical": True}
    model["blocks"][-1]["lines"].append(down | {"words": [lowest]})
    page.route("**/document?*", lambda route: route.fulfill(json=model))
    page.goto(f"{server.base}/#/task/{task}/2")
    _picture_shown(page)
    words = [w for block in model["blocks"] for line in block["lines"] for w in line["words"]]

    for zoom in ("100%", "125%"):
        expect(page.locator(".tools")).to_contain_text(zoom)
        sheet = page.locator(".sheet").bounding_box()
        assert sheet
        scale = sheet["width"] / model["width"]
        spans = page.locator(".word")
        expect(spans).to_have_count(len(words))
        for n, word in enumerate(words):
            place = spans.nth(n).bounding_box()
            assert place
            left, top, right, bottom = (edge * scale for edge in word["box"])
            wanted = (sheet["x"] + left, sheet["y"] + top, right - left, bottom - top)
            found = (place["x"], place["y"], place["width"], place["height"])
            assert found == pytest.approx(wanted, abs=1.5)
        page.get_by_role("button", name="Larger").click()

    assert page.evaluate("document.documentElement.scrollHeight <= innerHeight")
    first = page.locator(".word").first
    first.hover()
    expect(page.get_by_role("tooltip")).to_have_text("100 % sure")
    expect(page.locator(".pane-text .hit")).to_have_text(words[0]["text"])
    page.locator(".pane-text .w").nth(1).hover()
    expect(page.locator(".word.hit")).to_have_text(words[1]["text"])
    first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".word").nth(1)).to_be_focused()
    page.keyboard.press("End")
    expect(page.locator(".word:focus")).to_have_text(words[5]["text"])
    selected = page.evaluate(
        "(getSelection().selectAllChildren(document.querySelector('.words')), `${getSelection()}`)"
    )
    lines = [line["text"] for block in model["blocks"] for line in block["lines"]]
    assert [line.strip() for line in selected.splitlines() if line.strip()] == lines


def test_pages_are_turned(visit: Visitor, server: Server) -> None:
    """By buttons, by number and by keys; the address keeps the place."""
    page = visit(view=f"#/task/{_done(server, _pdf(4), 'turned.pdf')}")
    text, number = page.locator(".pane-text"), page.get_by_role("textbox", name="Page")
    expect(text).to_contain_text("typed page 1")
    expect(page.get_by_role("button", name="Previous page")).to_be_disabled()

    page.get_by_role("button", name="Next page").click()
    expect(text).to_contain_text("typed page 2")
    page.locator("h1").focus()
    page.keyboard.press("ArrowRight")
    expect(text).to_contain_text("typed page 3")
    page.keyboard.press("ArrowLeft")
    expect(text).to_contain_text("typed page 2")
    number.fill("99")
    page.keyboard.press("Enter")
    expect(text).to_contain_text("typed page 4")
    expect(number).to_have_value("4")
    page.reload()
    expect(text).to_contain_text("typed page 4")


def test_uncertain_words_are_marked(visit: Visitor, server: Server) -> None:
    """Words of low confidence, if it is wished; the wish is remembered."""
    task = _done(server, picture("DOUBT"), "doubt.png")
    model = _get(server, f"/task/{task}/document?format=json&page=1").json()
    model["blocks"][0]["lines"][0]["words"][1]["confidence"] = 0.31
    page = visit()
    page.route("**/document?*", lambda route: route.fulfill(json=model))
    page.goto(f"{server.base}/#/task/{task}")
    expect(page.locator(".word.uncertain")).to_have_count(1)
    mark = page.get_by_role("checkbox", name="Uncertain words")
    expect(mark).not_to_be_checked()
    ground = "getComputedStyle(document.querySelector('.word.uncertain')).backgroundColor"
    assert page.evaluate(ground) == "rgba(0, 0, 0, 0)"

    mark.check()

    assert page.evaluate(ground) != "rgba(0, 0, 0, 0)"
    page.locator(".word.uncertain").hover()
    expect(page.get_by_role("tooltip")).to_have_text("31 % sure")
    page.reload()
    expect(page.get_by_role("checkbox", name="Uncertain words")).to_be_checked()


def test_tables(visit: Visitor, server: Server) -> None:
    """Real tables, to be copied for a spreadsheet."""
    task = _done(server, _xlsx(), "table.xlsx")
    page = visit(view=f"#/task/{task}", permissions=["clipboard-read", "clipboard-write"])

    page.get_by_role("tab", name="Tables").click()

    expect(page.get_by_role("cell", name="12.5")).to_be_visible()
    page.get_by_role("button", name="Copy for a spreadsheet").click()
    expect(page.get_by_role("status")).to_have_text("Copied.")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.splitlines() == ["item\t单价", "pen\t12.5"]
    # A page that comes over plain HTTP from elsewhere has none of the newer means.
    page.evaluate("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    page.get_by_role("button", name="Copy the text").click()
    page.get_by_role("link", name="All documents").click()
    page.get_by_role("button", name="From a web address").click()
    page.keyboard.press("Control+V")
    expect(page.get_by_label("Address of the document")).to_have_value(re.compile("^item.*12.5$"))


def test_a_page_without_end(visit: Visitor, server: Server) -> None:
    """Of a sheet that a browser could not show, the beginning is shown."""
    task = _done(server, _xlsx(), "endless.xlsx")
    model = _get(server, f"/task/{task}/document?format=json&page=1").json()
    table = model["blocks"][0]
    table["rows"], cell = 7_000, table["cells"][0]
    table["cells"] = [cell | {"row": n} for n in range(table["rows"])]
    page = visit()
    page.route("**/document?*", lambda route: route.fulfill(json=model))

    page.goto(f"{server.base}/#/task/{task}")

    beginning = page.locator(".pane-text .note").last
    expect(beginning).to_contain_text("only its beginning is shown", timeout=20_000)
    expect(page.locator(".pane-text tr")).to_have_count(5_999)


def test_every_format_can_be_downloaded(visit: Visitor, server: Server) -> None:
    """The one that was asked for, and all others, none of them recognized again."""
    page = visit(view=f"#/task/{_done(server, picture('FORMATS'), 'formats.png', 'txt')}")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download: Text").click()
    assert download.value.suggested_filename == "formats.txt"
    assert Path(download.value.path()).read_bytes().startswith(b"stub")

    for name, magic in MAGIC.items():
        page.get_by_role("button", name="Download in another format").click()
        with page.expect_download(timeout=30_000) as download:
            page.get_by_role("button", name=name).click()
        assert Path(download.value.path()).read_bytes().startswith(magic), name


def test_what_fails_says_what_to_do(visit: Visitor) -> None:
    """A file that is none, and one whose password is missing, then wrong, then right."""
    page = visit(locale="zh-CN")
    _send(page, {"坏.pdf": b"%PDF-1.7\n" + bytes(100), "锁.pdf": _pdf(1, password="secret")})

    bad, locked = _row(page, "坏.pdf"), _row(page, "锁.pdf")
    expect(bad).to_have_attribute("data-kind", "failed", timeout=30_000)
    expect(bad.locator(".why")).to_contain_text(re.compile("[\u4e00-\u9fff]"))
    expect(locked.locator(".why")).to_have_text("文档受密码保护，请提供密码。", timeout=30_000)
    for password, outcome in (("wrong", "failed"), ("secret", "ready")):
        locked.get_by_label("文档的密码").fill(password)
        page.keyboard.press("Enter")
        expect(locked).to_have_attribute("data-kind", outcome, timeout=30_000)
        if password == "wrong":
            expect(locked.locator(".why")).to_have_text("密码不正确，请重新提供文档的密码。")
    expect(locked).to_have_count(1)


def test_a_busy_server_is_asked_again(visit: Visitor) -> None:
    """A refusal that says when to come back is no failure; another one says why."""
    page = visit()
    answers = [
        {
            "status": 503,
            "headers": {"Retry-After": "1"},
            "json": {"message": "Busy.", "error": {"code": "x"}},
        },
        {"status": 413, "json": {"message": "Too large.", "error": {"code": "file_too_large"}}},
    ]
    page.route(
        "**/task/pic/ocr",
        lambda route: route.fulfill(**answers.pop(0)) if answers else route.continue_(),
    )

    _send(page, {"again.png": picture("AGAIN")})

    row = _row(page, "again.png")
    expect(row).to_contain_text("trying again in 1 s")
    expect(row.locator(".why")).to_have_text("Too large.")
    row.get_by_role("button", name="Try again").click()
    expect(row).to_have_attribute("data-kind", "ready", timeout=30_000)


def test_history_and_deletion(visit: Visitor, server: Server) -> None:
    """Tasks come back with the token; several are deleted after a question."""
    tasks = [_done(server, picture(f"OLD {n}"), f"old-{n}.png") for n in range(4)]
    page = visit(token=None)
    page.route(
        "**/tasks?limit=30*",
        lambda route: route.continue_(url=route.request.url.replace("limit=30", "limit=2")),
    )
    page.get_by_label("Token").fill(TOKEN)
    page.keyboard.press("Enter")
    expect(page.locator(".task")).to_have_count(2)
    page.get_by_role("button", name="Show older ones").click()
    expect(page.locator(".task")).to_have_count(4)
    expect(page.get_by_role("link", name="old-1.png", exact=True)).to_be_focused()

    for n in (0, 2):
        page.get_by_role("checkbox", name=f"Select old-{n}.png").check()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator(".task")).to_have_count(4)
    expect(page.get_by_role("button", name="Delete")).to_be_focused()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()

    for n, there in enumerate((0, 1, 0, 1)):
        expect(page.locator(".name", has_text=f"old-{n}.png")).to_have_count(there)
    states = [_get(server, f"/task/{task}").status_code for task in tasks]
    assert states == [404, 200, 404, 200]
    _open(page, "old-1.png")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="Drop documents here")).to_be_visible()
    expect(page.locator(".name", has_text="old-1.png")).to_have_count(0)
    page.goto(f"{server.base}/#/task/{tasks[0]}")
    expect(page.locator("main")).to_contain_text("There is no such document")


def test_what_a_document_is_called_and_says_is_text(visit: Visitor, server: Server) -> None:
    """Nothing that a sender chose is ever HTML."""
    evil = "<img src=x onerror=alert(1)>"
    out = io.BytesIO()
    document = docx.Document()
    document.add_paragraph(evil)
    document.save(out)
    task = _done(server, out.getvalue(), f"{evil}.docx")
    page = visit()

    expect(page.locator(".task").first.locator(".name")).to_have_text(f"{evil}.docx")
    page.goto(f"{server.base}/#/task/{task}")
    expect(page.locator("h1")).to_have_text(f"{evil}.docx")
    expect(page.locator(".reading").first).to_have_text(evil)
    assert page.evaluate("document.querySelectorAll('[onerror]').length") == 0


def test_languages_are_found_by_any_name(visit: Visitor, server: Server) -> None:
    """In English, in Chinese, by the name that programs use; at most ten; they are remembered."""
    page = visit()
    field = page.get_by_role("combobox")
    chips = page.locator(".chip")
    expect(chips).to_have_text(["Chinese (Simplified)", "English"])

    for wanted in ("日语", "Norwegian (Ny", "ukrain", "RhaetoRomanic", "Provencal"):
        field.fill(wanted)
        page.keyboard.press("Enter")
    for chip in chips.all()[:1]:
        chip.get_by_role("button").click()
    expect(chips).to_have_text(
        [
            "English",
            "Japanese",
            "Norwegian (Nynorsk)",
            "Ukrainian",
            "Romansh (Rhaeto-Romanic)",
            "Provençal",
        ]
    )
    for _ in range(6):
        field.click()
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Enter")
        field.fill("zu" if _ == 0 else ("ab", "ad", "ag", "ay", "ba")[_ - 1])
        page.keyboard.press("Enter")
    expect(chips).to_have_count(10)
    expect(page.get_by_role("status")).to_contain_text("At most 10")
    page.reload()
    expect(chips).to_have_count(10)
    page.get_by_role("button", name="Chinese + English").click()
    expect(chips).to_have_count(2)
    page.get_by_role("radio", name="Excel").check()
    _send(page, {"wish.png": picture("WISH")})
    expect(_row(page, "wish.png")).to_have_attribute("data-kind", "ready", timeout=30_000)
    newest = _get(server, "/tasks?limit=1").json()["data"]["tasks"][0]
    assert (newest["languages"], newest["format"]) == (["ChinesePRC", "English"], "xlsx")


def test_language_and_colours_of_the_page(visit: Visitor) -> None:
    """The browser's first, then what was chosen."""
    page = visit(locale="zh-CN", color_scheme="dark")
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    expect(page.get_by_role("heading", name="把文档拖到这里")).to_be_visible()
    dark = page.evaluate(ground)

    page.get_by_role("button", name="Switch to English").click()
    page.get_by_role("button", name="Colours").click()

    for _ in range(2):
        expect(page.get_by_role("heading", name="Drop documents here")).to_be_visible()
        assert page.evaluate(ground) != dark
        assert page.evaluate("document.documentElement.lang") == "en"
        page.reload()


def test_a_telephone(visit: Visitor, server: Server) -> None:
    """At 360 pixels nothing is wider than the screen, and each part of a result has a tab."""
    task = _done(server, _table(), "a-table-with-a-name-that-is-long-" + "x" * 60 + ".docx")
    page = visit(token=OPERATOR, width=360)
    wide = "document.documentElement.scrollWidth > innerWidth"
    expect(page.get_by_role("heading", name="Drop documents here")).to_be_visible()
    assert not page.evaluate(wide)
    page.get_by_role("link", name="Operations").click()
    expect(page.get_by_role("table")).not_to_have_count(0)
    assert not page.evaluate(wide)

    page = visit(view=f"#/task/{task}", width=360)
    _picture_shown(page)
    assert not page.evaluate(wide)
    expect(page.locator(".pane-text")).to_be_hidden()
    for name in ("Text", "Tables"):
        page.get_by_role("tab", name=name).click()
        expect(page.get_by_role("tabpanel")).to_contain_text("单价")
        assert not page.evaluate(wide)


def test_the_keyboard_is_enough(visit: Visitor) -> None:
    """From the token to a download, without a pointer."""
    page = visit(token=None)
    keys = _files({"keys.png": picture("KEYS")})
    page.on("filechooser", lambda chooser: chooser.set_files(keys))
    expect(page.get_by_label("Token")).to_be_focused()
    page.keyboard.type(TOKEN)
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Choose files")).to_be_focused()
    page.keyboard.press("Enter")
    expect(_row(page, "keys.png")).to_have_attribute("data-kind", "ready", timeout=30_000)

    _tab_to(page, "a.name")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="keys.png")).to_be_focused()
    _tab_to(page, "[aria-label='Download in another format']")
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Plain text")).to_be_hidden()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert Path(download.value.path()).read_bytes().startswith(b"stub")
    _tab_to(page, "[role=tab]")
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", name="Tables")).to_be_focused()
    expect(page.locator(".pane-tables")).to_be_visible()


def test_operators_see_how_the_server_does(visit: Visitor, server: Server) -> None:
    """It is looked at again and again; others do not see that there is such a view."""
    page = visit()
    expect(page.locator("main")).to_contain_text("Documents")
    expect(page.get_by_role("link", name="Operations")).to_be_hidden()

    page = visit(token=OPERATOR)
    page.get_by_role("link", name="Operations").click()
    expect(page.get_by_role("heading", name="Operations")).to_be_focused()
    done = page.locator(".figure", has_text="Done, last hour").locator("dd")
    expect(done).to_have_text(re.compile(r"\d+"))
    before = int(done.inner_text())
    page.locator(".table-frame").first.focus()
    _done(server, picture("ONE MORE"), "more.png")
    expect(done).to_have_text(str(before + 1))
    expect(page.get_by_role("table").first).to_contain_text("Idle")
    expect(page.locator(".table-frame").first).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_barrier(visit: Visitor, server: Server, scheme: Any) -> None:
    """No state has a fault that axe calls serious."""
    failed = _done(server, b"no document", "bad.bin")
    page = visit(token=None, color_scheme=scheme)
    expect(page.get_by_label("Token")).to_be_visible()
    faults = {"gate": _faults(page)}
    page = visit(token=OPERATOR, view="#/operations", color_scheme=scheme)
    expect(page.get_by_role("table")).not_to_have_count(0)
    faults["operations"] = _faults(page)
    page = visit(color_scheme=scheme)
    page.get_by_role("button", name="From a web address").click()
    page.locator(".check input").nth(1).check()
    page.get_by_role("combobox").fill("an")
    expect(page.get_by_role("option").first).to_be_visible()
    faults["home"] = _faults(page)
    page.get_by_role("button", name="Delete").click()
    faults["question"] = _faults(page)
    page.goto(f"{server.base}/#/task/{failed}")
    page.reload()
    expect(page.locator(".why")).to_be_visible()
    faults["failed"] = _faults(page)
    page.goto(f"{server.base}/#/task/{_done(server, _table(), 'table.docx')}")
    _picture_shown(page)
    page.get_by_role("checkbox", name="Uncertain words").check()
    page.locator(".pane-text .w").first.hover()
    faults["text"] = _faults(page)
    page.get_by_role("tab", name="Tables").click()
    page.get_by_role("button", name="Download in another format").click()
    faults["tables"] = _faults(page)

    assert {state: found for state, found in faults.items() if found} == {}


def _faults(page: Page) -> list[str]:
    """What axe calls serious or critical."""
    page.evaluate(AXE.read_text("utf-8"))
    found = page.evaluate("axe.run({resultTypes: ['violations']})")
    return [
        f"{fault['id']}: {node['html'][:120]} {node['failureSummary'][:200]}"
        for fault in found["violations"]
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    ]


def _tab_to(page: Page, selector: str) -> None:
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate(f"document.activeElement.matches({json.dumps(selector)})"):
            return
    raise AssertionError(f"the focus never came to {selector}")


def _send(page: Page, documents: dict[str, bytes]) -> None:
    page.locator("#files").set_input_files(_files(documents))


def _files(documents: dict[str, bytes]) -> list[Any]:
    return [
        {"name": name, "mimeType": "application/octet-stream", "buffer": content}
        for name, content in documents.items()
    ]


def _row(page: Page, name: str) -> Any:
    return page.locator(".task", has=page.locator(".name", has_text=name)).first


def _open(page: Page, name: str) -> None:
    page.get_by_role("link", name=name, exact=True).first.click()
    expect(page.get_by_role("heading", name=name)).to_be_focused()


def _picture_shown(page: Page) -> None:
    expect(page.locator(".sheet img")).to_have_js_property("complete", True, timeout=30_000)
    expect(page.locator(".sheet img")).to_have_attribute("src", re.compile("^blob:"))
    assert page.locator(".sheet img").evaluate(
        "image => image.decode().then(() => image.naturalWidth)"
    )


def _tell(route: Route, news: dict[str, Any]) -> None:
    task = route.request.url.split("/")[-2]
    data = json.dumps(news | {"type": 101, "task_id": task, "created_at": 1_700_000_000})
    body = f": hello\n\nevent: task\ndata: {data}\n\n"
    route.fulfill(content_type="text/event-stream", body=body)


def _done(server: Server, content: bytes, name: str, form: str = "docx") -> str:
    return str(server.post(content, filename=name, format=form)["task_id"])


def _get(server: Server, path: str) -> httpx2.Response:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    return httpx2.get(server.base + path, headers=headers, timeout=30)


def _pdf(pages: int, password: str = "") -> bytes:
    out = io.BytesIO()
    drawing = canvas.Canvas(out, pagesize=(595, 842))
    for n in range(pages):
        drawing.setFont("Helvetica", 24)
        drawing.drawString(72, 700, f"typed page {n + 1}")
        drawing.showPage()
    drawing.save()
    if not password:
        return out.getvalue()
    locked = io.BytesIO()
    with pikepdf.open(io.BytesIO(out.getvalue())) as pdf:
        pdf.save(locked, encryption=pikepdf.Encryption(owner="owner", user=password, R=6))
    return locked.getvalue()


def _docx() -> bytes:
    out = io.BytesIO()
    document = docx.Document()
    document.add_heading("Quarterly report", 1)
    document.add_paragraph("扫描件和照片都能识别")
    document.save(out)
    return out.getvalue()


def _table() -> bytes:
    out = io.BytesIO()
    document = docx.Document()
    table = document.add_table(2, 2)
    table.style = "Table Grid"
    for cell, text in zip(table._cells, ("item", "单价", "pen", "12.5"), strict=True):
        cell.text = text
    document.save(out)
    return out.getvalue()


def _xlsx() -> bytes:
    out = io.BytesIO()
    book = openpyxl.Workbook()
    assert book.active is not None
    book.active.append(["item", "单价"])
    book.active.append(["pen", 12.5])
    book.save(out)
    return out.getvalue()


_GIVE = """({kind, name, bytes, text}) => {
    const data = new DataTransfer();
    if (name) data.items.add(new File([new Uint8Array(bytes)], name, {type: "image/png"}));
    else data.setData("text/plain", text);
    const kinds = kind === "paste" ? ["paste"] : ["dragenter", "dragover", "drop"];
    for (const each of kinds) {
        const options = {bubbles: true, cancelable: true};
        const event = kind === "paste"
            ? new ClipboardEvent(each, {...options, clipboardData: data})
            : new DragEvent(each, {...options, dataTransfer: data});
        document.body.dispatchEvent(event);
    }
}"""

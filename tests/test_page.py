"""The page for people, as it comes over HTTP."""

import ast
import re
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from app import errors, languages
from app.api.page import WEB
from app.config import Settings
from app.errors import AppError, ToolFailed
from app.main import create_app
from app.tasks import Tasks

FILES = sorted(path.name for path in WEB.iterdir())
PATHS = ["/", "/web/languages.json", *(f"/web/{name}" for name in FILES if name != "index.html")]


@pytest.fixture
def stranger(settings: Settings, tasks: Tasks) -> TestClient:
    """Somebody without a token."""
    return TestClient(create_app(settings, tasks))


def test_every_file_is_served_to_everybody(stranger: TestClient) -> None:
    """No token is needed; a browser may neither guess at types nor load anything from elsewhere."""
    kinds = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
    kinds |= {".json": "application/json", "": "text/html"}

    for path in PATHS:
        response, head = stranger.get(path), stranger.head(path)
        assert response.status_code == head.status_code == 200
        assert response.content
        assert not head.content
        policy = response.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; ")
        assert "unsafe" not in policy
        assert "//" not in policy
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "no-referrer"
        assert response.headers["content-type"].startswith(kinds[Path(path).suffix])


def test_an_update_is_seen_at_once(stranger: TestClient) -> None:
    """The browser asks each time, and hears of what it has that it has not changed."""
    first = stranger.get("/", headers={"Accept-Encoding": "gzip"})
    plain = stranger.get("/", headers={"Accept-Encoding": "identity"})
    same = stranger.get("/", headers={"If-None-Match": f'"other", {first.headers["etag"]}'})
    other = stranger.get("/", headers={"If-None-Match": 'W/"other"'})

    assert first.headers["cache-control"] == "no-cache"
    assert first.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert plain.text == first.text == (WEB / "index.html").read_text("utf-8")
    assert (same.status_code, same.content) == (304, b"")
    assert same.headers["etag"] == first.headers["etag"]
    assert other.status_code == 200


def test_nothing_else_is_served(stranger: TestClient) -> None:
    """What is not part of the page is not there."""
    for name in ("nothing.js", "index.html", "..%2Fconfig.py", "%2e%2e%2Fmain.py"):
        assert stranger.get(f"/web/{name}").status_code == 404


@pytest.mark.parametrize("name", FILES)
def test_no_other_host_is_named(name: str) -> None:
    """Nothing is fetched from elsewhere, and the policy has nothing inline to forbid."""
    text = (WEB / name).read_text("utf-8")

    names = set(re.findall(r"[\"'`(=]((?:https?:)?//[\w-]+\.[\w.-]+)", text))
    assert names <= {"http://www.w3.org"}  # The names of SVG.
    assert not re.search(r"style=|<style|\son\w+=|<script>|setAttribute\(\"style", text)


def test_every_module_is_loaded_ahead() -> None:
    """The modules that the first one asks for come at the same time, not one after another."""
    page = (WEB / "index.html").read_text("utf-8")

    ahead = set(re.findall(r'(?:modulepreload|module)" (?:src|href)="web/(\S+\.js)"', page))
    assert ahead == {name for name in FILES if name.endswith(".js")} - {"early.js"}


def test_every_language_can_be_chosen(stranger: TestClient) -> None:
    """All names are offered, in English and Chinese, or found as another name of one of them."""
    rows = stranger.get("/web/languages.json").json()

    offered = {name for row in rows for name in (row[0], *row[3:])}
    assert offered == set(languages.names()) - {"CMC7", "E13B", "Symbols"}
    assert all(re.search(r"[\u4e00-\u9fff]", row[2]) for row in rows)
    assert all(row[1].isascii() or row[1][0].isascii() for row in rows)
    for column in (0, 1, 2):
        assert len({row[column] for row in rows}) == len(rows)
    for row in rows:
        languages.parse(row[0])


def test_both_languages_say_everything() -> None:
    """Each sentence of the page is there in English and in Chinese."""
    text = (WEB / "text.js").read_text("utf-8")

    english, chinese = text.split("\n};")[0].split("\n  zh: {")
    keys = [re.findall(r'^    "?([\w.]+)"?:', part, re.MULTILINE) for part in (english, chinese)]
    assert keys[0] == keys[1]
    assert len(keys[0]) == len(set(keys[0])) > 100
    used = set()
    for name in FILES:
        code = (WEB / name).read_text("utf-8")
        used |= set(re.findall(r'\bt\(\s*"([\w.]+)"', code))
        used |= set(re.findall(r'data-t(?:-\w+)?="([\w.]+)"', code))
    assert used <= set(keys[0])


def test_why_a_task_fails_is_known_in_chinese() -> None:
    """Each sentence with which a task can end, or a request about it, has its Chinese one."""
    details = (WEB / "details.js").read_text("utf-8")
    known = []
    for sentence in re.findall(r'^  "(.+?)":', details, re.MULTILINE):
        pattern = re.escape(sentence).replace(r"\{n\}", r"[\d.,]+").replace(r"\{\*\}", ".+?")
        known.append(re.compile(pattern))

    for sentence in _sentences():
        assert any(each.fullmatch(sentence) for each in known), sentence


def _sentences() -> set[str]:
    """What the errors of tasks say in the program, with 12 for what is filled in."""
    found = set()
    paths = [path for path in WEB.parent.rglob("*.py") if "cli" not in path.parts]
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(func=ast.Name(name), args=[ast.Constant(str(text)), *_]):
                    parts = [text]
                case ast.Call(func=ast.Name(name), args=[ast.JoinedStr(values), *_]):
                    parts = [str(v.value) if isinstance(v, ast.Constant) else "12" for v in values]
                case _:
                    continue
            error = getattr(errors, name, None)
            if isinstance(error, type) and issubclass(error, AppError) and _ends_tasks(error):
                found.add("".join(map(str, parts)))
    return found


def _ends_tasks(error: type[AppError]) -> bool:
    """Adapters turn the failures of their tools into others."""
    return error.state != AppError.state and not issubclass(error, ToolFailed)

"""The description of the API that can be looked at."""

import re

import httpx2
from playwright.sync_api import sync_playwright
from starlette.testclient import TestClient

from pytest_ocr_server import OcrServer


def test_it_needs_no_token_and_names_no_other_host(client: TestClient) -> None:
    """Everything that the page names is this server's; its policy forbids all else."""
    page = client.get("/docs", headers={"Authorization": ""})
    named = re.findall(r'(?:src|href)="([^"]+)"', page.text)

    assert "//" not in page.text + client.get("/docs/start.js").text
    assert "default-src 'none'; script-src 'self'" in page.headers["content-security-policy"]
    assert len(named) == 4
    for address in named:
        part = client.get("/" + address, headers={"Authorization": ""})
        assert part.status_code == 200
        assert part.headers["content-type"].startswith(("text/", "image/"))
    assert client.get("/docs/openapi.py").status_code == 404


def test_a_browser_shows_every_operation(ocr_server: OcrServer) -> None:
    """Without a complaint, and without asking anybody else."""
    asked: list[str] = []
    said: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.goto(ocr_server.url + "/docs")
        page.locator("#operations-tasks-recognize button").first.click()
        page.get_by_text("image_file").first.wait_for()
        shown = page.locator(".opblock").count()
        browser.close()

    described = httpx2.get(ocr_server.url + "/openapi.json").json()["paths"]
    assert shown == sum(len(methods) for methods in described.values())
    assert not said
    assert {url.split("/")[2] for url in asked if not url.startswith("data:")} == {
        ocr_server.url.split("/")[2]
    }

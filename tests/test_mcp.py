"""The tools for agents: the SDK's own client drives `ocr-server mcp` against a real server."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from click.testing import CliRunner
from mcp import Client, StdioServerParameters, stdio_client
from reportlab.pdfgen.canvas import Canvas

from app.agents.errors import AgentError
from app.agents.folders import Folders
from app.agents.pages import excerpt
from app.cli import main
from tests.pictures import picture
from tests.server import TOKEN, Server
from tests.services import free_port

Call = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(
        tmp_path_factory.mktemp("mcp") / "data", {"OCR_ENGINE": "stub", "OCR_WORKERS": "1"}
    )
    server.start()
    yield server
    server.stop()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Documents that are open to agents, and a secret beside them."""
    opened = tmp_path / "open"
    opened.mkdir()
    (opened / "scan.png").write_bytes(picture())
    (opened / "broken.pdf").write_bytes(b"%PDF-1.7 broken")
    (opened / "notes.txt").write_text("plain text is no document")
    canvas = Canvas(str(opened / "pages.pdf"))
    for number in range(1, 4):
        canvas.drawString(72, 700, f"This is the page number {number} of a born-digital document.")
        canvas.showPage()
    canvas.save()
    (tmp_path / "secret.png").write_bytes(picture())
    (opened / "link.png").symlink_to(tmp_path / "secret.png")
    (opened / ".hidden.png").write_bytes(picture())
    return opened


def command(folder: Path, url: str, token: str = TOKEN, *more: str) -> StdioServerParameters:
    return StdioServerParameters(
        command=sys.executable,
        args=["-m", "app.cli", "mcp", "--folder", str(folder), *more],
        env={"OCR_URL": url, "OCR_TOKEN": token, "PYTHONPATH": str(Path.cwd())},
    )


@contextlib.asynccontextmanager
async def tools(folder: Path, url: str, token: str = TOKEN) -> AsyncIterator[Call]:
    """Calls of the tools over stdio; gives what they answer as data, and whether they failed."""
    async with Client(stdio_client(command(folder, url, token))) as client:

        async def call(name: str, **arguments: Any) -> dict[str, Any]:
            answer = await client.call_tool(name, arguments)
            assert answer.structured_content is not None, answer
            assert answer.is_error == ("error" in answer.structured_content)
            return dict(answer.structured_content)

        yield call


def test_tools_over_stdio(server: Server, folder: Path) -> None:
    """An agent finds the tools, recognizes, hears how far it is, and gets other formats."""
    told: list[tuple[float, float | None, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message))

    async def use() -> None:
        async with Client(stdio_client(command(folder, server.base))) as client:
            listed = (await client.list_tools()).tools
            answer = await client.call_tool(
                "recognize", {"source": "scan.png"}, progress_callback=hear
            )
        assert {tool.name for tool in listed} >= {"recognize", "get_task", "list_languages"}
        for tool in listed:
            assert tool.description
            assert tool.output_schema
            assert tool.input_schema["additionalProperties"] is False
            assert tool.annotations is not None
            for name, rule in tool.input_schema["properties"].items():
                assert rule["description"], (tool.name, name)
        assert not answer.is_error
        got = answer.structured_content
        assert got is not None
        assert (got["state"], got["done"], got["pages"]) == ("complete", True, 1)
        assert got["text"].startswith("stub 1 ")

    asyncio.run(use())
    assert told == sorted(told, key=lambda one: one[0])
    assert told[-1] == (100.0, 100.0, "Complete")


def test_more_of_a_task(server: Server, folder: Path) -> None:
    """Pages of text, a page as data, files in other formats beside the document, deletion."""

    async def use() -> None:
        async with tools(folder, server.base) as call:
            first = await call(
                "recognize", source="pages.pdf", format="docx", save_to=str(folder / "a.docx")
            )
            task_id = first["task_id"]
            assert first["saved_to"] == str(folder / "a.docx")
            assert (folder / "a.docx").read_bytes().startswith(b"PK")
            text = await call("get_text", task_id=task_id, pages="2-3")
            assert text["text"].count("\f") == 1
            assert "number 2" in text["text"]
            assert (text["text_pages"], text["more_pages"]) == ("2-3", None)
            page = (await call("get_page", task_id=task_id, page=3))["page"]
            assert "number 3" in page["blocks"][0]["text"]
            assert "lines" not in page["blocks"][0]
            detailed = (await call("get_page", task_id=task_id, page=3, words=True))["page"]
            assert detailed["blocks"][0]["lines"]
            saved = await call(
                "save_result", task_id=task_id, format="pdf", save_to=str(folder / "b.pdf")
            )
            assert saved["bytes"] == (folder / "b.pdf").stat().st_size > 0
            await call("save_result", task_id=task_id, save_to=str(folder / "c.txt"))
            assert "number 1" in (folder / "c.txt").read_text()
            no_format = await call("save_result", task_id=task_id, save_to=str(folder / "d"))
            assert no_format["error"]["code"] == "invalid_parameter"
            late = await call("recognize", source="pages.pdf", wait_s=0)
            assert (await call("get_task", task_id=late["task_id"]))["done"]
            found = await call("list_languages", search="日语")
            assert [one["name"] for one in found["languages"]] == ["Japanese"]
            assert await call("delete_task", task_id=task_id) == {"task_id": task_id}
            gone = await call("get_task", task_id=task_id)
            assert gone["error"]["code"] == "task_not_exist"

    asyncio.run(use())


def test_errors_say_what_to_do(server: Server, folder: Path) -> None:
    """Each with a code; of files, of tasks, of tokens, and of servers that are not there."""
    outside = [
        ("../secret.png", "outside_of_folders"),
        ("link.png", "outside_of_folders"),
        (".hidden.png", "outside_of_folders"),
        ("/etc/passwd", "outside_of_folders"),
        ("\0", "no_such_file"),
        ("nothing.png", "no_such_file"),
        ("notes.txt", "invalid_file"),
        ("broken.pdf", "invalid_file"),
        ("http://127.0.0.1/a.png", "download_failed"),
    ]

    async def use() -> None:
        async with tools(folder, server.base) as call:
            for source, code in outside:
                error = (await call("recognize", source=source))["error"]
                assert (error["code"], bool(error["what_to_do"])) == (code, True), error
            for place in ("scan.png", "new.pdf", ".new.txt", "no/new.txt", "../new.txt"):
                error = (await call("recognize", source="scan.png", save_to=place))["error"]
                assert error["code"] in ("not_writable", "outside_of_folders"), place
            error = (await call("recognize", source="scan.png", language="Klingon"))["error"]
            assert error["code"] == "invalid_parameter"
            assert "Klingon" in error["message"]
            for arguments, told in (
                ({"source": "scan.png", "languages": ["Klingon"]}, "languages"),
                ({}, "source"),
                ({"source": "scan.png", "wait_s": 601}, "wait_s"),
            ):
                error = (await call("recognize", **arguments))["error"]
                assert (error["code"], told in error["message"]) == ("invalid_parameter", True)
        async with tools(folder, server.base, "sk-wrong") as call:
            error = (await call("recognize", source="scan.png"))["error"]
            assert error["code"] == "unauthorized"
            assert "OCR_TOKEN" in error["what_to_do"]
        async with tools(folder, f"http://127.0.0.1:{free_port()}") as call:
            error = (await call("recognize", source="scan.png"))["error"]
            assert error["code"] == "server_unreachable"
            assert "OCR_URL" in error["what_to_do"]

    asyncio.run(use())


def test_tools_over_http(server: Server, folder: Path) -> None:
    """The same on a port of this machine, for programs on it and not for pages of the web."""
    port = free_port()
    started = command(folder, server.base, TOKEN, "--port", str(port))
    environment = {**os.environ, **(started.env or {})}
    process = subprocess.Popen([started.command, *started.args], env=environment)

    async def use() -> None:
        async with asyncio.timeout(60):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    await writer.wait_closed()
                    break
                await asyncio.sleep(0.1)
        async with Client(f"http://127.0.0.1:{port}/mcp") as client:
            answer = await client.call_tool("recognize", {"source": "scan.png"})
            assert answer.structured_content is not None
            assert answer.structured_content["text"].startswith("stub 1 ")

    try:
        asyncio.run(use())
        # A page of another name that leads here, and one of another origin.
        for header in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}):
            headers = {"Accept": "application/json, text/event-stream", **header}
            body = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
            address = f"http://127.0.0.1:{port}/mcp"
            assert httpx2.post(address, headers=headers, json=body).status_code in (403, 421)
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


def test_a_taken_port_is_told() -> None:
    """In one sentence, as everywhere."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = CliRunner().invoke(main, ["mcp", "--token", "sk", "--port", port])

    assert result.exit_code == 1
    assert result.output == f"Error: Cannot listen on 127.0.0.1:{port}: Address already in use.\n"


def test_without_a_token_it_says_so(folder: Path) -> None:
    """Before it begins to speak."""
    started = command(folder, "http://127.0.0.1:1")
    environment = {**os.environ, "OCR_TOKEN": ""}
    done = subprocess.run(
        [started.command, *started.args],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 2
    assert "OCR_TOKEN" in done.stderr
    assert not done.stdout


def test_without_folders_nothing_is_read() -> None:
    with pytest.raises(AgentError, match="No folder"):
        Folders(()).readable("/etc/passwd")


def test_long_texts_are_told_in_pieces() -> None:
    """As many pages as fit, and which are left; a page that is too long is cut."""
    text = "\f".join(letter * 40 for letter in "abcdef")

    assert excerpt(text, None, 100).pages == "1-2"
    assert excerpt(text, None, 100).more == "3-6"
    assert excerpt(text, "5, 1-2", 1000).text == "\f".join(letter * 40 for letter in "eab")
    assert excerpt(text, "5,1-2", 1000).pages == "5,1-2"
    assert excerpt(text, "3", 10).cut
    for wrong in ("0", "7", "a", "2-1", "-", "99999999"):
        with pytest.raises(AgentError):
            excerpt(text, wrong)

"""A running server over HTTP, as tools for agents need it."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

from app.agents.errors import AgentError, failed, refused
from app.errors import State

_TIMEOUT = httpx2.Timeout(60, connect=10)
_TASK_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class Remote:
    """The server at ``address``; everything that goes wrong is an AgentError."""

    def __init__(self, address: str, token: str) -> None:
        self.address = address.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"}

    async def recognize(self, source: str | Path, fields: Mapping[str, str]) -> dict[str, Any]:
        """Begin a task for a file or a URL; its record's ``data``."""
        if isinstance(source, str):
            return await self._record("POST", "/task/pic/ocr", data={**fields, "image_url": source})
        with source.open("rb") as file:
            files = {"image_file": (source.name, file)}
            return await self._record("POST", "/task/pic/ocr", data=fields, files=files)

    async def task(self, task_id: str) -> dict[str, Any]:
        """The record's ``data``; raises AgentError for a task that failed, too."""
        return await self._record("GET", _of(task_id))

    async def derived(self, task_id: str, form: str) -> dict[str, Any]:
        """The record's ``data`` of the complete task in another format, or in its own."""
        task = await self.task(task_id)
        if str(task.get("file", "")).partition("?")[0].endswith(f".{form}"):
            return task
        return await self._record("POST", _of(task_id) + "/formats", json={"format": form})

    async def page(self, task_id: str, number: int) -> dict[str, Any]:
        """What is on a page of a complete task."""
        path = f"{_of(task_id)}/document?page={number}"
        async with self._asked("GET", path) as answer:
            return dict((await _read(answer)).json())

    async def delete(self, task_id: str) -> None:
        """Delete the task, its document and its result."""
        async with self._asked("DELETE", _of(task_id)) as answer:
            await _read(answer)

    async def text(self, task: Mapping[str, Any]) -> str:
        """The result of a complete task whose format is ``txt``."""
        async with self._asked("GET", _file(task), headers={}) as answer:
            return (await _read(answer)).text

    async def save(self, task: Mapping[str, Any], target: Path) -> None:
        """Store the result of a complete task in a new file."""
        async with self._asked("GET", _file(task), headers={}) as answer:
            if answer.status_code != 200:
                await _read(answer)
            try:
                with target.open("xb") as file:
                    try:
                        async for chunk in answer.aiter_bytes():
                            file.write(chunk)
                    except BaseException:
                        target.unlink()
                        raise
            except OSError as error:
                raise AgentError(
                    "not_writable",
                    f"{target} could not be written: {error.strerror}.",
                    "Choose another place.",
                ) from error

    async def _record(self, method: str, path: str, **content: Any) -> dict[str, Any]:
        async with self._asked(method, path, **content) as answer:
            data = dict((await _read(answer)).json()["data"])
        state = State(data["state"])
        if state < 0:
            raise failed(state, data["state_detail"])
        return data

    @asynccontextmanager
    async def _asked(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, **content: Any
    ) -> AsyncIterator[httpx2.Response]:
        address = path if path.startswith("http") else self.address + path
        shown = self._headers if headers is None else headers
        try:
            async with (
                httpx2.AsyncClient(timeout=_TIMEOUT) as client,
                client.stream(method, address, headers=shown, **content) as answer,
            ):
                yield answer
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise AgentError(
                "server_unreachable",
                f"There is no OCR server at {self.address}, or it does not answer.",
                "Ask the user to start it (`ocr-server serve --local-token`), or to set OCR_URL.",
            ) from error


async def _read(answer: httpx2.Response) -> httpx2.Response:
    """The answer with its body. Raises AgentError unless it is a success."""
    await answer.aread()
    if answer.status_code == 200:
        return answer
    try:
        error = answer.json()["error"]
        code, message = str(error["code"]), str(error["message"])
    except (ValueError, KeyError, TypeError) as cause:
        raise AgentError(
            "no_ocr_server",
            f"What answers is no OCR server: HTTP {answer.status_code}.",
            "Ask the user to set OCR_URL to the address of an OCR server.",
        ) from cause
    later = answer.headers.get("retry-after", "")
    raise refused(answer.status_code, code, message, int(later) if later.isdecimal() else None)


def _of(task_id: str) -> str:
    if not _TASK_ID.fullmatch(task_id):
        raise AgentError("task_not_exist", "This is no task_id.", "Use one that recognize gave.")
    return f"/task/{task_id}"


def _file(task: Mapping[str, Any]) -> str:
    if "file" not in task:
        raise refused(404, "result_expired", "The result was deleted after its time.", None)
    return str(task["file"])

"""Puts the stub together and runs it."""

from __future__ import annotations

import gc
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import uvicorn
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.middleware import Middleware

from app import database, wiring
from app.api.connections import Pace, bounded, raise_file_limit
from app.config import Settings
from app.main import create_app
from app.stub.fetch import StubFetcher
from app.stub.requests import ABORT, Requests, Scripted
from app.stub.work import StubTasks, Workshop

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

    from app.pipeline import Pipeline

TOKEN = "sk-stub"  # noqa: S105
"""The token, if the settings name none."""


def run(settings: Settings, listener: socket.socket, greet: Callable[[Settings], None]) -> None:
    """Serve on ``listener`` until a signal comes; what is kept is removed then.

    ``greet`` is told the settings that hold.
    """
    with TemporaryDirectory(prefix="ocr-stub-", ignore_cleanup_errors=True) as folder:
        settings = _without_programs(settings, Path(folder))
        app, workshop = build(settings, lambda: server.should_exit)
        pace = Pace(settings.header_timeout_s, settings.body_timeout_s, settings.min_bytes_per_s)
        config = uvicorn.Config(
            app,
            http=_droppable(bounded(pace, raise_file_limit(settings.max_connections))),
            ws="none",
            lifespan="off",
            log_config=None,
            log_level=settings.log_level,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        greet(settings)
        gc.freeze()
        gc.enable()
        server = uvicorn.Server(config)
        server.run([listener])
        workshop.stop()


def build(
    settings: Settings, stopping: Callable[[], bool] = lambda: False
) -> tuple[FastAPI, Workshop]:
    """The application, and what does its tasks."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    database.create(settings.database)
    workshop = Workshop(settings.data_dir)
    kinds = wiring.Kinds(
        tasks=StubTasks,
        leases=workshop.leases,
        fetcher=partial(StubFetcher, workshop.scripts),
        pipeline=_pipeline,
    )
    observer = wiring.observer(settings)
    tasks = wiring.build(settings, workshop.queue, workshop.downloads, kinds, observer)
    workshop.begin(tasks)
    requests = Requests()
    fetcher = wiring.fetcher(settings, kind=kinds.fetcher)
    app = create_app(settings, tasks, stopping=stopping, fetcher=fetcher, observer=observer)
    app.include_router(requests.router())
    # The last of them, so that it hears of what the others let through.
    app.user_middleware.append(Middleware(Scripted, requests=requests))
    return app, workshop


def _pipeline(settings: Settings) -> Pipeline:
    """The parts that read and write documents, without engines and LibreOffice."""
    from app.engines.stub import StubEngine
    from app.stub.office import StubOffice

    return wiring.pipeline(settings, StubOffice(), {settings.engine: StubEngine()})


def _without_programs(settings: Settings, folder: Path) -> Settings:
    """The settings with everything in ``folder``, and a token that all know, an operator's."""
    token = settings.tokens.get_secret_value() or TOKEN
    return settings.model_copy(
        update={
            "data_dir": folder,
            "database_url": "",
            "queue_url": "",
            "storage_url": "",
            "result_links": "served",
            "engine": "stub",
            "min_free_bytes": 0,
            "turn_s": _WHOLE_S,
            "tokens": SecretStr(token),
            "operator_tokens": SecretStr(token),
        }
    )


_WHOLE_S = 86400.0  # A document is not divided: there is one thread that reads.


def _droppable(protocol: type[Any]) -> type[Any]:
    """``protocol``, letting a request end its connection."""

    class Droppable(protocol):  # type: ignore[misc]
        def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
            cycle.scope["extensions"] = {ABORT: self.transport.abort}
            super()._start_asgi_task(cycle, app)

    return Droppable

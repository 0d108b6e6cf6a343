"""The HTTP application."""

from collections.abc import Callable, Sequence
from functools import cache, partial

from fastapi import FastAPI
from pydantic import SecretStr
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware

from app import __version__, wiring
from app.api import derived as derived_api
from app.api import events as events_api
from app.api import history as history_api
from app.api import operations as operations_api
from app.api import schema
from app.api import tasks as tasks_api
from app.api.answers import Answers
from app.api.auth import BearerToken, Tokens
from app.api.derived import DerivedRoutes
from app.api.docs import DocsRoutes
from app.api.errors import ErrorResponses, http_exception
from app.api.events import EventRoutes
from app.api.files import FileRoutes
from app.api.forms import Bounds
from app.api.history import HistoryRoutes
from app.api.operations import OperationRoutes
from app.api.page import PageRoutes
from app.api.proxies import TrustedProxies
from app.api.tasks import TaskRoutes
from app.api.waiting import Waiting
from app.api.watching import Watched
from app.config import Settings
from app.fetch import Fetcher
from app.observer import Observer
from app.operations import WorkerState
from app.tasks import Tasks


def create_app(
    settings: Settings,
    tasks: Tasks,
    warm: Callable[[], bool] = lambda: True,
    stopping: Callable[[], bool] = lambda: False,
    workers: Callable[[], Sequence[WorkerState]] = lambda: (),
    fetcher: Fetcher | None = None,
    observer: Observer | None = None,
) -> FastAPI:
    """The application.

    ``warm`` says whether workers are ready for work, ``stopping`` whether waiting requests are to
    be answered now, with what there is, and ``workers`` what operators are told of them.
    ``observer`` is the one that ``tasks`` were built with.
    """
    observer = observer or wiring.observer(settings)
    observer.metrics.watch(wiring.gauges(settings, tasks, workers, queue=True))
    app = FastAPI(
        title="OCR server",
        version=__version__,
        description="Send a document, get text, a searchable PDF, Word, Excel or PowerPoint back.",
        docs_url=None,
        redoc_url=None,
        separate_input_output_schemas=False,
    )
    waiting = Waiting(tasks, stopping)
    answers = Answers(tasks, waiting, settings.sync_wait_s)
    staging = wiring.staging(settings)
    bounds = Bounds(settings.max_upload_bytes, settings.body_timeout_s, settings.min_bytes_per_s)
    app.include_router(
        TaskRoutes(
            tasks,
            answers,
            fetcher or wiring.fetcher(settings),
            partial(wiring.check_languages, settings),
            staging,
            settings.public_url,
            bounds,
        ).router()
    )
    app.include_router(
        DerivedRoutes(tasks, waiting, answers, staging, settings.public_url, bounds).router()
    )
    app.include_router(FileRoutes(tasks).router())
    # A token cannot keep all others from connecting: streams last as long as their tasks.
    most_streams = max(1, settings.max_connections // 4)
    app.include_router(EventRoutes(tasks, stopping, settings.public_url, most_streams).router())
    app.include_router(HistoryRoutes(tasks, settings.public_url).router())
    app.include_router(
        OperationRoutes(
            tasks.sessions,
            wiring.readiness(tasks, warm),
            workers,
            wiring.disk(settings),
            observer.metrics.text,
        ).router()
    )
    app.include_router(PageRoutes().router())
    app.include_router(DocsRoutes().router())
    app.add_exception_handler(HTTPException, http_exception)
    # The last that is added is the first that a request meets.
    app.add_middleware(
        BearerToken,
        tokens=Tokens(
            tasks.sessions,
            _listed(settings.tokens),
            wiring.allowance(settings),
            _listed(settings.operator_tokens),
        ),
    )
    app.add_middleware(TrustedProxies, networks=settings.trusted_proxies)
    app.add_middleware(ErrorResponses, token_error_type=settings.error_type)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_methods=["GET", "POST", "DELETE", "HEAD"],
        allow_headers=["*"],
        expose_headers=[
            *("X-Request-Id", "Retry-After", "X-OCR-Failed-Pages"),
            *("Content-Disposition", "Content-Range", "Accept-Ranges"),
        ],
    )
    begin = observer.exporter.begin if observer.exporter is not None else None
    app.add_middleware(Watched, watch=observer, begin=begin)
    surfaces = (tasks_api, derived_api, events_api, history_api, operations_api)
    schemas = {name: kind for surface in surfaces for name, kind in surface.SCHEMAS.items()}
    app.openapi = cache(partial(schema.describe, app, schemas))  # type: ignore[method-assign]
    return app


def _listed(tokens: SecretStr) -> tuple[str, ...]:
    return tuple(t for t in map(str.strip, tokens.get_secret_value().split(",")) if t)

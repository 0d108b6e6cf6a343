"""How the server is: for load balancers and supervisors."""

from collections.abc import Callable

from fastapi import APIRouter
from sqlalchemy.orm import Session, sessionmaker
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse

from app import db
from app.api import schema
from app.errors import Unavailable


class OperationRoutes:
    """Health and readiness."""

    def __init__(self, sessions: sessionmaker[Session], warm: Callable[[], bool]) -> None:
        self._sessions = sessions
        self._warm = warm

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(tags=["operations"])
        for method in ("GET", "HEAD"):
            for path, answer, name, summary, said in (
                ("/healthz", self.health, "getHealth", "Is it alive", _ALIVE),
                ("/readyz", self.readiness, "getReadiness", "Can it work", _READY),
            ):
                router.add_api_route(
                    path,
                    answer,
                    methods=[method],
                    summary=summary,
                    responses=said,
                    operation_id=name,
                    include_in_schema=method == "GET",
                )
        return router

    async def health(self) -> JSONResponse:
        """Answers as long as the process does."""
        return JSONResponse({"status": "ok"})

    async def readiness(self) -> JSONResponse:
        """200 once the database answers and a worker has read its warm-up page; else 503."""
        try:
            await run_in_threadpool(self._ping)
        except Exception as error:
            raise Unavailable("The database does not answer.") from error
        if not self._warm():
            raise Unavailable("The workers are warming up.")
        return JSONResponse({"status": "ready"})

    def _ping(self) -> None:
        with self._sessions() as session:
            db.ping(session)


def _said(status: str) -> schema.Responses:
    examples = {status: {"value": {"status": status}}}
    return {200: {"description": "Yes", "content": schema.json_of("Health", examples)}}


_ALIVE = _said("ok")
_READY = _said("ready") | schema.failures(Unavailable)

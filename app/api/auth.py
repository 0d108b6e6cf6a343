"""Bearer tokens: everything is guarded except what is named public."""

import hashlib
import hmac
import time

from sqlalchemy.orm import Session, sessionmaker
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app import access
from app.access import NONE, Access, Allowance
from app.errors import Unauthorized

PUBLIC = ("/", "/web/", "/healthz", "/readyz", "/openapi.json", "/docs", "/docs/", "/tasks/output/")
"""Paths, and beginnings of paths that end in a slash, that need no token; ``/`` is itself alone."""

_PUBLIC_FOLDERS = tuple(path for path in PUBLIC if path.endswith("/") and path != "/")

_LONGEST = 1024


class Tokens:
    """The tokens of the environment and of the database."""

    def __init__(
        self,
        sessions: sessionmaker[Session],
        fixed: tuple[str, ...],
        allowance: Allowance = NONE,
        operators: tuple[str, ...] = (),
    ) -> None:
        """``allowance`` is that of tokens that have no limits of their own.

        ``operators`` are valid like those that are ``fixed``, and see how the server does.
        """
        self._sessions = sessions
        self._fixed = tuple(digest(token) for token in fixed)
        self._operators = tuple(digest(token) for token in operators)
        self._allowance = allowance

    async def access(self, token: str) -> Access | None:
        """What a valid token allows, else None."""
        shown, seal = digest(token), _digest("seal", token)
        operator, fixed = _is_among(shown, self._operators), _is_among(shown, self._fixed)
        if operator or fixed:
            return Access(shown, self._allowance, seal, operator)
        return await run_in_threadpool(self._kept, shown, seal)

    def _kept(self, shown: str, seal: bytes) -> Access | None:
        with self._sessions() as session:
            row = access.token(session, shown)
        if row is None or row.revoked_at is not None:
            return None
        if row.expires_at is not None and row.expires_at <= time.time():
            return None
        return Access(shown, self._allowance.of(row), seal, row.operator, row.name)


class BearerToken:
    """Lets a request through if it shows a valid token, before its body is read."""

    def __init__(self, app: ASGIApp, tokens: Tokens) -> None:
        self.app = app
        self.tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Raises Unauthorized."""
        if scope["type"] == "http" and not is_public(scope["path"]):
            token = _shown(Headers(scope=scope))
            access = await self.tokens.access(token) if token else None
            if access is None:
                raise Unauthorized("无效的令牌")
            scope["state"]["access"] = access
        await self.app(scope, receive, send)


def is_public(path: str) -> bool:
    """Whether a path needs no token."""
    return path in PUBLIC or path.startswith(_PUBLIC_FOLDERS)


def digest(token: str) -> str:
    """What is kept of a token; long random tokens need no salt."""
    return _digest("", token).hex()


def _digest(purpose: str, token: str) -> bytes:
    return hashlib.sha256((purpose + token).encode("utf-8", "surrogateescape")).digest()


def _is_among(shown: str, known: tuple[str, ...]) -> bool:
    # Digests are compared, not tokens, and each to its end: time tells nothing.
    return any([hmac.compare_digest(shown, one) for one in known])


def _shown(headers: Headers) -> str | None:
    """The token of the request: ``Authorization``, with or without ``Bearer``, or ``X-API-KEY``."""
    value = headers.get("authorization", "").strip()
    scheme, _, rest = value.partition(" ")
    if rest and scheme.lower() != "bearer":
        value = ""  # Another's, such as a proxy's.
    token = rest.strip() if scheme.lower() == "bearer" else value
    token = token or headers.get("x-api-key", "").strip()
    return token if 0 < len(token) <= _LONGEST else None

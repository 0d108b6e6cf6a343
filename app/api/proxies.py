"""Forwarded headers, believed only when a trusted proxy sends them."""

import ipaddress
import re

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

_HOST = re.compile(r"[A-Za-z0-9.\-_]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")


class TrustedProxies:
    """Takes scheme and host from ``X-Forwarded-Proto`` and ``X-Forwarded-Host``."""

    def __init__(self, app: ASGIApp, networks: tuple[str, ...]) -> None:
        self.app = app
        self.networks = [ipaddress.ip_network(network, strict=False) for network in networks]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http" and self._is_trusted(scope):
            headers = Headers(scope=scope)
            scheme = headers.get("x-forwarded-proto", "").split(",")[0].strip().lower()
            host = headers.get("x-forwarded-host", "").split(",")[0].strip()
            if scheme in ("http", "https"):
                scope["scheme"] = scheme
            if host:
                others = [pair for pair in scope["headers"] if pair[0] != b"host"]
                scope["headers"] = [(b"host", host.encode("latin-1")), *others]
        await self.app(scope, receive, send)

    def _is_trusted(self, scope: Scope) -> bool:
        if not self.networks or not scope.get("client"):
            return False
        try:
            address = ipaddress.ip_address(scope["client"][0])
        except ValueError:
            return False
        return any(address in network for network in self.networks)


def base_url(request: Request) -> str:
    """The server's address as the client wrote it, without a slash at the end."""
    host = request.headers.get("host", "")
    if not _HOST.fullmatch(host):
        name, port = request.scope["server"] or ("localhost", None)
        host = f"{name}:{port}" if port else name
    return f"{request.scope['scheme']}://{host}{request.scope.get('root_path', '')}"

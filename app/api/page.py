"""The page for people at ``/``: files that are part of the program, and the languages' names."""

import gzip
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from app import languages

WEB = Path(__file__).parent.parent / "web"


class PageRoutes:
    """Serves the page from memory; it asks no other host for anything."""

    def __init__(self, folder: Path = WEB) -> None:
        self._files = {path.name: _file(path) for path in folder.iterdir()}
        self._files[""] = self._files.pop("index.html")  # It names the others as seen from ``/``.
        self._files["languages.json"] = _made(_languages(), "application/json")

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter()
        for path in ("/", "/web/{name}"):
            router.add_api_route(path, self.file, methods=["GET", "HEAD"], include_in_schema=False)
        return router

    async def file(self, request: Request, name: str = "") -> Response:
        """One file of the page, or that it has not changed."""
        file = self._files.get(name)
        if file is None:
            raise HTTPException(404)
        headers = {**_HEADERS, "ETag": file.tag}
        if file.tag in map(str.strip, request.headers.get("if-none-match", "").split(",")):
            return Response(status_code=304, headers=headers)
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
            return Response(file.packed, headers=headers, media_type=file.media_type)
        return Response(file.content, headers=headers, media_type=file.media_type)


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    packed: bytes  # By gzip.
    tag: str
    media_type: str


def _file(path: Path) -> _File:
    return _made(path.read_bytes(), _MEDIA_TYPES[path.suffix])


def _made(content: bytes, media_type: str) -> _File:
    # Weak: packed or not, it is the same.
    tag = f'W/"{hashlib.sha256(content).hexdigest()[:16]}"'
    return _File(content, gzip.compress(content, mtime=0), tag, media_type)


def _languages() -> bytes:
    """What can be chosen: name, English and Chinese label, other names that it goes by."""
    rows = [
        [language.name, language.english, language.chinese, *others]
        for language, others in languages.readable()
    ]
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":")).encode()


_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_HEADERS = {
    "Cache-Control": "no-cache",  # Kept, but asked for again: an update is seen at once.
    "Vary": "Accept-Encoding",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

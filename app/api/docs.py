"""The description of the API to look at and try, at ``/docs``: Swagger UI from this server."""

from importlib.resources import files

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.responses import Response

from app import __version__


class DocsRoutes:
    """Serves the viewer's page, and its parts from the package that carries them."""

    def __init__(self) -> None:
        # Once: many who take them slowly do not each hold their own.
        self._parts = {
            name: _START if name == "start.js" else (_PARTS / name).read_bytes()
            for name in _MEDIA_TYPES
        }

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter()
        router.add_api_route("/docs", self.page, methods=["GET"], include_in_schema=False)
        router.add_api_route("/docs/{name}", self.part, methods=["GET"], include_in_schema=False)
        return router

    async def page(self) -> Response:
        """The page."""
        return Response(_PAGE, media_type="text/html", headers=_HEADERS)

    async def part(self, name: str) -> Response:
        """What the page is made of."""
        if name not in _MEDIA_TYPES:
            raise HTTPException(404)
        headers = {**_HEADERS, "Cache-Control": "public, max-age=86400"}
        return Response(self._parts[name], media_type=_MEDIA_TYPES[name], headers=headers)


_PARTS = files("fastapi_standalone_docs") / "static" / "swagger"
_MEDIA_TYPES = {
    "start.js": "text/javascript",
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
}
_HEADERS = {
    # Its icons are in its style sheet.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_PAGE = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>OCR server: API</title>
<link rel="icon" href="web/icon.svg">
<link rel="stylesheet" href="docs/swagger-ui.css?{__version__}">
<div id="viewer"></div>
<script src="docs/swagger-ui-bundle.js?{__version__}"></script>
<script src="docs/start.js?{__version__}"></script>
</html>
"""
# Without a validator, which were another host's.
_START = b""""use strict";
SwaggerUIBundle({ url: "openapi.json", dom_id: "#viewer", deepLinking: true, validatorUrl: null });
"""

"""What people see: the page to try it, the one to draw scenes, the API's documentation. Nothing comes from outside."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse
from starlette.staticfiles import NotModifiedResponse, StaticFiles

from humandetect.service.problems import Refused
from humandetect.service.refusals import Cause

if TYPE_CHECKING:
    from humandetect.config import ServeConfig

router = APIRouter(include_in_schema=False)

STATIC = Path(__file__).parents[1] / "static"
SWAGGER = Path(str(files("fastapi_offline"))) / "static"
FILES = {path.name: path for path in STATIC.iterdir() if path.suffix != ".html"} | {
    name: SWAGGER / name for name in ("swagger-ui-bundle.js", "swagger-ui.css")
}
"""All there is below /static/: no path that a client sends is ever looked up on the disk."""

_PAGE = (
    "default-src 'none'; script-src 'self'; style-src {styles}; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
READ = ["GET", "HEAD"]
_CACHED = StaticFiles(directory=STATIC)
"""Only asked whether a browser's copy is good still."""
_FRESH = {"Cache-Control": "no-cache"}
PAGE_HEADERS = _FRESH | {
    "Content-Security-Policy": _PAGE.format(styles="'self'"),
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}
DOCS_HEADERS = _FRESH | {"Content-Security-Policy": _PAGE.format(styles="'self' 'unsafe-inline'")}
"""Swagger UI sets styles on its elements."""


@router.api_route("/", methods=READ)
async def page(request: Request) -> Response:
    """Show the page."""
    return _file(request, STATIC / "index.html", PAGE_HEADERS)


@router.api_route("/scene", methods=READ)
async def scene(request: Request) -> Response:
    """Show the page where lines and zones are drawn; what is drawn stays in the browser."""
    return _file(request, STATIC / "scene.html", PAGE_HEADERS)


@router.get("/limits")
async def limits(request: Request) -> dict[str, float | bool]:
    """Tell what an image may be at most: the page shrinks those that are larger; and whether people are hidden."""
    config: ServeConfig = request.app.state.config
    return {
        "image_mb": config.max_image_mb,
        "megapixels": config.max_megapixels,
        "anonymize": config.anonymize is not None,
    }


@router.api_route("/docs", methods=READ)
async def docs(request: Request) -> Response:
    """Show the documentation of the API."""
    return _file(request, STATIC / "docs.html", DOCS_HEADERS)


@router.api_route("/static/{name}", methods=READ)
async def static(request: Request, name: str) -> Response:
    """Send a part of the pages."""
    if name not in FILES:
        raise Refused(Cause.NOTHING_HERE, "no such file")
    return _file(request, FILES[name], _FRESH)


def _file(request: Request, path: Path, headers: dict[str, str]) -> Response:
    """Send a file, unless the browser has it already."""
    response = FileResponse(path, headers=headers, stat_result=path.stat())
    if _CACHED.is_not_modified(response.headers, request.headers):
        return NotModifiedResponse(response.headers)
    return response

"""What people see: the page to try it, and the documentation of the API. Nothing comes from outside."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter, HTTPException
from fastapi.responses import FileResponse

router = APIRouter(include_in_schema=False)

STATIC = Path(__file__).parent / "static"
SWAGGER = Path(str(files("fastapi_offline"))) / "static"
FILES = {path.name: path for path in STATIC.iterdir() if path.suffix != ".html"} | {
    name: SWAGGER / name for name in ("swagger-ui-bundle.js", "swagger-ui.css")
}
"""All there is below /static/: no path that a client sends is ever looked up on the disk."""

_PAGE = (
    "default-src 'none'; script-src 'self'; style-src {styles}; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_FRESH = {"Cache-Control": "no-cache"}
PAGE_HEADERS = _FRESH | {
    "Content-Security-Policy": _PAGE.format(styles="'self'"),
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}
DOCS_HEADERS = _FRESH | {"Content-Security-Policy": _PAGE.format(styles="'self' 'unsafe-inline'")}
"""Swagger UI sets styles on its elements."""


@router.get("/")
async def page() -> FileResponse:
    """Show the page."""
    return FileResponse(STATIC / "index.html", headers=PAGE_HEADERS)


@router.get("/docs")
async def docs() -> FileResponse:
    """Show the documentation of the API."""
    return FileResponse(STATIC / "docs.html", headers=DOCS_HEADERS)


@router.get("/static/{name}")
async def static(name: str) -> FileResponse:
    """Send a part of the pages."""
    if name not in FILES:
        raise HTTPException(404, "no such file")
    return FileResponse(FILES[name], headers=_FRESH)

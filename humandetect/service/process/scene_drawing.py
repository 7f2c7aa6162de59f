"""What `humandetect scene` does: a server for one person, one picture and one file, until that is saved."""

from __future__ import annotations

import html
import json
import secrets
import socket
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from humandetect.analytics.scene import read_scene
from humandetect.config.toml_lines import read_toml
from humandetect.errors import SinkError, UsageError
from humandetect.media.images import encode_jpeg
from humandetect.media.sinks.atomic_files import PendingFile, sink_error
from humandetect.media.sources import still_of
from humandetect.service.metrics import Metrics
from humandetect.service.middleware import Access
from humandetect.service.process.http.deadlines import DeadlineProtocol
from humandetect.service.refusals import Cause
from humandetect.service.routes.pages import PAGE_HEADERS, STATIC

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from starlette.requests import Request

    from humandetect.config import SceneConfig
    from humandetect.media.frames import Frame

FAREWELL_SECONDS = 5
NOTHING_LOADED = 'data-drawing="{}"'
"""Stands in the page where the command tells it what to draw on."""


def draw_scene(config: SceneConfig, *, on_ready: Callable[[str], None]) -> bool:
    """Serve the page until its Save has written the scene, and return True; False if it was told to end before.

    `on_ready` gets the page's URL, which has a secret in it: no other page or user of this machine can guess it. Raises
    SourceError for a source without a frame, SinkError and UsageError for a file that cannot be written or loaded.
    """
    frame = still_of(config.ref, config.source)
    scene = _existing(config.output, frame)
    pending = PendingFile(config.output)
    try:
        drawing = SceneDrawing(frame, scene=scene, output=config.output, pending=pending)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            on_ready(f"http://127.0.0.1:{listener.getsockname()[1]}{drawing.path}")
            drawing.server.run(sockets=[listener])
    finally:
        pending.discard()
    return drawing.saved


def _existing(path: Path, frame: Frame) -> dict[str, Any]:
    """Read the scene that is to go on."""
    if not path.is_file():
        return {}
    _check(path, frame)
    _, tables = read_toml(path, what="the scene")
    if "source" in tables:
        raise UsageError(f"{path} has shapes by source, which the page does not draw: name another file with -o")
    return tables


def _check(path: Path, frame: Frame) -> None:
    """Raise UsageError for a scene that `detect` would not take for this frame."""
    height, width = frame.image.shape[:2]
    read_scene(path).for_picture(width, height, source=frame.source)


def scene_page(told: Mapping[str, Any]) -> str:
    """Return the page that draws on one `source`'s picture, loads `scene` and saves to `file`."""
    page = (STATIC / "scene.html").read_text(encoding="utf-8")
    return page.replace(NOTHING_LOADED, f'data-drawing="{html.escape(json.dumps(told, default=str))}"')


class SceneDrawing:
    """The page with its picture, and the server that ends once the drawing is saved."""

    def __init__(self, frame: Frame, *, scene: dict[str, Any], output: Path, pending: PendingFile) -> None:
        self.saved = False
        self._frame = frame
        self._output = output
        self._pending = pending
        self._picture = encode_jpeg(frame.image)
        aspect = float(frame.pixel_aspect)
        self._page = scene_page({"source": frame.source, "file": str(output), "scene": scene, "pixel_aspect": aspect})
        # In the path, so that all that the page asks for by a relative address has it, too.
        token = secrets.token_urlsafe(16)
        self.path = f"/{token}/scene"
        routes = [
            Route("/scene", self._show),
            Route("/scene", self._save, methods=["POST"]),
            Route("/scene/picture", self._send_picture),
            Mount("/static", StaticFiles(directory=STATIC)),
        ]
        app = Access(Starlette(routes=[Mount(f"/{token}", routes=routes)]), metrics=Metrics())
        self.server = uvicorn.Server(
            uvicorn.Config(
                app, http=DeadlineProtocol, ws="none", lifespan="off", log_config=None, access_log=False,
                server_header=False, timeout_graceful_shutdown=FAREWELL_SECONDS,
            )
        )  # fmt: skip

    async def _show(self, _request: Request) -> Response:
        return HTMLResponse(self._page, headers=PAGE_HEADERS | {"Cache-Control": "no-store"})

    async def _send_picture(self, _request: Request) -> Response:
        return Response(self._picture, media_type="image/jpeg")

    async def _save(self, request: Request) -> Response:
        """Write the scene and end; if that fails, the page says why and keeps the drawing."""
        text = await request.body()
        try:
            self._pending.path.write_bytes(text)
            _check(self._pending.path, self._frame)
            self._pending.finish(complete=True)
        except UsageError as error:
            told = str(error).replace(str(self._pending.path), str(self._output))
            return JSONResponse({"message": told}, Cause.NOT_UNDERSTOOD)
        except (OSError, SinkError) as error:
            told = str(sink_error(self._output, error) if isinstance(error, OSError) else error)
            return JSONResponse({"message": told}, Cause.FAILED)
        self.saved = self.server.should_exit = True
        return JSONResponse({"path": str(self._output.absolute())})

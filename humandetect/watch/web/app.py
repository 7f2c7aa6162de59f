"""The page, the API and the metrics of `watch`."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute

from humandetect.config.toml_lines import read_toml
from humandetect.errors import SinkError, UsageError
from humandetect.service.accept import quality
from humandetect.service.metrics import Metrics
from humandetect.service.middleware import Access
from humandetect.service.process.scene_drawing import scene_page
from humandetect.service.refusals import Cause
from humandetect.service.routes.pages import FILES, PAGE_HEADERS
from humandetect.watch.base import SEEN
from humandetect.watch.web.guard import COOKIE, COOKIE_SECONDS, Guard
from humandetect.watch.web.pictures import plain_picture_of
from humandetect.watch.web.streams import BOUNDARY, Streams
from humandetect.watch.web.words import told_counts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from prometheus_client import CollectorRegistry
    from starlette.requests import Request
    from starlette.types import ASGIApp

    from humandetect.media.frames import DetectedFrame
    from humandetect.watch.base import CameraStatus, Memory, View
    from humandetect.watch.web.hub import Hub

STATIC = Path(__file__).with_name("static")
PARTS = FILES | {path.name: path for path in STATIC.iterdir() if path.suffix != ".html"}
MOST_EVENTS = 1000
"""In one answer."""
LARGEST_SCENE_BYTES = 1_000_000


def create_app(
    view: View, memory: Memory, *, hub: Hub, registry: CollectorRegistry, api_key: str | None = None
) -> ASGIApp:
    """Make the application around what the cameras tell."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        hub.begin()
        leave = view.join(hub)
        try:
            yield
        finally:
            leave()

    site = _Site(view, memory, hub)
    guard: Guard

    async def start_session(request: Request) -> Response:
        """Give a browser that knows the key a pass in its place: images and WebSockets have no headers of their own."""
        if not guard.knows(request.scope, request.headers):
            raise HTTPException(Cause.NO_KEY, "that key is not the right one")
        response = Response(status_code=204)
        response.set_cookie(
            COOKIE, guard.pass_of_browser, max_age=COOKIE_SECONDS, httponly=True, samesite="strict",
            secure=request.url.scheme == "https",
        )  # fmt: skip
        return response

    def metrics(_request: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    routes = [
        Route("/v1/session", start_session, methods=["POST"]),
        Route("/metrics", metrics),
        *site.routes(),
    ]
    inner = Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: _problem})
    guard = Guard(inner, key=api_key)
    return Access(guard, metrics=Metrics())


async def _problem(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return JSONResponse({"message": error.detail}, error.status_code, headers=error.headers)


class _Site:
    """Answers from what the cameras show now and from what was kept. Functions without `async` may wait for a disk."""

    def __init__(self, view: View, memory: Memory, hub: Hub) -> None:
        self._view, self._memory, self._hub = view, memory, hub
        self._streams = Streams(memory, hub)

    def routes(self) -> list[Route | WebSocketRoute]:
        gets: dict[str, Callable[[Request], Any]] = {
            "/": self.page,
            "/static/{file}": self.static,
            "/cameras/{name}/static/{file}": self.static,
            "/cameras/{name}/scene": self.scene,
            "/cameras/{name}/scene/picture": self.scene_picture,
            "/cameras/{name}.mjpg": self.stream,
            "/cameras/{name}.jpg": self.picture,
            "/v1/cameras": self.cameras,
            "/v1/counts": self.counts,
            "/v1/events": self.events,
            "/v1/events/{id}/picture": self.event_picture,
            "/healthz": self.health,
            "/readyz": self.ready,
        }
        return [
            *(Route(path, answer) for path, answer in gets.items()),
            Route("/cameras/{name}/scene", self.save_scene, methods=["POST"]),
            WebSocketRoute("/v1/live", self._streams.live),
        ]

    # Pages

    async def page(self, _request: Request) -> Response:
        return FileResponse(STATIC / "watch.html", headers=PAGE_HEADERS)

    async def static(self, request: Request) -> Response:
        path = PARTS.get(request.path_params["file"])
        if path is None:
            raise HTTPException(Cause.NOTHING_HERE, "no such file")
        return FileResponse(path, headers={"Cache-Control": "no-cache"})

    def scene(self, request: Request) -> Response:
        """Show the page that draws a camera's lines and zones."""
        camera = self._camera(request)
        path = self._scene_file(camera.name)
        tables = read_toml(path, what="the scene")[1] if path.is_file() else {}
        if "source" in tables:
            text = f"{path.name} has shapes by source, which the page does not draw: give {camera.name} its own `scene`"
            raise HTTPException(Cause.NOT_UNDERSTOOD, text)
        newest = self._view.newest(camera.name)
        aspect = float(newest.frame.pixel_aspect) if newest else 1.0
        told = {"source": camera.name, "file": path.name, "scene": tables, "pixel_aspect": aspect, "back": "../../"}
        return HTMLResponse(scene_page(told), headers=PAGE_HEADERS | {"Cache-Control": "no-store"})

    def scene_picture(self, request: Request) -> Response:
        return Response(plain_picture_of(self._newest(self._camera(request))), media_type="image/jpeg")

    async def save_scene(self, request: Request) -> Response:
        camera = self._camera(request)
        path = self._scene_file(camera.name)
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > LARGEST_SCENE_BYTES:
                raise HTTPException(Cause.TOO_LARGE, f"a scene has at most {LARGEST_SCENE_BYTES} bytes")
        try:
            await asyncio.to_thread(self._view.save_scene, camera.name, body.decode())
        except (UsageError, UnicodeDecodeError) as error:
            raise HTTPException(Cause.NOT_UNDERSTOOD, str(error)) from error
        except (SinkError, OSError) as error:
            raise HTTPException(Cause.FAILED, f"{path.name} was not written: {error}") from error
        return JSONResponse({"path": path.name})

    def _scene_file(self, camera: str) -> Path:
        path = self._view.scene_file(camera)
        if path is None:
            raise HTTPException(Cause.NOTHING_HERE, f"{camera} has no file for lines and zones: give it a `scene`")
        return path

    # Pictures

    async def picture(self, request: Request) -> Response:
        picture = await self._hub.picture(self._camera(request).name)
        if picture is None:
            raise HTTPException(Cause.UNAVAILABLE, "there is no picture yet", {"Retry-After": "1"})
        return Response(picture, media_type="image/jpeg")

    async def stream(self, request: Request) -> Response:
        """Send pictures one after the other for as long as somebody takes them."""
        camera = self._camera(request).name
        return _streamed(request, self._streams.pictures(camera), f"multipart/x-mixed-replace; boundary={BOUNDARY}")

    # Figures

    def cameras(self, _request: Request) -> Response:
        return JSONResponse({"cameras": self._hub.told_statuses()})

    def counts(self, request: Request) -> Response:
        """Sum up what one camera counted today, by this machine's clock."""
        camera = request.query_params.get("camera")
        if camera is None:
            raise HTTPException(Cause.NOT_UNDERSTOOD, "whose counts? GET /v1/counts?camera=NAME")
        since = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0)
        rows = self._view.counts(camera, since=since)
        return JSONResponse({"camera": camera, "since": since.isoformat(), "counts": told_counts(rows)})

    def events(self, request: Request) -> Response:
        """Tell the newest events first; or, to whom asks for text/event-stream, each as it becomes certain."""
        wanted, camera = request.query_params, request.query_params.get("camera")
        if quality(request.headers.get("accept", ""), "text/event-stream").is_named:
            stream = self._streams.events(camera, last=request.headers.get("last-event-id"))
            return _streamed(request, stream, "text/event-stream")
        limit = wanted.get("limit", "100")
        if not (limit.isascii() and limit.isdigit() and 1 <= int(limit) <= MOST_EVENTS):
            raise HTTPException(Cause.NOT_UNDERSTOOD, f"limit is 1 to {MOST_EVENTS}, got {limit!r}")
        events = self._memory.events(camera=camera, before=wanted.get("before"), limit=int(limit))
        return JSONResponse({"events": [self._hub.told(event) for event in events]})

    async def event_picture(self, request: Request) -> Response:
        picture = self._hub.crop(request.path_params["id"])
        if picture is None:
            raise HTTPException(Cause.NOTHING_HERE, "no picture of this event is kept")
        return Response(picture, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=86400"})

    async def health(self, _request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(self, _request: Request) -> Response:
        """Say whether any camera is seen: in numbers, for this is answered without the key."""
        states = Counter(status.state for status in self._view.statuses())
        seen = any(states[state] for state in SEEN)
        return JSONResponse({"ready": seen, "cameras": dict(states)}, 200 if seen else Cause.UNAVAILABLE)

    def _camera(self, request: Request) -> CameraStatus:
        name = request.path_params["name"]
        for status in self._view.statuses():
            if status.name == name:
                return status
        raise HTTPException(Cause.NOTHING_HERE, f"no camera is called {name!r}: GET /v1/cameras lists them")

    def _newest(self, camera: CameraStatus) -> DetectedFrame:
        result = self._view.newest(camera.name)
        if result is None:
            raise HTTPException(Cause.UNAVAILABLE, "there is no picture yet", {"Retry-After": "1"})
        return result


def _streamed(request: Request, content: AsyncIterator[bytes] | AsyncIterator[str], media_type: str) -> Response:
    """Answer without an end; who asks for the head alone must not wait for one."""
    if request.method == "HEAD":
        return Response(media_type=media_type)
    return StreamingResponse(content, media_type=media_type)

"""What is told without an end: pictures one after the other, events as they become certain, all of it to a page."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from starlette.websockets import WebSocketDisconnect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.websockets import WebSocket

    from humandetect.media.frames import Event
    from humandetect.watch.base import Memory
    from humandetect.watch.web.hub import Hub
    from humandetect.watch.web.viewers import Viewer

BOUNDARY = "picture"
AGAIN_SECONDS = 5.0
"""A picture that stays the newest is sent again: players give up on what is silent."""
ALIVE_SECONDS = 15.0
MOST_MISSED = 1000
"""Events that a client is told of that was away."""


class Streams:
    """Each is one viewer of the hub, for as long as somebody takes what it yields."""

    def __init__(self, memory: Memory, hub: Hub) -> None:
        self._memory, self._hub = memory, hub

    async def pictures(self, camera: str) -> AsyncIterator[bytes]:
        """Yield a camera's JPEGs as parts of `multipart/x-mixed-replace`, parted by BOUNDARY."""
        yield f"--{BOUNDARY}\r\n".encode()
        with self._hub.viewer(cameras=frozenset({camera})) as viewer:
            picture = b""
            async for news in viewer.news(silent_seconds=AGAIN_SECONDS):
                if isinstance(news, tuple):
                    picture = news[1]
                if picture:
                    head = f"Content-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                    yield head.encode() + picture + f"\r\n--{BOUNDARY}\r\n".encode()
                self._hub.seen(viewer, camera)

    async def events(self, camera: str | None, *, last: str | None) -> AsyncIterator[str]:
        """Yield events as `text/event-stream`, and first those since the `last` that the client knows."""
        with self._hub.viewer(cameras=frozenset(), events=True) as viewer:
            yield ": the events of humandetect\n\n"
            missed = await asyncio.to_thread(self._since, last, camera) if last else []
            known = {event.id for event in missed}
            for one in missed:
                yield _server_sent(self._hub.told(one))
            async for news in viewer.news(silent_seconds=ALIVE_SECONDS):
                if news is None:
                    yield ": alive\n\n"
                elif isinstance(news, dict):
                    event = news["event"]
                    if camera in (None, event["source"]) and event["id"] not in known:
                        yield _server_sent(event)

    async def live(self, websocket: WebSocket) -> None:
        """Tell a page all there is: events and cameras as JSON; pictures as a name's length, the name, a JPEG."""
        await websocket.accept()
        with self._hub.viewer(events=True, statuses=True) as viewer:
            listening = asyncio.create_task(_listen(websocket, viewer, self._hub))
            try:
                async for news in viewer.news():
                    if isinstance(news, tuple):
                        name = news[0].encode()
                        await websocket.send_bytes(len(name).to_bytes(2, "big") + name + news[1])
                    else:
                        await websocket.send_text(news if isinstance(news, str) else json.dumps(news))
                await websocket.close()
            except (WebSocketDisconnect, OSError, RuntimeError):  # whoever looked has left
                pass
            finally:
                listening.cancel()

    def _since(self, last: str, camera: str | None) -> list[Event]:
        """Return what a client missed that was told `last`, oldest first; all there is if that is forgotten."""
        missed: list[Event] = []
        for event in self._memory.events(camera=camera, limit=MOST_MISSED):
            if event.id == last:
                break
            missed.insert(0, event)
        return missed


def _server_sent(event: dict[str, Any]) -> str:
    return f"id: {event['id']}\nevent: {event['event']}\ndata: {json.dumps(event)}\n\n"


async def _listen(websocket: WebSocket, viewer: Viewer, hub: Hub) -> None:
    """Take what a page says: `{"seen": NAME}` when a picture is shown, `{"look": [NAME...]}` for whose it wants."""
    with suppress(WebSocketDisconnect, ValueError, TypeError, AttributeError):
        while True:
            said = json.loads(await websocket.receive_text())
            if "look" in said:
                viewer.cameras = None if said["look"] is None else frozenset(said["look"])
                hub.refresh(viewer)
            if "seen" in said:
                hub.seen(viewer, said["seen"])
    viewer.close()

"""Those who look, each at their own pace."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

MOST_EVENTS = 200
"""That wait for a viewer who does not take them."""


class Viewer:
    """What one of those who look has yet to be sent: never more than the newest picture of a camera."""

    def __init__(self, *, cameras: frozenset[str] | None, events: bool, statuses: bool) -> None:
        self.cameras = cameras
        """Whose pictures are wanted; None: all."""
        self.wants_events, self.wants_statuses = events, statuses
        self._pictures: dict[str, bytes] = {}
        self._last: dict[str, bytes] = {}
        self._unseen: set[str] = set()
        self._events: deque[dict[str, Any]] = deque(maxlen=MOST_EVENTS)
        self._statuses: str | None = None
        self._news = asyncio.Event()
        self._closed = False

    def looks_at(self, camera: str) -> bool:
        return self.cameras is None or camera in self.cameras

    def awaits(self, camera: str) -> bool:
        """Whether the next picture of a camera would be sent at once."""
        return self.looks_at(camera) and camera not in self._unseen

    def show(self, camera: str, picture: bytes) -> None:
        """Have it sent when the one before has been seen; one that still waits is skipped."""
        if self._last.get(camera) is not picture:
            self._pictures[camera] = self._last[camera] = picture
            self._news.set()

    def tell(self, event: dict[str, Any]) -> None:
        self._events.append(event)
        self._news.set()

    def tell_statuses(self, statuses: str) -> None:
        self._statuses = statuses
        self._news.set()

    def seen(self, camera: str) -> None:
        """Take note that the viewer has the last picture of a camera, and may be sent the next one."""
        self._unseen.discard(camera)
        self._news.set()

    def close(self) -> None:
        self._closed = True
        self._news.set()

    async def news(
        self, *, silent_seconds: float | None = None
    ) -> AsyncIterator[dict[str, Any] | str | tuple[str, bytes] | None]:
        """Yield what there is to say, until closed: events, statuses as JSON, (camera, JPEG); None after a silence."""
        while True:
            try:
                async with asyncio.timeout(silent_seconds):
                    await self._news.wait()
            except TimeoutError:
                yield None
                continue
            self._news.clear()
            if self._closed:
                return
            while self._events:
                yield {"event": self._events.popleft()}
            if self._statuses is not None:
                statuses, self._statuses = self._statuses, None
                yield statuses
            for camera in [one for one in self._pictures if one not in self._unseen]:
                self._unseen.add(camera)
                yield camera, self._pictures.pop(camera)

"""Between the thread that detects and those who look: each picture is drawn once, and only for somebody."""

from __future__ import annotations

import asyncio
import json
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from humandetect.analytics.event_pictures import EventPictures
from humandetect.cpus import usable_cpus
from humandetect.media.images import encode_jpeg
from humandetect.watch.web.pictures import picture_of
from humandetect.watch.web.viewers import Viewer
from humandetect.watch.web.words import told_event, told_status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from humandetect.media.frames import DetectedFrame, Event
    from humandetect.watch.base import CameraStatus, View

PICTURE_SECONDS = 0.2
"""Between two pictures of a camera."""
DRAWING_SHARE = 0.03
"""Of all cores; where cameras want more, each is shown less often. Sending takes half as much beside it."""
BURST_SECONDS = 0.25
"""For which drawing may run ahead of its share."""
STATUS_SECONDS = 1.0
CHANGE_SECONDS = 0.25
"""Between two tellings of what changed: people do at nearly each look of each camera."""
MOST_EVENTS = 200
"""With pictures that are kept."""


class Hub:
    """An Audience that hands on to viewers; theirs is the loop of the server, where all but `on_...` is called."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._loop: asyncio.AbstractEventLoop | None = None
        self._viewers: set[Viewer] = set()
        self._painter = ThreadPoolExecutor(1, "painter")
        self._fresh: set[str] = set()
        """Cameras whose newest picture was not drawn yet."""
        self._turn = asyncio.Lock()
        """To draw; who waits longest goes first."""
        self._drawn_until = 0.0
        """Monotonic time at which what was drawn so far has not taken more than its share."""
        self._painting: dict[str, asyncio.Task[None]] = {}
        self._painted: dict[str, tuple[float, bytes]] = {}
        """The newest that was drawn of each camera, and its time: not its picture, which is large."""
        self._ticking: asyncio.Task[None] | None = None
        self._telling: asyncio.TimerHandle | None = None
        self._told_at = 0.0
        """When statuses were told, by the clock of the loop."""
        self._lately: dict[str, EventPictures] = {}
        self._crops: OrderedDict[str, bytes] = OrderedDict()

    # On the thread that detects

    def on_result(self, camera: str, result: DetectedFrame) -> None:
        self._lately.setdefault(camera, EventPictures()).update(result)
        if self._viewers:
            self._call(self._take, camera)

    def on_event(self, event: Event) -> None:
        lately = self._lately.get(event.source)
        crop = lately.of(event) if lately else None
        if crop is not None:
            self._crops[event.id] = encode_jpeg(crop)
            while len(self._crops) > MOST_EVENTS:
                self._crops.popitem(last=False)
        self._call(self._hand_on, self.told(event))

    def on_status(self, status: CameraStatus) -> None:  # noqa: ARG002  all are told at once
        self._call(self._tell_change)

    def on_cameras(self, names: Sequence[str]) -> None: ...

    def _call(self, act: Callable[..., None], *values: object) -> None:
        """Have the loop do it; without one nobody looks."""
        if self._loop is not None:
            with suppress(RuntimeError):  # closed just now
                self._loop.call_soon_threadsafe(act, *values)

    # On the loop

    def begin(self) -> None:
        """Take the running loop for that of the viewers."""
        self._loop = asyncio.get_running_loop()

    def end(self) -> None:
        """Send everybody home."""
        self._loop = None
        for viewer in self._viewers:
            viewer.close()
        for task in (*self._painting.values(), *filter(None, [self._ticking])):
            task.cancel()
        self._painter.shutdown(wait=False)

    def told(self, event: Event) -> dict[str, Any]:
        """Return an event as it is told, with the address of its picture if there is one."""
        return told_event(event, has_picture=event.id in self._crops)

    def told_statuses(self) -> list[dict[str, Any]]:
        """Return how all cameras are."""
        view = self._view
        return [told_status(one, has_scene_file=view.scene_file(one.name) is not None) for one in view.statuses()]

    def crop(self, event_id: str) -> bytes | None:
        """Return the JPEG of whom one of the last events was about."""
        return self._crops.get(event_id)

    @contextmanager
    def viewer(
        self, *, cameras: frozenset[str] | None = None, events: bool = False, statuses: bool = False
    ) -> Iterator[Viewer]:
        """Show somebody the pictures of cameras (None: of all), and tell events and statuses if wanted."""
        viewer = Viewer(cameras=cameras, events=events, statuses=statuses)
        if self._loop is None:
            viewer.close()
        self._viewers.add(viewer)
        self._ticking = self._ticking or asyncio.create_task(self._tick())
        self.refresh(viewer)
        try:
            yield viewer
        finally:
            self._viewers.discard(viewer)

    def refresh(self, viewer: Viewer) -> None:
        """Show a viewer at once what is there."""
        self._tell_statuses()
        for status in self._view.statuses():
            if viewer.looks_at(status.name):
                self._take(status.name)

    async def picture(self, camera: str) -> bytes | None:
        """Return the newest picture, drawn; None if there is none yet."""
        result = self._view.newest(camera)
        return None if result is None else await self._drawn(camera, result)

    def _take(self, camera: str) -> None:
        if any(viewer.looks_at(camera) for viewer in self._viewers):
            self._fresh.add(camera)
            self._begin_to_draw(camera)

    def seen(self, viewer: Viewer, camera: str) -> None:
        """Take note that a viewer has the last picture of a camera, and may be sent the next one."""
        viewer.seen(camera)
        self._begin_to_draw(camera)

    def _begin_to_draw(self, camera: str) -> None:
        """Begin to draw what a camera shows, if that is new and somebody awaits it."""
        if camera in self._fresh and camera not in self._painting and self._is_awaited(camera):
            self._painting[camera] = asyncio.create_task(self._paint(camera))

    def _is_awaited(self, camera: str) -> bool:
        return any(viewer.awaits(camera) for viewer in self._viewers)

    async def _paint(self, camera: str) -> None:
        """Draw what a camera shows, and what comes meanwhile, not too often."""
        try:
            while camera in self._fresh and self._is_awaited(camera):
                async with self._turn:
                    self._fresh.discard(camera)
                    picture = await self.picture(camera)
                    for viewer in self._viewers:
                        if picture and viewer.looks_at(camera):
                            viewer.show(camera, picture)
                    await self._rest()
                await asyncio.sleep(PICTURE_SECONDS)
        finally:
            del self._painting[camera]

    async def _rest(self) -> None:
        """Wait until drawing has not taken more than its share."""
        ahead = self._drawn_until - BURST_SECONDS - time.monotonic()
        if ahead > 0:
            await asyncio.sleep(ahead)

    async def _drawn(self, camera: str, result: DetectedFrame) -> bytes:
        seconds, picture = self._painted.get(camera, (None, b""))
        if seconds != result.frame.time_seconds:
            loop = asyncio.get_running_loop()
            picture, cost_seconds = await loop.run_in_executor(self._painter, _timed_picture_of, result)
            share_seconds = cost_seconds / (DRAWING_SHARE * usable_cpus())
            self._drawn_until = max(self._drawn_until, time.monotonic()) + share_seconds
            self._painted[camera] = (result.frame.time_seconds, picture)
        return picture

    def _hand_on(self, event: dict[str, Any]) -> None:
        for viewer in self._viewers:
            if viewer.wants_events:
                viewer.tell(event)

    async def _tick(self) -> None:
        """Tell how the cameras are, while somebody looks."""
        while self._viewers:
            await asyncio.sleep(STATUS_SECONDS)
            self._tell_statuses()
        self._ticking = None

    def _tell_change(self) -> None:
        """Tell how the cameras are: now, or together with what else changes soon after the last time."""
        if self._loop and self._viewers and not self._telling:
            self._telling = self._loop.call_at(self._told_at + CHANGE_SECONDS, self._tell_statuses)

    def _tell_statuses(self) -> None:
        if self._telling:
            self._telling.cancel()
            self._telling = None
        wanting = [viewer for viewer in self._viewers if viewer.wants_statuses]
        if wanting:
            statuses = json.dumps({"cameras": self.told_statuses()})
            self._told_at = asyncio.get_running_loop().time()
            for viewer in wanting:
                viewer.tell_statuses(statuses)


def _timed_picture_of(result: DetectedFrame) -> tuple[bytes, float]:
    """Draw a result; return it with the seconds that the thread worked for it."""
    began = time.thread_time()
    return picture_of(result), time.thread_time() - began

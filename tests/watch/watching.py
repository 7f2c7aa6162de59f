"""Cameras of a farm that are watched, and who is told of them."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from humandetect.config import EngineConfig, ServingConfig, WatchConfig
from humandetect.detection.detector import Detector
from humandetect.watch.run import Watch
from tests.fakes import FakeEngine
from tests.waiting import eventually
from tests.watch.memory import ListMemory

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from humandetect.media.frames import DetectedFrame, Event
    from humandetect.watch.base import CameraStatus
    from tests.watch.rtsp_farm import RunningFarm


class Listener:
    """An audience that keeps what it is told, and what memory held when it was told of an event."""

    def __init__(self, memory: ListMemory) -> None:
        self.results: list[DetectedFrame] = []
        self.events: list[Event] = []
        self.unkept: list[Event] = []
        self.statuses: list[CameraStatus] = []
        self.cameras: list[list[str]] = []
        self._memory = memory

    def on_result(self, camera: str, result: DetectedFrame) -> None:
        assert camera == result.frame.source
        self.results.append(result)

    def on_event(self, event: Event) -> None:
        self.events.append(event)
        self.unkept += [event] if event not in self._memory.kept else []

    def on_status(self, status: CameraStatus) -> None:
        self.statuses.append(status)

    def on_cameras(self, names: Sequence[str]) -> None:
        self.cameras.append(list(names))

    def seen(self, camera: str) -> int:
        """How many pictures of a camera it was shown with people."""
        return sum(result.frame.source == camera and len(result.detections) > 0 for result in tuple(self.results))

    def states(self, camera: str) -> list[str | None]:
        return [event.state for event in tuple(self.events) if event.event == "camera" and event.source == camera]

    def sees(self, camera: str, *, more: int = 2) -> None:
        """Wait until it was shown so many more pictures of a camera."""
        wanted = self.seen(camera) + more
        eventually(lambda: self.seen(camera) >= wanted)

    def hears(self, camera: str, state: str, *, times: int = 1) -> None:
        eventually(lambda: self.states(camera).count(state) >= times)


class Watched:
    def __init__(self, watching: Watch, listener: Listener, memory: ListMemory) -> None:
        self.watching, self.listener, self.memory = watching, listener, memory

    def status(self, camera: str) -> CameraStatus:
        return next(one for one in self.watching.statuses() if one.name == camera)


@contextmanager
def watched(
    *cameras: str, engine: FakeEngine | None = None, detector: Detector | None = None, servers: tuple[str, ...] = (),
    watchdog_seconds: float = 30.0, **options: object,
) -> Iterator[Watched]:  # fmt: skip
    """`servers` are those that a `detector` asks. On a busy machine all stands still now and then."""
    memory = ListMemory()
    listener = Listener(memory)
    asked = EngineConfig(serving=ServingConfig(targets=servers))
    config = WatchConfig(
        cameras, rate=5, decode="all", watchdog_seconds=watchdog_seconds, engine=asked, **options,  # type: ignore[arg-type]
    )  # fmt: skip
    before = set(threading.enumerate())
    with Watch(
        config, memory=memory, audiences=[listener], detector=detector or Detector(engine or FakeEngine())
    ) as watching:
        yield Watched(watching, listener, memory)
    eventually(lambda: not [one for one in threading.enumerate() if one not in before and is_of_watch(one)])


def is_of_watch(thread: threading.Thread) -> bool:
    """Return whether it is none of a gRPC server of the test, which starts one for each caller and at each start."""
    return not (thread.name.startswith("ThreadPoolExecutor") or "(_serve)" in thread.name)


def pair(farm: RunningFarm) -> tuple[str, str]:
    return f"door={farm.url('door')}", f"yard={farm.url('yard')}"

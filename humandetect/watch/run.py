"""`watch`: one engine for all cameras, a thread for each, two that take turns and one that analyses."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Self, get_args

from humandetect.errors import HumanDetectError, UsageError
from humandetect.watch.analysis import CameraAnalysis, camera_event
from humandetect.watch.audiences import Audiences
from humandetect.watch.camera import Camera
from humandetect.watch.cameras_file import read_cameras
from humandetect.watch.connection import ReaderSettings
from humandetect.watch.epoch import Epoch
from humandetect.watch.gate import MotionGate
from humandetect.watch.looks import Looks
from humandetect.watch.metrics import RecordingFigures
from humandetect.watch.openings import OPENINGS_AT_ONCE, Openings
from humandetect.watch.reader import CameraReader
from humandetect.watch.recording import Recordings
from humandetect.watch.retention import Reason
from humandetect.watch.scenes import Scenes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from humandetect.analytics.counts import CountRow
    from humandetect.analytics.scene import Scene
    from humandetect.config.watch import CameraConfig, WatchConfig
    from humandetect.detection.detector import Detector
    from humandetect.media.frames import DetectedFrame, Event
    from humandetect.watch.base import Audience, CameraStatus, Memory
    from humandetect.watch.reader import StateChange

STARTS_SPREAD_SECONDS = 1.0
TURN_TAKERS = 2
"""So that one camera's pictures may be huge, and take long to convert, without costing others their turns."""
LEAVE_SECONDS = 0.5
"""For connections to be closed before the next ones: many cameras serve few clients at once."""
END_SECONDS = 2.0
"""For threads to end; the whole must not take more than three."""
ANSWER_SECONDS = 1.0
"""For what is under way to be answered."""
FILE_SECONDS = 0.3
"""For recorders whose files are not closed by then."""

logger = logging.getLogger(__name__)


class Watch:
    """All cameras of one process; `with` begins and ends it."""

    def __init__(
        self, config: WatchConfig, *, memory: Memory, audiences: Sequence[Audience] = (),
        detector: Detector | None = None,
    ) -> None:  # fmt: skip
        """Read what there is to watch and load the engine. Raises UsageError, EngineError."""
        self.failure: HumanDetectError | None = None
        """Why this cannot go on."""
        self.ended = threading.Event()
        """Set when it cannot go on."""
        self._ends: float | None = None
        """When, on the monotonic clock, all shall have ended; None: nobody asked for it yet."""
        self._config = config
        self._memory = memory
        self._audiences = Audiences(audiences)
        self._cameras: dict[str, Camera] = {}
        self._openings = Openings()
        self._inbox: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        """What the analysing thread does next, in order; None: end."""
        self._epoch = Epoch.now()
        self._looks = Looks(
            config, detector=detector, analyse=self._inbox.put, tell=self._tell, on_change=self._on_change
        )
        self._scenes = Scenes(config.counting)
        self._wanted = self._checked(read_cameras(config))
        self._recordings = Recordings(config.recording) if config.recording.record else None

    def __enter__(self) -> Self:
        try:
            self._looks.open()
            self._find_sizes(self._wanted)
        except BaseException:
            self._looks.close(within_seconds=END_SECONDS)
            raise
        self._threads = [
            threading.Thread(target=self._guarded, args=(work,), name=name, daemon=True)
            for name, work in (*TURN_TAKERS * [("turns", self._looks.run)], ("analysis", self._analyse))
        ]
        for thread in self._threads:
            thread.start()
        self._tell_cameras()
        for number, camera in enumerate(self._wanted.values()):
            self._add(camera, after_seconds=STARTS_SPREAD_SECONDS * number / len(self._wanted))
        return self

    def stop(self) -> float:
        """Begin to end: cameras are read no more; return by when all of it shall have ended, from the first call on."""
        self._ends = self._ends or time.monotonic() + END_SECONDS
        for camera in tuple(self._cameras.values()):
            camera.reader.stop()
        return self._ends

    def __exit__(self, *_: object) -> None:
        """Stop all cameras, tell what is left to tell, and close the engine."""
        ends = self.stop()
        cameras = list(self._cameras.values())
        self._looks.close(within_seconds=min(ANSWER_SECONDS, max(0.1, ends - time.monotonic())))
        for camera in cameras:
            camera.reader.join(max(0.0, min(0.5, ends - time.monotonic())))
            self._inbox.put(partial(self._finish, camera))
        self._inbox.put(None)
        for thread in self._threads:
            thread.join(max(0.1, ends - time.monotonic()))
        for camera in cameras:
            camera.close(within_seconds=max(0.0, ends + FILE_SECONDS - time.monotonic()))

    def statuses(self) -> Sequence[CameraStatus]:
        return [camera.status() for camera in tuple(self._cameras.values())]

    def newest(self, camera: str) -> DetectedFrame | None:
        found = self._cameras.get(camera)
        return found.newest if found else None

    def counts(self, camera: str, *, since: datetime) -> Sequence[CountRow]:
        found = self._cameras.get(camera)
        return found.counts(since=since) if found else self._memory.counts(camera=camera, since=since)

    def scene_file(self, camera: str) -> Path | None:
        found = self._cameras.get(camera)
        return found.config.scene if found else None

    def save_scene(self, camera: str, toml: str) -> None:
        """Check, write and use other lines and zones. Raises UsageError, SinkError."""
        found, path = self._cameras.get(camera), self.scene_file(camera)
        if found is None or path is None:
            raise UsageError(f"camera {camera!r} has no file for lines and zones: give it a `scene`")
        self._count_at(found, self._scenes.write(path, toml, of=found.config, size=found.reader.size))

    def recording_figures(self) -> RecordingFigures:
        if self._recordings is None:
            return RecordingFigures()
        kept = self._recordings.retention
        return RecordingFigures(kept.kept_bytes, {reason: kept.deleted[reason] for reason in get_args(Reason)})

    def join(self, audience: Audience) -> Callable[[], None]:
        return self._audiences.join(audience)

    def reload(self) -> str:
        """Read cameras and scenes again and do what changed; says what. Raises UsageError, and nothing changes."""
        before, wanted = self._wanted, self._checked(read_cameras(self._config))
        self._find_sizes(wanted)
        scenes = {name: self._scenes.read(camera) for name, camera in wanted.items() if before.get(name) == camera}
        self._wanted = wanted
        redrawn = [name for name, scene in scenes.items() if scene != self._cameras[name].scene]
        gone = [name for name in before if name not in wanted]
        changed = [name for name in wanted if name in before and wanted[name] != before[name]]
        new = [name for name in wanted if name not in before]
        for name in (*gone, *changed):
            self._cameras[name].reader.stop()
        ends = time.monotonic() + LEAVE_SECONDS
        for name in (*gone, *changed):
            self._remove(name, within_seconds=max(0.0, ends - time.monotonic()))
        self._tell_cameras()  # before anything is said of those that are new
        for name in (*changed, *new):
            self._add(wanted[name])
        for name in redrawn:
            self._count_at(self._cameras[name], scenes[name])
        told = {"added": new, "changed": changed, "other lines or zones at": redrawn, "removed": gone}
        return "; ".join(f"{what} {', '.join(names)}" for what, names in told.items() if names) or "nothing changed"

    def _find_sizes(self, cameras: Mapping[str, CameraConfig]) -> None:
        """Raise UsageError where the model does not take a size that a camera wants."""
        for camera in cameras.values():
            self._looks.finder(camera)

    def _checked(self, cameras: Sequence[CameraConfig]) -> dict[str, CameraConfig]:
        for camera in cameras:
            self._scenes.read(camera)  # what cannot be counted at must be known before weeks begin
        return {camera.name: camera for camera in cameras}

    def _count_at(self, camera: Camera, scene: Scene) -> None:
        self._inbox.put(lambda: self._tell_events(camera, camera.count_at(scene)))

    def _add(self, config: CameraConfig, *, after_seconds: float = 0.0) -> None:
        name, settings, finder = config.name, self._config, self._looks.finder(config)
        recorder = self._recordings.recorder(name, config.record) if self._recordings and config.record else None
        reader = CameraReader(
            name, config.url,
            settings=ReaderSettings(
                rate=config.rate, decode=config.decode, transport=config.transport,
                max_delay_seconds=settings.max_delay_seconds, watchdog_seconds=settings.watchdog_seconds,
                max_megapixels=settings.max_megapixels,
            ),
            openings=self._openings, on_change=lambda change: self._on_change(camera, change),
            on_picture=partial(self._looks.turns.arrived, name), first_after_seconds=after_seconds, packets=recorder,
            is_crowded=len(self._wanted) > OPENINGS_AT_ONCE,
        )  # fmt: skip

        def analyse(scene: Scene) -> CameraAnalysis:
            epoch = self._epoch  # once: it may change meanwhile
            return CameraAnalysis(
                name, scene=scene, memory=self._memory, started=epoch.started, run=epoch.run,
                per_seconds=settings.counting.per_seconds, track_scores=finder.track_scores,
                anonymize=config.anonymize,
            )  # fmt: skip

        gate = MotionGate() if config.gate == "motion" else None
        camera = Camera(
            config, reader=reader, finder=finder, scene=self._scenes.read(config), analyse=analyse, gate=gate,
            recorder=recorder,
        )  # fmt: skip
        self._cameras[name] = camera
        self._looks.add(camera)
        reader.start()

    def _remove(self, name: str, *, within_seconds: float) -> None:
        camera = self._cameras.pop(name)
        camera.reader.join(within_seconds)
        self._looks.remove(camera)
        self._inbox.put(partial(self._finish, camera))

    def _on_change(self, camera: Camera, change: StateChange) -> None:
        """Take a change of state, on any thread."""
        log = logger.warning if change.state in ("lost", "refused", "late", "blind") else logger.info
        log("camera %s is %s%s", change.camera, change.state, f": {change.reason}" if change.reason else "")
        self._inbox.put(partial(self._tell_change, camera, change))

    def _analyse(self) -> None:
        while (work := self._inbox.get()) is not None:
            work()

    def _follow_clock(self, camera: Camera) -> None:
        """Count by the new time once this machine's clock was set, as that of a machine without a battery is."""
        if why := self._epoch.why_over():
            logger.warning("%s: events and counts go on by it", why)
            self._epoch = Epoch.now()
        if camera.run != self._epoch.run:
            self._tell_events(camera, camera.count_at(camera.scene))

    def _tell(self, camera: Camera, result: DetectedFrame, seen_at: float) -> None:
        if self._cameras.get(camera.config.name) is not camera:
            return  # removed meanwhile
        self._follow_clock(camera)
        now = time.monotonic()
        frame = replace(result.frame, time_seconds=self._epoch.seconds(result.frame.time_seconds))
        result = replace(result, frame=frame)
        told = camera.look(result, now=now, delay_seconds=now - seen_at)
        if told is None:
            return
        # First the picture, of which events are shown a part.
        self._audiences.tell(lambda audience: audience.on_result(camera.config.name, told))
        self._tell_events(camera, told.events)
        if status := camera.news():
            self._audiences.tell(lambda audience: audience.on_status(status))

    def _tell_change(self, camera: Camera, change: StateChange) -> None:
        events = camera.lose(change.reason or "") if change.state in ("lost", "blind") else ()
        seconds = self._epoch.seconds(time.monotonic())
        self._tell_events(camera, (*events, camera_event(change, seconds=seconds, run=self._epoch.run)))
        if self._cameras.get(change.camera, camera) is camera:
            self._audiences.tell(lambda audience: audience.on_status(camera.status()))

    def _tell_cameras(self) -> None:
        names = list(self._wanted)
        self._inbox.put(lambda: self._audiences.tell(lambda audience: audience.on_cameras(names)))

    def _finish(self, camera: Camera) -> None:
        self._tell_events(camera, camera.finish())
        camera.close()

    def _tell_events(self, camera: Camera, events: Sequence[Event]) -> None:
        events = [camera.placed(event) for event in events]
        if events:
            self._memory.add_events(events)
        for event in events:
            self._tell_event(event)

    def _tell_event(self, event: Event) -> None:
        self._audiences.tell(lambda audience: audience.on_event(event))

    def _guarded(self, work: Callable[[], None]) -> None:
        """Do the work of a thread without which nothing goes on."""
        try:
            work()
        except HumanDetectError as error:
            self.failure = error
        except Exception as error:
            logger.exception("watching cannot go on")
            self.failure = HumanDetectError(f"watching cannot go on: {type(error).__name__}: {error}")
        finally:
            if self.failure:
                self.ended.set()

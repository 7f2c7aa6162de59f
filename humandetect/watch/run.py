"""`watch`: one engine for all cameras, a thread for each, one that takes turns and one that analyses."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Self

import supervision as sv

from humandetect.analytics.base import WEAKEST_SCORE
from humandetect.analytics.scene import Scene, read_scene
from humandetect.detection.detector import Detector
from humandetect.detection.finders import EngineFinder, open_batcher
from humandetect.engines import load_engine
from humandetect.errors import (
    Closed,
    EngineTimeout,
    EngineUnavailable,
    HumanDetectError,
    SourceError,
    UsageError,
)
from humandetect.media.frames import DetectedFrame, Frame
from humandetect.media.sinks.atomic_files import PendingFile
from humandetect.watch.analysis import CameraAnalysis, camera_event
from humandetect.watch.camera import Camera
from humandetect.watch.cameras_file import read_cameras
from humandetect.watch.connection import ReaderSettings
from humandetect.watch.gate import MotionGate
from humandetect.watch.metrics import RecordingFigures
from humandetect.watch.reader import OPENINGS_AT_ONCE, CameraReader
from humandetect.watch.recording import Recordings
from humandetect.watch.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from humandetect.config.watch import CameraConfig, WatchConfig
    from humandetect.detection.finders import Finder
    from humandetect.media.frames import Event
    from humandetect.watch.base import Audience, CameraStatus, Memory
    from humandetect.watch.reader import StateChange

STARTS_SPREAD_SECONDS = 1.0
LEAVE_SECONDS = 0.5
"""For a connection to be closed before the next one: many cameras serve few clients at once."""
END_SECONDS = 2.0
"""For what is under way to be answered, and threads to end; the whole must not take more than three."""

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
        self._config = config
        self._memory = memory
        self._audiences = list(audiences)
        self._faulty: list[Audience] = []
        """Those that raised once."""
        self._detector = detector
        self._cameras: dict[str, Camera] = {}
        self._turns = Turns()
        self._openings = threading.Semaphore(OPENINGS_AT_ONCE)
        self._inbox: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        """What the analysing thread does next, in order; None: end."""
        self._run = datetime.now().astimezone()
        # On the minute, so that counts are those of whole minutes by the clock on the wall.
        self._started = self._run.replace(second=0, microsecond=0)
        self._zero = time.monotonic() - (self._run - self._started).total_seconds()
        self._wanted = self._checked(read_cameras(config))
        self._recordings = Recordings(config.recording) if config.recording.record else None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        try:
            self._finder = self._opened_finder()
        except BaseException:
            self._stack.close()
            raise
        self._threads = [
            threading.Thread(target=self._guarded, args=(work,), name=name, daemon=True)
            for name, work in (("turns", self._take_turns), ("analysis", self._analyse))
        ]
        for thread in self._threads:
            thread.start()
        for number, camera in enumerate(self._wanted.values()):
            self._add(camera, after_seconds=STARTS_SPREAD_SECONDS * number / len(self._wanted))
        return self

    def __exit__(self, *_: object) -> None:
        """Stop all cameras, tell what is left to tell, and close the engine."""
        ends = time.monotonic() + END_SECONDS
        cameras = list(self._cameras.values())
        for camera in cameras:
            camera.reader.stop()
        self._turns.close()
        self._threads[0].join(max(0.0, ends - time.monotonic()))
        for camera in cameras:
            camera.reader.join(max(0.0, min(0.5, ends - time.monotonic())))
            self._inbox.put(partial(self._finish, camera))
        self._inbox.put(None)
        self._threads[1].join(max(0.1, ends - time.monotonic()))
        for camera in cameras:
            camera.close(within_seconds=max(0.1, ends - time.monotonic()))
        self._stack.close()

    def statuses(self) -> Sequence[CameraStatus]:
        return [camera.status() for camera in tuple(self._cameras.values())]

    def newest(self, camera: str) -> DetectedFrame | None:
        found = self._cameras.get(camera)
        return found.newest if found else None

    def scene_file(self, camera: str) -> Path | None:
        found = self._cameras.get(camera)
        return found.config.scene if found else None

    def save_scene(self, camera: str, toml: str) -> None:
        """Check, write and use other lines and zones. Raises UsageError, SinkError."""
        found, path = self._cameras.get(camera), self.scene_file(camera)
        if found is None or path is None:
            raise UsageError(f"camera {camera!r} has no file for lines and zones: give it a `scene`")
        pending = PendingFile(path)
        try:
            pending.path.write_text(toml, encoding="utf-8")
            scene = self._scene(replace(found.config, scene=pending.path))
            if found.reader.size:
                scene.for_picture(*found.reader.size, source=camera)
            pending.finish(complete=True)
        except UsageError as error:
            raise UsageError(str(error).replace(str(pending.path), path.name)) from error
        finally:
            pending.discard()
        self._inbox.put(lambda: self._tell_events(found, found.count_at(scene)))

    def recording_figures(self) -> RecordingFigures:
        if self._recordings is None:
            return RecordingFigures()
        kept = self._recordings.retention
        return RecordingFigures(kept.kept_bytes, {str(reason): count for reason, count in kept.deleted.items()})

    def join(self, audience: Audience) -> Callable[[], None]:
        """Tell somebody all that happens from now on; returns how to leave."""
        self._audiences = [*self._audiences, audience]

        def leave() -> None:
            self._audiences = [one for one in self._audiences if one is not audience]

        return leave

    def reload(self) -> str:
        """Read the file of cameras again and do what changed; says what. Raises UsageError, and nothing changes."""
        wanted = self._checked(read_cameras(self._config))
        before, self._wanted = self._wanted, wanted
        gone = [name for name in before if name not in wanted]
        changed = [name for name in wanted if name in before and wanted[name] != before[name]]
        new = [name for name in wanted if name not in before]
        for name in (*gone, *changed):
            self._cameras[name].reader.stop()
        for name in (*gone, *changed):
            self._remove(name)
        for name in (*changed, *new):
            self._add(wanted[name])
        told = {"added": new, "changed": changed, "removed": gone}
        return "; ".join(f"{what} {', '.join(names)}" for what, names in told.items() if names) or "nothing changed"

    def _checked(self, cameras: Sequence[CameraConfig]) -> dict[str, CameraConfig]:
        for camera in cameras:
            self._scene(camera)  # what cannot be counted at must be known before weeks begin
        return {camera.name: camera for camera in cameras}

    def _scene(self, camera: CameraConfig) -> Scene:
        counting = self._config.counting
        return read_scene(camera.scene, lines=counting.line, zones=counting.zone)

    def _opened_finder(self) -> Finder[Any]:
        config, stack = self._config, self._stack
        detector = self._detector or stack.enter_context(Detector(load_engine(config.engine), score=config.score))
        batcher = stack.enter_context(open_batcher(detector.info, detector.infer, batch=config.batch))
        if self._detector is None:  # before the batcher, which would wait for an engine that waits for its server
            stack.callback(detector.close)
        logger.info("model %s version %s runs on %s", detector.info.name, detector.info.version, detector.info.engine)
        return EngineFinder(detector, batcher, weakest_score=WEAKEST_SCORE)

    def _add(self, config: CameraConfig, *, after_seconds: float = 0.0) -> None:
        name, settings = config.name, self._config
        recorder = self._recordings.recorder(name, config.record) if self._recordings and config.record else None
        reader = CameraReader(
            name, config.url,
            settings=ReaderSettings(
                rate=config.rate, decode=config.decode, transport=config.transport,
                max_delay_seconds=settings.max_delay_seconds, watchdog_seconds=settings.watchdog_seconds,
                max_megapixels=settings.max_megapixels,
            ),
            openings=self._openings, on_change=lambda change: self._on_change(camera, change),
            on_picture=partial(self._turns.arrived, name), first_after_seconds=after_seconds, packets=recorder,
        )  # fmt: skip

        def analyse(scene: Scene) -> CameraAnalysis:
            return CameraAnalysis(
                name, scene=scene, memory=self._memory, started=self._started, run=self._run.isoformat(),
                per_seconds=settings.counting.per_seconds, track_scores=self._finder.track_scores,
                anonymize=config.anonymize,
            )  # fmt: skip

        gate = MotionGate() if config.gate == "motion" else None
        camera = Camera(config, reader=reader, scene=self._scene(config), analyse=analyse, gate=gate, recorder=recorder)
        camera.missed = partial(self._turns.missed.__getitem__, name)
        self._cameras[name] = camera
        self._turns.add(name, rate=config.rate)
        reader.start()

    def _remove(self, name: str) -> None:
        camera = self._cameras.pop(name)
        camera.reader.join(LEAVE_SECONDS)
        self._turns.remove(name)
        self._inbox.put(partial(self._finish, camera))

    def _on_change(self, camera: Camera, change: StateChange) -> None:
        """Take a change of state, on the camera's thread."""
        log = logger.warning if change.state in ("lost", "refused", "late") else logger.info
        log("camera %s is %s%s", change.camera, change.state, f": {change.reason}" if change.reason else "")
        self._inbox.put(partial(self._tell_change, camera, change))

    def _take_turns(self) -> None:
        while (name := self._turns.next()) is not None:
            camera = self._cameras.get(name)
            picture = camera.reader.take() if camera else None
            if camera is None or picture is None:
                self._turns.ended(name)
                continue
            try:
                image = picture.image()
            except SourceError as error:
                logger.debug("camera %s: %s", name, error)
                camera.failed["unreadable"] += 1
                self._turns.ended(name)
                continue
            seconds = picture.arrived_seconds - self._zero
            camera.taken += 1
            frame = Frame(image, camera.taken, seconds, name, pixel_aspect=picture.pixel_aspect)
            late = picture.arrived_seconds - (picture.delay_seconds or 0.0)
            if camera.gate and not camera.gate.opens(image, seconds, somebody=camera.has_somebody):
                self._inbox.put(partial(self._look_without, camera, frame, late))
                continue
            future = self._finder.submit(frame)
            future.add_done_callback(partial(self._put_answer, camera, frame, late))

    def _put_answer(self, camera: Camera, frame: Frame, seen_at: float, answer: Future[Any]) -> None:
        self._inbox.put(partial(self._look, camera, frame, seen_at, answer))

    def _analyse(self) -> None:
        while (work := self._inbox.get()) is not None:
            work()

    def _look(self, camera: Camera, frame: Frame, seen_at: float, answer: Future[Any]) -> None:
        """Take the answer to a picture."""
        self._turns.ended(camera.config.name)
        try:
            result = self._finder.result(frame, answer.result(), detected=True)
        except (EngineTimeout, EngineUnavailable, Closed) as error:  # a server that is away comes back
            camera.failed["engine"] += 1
            if camera.failed["engine"] == 1:
                logger.warning("camera %s: %s", camera.config.name, error)
            return
        self._tell(camera, result, seen_at)

    def _look_without(self, camera: Camera, frame: Frame, seen_at: float) -> None:
        """Take a picture in which nothing moved: whoever was there still is."""
        self._turns.ended(camera.config.name)
        self._tell(camera, DetectedFrame(frame, sv.Detections.empty(), detected=False), seen_at)

    def _tell(self, camera: Camera, result: DetectedFrame, seen_at: float) -> None:
        if self._cameras.get(camera.config.name) is not camera:
            return  # removed meanwhile
        now = time.monotonic()
        told = camera.look(result, now=now, delay_seconds=now - seen_at)
        if told is None:
            return
        self._tell_events(camera, told.events)
        self._tell_all(lambda audience: audience.on_result(camera.config.name, told))
        if status := camera.news():
            self._tell_all(lambda audience: audience.on_status(status))

    def _tell_change(self, camera: Camera, change: StateChange) -> None:
        seconds = time.monotonic() - self._zero
        events = camera.lose(change.reason or "") if change.state == "lost" else ()
        self._tell_events(camera, (*events, camera_event(change, seconds=seconds, run=self._run.isoformat())))
        if self._cameras.get(change.camera, camera) is camera:
            self._tell_all(lambda audience: audience.on_status(camera.status()))

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
        self._tell_all(lambda audience: audience.on_event(event))

    def _tell_all(self, tell: Callable[[Audience], None]) -> None:
        for audience in self._audiences:
            try:
                tell(audience)
            except Exception:  # its fault must not cost the cameras their weeks
                if audience not in self._faulty:
                    self._faulty.append(audience)
                    logger.exception("%s fails to take what cameras show", type(audience).__name__)

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

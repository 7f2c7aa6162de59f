"""Looks at cameras: takes the picture of whose turn it is, and has the one engine find its people."""

from __future__ import annotations

import logging
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import supervision as sv

from humandetect.analytics.base import WEAKEST_SCORE
from humandetect.cpus import usable_cpus
from humandetect.detection.detector import Detector
from humandetect.detection.finders import EngineFinder, open_batcher
from humandetect.ending import leave_behind
from humandetect.engines import asks_servers, load_engine
from humandetect.errors import Closed, EngineError, EngineTimeout, EngineUnavailable, SourceError
from humandetect.media.frames import DetectedFrame, Frame
from humandetect.watch.sized_detectors import SizedDetectors
from humandetect.watch.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from humandetect.config.watch import CameraConfig, WatchConfig
    from humandetect.detection.finders import Finder
    from humandetect.watch.camera import Camera
    from humandetect.watch.reader import StateChange

PATIENCE_SECONDS = 5.0
"""For servers that are away, with one picture: the next one is newer."""
DEAD_SECONDS = 60.0
"""An engine of our own that answers nothing for so long never will."""

logger = logging.getLogger(__name__)


class Looks:
    """Takes turns on the threads of `run`; what comes of a look is told on that of `analyse`."""

    def __init__(
        self, config: WatchConfig, *, detector: Detector | None,
        analyse: Callable[[Callable[[], object]], object], tell: Callable[[Camera, DetectedFrame, float], object],
        on_change: Callable[[Camera, StateChange], object],
    ) -> None:  # fmt: skip
        """Without a `detector` `open` makes one; frames have the monotonic time at which they came.

        `analyse` does work in order on another thread; there `tell` takes results, and when each was to be seen, and
        `on_change` that a camera has become blind, or is so no more.
        """
        self.turns = Turns()
        self._config = config
        self._given = detector
        self._analyse, self._tell, self._on_change = analyse, tell, on_change
        self._has_servers = asks_servers(config.engine)
        self._unanswered_since: float | None = None
        """When the first picture was asked of since which the engine answered nothing."""
        self._cameras: dict[str, Camera] = {}
        self._stack = ExitStack()

    def open(self) -> None:
        """Load the engine. Raises EngineError."""
        config, stack = self._config, self._stack
        patience = min(config.engine.serving.patience_seconds, PATIENCE_SECONDS)
        patient = replace(config.engine, serving=replace(config.engine.serving, patience_seconds=patience))
        detector = self._given or stack.enter_context(Detector(load_engine(patient), score=config.score))
        info = detector.info
        self._detectors = SizedDetectors(detector)
        hung_after = None if self._has_servers else DEAD_SECONDS  # calls to servers have deadlines of their own
        self._batcher = stack.enter_context(
            open_batcher(info, detector.infer, batch=config.batch, hung_after_seconds=hung_after)
        )
        # What waits beside them gets old: people are told of a third later, for a tenth more pictures at full load.
        self.turns.at_once = min(info.parallel, usable_cpus()) * (config.batch or info.best_batch)
        if self._given is None:  # before the batcher, which would wait for an engine that waits for its server
            stack.callback(detector.close)
        logger.info("model %s version %s runs on %s", info.name, info.version, info.engine)

    def close(self, *, within_seconds: float) -> None:
        """Take no more turns and close the engine; one that does not answer is left to the end of the process."""
        self.turns.close()
        closing = threading.Thread(target=self._stack.close, name="engine's end", daemon=True)
        closing.start()
        closing.join(within_seconds)
        if closing.is_alive():
            logger.warning("the engine does not answer, and is left as it is")
            leave_behind()

    def finder(self, camera: CameraConfig) -> Finder[Any]:
        """Return who finds the people of a camera. Raises UsageError where the model takes no such size."""
        return EngineFinder(self._detectors.of(camera), self._batcher, weakest_score=WEAKEST_SCORE)

    def add(self, camera: Camera) -> None:
        name = camera.config.name
        camera.missed = partial(self.turns.missed.__getitem__, name)
        self._cameras[name] = camera
        self.turns.add(name, rate=camera.config.rate)

    def remove(self, camera: Camera) -> None:
        del self._cameras[camera.config.name]
        self.turns.remove(camera.config.name)

    def run(self) -> None:
        """Take turns until closed. Raises EngineError."""
        with suppress(Closed):
            while (name := self.turns.next()) is not None:
                camera = self._cameras.get(name)
                if camera is None or not self._look(camera):
                    self.turns.ended(name)

    def _look(self, camera: Camera) -> bool:
        """Look at the newest picture of a camera; return whether there is one, whose turn ends with its answer."""
        picture = camera.reader.take()
        if picture is None:
            return False
        try:
            image = picture.image()
        except SourceError as error:
            logger.debug("camera %s: %s", camera.config.name, error)
            camera.failed["unreadable"] += 1
            return False
        seconds = picture.arrived_seconds
        camera.taken += 1
        frame = Frame(image, camera.taken, seconds, camera.config.name, pixel_aspect=picture.pixel_aspect)
        seen_at = picture.arrived_seconds - (picture.delay_seconds or 0.0)
        if camera.gate and not camera.gate.opens(image, seconds, somebody=camera.has_somebody):
            self._analyse(partial(self._pass, camera, frame, seen_at))
        else:
            asked_at = time.monotonic()
            answer = camera.finder.submit(frame)
            answer.add_done_callback(
                lambda answer: self._analyse(partial(self._take, camera, frame, answer, seen_at, asked_at))
            )
        return True

    def _take(self, camera: Camera, frame: Frame, answer: Future[Any], seen_at: float, asked_at: float) -> None:
        """Take the answer to a picture. Raises EngineError where there will never be one."""
        self._end_turn(camera)
        try:
            result = camera.finder.result(frame, answer.result(), detected=True)
        except Closed:  # this is the end
            return
        except (EngineTimeout, EngineUnavailable) as error:
            self._miss(camera, error, asked_at)
            return
        self._unanswered_since = None
        if change := camera.answered():
            self._on_change(camera, change)
        self._tell(camera, result, seen_at)

    def _miss(self, camera: Camera, error: EngineError, asked_at: float) -> None:
        """Take that there is no answer: a server that is away comes back, an engine that hangs here does not."""
        now = time.monotonic()
        self._unanswered_since = self._unanswered_since or asked_at
        if not self._has_servers and now - self._unanswered_since >= DEAD_SECONDS:
            raise EngineTimeout(
                f"the engine answered nothing for {DEAD_SECONDS:g} s ({error}): start this again; where it "
                "hangs again, with another --engine or --device"
            ) from error
        if change := camera.unanswered(str(error), asked_at=asked_at, now=now):
            self._on_change(camera, change)

    def _end_turn(self, camera: Camera) -> None:
        if self._cameras.get(camera.config.name) is camera:  # and not one that took its place meanwhile
            self.turns.ended(camera.config.name)

    def _pass(self, camera: Camera, frame: Frame, seen_at: float) -> None:
        """Take a picture in which nothing moved: whoever was there still is."""
        self._end_turn(camera)
        self._tell(camera, DetectedFrame(frame, sv.Detections.empty(), detected=False), seen_at)

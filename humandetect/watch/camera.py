"""One camera that is watched: its thread, what its pictures tell, and how it is."""

from __future__ import annotations

import logging
from collections import Counter, deque
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from humandetect.addresses import shown_address
from humandetect.analytics.scene import Scene
from humandetect.errors import UsageError
from humandetect.media.sources import device_number
from humandetect.watch.base import SEEN, CameraStatus
from humandetect.watch.reader import StateChange

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from humandetect.analytics.counts import CountRow
    from humandetect.config.watch import CameraConfig
    from humandetect.detection.finders import Finder
    from humandetect.media.frames import DetectedFrame, Event
    from humandetect.watch.analysis import CameraAnalysis
    from humandetect.watch.gate import MotionGate
    from humandetect.watch.reader import CameraReader
    from humandetect.watch.recording import Recorder

DELAY_SECONDS = 30.0
"""The time of which `delay_seconds` is the 95th percentile."""
BLIND_SECONDS = 5.0
"""Without an answer to any of its pictures."""

logger = logging.getLogger(__name__)


class Camera:
    """Put together by `Watch`, and used by its threads: reader and finder by any, the rest by the one that analyses."""

    def __init__(
        self, config: CameraConfig, *, reader: CameraReader, finder: Finder[Any], scene: Scene,
        analyse: Callable[[Scene], CameraAnalysis], gate: MotionGate | None, recorder: Recorder | None,
    ) -> None:  # fmt: skip
        """`analyse` makes the analysis of a scene."""
        self.config = config
        self.reader = reader
        self.finder = finder
        self.gate = gate
        self.recorder = recorder
        self.taken = 0
        """Pictures that were looked at, or left by the gate; numbers the frames."""
        self.detected = 0
        self.failed: Counter[str] = Counter()
        """Pictures that were taken and not answered, by reason."""
        self.newest: DetectedFrame | None = None
        self.missed: Callable[[], int] = lambda: 0
        self.scene = scene
        """What it should be counted at."""
        self._analyse = analyse
        self._unfit: tuple[int, ...] | None = None
        """Height and width that the scene does not fit, and at which it is not counted."""
        self._begin(scene)
        self._delays: deque[tuple[float, float]] = deque()
        self._unanswered_since: float | None = None
        """When the first picture was asked of since which there is no answer."""
        self._blind: StateChange | None = None
        self._told: tuple[object, ...] = ()

    @property
    def has_somebody(self) -> bool:
        """Whether somebody was there at the last look, or is looked for."""
        return self.newest is not None and bool(len(self.newest.detections) or len(self.newest.held))

    def look(self, result: DetectedFrame, *, now: float, delay_seconds: float) -> DetectedFrame | None:
        """Return what a picture tells, `delay_seconds` after it was to be seen; None if it could not be judged."""
        try:
            told = self._analysed(result)
        except Exception:  # a fault of ours at one picture must not end what all others are watched by
            logger.exception("camera %s: a picture is left out, and everybody in it begins anew", self.config.name)
            self.failed["fault"] += 1
            self._begin(self.scene)
            return None
        self.detected += result.detected
        self.newest = told
        self._delays.append((now, delay_seconds))
        while now - self._delays[0][0] > DELAY_SECONDS:
            self._delays.popleft()
        return told

    def _analysed(self, result: DetectedFrame) -> DetectedFrame:
        """Return what a picture tells: without its lines, it is worth watching, too, until they fit it again."""
        size = result.frame.image.shape[:2]
        if self._unfit not in (None, size):
            self._begin(self.scene)
        try:
            return self._analysis.look(result)
        except UsageError as error:
            logger.error("camera %s is not counted at: %s", self.config.name, error)  # noqa: TRY400
            left = self._analysis.finish()
            self._begin(Scene(), unfit=size)
            told = self._analysis.look(result)
            return replace(told, events=(*left, *told.events))

    def _begin(self, scene: Scene, *, unfit: tuple[int, ...] | None = None) -> None:
        self._analysis, self._unfit = self._analyse(scene), unfit

    def unanswered(self, reason: str, *, asked_at: float, now: float) -> StateChange | None:
        """Take that a picture got no answer; return the change if the camera has become blind by it."""
        self.failed["engine"] += 1
        self._unanswered_since = self._unanswered_since or asked_at
        if self._blind or now - self._unanswered_since < BLIND_SECONDS:
            return None
        self._blind = StateChange(self.config.name, "blind", reason, datetime.now().astimezone())
        return self._blind

    def answered(self) -> StateChange | None:
        """Take that there are answers; return the change if the camera was blind."""
        blind, self._blind, self._unanswered_since = self._blind, None, None
        now = self.reader.now
        return now._replace(at=datetime.now().astimezone()) if blind and now.state in SEEN else None

    @property
    def run(self) -> str:
        """By which time it is counted."""
        return self._analysis.run

    def count_at(self, scene: Scene) -> Sequence[Event]:
        """Count at other lines and zones from now on; return what those of before still had to tell."""
        events = self._analysis.finish()
        self.scene = scene
        self._begin(scene)
        return events

    def lose(self, reason: str) -> Sequence[Event]:
        self.newest = None
        self._delays.clear()
        return self._analysis.lose(reason)

    def finish(self) -> Sequence[Event]:
        return self._analysis.finish()

    def counts(self, *, since: datetime) -> Sequence[CountRow]:
        return self._analysis.counts(since=since)

    def placed(self, event: Event) -> Event:
        """Return what happened with where it was recorded, and let that be kept."""
        if self.recorder is None:
            return event
        self.recorder.note(event)
        moment = datetime.fromisoformat(event.wall_time) if event.wall_time else None
        found = self.recorder.where(moment) if moment else None
        return replace(event, recording=found.path, recording_seconds=round(found.seconds, 3)) if found else event

    def close(self, *, within_seconds: float = 0.0) -> None:
        """Let its recorder finish the open file, and wait for that; may be called again."""
        if self.recorder is not None:
            self.recorder.close(timeout_seconds=within_seconds)

    def news(self) -> CameraStatus | None:
        """Return how it is where people or totals are others than at the last call."""
        status = self.status()
        now = (status.people, dict(status.occupancy), dict(status.totals))
        if now == self._told:
            return None
        self._told = now
        return status

    def status(self) -> CameraStatus:
        """Tell how it is; from any thread."""
        reader, now = self.reader, self.reader.now
        if self._blind and now.state in SEEN:
            now = self._blind
        newest = self.newest if now.state in SEEN else None
        delays = sorted(delay for _, delay in tuple(self._delays))
        url = self.config.url
        shown = shown_address(url) if device_number(url) is None else url
        return CameraStatus(
            self.config.name, shown, now.state, now.reason, now.at,
            size=reader.size,
            people=None if newest is None else len(newest.detections),
            occupancy={} if newest is None else newest.occupancy,
            totals=self._analysis.totals,
            delay_seconds=delays[min(len(delays) - 1, int(0.95 * len(delays)))] if delays else None,
            last_picture=reader.last_picture,
            frames=reader.frames,
            detected=self.detected,
            spared=self.gate.spared if self.gate else 0,
            dropped=reader.dropped + self.failed + Counter(busy=self.missed()),
            reconnects=dict(reader.reconnects),
            recording=bool(self.recorder and self.recorder.recording),
            unrecorded=self.recorder.unrecorded if self.recorder else 0,
        )  # fmt: skip

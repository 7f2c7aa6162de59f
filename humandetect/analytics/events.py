"""What happened: crossings, visits, crowds and gaps of one source, each as one Event."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter, deque
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from humandetect.analytics.base import (
    ENOUGH_PER_SECOND,
    LOST_SECONDS,
    TIME_TOLERANCE_SECONDS,
    Sighting,
    is_gap,
)
from humandetect.analytics.lines import LineCounter
from humandetect.analytics.shapes import PictureScene
from humandetect.analytics.zones import ZoneCounter
from humandetect.media.frames import Event, Shape

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from humandetect.analytics.lines import Crossing
    from humandetect.analytics.scene import Scene
    from humandetect.analytics.shapes import Line
    from humandetect.analytics.zones import Crowd, ZoneChange
    from humandetect.media.frames import DetectedFrame, EventKind

SCORED_SECONDS = 1.0
SHORT_TRACK_SECONDS = 1.0

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _SeenTrack:
    first_seconds: float
    last_seconds: float
    after_gap: bool
    """Whether it began so soon after a gap that somebody may be counted again."""
    scores: deque[tuple[float, float]] = field(default_factory=deque)
    """Times and scores of the last second."""


class SceneEvents:
    """Tells what happens at the lines and in the zones of one source; it looks at people with ids."""

    def __init__(
        self,
        scene: Scene,
        *,
        started: datetime | None = None,
        totals: Mapping[tuple[str, str], int] | None = None,
    ) -> None:
        """Take a scene; with `started`, the wall-clock time of the source's zero, events have a wall time.

        `totals` are the crossings of earlier runs, by line and direction.
        """
        self._scene = scene
        self._started = started
        self._source = ""
        self._picture: tuple[int, int] | None = None
        self._lines = LineCounter(())
        self._zones = ZoneCounter(())
        self._zone_names: list[str] = []
        self._tracks: dict[int, _SeenTrack] = {}
        self._looks: deque[float] = deque()
        """Times of the latest detections, for their rate."""
        self._occupancy: dict[str, int] = {}
        self._fitted = PictureScene()
        self.totals: Counter[tuple[str | None, str | None]] = Counter(totals)
        """Crossings so far, by line and direction."""
        self._last: tuple[float, int] | None = None
        """Time and number of the last frame."""
        self._gaps = 0
        self._gap_ended_seconds: float | None = None
        self._is_away = False

    def update(self, result: DetectedFrame) -> DetectedFrame:
        """Return the frame with the occupancy of the zones and what became certain: exits, a gap, and the rest.

        Raises UsageError if the scene does not fit the picture.
        """
        frame = result.frame
        seconds, height_width = frame.written_seconds, frame.image.shape[:2]
        self._source = frame.source
        is_other = height_width != self._picture
        fitted = self._fitting(height_width) if is_other else self._fitted  # before anything is forgotten
        events = self._across(seconds)
        if is_other:
            events += self._end()
            self._picture = height_width
            self._use(fitted)
        self._last = seconds, frame.index
        if result.failure is not None:
            return self._told(result, events, {})
        if result.detected:
            events += self._look(result, seconds)
        return self._told(result, events, self._occupancy)

    def _told(self, result: DetectedFrame, events: Sequence[Event], occupancy: Mapping[str, int]) -> DetectedFrame:
        self.totals.update((event.line, event.direction) for event in events if event.event == "crossing")
        shapes = tuple(self._shapes(occupancy)) if result.frame.has_pixels else ()  # nobody draws them
        return replace(result, occupancy=occupancy, events=(*result.events, *events), shapes=shapes)

    def _shapes(self, occupancy: Mapping[str, int]) -> Iterator[Shape]:
        for zone in self._fitted.zones:
            yield Shape(zone.points, f"{zone.name} {occupancy.get(zone.name, '-')}")
        for line in self._fitted.lines:
            yield Shape(line.points, self._total(line))

    def _total(self, line: Line) -> str:
        """Return how many crossed a line so far: `in 15  out 18`."""
        entered, left = self.totals[line.name, "in"], self.totals[line.name, "out"]
        return f"{line.in_label} {entered}  {line.out_label} {left}"

    def finish(self, events: Sequence[Event] = ()) -> Sequence[Event]:
        """Return what is left to say: the exits of those who are still inside."""
        return (*events, *self._end())

    def _across(self, seconds: float) -> list[Event]:
        """Return the exits and the gap event if this frame comes after a gap."""
        events: Sequence[Event] = []
        if self._last is not None and is_gap(self._last[0], seconds):
            events = self.lose(_reason(seconds - self._last[0]))
        if self._is_away:
            self._is_away, self._gap_ended_seconds = False, seconds
        return list(events)

    def lose(self, reason: str) -> Sequence[Event]:
        """Take that the source is away, and nobody is followed until it is back; return the exits and the gap."""
        if self._last is None:
            return []
        (before, index), self._last, self._is_away = self._last, None, True
        events = [*self._end(), self._event("gap", None, seconds=before, frame=index, reason=reason)]
        self._gaps += 1
        return events

    def _end(self) -> list[Event]:
        """Return the exits of all open visits, and forget everybody."""
        exits = [self._of_zone(change) for change in self._zones.end()]
        self._lines.forget(self._tracks)
        self._tracks.clear()
        self._looks.clear()
        self._occupancy = {}
        return exits

    def _fitting(self, height_width: tuple[int, int]) -> PictureScene:
        height, width = height_width
        return self._scene.for_picture(width, height, source=self._source)

    def _use(self, scene: PictureScene) -> None:
        for warning in scene.warnings:
            _log.warning("%s", warning)
        self._fitted = scene
        self._lines, self._zones = LineCounter(scene.lines), ZoneCounter(scene.zones)
        self._zone_names = [zone.name for zone in scene.zones]
        self._occupancy = dict.fromkeys(self._zone_names, 0)

    def _look(self, result: DetectedFrame, seconds: float) -> list[Event]:
        self._looks.append(seconds)
        while len(self._looks) > 2 and seconds - self._looks[0] > LOST_SECONDS:
            self._looks.popleft()
        first, index = result.first_seen, result.frame.index
        events: list[Event] = []
        if first is not None and first.frame.written_seconds >= self._looks[0]:  # else a gap lies between
            events, _ = self._walk(first)
        walked, counts = self._walk(result)
        self._occupancy = dict(zip(self._zone_names, counts, strict=True))
        events += walked
        events += [self._of_crowd(crowd) for crowd in self._zones.crowds(counts, seconds=seconds, frame=index)]
        gone = [number for number, track in self._tracks.items() if seconds - track.last_seconds > LOST_SECONDS]
        self._lines.forget(gone)
        for number in gone:
            del self._tracks[number]
        return events

    def _walk(self, result: DetectedFrame) -> tuple[list[Event], list[int]]:
        """Return what those with ids did by coming where they are, and how many people are in each zone."""
        boxes = result.detections.xyxy
        inside = self._zones.inside(np.column_stack([(boxes[:, 0] + boxes[:, 2]) / 2, boxes[:, 3]]))
        rows, seen = self._sightings(result)
        changes = self._zones.update(seen, inside[rows], result.frame.written_seconds)
        events = [self._of_zone(change) for change in changes]
        events += [self._of_line(crossing) for crossing in self._lines.update(seen)]
        return events, inside.sum(0).tolist()

    def _sightings(self, result: DetectedFrame) -> tuple[list[int], list[Sighting]]:
        """Return the rows of the people with ids, and where they are."""
        people, seconds = result.detections, result.frame.written_seconds
        if people.tracker_id is None:
            return [], []
        scores = [1.0] * len(people) if people.confidence is None else people.confidence.tolist()
        rows, seen = [], []
        for row, (track_id, box) in enumerate(zip(people.tracker_id.tolist(), people.xyxy.tolist(), strict=True)):
            if track_id < 0:
                continue
            rows.append(row)
            seen.append(Sighting(track_id, seconds, result.frame.index, tuple(box)))
            self._follow(track_id, seconds, scores[row])
        return rows, seen

    def _follow(self, track_id: int, seconds: float, score: float) -> None:
        track = self._tracks.get(track_id)
        if track is None:
            gap = self._gap_ended_seconds
            track = _SeenTrack(seconds, seconds, after_gap=gap is not None and seconds - gap <= LOST_SECONDS)
            self._tracks[track_id] = track
        track.last_seconds = seconds
        track.scores.append((seconds, score))
        while seconds - track.scores[0][0] > SCORED_SECONDS + TIME_TOLERANCE_SECONDS:
            track.scores.popleft()

    def _of_zone(self, change: ZoneChange) -> Event:
        return self._of_track(
            change.kind, change.sighting, zone=change.zone.name, seconds=change.sighting.seconds,
            point=_rounded(change.sighting.foot), dwell_seconds=change.dwell_seconds,
        )  # fmt: skip

    def _of_line(self, crossing: Crossing) -> Event:
        return self._of_track(
            "crossing", crossing.sighting, line=crossing.line.name, direction=crossing.direction,
            seconds=round(crossing.seconds, 6), point=_rounded(crossing.point),
        )  # fmt: skip

    def _of_crowd(self, crowd: Crowd) -> Event:
        return self._event(
            "crowd", crowd.zone.name, zone=crowd.zone.name, seconds=crowd.seconds, frame=crowd.frame,
            reliability="low_rate" if self._is_slow() else "ok",
        )  # fmt: skip

    def _of_track(self, kind: EventKind, sighting: Sighting, *, seconds: float, **details: Any) -> Event:
        track = self._tracks[sighting.track_id]
        age = track.last_seconds - track.first_seconds
        reliability = (
            "after_gap" if track.after_gap
            else "low_rate" if self._is_slow()
            else "short_track" if age + TIME_TOLERANCE_SECONDS < SHORT_TRACK_SECONDS
            else "ok"
        )  # fmt: skip
        return self._event(
            kind, details.get("line") or details.get("zone"), seconds=seconds, frame=sighting.frame,
            track_id=sighting.track_id, box=sighting.box, track_age_seconds=round(age, 6), reliability=reliability,
            score=round(sum(score for _, score in track.scores) / len(track.scores), 4), **details,
        )  # fmt: skip

    def _event(self, kind: EventKind, name: str | None, *, seconds: float, **details: Any) -> Event:
        known = (self._source, kind, name, details.get("track_id"), seconds, details.get("direction"), self._gaps)
        wall = self._started and self._started + timedelta(seconds=seconds)
        return Event(
            event=kind,
            id=hashlib.blake2b(repr(known).encode(), digest_size=8).hexdigest(),
            source=self._source,
            time_seconds=seconds,
            wall_time=wall.isoformat(timespec="milliseconds") if wall else None,
            **details,
        )

    def _is_slow(self) -> bool:
        """Whether fewer detections a second are made now than tracks need."""
        span = self._looks[-1] - self._looks[0]
        return span * (ENOUGH_PER_SECOND - TIME_TOLERANCE_SECONDS) > len(self._looks) - 1


def _rounded(point: tuple[float, float]) -> tuple[float, float]:
    return round(point[0], 2), round(point[1], 2)


def _reason(jump_seconds: float) -> str:
    return f"no frame for {jump_seconds:.1f} s" if jump_seconds > 0 else f"the clock went back {-jump_seconds:.1f} s"

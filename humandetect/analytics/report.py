"""What a report says of one source: sums of its events and of who was there, and what to think of them."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from humandetect.analytics.base import is_gap
from humandetect.analytics.counts import Counts
from humandetect.analytics.event_pictures import EventPictures
from humandetect.analytics.heatmap import Heatmap
from humandetect.analytics.timeline import Timeline
from humandetect.analytics.track_ends import TrackEnds
from humandetect.media.images import encode_jpeg

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    import numpy as np
    from numpy.typing import NDArray

    from humandetect.analytics.counts import CountRow
    from humandetect.media.frames import DetectedFrame, Event

MOST_EVENTS = 200
PICTURE_QUALITY = 80
FILLED_SECONDS = 60.0
"""A night without pictures would be a row a second for each line, and take seconds while frames wait."""
WHOLE_PICTURE = ""
"""The zone that everybody is in; those of scenes have names."""


class SourceReport:
    """Gathers what a report says of one source; a stage that comes after those that count.

    Its sums are those of counts, made by the same code from the same events. Memory grows by 8 bytes a visit, and
    with nothing else. Where only counts were kept, of many seconds each, it takes those and their events instead.
    """

    def __init__(
        self, made: Mapping[str, str], *, lines: Sequence[str] = (), zones: Sequence[str] = (),
        way_labels: Mapping[str, Mapping[str, str]] | None = None, per_seconds: float = 60.0,
        started: datetime | None = None, background: NDArray[np.uint8] | None = None, row_seconds: float = 1.0,
    ) -> None:  # fmt: skip
        """Take how the results were made, in words by their names, and what is counted; lines may name their ways."""
        self.made = made
        self.source = ""
        self.lines, self.zones = lines, zones
        self._way_labels = way_labels or {}
        self.per_seconds = per_seconds
        self.started = started
        self.heatmap = Heatmap(background)
        self.timeline = Timeline(row_seconds)
        self.track_ends = TrackEnds()
        self.frames = self.kept_frames = self.failed_frames = self.gaps = 0
        """Without a frame nothing is known of tracks, of the whole picture, and of where people stood."""
        self.begin_seconds: float | None = None
        self.end_seconds: float | None = None
        """Of the first and the last frame, or of the time that was counted."""
        self.events: list[tuple[Event, bytes | None]] = []
        """The first MOST_EVENTS, and a JPEG of whom each was about where there is one."""
        self.event_count = 0
        self.reliability: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        """How reliable the events of each line and zone are, by kind and name."""
        self.dwell_seconds: defaultdict[str, array[float]] = defaultdict(_no_seconds)
        """Of each visit that ended, by zone."""
        self._pictures = EventPictures()
        self._counts = Counts(
            self.timeline.add, per_seconds=1, lines=lines, zones=(WHOLE_PICTURE, *zones),
            most_filled_seconds=FILLED_SECONDS,
        )  # fmt: skip
        self._detections = 0
        self._covered_at_detection = 0.0

    def __getstate__(self) -> dict[str, object]:
        """Return what it knows once its source has ended: in another process it is read, and takes no more."""
        return {name: value for name, value in vars(self).items() if name not in ("_counts", "_pictures")}

    @property
    def detections_per_second(self) -> float | None:
        """How often somebody looked, gaps aside; None where that was once or never."""
        covered = self._covered_at_detection
        return max(0, self._detections - 1 - self.gaps) / covered if covered else None

    def said_way(self, line: str | None, direction: str | None) -> str:
        """Return what the scene calls a way over a line, else `in` or `out`."""
        way = direction or ""
        return self._way_labels.get(line or "", {}).get(way, way)

    def update(self, result: DetectedFrame) -> DetectedFrame:
        seconds = result.frame.written_seconds
        self.source = result.frame.source
        self.frames += 1
        self.failed_frames += result.failure is not None
        self.kept_frames += not result.detected and result.failure is None
        self.gaps += is_gap(self.end_seconds, seconds)
        if self.begin_seconds is None:
            self.begin_seconds = seconds
        self.end_seconds = seconds
        self.heatmap.update(result)
        self.track_ends.update(result)
        everybody = {WHOLE_PICTURE: len(result.detections), **result.occupancy}
        self._counts.update(replace(result, occupancy=everybody))
        self._pictures.update(result)
        self.note(result.events)
        if result.detected:
            self._detections += 1
            self._covered_at_detection = self.heatmap.covered_seconds
        return result

    def finish(self, events: Sequence[Event] = ()) -> Sequence[Event]:
        self._counts.finish(events)
        self.note(events)
        return events

    def add_row(self, row: CountRow) -> None:
        """Take a row of counts, in order of time."""
        self.source = row["source"]
        self.timeline.add(row)
        if self.begin_seconds is None:
            self.begin_seconds = row["start_seconds"]
        self.end_seconds = row["start_seconds"] + self.timeline.row_seconds

    def note(self, events: Iterable[Event]) -> None:
        """Take what happened."""
        for event in events:
            self.event_count += 1
            if len(self.events) < MOST_EVENTS:
                picture = self._pictures.of(event)
                self.events.append((event, None if picture is None else encode_jpeg(picture, quality=PICTURE_QUALITY)))
            if event.line is not None:
                self.reliability["line", event.line][event.reliability] += 1
            if event.zone is not None:
                self.reliability["zone", event.zone][event.reliability] += 1
            if event.event == "exit" and event.zone is not None and event.dwell_seconds is not None:
                self.dwell_seconds[event.zone].append(event.dwell_seconds)


def _no_seconds() -> array[float]:  # no lambda: workers send reports to their parent
    return array("d")

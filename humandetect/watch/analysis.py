"""What one camera's pictures tell: tracks, lines, zones and counts, over losses and restarts."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from humandetect.analytics.anonymize import Anonymizer
from humandetect.analytics.base import Chain
from humandetect.analytics.counts import Counts
from humandetect.analytics.events import SceneEvents
from humandetect.analytics.tracking import Tracker
from humandetect.media.annotate.hiding import hide
from humandetect.media.frames import Event

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from humandetect.analytics.base import Stage
    from humandetect.analytics.counts import CountRow
    from humandetect.analytics.scene import Scene
    from humandetect.config import Anonymize
    from humandetect.media.frames import DetectedFrame
    from humandetect.watch.base import Memory
    from humandetect.watch.reader import StateChange


class CameraAnalysis:
    """The stages of one camera for as long as it is watched; ids and totals go on where the last process ended."""

    def __init__(
        self, camera: str, *, scene: Scene, memory: Memory, started: datetime, run: str, per_seconds: float,
        track_scores: tuple[float, float], anonymize: Anonymize | None = None,
    ) -> None:  # fmt: skip
        """`started` is the wall clock at 0 s; `run` tells this run from all others."""
        self.run = run
        self._camera, self._memory = camera, memory
        start_score, high_score = track_scores
        self._tracker = Tracker(start_score=start_score, high_score=high_score, last_id=memory.last_track_id(camera))
        first: Stage = self._tracker
        if anonymize:
            first = Anonymizer(partial(hide, style=anonymize), tracker=self._tracker, gives_ids=True)
        lines, zones = scene.names(camera)
        self._lines = lines
        self._events = SceneEvents(scene, started=started, totals=memory.totals(camera))
        self._counts = Counts(memory.add_count, per_seconds=per_seconds, lines=lines, zones=zones, started=started)
        self._chain = Chain([first, self._events, self._counts])
        self._kept_id = self._tracker.highest_id

    @property
    def totals(self) -> Mapping[str, tuple[int, int]]:
        """How many went in and out over each line."""
        totals = self._events.totals
        return {line: (totals[line, "in"], totals[line, "out"]) for line in self._lines}

    def counts(self, *, since: datetime) -> Sequence[CountRow]:
        """Return what was counted in the minutes since then, also in the one that goes on; from any thread."""
        rows = self._counts.with_open(lambda: self._memory.counts(camera=self._camera, since=since))
        return [row for row in rows if row["start_wall"] and datetime.fromisoformat(row["start_wall"]) >= since]

    def look(self, result: DetectedFrame) -> DetectedFrame:
        """Return a picture with what it tells. Raises UsageError if the scene does not fit it."""
        told = self._chain.update(result)
        if self._tracker.highest_id > self._kept_id:
            self._kept_id = self._tracker.highest_id
            self._memory.keep_track_id(self._camera, self._kept_id)
        return replace(told, events=tuple(map(self._own, told.events)))

    def lose(self, reason: str) -> Sequence[Event]:
        """Take that the camera is away; return the exits and the gap."""
        events = self._events.lose(reason)
        self._counts.add(events)
        return [self._own(event) for event in events]

    def finish(self) -> Sequence[Event]:
        """Take the end; return the exits."""
        return [self._own(event) for event in self._chain.finish()]

    def _own(self, event: Event) -> Event:
        return replace(event, id=_id(event.id, self.run))


def camera_event(change: StateChange, *, seconds: float, run: str) -> Event:
    """Return the event of a camera's change of state."""
    known = (change.camera, change.state, change.reason, seconds)
    return Event(
        event="camera", id=_id(repr(known), run), source=change.camera, time_seconds=round(seconds, 6),
        wall_time=change.at.isoformat(timespec="milliseconds"), state=change.state, reason=change.reason,
    )  # fmt: skip


def _id(known: str, run: str) -> str:
    """Make an id that no other run gives: times of each count from its own start."""
    return hashlib.blake2b(f"{known} {run}".encode(), digest_size=8).hexdigest()

"""People whose ids are known, by annotators or from a file, at the lines and in the zones of a scene."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import supervision as sv

from humandetect.analytics.event_matching import RecordedEvent
from humandetect.analytics.events import SceneEvents
from humandetect.analytics.saved import SavedResults
from humandetect.errors import UsageError
from humandetect.media.frames import DetectedFrame, Frame

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from humandetect.analytics.recorded import PeopleByPicture, RecordedPerson
    from humandetect.analytics.scene import Scene
    from humandetect.media.frames import Event


def frames_of(results: Path) -> list[Frame]:
    """Return the frames of saved results, which say when each was and how large the picture is.

    Raises UsageError for results that do not, and for those of several sources.
    """
    frames: list[Frame] = []
    for number, source in enumerate(SavedResults(results)):
        if number:
            raise UsageError(f"{results} has several sources, and a truth is of one: give the results of one")
        frames += [result.frame for result in source.frames if result.detected]
    return frames


def events_at(scene: Scene, frames: Iterable[Frame], people: PeopleByPicture) -> list[RecordedEvent]:
    """Return what people with ids do at a scene; who has none, or is to be ignored, is not there."""
    stage = SceneEvents(scene)
    events: list[Event] = []
    for frame in frames:
        events += stage.update(DetectedFrame(frame, _detections(people.get(frame.index, ())))).events
    return [_recorded(event) for event in (*events, *stage.finish()) if event.event in ("crossing", "enter", "exit")]


def _detections(people: Iterable[RecordedPerson]) -> sv.Detections:
    known = [person for person in people if person.track_id is not None and not person.ignored]
    return sv.Detections(
        xyxy=np.array([person.box for person in known], np.float64).reshape(-1, 4),
        confidence=np.array([person.score for person in known], np.float64),
        tracker_id=np.array([person.track_id for person in known], int),
    )


def _recorded(event: Event) -> RecordedEvent:
    return RecordedEvent(
        event.event, event.time_seconds, event.line or event.zone or "", event.direction, event.dwell_seconds,
        event.source,
    )  # fmt: skip

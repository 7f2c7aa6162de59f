"""People on known paths, as a tracker gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import supervision as sv

from humandetect.analytics.events import SceneEvents
from humandetect.analytics.scene import read_scene
from humandetect.media.frames import DetectedFrame, Frame

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from humandetect.analytics.base import Stage
    from humandetect.media.frames import Event

IMAGE = np.broadcast_to(np.uint8(0), (400, 600, 3))
HEIGHT = 100
"""Of everybody's box, in pixels."""


def walked(
    seconds: float, feet: Mapping[int, tuple[float, float]], *, detected: bool = True, failure: str | None = None,
    source: str = "clip.mp4",
) -> DetectedFrame:  # fmt: skip
    """A frame of people, whose feet are given by id."""
    boxes = [[x - 20, y - HEIGHT, x + 20, y] for x, y in feet.values()]
    people = sv.Detections(
        xyxy=np.array(boxes, float).reshape(-1, 4),
        confidence=np.full(len(boxes), 0.9),
        tracker_id=np.array(list(feet), int),
    )
    frame = Frame(IMAGE, index=round(seconds * 100), time_seconds=seconds, source=source)
    return DetectedFrame(frame, people, detected=detected, failure=failure)


def scene_events(*, lines: Sequence[str] = (), zones: Sequence[str] = ()) -> SceneEvents:
    return SceneEvents(read_scene(lines=lines, zones=zones))


def told(stage: Stage, frames: Sequence[DetectedFrame]) -> list[Event]:
    """Everything that the stage says of the frames, to the end."""
    events = [event for frame in frames for event in stage.update(frame).events]
    return [*events, *stage.finish()]


def brief(events: Sequence[Event]) -> list[tuple[str, str | None, int | None, float]]:
    """What, where or which way, who, when."""
    return [(e.event, e.direction or e.zone, e.track_id, round(e.time_seconds, 3)) for e in events]

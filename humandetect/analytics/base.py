"""The contract of every stage, and what all of them mean by a gap."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from humandetect.media.frames import DetectedFrame, Event

LOST_SECONDS = 2.0
"""How long a track is looked for; a longer time without a frame is a gap, and nobody is followed across it."""

ENOUGH_PER_SECOND = 4.0
"""Fewer detections a second, and people walk too far between two of them to be told apart."""

WEAKEST_SCORE = 0.1
"""Boxes from here on may be people: they continue tracks, and are hidden where people are."""

TIME_TOLERANCE_SECONDS = 1e-6
"""Times are in microseconds, and their differences have the faults of floating point."""


class Stage(Protocol):
    """Looks at the frames of one source in order and adds what it knows."""

    def update(self, result: DetectedFrame) -> DetectedFrame: ...

    def finish(self, events: Sequence[Event] = ()) -> Sequence[Event]:
        """Take the end of the source: what the stages before it had left to say, returned with its own."""
        ...


class Chain:
    """The stages of one source, one after the other, as one."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self._stages = stages

    def update(self, result: DetectedFrame) -> DetectedFrame:
        for stage in self._stages:
            result = stage.update(result)
        return result

    def finish(self, events: Sequence[Event] = ()) -> Sequence[Event]:
        for stage in self._stages:
            events = stage.finish(events)
        return events


class Sighting(NamedTuple):
    """Somebody with an id in one frame."""

    track_id: int
    seconds: float
    frame: int
    box: tuple[float, float, float, float]

    @property
    def foot(self) -> tuple[float, float]:
        """Where the person stands: the middle of the box's bottom edge."""
        return (self.box[0] + self.box[2]) / 2, self.box[3]


def cells(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return row and column of what is true; `np.argwhere` takes thrice as long for the usual few."""
    rows, columns = mask.nonzero()
    return list(zip(rows.tolist(), columns.tolist(), strict=True))


def is_gap(before_seconds: float | None, now_seconds: float) -> bool:
    """Whether so much time passed between two frames, or the clock went back, that nobody is followed across it."""
    return before_seconds is not None and not 0 <= now_seconds - before_seconds <= LOST_SECONDS

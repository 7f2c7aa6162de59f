"""What must not be seen of a frame: whoever may be a person, and where people should be who were not found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from humandetect.analytics.tracking import Tracker
    from humandetect.media.frames import DetectedFrame, Event

WITHIN = 0.7
"""Of a box: so much of it inside another is in it."""
GROUP = 3
"""Times as large as somebody in it: more than one person."""
HELD_SECONDS = 1.0
"""How long somebody is hidden where the track leads who is not found any more."""


class Anonymizer:
    """Hides people before any other stage or sink sees the frame; it stands first, in the place of the tracker.

    It fails closed: a frame that nobody looked at is hidden whole.
    """

    def __init__(
        self,
        hide: Callable[[NDArray[np.uint8], NDArray[np.float64]], None],
        *,
        tracker: Tracker | None,
        gives_ids: bool,
    ) -> None:
        """Take what hides boxes of an image, in place.

        Without a tracker, as for pictures, only boxes are hidden; without `gives_ids` nobody else hears of the tracks.
        """
        self._hide = hide
        self._tracker = tracker
        self._gives_ids = gives_ids

    def update(self, result: DetectedFrame) -> DetectedFrame:
        tracked = self._tracker.update(result) if self._tracker is not None else result
        if result.frame.has_pixels:  # else nobody will see any
            is_seen = result.detected and result.failure is None
            boxes = np.concatenate([_seen(result), _held(tracked)]) if is_seen else _all_of(result.frame.image)
            self._hide(result.frame.image, boxes)
        return tracked if self._gives_ids else result

    def finish(self, events: Sequence[Event] = ()) -> Sequence[Event]:
        return self._tracker.finish(events) if self._tracker is not None else events


def _all_of(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    height, width = image.shape[:2]
    return np.array([[0.0, 0.0, width, height]])


def _held(result: DetectedFrame) -> NDArray[Any]:
    held = result.held
    return held.xyxy[np.asarray(held.data["held_seconds"]) <= HELD_SECONDS] if len(held) else np.empty((0, 4))


def _seen(result: DetectedFrame) -> NDArray[np.float64]:
    weak = result.weak
    return may_be_people(result.detections.xyxy, weak.xyxy, np.asarray(weak.confidence) if len(weak) else np.zeros(0))


def may_be_people(people: NDArray[Any], weak: NDArray[Any], scores: NDArray[Any]) -> NDArray[np.float64]:
    """Return the boxes (N, 4) of people, and those weak ones, with their scores, that may be some.

    An SSD's weak boxes are often around a whole group, or a street: hiding all of them hides half of the picture, and
    no more heads. So those are left out that have a stronger box of a third of their size or less inside, and those
    wider than high and larger than anybody.
    """
    xyxy = np.concatenate([people, weak]).astype(np.float64)
    strength = np.concatenate([np.full(len(people), np.inf), scores])
    sides = xyxy[:, 2:] - xyxy[:, :2]
    area = sides.prod(axis=1)
    overlap = np.minimum(xyxy[:, None, 2:], xyxy[None, :, 2:]) - np.maximum(xyxy[:, None, :2], xyxy[None, :, :2])
    inside = overlap.clip(min=0).prod(axis=2) > WITHIN * area
    around = (inside & (strength > strength[:, None]) & (GROUP * area < area[:, None])).any(axis=1)
    largest = area[: len(people)].max() if len(people) else np.inf
    street = (sides[:, 0] > sides[:, 1]) & (area > largest)
    return cast("NDArray[np.float64]", xyxy[(strength == np.inf) | ~(around | street)])

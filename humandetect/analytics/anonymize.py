"""What must not be seen of a frame: whoever may be a person, and where people should be who were not found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from humandetect.analytics.tracking import Tracker
    from humandetect.media.frames import DetectedFrame, Event

HELD_SECONDS = 1.0
"""How long somebody is hidden where the track leads who is not found any more."""


class Anonymizer:
    """Hides people before any other stage or sink sees the frame; it stands first, in the place of the tracker.

    It fails closed: a frame that nobody looked at is hidden whole.
    """

    def __init__(
        self,
        hide: Callable[[NDArray[np.uint8], NDArray[np.float64]], None],
        hide_all: Callable[[NDArray[np.uint8]], None],
        *,
        tracker: Tracker | None,
        gives_ids: bool,
    ) -> None:
        """Take what hides boxes of an image, in place, and what hides all of it.

        Without a tracker, as for pictures, only boxes are hidden; without `gives_ids` nobody else hears of the tracks.
        """
        self._hide, self._hide_all = hide, hide_all
        self._tracker = tracker
        self._gives_ids = gives_ids

    def update(self, result: DetectedFrame) -> DetectedFrame:
        tracked = self._tracker.update(result) if self._tracker is not None else result
        image = result.frame.image
        if not result.frame.has_pixels:
            pass  # nobody will see any
        elif result.failure is not None or not result.detected:
            self._hide_all(image)
        else:
            held = tracked.held
            lately = np.asarray(held.data.get("held_seconds", [])) <= HELD_SECONDS
            boxes = [result.detections.xyxy, result.weak.xyxy, held.xyxy[lately] if len(held) else held.xyxy]
            self._hide(image, np.concatenate(boxes))
        return tracked if self._gives_ids else result

    def finish(self, events: Sequence[Event] = ()) -> Sequence[Event]:
        return self._tracker.finish(events) if self._tracker is not None else events

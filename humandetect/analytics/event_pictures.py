"""Small pictures of people from when something happened to them, which becomes certain only later."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from humandetect.media.frames import DetectedFrame, Event, Frame

LONG_SIDE = 128
KEPT_SECONDS = 3.0
"""Nearly all events become certain within 2 s."""
STEP_SECONDS = 0.25
"""Between pictures of one person: with every frame's, a crowd would take a hundred megabytes."""


class _KeptPicture(NamedTuple):
    seconds: float
    frame: int
    image: NDArray[np.uint8]


class EventPictures:
    """Keeps pictures of the last seconds of every track of one source, and never a whole frame."""

    def __init__(self, *, long_side: int = LONG_SIDE) -> None:
        self._long_side = long_side
        self._lately: dict[int, deque[_KeptPicture]] = {}
        self._seconds = 0.0

    def update(self, result: DetectedFrame) -> None:
        """Take the people of the next frame; those of before are still there for events that end with it."""
        self._forget(before=self._seconds - KEPT_SECONDS)
        frame, ids = result.frame, result.detections.tracker_id
        self._seconds = frame.written_seconds
        if ids is None or not result.detected or not frame.has_pixels:
            return
        for track_id, box in zip(ids.tolist(), result.detections.xyxy.tolist(), strict=True):
            kept = self._lately.get(track_id)
            if track_id < 0 or (kept and 0 <= self._seconds - kept[-1].seconds < STEP_SECONDS):
                continue
            image = _cut(frame, box, self._long_side)
            if image is not None:
                self._lately.setdefault(track_id, deque()).append(_KeptPicture(self._seconds, frame.index, image))

    def of(self, event: Event) -> NDArray[np.uint8] | None:
        """Return the picture of an event's person that was taken nearest to it; None where there is none."""
        kept, index = self._lately.get(event.track_id or 0), event.frame or 0
        return min(kept, key=lambda picture: abs(picture.frame - index)).image if kept else None

    def _forget(self, *, before: float) -> None:
        for track_id, kept in list(self._lately.items()):
            while kept and not before <= kept[0].seconds <= self._seconds:  # also where the clock went back
                kept.popleft()
            if not kept:
                del self._lately[track_id]


def _cut(frame: Frame, box: list[float], long_side: int) -> NDArray[np.uint8] | None:
    """Return a small copy of what is in a box, as it is shown; None for a box outside the picture."""
    height, width = frame.image.shape[:2]
    left, top, right, bottom = (round(value) for value in box)
    cut = frame.image[max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
    if not cut.size:
        return None
    tall, wide = cut.shape[0], cut.shape[1] * float(frame.pixel_aspect)
    scale = min(1.0, long_side / max(tall, wide))
    size = max(1, round(wide * scale)), max(1, round(tall * scale))
    return np.array(cv2.resize(cut, size, interpolation=cv2.INTER_AREA), np.uint8)

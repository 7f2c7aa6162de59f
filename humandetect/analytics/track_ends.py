"""Where tracks end: at the picture's edge, where people leave it, or inside, where most of them break."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from humandetect.analytics.base import LOST_SECONDS, is_gap

if TYPE_CHECKING:
    from humandetect.media.frames import DetectedFrame

EDGE_OF_HEIGHT = 0.5
"""Who was nearer to the edge than half their height may have left there: a walker needs half a second for it."""


class TrackEnds:
    """Counts the tracks of one source, and those that ended inside the picture while somebody was watching."""

    def __init__(self) -> None:
        self.tracks = 0
        self.ended_inside = 0
        self._last: dict[int, tuple[float, bool]] = {}
        """Of each track that goes on: when it was seen, and whether at the edge."""
        self._seconds: float | None = None

    def update(self, result: DetectedFrame) -> None:
        seconds, ids = result.frame.written_seconds, result.detections.tracker_id
        if is_gap(self._seconds, seconds):
            self._last.clear()
        self._seconds = seconds
        if ids is not None and result.failure is None:
            height, width = result.frame.image.shape[:2]
            x1, y1, x2, y2 = result.detections.xyxy.T
            to_edge = np.minimum.reduce([x1, y1, width - x2, height - y2])
            at_edge = to_edge < EDGE_OF_HEIGHT * (y2 - y1)
            seen = {number: near for number, near in zip(ids.tolist(), at_edge.tolist(), strict=True) if number >= 0}
            self.tracks = max(self.tracks, *seen, 0)
            self._last |= {number: (seconds, near) for number, near in seen.items()}
        for number in [number for number, (at, _) in self._last.items() if seconds - at > LOST_SECONDS]:
            self.ended_inside += not self._last.pop(number)[1]

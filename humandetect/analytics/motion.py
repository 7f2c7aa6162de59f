"""What takes the time in the library `trackers`, done quicker with the same numbers: motion and overlaps."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
from trackers import CBIoUTracker
from trackers.utils.iou import BIoU

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray
    from trackers.core.botsort.tracklet import BoTSORTTracklet
    from trackers.utils.predict_timing import PredictTiming

    Box = tuple[float, float, float, float]

_POSITION, _SPEED, _MEASURED = 0.05, 0.00625, 0.05
"""Standard deviations in box widths, and for y and height in box heights, of one step; as in the library."""
_NOMINAL_SECONDS = 0.004
"""A step this near to the reference rate's counts as one."""
_SMALLEST = 1e-3
"""Pixels of width and height."""
_NOT_ZERO = np.finfo(np.float64).tiny
"""Area of two points."""


class AxisFilter:
    """The filter of a box's middle and length in one direction; the other direction has nothing to do with it.

    The library's 8 x 8 matrices are mostly zeros for that reason, and take most of its time. As noise is counted in
    the length, middle and length are equally uncertain at any time: one variance does for both.
    """

    __slots__ = ("cross", "growth", "length", "middle", "speed", "speed_variance", "variance")

    def __init__(self, low: float, high: float) -> None:
        self.middle, self.length = low + (high - low) / 2, max(high - low, _SMALLEST)
        self.speed = self.growth = 0.0
        self.variance, self.cross = (2 * _POSITION * self.length) ** 2, 0.0
        self.speed_variance = (10 * _SPEED * self.length) ** 2

    def predict(self, step: float, *, nominal: bool) -> None:
        """Move on by a time in steps of the reference rate."""
        variance, cross, speed_variance = self.variance, self.cross, self.speed_variance
        jolt = (_SPEED * self.length) ** 2
        reach = cross + step * speed_variance
        self.variance = variance + step * cross + step * reach
        self.cross = reach
        if nominal:
            self.variance += (_POSITION * self.length) ** 2
            self.speed_variance += jolt
        else:  # discrete white noise acceleration
            self.variance += jolt * step**4 / 4
            self.cross += jolt * step**3 / 2
            self.speed_variance += jolt * step * step
        self.middle += step * self.speed
        self.length = max(self.length + step * self.growth, _SMALLEST)

    def update(self, low: float, high: float) -> None:
        """Take where it was seen."""
        variance, cross = self.variance, self.cross
        noise = (_MEASURED * self.length) ** 2
        share = variance / (variance + noise)
        push = cross / (variance + noise)
        rest = 1 - share  # Joseph's form, as the library has it
        self.variance = rest * variance * rest + share * noise * share
        self.cross = rest * (cross - push * variance) + share * noise * push
        self.speed_variance += push * (push * variance - 2 * cross) + push * noise * push
        surprise, growth = low + (high - low) / 2 - self.middle, high - low - self.length
        self.middle += share * surprise
        self.speed += push * surprise
        self.length = max(self.length + share * growth, _SMALLEST)
        self.growth += push * growth


class Track:
    """What the library's tracker wants of a track."""

    __slots__ = (
        "_x", "_y", "first", "number_of_successful_updates", "time_since_update", "time_since_update_seconds",
        "tracker_id",
    )  # fmt: skip

    def __init__(self, begun: BoTSORTTracklet) -> None:
        x1, y1, x2, y2 = self.first = begun.get_state_bbox().tolist()
        self._x, self._y = AxisFilter(x1, x2), AxisFilter(y1, y2)
        self.tracker_id = begun.tracker_id
        self.number_of_successful_updates = begun.number_of_successful_updates
        self.time_since_update = 0
        self.time_since_update_seconds = 0.0

    def predict(self, timing: PredictTiming) -> None:
        step = timing.frame_step
        nominal = abs(step - 1) <= _NOMINAL_SECONDS * (timing.frame_rate or 0)
        self._x.predict(step, nominal=nominal)
        self._y.predict(step, nominal=nominal)
        self.time_since_update += 1
        self.time_since_update_seconds += timing.elapsed_seconds or 0

    def update(self, bbox: NDArray[Any]) -> None:
        x1, y1, x2, y2 = bbox.tolist()
        self._x.update(x1, x2)
        self._y.update(y1, y2)
        self.time_since_update = 0
        self.time_since_update_seconds = 0.0
        self.number_of_successful_updates += 1

    def get_state_bbox(self) -> Box:
        x, y, half_width, half_height = self._x.middle, self._y.middle, self._x.length / 2, self._y.length / 2
        return x - half_width, y - half_height, x + half_width, y + half_height


class _Overlap(BIoU):
    """The library's buffered overlap, without looking at each box thrice."""

    def compute(self, boxes_1: NDArray[Any], boxes_2: NDArray[Any]) -> NDArray[Any]:
        """Return (n, m) of boxes (n, 4) and (m, 4)."""
        if not (len(boxes_1) and len(boxes_2)):  # as mostly for weak boxes
            return np.zeros((len(boxes_1), len(boxes_2)), np.float32)
        return overlaps(self._grown(boxes_1), self._grown(boxes_2))

    def _grown(self, boxes: NDArray[Any]) -> NDArray[Any]:
        low, high = boxes[:, :2], boxes[:, 2:]
        margins = self.buffer_ratio * (high - low)
        return np.concatenate([low - margins, high + margins], 1)


def overlaps(boxes: NDArray[Any], others: NDArray[Any]) -> NDArray[np.float32]:
    """Return intersection over union, (n, m) of (n, 4) and (m, 4): bit for bit that of `sv.box_iou_batch`."""
    low, high, other_low, other_high = boxes[:, None, :2], boxes[:, None, 2:], others[:, :2], others[:, 2:]
    shared = _areas(np.maximum(np.minimum(high, other_high) - np.maximum(low, other_low), 0))
    union = _areas(high - low) + _areas(other_high - other_low) - shared
    ratio: NDArray[np.floating[Any]] = shared / np.maximum(union, _NOT_ZERO)
    return ratio.astype(np.float32)


def _areas(sides: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
    return sides[..., 0] * sides[..., 1]


def quick_tracker(**options: Any) -> CBIoUTracker:
    """Return the library's tracker, with the same answers, over tracks and overlaps of our own."""
    tracker = _QuickTracker(**options)
    tracker.iou_first = _Overlap(tracker.buffer_ratio_first)
    tracker.iou_second = _Overlap(tracker.buffer_ratio_second)
    return tracker


class _QuickTracker(CBIoUTracker):
    tracker_id = "cbiou-quick"  # or the library would find this class under the name of its own

    def _spawn_new_tracks(self, *found: Any, **options: Any) -> None:
        known = len(self.tracks)
        super()._spawn_new_tracks(*found, **options)
        self.tracks[known:] = cast("Any", map(Track, self.tracks[known:]))

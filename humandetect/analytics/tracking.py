"""Gives people ids that last from frame to frame: beside `motion`, the only file that knows the library `trackers`."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import supervision as sv

from humandetect.analytics.base import ENOUGH_PER_SECOND, LOST_SECONDS, is_gap
from humandetect.analytics.motion import overlaps, quick_tracker
from humandetect.media.frames import DetectedFrame, rounded_boxes, rounded_scores

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from trackers import CBIoUTracker

    from humandetect.media.frames import Event

DUPLICATE_IOU = 0.5

_REFERENCE_RATE = 8.0
"""Frames a second in which the library counts its motion noise, whatever the source's own rate.

Its own default of 30 expects people to move far less between frames than they do: with MoveNet's boxes IDF1 is 52
instead of 75 on a plaza at 10 frames a second, and 77 instead of 84 on a street at 25.
"""
_LEAST_OVERLAP = 0.1
_WALKED_WIDTHS_PER_SECOND = 2.0
"""How far somebody walks in widths of the box, about 1.4 m: so much larger the library takes boxes to overlap."""
_SAME_TIME_STEP_SECONDS = 1e-6
"""Stands between frames of one and the same time, of which the library warns."""


class Tracker:
    """Follows the people of one source.

    People are the boxes that the detector gave, and the weak ones that continue a track. Boxes that show somebody twice
    are dropped. Ids count from 1 and are never given twice, also across gaps; `tracker_id` -1 is nobody's yet.
    """

    def __init__(self, *, start_score: float = 0.5, high_score: float = 0.3, last_id: int = 0) -> None:
        """Take the scores of the model, and the highest id that was given before."""
        self._start_score = start_score
        self._high_score = high_score
        self._tracker = self._new_tracker()
        self._ids_before = last_id
        """Ids that trackers gave before the last gap."""
        self.highest_id = last_id
        self._last_seconds: float | None = None
        self._stamp = 0.0
        self._last: DetectedFrame | None = None
        self._unsure: list[Any] = []
        """The library's tracks of those who were seen first in the last frame that was looked at."""
        self._detections = 0
        self._covered_seconds = 0.0
        self._covered_at_detection = 0.0
        self._steps: deque[tuple[float, int, NDArray[np.float64]]] = deque()
        """Time, id and foot of whom was found in the last seconds."""
        self.warnings: list[str] = []
        """What makes the tracks worse than they could be, for people; complete after `finish`."""

    def update(self, result: DetectedFrame) -> DetectedFrame:
        """Return the frame with ids; frames that were not looked at keep those of the last one that was."""
        seconds = result.frame.written_seconds
        if is_gap(self._last_seconds, seconds):
            self._tracker, self._ids_before, self._last = self._new_tracker(), self.highest_id, None
            self._unsure = []
            self._steps.clear()
        elif self._last_seconds is not None:
            self._covered_seconds += seconds - self._last_seconds
        self._last_seconds = seconds
        if result.failure is not None:
            return result
        if not result.detected:
            kept = self._last
            return result if kept is None else replace(
                result, detections=kept.detections, weak=kept.weak, held=kept.held, trails=kept.trails
            )  # fmt: skip
        self._detections += 1
        self._covered_at_detection = self._covered_seconds
        self._last = self._followed(result, seconds)
        return self._last

    def finish(self, events: Sequence[Event] = ()) -> Sequence[Event]:
        covered = self._covered_at_detection
        rate = round((self._detections - 1) / covered, 2) if covered else ENOUGH_PER_SECOND
        if rate < ENOUGH_PER_SECOND:
            self.warnings.append(
                f"{rate:.1f} detections a second are fewer than {ENOUGH_PER_SECOND:g}: tracks break and counts err; "
                "detect more frames (--every) or use a faster machine"
            )
        return events

    def _followed(self, result: DetectedFrame, seconds: float) -> DetectedFrame:
        boxes = _FinderBoxes.of(result.detections, result.weak)
        order = _best_first(boxes)
        ids = np.full(len(order), -1)
        self._stamp = max(seconds, self._stamp + _SAME_TIME_STEP_SECONDS) if self._tracker.frame_id else seconds
        self._reach(seconds)
        asked = _TrackerInput(boxes.xyxy[order], boxes.scores[order], np.arange(len(order)))
        answer: Any = self._tracker.update(cast("Any", asked), timestamp=self._stamp)
        if len(answer):
            ids[answer.rows] = np.where(answer.tracker_id >= 0, answer.tracker_id + 1 + self._ids_before, -1)
        self.highest_id = max(self.highest_id, *ids.tolist(), 0)
        chosen = (order < len(result.detections)) | (ids > 0)
        people = boxes.rows(order[chosen], ids[chosen])
        return replace(
            result, detections=people, weak=boxes.rows(order[~chosen], ids[~chosen]),
            held=self._held(ids, result.frame.image.shape[:2]),
            trails=self._trails(people, seconds) if result.frame.has_pixels else {},  # nobody draws them
            first_seen=self._first_seen(),
        )  # fmt: skip

    def _reach(self, seconds: float) -> None:
        """Let boxes meet over as much as people may have walked, and turned, since the last look."""
        passed = seconds - self._last.frame.written_seconds if self._last is not None else 0.0
        tracker, walked = self._tracker, _WALKED_WIDTHS_PER_SECOND * passed
        tracker.iou_first.buffer_ratio = max(tracker.buffer_ratio_first, walked)
        tracker.iou_second.buffer_ratio = max(tracker.buffer_ratio_second, walked)

    def _first_seen(self) -> DetectedFrame | None:
        """Return where those were before who were seen again; all of them in the last frame that was looked at."""
        again = [track for track in self._unsure if track.tracker_id >= 0]
        self._unsure = [track for track in self._tracker.tracks if track.tracker_id < 0]
        if self._last is None or not again:
            return None
        boxes = _FinderBoxes.of(self._last.detections, self._last.weak)
        rows = np.array([np.abs(boxes.xyxy - track.first).sum(1).argmin() for track in again])
        ids = np.array([track.tracker_id + 1 + self._ids_before for track in again])
        return DetectedFrame(self._last.frame.without_pixels(), boxes.rows(rows, ids))

    def _trails(self, boxes: sv.Detections, seconds: float) -> dict[int, NDArray[np.float64]]:
        """Return the ways of those who were found in the last seconds."""
        feet = boxes.get_anchors_coordinates(sv.Position.BOTTOM_CENTER)
        for number, foot in zip(cast("NDArray[np.int_]", boxes.tracker_id).tolist(), feet, strict=True):
            if number > 0:
                self._steps.append((seconds, number, foot))
        while self._steps and self._steps[0][0] < seconds - LOST_SECONDS:
            self._steps.popleft()
        ways: dict[int, list[NDArray[np.float64]]] = {}
        for _, number, foot in self._steps:
            ways.setdefault(number, []).append(foot)
        return {number: np.array(way) for number, way in ways.items()}

    def _held(self, seen: NDArray[np.int_], image_hw: tuple[int, int]) -> sv.Detections:
        """Return where the people should be who were not found in this frame."""
        numbers = set((seen - 1 - self._ids_before).tolist())
        lost = [track for track in self._tracker.tracks if track.tracker_id >= 0 and track.tracker_id not in numbers]
        if not lost:
            return sv.Detections.empty()
        height, width = image_hw
        xyxy = np.clip([track.get_state_bbox() for track in lost], 0, [width, height, width, height]).round(2)
        inside = (xyxy[:, 2:] > xyxy[:, :2]).all(1)
        return sv.Detections(
            xyxy=xyxy[inside],
            tracker_id=np.array([track.tracker_id + 1 + self._ids_before for track in lost])[inside],
            data={"held_seconds": np.array([track.time_since_update_seconds for track in lost])[inside]},
        )

    def _new_tracker(self) -> CBIoUTracker:
        return quick_tracker(
            lost_track_buffer=round(LOST_SECONDS * 30),  # the library counts in 1/30 s
            frame_rate=_REFERENCE_RATE,
            track_activation_threshold=self._start_score,
            high_conf_det_threshold=self._high_score,
            minimum_consecutive_frames=2,
            minimum_iou_threshold_first_assoc=_LEAST_OVERLAP,
            minimum_iou_threshold_unconfirmed_assoc=_LEAST_OVERLAP,
        )


@dataclass(slots=True)
class _TrackerInput:
    """What the library looks at of `sv.Detections`, which take as long to make as a track to follow."""

    xyxy: NDArray[Any]
    confidence: NDArray[Any]
    rows: NDArray[np.int_]
    tracker_id: NDArray[np.int_] = field(default_factory=lambda: np.empty(0, int))

    def __len__(self) -> int:
        return len(self.xyxy)

    def __getitem__(self, rows: NDArray[np.int_]) -> _TrackerInput:
        return _TrackerInput(self.xyxy[rows], self.confidence[rows], self.rows[rows])


@dataclass(slots=True)
class _FinderBoxes:
    """Boxes that one finder made, people first; rounded."""

    xyxy: NDArray[np.float64]
    scores: NDArray[np.float64]
    class_id: NDArray[Any] | None
    data: dict[str, Any]

    @classmethod
    def of(cls, people: sv.Detections, weak: sv.Detections) -> _FinderBoxes:
        """Take both, which have the same fields: `sv.Detections.merge`, which looks, takes four times as long."""
        if not (len(people) and len(weak)):
            found = people if len(people) else weak
            return cls(rounded_boxes(found.xyxy), rounded_scores(_scores(found)), found.class_id, found.data)
        return cls(
            rounded_boxes(np.concatenate([people.xyxy, weak.xyxy])),
            rounded_scores(np.concatenate([_scores(people), _scores(weak)])),
            None if people.class_id is None else np.concatenate([people.class_id, np.asarray(weak.class_id)]),
            {name: np.concatenate([values, weak.data[name]]) for name, values in people.data.items()},
        )

    def rows(self, rows: NDArray[np.int_], ids: NDArray[np.int_]) -> sv.Detections:
        """Return some of the boxes with ids."""
        return sv.Detections(
            self.xyxy[rows],
            confidence=self.scores[rows],
            class_id=None if self.class_id is None else self.class_id[rows],
            tracker_id=ids,
            data={name: values[rows] for name, values in self.data.items()},
        )


def _best_first(boxes: _FinderBoxes) -> NDArray[np.int_]:
    """Return the rows to keep, best first and of equals the leftmost: a file's own order does not matter."""
    order = np.lexsort((*boxes.xyxy.T[::-1], -boxes.scores))
    if len(order) < 2:
        return order
    xyxy = boxes.xyxy[order]
    same = overlaps(xyxy, xyxy) > DUPLICATE_IOU
    kept = np.ones(len(order), bool)
    for row in (same.sum(1) > 1).nonzero()[0].tolist():
        if kept[row]:
            kept[row + 1 :] &= ~same[row, row + 1 :]
    return order[kept]


def _scores(boxes: sv.Detections) -> NDArray[np.floating[Any]]:
    return np.ones(len(boxes)) if boxes.confidence is None else boxes.confidence

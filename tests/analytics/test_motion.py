"""What is done quicker than by the library gives what the library gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import supervision as sv
from trackers import CBIoUTracker

from humandetect.analytics.motion import overlaps, quick_tracker

OPTIONS: dict[str, Any] = {
    "lost_track_buffer": 60, "frame_rate": 8.0, "track_activation_threshold": 0.5, "high_conf_det_threshold": 0.3,
}  # fmt: skip


def boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    corners = rng.uniform(0, 100, (count, 2))
    return np.hstack([corners, corners + rng.uniform(0, 60, (count, 2))])


@pytest.mark.parametrize("people", [1, 12])
def test_tracks_are_those_of_the_library(people: int) -> None:
    """Walkers who are missed, seen weakly, and looked at as often as the reference rate has it, less and more often."""
    rng = np.random.default_rng(people)
    library, quick = CBIoUTracker(**OPTIONS), quick_tracker(**OPTIONS)
    place, speed = rng.uniform(0, 500, (people, 2)), rng.normal(0, 30, (people, 2))
    size, seconds = rng.uniform([20, 50], [60, 160], (people, 2)), 0.0
    for _ in range(40):
        step = rng.choice([0.04, 0.125, 0.127, 0.4])
        seconds, place = seconds + step, place + speed * step
        seen = rng.random(people) < 0.8
        middle = place + rng.normal(0, 3, (people, 2))
        xyxy = np.hstack([middle - size / 2, middle + size / 2])[seen].round(2)
        found = sv.Detections(xyxy, confidence=rng.uniform(0.1, 1, people)[seen].round(4))
        wanted, got = (tracker.update(found, timestamp=seconds) for tracker in (library, quick))
        np.testing.assert_array_equal(got.tracker_id, wanted.tracker_id)
        np.testing.assert_array_equal(got.xyxy, wanted.xyxy)
        states = [np.array([track.get_state_bbox() for track in each.tracks]) for each in (library, quick)]
        np.testing.assert_allclose(states[1], states[0], atol=1e-9)
    assert quick.tracks, "there is something to compare"


@pytest.mark.parametrize(("count", "others"), [(0, 3), (3, 0), (1, 1), (20, 30)])
def test_overlaps_are_those_of_supervision(count: int, others: int) -> None:
    rng = np.random.default_rng(count)
    some, more = boxes(rng, count), boxes(rng, others)
    np.testing.assert_array_equal(overlaps(some, more), sv.box_iou_batch(some, more))


def test_boxes_without_area_overlap_nothing() -> None:
    point = np.array([[5.0, 5, 5, 5]])
    assert overlaps(point, point).tolist() == [[0.0]]

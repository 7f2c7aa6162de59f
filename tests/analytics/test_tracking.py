"""Ids that last: what the rest relies on, whatever the library behind it does."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import supervision as sv

from humandetect.analytics.tracking import Tracker
from humandetect.media.frames import DetectedFrame, Frame, rounded
from tests.builders import people

IMAGE = np.zeros((240, 640, 3), np.uint8)


def seen(seconds: float, *lefts: float, scores: list[float] | None = None, detected: bool = True) -> DetectedFrame:
    boxes = people([[left, 100, left + 40, 200] for left in lefts], scores)
    frame = Frame(IMAGE, index=round(seconds * 10), time_seconds=seconds, source="clip.mp4")
    return DetectedFrame(frame, boxes, detected=detected)


def ids(result: DetectedFrame) -> list[int]:
    assert result.detections.tracker_id is not None
    return [int(number) for number in result.detections.tracker_id]


@pytest.mark.parametrize("rate", [25, 5, 2])
def test_a_walker_keeps_one_id_at_any_rate(rate: int) -> None:
    tracker = Tracker()
    found = [ids(tracker.update(seen(k / rate, 20 + 60 * k / rate))) for k in range(8 * rate)]
    assert found == [[1]] * (8 * rate)


def test_a_walker_keeps_one_id_at_a_variable_rate_and_from_a_late_start() -> None:
    tracker = Tracker()
    times = [3600 + t for t in (0, 0.04, 0.08, 0.4, 0.44, 1.2, 1.24, 1.6, 2.5, 2.54)]
    assert [ids(tracker.update(seen(t, 20 + 50 * (t - 3600)))) for t in times] == [[1]] * len(times)


@pytest.mark.parametrize("step", [0.1, 0.34, 0.5])
def test_who_comes_later_walks_turns_back_and_stands_keeps_one_id(step: float) -> None:
    """They walk 1.4 m a second where their box is 0.6 m wide."""
    tracker = Tracker()
    tracker.update(seen(0))
    times = np.arange(step, 10, step)
    found = [ids(tracker.update(seen(at, np.interp(at, [0, 3, 6, 7, 10], [20, 300, 20, 20, 300])))) for at in times]
    assert found == [[-1]] + [[1]] * (len(times) - 1)


def test_frames_of_equal_times_are_followed_without_a_warning() -> None:
    tracker = Tracker()
    assert [ids(tracker.update(seen(t, 20 + 2 * k))) for k, t in enumerate([0, 0, 0, 0.1, 0.1, 0.2])] == [[1]] * 6


def test_who_comes_later_has_no_id_until_seen_twice() -> None:
    tracker = Tracker()
    tracker.update(seen(0, 20))
    assert ids(tracker.update(seen(0.1, 20, 400, scores=[0.9, 0.8]))) == [1, -1]
    assert ids(tracker.update(seen(0.2, 20, 400, scores=[0.9, 0.8]))) == [1, 2]


def test_who_gets_an_id_is_told_from_the_frame_before() -> None:
    tracker = Tracker()
    tracker.update(seen(0, 20))
    tracker.update(seen(0.1, 20, 300, 400, scores=[0.9, 0.8, 0.7]))
    result = tracker.update(seen(0.2, 20, 405, scores=[0.9, 0.7]))
    assert result.first_seen is not None
    assert (ids(result.first_seen), result.first_seen.frame.index) == ([2], 1)
    assert result.first_seen.detections.xyxy.tolist() == [[400, 100, 440, 200]]
    assert tracker.update(seen(0.3, 20, 410, scores=[0.9, 0.7])).first_seen is None


@pytest.mark.parametrize("after", [9.0, 0.0])
def test_ids_are_not_given_twice_across_a_gap_or_a_restart_of_the_clock(after: float) -> None:
    tracker = Tracker()
    for k in range(5):
        tracker.update(seen(5 + k / 10, 20, 400))
    assert ids(tracker.update(seen(after, 20, 400))) == [3, 4]


def test_boxes_come_back_best_first_with_their_own_ids_whatever_their_order() -> None:
    one, other = Tracker(), Tracker()
    for k in range(4):
        first = one.update(seen(k / 10, 20, 400, scores=[0.6, 0.9]))
        second = other.update(seen(k / 10, 400, 20, scores=[0.9, 0.6]))
        assert first.detections.xyxy.tolist() == second.detections.xyxy.tolist()
        assert ids(first) == ids(second)
        assert first.detections.xyxy[:, 0].tolist() == [400, 20]


def test_a_weak_box_is_a_person_only_where_it_continues_a_track() -> None:
    tracker = Tracker()
    tracker.update(seen(0, 20))
    result = seen(0.1)
    weak = people([[21, 100, 61, 200], [400, 100, 440, 200]], [0.2, 0.2])
    result = tracker.update(dataclasses.replace(result, weak=weak))
    assert (ids(result), result.detections.xyxy[:, 0].tolist()) == ([1], [21])
    assert result.weak.xyxy[:, 0].tolist() == [400]


def test_somebody_found_twice_is_one_person() -> None:
    assert ids(Tracker().update(seen(0, 20, 22, scores=[0.9, 0.7]))) == [1]


def test_the_start_score_starts_a_track() -> None:
    tracker = Tracker(start_score=0.6)
    assert [ids(tracker.update(seen(k / 10, 20, scores=[0.55]))) for k in range(3)] == [[-1]] * 3


def test_a_lost_person_is_held_for_two_seconds_where_the_walk_would_lead() -> None:
    tracker = Tracker()
    for k in range(20):
        tracker.update(seen(k / 10, 20 + 6 * k))
    held = [tracker.update(seen(2 + k / 10)).held for k in range(25)]
    assert [len(one) for one in held] == [1] * 20 + [0] * 5
    assert held[4].tracker_id is not None
    assert held[4].tracker_id.tolist() == [1]
    assert held[4].xyxy[0, 0] == pytest.approx(20 + 6 * 24, abs=6)
    assert held[4].data["held_seconds"] == pytest.approx([0.5])


def test_frames_that_were_not_looked_at_keep_the_ids_and_do_not_age_tracks() -> None:
    tracker = Tracker()
    for k in range(40):
        result = tracker.update(seen(k / 10, 20 + 3 * (k - k % 4), detected=k % 4 == 0))
        assert ids(result) == [1]
        assert result.detected is (k % 4 == 0)


def test_a_frame_without_an_answer_passes_as_it_is() -> None:
    tracker = Tracker()
    tracker.update(seen(0, 20))
    failed = dataclasses.replace(seen(0.1), failure="no answer")
    assert tracker.update(failed) is failed
    assert ids(tracker.update(seen(0.2, 20))) == [1]


def test_rounded_boxes_give_the_same_tracks_as_those_of_the_detector() -> None:
    live, saved = Tracker(), Tracker()
    for k in range(10):
        result = seen(k / 10, 20 + k / 3, 400 - k / 7, scores=[0.1 + 0.7 / 3, 0.9 / 1.3])
        again = dataclasses.replace(result, detections=rounded(result.detections))
        assert live.update(result).rows() == saved.update(again).rows()


def test_too_few_detections_a_second_are_told() -> None:
    tracker = Tracker()
    for k in range(4):
        tracker.update(seen(k / 2, 20))
    assert tracker.finish() == ()
    assert "2.0 detections a second" in tracker.warnings[0]


def test_trails_are_the_feet_of_two_seconds() -> None:
    tracker = Tracker()
    for k in range(40):
        result = tracker.update(seen(k / 10, 20 + 2 * k))
    assert list(result.trails) == [1]
    assert result.trails[1].tolist() == [[40 + 2 * k, 200] for k in range(19, 40)]
    assert tracker.update(seen(30, 20)).trails.keys() <= {2}, "nobody is followed across a gap"


def test_memory_of_the_past_is_bounded() -> None:
    tracker = Tracker()
    for k in range(400):
        tracker.update(seen(k / 10, (k // 5 * 97) % 600))
    assert len(tracker._tracker.tracks) < 15


def test_nobody_is_no_error() -> None:
    result = Tracker().update(seen(0))
    assert isinstance(result.detections, sv.Detections)
    assert ids(result) == []

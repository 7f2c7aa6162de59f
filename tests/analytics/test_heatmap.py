"""A heatmap has as many person-seconds as the counts, where the feet were."""

from __future__ import annotations

import numpy as np
import pytest

from humandetect.analytics.heatmap import BLUR_OF_HEIGHT, Heatmap
from humandetect.media.frames import DetectedFrame, Frame
from tests.analytics.walking import HEIGHT, IMAGE, walked
from tests.builders import people


def heat_of(frames: list[DetectedFrame]) -> Heatmap:
    heatmap = Heatmap()
    for frame in frames:
        assert heatmap.update(frame) is frame
    return heatmap


def at(heatmap: Heatmap, x: float, y: float) -> float:
    stays = heatmap.stays()
    height, width = IMAGE.shape[:2]
    return float(stays[int(y * stays.shape[0] / height), int(x * stays.shape[1] / width)])


def test_a_place_has_the_seconds_that_somebody_stood_there_and_less_beside_it() -> None:
    heatmap = heat_of([walked(step / 10, {1: (300, 200)}) for step in range(31)])
    assert heatmap.person_seconds == pytest.approx(3.0)
    assert at(heatmap, 300, 200) == pytest.approx(3.0)
    assert at(heatmap, 300 + BLUR_OF_HEIGHT * HEIGHT, 200) == pytest.approx(3.0 * np.exp(-0.5), rel=0.15)
    assert at(heatmap, 300, 200 - HEIGHT) < 0.01


def test_two_at_one_place_count_twice_whatever_the_frame_rate() -> None:
    both = {1: (300.0, 200.0), 2: (300.0, 200.0)}
    slow, fast = (heat_of([walked(step / rate, both) for step in range(2 * rate + 1)]) for rate in (2, 25))
    assert at(slow, 300, 200) == pytest.approx(4.0)
    assert at(fast, 300, 200) == pytest.approx(4.0)


def test_nothing_is_added_over_a_gap_a_clock_that_goes_back_and_a_frame_without_an_answer() -> None:
    times = (0.0, 1.0, 60.0, 61.0, 5.0, 6.0)
    heatmap = heat_of([walked(seconds, {1: (300, 200)}) for seconds in times])
    assert (heatmap.person_seconds, heatmap.covered_seconds) == (3.0, 3.0)
    heatmap = heat_of(
        [walked(seconds, {1: (300, 200)}, failure="away" if seconds == 1 else None) for seconds in range(4)]
    )
    assert (heatmap.person_seconds, heatmap.covered_seconds) == (2.0, 2.0)


def test_feet_at_the_edge_are_in_the_picture() -> None:
    heatmap = heat_of([walked(seconds, {1: (600, 400), 2: (0, 0)}) for seconds in (0, 1)])
    assert heatmap.stays()[-1, -1] == pytest.approx(1.0)
    assert heatmap.stays()[0, 0] == pytest.approx(1.0)


def test_a_picture_of_another_size_goes_on_the_same_grid() -> None:
    small = Frame(IMAGE[::2, ::2], index=1, time_seconds=1.0, source="clip.mp4")
    half = DetectedFrame(small, people([[140, 50, 160, 100]]))
    heatmap = heat_of([walked(0, {1: (300, 200)}), half, walked(2, {})])
    assert at(heatmap, 300, 200) == pytest.approx(2.0)


@pytest.mark.parametrize("frames", [[], [walked(0, {1: (300, 200)})], [walked(0, {}), walked(1, {})]])
def test_without_people_or_time_it_is_empty(frames: list[DetectedFrame]) -> None:
    heatmap = heat_of(frames)
    assert not heatmap.stays().any()
    assert heatmap.person_seconds == 0

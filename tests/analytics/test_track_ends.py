"""Tracks that end inside the picture are told from those that leave it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from humandetect.analytics.track_ends import TrackEnds
from tests.analytics.walking import walked

if TYPE_CHECKING:
    from humandetect.media.frames import DetectedFrame

INSIDE, AT_THE_EDGE = (300.0, 250.0), (590.0, 250.0)


def ends(*frames: DetectedFrame) -> tuple[int, int]:
    found = TrackEnds()
    for frame in frames:
        found.update(frame)
    return found.tracks, found.ended_inside


def test_who_is_lost_in_the_middle_is_a_break_and_who_leaves_is_none() -> None:
    gone = [walked(seconds, {}) for seconds in (1, 2, 3, 4)]
    assert ends(walked(0, {1: INSIDE, 2: AT_THE_EDGE}), *gone) == (2, 1)


def test_who_comes_back_in_time_and_who_is_there_at_the_end_are_no_breaks() -> None:
    assert ends(walked(0, {1: INSIDE}), walked(1, {}), walked(2, {1: INSIDE}), walked(3, {})) == (1, 0)


def test_nobody_breaks_over_a_gap() -> None:
    assert ends(walked(0, {1: INSIDE}), walked(60, {2: INSIDE}), walked(61, {2: INSIDE})) == (2, 0)


def test_who_has_no_id_yet_is_no_track() -> None:
    assert ends(walked(0, {-1: INSIDE}), *[walked(seconds, {}) for seconds in (1, 2, 3)]) == (0, 0)

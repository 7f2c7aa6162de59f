"""Crossings are counted by where people walk, not by how often they are seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from humandetect.analytics.events import SceneEvents
from humandetect.analytics.scene import read_scene
from tests.analytics.walking import brief, scene_events, told, walked

if TYPE_CHECKING:
    from pathlib import Path

FLAT = "flat=100,200,500,200"
"""Drawn left to right, so that a walk up the picture is `in`."""
MARGIN = 5
"""0.05 of a box of 100 pixels."""


def crossed(ys: list[float], *, x: float = 300, line: str = FLAT) -> list[tuple[str, float]]:
    """Direction and time of crossings of somebody who is seen at these heights, ten times a second."""
    frames = [walked(k / 10, {1: (x, y)}) for k, y in enumerate(ys)]
    return [(str(e.direction), round(e.time_seconds, 3)) for e in told(scene_events(lines=[line]), frames)]


def test_a_walk_up_over_a_line_drawn_left_to_right_is_in() -> None:
    assert crossed([230, 215, 195, 180]) == [("in", 0.175)]
    assert crossed([180, 195, 215, 230]) == [("out", 0.125)]


def test_a_reversed_line_swaps_the_directions() -> None:
    assert crossed([230, 215, 195, 180], line="flat=500,200,100,200") == [("out", 0.175)]


def test_percent_coordinates_are_the_same_line() -> None:
    line = f"flat={100 / 6}%,50%,{500 / 6}%,50%"
    assert crossed([230, 215, 195, 180], line=line) == [("in", 0.175)]


def test_who_turns_back_on_the_line_is_not_counted() -> None:
    assert crossed([230, 210, 199, 202, 196, 203, 215, 230]) == []


def test_who_trembles_on_the_line_and_goes_over_is_counted_once_where_the_path_last_changed_side() -> None:
    assert crossed([230, 210, 199, 202, 198, 204, 196, 180]) == [("in", 0.55)]


def test_a_foot_has_crossed_once_it_is_more_than_the_margin_beyond() -> None:
    assert crossed([210, 200 - MARGIN]) == []
    assert crossed([210, 200 - MARGIN - 0.1]) == [("in", 0.066)]


def test_who_appears_on_the_line_has_no_side_yet() -> None:
    assert crossed([200, 190, 180]) == []
    assert crossed([200, 210, 220]) == []
    assert crossed([200, 204, 190]) == [("in", 0.129)]
    assert crossed([200, 200, 190, 210]) == [("out", 0.25)]


def test_who_walks_around_the_end_is_not_counted_and_then_is_on_the_other_side() -> None:
    over_beyond_the_end = [walked(k / 10, {1: (520, y)}) for k, y in enumerate([230, 180])]
    back_over_the_line = [walked(0.2 + k / 10, {1: (300, y)}) for k, y in enumerate([180, 230])]
    events = told(scene_events(lines=[FLAT]), over_beyond_the_end + back_over_the_line)
    assert brief(events) == [("crossing", "out", 1, 0.24)]


def test_two_who_cross_in_one_frame_are_two() -> None:
    frames = [walked(k / 10, {1: (200, 220 - 40 * k), 2: (300, 180 + 40 * k)}) for k in range(2)]
    assert brief(told(scene_events(lines=[FLAT]), frames)) == [
        ("crossing", "in", 1, 0.05), ("crossing", "out", 2, 0.05),
    ]  # fmt: skip


def test_one_step_over_several_lines_crosses_each() -> None:
    frames = [walked(k / 10, {1: (300, 300 - 200 * k)}) for k in range(2)]
    events = told(scene_events(lines=["low=0,250,600,250", "high=0,150,600,150", "far=0,50,600,50"]), frames)
    assert [(e.line, e.time_seconds) for e in events] == [("low", 0.025), ("high", 0.075)]


@pytest.mark.parametrize(("rate", "start"), [(25, 3600), (5, 0), (2, 0)])
def test_counts_and_times_are_the_same_at_any_rate(rate: int, start: float) -> None:
    """Somebody walks up and down, 40 pixels a second, and passes the line every 5 seconds."""
    frames = []
    for k in range(20 * rate + 1):
        phase = (k / rate) % 10
        frames.append(walked(start + k / rate, {1: (300, 300 - 40 * min(phase, 10 - phase))}))
    events = told(scene_events(lines=["flat=100,210,500,210"]), frames)
    assert brief(events) == [
        ("crossing", "in", 1, start + 2.25), ("crossing", "out", 1, start + 7.75),
        ("crossing", "in", 1, start + 12.25), ("crossing", "out", 1, start + 17.75),
    ]  # fmt: skip


def test_a_variable_rate_and_equal_times_count_the_same() -> None:
    times = [0, 0.04, 0.04, 0.5, 0.54, 1.9, 1.9, 2.0]
    frames = [walked(t, {1: (300, 230 - 30 * t)}) for t in times]
    assert brief(told(scene_events(lines=[FLAT]), frames)) == [("crossing", "in", 1, 1.0)]


def test_a_path_goes_on_where_somebody_was_hidden() -> None:
    frames = [walked(0, {1: (300, 230)}), walked(0.5, {}), walked(1, {}), walked(1.5, {1: (300, 170)})]
    assert brief(told(scene_events(lines=[FLAT]), frames)) == [("crossing", "in", 1, 0.75)]


def test_nobody_is_followed_across_a_gap() -> None:
    frames = [walked(0, {1: (300, 230)}), walked(5, {1: (300, 170)})]
    assert [e.event for e in told(scene_events(lines=[FLAT]), frames)] == ["gap"]


def test_a_crossing_tells_where_it_was_and_who_was_seen_there() -> None:
    frames = [walked(k / 10, {7: (300, 230 - 20 * k)}) for k in range(4)]
    [event] = told(scene_events(lines=[FLAT]), frames)
    assert (event.line, event.point, event.frame, event.box) == ("flat", (300, 200), 20, (280, 90, 320, 190))


def test_a_line_may_have_its_own_margin(tmp_path: Path) -> None:
    path = tmp_path / "scene.toml"
    path.write_text('[[line]]\nname = "flat"\nfrom = [100, 200]\nto = [500, 200]\nmargin = 0.5\n')
    frames = [walked(k / 10, {1: (300, y)}) for k, y in enumerate([230, 160, 230, 149])]
    assert brief(told(SceneEvents(read_scene(path)), frames)) == [("crossing", "in", 1, 0.237)]

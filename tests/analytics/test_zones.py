"""Visits last from the first to the last time inside; how many there are needs no ids."""

from __future__ import annotations

import pytest

from humandetect.analytics.zones import ZoneCounter
from tests.analytics.walking import brief, scene_events, told, walked

HALL = "hall=200,200,400,200,400,300,200,300"
INSIDE, OUTSIDE = (300.0, 250.0), (100.0, 250.0)


@pytest.mark.parametrize(("rate", "start"), [(25, 3600), (5, 0), (2, 0)])
def test_a_visit_has_its_first_and_last_time_at_any_rate(rate: int, start: float) -> None:
    frames = [walked(start + k / rate, {1: INSIDE if 2 <= k / rate <= 6 else OUTSIDE}) for k in range(10 * rate)]
    events = told(scene_events(zones=[HALL]), frames)
    assert brief(events) == [("enter", "hall", 1, start + 2), ("exit", "hall", 1, start + 6)]
    assert events[1].dwell_seconds == 4


def test_a_glimpse_is_no_visit_and_a_short_absence_does_not_end_one() -> None:
    inside = {*range(10, 14), *range(30, 41), *range(50, 61)}  # 0.3 s; then 1 s twice, with 1 s between
    frames = [walked(k / 10, {1: INSIDE if k in inside else OUTSIDE}) for k in range(90)]
    assert brief(told(scene_events(zones=[HALL]), frames)) == [("enter", "hall", 1, 3), ("exit", "hall", 1, 6)]


def test_a_second_and_more_outside_makes_two_visits() -> None:
    inside = {*range(10, 21), *range(31, 41)}
    frames = [walked(k / 10, {1: INSIDE if k in inside else OUTSIDE}) for k in range(60)]
    assert brief(told(scene_events(zones=[HALL]), frames)) == [
        ("enter", "hall", 1, 1), ("exit", "hall", 1, 2), ("enter", "hall", 1, 3.1), ("exit", "hall", 1, 4),
    ]  # fmt: skip


def test_who_is_not_seen_any_more_has_left() -> None:
    frames = [walked(k / 10, {1: INSIDE} if k <= 20 else {}) for k in range(40)]
    events = [event for frame in frames for event in scene_events(zones=[HALL]).update(frame).events]
    assert events == []  # each stage saw one frame only
    assert brief(told(scene_events(zones=[HALL]), frames)) == [("enter", "hall", 1, 0), ("exit", "hall", 1, 2)]


def test_a_visit_open_at_the_end_gets_its_exit_once() -> None:
    stage = scene_events(zones=[HALL])
    events = told(stage, [walked(k / 10, {1: INSIDE}) for k in range(21)])
    assert brief(events) == [("enter", "hall", 1, 0), ("exit", "hall", 1, 2)]
    assert stage.finish() == ()


def test_people_count_without_ids_and_visits_only_with_them() -> None:
    stage = scene_events(zones=[HALL])
    frames = [walked(k / 10, {-1: INSIDE, 1: OUTSIDE}) for k in range(30)]
    results = [stage.update(frame) for frame in frames]
    assert {tuple(result.occupancy.items()) for result in results} == {(("hall", 1),)}
    assert [e for result in results for e in result.events] == []


def test_frames_that_were_not_looked_at_keep_the_occupancy_and_failed_ones_have_none() -> None:
    stage = scene_events(zones=[HALL])
    assert stage.update(walked(0, {1: INSIDE})).occupancy == {"hall": 1}
    assert stage.update(walked(0.1, {1: OUTSIDE}, detected=False)).occupancy == {"hall": 1}
    assert stage.update(walked(0.2, {1: OUTSIDE}, failure="away")).occupancy == {}
    assert stage.update(walked(0.3, {})).occupancy == {"hall": 0}


def test_a_polygon_with_a_bay_and_several_zones_are_told_apart() -> None:
    bay = "bay=0,0,300,0,300,300,200,300,200,100,100,100,100,300,0,300"
    stage = scene_events(zones=[bay, "mouth=100,100,200,100,200,300,100,300"])
    assert stage.update(walked(0, {1: (150, 200)})).occupancy == {"bay": 0, "mouth": 1}
    assert stage.update(walked(0.1, {1: (50, 200), 2: (250, 200)})).occupancy == {"bay": 2, "mouth": 0}


def test_who_is_cut_off_by_the_lower_edge_of_the_picture_is_inside_a_zone_drawn_to_it() -> None:
    stage = scene_events(zones=["front=0%,50%,100%,50%,100%,100%,0%,100%"])
    assert stage.update(walked(0, {1: (300, 400)})).occupancy == {"front": 1}


def test_neighbours_share_no_foot() -> None:
    stage = scene_events(zones=["left=0,0,300,0,300,400,0,400", "right=300,0,600,0,600,400,300,400"])
    assert sum(stage.update(walked(0, {1: (300, 400)})).occupancy.values()) == 1


def test_no_zones_have_nobody() -> None:
    assert ZoneCounter(()).end() == []
    assert scene_events().update(walked(0, {1: INSIDE})).occupancy == {}

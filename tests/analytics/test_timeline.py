"""Sums over time stay exact while intervals grow with it."""

from __future__ import annotations

from typing import Any

import pytest

from humandetect.analytics.timeline import MOST_BARS, MOST_INTERVALS, Timeline


def row(start: float, **values: Any) -> Any:
    empty = {"kind": "line", "name": "gate", "in": None, "out": None, "visits": None}
    return {
        **empty,
        "start_seconds": start,
        "seconds_covered": 1.0,
        "person_seconds": 0.0,
        "inside_max": None,
        **values,
    }


@pytest.mark.parametrize("seconds", [1, MOST_INTERVALS, 20_000])
def test_a_long_time_is_few_intervals_with_the_same_sums(seconds: int) -> None:
    timeline = Timeline()
    for start in range(seconds):
        timeline.add(row(float(start), **{"in": start % 3, "out": 1, "inside_max": start % 7}))
    intervals = timeline.intervals("line", "gate", timeline.width_seconds)
    assert len(intervals) <= MOST_INTERVALS
    assert sum(sums.entered for sums in intervals.values()) == sum(start % 3 for start in range(seconds))
    total = timeline.total("line", "gate")
    assert (total.left, total.covered_seconds, total.most) == (seconds, seconds, min(6, seconds - 1))


def test_the_intervals_of_all_names_grow_together() -> None:
    timeline = Timeline()
    for start in range(1000):
        timeline.add(row(float(start)))
        timeline.add(row(float(start), name="door"))
    gate, door = (timeline.intervals("line", name, timeline.width_seconds) for name in ("gate", "door"))
    assert list(gate) == list(door)
    assert {start % timeline.width_seconds for start in gate} == {0.0}


@pytest.mark.parametrize(("seconds", "per_seconds", "bar"), [
    (600, 60, 60), (80, 60, 5), (20, 60, 1), (7200, 60, 300), (7200, 900, 900), (80, 7.5, 5), (1, 60, 1),
])  # fmt: skip
def test_bars_are_as_long_as_asked_for_where_that_makes_a_picture(seconds: int, per_seconds: float, bar: float) -> None:
    timeline = Timeline()
    for start in range(seconds):
        timeline.add(row(float(start)))
    assert timeline.bar_seconds(per_seconds) == bar
    assert len(timeline.intervals("line", "gate", bar)) <= MOST_BARS


def test_what_nobody_watched_has_no_mean() -> None:
    timeline = Timeline()
    timeline.add(row(0.0, kind="zone", seconds_covered=0.0))
    assert timeline.total("zone", "gate").mean is None

"""Counts are sums of events and occupancy, and say for how long somebody watched."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from humandetect.analytics.base import Chain
from humandetect.analytics.counts import CountRow, Counts
from tests.analytics.walking import scene_events, told, walked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from humandetect.media.frames import DetectedFrame, Event

FLAT = "flat=100,200,500,200"
HALL = "hall=200,200,400,200,400,300,200,300"
INSIDE, OUTSIDE = (300.0, 250.0), (100.0, 250.0)


def counted(
    frames: Sequence[DetectedFrame], *, per_seconds: float = 10, started: datetime | None = None
) -> tuple[list[CountRow], list[Event]]:
    rows: list[CountRow] = []
    counts = Counts(rows.append, per_seconds=per_seconds, lines=["flat"], zones=["hall"], started=started)
    return rows, told(Chain([scene_events(lines=[FLAT], zones=[HALL]), counts]), frames)


def of(rows: Sequence[CountRow], name: str, *columns: str) -> list[tuple[object, ...]]:
    return [tuple(dict(row)[column] for column in columns) for row in rows if row["name"] == name]


def total(rows: Sequence[CountRow], column: str) -> int:
    return sum(value for row in rows if isinstance(value := dict(row)[column], int))


def walks(seconds: int, *, rate: int = 10) -> list[DetectedFrame]:
    """Somebody walks up and down over the line, into the zone and out of it, every 8 seconds."""
    frames = []
    for k in range(seconds * rate):
        phase = (k / rate) % 8
        frames.append(walked(k / rate, {1: (300, 330 - 40 * min(phase, 8 - phase))}))
    return frames


def test_every_interval_has_a_row_for_every_line_and_zone_also_without_people() -> None:
    rows, _ = counted([walked(k / 2, {}) for k in range(60)])
    assert [(r["start_seconds"], r["kind"], r["name"]) for r in rows] == [
        (start, kind, name) for start in (0, 10, 20) for kind, name in (("line", "flat"), ("zone", "hall"))
    ]
    assert of(rows, "flat", "in", "out", "inside_max", "visits", "person_seconds") == [(0, 0, None, None, None)] * 3
    assert (
        of(rows, "hall", "in", "inside_mean", "inside_max", "visits", "person_seconds", "dwell_median_seconds")
        == [(None, 0, 0, 0, 0, None)] * 3
    )
    assert of(rows, "hall", "seconds_covered") == [(10,), (10,), (9.5,)]


@pytest.mark.parametrize("rate", [25, 10, 2])
def test_occupancy_is_weighted_by_time_and_split_between_intervals(rate: int) -> None:
    frames = [walked(k / rate, {1: INSIDE} if 8 <= k / rate < 13 else {}) for k in range(20 * rate + 1)]
    rows, _ = counted(frames)
    assert of(rows, "hall", "person_seconds", "inside_mean", "inside_max")[:2] == [(2, 0.2, 1), (3, 0.3, 1)]


@pytest.mark.parametrize("per_seconds", [1, 7, 3600])
def test_rows_sum_up_to_the_events(per_seconds: float) -> None:
    rows, events = counted(walks(60), per_seconds=per_seconds)
    crossings = [e.direction for e in events if e.event == "crossing"]
    assert len(crossings) == 15
    assert total(rows, "in") == crossings.count("in")
    assert total(rows, "out") == crossings.count("out")
    assert total(rows, "visits") == sum(e.event == "enter" for e in events)
    assert sum(row["seconds_covered"] for row in rows if row["kind"] == "zone") == pytest.approx(59.9)


def test_rows_sum_up_to_the_events_of_a_broken_source() -> None:
    """The rate varies, the clock jumps and restarts, and frames fail."""
    chance = random.Random(7)  # noqa: S311
    seconds, frames, track = 0.0, [], 1
    for k in range(800):
        step = chance.choice([0, 0.04, 0.1, 0.4, 0.1])
        if chance.random() < 0.02:
            step, track = chance.choice([-seconds / 2, 9, 100_000]), track + 1
        seconds += step
        y = 250 + 80 * (1 if k // 15 % 2 else -1) * (k % 15) / 15
        frames.append(walked(seconds, {track: (300, y)}, failure="away" if chance.random() < 0.02 else None))
    rows, events = counted(frames)
    assert sum(e.event == "gap" for e in events) > 5
    for column, happened in (
        ("in", sum(e.direction == "in" for e in events)),
        ("out", sum(e.direction == "out" for e in events)),
        ("visits", sum(e.event == "enter" for e in events)),
    ):
        assert total(rows, column) == happened > 5
    assert all(row["seconds_covered"] <= 10 + 1e-6 for row in rows)


def test_an_event_counts_in_the_interval_of_its_time_though_it_is_certain_later() -> None:
    frames = [walked(k / 10, {1: INSIDE if 97 <= k <= 120 else OUTSIDE}) for k in range(200)]
    rows, _ = counted(frames)
    assert of(rows, "hall", "visits", "dwell_median_seconds") == [(1, None), (0, 2.3)]


def test_what_becomes_certain_after_its_interval_was_written_counts_in_the_oldest_open_one() -> None:
    ys = [(k / 10, 205 if k < 95 else 197) for k in range(380)] + [(38 + k / 10, 180) for k in range(20)]
    rows, events = counted([walked(t, {1: (300, y)}) for t, y in ys])
    assert [round(e.time_seconds, 1) for e in events if e.event == "crossing"] == [9.5]
    assert of(rows, "flat", "start_seconds", "in") == [(0, 0), (10, 0), (20, 0), (30, 1)]


def test_a_row_is_written_five_seconds_after_its_interval() -> None:
    rows: list[CountRow] = []
    counts = Counts(rows.append, per_seconds=10, lines=["flat"])
    for second in range(15):
        counts.update(walked(second, {}))
    assert rows == []
    counts.update(walked(15, {}))
    assert [row["start_seconds"] for row in rows] == [0]


def test_time_with_nobody_watching_is_not_covered() -> None:
    gap = [walked(t, {1: INSIDE}) for t in (0, 1, 2, 25, 26)]
    assert of(counted(gap)[0], "hall", "start_seconds", "seconds_covered", "person_seconds", "inside_max") == [
        (0, 2, 2, 1), (10, 0, 0, None), (20, 1, 1, 1),
    ]  # fmt: skip
    failed = [walked(t, {1: INSIDE}, failure="away" if 3 <= t < 6 else None) for t in range(10)]
    assert of(counted(failed)[0], "hall", "seconds_covered", "person_seconds") == [(6, 6)]


def test_a_jump_of_over_a_day_is_not_filled_and_a_shorter_one_is() -> None:
    assert len(counted([walked(t, {}) for t in (0, 80_000)], per_seconds=100)[0]) == 2 * 801
    rows, _ = counted([walked(t, {}) for t in (0, 1, 90_000_005, 90_000_006)])
    assert of(rows, "flat", "start_seconds", "seconds_covered") == [(0, 1), (90_000_000, 1)]


def test_a_restart_of_the_clock_keeps_what_was_counted_before() -> None:
    once, _ = counted(walks(28))
    twice, _ = counted([*walks(28), *walks(28)])
    assert of(twice, "flat", "start_seconds") == of(once, "flat", "start_seconds") * 2
    for column in ("in", "out", "visits"):
        assert total(twice, column) == 2 * total(once, column) > 0


def test_frames_that_were_not_looked_at_count_as_the_last_that_was() -> None:
    frames = [walked(k / 10, {1: INSIDE} if k % 5 == 0 else {}, detected=k % 5 == 0) for k in range(101)]
    assert of(counted(frames)[0], "hall", "person_seconds")[0] == (10,)


def test_rows_are_written_alike_whether_the_interval_is_whole_or_not() -> None:
    rows = [counted([walked(12, {}), walked(13, {})], per_seconds=each)[0] for each in (10, 10.0)]
    assert repr(rows[0]) == repr(rows[1])


def test_a_start_later_in_the_source_begins_with_its_interval() -> None:
    rows, _ = counted([walked(3605 + k, {}) for k in range(6)])
    assert of(rows, "flat", "start_seconds", "seconds_covered") == [(3600, 5), (3610, 0)]


def test_wall_time_is_told_only_where_the_start_is_known() -> None:
    frames = [walked(12, {}), walked(13, {})]
    assert of(counted(frames)[0], "flat", "start_wall") == [(None,)]
    rows, _ = counted(frames, started=datetime(2026, 1, 2, 8, 0, tzinfo=UTC))
    assert of(rows, "flat", "start_wall") == [("2026-01-02T08:00:10.000+00:00",)]

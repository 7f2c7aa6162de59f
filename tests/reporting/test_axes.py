"""Axes end at round numbers, and tell times as clocks do."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from humandetect.reporting.axes import number_axis, said_seconds, time_axis


@pytest.mark.parametrize(("low", "high", "texts"), [
    (0, 0, ["0", "1"]), (0, 1, ["0", "1"]), (0, 7, ["0", "2", "4", "6", "8"]),
    (0, 1234, ["0", "500", "1,000", "1,500"]), (-3, 5, ["4", "2", "0", "2", "4", "6"]), (-2, 0, ["2", "1", "0", "1"]),
])  # fmt: skip
def test_numbers_are_round_and_without_a_sign(low: float, high: float, texts: list[str]) -> None:
    axis = number_axis(low, high)
    assert [text for _, text in axis.ticks] == texts
    assert axis.low <= low
    assert axis.high >= high


def test_what_is_not_counted_may_have_parts() -> None:
    assert [text for _, text in number_axis(0, 0.7, whole=False).ticks] == ["0", "0.2", "0.4", "0.6", "0.8"]


@pytest.mark.parametrize(("begin", "end", "texts"), [
    (0, 4, ["0:00", "0:01", "0:02", "0:03", "0:04"]), (0, 80, ["0:00", "0:15", "0:30", "0:45", "1:00", "1:15"]),
    (3000, 9000, ["1:00:00", "1:30:00", "2:00:00", "2:30:00"]),
])  # fmt: skip
def test_without_a_clock_times_count_from_the_start(begin: float, end: float, texts: list[str]) -> None:
    assert [text for _, text in time_axis(begin, end).ticks] == texts


def test_with_a_clock_they_are_its_full_minutes_and_days() -> None:
    started = datetime(2026, 11, 26, 23, 58, 30, tzinfo=timezone(timedelta(hours=1)))
    axis = time_axis(0, 300, started=started)
    assert [at for at, _ in axis.ticks] == [30, 90, 150, 210, 270]
    assert [text for _, text in axis.ticks] == ["23:59", "00:00", "00:01", "00:02", "00:03"]
    assert axis.name == "26 November 2026 to 27 November 2026, UTC+01:00"
    days = time_axis(0, 10 * 86_400, started=started)
    assert [text for _, text in days.ticks] == ["28 Nov", "30 Nov", "02 Dec", "04 Dec", "06 Dec"]


def test_lengths_of_time_are_said_as_on_a_clock() -> None:
    assert [said_seconds(seconds) for seconds in (0, 7.4, 750, 3723)] == ["0:00", "0:07", "12:30", "1:02:03"]

"""A steady window is as long as was asked for, and holds answers of all connections only."""

from __future__ import annotations

from humandetect.bench.schedule import SteadySchedule


def answered(schedule: SteadySchedule, *moments: float) -> list[bool]:
    """Return, for answers that end at these moments, whether a further request is due after each."""
    going_on = []
    for moment in moments:
        schedule.answered(moment)
        going_on.append(schedule.due() is not None)
    return going_on


def test_it_begins_and_ends_while_all_connections_are_busy() -> None:
    schedule = SteadySchedule(concurrency=2, seconds=5.0)
    assert answered(schedule, 10.0, 11.0, 12.0, 15.9, 16.0, 16.5) == [True] * 4 + [False] * 2
    assert schedule.began == 11.0
    assert [schedule.counts(moment) for moment in (10.0, 11.0)] == [False, False], "not all were busy yet"
    assert [schedule.counts(moment) for moment in (12.0, 15.9, 16.0)] == [True, True, True]
    assert not schedule.counts(16.5), "fewer were busy"


def test_it_waits_for_an_answer_of_each_connection() -> None:
    assert answered(SteadySchedule(concurrency=2, seconds=1.0), 1.0, 2.0, 4.0, 4.5) == [True, True, True, False]


def test_it_does_not_wait_for_ever() -> None:
    assert answered(SteadySchedule(concurrency=3, seconds=1.0), 1.0, 1.0, 1.0, 5.0) == [True, True, True, False]

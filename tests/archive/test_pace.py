"""What is shown of how fast machines are."""

from __future__ import annotations

import pytest

from humandetect.archive.pace import Pace


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    clock = [100.0]
    monkeypatch.setattr("humandetect.archive.pace.time.monotonic", lambda: clock[0])
    return clock


def test_what_was_told_long_ago_no_longer_counts(clock: list[float]) -> None:
    shown = Pace()
    shown.add(1000, "gone")
    clock[0] += 25
    shown.add(40, "here")
    assert shown.by_node() == {"here": 2.0}


def test_of_many_machines_the_slowest_are_named_and_one_is_not(clock: list[float]) -> None:
    shown = Pace()
    clock[0] += 10
    shown.add(100, "10.0.0.9")
    assert shown.described() == ""
    for number in range(1, 6):
        shown.add(number * 10, f"10.0.0.{number}")
    assert shown.described() == ("6 machines, slowest 10.0.0.1 1.0/s, 10.0.0.2 2.0/s, 10.0.0.3 3.0/s, 10.0.0.4 4.0/s")

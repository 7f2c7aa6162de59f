from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from humandetect.media.delay import CREEP, WINDOW_SECONDS, DelayMeter

PERIOD = 0.1


def arrived(meter: DelayMeter, *, first: float, last: float, late: float = 0.0, offset: float = 1000.0) -> list[float]:
    """Take pictures at 10/s that come so late; return their delays. The camera's clock is `offset` ahead of ours."""
    times = [first + number * PERIOD for number in range(round((last - first) / PERIOD))]
    return [meter.add(now - late + offset, now) or 0.0 for now in times]


def test_pictures_without_stamps_say_nothing() -> None:
    meter = DelayMeter()
    assert meter.add(None, 1.0) is None
    assert meter.p95_seconds is None


def test_clocks_that_do_not_know_each_other_make_no_delay() -> None:
    meter = DelayMeter()
    assert max(arrived(meter, first=0, last=20, offset=-123_456.0)) < 0.001
    assert meter.p95_seconds == pytest.approx(0, abs=0.001)


def test_stamps_that_go_back_say_nothing_of_delay() -> None:
    meter = DelayMeter()
    assert max(meter.add(1000 - number * PERIOD, number * PERIOD) or 0.0 for number in range(100)) < 0.3


def test_one_stamp_that_goes_back_makes_no_other_late_or_punctual() -> None:
    meter = DelayMeter()
    arrived(meter, first=0, last=10)
    meter.add(10 + 1000 - 5, 10)
    assert max(arrived(meter, first=10.1, last=11)) < 0.05
    assert arrived(meter, first=11, last=15, late=3)[-1] == pytest.approx(3, abs=0.05)


def test_what_comes_later_than_the_first_ones_is_late_by_so_much() -> None:
    meter = DelayMeter()
    arrived(meter, first=0, last=10)
    assert arrived(meter, first=10, last=20, late=3)[-1] == pytest.approx(3, abs=0.05)
    assert meter.p95_seconds == pytest.approx(3, abs=0.05)


def test_a_camera_that_began_late_is_measured_by_its_best_pictures() -> None:
    meter = DelayMeter()
    arrived(meter, first=0, last=5, late=2)
    arrived(meter, first=5, last=15)
    assert meter.p95_seconds == pytest.approx(0, abs=0.001)
    assert arrived(meter, first=15, last=20, late=2)[-1] == pytest.approx(2, abs=0.05)


def test_one_picture_with_an_early_stamp_makes_no_other_late() -> None:
    meter = DelayMeter()
    arrived(meter, first=0, last=10)
    meter.add(10 + 1000 + 5, 10)
    assert max(arrived(meter, first=10.1, last=20)) < 0.05


@pytest.mark.parametrize("share", [1 - CREEP, 1 - CREEP / 2, 1, 1 + CREEP])
def test_a_clock_that_runs_a_little_wrong_is_no_delay_even_after_a_day(share: float) -> None:
    meter = DelayMeter()
    assert max(meter.add(now * share, float(now)) or 0.0 for now in range(86_400)) < 0.01


@pytest.mark.parametrize("jump", [-1750.0, 1750.0, 30.0, -30.0])
def test_stamps_that_jump_are_a_new_clock_and_no_delay(jump: float) -> None:
    meter = DelayMeter()
    arrived(meter, first=0, last=10)
    assert arrived(meter, first=10, last=20, offset=1000 + jump)[0] == 0
    assert meter.p95_seconds == pytest.approx(0, abs=0.001)


def test_a_first_stamp_that_says_nothing_makes_not_all_others_late() -> None:
    meter = DelayMeter()
    meter.add(0.0, 1750.0)
    assert max(arrived(meter, first=1750, last=1760, offset=0)) < 0.001


def test_what_was_is_forgotten_after_some_seconds() -> None:
    meter = DelayMeter()
    arrived(meter, first=0, last=10)
    arrived(meter, first=10, last=12, late=4)
    assert (meter.p95_seconds or 0) > 3
    arrived(meter, first=12, last=12 + WINDOW_SECONDS + 1)
    assert (meter.p95_seconds or 0) < 0.1


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(0.001, 5)), min_size=1, max_size=50))
def test_no_stamps_make_a_delay_that_is_negative_or_longer_than_a_new_clock(pairs: list[tuple[float, float]]) -> None:
    meter, now = DelayMeter(), 0.0
    for stamp, passed in pairs:
        now += passed
        delay = meter.add(stamp, now)
        assert delay is not None
        assert 0 <= delay <= 10.5

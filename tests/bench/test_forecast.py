"""What is still to come is told as planned, then as measured, and never beyond what a load may take."""

from __future__ import annotations

from typing import Any

import pytest

from humandetect.bench.forecast import Forecast
from humandetect.bench.loads import LOAD_SECONDS, loads
from humandetect.config import BenchConfig


def forecast(*, targets: int = 3, seconds_per_image: float = 0.001, **options: Any) -> Forecast:
    config = BenchConfig(**options)
    made = Forecast(config, loads(config), targets=targets, seconds_per_image=seconds_per_image)
    made.begin()
    return made


def test_at_first_windows_take_what_was_asked_for() -> None:
    made = forecast()
    assert made.windows == 2 * 3 * 3
    assert made.seconds_left == 18 * 5.0


def test_a_window_of_slow_answers_takes_longer_and_a_load_has_an_end() -> None:
    made = forecast(seconds_per_image=0.01)
    assert made.seconds_left == pytest.approx(9 * 20 * 16 * 3 * 0.01 + 9 * 5)
    assert forecast(seconds_per_image=1.0).seconds_left == 2 * LOAD_SECONDS


def test_what_was_measured_is_believed() -> None:
    made = forecast()
    for _ in range(2):
        made.add(10.0, images=1000)
    assert made.seconds_left == 7 * 10.0 + 9 * 5.0
    assert made.done == 2


def test_windows_that_do_not_agree_are_followed_by_others() -> None:
    made = forecast(targets=2, batch=1)
    for _ in range(6):
        made.add(5.0, images=100)
    assert (made.windows, made.seconds_left) == (8, 10.0)
    made.add(5.0, images=100)
    assert (made.windows, made.seconds_left) == (8, 5.0)


@pytest.mark.parametrize(
    ("options", "seconds"),
    [
        ({"requests": 100, "batch": 1}, 3 * 100 * 0.1),
        ({"requests": 100, "batch": 1, "rate": 5.0}, 3 * 20.0),
        ({"rate": 5.0, "batch": 1}, 3 * 5.0),
        ({"windows": 1, "batch": 1, "concurrency": 1}, 5.0),
    ],
)
def test_requests_and_rates_have_their_own_time(options: dict[str, Any], seconds: float) -> None:
    assert forecast(targets=1, seconds_per_image=0.1, **options).seconds_left == pytest.approx(seconds)

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from humandetect.watch.states import (
    BACK_OFF_SECONDS,
    LATE_AFTER_SECONDS,
    MANY_REFUSALS,
    PUNCTUAL_AFTER_SECONDS,
    REFUSED_OFTEN_SECONDS,
    REFUSED_SECONDS,
    SOLID_SECONDS,
    CameraStates,
    jitter,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from humandetect.watch.base import State
    from humandetect.watch.states import Change


def camera(*, max_delay_seconds: float = 1.0) -> CameraStates:
    return CameraStates(max_delay_seconds, jitter=lambda: 1.0)


def names(changes: Sequence[Change]) -> list[State]:
    return [change.state for change in changes]


def waits(states: CameraStates, *, times: int, live_seconds: float = 0.0) -> list[float]:
    """Lose a camera again and again, each time after it was live; return how long each wait is."""
    now, found = 0.0, []
    for _ in range(times):
        states.connect()
        states.picture(now, None)
        now += live_seconds
        states.lose("away", now)
        found.append(states.retry_at - now)
        now = states.retry_at
    return found


def judged(states: CameraStates, delays: dict[float, float | None]) -> list[tuple[float, State]]:
    """Give a live camera pictures of these delays at these times; return when it changed, and to what."""
    return [(at, change.state) for at, delay in delays.items() for change in states.picture(at, delay)]


def live() -> CameraStates:
    states = camera()
    states.picture(0, None)
    return states


def seconds(first: int, last: int, delay: float | None) -> dict[float, float | None]:
    return {float(at): delay for at in range(first, last + 1)}


def test_a_camera_is_live_from_its_first_picture_and_says_so_once() -> None:
    states = camera()
    assert states.state == "connecting"
    assert names(states.connect()) == []
    assert states.picture(1, None) == [("live", None)]
    assert states.picture(2, None) == []


def test_a_lost_camera_waits_with_its_reason_and_connects_again() -> None:
    states = live()
    assert states.lose("no picture for 20 s", 30) == [
        ("lost", "no picture for 20 s"),
        ("waiting", "no picture for 20 s"),
    ]
    assert states.retry_at == 31
    assert states.connect() == [("connecting", None)]


def test_each_wait_is_longer_up_to_half_a_minute() -> None:
    assert waits(camera(), times=8) == [*BACK_OFF_SECONDS, 30, 30]


def test_a_camera_that_flaps_is_not_forgiven_and_one_that_was_solid_is() -> None:
    assert waits(camera(), times=4, live_seconds=SOLID_SECONDS - 0.1) == [1, 2, 4, 8]
    assert waits(camera(), times=4, live_seconds=SOLID_SECONDS) == [1, 1, 1, 1]


def test_a_solid_time_counts_also_where_its_pictures_say_so_before_the_loss() -> None:
    states = camera()
    waits(states, times=3)
    judged(states, seconds(100, 111, None))
    states.lose("away", 111)
    assert states.retry_at == 112


@given(st.lists(st.floats(0, SOLID_SECONDS - 0.001), min_size=2, max_size=12))
def test_no_short_life_shortens_the_next_wait(lives: list[float]) -> None:
    states, now, before = camera(), 0.0, 0.0
    for life in lives:
        states.picture(now, None)
        now += life
        states.lose("away", now)
        assert states.retry_at - now >= before - 1e-6
        before, now = states.retry_at - now, states.retry_at


def test_cameras_behind_one_switch_do_not_come_back_at_once() -> None:
    random.seed(1)
    factors = [jitter() for _ in range(100)]
    assert min(factors) < 0.6
    assert max(factors) > 1.4
    assert all(0.5 <= factor <= 1.5 for factor in factors)


def test_the_wait_is_spread_by_the_jitter() -> None:
    states = CameraStates(1.0, jitter=lambda: 1.5)
    states.lose("away", 10)
    assert states.retry_at == 11.5


def test_a_refusal_waits_half_a_minute_and_after_five_five_minutes() -> None:
    states, now = camera(), 0.0
    for number in range(1, MANY_REFUSALS + 3):
        assert states.refuse("401 Unauthorized", now) == [("refused", "401 Unauthorized")]
        assert states.retry_at - now == (REFUSED_OFTEN_SECONDS if number > MANY_REFUSALS else REFUSED_SECONDS)
        now = states.retry_at
        assert names(states.connect()) == ["connecting"]


def test_a_camera_that_let_us_in_for_a_solid_time_is_asked_often_again() -> None:
    states = camera()
    for _ in range(MANY_REFUSALS + 1):
        states.refuse("401", 0)
    states.picture(0, None)
    states.lose("closed", SOLID_SECONDS)
    states.refuse("401", 20)
    assert states.retry_at == 20 + REFUSED_SECONDS


def test_it_is_late_only_after_three_seconds_over_the_longest_delay() -> None:
    assert judged(live(), seconds(1, 5, 1.5)) == [(1 + LATE_AFTER_SECONDS, "late")]
    assert judged(live(), {**seconds(1, 3, 1.5), 3.5: 0.9, **seconds(4, 6, 1.5)}) == []


def test_late_says_by_how_much() -> None:
    states = live()
    judged(states, seconds(1, 3, 4.25))
    assert states.picture(4, 4.25) == [("late", "4.2 s behind")]


def test_it_is_back_only_after_ten_seconds_below_half() -> None:
    states = live()
    judged(states, seconds(1, 4, 2))
    assert judged(states, seconds(5, 30, 0.6)) == []
    assert judged(states, {**seconds(31, 39, 0.4), 40: 0.6}) == []
    assert judged(states, seconds(41, 60, 0.4)) == [(41 + PUNCTUAL_AFTER_SECONDS, "live")]


def test_a_camera_without_stamps_is_never_late() -> None:
    assert judged(live(), seconds(1, 100, None)) == []


def test_a_new_connection_is_judged_anew() -> None:
    states = live()
    judged(states, seconds(1, 3, 2))
    states.lose("away", 3)
    states.connect()
    assert judged(states, seconds(4, 6, 2)) == [(4, "live")]
    assert judged(states, {7: 2.0}) == [(7, "late")]


@pytest.mark.parametrize("before", ["connecting", "live", "late", "lost", "refused"])
def test_it_can_be_stopped_from_every_state_once(before: str) -> None:
    states = camera()
    if before in ("live", "late"):
        states.picture(0, None)
    if before == "late":
        judged(states, seconds(1, 4, 2))
    if before == "lost":
        states.lose("away", 0)
    if before == "refused":
        states.refuse("401", 0)
    assert states.stop() == [("stopped", None)]
    assert states.stop() == []


ALLOWED = {
    "connecting": {"live", "lost", "refused", "stopped"},
    "live": {"late", "lost", "refused", "stopped"},
    "late": {"live", "lost", "refused", "stopped"},
    "lost": {"waiting"},
    "waiting": {"connecting", "stopped"},
    "refused": {"connecting", "stopped"},
}


@settings(max_examples=50)
@given(st.lists(st.tuples(st.sampled_from(["picture", "lose", "refuse"]), st.floats(0, 20), st.floats(0, 3))))
def test_whatever_happens_only_the_ways_of_the_contract_are_gone(happens: list[tuple[str, float, float]]) -> None:
    states, now, way = camera(), 0.0, ["connecting"]
    for what, passed, delay in happens:
        now += passed
        if states.state in ("waiting", "refused"):
            assert states.retry_at > 0
            now = max(now, states.retry_at)
            way += names(states.connect())
        match what:
            case "picture":
                way += names(states.picture(now, delay))
            case "lose":
                way += names(states.lose("away", now))
            case _:
                way += names(states.refuse("401", now))
    way += names(states.stop())
    assert all(after in ALLOWED[before] for before, after in itertools.pairwise(way))

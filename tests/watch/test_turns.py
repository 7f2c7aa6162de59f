from __future__ import annotations

import threading
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from humandetect.watch import turns
from humandetect.watch.turns import Turns
from tests.fakes import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(turns, "time", clock)
    return clock


def looked(taking: Turns, name: str) -> None:
    """Take a turn that must be this camera's, and end it."""
    assert taking.next() == name
    taking.ended(name)


def test_who_is_due_first_goes_first(clock: Clock) -> None:
    taking = Turns()
    for name in ("door", "yard", "gate"):
        taking.add(name, rate=2)
        clock.now += 0.01
    for name in ("gate", "door", "yard"):
        taking.arrived(name, clock.now)
    for name in ("door", "yard", "gate"):
        looked(taking, name)


def sent(taking: Turns, clock: Clock, name: str, *, pictures: int = 40) -> None:
    """Let a camera send 10 pictures a second, and be looked at when it should."""
    for _ in range(pictures):
        clock.now += 0.1
        taking.arrived(name, clock.now)
        if taking._slots[name].fresh_since:
            looked(taking, name)


def test_the_newest_picture_goes_first(clock: Clock) -> None:
    taking = Turns()
    for name in ("door", "yard", "gate"):
        taking.add(name, rate=2)
    for name in ("yard", "door", "gate"):
        taking.arrived(name, clock.now)
        clock.now += 0.01
    for name in ("gate", "door", "yard"):
        looked(taking, name)


def test_who_waited_too_long_goes_before_newer_pictures(clock: Clock) -> None:
    taking = Turns()
    taking.add("door", rate=2)
    taking.arrived("door", clock.now)
    clock.now += 0.3
    taking.add("yard", rate=2)
    taking.arrived("yard", clock.now)
    looked(taking, "door")
    looked(taking, "yard")


def test_a_picture_that_had_to_wait_is_left_for_the_next_of_its_camera(clock: Clock) -> None:
    taking, taken = Turns(), list[str | None]()
    taking.add("door", rate=2)
    sent(taking, clock, "door")
    taking.at_once = 0
    while not taking._slots["door"].fresh_since:
        clock.now += 0.1
        taking.arrived("door", clock.now)
    clock.now += 0.05
    taking.at_once = 1
    thread = threading.Thread(target=lambda: taken.append(taking.next()), daemon=True)
    thread.start()
    thread.join(0.03)
    assert thread.is_alive()
    clock.now += 0.05
    taking.arrived("door", clock.now)
    thread.join(60)
    assert taken == ["door"]


def test_a_picture_whose_next_one_does_not_come_is_taken(clock: Clock) -> None:
    taking = Turns()
    taking.add("door", rate=2)
    sent(taking, clock, "door")
    while not taking._slots["door"].fresh_since:
        clock.now += 0.1
        taking.arrived("door", clock.now)
    clock.now += 0.21
    looked(taking, "door")


def test_no_more_are_taken_than_may_be_under_way_and_who_waits_keeps_its_place(clock: Clock) -> None:
    taking = Turns()
    taking.at_once = 2
    for name in ("door", "yard", "gate"):
        taking.add(name, rate=2)
        clock.now += 0.01
    for name in ("door", "yard", "gate"):
        taking.arrived(name, clock.now)
    assert [taking.next(), taking.next()] == ["door", "yard"]
    waiting = threading.Thread(target=lambda: looked(taking, "gate"))
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive()
    taking.ended("yard")
    waiting.join(60)
    assert not waiting.is_alive()


def test_one_that_is_under_way_is_not_taken_again_before_it_ended(clock: Clock) -> None:
    taking = Turns()
    taking.add("door", rate=2)
    clock.now += 0.1
    taking.add("yard", rate=2)
    taking.arrived("door", clock.now)
    assert taking.next() == "door"
    clock.now += 5
    taking.arrived("door", clock.now)
    taking.arrived("yard", clock.now)
    assert taking.next() == "yard"
    taking.ended("door")
    assert taking.next() == "door"


def test_a_picture_long_before_its_camera_is_due_is_left_out(clock: Clock) -> None:
    taking = Turns()
    taking.add("often", rate=2)
    taking.arrived("often", clock.now)
    looked(taking, "often")
    taking.add("seldom", rate=1)
    clock.now += 0.1
    taking.arrived("often", clock.now)
    taking.arrived("seldom", clock.now)
    looked(taking, "seldom")
    clock.now += 0.2
    taking.arrived("often", clock.now)
    looked(taking, "often")


@pytest.mark.parametrize("pictures", [2, 3, 10, 12.5, 25, 30])
@pytest.mark.parametrize("rate", [1, 2])
def test_a_camera_is_looked_at_as_often_as_it_should_whatever_it_sends(
    clock: Clock, rate: float, pictures: float
) -> None:
    taking, looks, began = Turns(), 0, clock.now
    taking.add("door", rate=rate)
    taking.add("never", rate=1)
    for number in range(int(pictures * 60)):
        clock.now = began + number / pictures
        taking.arrived("door", clock.now)
        taking.arrived("never", clock.now)  # so that there is always somebody to be taken
        for _ in range(2):
            if any(slot.fresh_since and not slot.under_way for slot in taking._slots.values()):
                name = taking.next()
                assert name
                taking.ended(name)
                looks += name == "door"
    assert looks == pytest.approx(60 * rate, abs=2)


@settings(max_examples=30)
@given(
    cameras=st.integers(2, 12),
    seconds_a_look=st.floats(0.01, 0.6),
    rates=st.sampled_from([1.0, 2.0, 5.0]),
)
def test_no_machine_is_too_slow_to_be_fair(cameras: int, seconds_a_look: float, rates: float) -> None:
    clock, looks = Clock(), Counter[str]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(turns, "time", clock)
        taking = Turns()
        for number in range(cameras):
            taking.add(f"camera {number}", rate=rates)
        for _ in range(20 * cameras):
            for number in range(cameras):
                clock.now += 1e-6
                taking.arrived(f"camera {number}", clock.now)
            if not any(slot.fresh_since for slot in taking._slots.values()):
                clock.now += seconds_a_look
                continue
            name = taking.next()
            assert name
            clock.now += seconds_a_look
            taking.ended(name)
            looks[name] += 1
    assert max(looks.values()) - min(looks.values()) <= 1


def test_a_camera_that_had_to_wait_for_others_has_missed_so_many_turns(clock: Clock) -> None:
    taking = Turns()
    taking.add("door", rate=2)
    taking.arrived("door", clock.now)
    clock.now += 1.75
    looked(taking, "door")
    assert taking.missed["door"] == 3


def test_a_camera_without_pictures_misses_nothing_and_gets_no_turns_at_once_later(clock: Clock) -> None:
    taking = Turns()
    taking.add("door", rate=2)
    taking.add("yard", rate=2)
    clock.now += 60
    taking.arrived("door", clock.now)
    looked(taking, "door")
    assert taking.missed["door"] == 0
    taking.arrived("door", clock.now)
    taking.arrived("yard", clock.now)
    looked(taking, "yard")


def test_one_that_is_removed_is_never_taken_and_may_still_report(clock: Clock) -> None:
    taking = Turns()
    for name in ("door", "yard"):
        taking.add(name, rate=2)
        taking.arrived(name, clock.now)
    taking.remove("door")
    taking.remove("door")
    taking.arrived("door", clock.now)
    taking.ended("door")
    assert taking.next() == "yard"


@pytest.mark.parametrize("pictures", [1, 2, 3])
def test_no_picture_waits_for_a_next_one_that_comes_too_late(clock: Clock, pictures: int) -> None:
    taking = Turns()
    taking.add("door", rate=2)
    for _ in range(20):
        clock.now += 1 / pictures
        taking.arrived("door", clock.now)
        if taking._slots["door"].fresh_since:
            looked(taking, "door")
    clock.now += 1 / pictures
    taking.arrived("door", clock.now)
    slot = taking._slots["door"]
    clock.now += 0.45 / pictures
    assert slot.ready_at(clock.now) == clock.now


def test_the_place_of_one_that_is_removed_under_way_is_free() -> None:
    taking, taken = Turns(), list[str | None]()
    taking.at_once = 1
    for name in ("door", "yard"):
        taking.add(name, rate=2)
    taking.arrived("door", time.monotonic())
    assert taking.next() == "door"
    taking.arrived("yard", time.monotonic())
    thread = threading.Thread(target=lambda: taken.append(taking.next()), daemon=True)
    thread.start()
    thread.join(0.05)
    assert thread.is_alive()
    taking.remove("door")
    thread.join(60)
    assert taken == ["yard"]


def test_who_waits_for_a_turn_is_told_of_a_picture_and_of_the_end() -> None:
    taking, taken = Turns(), list[str | None]()
    taking.add("door", rate=1)
    got = threading.Semaphore(0)

    def take() -> None:
        for _ in range(2):
            taken.append(taking.next())
            got.release()

    thread = threading.Thread(target=take)
    thread.start()
    taking.arrived("door", time.monotonic())
    assert got.acquire(timeout=60)
    taking.close()
    thread.join(60)
    assert taken == ["door", None]

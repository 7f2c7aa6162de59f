from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from humandetect.watch.openings import Openings
from tests.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator


class Opener:
    """A camera that holds its turn until it is told to let go."""

    def __init__(self, openings: Openings, *, is_dead: bool = False) -> None:
        self.opens, self.leave, self.stop = threading.Event(), threading.Event(), threading.Event()
        self.ended = threading.Event()
        self._openings, self._is_dead = openings, is_dead
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        with self._openings.turn(is_dead=self._is_dead, is_stopped=self.stop.is_set) as has_turn:
            if has_turn:
                self.opens.set()
                assert self.leave.wait(60)
        self.ended.set()


@contextmanager
def opening(openings: Openings, *are_dead: bool) -> Iterator[list[Opener]]:
    """Let cameras come one after the other."""
    openers = []
    for is_dead in are_dead:
        openers.append(Opener(openings, is_dead=is_dead))
        eventually(lambda: len(openings._open) + len(openings._waiting) == len(openers))
    try:
        yield openers
    finally:
        for one in openers:
            one.leave.set()
        for one in openers:
            assert one.ended.wait(60)


def test_few_open_at_once_and_in_the_order_in_which_they_came() -> None:
    with opening(Openings(2), *5 * [False]) as (first, second, third, fourth, fifth):
        eventually(lambda: first.opens.is_set() and second.opens.is_set())
        assert not third.opens.is_set()
        second.leave.set()
        assert third.opens.wait(60)
        assert not any(one.opens.is_set() for one in (fourth, fifth))


def test_those_that_did_not_answer_leave_a_place_to_those_that_may() -> None:
    with opening(Openings(2), True, True, True, False) as (dead, second, third, well):
        assert dead.opens.wait(60)
        assert well.opens.wait(60)
        well.leave.set()
        assert well.ended.wait(60)
        assert not any(one.opens.is_set() for one in (second, third))
        dead.leave.set()
        assert second.opens.wait(60)


@pytest.mark.parametrize("is_dead", [True, False])
def test_who_is_stopped_waits_no_longer_and_holds_up_nobody(is_dead: bool) -> None:
    openings = Openings(1 + is_dead)
    with opening(openings, is_dead, is_dead, is_dead) as (first, second, third):
        assert first.opens.wait(60)
        second.stop.set()
        assert second.ended.wait(60)
        first.leave.set()
        assert third.opens.wait(60)
    assert not second.opens.is_set()
    assert not openings._waiting

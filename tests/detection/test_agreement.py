"""People agree by their boxes, and only those that are beyond doubt count."""

from __future__ import annotations

from humandetect.detection.agreement import compare
from humandetect.wire import Person


def person(x1: float, score: float) -> Person:
    return Person(box=(x1, 0, x1 + 10, 20), score=score)


def test_people_near_the_threshold_prove_nothing() -> None:
    assert compare([], [person(0, 0.34)], certain=0.35) == (0, 0, 0)
    assert compare([person(0, 0.34)], [], certain=0.35) == (0, 0, 0)
    assert compare([person(0, 0.3)], [person(0, 0.4)], certain=0.35) == (1, 1, 0)
    assert compare([person(0, 0.4)], [person(0, 0.3)], certain=0.35) == (0, 0, 0)


def test_a_person_elsewhere_is_missed_there_and_unexpected_here() -> None:
    assert compare([person(0, 0.9), person(50, 0.9)], [person(1, 0.9), person(80, 0.9)], certain=0.35) == (1, 2, 1)


def test_nobody_is_matched_twice() -> None:
    assert compare([person(0, 0.9)], [person(0, 0.9), person(1, 0.9)], certain=0.35) == (1, 2, 0)
    assert compare([person(0, 0.9), person(1, 0.9)], [person(0, 0.9)], certain=0.35) == (1, 1, 1)

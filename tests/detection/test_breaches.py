"""Answers that mean something else than the contract says are told, with the fix; others are not."""

from __future__ import annotations

import logging
import re
from dataclasses import replace

import numpy as np
import pytest
import supervision as sv

from humandetect.detection.breaches import breach_of, elsewhere_told, nobody_told
from humandetect.detection.detector import Detector
from humandetect.engines.base import RawDetections
from humandetect.models.metadata import ModelMetadata
from tests.fakes import INFO, FakeEngine

WELL = [-0.1, 0.1, 0.5, 1.05]
PIXELS = [10.0, 20.0, 300.0, 576.0]


def answer(box: list[float], *, score: float = 0.9, class_id: int = 1) -> RawDetections:
    return RawDetections(
        np.array([[box, [0, 0, 0, 0]]], np.float32), np.array([[score, 0]], np.float32), np.array([[class_id, 0]])
    )


@pytest.mark.parametrize(
    ("odd", "told"),
    [
        (answer(PIXELS), r"boxes reach 576: not in 0..1; divide"),
        (
            answer([0.6, 0.7, 0.1, 0.2]),
            "boxes end before they begin; write them as two corners, not as centre and size",
        ),
        (answer([0.2, 0.3, 0.2, 0.4]), "boxes have no area; write them as two corners, not as centre and size"),
        (answer(WELL, score=3.5), "scores reach from 0 to 3.5: not in 0..1; export"),
        (answer(WELL, score=90), "scores reach from 0 to 90: not in 0..1; divide them by 100"),
        (answer(WELL, score=230), "scores reach from 0 to 230: not in 0..1; divide them by 255"),
        (answer(WELL, class_id=-1), "detections are of class -1, which is none; export it with classes"),
        (answer(WELL, score=float("nan")), "scores or boxes are no numbers .NaN.,.*; try --precision f32"),
        (answer([*WELL[:3], float("nan")]), "scores or boxes are no numbers"),
        (answer(WELL, class_id=0), "the only detection is of class 0, people are class 1; if .* --person-class 0, or"),
        (answer(WELL, class_id=69), "of class 69, people are class 1"),
    ],
)
def test_what_is_odd_is_told_with_the_fix(odd: RawDetections, told: str) -> None:
    found = breach_of(odd, INFO, 0.5)
    assert found is not None
    assert re.search(told, found), found


@pytest.mark.parametrize(
    "well",
    [
        answer(WELL),
        answer(WELL, score=-1),
        answer(WELL, class_id=18),
        answer(PIXELS, score=0.1),
        answer(WELL, class_id=0, score=0.2),
    ],
    ids=["a person at the edge", "a row that is filled up", "a dog", "a weak box", "a weak other class"],
)
def test_what_keeps_the_contract_is_not_told(well: RawDetections) -> None:
    assert breach_of(well, INFO, 0.5) is None


@pytest.mark.parametrize(
    ("class_ids", "told"),
    [
        ([0, 17], "all 2 detections are of class 0 and 17, people are class 1; .* say --person-class 0"),
        ([0, 1], "detections are of class 0, which there is not, and people are class 1; .* --person-class 0"),
        ([1, 117], None),
    ],
)
def test_a_class_that_there_is_not_is_told_beside_others(class_ids: list[int], told: str | None) -> None:
    odd = RawDetections(np.array([[WELL, WELL]], np.float32), np.array([[0.9, 0.9]], np.float32), np.array([class_ids]))
    assert re.search(told or "^$", breach_of(odd, INFO, 0.5) or "")


def test_other_classes_that_the_model_names_are_no_breach() -> None:
    helmets = replace(INFO, metadata=ModelMetadata(labels={0: "helmet", 1: "person"}))
    assert breach_of(answer(WELL, class_id=0), helmets, 0.5) is None


def test_nobody_where_people_are_is_told_with_what_was_seen() -> None:
    dog = replace(INFO, metadata=ModelMetadata(labels={0: "dog", 1: "person"}))
    assert "of class 0 dog, people are class 1" in nobody_told(dog, [answer(WELL, class_id=0)], 0.5)
    assert "the best score is 0.20, 0.5 is asked for" in nobody_told(INFO, [answer(WELL, score=0.2)], 0.5)
    assert (
        "all scores are 0, or what says how many rows there are is; see that its labels name all classes: now 1; if"
        in nobody_told(INFO, [answer(WELL, score=0)], 0)
    )


@pytest.mark.parametrize(
    ("box", "well"),
    [([12, 10, 30, 62], True), ([15, 10, 25, 20], True), ([10, 12, 60, 30], False), ([0, 0, 100, 200], False)],
    ids=["the person", "the head", "y before x", "centre and size"],
)
def test_boxes_where_no_people_are_known_are_told(box: list[float], well: bool) -> None:
    found, known = (sv.Detections(np.array([one], np.float32)) for one in (box, [10, 10, 30, 60]))
    told = elsewhere_told(INFO, [found, found], [known, known])
    assert told.startswith("" if well else "0 of 2 boxes lie where the sample has people: look")
    assert not (well and told)


def test_a_run_says_it_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR), Detector(FakeEngine()) as detector:
        for _ in range(3):
            detector.people(answer(PIXELS), (480, 640))
    assert [record.message for record in caplog.records] == [detector.breach]

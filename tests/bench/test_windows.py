"""Figures are exact, and only right answers count."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from humandetect.bench.samples import Sample, WindowSamples
from humandetect.bench.windows import Window, agree, judge, spread
from humandetect.bench.workload import ReferencePeople, Workload
from humandetect.wire import Person

SURE = {"box": [10.0, 10.0, 40.0, 90.0], "score": 0.9}
DOUBTFUL = {"box": [60.0, 10.0, 90.0, 90.0], "score": 0.55}


def reference(*people: dict[str, Any]) -> ReferencePeople:
    return ReferencePeople("model", "1", score=0.5, people=[[Person.model_validate(person) for person in people]])


def window(images_per_second: int) -> Window:
    return Window(1.0, 1, images_per_second, (), Counter(), images_per_second)


@pytest.mark.parametrize(
    ("people", "right"),
    [
        ([SURE, DOUBTFUL], True),
        ([SURE], True),
        ([SURE | {"score": 0.8}], True),
        ([SURE, {"box": [60.0, 100.0, 90.0, 190.0], "score": 0.52}], True),
        ([DOUBTFUL], False),
        ([], False),
        ([SURE, {"box": [60.0, 100.0, 90.0, 190.0], "score": 0.8}], False),
        ([SURE | {"box": [50.0, 10.0, 80.0, 90.0]}], False),
        ([{"box": "here"}], False),
        ([17], False),
    ],
)
def test_people_near_the_threshold_prove_nothing_and_all_others_must_be_there(people: list[Any], right: bool) -> None:
    assert reference(SURE, DOUBTFUL).agrees(0, people) is right


def test_wrong_answers_do_not_count() -> None:
    counted = [
        Sample(0.0, 0.5, 2, reported=(0, 1)),
        Sample(0.5, 1.5, 2, reported=(0, 0)),
        Sample(0.0, 2.0, 2, error="status 503"),
    ]
    before = Sample(-1.0, 0.0, 1, reported=(0,))
    samples = WindowSamples([before, *counted], counted, 2.0, reported=[(0, [SURE]), (0, [])], client_cpu_seconds=0.0)
    result = judge(samples, reference(SURE))
    assert result.good_images == 3
    assert result.images_per_second == 1.5
    assert result.errors == {"wrong people": 1, "status 503": 1}
    assert result.latencies == (0.5, 1.0)
    assert result.all_images == 4


@pytest.mark.parametrize(
    ("rates", "apart", "agreed"),
    [
        ([100, 100], None, False),
        ([10, 100, 104, 96], 0.08, True),
        ([100, 100, 89], 0.11, False),
        ([0, 0, 0], float("inf"), False),
    ],
)
def test_the_last_three_windows_must_agree(rates: list[int], apart: float | None, agreed: bool) -> None:
    windows = [window(rate) for rate in rates]
    assert spread(windows) == (None if apart is None else pytest.approx(apart))
    assert agree(windows) is agreed


def test_other_pictures_have_another_digest() -> None:
    digests = {Workload("x", data).digest for data in ((b"a",), (b"b",), (b"a", b"b"), (b"ab",))}
    assert len(digests) == 4
    assert Workload("x", (b"a",)).digest == Workload("y", (b"a",)).digest

"""What two runs say about each other is compared; what says nothing is refused, with both sides' names."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from humandetect.bench.comparison import check_comparable, check_matching, compared_figures, matching_targets
from humandetect.bench.loads import Load
from humandetect.errors import UsageError
from tests.bench.figures import SETTING, figures, report


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"setting": replace(SETTING, pictures="other")}, "images"),
        ({"setting": replace(SETTING, model="other")}, "model"),
        ({"setting": replace(SETTING, model_version="2")}, "model version"),
        ({"setting": replace(SETTING, score=0.3)}, "score"),
        ({"target": "engine"}, "target"),
    ],
)
def test_runs_that_say_nothing_about_each_other_are_not_compared(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=f"differ in {words}:"):
        check_comparable(report(), report(**changes))


@pytest.mark.parametrize(
    ("before", "now", "matching"),
    [
        (["a", "b"], ["b", "c"], {"b": "b"}),
        (["a"], ["b"], {"b": "a"}),
        (["a"], ["a"], {"a": "a"}),
        (["a"], ["a", "b"], {"a": "a"}),
    ],
)
def test_targets_match_by_name_and_a_single_one_a_single_one(
    before: list[str], now: list[str], matching: dict[str, str]
) -> None:
    assert matching_targets(report(*(figures(target=name) for name in before)), now) == matching


@pytest.mark.parametrize(("before", "now"), [(["a"], ["b", "c"]), (["a", "b"], ["c"]), (["a", "b"], ["c", "d"])])
def test_targets_of_which_none_matches_are_refused_by_name(before: list[str], now: list[str]) -> None:
    with pytest.raises(UsageError, match=f"{', '.join(before)} then, {', '.join(now)} now"):
        matching_targets(report(*(figures(target=name) for name in before)), now)


def test_loads_of_which_none_matches_are_refused_by_name() -> None:
    old = report(figures(), figures(rate=5.0))
    check_matching(old, ["openvino"], [Load("batch", 16, 20), Load("stream", 1, 20)])
    with pytest.raises(UsageError, match=r"batch 20 x 16, batch 20 x 16 at 5 requests/s then, batch 20 x 8 now"):
        check_matching(old, ["openvino"], [Load("batch", 8, 20)])


def test_figures_of_one_load_are_compared() -> None:
    old = report(figures(target="a"), figures(target="a", concurrency=5))
    new = report(figures(target="b", images_per_second=1.0), figures(target="b", mode="stream", batch=1))
    assert compared_figures(old, new) == [(old.figures[0], new.figures[0])]

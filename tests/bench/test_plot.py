"""The picture shows every figure whole, whatever was measured."""

from __future__ import annotations

import numpy as np
import pytest

from humandetect.bench.plot import draw_report
from tests.bench.figures import figures, report


@pytest.mark.parametrize("names", [["a"], ["a", "b"], ["a", "b", "c"]])
def test_a_single_concurrency_is_drawn_as_bars_with_room_above(names: list[str]) -> None:
    some = [figures(target=name, mode=mode, p95_ms=500.0) for mode in ("batch", "stream") for name in names]
    for axes, height in zip(draw_report(report(*some)).axes[:2], (60.0, 500.0), strict=True):
        assert [bar.get_height() for bar in axes.patches] == [height] * 2 * len(names)  # type: ignore[attr-defined]
        assert axes.get_ylim()[1] > height * 1.05
        assert not axes.lines


def test_several_concurrencies_are_drawn_as_lines() -> None:
    rate = draw_report(report(figures(), figures(concurrency=40))).axes[0]
    assert [np.asarray(line.get_xdata()).tolist() for line in rate.lines] == [[20, 40]]
    assert not rate.patches


def test_a_load_that_a_target_did_not_get_leaves_its_place_empty() -> None:
    rate = draw_report(report(figures(), figures(target="b"), figures(mode="stream"))).axes[0]
    assert [bar.get_height() for bar in rate.patches] == [60.0, 60.0, 60.0, 0]  # type: ignore[attr-defined]

"""Charts show what was counted, and where nobody watched."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from humandetect.analytics.report import WHOLE_PICTURE, SourceReport
from humandetect.analytics.timeline import MANY_BARS
from humandetect.reporting.charts import crossings_chart, dwell_chart, people_chart
from tests.analytics.test_report import reported, walk
from tests.analytics.walking import walked


def bars(chart: str, kind: str) -> list[tuple[float, ...]]:
    """Left, top, width and height of the bars of a kind, in percent of the chart."""
    found = re.findall(rf'<rect class="{kind}" x="(.*?)" y="(.*?)" width="(.*?)" height="(.*?)">', chart)
    return [tuple(map(float, one)) for one in found]


def test_the_bars_of_a_line_say_its_crossings_and_begin_at_zero() -> None:
    report, _, _ = reported(walk())
    chart = crossings_chart(report, "gate", "gate")
    told = set(re.findall(r"<title>([\d:]+): (\d+) in, (\d+) out</title>", chart))
    total = report.timeline.total("line", "gate")
    assert (sum(int(way) for _, way, _ in told), sum(int(way) for _, _, way in told)) == (total.entered, total.left)
    zero = {round(y + height, 2) for _, y, _, height in bars(chart, "in")}
    assert zero == {round(y, 2) for _, y, _, _ in bars(chart, "out")}
    assert len(zero) == 1


def test_bars_are_as_high_as_there_were_people() -> None:
    report = SourceReport({}, per_seconds=1)
    for step in range(50):
        report.update(walked(step / 10, {who: (100.0 * who, 200.0) for who in range(1, 2 + step // 10)}))
    report.finish()
    chart = people_chart(report, WHOLE_PICTURE, "People")
    heights = [height for _, _, _, height in bars(chart, "mean")]
    assert heights == pytest.approx([people / 5 * 100 for people in (1, 2, 3, 4, 5)], abs=0.01)
    assert bars(chart, "most") == bars(chart, "mean")


def test_a_time_in_which_nobody_watched_is_no_time_without_people() -> None:
    report = SourceReport({}, per_seconds=10)
    for second in (*range(20), *range(60, 80)):
        report.update(walked(float(second), {}))
    report.finish()
    chart = people_chart(report, WHOLE_PICTURE, "People")
    assert [x for x, _, _, _ in bars(chart, "away")] == pytest.approx([25, 37.5, 50, 62.5], abs=1)
    assert "not watched" in chart
    assert "away" not in people_chart(reported(walk(seconds=10))[0], WHOLE_PICTURE, "People")


def test_a_clock_that_was_set_right_by_years_makes_few_bars_of_what_was_watched() -> None:
    report = SourceReport({})
    for second in (0, 1, 2, 1e9, 1e9 + 1):
        report.update(walked(second, {1: (300, 200)}))
    report.finish()
    chart = people_chart(report, WHOLE_PICTURE, "People")
    assert len(bars(chart, "mean")) == 2
    assert 10 < len(bars(chart, "away")) < MANY_BARS
    assert report.timeline.total("zone", WHOLE_PICTURE).person_seconds == 3


def test_every_visit_is_in_a_bar_of_the_dwell_chart_and_the_median_is_marked() -> None:
    stays = [0.5, 0.6, 1.0, 3.0, 9.9, 10.0]
    chart = dwell_chart(stays, "door")
    assert sum(int(count) for count in re.findall(r" s: (\d+)</title>", chart)) == len(stays)
    assert "median 2.0 s" in chart
    assert re.search(r'<line class="median" x1="20.0" x2="20.0"', chart)


@pytest.mark.parametrize(
    ("per_seconds", "said"), [(10, "per 10 s"), (120, "per 2 min"), (5400, "per 90 min"), (3600, "per 1 h")]
)
def test_how_long_a_bar_is_is_said(per_seconds: float, said: str) -> None:
    report = SourceReport({}, per_seconds=per_seconds)
    for step in range(5):
        report.update(walked(step * per_seconds, {}))
    assert report.finish() == ()
    assert said in people_chart(report, WHOLE_PICTURE, "People")


def test_the_times_at_both_ends_of_an_axis_have_room_beside_it() -> None:
    report = SourceReport({}, started=datetime(2026, 11, 26, 9, 30, tzinfo=UTC), per_seconds=5)
    for second in range(20):
        report.update(walked(float(second), {1: (300, 200)}))
    report.finish()
    chart = people_chart(report, WHOLE_PICTURE, "People")
    assert ">09:30:00<" in chart
    assert '<div class="chart" style="padding-right:4ch"><div class="y" style="width:4ch">' in chart

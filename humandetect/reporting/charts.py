"""Charts of SVG shapes with HTML text beside them: one drawing for phone, screen and paper, light and dark.

An SVG with text in it has letters too small for a phone, or too large for paper.
"""

from __future__ import annotations

import statistics
from html import escape
from typing import TYPE_CHECKING

from humandetect.plural import people
from humandetect.reporting.axes import Axis, clock, number_axis, time_axis

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from humandetect.analytics.report import SourceReport
    from humandetect.analytics.timeline import Sums

MOST_BINS = 12
SPACE_BESIDE_BAR = 0.04
"""Of its width, on either side."""
_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"))


class Chart:
    """Bars over a time or another measure; its parts are coloured by the page's style, by their class."""

    def __init__(self, x: Axis, y: Axis) -> None:
        self._x = x
        self._y = y
        self._marks: list[str] = []
        self._has_away = False

    def bar(self, kind: str, x: tuple[float, float], y: tuple[float, float], told: str) -> None:
        """Draw a bar from and to the values of both axes; `told` is read where one points at it."""
        space = (x[1] - x[0]) * SPACE_BESIDE_BAR
        left, right = self._x.percent(x[0] + space), self._x.percent(x[1] - space)
        bottom, top = map(self._y.percent, y)
        self._marks.append(
            f'<rect class="{kind}" x="{left:.3f}" y="{100 - top:.3f}" '
            f'width="{right - left:.3f}" height="{top - bottom:.3f}">'
            f"<title>{escape(told)}</title></rect>"
        )

    def upright(self, kind: str, x: float) -> None:
        """Draw a line over the whole height."""
        at = self._x.percent(x)
        self._marks.append(f'<line class="{kind}" x1="{at}" x2="{at}" y1="0" y2="100"/>')

    def away(self, x: tuple[float, float]) -> None:
        """Mark a time in which nobody watched, which is not the same as nobody there."""
        self._has_away = True
        self.bar("away", x, (self._y.low, self._y.high), "not watched")

    def html(self, title: str, legend: Mapping[str, str]) -> str:
        """Return the chart under a title, with what its kinds of marks mean."""
        legend = {**legend, "away": "not watched"} if self._has_away else legend
        keys = "".join(f'<span class="key {kind}">{escape(text)}</span>' for kind, text in legend.items())
        levels = [(self._y.percent(value), text) for value, text in self._y.ticks]
        longest = max(len(text) for _, text in levels)
        places = [(self._x.percent(value), text) for value, text in self._x.ticks]
        half = max((len(text) for _, text in places), default=0) / 2  # what is beyond the axis of a label at its end
        grid = "".join(f'<line class="level" x1="0" x2="100" y1="{100 - at}" y2="{100 - at}"/>' for at, _ in levels)
        return (
            f"<figure><figcaption><b>{escape(title)}</b><span>{keys}</span></figcaption>"
            f'<div class="chart" style="padding-right:{half:g}ch">'
            f'<div class="y" style="width:{max(longest, half):g}ch">{_labels("bottom", levels)}</div>'
            f'<svg viewBox="0 0 100 100" preserveAspectRatio="none" role="img" aria-label="{escape(title)}">'
            f"{grid}{''.join(self._marks)}</svg>"
            f'<div class="x">{_labels("left", places)}</div></div>'
            f'<p class="axes">{escape(self._y.name)}; {escape(self._x.name)}</p></figure>\n'
        )


def people_chart(report: SourceReport, zone: str, title: str) -> str:
    """Draw how many people were in a zone at a time."""
    bars = _Bars(report, "zone", zone)
    most = max(sums.most for sums in bars.sums.values())
    chart = Chart(bars.time, number_axis(0, most, name=f"people at a time, per {bars.width}"))
    for ends, told, sums in bars.watched(chart):
        if sums.most:
            told = f"{told}: at most {people(sums.most)}"
            chart.bar("most", ends, (0, sums.most), told)
            if sums.mean is not None:
                chart.bar("mean", ends, (0, sums.mean), f"{told}, {sums.mean:.1f} on average")
    return chart.html(title, {"mean": "on average", "most": "at most"})


def crossings_chart(report: SourceReport, line: str, title: str) -> str:
    """Draw who crossed a line, upwards those who went in, downwards those who went out."""
    bars = _Bars(report, "line", line)
    most_in, most_out = (max(getattr(sums, way) for sums in bars.sums.values()) for way in ("entered", "left"))
    chart = Chart(bars.time, number_axis(-most_out, most_in, name=f"crossings, per {bars.width}"))
    said = {way: report.said_way(line, way) for way in ("in", "out")}
    for ends, told, sums in bars.watched(chart):
        told = f"{told}: {sums.entered} {said['in']}, {sums.left} {said['out']}"
        if sums.entered:
            chart.bar("in", ends, (0, sums.entered), told)
        if sums.left:
            chart.bar("out", ends, (-sums.left, 0), told)
    return chart.html(title, said)


def dwell_chart(dwell_seconds: Sequence[float], title: str) -> str:
    """Draw how many visits were how long."""
    along = number_axis(0, max(dwell_seconds), name="seconds inside, at least", whole=False, most_ticks=MOST_BINS)
    starts = [value for value, _ in along.ticks[:-1]]
    step = along.high / len(starts)
    counts = [0] * len(starts)
    for seconds in dwell_seconds:
        counts[min(int(seconds / step), len(counts) - 1)] += 1
    chart = Chart(along, number_axis(0, max(counts), name="visits"))
    for start, count in zip(starts, counts, strict=True):
        if count:
            chart.bar("mean", (start, start + step), (0, count), f"{start:g} to {start + step:g} s: {count}")
    median = statistics.median(dwell_seconds)
    chart.upright("median", median)
    return chart.html(title, {"median": f"median {median:.1f} s"})


class _Bars:
    """The intervals of a line or zone, as long as makes a picture."""

    def __init__(self, report: SourceReport, kind: str, name: str) -> None:
        self._report = report
        self._seconds = report.timeline.bar_seconds(report.per_seconds)
        self.sums = report.timeline.intervals(kind, name, self._seconds)
        self.width = _said_width(self._seconds)
        self.time = time_axis(min(self.sums), max(self.sums) + self._seconds, started=report.started)

    def watched(self, chart: Chart) -> Iterator[tuple[tuple[float, float], str, Sums]]:
        """Yield each interval's ends, its time in words and its sums; mark in the chart where nobody watched."""
        say = clock(self._report.started, min(self._seconds, 3600))
        for start, sums in self.sums.items():
            ends = start, start + self._seconds
            if not sums.covered_seconds and ends[1] <= (self._report.end_seconds or 0.0):
                chart.away(ends)
            yield ends, say(start), sums


def _labels(side: str, ticks: Sequence[tuple[float, str]]) -> str:
    return "".join(f'<span style="{side}:{at:g}%">{escape(text)}</span>' for at, text in ticks)


def _said_width(seconds: float) -> str:
    size, unit = next(((size, unit) for size, unit in _UNITS if seconds % size == 0), (1, "s"))
    return f"{seconds / size:g} {unit}"

"""The picture of a run: throughput and p95, as bars or over concurrency, and memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from humandetect.bench.figures import BenchReport

STYLES = {"batch": ("-", "o"), "stream": ("--", "s")}
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Told apart by people who see fewer colours, too."""
MARGIN = 1.3
WIDE = 8
LEGEND_LETTERS = 120
BAR_LETTERS = 36


def plot(report: BenchReport, path: Path, *, format: str) -> None:  # noqa: A002
    """Draw the report as PNG or SVG."""
    draw_report(report).savefig(path, format=format, dpi=150)


def draw_report(report: BenchReport) -> Figure:
    figure = Figure(figsize=(12, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    rate, latency, memory = figure.subplots(1, 3)
    draw = _lines if len({one.concurrency for one in report.figures}) > 1 else _bars
    draw(rate, report, "images_per_second")
    rate.set(title="Throughput", ylabel="images/s", ylim=(0, None))
    draw(latency, report, "p95_ms")
    latency.set(title="Latency, 95th percentile", ylabel="ms")
    if draw is _lines:
        _stretch(latency, [one.p95_ms for one in report.figures if one.p95_ms])
    _memory(memory, report)
    handles, labels = rate.get_legend_handles_labels()
    if handles:
        columns = min(len(report.targets), LEGEND_LETTERS // max(map(len, labels))) or 1  # a column a target
        figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False)
    state = ", INTERRUPTED" if report.interrupted else ""
    figure.suptitle(
        f"{report.machine['cpu']}, {report.machine['cpus']} CPUs, {report.setting.model}{state}", fontsize=10
    )
    return figure


def _bars(axes: Axes, report: BenchReport, measure: str) -> None:
    """Draw a group for each load, with a bar for each target."""
    groups = list(dict.fromkeys(one.load for one in report.figures))
    known = {(one.target, one.load): getattr(one, measure) for one in report.figures}
    width = min(0.4, 0.8 / len(report.targets))
    for index, (colour, target) in enumerate(zip(_colours(report), report.targets, strict=True)):
        heights = [known.get((target.name, load)) for load in groups]
        places = [place + (index - (len(report.targets) - 1) / 2) * width for place in range(len(groups))]
        bars = axes.bar(places, [one or 0 for one in heights], width * 0.9, color=colour, label=_short(target.name))
        axes.bar_label(bars, [_value(one) for one in heights], padding=2, fontsize=8)
    axes.set_xticks(range(len(groups)), [f"{load.mode}, {load.size}" for load in groups])
    axes.set_xlim(-0.6, len(groups) - 0.4)
    axes.set_xlabel("requests at once x images")
    axes.margins(y=0.1)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def _lines(axes: Axes, report: BenchReport, measure: str) -> None:
    for colour, target in zip(_colours(report), report.targets, strict=True):
        for mode in report.modes:
            some = [one for one in report.figures if one.target == target.name and one.mode == mode]
            known = sorted(
                (one.concurrency, getattr(one, measure)) for one in some if getattr(one, measure) is not None
            )
            line, marker = STYLES[mode]
            size = next((f" of {one.batch}" for one in some if one.batch > 1), "")
            axes.plot(
                [at for at, _ in known], [value for _, value in known],
                linestyle=line, marker=marker, color=colour, label=f"{_short(target.name)}, {mode}{size}",
            )  # fmt: skip
    loads = sorted({one.concurrency for one in report.figures})
    axes.set_xscale("log")  # 1, 5, 10, 20, 40, 160: on a plain axis the first ones stand in each other
    axes.minorticks_off()
    axes.set_xticks(loads, labels=list(map(str, loads)))
    axes.set_xlim(loads[0] / MARGIN, loads[-1] * MARGIN)
    axes.set_xlabel("requests at once")
    axes.grid(visible=True, alpha=0.3)


def _stretch(axes: Axes, values: Sequence[float]) -> None:
    """Show values of several magnitudes: on a plain axis the largest would hide all others."""
    if not values or max(values) < WIDE * min(values):
        axes.set_ylim(bottom=0)
        return
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())


def _memory(axes: Axes, report: BenchReport) -> None:
    axes.set(title="Peak memory", ylabel="MB")
    known = [
        (_short(one.name), one.peak_memory_mb, colour)
        for one, colour in zip(report.targets, _colours(report), strict=True)
        if one.peak_memory_mb is not None
    ]
    if not known:
        axes.set(xticks=[], yticks=[])
        axes.text(0.5, 0.5, "not known:\nservers that bench did not start", transform=axes.transAxes, ha="center")
        return
    names, values, colours = zip(*known, strict=True)
    bars = axes.bar(names, values, color=colours, width=0.6)
    axes.bar_label(bars, [f"{value:,.0f}" for value in values], padding=2)
    middle, room = (len(known) - 1) / 2, max(2, len(known)) / 2 + 0.2
    axes.set_xlim(middle - room, middle + room)
    axes.margins(y=0.1)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    if sum(map(len, names)) > BAR_LETTERS:
        axes.tick_params(axis="x", rotation=20)


def _value(number: float | None) -> str:
    return "-" if number is None else f"{number:,.0f}" if number >= 100 else f"{number:.1f}"


def _short(name: str) -> str:
    return name.partition("://")[2] or name


def _colours(report: BenchReport) -> list[str]:
    return [COLOURS[index % len(COLOURS)] for index in range(len(report.targets))]

"""The picture of a run: throughput and p95 over concurrency, memory as bars."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from humandetect.bench.report import BenchReport

STYLES = {"batch": ("-", "o"), "stream": ("--", "s")}
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Told apart by people who see fewer colours, too."""


def plot(report: BenchReport, path: Path, *, format: str) -> None:  # noqa: A002
    """Draw the report as PNG or SVG."""
    figure = Figure(figsize=(12, 4), layout="constrained")
    FigureCanvasAgg(figure)
    rate, latency, memory = figure.subplots(1, 3)
    _lines(rate, report, "images_per_second")
    rate.set(title="Throughput", xlabel="requests at once", ylabel="images/s")
    _lines(latency, report, "p95_ms")
    latency.set(title="Latency", xlabel="requests at once", ylabel="p95, ms")
    _bars(memory, report)
    handles, labels = rate.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=len(handles), frameon=False)
    state = ", INTERRUPTED" if report.interrupted else ""
    figure.suptitle(
        f"{report.machine['cpu']}, {report.machine['cpus']} CPUs, {report.setting.model}{state}", fontsize=10
    )
    figure.savefig(path, format=format, dpi=150)


def _lines(axes: Axes, report: BenchReport, measure: str) -> None:
    for colour, target in zip(_colours(report), report.targets, strict=True):
        for mode in report.modes:
            some = [one for one in report.figures if one.target == target.name and one.mode == mode]
            known = sorted(
                (one.concurrency, getattr(one, measure)) for one in some if getattr(one, measure) is not None
            )
            line, marker = STYLES[mode]
            axes.plot(
                [at for at, _ in known], [value for _, value in known],
                linestyle=line, marker=marker, color=colour, label=f"{target.name}, {mode}",
            )  # fmt: skip
    axes.set_xticks(sorted({one.concurrency for one in report.figures}))
    axes.set_ylim(bottom=0)
    axes.grid(visible=True, alpha=0.3)


def _bars(axes: Axes, report: BenchReport) -> None:
    names = [target.name for target in report.targets]
    axes.bar(names, [target.peak_memory_mb or 0.0 for target in report.targets], color=_colours(report))
    axes.set(title="Peak memory", ylabel="MB")


def _colours(report: BenchReport) -> list[str]:
    return [COLOURS[index % len(COLOURS)] for index in range(len(report.targets))]

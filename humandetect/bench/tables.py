"""The classic two tables, batch and stream, with targets side by side: for a terminal and as Markdown."""

from __future__ import annotations

from dataclasses import dataclass, replace
from io import StringIO
from typing import TYPE_CHECKING

from rich.box import MARKDOWN
from rich.console import Console
from rich.table import Table
from rich.text import Text

from humandetect.bench.comparison import check_comparable, compared_figures
from humandetect.bench.machine import described

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from rich.box import Box

    from humandetect.bench.figures import BenchReport, Figures, TargetFigures

OVERVIEW = "Overview: images/s and p95"
TITLES = {"batch": "Batch: {batch} images a request", "stream": "Stream: 1 image a request"}


def _number(value: float | None, unit: str = "") -> str:
    if value is None:
        return "-"
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f}{unit}"


def _spread(one: Figures) -> str:
    if one.spread is None:
        count = len(one.windows_images_per_second)
        return f"only {count} window{'s' * (count != 1)}"
    return f"{one.spread:.0%}" if one.stable else f"UNSTABLE, {one.spread:.0%}"


def _stage(name: str) -> Callable[[Figures], str]:
    return lambda one: _number(one.stages_ms_per_image.get(name), " ms")


MEASURES: dict[str, Callable[[Figures], str]] = {
    "images/s": lambda one: _number(one.images_per_second),
    "requests/s": lambda one: _number(one.requests_per_second),
    "p50": lambda one: _number(one.p50_ms, " ms"),
    "p90": lambda one: _number(one.p90_ms, " ms"),
    "p95": lambda one: _number(one.p95_ms, " ms"),
    "p99": lambda one: _number(one.p99_ms, " ms"),
    "  decode": _stage("decode"),
    "  queue": _stage("queue"),
    "  infer": _stage("infer"),
    "  encode": _stage("encode"),
    "CPU an image": lambda one: _number(one.cpu_ms_per_image, " ms"),
    "peak memory": lambda one: _number(one.peak_memory_mb, " MB"),
    "errors": lambda one: one.kinds_of_errors or "none",
    "spread of windows": _spread,
}
TARGET_MEASURES: dict[str, Callable[[TargetFigures], str]] = {
    "runs": lambda one: one.engine or "-",
    "start": lambda one: _number(one.start_seconds, " s"),
    "first answer": lambda one: _number(one.first_answer_seconds, " s"),
    "peak memory": lambda one: _number(one.peak_memory_mb, " MB"),
    "GPU memory": lambda one: _number(one.gpu_memory_mb, " MB"),
}


@dataclass(frozen=True, slots=True)
class Grid:
    """A table before it is drawn: a title, a head, and rows of as many cells."""

    title: str
    head: list[str]
    rows: list[list[str]]

    def markdown(self) -> str:
        """Return it with its title as Markdown, aligned for those who read that as it is."""
        rows = [[cell.replace("|", "\\|") for cell in row] for row in self.rows]
        with StringIO() as text:
            Console(file=text, width=10_000, color_system=None).print(_drawn(replace(self, rows=rows), box=MARKDOWN))
            return f"## {self.title}\n\n{text.getvalue().strip()}"


def grids(report: BenchReport) -> Iterator[Grid]:
    """Yield the targets as a whole, a table for each mode, and of a sweep an overview."""
    names = [target.name for target in report.targets]
    rows = [[what, *map(cell, report.targets)] for what, cell in TARGET_MEASURES.items()]
    yield Grid("Targets", ["", *names], [row for row in rows if set(row[1:]) != {"-"}])
    for mode in report.modes:
        some = [one for one in report.figures if one.mode == mode]
        title = TITLES[mode].format(batch=some[0].batch)
        yield Grid(title, ["at once", "", *names], list(_mode_rows(some, names)))
    if len({one.concurrency for one in report.figures}) > 1:
        yield Grid(OVERVIEW, ["at once", *names], list(_overview_rows(report.figures, names)))


def _overview_rows(figures: Sequence[Figures], names: Sequence[str]) -> Iterator[list[str]]:
    for mode, load in dict.fromkeys((one.mode, one.load.size) for one in figures):
        by_target = {one.target: one for one in figures if (one.mode, one.load.size) == (mode, load)}
        cells = [_in_short(by_target[name]) if name in by_target else "-" for name in names]
        yield [f"{mode}, {load}", *cells]


def _in_short(one: Figures) -> str:
    unstable = "" if one.spread is None or one.stable else " UNSTABLE"
    return f"{_number(one.images_per_second)}, {_number(one.p95_ms, ' ms')}{unstable}"


def _mode_rows(figures: Sequence[Figures], names: Sequence[str]) -> Iterator[list[str]]:
    for load in dict.fromkeys(one.load.size for one in figures):
        by_target = {one.target: one for one in figures if one.load.size == load}
        label = load
        for what, cell in MEASURES.items():
            cells = [cell(by_target[name]) if name in by_target else "-" for name in names]
            if set(cells) != {"-"}:
                yield [label, what, *cells]
                label = ""


def change_grid(old: BenchReport, new: BenchReport) -> Grid:
    """Compare two runs; a change is noise where it is no larger than the windows' spread. Raises UsageError."""
    check_comparable(old, new)
    rows = [_change_row(then, now) for then, now in compared_figures(old, new)]
    return Grid("Change", ["", "images/s", "", "p95", "", "noise"], rows)


def _change_row(old: Figures, new: Figures) -> list[str]:
    spreads = [one.spread for one in (old, new) if one.spread is not None]
    noise = max(spreads) if len(spreads) == 2 else None
    other = "" if old.target == new.target else f"{old.target} to "
    return [
        f"{other}{new.target}, {new.load.name}",
        f"{_number(old.images_per_second)} to {_number(new.images_per_second)}",
        _change(old.images_per_second, new.images_per_second, noise),
        f"{_number(old.p95_ms)} to {_number(new.p95_ms)} ms",
        _change(old.p95_ms, new.p95_ms, noise),
        "not known" if noise is None else f"{noise:.0%}",
    ]


def _change(old: float | None, new: float | None, noise: float | None) -> str:
    if not old or new is None:
        return "-"
    change = new / old - 1
    return f"{change:+.0%}{' (noise)' if noise is not None and abs(change) <= noise else ''}"


def about(report: BenchReport) -> list[str]:
    """Return what every figure depends on, a line each."""
    setting = report.setting
    lines = [
        *described(report.machine, report.versions),
        f"images: {report.image_count} of {report.images!r}, {report.image_mean_kb:g} kB on average",
        f"model: {setting.model} {setting.model_version}, score {setting.score:g}",
        f"command: {report.command}",
        f"began {report.began}, took {report.seconds:.0f} s",
    ]
    if report.interrupted:
        lines.append("INTERRUPTED: this report is partial")
    return lines


def print_report(report: BenchReport, *, compared_with: BenchReport | None = None) -> None:
    """Print all tables on stdout."""
    console = Console(highlight=False)
    if report.interrupted and not report.figures:
        console.print(Text("interrupted before the first figure", "yellow"))
        return
    shown = [*grids(report), *([change_grid(compared_with, report)] if compared_with else [])]
    for grid in shown:
        console.print(Text(grid.title, "bold"), soft_wrap=True)
        console.print(_drawn(grid), "")
    for line in about(report):
        console.print(Text(line, "bold red" if line.startswith("INTERRUPTED") else "dim"), soft_wrap=True)
    for warning in report.warnings:
        console.print(Text.assemble(("warning ", "yellow"), warning), soft_wrap=True)


def _drawn(grid: Grid, *, box: Box | None = None) -> Table:
    table = Table(pad_edge=box is not None, box=box)
    for index, heading in enumerate(grid.head):
        is_label = index == 0 or not heading
        style = "dim" if is_label else None
        table.add_column(Text(heading), justify="left" if is_label else "right", style=style, no_wrap=box is not None)
    for row in grid.rows:
        is_main = "images/s" in row[:2]
        table.add_row(
            *(Text(cell, "red" if cell.startswith("UNSTABLE") else "") for cell in row),
            style="bold" if is_main else None,
        )
    return table


def markdown(report: BenchReport, *, compared_with: BenchReport | None = None) -> str:
    """Return the report as Markdown."""
    lines = ["# humandetect bench", ""]
    for grid in [*grids(report), *([change_grid(compared_with, report)] if compared_with else [])]:
        lines += [grid.markdown(), ""]
    lines += [f"* {line}" for line in about(report)]
    lines += [f"* warning: {warning}" for warning in report.warnings]
    return "\n".join(lines) + "\n"

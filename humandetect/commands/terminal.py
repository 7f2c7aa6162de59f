"""What a person sees: the progress bar, the summary, checks."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text
from tqdm import tqdm

from humandetect.plural import counted, people

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from humandetect.doctor import Check
    from humandetect.media.frames import DetectedFrame
    from humandetect.pipeline.summary import RunSummary, SourceSummary

SHOWN_DELAY_SECONDS = 1.0
_MOST_SOURCES = 20
"""That a summary tells one by one."""


class ProgressBar:
    """One bar a source, with rate and time left; silent when quiet or when stderr is not a terminal."""

    def __init__(self, *, quiet: bool) -> None:
        # None: tqdm looks for a terminal itself, but not whether stderr is there at all.
        self._disable = True if quiet or sys.stderr is None else None
        self._bar: tqdm[Any] | None = None
        self._queue: int | None = None
        self._behind = 0.0

    def start(self, name: str, total: int | None) -> None:
        self.stop()
        self._behind = 0.0
        label = printable(Path(name).name or name)  # the bar needs the room that a path would take
        self._bar = tqdm(
            desc=label if len(label) <= 24 else f"{label[:23]}…",
            total=total,
            unit=" frames",
            disable=self._disable,
            dynamic_ncols=True,
        )

    def advance(self, result: DetectedFrame) -> None:
        if self._bar is not None:
            found = people(len(result.detections))
            waiting = "" if self._queue is None else f", {self._queue} under way"
            late = f", {self._behind:.0f} s behind" if self._behind >= SHOWN_DELAY_SECONDS else ""
            self._bar.set_postfix_str(f"{found}{waiting}{late}", refresh=False)
            self._bar.update()

    def behind(self, seconds: float) -> None:
        """Show how late the frames of a live source come."""
        self._behind = seconds

    def frames(self, number: int) -> None:
        """Go on by frames of several sources, which are looked at side by side."""
        if self._bar is not None:
            self._bar.update(number)

    def queue(self, frames: int) -> None:
        """Show how many frames a server has yet to answer."""
        self._queue = frames

    def stop(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def print_summary(summary: RunSummary) -> None:
    """Say in a few lines what was done and where the results are."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if summary.frames:
        line = Text()
        line.append(counted(summary.frames, "frame"), "bold")
        if summary.detected_frames < summary.frames - summary.failed_frames:
            line.append(f", {summary.detected_frames:,} of them detected on,")
        line.append(f" in {summary.seconds:.1f} s ({summary.fps:.1f} frames/s)")
        line.append(f" by {summary.engine}" if summary.engine else "")
        console.print(line)
        if summary.people_most:
            line = Text(f"up to {people(summary.people_most)}", "bold")
            tracks = f"; {counted(summary.tracks, 'track')}" if summary.tracks else ""
            line.append(f" in a picture, {summary.people_mean:.1f} on average{tracks}", "")
        else:
            line = Text("no people found", "bold")
        console.print(line)
    _print_sources(console, summary.sources)
    for path in summary.outputs:
        pictures = summary.pictures.get(path, 0)
        what = f" ({counted(pictures, 'picture')})" if pictures > 1 or path.is_dir() else ""
        console.print(Text.assemble(("written ", "green"), printable(path), what))
    for warning in summary.warnings:
        console.print(Text.assemble(("warning ", "yellow"), printable(warning)))
    if summary.interrupted:
        what = (
            f"after {counted(summary.frames, 'frame')}; what was finished is kept"
            if summary.frames
            else "before the first frame"
        )
        console.print(Text(f"interrupted {what}", "yellow"))


def _print_sources(console: Console, sources: Sequence[SourceSummary]) -> None:
    """Say of each of several sources what was found in it, of each line who crossed it."""
    if len(sources) < 2:
        for source in sources:
            _print_lines(console, source)
        return
    for source in sources[:_MOST_SOURCES]:
        found = f"up to {people(source.people_most)}" if source.people_most else "no people"
        console.print(Text(f"  {printable(source.name)}: {counted(source.frames, 'frame')}, {found}"))
        _print_lines(console, source, indent="    ")
    if len(sources) > _MOST_SOURCES:
        console.print(f"  and {counted(len(sources) - _MOST_SOURCES, 'more source')}; --json has all")


def _print_lines(console: Console, source: SourceSummary, *, indent: str = "") -> None:
    """Say how many crossed each line."""
    for name, ways in source.lines.items():
        console.print(Text.assemble(indent, (printable(name), "bold"), f": {ways['in']:,} in, {ways['out']:,} out"))


def print_checks(checks: Iterable[Check]) -> bool:
    """Print each check as it ends; return whether all are well."""
    console = Console(highlight=False, soft_wrap=True)
    everything_well = True
    for check in checks:
        mark = ("ok   ", "green") if check.well else ("FAIL ", "bold red")
        console.print(Text.assemble(mark, (f"{check.name:<21} ", "bold"), printable(check.detail)))
        if check.fix:
            console.print(Text.assemble(" " * 5, ("fix: ", "yellow"), printable(check.fix)))
        everything_well = everything_well and check.well
    return everything_well


def printable(value: object) -> str:
    """Show names with undecodable bytes or control characters without breaking the terminal."""
    text = str(value).encode("utf-8", "backslashreplace").decode()
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)

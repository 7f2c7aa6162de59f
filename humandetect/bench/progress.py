"""What a person sees while a benchmark runs."""

from __future__ import annotations

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from humandetect.bench.benchmark import BenchObserver


class BenchProgress(BenchObserver):
    """What is done now, for how long, and about how long it will take; silent when quiet or without a terminal."""

    def __init__(self, *, quiet: bool) -> None:
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(bar_width=20), TimeElapsedColumn(), _TimeLeft(),
            TextColumn("{task.fields[rate]}"),
            console=console, transient=True, disable=quiet or sys.stderr is None or not console.is_terminal,
        )  # fmt: skip
        self._task = self._bar.add_task("", total=None, ends_at=None, rate="")
        self._bar.start()

    def say(self, what: str) -> None:
        self._bar.update(self._task, description=what)

    def begin_window(self, what: str, *, number: int, windows: int, seconds_left: float) -> None:
        self._bar.update(
            self._task, description=f"{what}, window {number} of {windows}", total=windows, completed=number - 1,
            ends_at=time.monotonic() + seconds_left,
        )  # fmt: skip

    def end_window(self, images_per_second: float) -> None:
        self._bar.update(self._task, advance=1, rate=f"last {images_per_second:.1f} images/s")

    def stop(self) -> None:
        self._bar.stop()


class _TimeLeft(ProgressColumn):
    """Goes on while a window is measured, which may take half a minute."""

    def render(self, task: Task) -> Text:
        if task.fields["ends_at"] is None:
            return Text()
        minutes, seconds = divmod(round(task.fields["ends_at"] - time.monotonic()), 60)
        return Text(f"about {minutes}:{seconds:02} left" if minutes >= 0 else "almost done")

"""How many windows a run still takes, and for how long: as planned at first, later as measured."""

from __future__ import annotations

import math
from statistics import mean
from typing import TYPE_CHECKING

from humandetect.bench.loads import most_seconds
from humandetect.bench.windows import AGREEING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from humandetect.bench.loads import Load
    from humandetect.config import BenchConfig

ANSWERS = 3
"""A steady window asks for so many of each connection at least: to begin, to be counted, and what is under way then."""


class Forecast:
    """Follows a run: `begin` each load, `add` each window."""

    def __init__(self, config: BenchConfig, loads: Sequence[Load], *, targets: int, seconds_per_image: float) -> None:
        self._config = config
        self._ahead = list(loads)
        self._targets = targets
        self._least_windows = targets * min(AGREEING, config.windows)
        self._most_seconds = math.inf if config.requests else most_seconds(config, targets=targets)
        self._seconds_per_image = seconds_per_image
        self._taken: list[float] = []
        self.done = 0
        """Windows."""

    def begin(self) -> None:
        """Go on to the next load."""
        self._load = self._ahead.pop(0)
        self._taken = []

    def add(self, seconds: float, *, images: int) -> None:
        """Take note of a window of this load."""
        self._taken.append(seconds)
        self.done += 1
        if images:
            self._seconds_per_image = seconds / images

    @property
    def windows(self) -> int:
        """Of the whole run, as far as it is known: windows that do not agree are followed by others."""
        return self.done + self._windows_left(self._taken) + self._least_windows * len(self._ahead)

    @property
    def seconds_left(self) -> float:
        return self._seconds(self._load, self._taken) + sum(self._seconds(load, []) for load in self._ahead)

    def _seconds(self, load: Load, taken: Sequence[float]) -> float:
        window = mean(taken) if taken else self._window_seconds(load)
        return max(0.0, min(self._windows_left(taken) * window, self._most_seconds - sum(taken)))

    def _windows_left(self, taken: Sequence[float]) -> int:
        """Return those to be taken before it is looked whether they agree."""
        return max(self._least_windows - len(taken), self._targets - len(taken) % self._targets)

    def _window_seconds(self, load: Load) -> float:
        requests = self._config.requests
        if load.rate is not None:
            return requests / load.rate if requests else self._config.window_seconds
        if requests:
            return requests * load.batch * self._seconds_per_image
        images = ANSWERS * load.concurrency * load.batch
        return max(self._config.window_seconds, images * self._seconds_per_image)

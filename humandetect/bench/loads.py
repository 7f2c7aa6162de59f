"""Which loads a run puts on its targets, in which windows, and for how long at most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from humandetect.bench.schedule import CountedSchedule, SteadySchedule
from humandetect.bench.windows import AGREEING

if TYPE_CHECKING:
    from humandetect.bench.schedule import Schedule
    from humandetect.config import BenchConfig

Mode = Literal["batch", "stream"]

SWEEP: dict[Mode, tuple[int, ...]] = {"batch": (1, 5, 10, 20), "stream": (1, 20, 40, 160)}
LOAD_SECONDS = 125.0
"""A load takes no further window that would not be over by then: a run must end, and says what is unstable.

Two loads and the start of three engines are over within five minutes on two cores, however slow these are.
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What is asked of a target, and how hard."""

    mode: Mode
    batch: int
    """Images a request."""
    concurrency: int
    rate: float | None = None
    """Requests a second in an open loop; None: a closed loop, where each answer lets the next request go."""

    @property
    def size(self) -> str:
        rate = "" if self.rate is None else f" at {self.rate:g} requests/s"
        return f"{self.concurrency} x {self.batch}{rate}"

    @property
    def name(self) -> str:
        return f"{self.mode} {self.size}"


def loads(config: BenchConfig) -> list[Load]:
    """Return the loads of a run: batch mode, unless a batch is one image, then stream mode."""
    sizes: dict[Mode, int] = {"batch": config.batch, "stream": 1} if config.batch > 1 else {"stream": 1}
    return [
        Load(mode, size, concurrency, config.rate)
        for mode, size in sizes.items()
        for concurrency in (SWEEP[mode] if config.sweep else (config.concurrency,))
    ]


@dataclass(frozen=True, slots=True)
class WindowPlan:
    """One window of a load: so many requests, or as many as its time allows."""

    load: Load
    seconds: float
    requests: int | None = None

    def begin(self) -> Schedule:
        """Start the window's clock."""
        if self.load.rate is not None:
            count = self.requests or max(1, round(self.load.rate * self.seconds))
            return CountedSchedule(count, seconds_between=1 / self.load.rate)
        if self.requests is not None:
            return CountedSchedule(self.requests, seconds_between=0.0)
        return SteadySchedule(self.load.concurrency, self.seconds)


def is_late(config: BenchConfig, *, targets: int, rounds: int, spent_seconds: float) -> bool:
    """Tell whether a load that has taken so many windows of each target must do without another."""
    if rounds < (1 if config.requests is None else AGREEING):  # a number of requests is what was asked for
        return False
    return spent_seconds * (rounds + 1) / rounds > most_seconds(config, targets=targets)


def most_seconds(config: BenchConfig, *, targets: int) -> float:
    """Return how long a load may take, if its answers are as slow as that: twice what was asked for is granted."""
    return max(LOAD_SECONDS, 2 * AGREEING * config.window_seconds * targets)

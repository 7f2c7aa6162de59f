"""Which loads a run puts on its targets, and when each request of a load is due."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from humandetect.bench.windows import AGREEING

if TYPE_CHECKING:
    from humandetect.config import BenchConfig

Mode = Literal["batch", "stream"]

SWEEP: dict[Mode, tuple[int, ...]] = {"batch": (1, 5, 10, 20), "stream": (1, 20, 40, 160)}
LONGEST = 4
"""A window of slow answers may last this many times longer than it was meant to."""
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
    def name(self) -> str:
        pace = f", {self.rate:g} requests/s" if self.rate else ""
        return f"{self.mode}, {self.concurrency} at once{pace}"


def loads(config: BenchConfig) -> list[Load]:
    """Return the loads of a run: batch mode, unless a batch is one image, then stream mode."""
    sizes: dict[Mode, int] = {"batch": config.batch, "stream": 1} if config.batch > 1 else {"stream": 1}
    return [
        Load(mode, size, concurrency, config.rate)
        for mode, size in sizes.items()
        for concurrency in (SWEEP[mode] if config.sweep else (config.concurrency,))
    ]


def is_late(config: BenchConfig, *, targets: int, rounds: int, spent_seconds: float) -> bool:
    """Tell whether a load that has taken so many windows of each target must do without another."""
    if rounds < (1 if config.requests is None else AGREEING):  # a number of requests is what was asked for
        return False
    as_asked = 2 * AGREEING * config.window_seconds * targets
    return spent_seconds * (rounds + 1) / rounds > max(LOAD_SECONDS, as_asked)


@dataclass(frozen=True, slots=True)
class Order:
    """One window of a load: so many requests, or as many as its time allows."""

    load: Load
    seconds: float
    requests: int | None = None

    @property
    def pace(self) -> Pace:
        if self.load.rate is not None:
            count = self.requests or max(1, round(self.load.rate * self.seconds))
            return Timetable(count, seconds_between=1 / self.load.rate)
        if self.requests is not None:
            return Timetable(self.requests, seconds_between=0.0)
        return Steady(self.load.concurrency, self.seconds)


class Pace(Protocol):
    """Says when requests are due and which answers count. All times are those of `time.perf_counter`."""

    def due(self) -> float | None:
        """Return when the next request is due, which may be over; None: it was the last."""
        ...

    def answered(self) -> None:
        """Take note of an answer that has just come."""
        ...

    def counts(self, ended: float) -> bool:
        """Tell, after all, whether an answer that ended then counts."""
        ...

    @property
    def began(self) -> float:
        """When the time that counts began."""
        ...


class Timetable:
    """A fixed number of requests, each due at a time of its own; with 0 s between them all are due at once.

    They are due whether or not the earlier ones are answered, and latencies count from then: a server that stalls
    cannot hide it by being asked less (coordinated omission).
    """

    def __init__(self, count: int, *, seconds_between: float) -> None:
        self.began = time.perf_counter()
        self._count = count
        self._between = seconds_between
        self._next = 0

    def due(self) -> float | None:
        if self._next == self._count:
            return None
        self._next += 1
        # A closed loop's request is due when it can be sent.
        return self.began + (self._next - 1) * self._between if self._between else time.perf_counter()

    def answered(self) -> None:
        """All that were due are sent, whenever answers come."""

    def counts(self, ended: float) -> bool:
        return ended >= self.began


class Steady:
    """As many requests as there is time for, once every connection has had an answer.

    At first all requests are sent at once and wait for each other, and in the end fewer and fewer are under way.
    Neither belongs to the window: it begins and ends with an answer, while all connections are busy.
    """

    def __init__(self, concurrency: int, seconds: float) -> None:
        self._concurrency = concurrency
        self._seconds = seconds
        self._first = time.perf_counter()
        self._answers = 0
        self.began = float("inf")
        self._ended: float | None = None

    def due(self) -> float | None:
        return time.perf_counter() if self._ended is None else None

    def answered(self) -> None:
        now = time.perf_counter()
        self._answers += 1
        if self._answers == self._concurrency:
            self.began = now
        if self._ended is None and self._is_over(now):
            self._ended = now

    def counts(self, ended: float) -> bool:
        return self.began < ended <= (self._ended or float("inf"))

    def _is_over(self, now: float) -> bool:
        """A window holds an answer of each connection, unless that takes too long."""
        if self._answers > self._concurrency and now - self.began >= self._seconds * LONGEST:
            return True
        return self._answers >= 2 * self._concurrency and now - self.began >= self._seconds

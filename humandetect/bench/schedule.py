"""When each request of a window is due, and which answers count. All times are those of `time.perf_counter`."""

from __future__ import annotations

import time
from typing import Protocol

LONGEST_TIMES = 4
"""A window of slow answers may last this many times longer than it was meant to."""


class Schedule(Protocol):
    """Says when requests are due and which answers count."""

    def due(self) -> float | None:
        """Return when the next request is due, which may be over; None: it was the last."""
        ...

    def answered(self, ended: float) -> None:
        """Take note of an answer that has just come."""
        ...

    def counts(self, ended: float) -> bool:
        """Tell, after all, whether an answer that ended then counts."""
        ...

    @property
    def began(self) -> float:
        """When the time that counts began."""
        ...


class CountedSchedule:
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

    def answered(self, ended: float) -> None:
        """All that were due are sent, whenever answers come."""

    def counts(self, ended: float) -> bool:
        return ended >= self.began


class SteadySchedule:
    """As many requests as there is time for, once every connection has had an answer.

    At first all requests are sent at once and wait for each other, and in the end fewer and fewer are under way.
    Neither belongs to the window: it begins and ends with an answer, while all connections are busy.
    """

    def __init__(self, concurrency: int, seconds: float) -> None:
        self._concurrency = concurrency
        self._seconds = seconds
        self._answers = 0
        self.began = float("inf")
        self._ended: float | None = None

    def due(self) -> float | None:
        return time.perf_counter() if self._ended is None else None

    def answered(self, ended: float) -> None:
        self._answers += 1
        if self._answers == self._concurrency:
            self.began = ended
        if self._ended is None and self._is_over(ended):
            self._ended = ended

    def counts(self, ended: float) -> bool:
        return self.began < ended <= (self._ended or float("inf"))

    def _is_over(self, ended: float) -> bool:
        """A window holds an answer of each connection, unless that takes too long."""
        spent = ended - self.began
        if self._answers > self._concurrency and spent >= self._seconds * LONGEST_TIMES:
            return True
        return self._answers >= 2 * self._concurrency and spent >= self._seconds

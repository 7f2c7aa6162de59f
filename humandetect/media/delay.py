"""How late pictures arrive, from clocks that do not know each other: the camera's stamps and our arrivals."""

from __future__ import annotations

from collections import deque

WINDOW_SECONDS = 5.0
CREEP = 0.001
"""Seconds a second by which the baseline rises: clocks of cameras run up to so much slower than ours."""
NEW_CLOCK_SECONDS = 10.0
"""Stamps and arrivals that disagree by more were never one clock: a first picture without its time, or one set anew.

Neither are those that go back time after time, for pictures come in the order in which they are shown."""


class DelayMeter:
    """Takes each picture's stamp and arrival; the least difference so far is what no delay looks like.

    A difference counts as the least only once two pictures in a row had it: one stray stamp must not make all that
    follow late.
    """

    def __init__(self) -> None:
        self._baseline: float | None = None
        self._before = float("inf")
        self._stamp = float("-inf")
        self._back = 0
        """Stamps in a row that went back."""
        self._at = 0.0
        self._recent: deque[tuple[float, float]] = deque()

    def add(self, stamp_seconds: float | None, arrived_seconds: float) -> float | None:
        """Return how late a picture is; None where its stamp says nothing."""
        if stamp_seconds is None:
            return None
        difference = arrived_seconds - stamp_seconds
        self._back = self._back + 1 if stamp_seconds < self._stamp else 0
        self._stamp = stamp_seconds
        if self._baseline is None or self._back > 1 or abs(difference - self._baseline) > NEW_CLOCK_SECONDS:
            self._baseline = self._before = difference
            self._recent.clear()
        else:
            crept = self._baseline + (arrived_seconds - self._at) * CREEP
            self._baseline = min(crept, max(difference, self._before))
            self._before = difference
        self._at = arrived_seconds
        delay = max(difference - self._baseline, 0.0)
        self._recent.append((arrived_seconds, delay))
        while arrived_seconds - self._recent[0][0] > WINDOW_SECONDS:
            self._recent.popleft()
        return delay

    @property
    def p95_seconds(self) -> float | None:
        """The 95th percentile of the last seconds; None before the first stamp."""
        delays = sorted(delay for _, delay in tuple(self._recent))
        return delays[min(len(delays) - 1, int(0.95 * len(delays)))] if delays else None

"""The time that all cameras are counted by: seconds from a whole minute of the clock on the wall."""

from __future__ import annotations

import time
from datetime import datetime
from typing import NamedTuple, Self

CLOCK_SET_SECONDS = 2.0
"""By so much more or less than has passed a clock was set, or the machine slept; less can be a thread that waited."""


class Epoch(NamedTuple):
    """From when on seconds count: a whole minute, so that counts are those of whole minutes."""

    run: str
    """Tells it from all others."""
    started: datetime
    """The clock on the wall at 0 s."""
    zero_seconds: float
    """On the monotonic clock."""

    @classmethod
    def now(cls) -> Self:
        now = datetime.now().astimezone()
        started = now.replace(second=0, microsecond=0)
        return cls(now.isoformat(), started, time.monotonic() - (now - started).total_seconds())

    def seconds(self, monotonic_seconds: float) -> float:
        """Return a time of the monotonic clock as one of this epoch."""
        return monotonic_seconds - self.zero_seconds

    def why_over(self) -> str | None:
        """Say why this machine's clock shows another time by now; None: it does not."""
        now = datetime.now().astimezone()
        set_by_seconds = (now - self.started).total_seconds() - self.seconds(time.monotonic())
        if abs(set_by_seconds) >= CLOCK_SET_SECONDS:
            return f"this machine's clock was set by {set_by_seconds:+.0f} s"
        if now.utcoffset() != self.started.utcoffset():  # else hours and days would be those of the other half year
            return f"this machine's clock shows {now:%Z} now, and no more {self.started:%Z}"
        return None

"""What stands at the axes of a chart: round numbers, and times as a clock shows them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

STEPS_SECONDS = (
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400,
)  # fmt: skip
DAY = 86_400


@dataclass(frozen=True, slots=True)
class Axis:
    """A range of values, what is written at some of them, and what they are."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    name: str = ""

    def percent(self, value: float) -> float:
        """Return where a value lies, 0 at the low end."""
        return round((value - self.low) / (self.high - self.low) * 100, 3)


def number_axis(low: float, high: float, *, name: str = "", whole: bool = True, most_ticks: int = 5) -> Axis:
    """Return an axis to round numbers beyond both ends; `low` is at most 0. Signs are not written."""
    rough = max(high - low, 1e-9) / most_ticks
    magnitude = 10 ** math.floor(math.log10(rough))
    step = next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= rough * (1 - 1e-9))
    step = max(1, step) if whole else step
    first, last = math.floor(low / step), max(1, math.ceil(high / step))
    ticks = tuple((round(at * step, 9), f"{abs(round(at * step, 9)):,g}") for at in range(first, last + 1))
    return Axis(ticks[0][0], ticks[-1][0], ticks, name)


def time_axis(begin: float, end: float, *, started: datetime | None = None) -> Axis:
    """Return an axis of seconds from the start of a source, by the clock on the wall where that is known."""
    span, most_ticks = end - begin, 5 if started else 6  # `09:00:15` is longer than `0:15`: phones are narrow
    step = (
        next((one for one in STEPS_SECONDS if span / one <= most_ticks), 0) or math.ceil(span / most_ticks / DAY) * DAY
    )
    offset = 0.0
    if started is not None:  # full minutes of the clock are no full minutes of the source
        offset = (started - started.replace(hour=0, minute=0, second=0, microsecond=0)).total_seconds()
    first, last = math.ceil((begin + offset) / step), math.floor((end + offset) / step)
    say = clock(started, step)
    ticks = tuple((at * step - offset, say(at * step - offset)) for at in range(first, last + 1))
    return Axis(begin, end, ticks, "min:s from the start" if started is None else _dates(started, begin, end))


def clock(started: datetime | None, step: float = 1) -> Callable[[float], str]:
    """Return how to say a time of the source, as exactly as such a step needs."""
    if started is None:
        return said_seconds
    form = "%H:%M:%S" if step < 60 else "%H:%M" if step < DAY else "%d %b"
    return lambda seconds: (started + timedelta(seconds=seconds)).strftime(form)


def said_seconds(seconds: float) -> str:
    """`0:07`, `12:30`, `1:02:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _dates(started: datetime, begin: float, end: float) -> str:
    first, last = (f"{started + timedelta(seconds=at):%d %B %Y}" for at in (begin, end))
    days = first if first == last else f"{first} to {last}"
    return f"{days}, {started:%Z}" if started.tzinfo else days

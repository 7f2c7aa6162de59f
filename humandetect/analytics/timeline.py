"""Counts over any length of time in a bounded number of intervals, which grow with it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from humandetect.analytics.counts import CountRow

MOST_INTERVALS = 360
WIDTHS_SECONDS = (1, 5, 10, 30, 60, 300, 600, 1800, 3600, 10_800, 21_600, 86_400)
"""How long intervals are, each a multiple of the one before, so that sums add up; after a day they double."""
FEWEST_BARS, MANY_BARS, MOST_BARS = 4, 30, 60


@dataclass(slots=True)
class Sums:
    """What a row of counts says of a line or zone, over one interval or many."""

    covered_seconds: float = 0.0
    entered: int = 0
    left: int = 0
    visits: int = 0
    person_seconds: float = 0.0
    most: int = 0

    def add(self, other: Sums) -> None:
        self.covered_seconds += other.covered_seconds
        self.entered += other.entered
        self.left += other.left
        self.visits += other.visits
        self.person_seconds += other.person_seconds
        self.most = max(self.most, other.most)

    @property
    def mean(self) -> float | None:
        """People at a time; None where nobody watched."""
        return self.person_seconds / self.covered_seconds if self.covered_seconds else None


class Timeline:
    """Adds up rows of counts of one length: exact in all, and at most MOST_INTERVALS for a line or zone."""

    def __init__(self, row_seconds: float = WIDTHS_SECONDS[0]) -> None:
        """Take how long a row is, one of WIDTHS_SECONDS."""
        self.row_seconds = self.width_seconds = float(row_seconds)
        self._sums: defaultdict[tuple[str, str], dict[float, Sums]] = defaultdict(dict)
        """By kind and name, then by the interval's start."""

    def add(self, row: CountRow) -> None:
        intervals = self._sums[row["kind"], row["name"]]
        start = row["start_seconds"] // self.width_seconds * self.width_seconds
        intervals.setdefault(start, Sums()).add(
            Sums(
                row["seconds_covered"], row["in"] or 0, row["out"] or 0, row["visits"] or 0,
                row["person_seconds"] or 0.0, row["inside_max"] or 0,
            )
        )  # fmt: skip
        if len(intervals) > MOST_INTERVALS:
            self.width_seconds = _next_width(self.width_seconds)
            for key, narrow in self._sums.items():
                self._sums[key] = _merged(narrow, self.width_seconds)

    def total(self, kind: str, name: str) -> Sums:
        total = Sums()
        for sums in self._sums[kind, name].values():
            total.add(sums)
        return total

    def intervals(self, kind: str, name: str, width_seconds: float) -> Mapping[float, Sums]:
        """Return the sums by the interval's start, in order; a width is `width_seconds` or a multiple of it.

        Widths are at least those of `bar_seconds`, as there are intervals for a time without any rows too.
        """
        known = _merged(self._sums[kind, name], width_seconds)
        first = min(known, default=0.0)
        count = round((max(known, default=0.0) - first) / width_seconds) + 1
        starts = [first + number * width_seconds for number in range(count)]
        return {start: known.get(start, Sums()) for start in starts}

    def bar_seconds(self, per_seconds: float) -> float:
        """Return what to show as a bar: `per_seconds` where that makes a picture, else what makes one."""
        starts = [start for intervals in self._sums.values() for start in intervals] or [0.0]
        span = max(starts) - min(starts) + self.width_seconds
        if per_seconds % self.width_seconds == 0 and FEWEST_BARS <= span / per_seconds <= MOST_BARS:
            return per_seconds
        width = self.width_seconds
        while span / width > MANY_BARS:
            width = _next_width(width)
        return width


def _next_width(seconds: float) -> float:
    return next((float(width) for width in WIDTHS_SECONDS if width > seconds), seconds * 2)


def _merged(intervals: Mapping[float, Sums], width_seconds: float) -> dict[float, Sums]:
    merged: dict[float, Sums] = {}
    for start, sums in intervals.items():
        merged.setdefault(start // width_seconds * width_seconds, Sums()).add(sums)
    return merged

"""How many, per interval: each row a sum of events, and of the occupancy while somebody was watching."""

from __future__ import annotations

import statistics
import threading
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, TypedDict

from humandetect.analytics.base import is_gap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from humandetect.media.frames import DetectedFrame, Event

LATE_SECONDS = 5.0
"""How long an interval waits for events that become certain after it; nearly all do within 2 s."""

MOST_FILLED_SECONDS = 86_400.0
"""Of a longer jump of the clock no empty intervals are written: a clock that was set right is no quiet century."""

CountRow = TypedDict(
    "CountRow",
    {
        "source": str,
        "start_seconds": float,
        "start_wall": str | None,
        "seconds_covered": float,
        "kind": str,
        "name": str,
        "in": int | None,
        "out": int | None,
        "inside_mean": float | None,
        "inside_max": int | None,
        "visits": int | None,
        "person_seconds": float | None,
        "dwell_median_seconds": float | None,
    },
)
"""One line or zone in one interval; what does not fit its kind, or was not seen, is None."""


@dataclass(slots=True)
class _Inside:
    person_seconds: float = 0.0
    most: int | None = None


@dataclass(slots=True)
class _Interval:
    number: int
    covered_seconds: float = 0.0
    inside: dict[str, _Inside] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)


class Counts:
    """Sums up one source; it looks at the events and the occupancy that the stages before it told."""

    def __init__(
        self, write: Callable[[CountRow], object], *, per_seconds: float, lines: Sequence[str] = (),
        zones: Sequence[str] = (), started: datetime | None = None, most_filled_seconds: float = MOST_FILLED_SECONDS,
    ) -> None:  # fmt: skip
        """Take whom to give rows, the length of an interval, and the names of what is counted."""
        self._write = write
        self._per_seconds = float(per_seconds)
        self._names = [*(("line", name) for name in lines), *(("zone", name) for name in zones)]
        self._started = started
        self._most_filled_seconds = most_filled_seconds
        self._source = ""
        self._open: list[_Interval] = []
        """Oldest first."""
        self._seconds: float | None = None
        """Time of the last frame."""
        self._seen: dict[str, int] | None = None
        """People in each zone since the last frame; None while nobody watches."""
        self._closing = threading.Lock()
        """Held while intervals become rows that are written, so that nobody finds them twice, or not at all."""

    def update(self, result: DetectedFrame) -> DetectedFrame:
        seconds, before = result.frame.written_seconds, self._seconds
        self._source = result.frame.source
        if before is not None and (seconds < before or seconds - before > self._most_filled_seconds):
            self.add(result.events)  # what a gap ended happened before it
            self._close(len(self._open))
            self._reach(seconds)
        else:
            self._reach(seconds)
            if before is not None and self._seen is not None and not is_gap(before, seconds):
                self._cover(before, seconds, self._seen)
            self.add(result.events)
            self._close(sum(1 for i in self._open if (i.number + 1) * self._per_seconds + LATE_SECONDS <= seconds))
        self._seconds = seconds
        self._seen = None if result.failure is not None else dict(result.occupancy)
        for name, people in (self._seen or {}).items():
            inside = self._open[-1].inside.setdefault(name, _Inside())
            inside.most = max(people, inside.most or 0)
        return result

    def finish(self, events: Sequence[Event] = ()) -> Sequence[Event]:
        """Write the intervals that are still open."""
        self.add(events)
        self._close(len(self._open))
        return events

    def with_open(self, written: Callable[[], Iterable[CountRow]]) -> list[CountRow]:
        """Return the rows that `written` finds, and those of the intervals that are open still; from any thread."""
        with self._closing:
            return [*written(), *(row for interval in self._open for row in self._rows(interval))]

    def _reach(self, seconds: float) -> None:
        """Open every interval up to the one of this time."""
        now = int(seconds // self._per_seconds)
        first = self._open[-1].number + 1 if self._open else now
        self._open += [_Interval(number) for number in range(first, now + 1)]

    def _cover(self, begin: float, end: float, seen: dict[str, int]) -> None:
        """Add the time between two frames, in which the people of the first were there."""
        for interval in self._open:
            start = interval.number * self._per_seconds
            covered = min(end, start + self._per_seconds) - max(begin, start)
            if covered <= 0:
                continue
            interval.covered_seconds += covered
            for name, people in seen.items():
                inside = interval.inside.setdefault(name, _Inside())
                inside.person_seconds += people * covered
                inside.most = max(people, inside.most or 0)

    def add(self, events: Iterable[Event]) -> None:
        """Give each event to the interval of its time, or to the oldest that is still open: sums stay true."""
        for event in events:
            number = event.time_seconds // self._per_seconds
            home = next((i for i in reversed(self._open) if i.number <= number), self._open[0] if self._open else None)
            if home:
                home.events.append(event)

    def _close(self, count: int) -> None:
        if not count:  # as nearly always
            return
        with self._closing:
            for interval in self._open[:count]:
                for row in self._rows(interval):
                    self._write(row)
            del self._open[:count]

    def _rows(self, interval: _Interval) -> Iterator[CountRow]:
        start = round(interval.number * self._per_seconds, 6)
        wall = self._started and self._started + timedelta(seconds=start)
        covered = round(interval.covered_seconds, 6)
        for kind, name in self._names:
            events = [e for e in interval.events if name == (e.line if kind == "line" else e.zone)]
            inside = interval.inside.get(name, _Inside())
            dwells = [e.dwell_seconds for e in events if e.event == "exit" and e.dwell_seconds is not None]
            zone = kind == "zone"
            yield {
                "source": self._source,
                "start_seconds": start,
                "start_wall": wall.isoformat(timespec="milliseconds") if wall else None,
                "seconds_covered": covered,
                "kind": kind,
                "name": name,
                "in": None if zone else sum(e.direction == "in" for e in events),
                "out": None if zone else sum(e.direction == "out" for e in events),
                "inside_mean": round(inside.person_seconds / covered, 4) if zone and covered else None,
                "inside_max": inside.most if zone else None,
                "visits": sum(e.event == "enter" for e in events) if zone else None,
                "person_seconds": round(inside.person_seconds, 6) if zone else None,
                "dwell_median_seconds": round(statistics.median(dwells), 6) if dwells else None,
            }

"""How far counted events are from what really happened."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from humandetect.analytics.recorded import rows_of, text_of
from humandetect.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """What matching needs of a line of an events file."""

    event: str
    time_seconds: float
    name: str
    """Of the line or zone."""
    direction: str | None = None
    dwell_seconds: float | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class LineScore:
    """Crossings of one line in one direction."""

    name: str
    direction: str
    true: int
    counted: int
    matched: int
    seconds_off: float | None
    """Mean of the matched ones; None without any."""


@dataclass(frozen=True, slots=True)
class ZoneScore:
    """Visits of one zone."""

    name: str
    true: int
    counted: int
    matched: int
    true_person_seconds: float
    person_seconds: float


@dataclass(frozen=True, slots=True)
class EventScore:
    """Crossings of all lines together, and each line and zone."""

    true: int
    counted: int
    count_error: float
    """What each line and direction is off, summed, as a share of the true ones."""
    precision: float
    recall: float
    f1: float
    lines: tuple[LineScore, ...]
    zones: tuple[ZoneScore, ...]


def read_events(path: Path) -> list[RecordedEvent]:
    """Read crossings and visits from JSON lines. Raises SourceError, and UsageError that names the line."""

    def read(line: str) -> RecordedEvent | None:
        event = json.loads(line)
        if event["event"] not in ("crossing", "enter", "exit"):
            return None
        crossing = event["event"] == "crossing"
        time_seconds = float(event["time_seconds"])
        if not math.isfinite(time_seconds):
            raise ValueError(f"time_seconds {time_seconds}")
        return RecordedEvent(
            event["event"],
            time_seconds,
            event["line" if crossing else "zone"],
            event["direction"] if crossing else None,
            event.get("dwell_seconds"),
            event.get("source"),
        )

    rows = rows_of(path, text_of(path), read, kind="event")
    events = [event for _, event in rows if event is not None]
    sources = {event.source for event in events}
    if len(sources) > 1:
        raise UsageError(f"{path} has events of {len(sources)} sources: give those of one at a time")
    return events


def match_events(
    true: Iterable[RecordedEvent], counted: Iterable[RecordedEvent], *, within_seconds: float = 1.0
) -> EventScore:
    """Pair events of the same line and direction, or zone, one to one, that are at most so far apart."""
    true, counted = list(true), list(counted)
    events = [*true, *counted]
    ways = sorted({(one.name, one.direction or "") for one in events if one.event == "crossing"})
    zones = sorted({one.name for one in events if one.event != "crossing"})
    lines = tuple(_line(true, counted, *way, within_seconds) for way in ways)
    there, found, matched = (sum(getattr(line, what) for line in lines) for what in ("true", "counted", "matched"))
    return EventScore(
        true=there,
        counted=found,
        count_error=sum(abs(line.counted - line.true) for line in lines) / max(there, 1),
        precision=matched / max(found, 1),
        recall=matched / max(there, 1),
        f1=2 * matched / max(there + found, 1),
        lines=lines,
        zones=tuple(_zone(true, counted, name, within_seconds) for name in zones),
    )


def _line(
    true: list[RecordedEvent], counted: list[RecordedEvent], name: str, direction: str, within_seconds: float
) -> LineScore:
    there, found = (
        [one.time_seconds for one in events if (one.event, one.name, one.direction) == ("crossing", name, direction)]
        for events in (true, counted)
    )
    off = _pairs(there, found, within_seconds)
    return LineScore(name, direction, len(there), len(found), len(off), float(np.mean(off)) if len(off) else None)


def _zone(true: list[RecordedEvent], counted: list[RecordedEvent], name: str, within_seconds: float) -> ZoneScore:
    there, found = (
        [one.time_seconds for one in events if (one.event, one.name) == ("enter", name)] for events in (true, counted)
    )
    seconds = (
        sum(one.dwell_seconds or 0.0 for one in events if (one.event, one.name) == ("exit", name))
        for events in (true, counted)
    )
    return ZoneScore(name, len(there), len(found), len(_pairs(there, found, within_seconds)), *seconds)


def _pairs(true: Sequence[float], counted: Sequence[float], within_seconds: float) -> np.ndarray:
    """Return how many seconds apart the pairs are: as many pairs as can be, and of those the nearest."""
    from scipy.optimize import linear_sum_assignment

    apart = np.abs(np.subtract.outer(np.asarray(true, float), np.asarray(counted, float)))
    # A pair is worth more than any nearness, so that none is given up for a closer one.
    rows, columns = linear_sum_assignment(np.where(apart <= within_seconds, apart - 1e6, 0))
    chosen = apart[rows, columns]
    return np.asarray(chosen[chosen <= within_seconds])

"""Who stands in a zone: how many, and each track from when to when.

A visit begins once a foot was inside for half a second and ends once it was outside or unseen for a second; it lasts
from the first to the last time inside. How many there are comes from boxes and needs no track.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from humandetect.analytics.base import TIME_TOLERANCE_SECONDS, cells

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from humandetect.analytics.base import Sighting
    from humandetect.analytics.shapes import Zone

ENTER_SECONDS = 0.5
LEAVE_SECONDS = 1.0
CROWD_SECONDS = 2.0


class Crowd(NamedTuple):
    """A zone has held more people than it should for two seconds."""

    zone: Zone
    seconds: float
    """When it began."""
    frame: int


class ZoneChange(NamedTuple):
    """Somebody has entered a zone, stayed too long in it, or left it."""

    kind: Literal["enter", "loiter", "exit"]
    zone: Zone
    sighting: Sighting
    """The one that the change is dated by: `enter` the first inside, `exit` the last."""
    dwell_seconds: float | None


@dataclass(slots=True)
class _Visit:
    first: Sighting
    last: Sighting
    entered: bool = False
    loitered: bool = False


class ZoneCounter:
    """Follows feet through all zones of one picture, at once."""

    def __init__(self, zones: Sequence[Zone]) -> None:
        self._zones = zones
        # All edges of all zones in one row; those of a zone begin at its number in `_begins`.
        corners = [np.array(zone.points, np.float64) for zone in zones]
        self._begins = np.cumsum([0, *map(len, corners)])[:-1]
        self._from = np.concatenate([*corners, np.empty((0, 2))])
        self._to = np.concatenate([*(np.roll(points, -1, 0) for points in corners), np.empty((0, 2))])
        run, rise = (self._to - self._from).T
        self._slope = np.divide(run, rise, out=np.zeros_like(run), where=rise != 0)
        self._visits: dict[tuple[int, int], _Visit] = {}
        self._crowds: dict[int, Crowd] = {}
        self._told: set[int] = set()

    def inside(self, feet: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return (people, zones) for feet (people, 2).

        A foot on a zone's lower or right edge is inside: there are those who are cut off by the picture's edge.
        """
        if not self._zones:
            return np.zeros((len(feet), 0), bool)
        x, y = feet[:, None, 0], feet[:, None, 1]
        spans = (self._from[:, 1] >= y) != (self._to[:, 1] >= y)
        to_the_right = x <= self._from[:, 0] + (y - self._from[:, 1]) * self._slope
        return np.logical_xor.reduceat(spans & to_the_right, self._begins, axis=1)

    def update(self, seen: Sequence[Sighting], inside: NDArray[np.bool_], seconds: float) -> list[ZoneChange]:
        """Return what became certain with one frame, exits first; `inside` has a row for each sighting."""
        changes = list(self._left(seconds))
        for row, number in cells(inside):
            sighting, zone = seen[row], self._zones[number]
            if (visit := self._visits.get((sighting.track_id, number))) is None:
                visit = self._visits[sighting.track_id, number] = _Visit(sighting, sighting)
            visit.last = sighting
            dwell = sighting.seconds - visit.first.seconds + TIME_TOLERANCE_SECONDS
            if not visit.entered and dwell >= ENTER_SECONDS:
                visit.entered = True
                changes.append(ZoneChange("enter", zone, visit.first, None))
            loiters = zone.loiter_seconds is not None and dwell >= zone.loiter_seconds
            if loiters and visit.entered and not visit.loitered:
                visit.loitered = True
                changes.append(ZoneChange("loiter", zone, sighting, _dwell(visit)))
        return changes

    def crowds(self, counts: Sequence[int], *, seconds: float, frame: int) -> list[Crowd]:
        """Return the crowds that became certain with one frame; `counts` has the people in each zone."""
        certain = []
        for number, (zone, people) in enumerate(zip(self._zones, counts, strict=True)):
            if zone.max_people is None:
                continue
            if people <= zone.max_people:
                self._crowds.pop(number, None)
                self._told.discard(number)
                continue
            crowd = self._crowds.setdefault(number, Crowd(zone, seconds, frame))
            if number not in self._told and seconds - crowd.seconds + TIME_TOLERANCE_SECONDS >= CROWD_SECONDS:
                self._told.add(number)
                certain.append(crowd)
        return certain

    def end(self) -> list[ZoneChange]:
        """Return the exits of those who are still inside, and begin anew."""
        exits = list(self._left(math.inf))
        self._crowds.clear()
        self._told.clear()
        return exits

    def _left(self, seconds: float) -> Iterator[ZoneChange]:
        gone = [
            key
            for key, visit in self._visits.items()
            if seconds - visit.last.seconds > LEAVE_SECONDS + TIME_TOLERANCE_SECONDS
        ]
        for key in gone:
            visit = self._visits.pop(key)
            if visit.entered:
                yield ZoneChange("exit", self._zones[key[1]], visit.last, _dwell(visit))


def _dwell(visit: _Visit) -> float:
    return round(visit.last.seconds - visit.first.seconds, 6)

"""Who crosses a line.

A foot's first side is where it is first seen off the line. It is on the other side once it is more than `margin` of
its box's height beyond the line; then it crossed where its path last changed side, if that place is between the line's
ends. So nobody who trembles on the line, turns back on it or walks around its end is counted, at any rate of frames.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from humandetect.analytics.base import Sighting
    from humandetect.analytics.shapes import Line, Point


class Crossing(NamedTuple):
    """Somebody has crossed a line."""

    line: Line
    direction: Literal["in", "out"]
    seconds: float
    """Between two frames."""
    point: Point
    sighting: Sighting
    """The first on the other side."""


class _SideChange(NamedTuple):
    """Where a path last went from one side of a line to the other."""

    seconds: float
    along: float
    """Pixels from the line's first point."""
    sighting: Sighting


@dataclass(slots=True)
class _Side:
    """On which side of one line a track is."""

    beyond: float
    """Pixels to the side that `in` leads to."""
    known: int
    """1 is `in`, -1 `out`, 0 not known yet: it was only seen on the line."""
    change: _SideChange | None = None


@dataclass(slots=True)
class _Path:
    """What is known of one track."""

    last: Sighting
    sides: list[_Side]
    """Of each line."""


class _Ruler:
    """Measures where feet are, seen from one line, in pixels.

    With plain numbers: numpy takes four times as long for six people and one line, and pays from a hundred pairs on.
    """

    def __init__(self, line: Line) -> None:
        self.line = line
        (self._x, self._y), (x, y) = line.points
        self.length = math.hypot(x - self._x, y - self._y)
        self._run, self._rise = (x - self._x) / self.length, (y - self._y) / self.length

    def beyond(self, foot: Point) -> float:
        return (foot[0] - self._x) * self._rise - (foot[1] - self._y) * self._run

    def along(self, foot: Point) -> float:
        return (foot[0] - self._x) * self._run + (foot[1] - self._y) * self._rise

    def point(self, along: float) -> Point:
        return self._x + along * self._run, self._y + along * self._rise

    def change(self, last: Sighting, now: Sighting) -> _SideChange:
        before, along = self.beyond(last.foot), self.along(last.foot)
        share = before / (before - self.beyond(now.foot))
        return _SideChange(
            last.seconds + share * (now.seconds - last.seconds), along + share * (self.along(now.foot) - along), now
        )

    def crossing(self, change: _SideChange, side: int) -> Crossing:
        way: Literal["in", "out"] = "in" if side > 0 else "out"
        return Crossing(self.line, way, change.seconds, self.point(change.along), change.sighting)


class LineCounter:
    """Follows feet over all lines of one picture."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self._rulers = [_Ruler(line) for line in lines]
        self._paths: dict[int, _Path] = {}

    def update(self, seen: Sequence[Sighting]) -> list[Crossing]:
        """Return the crossings that became certain with one frame."""
        return [crossing for sighting in seen for crossing in self._crossed(sighting)]

    def forget(self, track_ids: Iterable[int]) -> None:
        """Drop tracks that will not be seen again."""
        for track_id in track_ids:
            self._paths.pop(track_id, None)

    def _crossed(self, sighting: Sighting) -> Iterator[Crossing]:
        foot, height = sighting.foot, sighting.box[3] - sighting.box[1]
        path = self._paths.get(sighting.track_id)
        if path is None:
            beyond = [ruler.beyond(foot) for ruler in self._rulers]
            self._paths[sighting.track_id] = _Path(sighting, [_Side(pixels, _sign(pixels)) for pixels in beyond])
            return
        for ruler, side in zip(self._rulers, path.sides, strict=True):
            before, side.beyond = side.beyond, ruler.beyond(foot)
            if (side.beyond > 0) != (before > 0):
                side.change = ruler.change(path.last, sighting)
            now = _sign(side.beyond)
            side.known = side.known or now
            if now != side.known and abs(side.beyond) > ruler.line.margin * height:
                side.known = now
                if side.change is not None and 0 <= side.change.along <= ruler.length:
                    yield ruler.crossing(side.change, now)
        path.last = sighting


def _sign(number: float) -> int:
    return (number > 0) - (number < 0)

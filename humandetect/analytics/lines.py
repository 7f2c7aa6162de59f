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


class _Change(NamedTuple):
    """Where a path last went from one side of a line to the other."""

    seconds: float
    along: float
    """Pixels from the line's first point."""
    sighting: Sighting


class _Place(NamedTuple):
    """Where a foot is, as a line sees it, in pixels."""

    beyond: float
    """To the side that `in` leads to."""
    along: float
    """From the line's first point."""

    @property
    def side(self) -> int:
        """1 is `in`, -1 `out`, 0 on the line."""
        return (self.beyond > 0) - (self.beyond < 0)


@dataclass(slots=True)
class _Path:
    """What is known of one track and one line."""

    place: _Place
    seconds: float
    side: int
    """0: not known yet, it was only seen on the line."""
    change: _Change | None = None


class _Ruler:
    """Measures feet along one line and beyond it.

    In plain numbers: numpy takes longer for the usual few people and lines, thrice as long for six and one.
    """

    def __init__(self, line: Line) -> None:
        self.line = line
        (self._x, self._y), (x, y) = line.points
        self.length = math.hypot(x - self._x, y - self._y)
        self._run, self._rise = (x - self._x) / self.length, (y - self._y) / self.length

    def place(self, foot: Point) -> _Place:
        x, y = foot[0] - self._x, foot[1] - self._y
        return _Place(x * self._rise - y * self._run, x * self._run + y * self._rise)

    def point(self, along: float) -> Point:
        return self._x + along * self._run, self._y + along * self._rise


class LineCounter:
    """Follows feet over all lines of one picture."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self._rulers = [_Ruler(line) for line in lines]
        self._paths: dict[int, list[_Path]] = {}
        """Of each track, one for each line."""

    def update(self, seen: Sequence[Sighting]) -> list[Crossing]:
        """Return the crossings that became certain with one frame."""
        return [crossing for sighting in seen for crossing in self._crossed(sighting)]

    def forget(self, track_ids: Iterable[int]) -> None:
        """Drop tracks that will not be seen again."""
        for track_id in track_ids:
            self._paths.pop(track_id, None)

    def _crossed(self, sighting: Sighting) -> Iterator[Crossing]:
        foot, height = sighting.foot, sighting.box[3] - sighting.box[1]
        places = [ruler.place(foot) for ruler in self._rulers]
        paths = self._paths.get(sighting.track_id)
        if paths is None:
            paths = self._paths[sighting.track_id] = [_Path(place, sighting.seconds, place.side) for place in places]
        for ruler, place, path in zip(self._rulers, places, paths, strict=True):
            if (place.beyond > 0) != (path.place.beyond > 0):
                path.change = _change(path, place, sighting)
            path.place, path.seconds = place, sighting.seconds
            path.side = path.side or place.side
            if place.side == path.side or abs(place.beyond) <= ruler.line.margin * height:
                continue
            path.side = place.side
            if path.change is not None and 0 <= path.change.along <= ruler.length:
                yield _crossing(path.change, ruler, path.side)


def _change(path: _Path, place: _Place, sighting: Sighting) -> _Change:
    share = path.place.beyond / (path.place.beyond - place.beyond)
    return _Change(
        path.seconds + share * (sighting.seconds - path.seconds),
        path.place.along + share * (place.along - path.place.along),
        sighting,
    )


def _crossing(change: _Change, ruler: _Ruler, side: int) -> Crossing:
    return Crossing(ruler.line, "in" if side > 0 else "out", change.seconds, ruler.point(change.along), change.sighting)

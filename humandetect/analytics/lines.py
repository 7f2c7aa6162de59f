"""Who crosses a line.

A foot's first side is where it is first seen off the line. It is on the other side once it is more than `margin` of
its box's height beyond the line; then it crossed where its path last changed side, if that place is between the line's
ends. So nobody who trembles on the line, turns back on it or walks around its end is counted, at any rate of frames.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from humandetect.analytics.base import cells

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

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


@dataclass(slots=True)
class _Path:
    """What is known of one track, for each line."""

    seconds: float
    beyond: NDArray[np.float64]
    along: NDArray[np.float64]
    side: NDArray[np.float64]
    """1 is `in`, -1 `out`, 0 not known yet: it was only seen on the line."""
    changes: dict[int, _Change] = field(default_factory=dict)


class LineCounter:
    """Follows feet over all lines of one picture, at once."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self._lines = lines
        ends = np.array([line.points for line in lines], np.float64).reshape(-1, 2, 2)
        self._starts = ends[:, 0]
        self._lengths = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)
        self._directions = (ends[:, 1] - ends[:, 0]) / self._lengths[:, None]
        self._margins = np.array([line.margin for line in lines])
        self._paths: dict[int, _Path] = {}

    def update(self, seen: Sequence[Sighting]) -> list[Crossing]:
        """Return the crossings that became certain with one frame."""
        if not self._lines or not seen:
            return []
        boxes = np.array([sighting.box for sighting in seen])
        (start_x, start_y), (run, rise) = self._starts.T, self._directions.T
        x, y = (boxes[:, :1] + boxes[:, 2:3]) / 2 - start_x, boxes[:, 3:] - start_y
        beyond, along = x * rise - y * run, x * run + y * rise
        raw = np.sign(beyond)
        paths = [
            self._paths.setdefault(sighting.track_id, _Path(sighting.seconds, beyond[row], along[row], raw[row]))
            for row, sighting in enumerate(seen)
        ]
        before = np.array([path.beyond for path in paths])
        for row, line in cells((beyond > 0) != (before > 0)):
            paths[row].changes[line] = self._change(paths[row], line, beyond[row], along[row], seen[row])
        side = np.array([path.side for path in paths])
        side = np.where(side == 0, raw, side)
        certain = np.abs(beyond) > self._margins * (boxes[:, 3] - boxes[:, 1])[:, None]
        crossed = cells(certain & (raw != side))
        side = np.where(certain, raw, side)
        for row, path in enumerate(paths):
            path.seconds, path.beyond, path.along, path.side = seen[row].seconds, beyond[row], along[row], side[row]
        return [
            self._crossing(paths[row].changes[line], line, side[row, line])
            for row, line in crossed
            if 0 <= paths[row].changes[line].along <= self._lengths[line]
        ]

    def forget(self, track_ids: Iterable[int]) -> None:
        """Drop tracks that will not be seen again."""
        for track_id in track_ids:
            self._paths.pop(track_id, None)

    def _change(
        self, path: _Path, line: int, beyond: NDArray[np.float64], along: NDArray[np.float64], sighting: Sighting
    ) -> _Change:
        share = path.beyond[line] / (path.beyond[line] - beyond[line])
        return _Change(
            float(path.seconds + share * (sighting.seconds - path.seconds)),
            float(path.along[line] + share * (along[line] - path.along[line])),
            sighting,
        )

    def _crossing(self, change: _Change, line: int, side: float) -> Crossing:
        x, y = (self._starts[line] + change.along * self._directions[line]).tolist()
        return Crossing(self._lines[line], "in" if side > 0 else "out", change.seconds, (x, y), change.sighting)

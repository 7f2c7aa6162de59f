"""Lines and zones: what they say, and when their points make sense."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

Point = tuple[float, float]
Size = tuple[int, int]
"""Width and height of a picture."""

DEFAULT_MARGIN = 0.05
MOST_POINTS = 500
"""Of a zone; it takes a second to see whether that many cross."""
_LEAST_AREA = 1e-6
"""Of rounding, in square pixels or percent."""


@dataclass(frozen=True, slots=True)
class Line:
    """Counts who crosses it; `in` leads to the left-hand side of a walker from its first point to its second."""

    name: str
    points: tuple[Point, ...]
    in_label: str = "in"
    out_label: str = "out"
    margin: float = DEFAULT_MARGIN
    """How far beyond the line a foot is on the other side, as a share of the box's height."""


@dataclass(frozen=True, slots=True)
class Zone:
    """A polygon that counts who stands in it."""

    name: str
    points: tuple[Point, ...]
    loiter_seconds: float | None = None
    max_people: int | None = None


@dataclass(frozen=True, slots=True)
class PictureScene:
    """Lines and zones in pixels of one source's picture."""

    lines: tuple[Line, ...] = ()
    zones: tuple[Zone, ...] = ()
    warnings: tuple[str, ...] = ()


def kind_of(shape: Line | Zone) -> str:
    return "line" if isinstance(shape, Line) else "zone"


def fault_of(shape: Line | Zone, points: Sequence[Point]) -> str | None:
    """Say what makes these points no line or no simple polygon; None if they are one."""
    if isinstance(shape, Line):
        return "has no length: its two points are the same" if points[0] == points[1] else None
    if len(points) < 3:
        return f"has {len(points)} different points, and needs 3 or more"
    if len(points) > MOST_POINTS:
        return f"has {len(points)} points, and may have {MOST_POINTS}"
    edges = list(zip(points, (*points[1:], points[0]), strict=True))
    for (i, edge), (j, other) in itertools.combinations(enumerate(edges), 2):
        neighbours = j - i in (1, len(edges) - 1)
        if not neighbours and _touch(*edge, *other):
            return f"crosses itself between {edge[0]} and {edge[1]}; give its corners in order"
    if abs(sum(ax * by - bx * ay for (ax, ay), (bx, by) in edges)) < _LEAST_AREA:
        return "has no area: its points lie on one line"
    return None


def is_outside(points: Sequence[Point], picture: Size) -> bool:
    """Whether all points lie beyond one side of the picture."""
    return any(
        all(p[k] <= 0 for p in points) or all(p[k] >= picture[k] for p in points) for k in (0, 1)
    )  # fmt: skip


def _touch(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Whether two pieces of a line have a point in common."""

    def turn(p: Point, q: Point, r: Point) -> int:
        value = (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0])
        return (value > 0) - (value < 0)

    boxes_meet = all(
        max(min(a[k], b[k]), min(c[k], d[k])) <= min(max(a[k], b[k]), max(c[k], d[k])) for k in (0, 1)
    )  # fmt: skip
    return boxes_meet and turn(a, b, c) * turn(a, b, d) <= 0 and turn(c, d, a) * turn(c, d, b) <= 0

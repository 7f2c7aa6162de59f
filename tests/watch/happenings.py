"""Events to keep and to send."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from humandetect.media.frames import Event

if TYPE_CHECKING:
    from humandetect.analytics.counts import CountRow

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


def crossing(number: int, *, camera: str = "door", at: datetime = NOON, **details: Any) -> Event:
    """Somebody goes in at the porch, `number` seconds after noon."""
    values: dict[str, Any] = {"line": "porch", "direction": "in", "box": (1.0, 2.0, 3.0, 4.0), "point": (2.0, 4.0)}
    wall = (at + timedelta(seconds=number)).isoformat(timespec="milliseconds")
    return Event("crossing", f"{camera}-{number}", camera, float(number), wall_time=wall, **(values | details))


def crossings(count: int, **options: Any) -> list[Event]:
    return [crossing(number, **options) for number in range(count)]


def count_row(start: datetime, **values: object) -> CountRow:
    """Two in and one out at the porch in a minute."""
    row = {"source": "door", "start_seconds": 0.0, "start_wall": start.isoformat(timespec="milliseconds")}
    row |= {"seconds_covered": 60.0, "kind": "line", "name": "porch", "in": 2, "out": 1, "inside_mean": None}
    row |= {"inside_max": None, "visits": None, "person_seconds": None, "dwell_median_seconds": None}
    return row | values  # type: ignore[return-value]

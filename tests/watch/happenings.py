"""Events to keep and to send."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from humandetect.media.frames import Event

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


def crossing(number: int, *, camera: str = "door", at: datetime = NOON, **details: Any) -> Event:
    """Somebody goes in at the porch, `number` seconds after noon."""
    values: dict[str, Any] = {"line": "porch", "direction": "in", "box": (1.0, 2.0, 3.0, 4.0), "point": (2.0, 4.0)}
    wall = (at + timedelta(seconds=number)).isoformat(timespec="milliseconds")
    return Event("crossing", f"{camera}-{number}", camera, float(number), wall_time=wall, **(values | details))


def crossings(count: int, **options: Any) -> list[Event]:
    return [crossing(number, **options) for number in range(count)]

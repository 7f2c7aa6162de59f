"""Cameras, events and counts as the API tells them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterable

    from humandetect.analytics.counts import CountRow
    from humandetect.media.frames import Event
    from humandetect.watch.base import CameraStatus

HOURS = 24


def told_status(status: CameraStatus, *, has_scene_file: bool) -> dict[str, Any]:
    """Return a camera as JSON can have it, and whether its lines and zones can be drawn."""
    told = {field.name: getattr(status, field.name) for field in fields(status)}
    for name, value in told.items():
        if isinstance(value, datetime):
            told[name] = value.isoformat(timespec="milliseconds")
        elif isinstance(value, Mapping):
            told[name] = dict(value)
    told["totals"] = {line: {"in": come, "out": gone} for line, (come, gone) in status.totals.items()}
    return told | {"has_scene_file": has_scene_file}


def told_event(event: Event, *, has_picture: bool) -> dict[str, Any]:
    """Return an event as JSON can have it, without what does not fit its kind."""
    told = {name: value for name, value in asdict(event).items() if value is not None}
    if has_picture:
        told["picture"] = f"v1/events/{quote(event.id, safe='')}/picture"
    return told


def told_counts(rows: Iterable[CountRow]) -> list[dict[str, Any]]:
    """Sum rows up to one for each line and zone; `hours` has the crossings or visits of each hour of the day."""
    sums: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        kind, name = row["kind"], row["name"]
        total = sums.setdefault((kind, name), {"kind": kind, "name": name, "hours": [0] * HOURS})
        happened = 0
        for key in ("in", "out") if kind == "line" else ("visits",):
            count = row[key] or 0
            total[key] = total.get(key, 0) + count
            happened += count
        if kind == "zone":
            total["inside_max"] = max(total.get("inside_max", 0), row["inside_max"] or 0)
        if row["start_wall"]:
            total["hours"][datetime.fromisoformat(row["start_wall"]).hour] += happened
    return list(sums.values())

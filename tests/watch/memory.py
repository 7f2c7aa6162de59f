"""A memory in lists: what survives a process that a test only acts."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from humandetect.analytics.counts import CountRow
    from humandetect.media.frames import Event


class ListMemory:
    """Keeps what it is given, in order."""

    def __init__(self) -> None:
        self.kept: list[Event] = []
        self.rows: list[CountRow] = []
        self._ids: dict[str, int] = {}

    def add_events(self, events: Sequence[Event]) -> None:
        known = {event.id for event in self.kept}
        self.kept += [event for event in events if event.id not in known]

    def add_count(self, row: CountRow) -> None:
        self.rows.append(row)

    def totals(self, camera: str) -> Mapping[tuple[str, str], int]:
        return Counter(
            (event.line, event.direction)
            for event in self.kept
            if event.source == camera and event.line and event.direction
        )

    def last_track_id(self, camera: str) -> int:
        return self._ids.get(camera, 0)

    def keep_track_id(self, camera: str, track_id: int) -> None:
        self._ids[camera] = track_id

    def events(self, *, camera: str | None = None, before: str | None = None, limit: int = 100) -> Sequence[Event]:
        return [event for event in reversed(self.kept) if camera in (None, event.source)][:limit]

    def counts(self, *, camera: str | None, since: datetime) -> Sequence[CountRow]:
        return [row for row in self.rows if camera in (None, row["source"])]

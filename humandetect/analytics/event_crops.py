"""Pictures of whom events are about, from when they happened."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from humandetect.analytics.event_pictures import EventPictures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from humandetect.media.frames import DetectedFrame, Event

LONG_SIDE = 256


class EventCrops:
    """Gives each event of a person a picture of that person; a stage that comes after the one that tells events."""

    def __init__(self, save: Callable[[str, NDArray[np.uint8]], str | None]) -> None:
        """`save` takes an event's id and its picture, and returns where it is, None where it is nowhere."""
        self._save = save
        self._pictures = EventPictures(long_side=LONG_SIDE)

    def update(self, result: DetectedFrame) -> DetectedFrame:
        self._pictures.update(result)
        return replace(result, events=self._with_crops(result.events)) if result.events else result

    def finish(self, events: Sequence[Event] = ()) -> Sequence[Event]:
        return self._with_crops(events)

    def _with_crops(self, events: Iterable[Event]) -> tuple[Event, ...]:
        return tuple(self._with_crop(event) for event in events)

    def _with_crop(self, event: Event) -> Event:
        picture = self._pictures.of(event)
        return event if picture is None else replace(event, crop=self._save(event.id, picture))

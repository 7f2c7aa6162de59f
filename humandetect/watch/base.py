"""What the parts of `watch` tell each other: how a camera is, and who takes its packets, its people and its events."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    import av

    from humandetect.analytics.counts import CountRow
    from humandetect.media.frames import DetectedFrame, Event

State = Literal["connecting", "live", "late", "blind", "lost", "waiting", "refused", "stopped"]
SEEN: tuple[State, ...] = ("live", "late")
"""States in which pictures come and are looked at."""


@dataclass(frozen=True, slots=True)
class CameraStatus:
    """How one camera is now."""

    name: str
    address: str
    """Only what may be shown of it."""
    state: State
    reason: str | None
    """Why it is lost, waiting, refused, late or blind: pictures come, and the engine does not answer."""
    since: datetime
    """When it came into this state; with its zone, as all of these."""
    size: tuple[int, int] | None = None
    """Width and height in pixels."""
    people: int | None = None
    """In its newest picture; None while nobody looks."""
    occupancy: Mapping[str, int] = field(default_factory=dict)
    """People inside each zone, by its name."""
    totals: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """How many went `in` and `out` over each line, also before the process began."""
    delay_seconds: float | None = None
    """From the arrival of a picture to its people, and how late it arrived: the 95th percentile of the last seconds."""
    last_picture: datetime | None = None
    frames: int = 0
    """Pictures that arrived."""
    detected: int = 0
    spared: int = 0
    """Looks that were due, and that the motion gate saved."""
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Pictures that should have been looked at and were not, by reason."""
    reconnects: Mapping[str, int] = field(default_factory=dict)
    """By the reason of the loss before."""
    recording: bool = False
    unrecorded: int = 0
    """Packets that should have been recorded, and were not: the disk failed, or was too slow."""


def object_id(name: str) -> str:
    """Return a name as Home Assistant takes it for what it finds by itself; other letters stay as their numbers."""
    return re.sub("[^A-Za-z0-9_-]", lambda found: "_" if found[0].isascii() else f"{ord(found[0]):x}", name)


class Recorded(NamedTuple):
    """Where a moment was recorded."""

    path: str
    """Relative to the folder of recordings."""
    seconds: float
    """From the start of the file."""


class PacketSink(Protocol):
    """Takes the packets of one camera on the thread that reads them: it returns at once, and never raises."""

    def begin(self, streams: Sequence[av.VideoStream | av.AudioStream]) -> None:
        """Take what is sent from now on: a connection, or another size or codec. The picture's stream comes first."""
        ...

    def packet(self, packet: av.Packet[av.VideoStream] | av.Packet[av.AudioStream], arrived: datetime) -> None: ...

    def end(self) -> None:
        """The connection is lost; there may be another one later."""
        ...

    def note(self, event: Event) -> None:
        """Something happened that may be worth keeping."""
        ...

    def where(self, moment: datetime) -> Recorded | None: ...

    def close(self) -> None:
        """Finish the open file; may be called twice."""
        ...


class Audience(Protocol):
    """Is told what cameras show, on the thread that detects: it returns at once, and never raises."""

    def on_result(self, camera: str, result: DetectedFrame) -> None:
        """Take the newest picture with its people, lines and zones; its pixels are shared: only to be read."""
        ...

    def on_event(self, event: Event) -> None:
        """Take what happened; it is stored already, and the picture at which it became certain was told."""
        ...

    def on_status(self, status: CameraStatus) -> None:
        """Take a change of state, of people or of totals."""
        ...

    def on_cameras(self, names: Sequence[str]) -> None:
        """Take which cameras there are from now on, the first time before any status of theirs."""
        ...


class Memory(Protocol):
    """What survives the process. None of it raises: what cannot be kept is logged and counted."""

    def add_events(self, events: Sequence[Event]) -> None:
        """Keep events and queue them for all sinks, in one transaction; one that is there already changes nothing."""
        ...

    def add_count(self, row: CountRow) -> None: ...

    def totals(self, camera: str) -> Mapping[tuple[str, str], int]:
        """Return the crossings so far by line and direction (`in`, `out`)."""
        ...

    def last_track_id(self, camera: str) -> int:
        """Return the highest id that was given; 0 if none was."""
        ...

    def keep_track_id(self, camera: str, track_id: int) -> None: ...

    def events(self, *, camera: str | None = None, before: str | None = None, limit: int = 100) -> Sequence[Event]:
        """Return the newest events first; `before` is the id of one that is known already."""
        ...

    def counts(self, *, camera: str | None, since: datetime) -> Sequence[CountRow]: ...


class View(Protocol):
    """What a page, an API or a metric may ask; from any thread."""

    def statuses(self) -> Sequence[CameraStatus]: ...

    def newest(self, camera: str) -> DetectedFrame | None:
        """Return the newest picture that was looked at; its pixels are shared: only to be read."""
        ...

    def counts(self, camera: str, *, since: datetime) -> Sequence[CountRow]:
        """Return what a camera counted in the minutes since then, oldest first; the last may go on."""
        ...

    def scene_file(self, camera: str) -> Path | None:
        """Return where the camera's lines and zones are kept; None if it has none that can be edited."""
        ...

    def save_scene(self, camera: str, toml: str) -> None:
        """Check, write and use other lines and zones. Raises UsageError."""
        ...

    def join(self, audience: Audience) -> Callable[[], None]:
        """Tell somebody all that happens from now on; returns how to leave."""
        ...

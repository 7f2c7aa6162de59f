"""Cameras that are read from clips: packets with their arrivals, as a reader hands them on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import av

if TYPE_CHECKING:
    from pathlib import Path

    from humandetect.watch.base import PacketSink

START = datetime(2026, 11, 26, 10, 20, 0, tzinfo=UTC)


def feed(sink: PacketSink, clip: Path, *, started: datetime = START, end: bool = True) -> datetime:
    """Send a clip through a connection of its own; returns when the last packet came."""
    arrived = started
    with av.open(str(clip)) as container:
        streams: list[Any] = [container.streams.video[0], *container.streams.audio]
        sink.begin(streams)
        for packet in container.demux(*streams):
            stamp = packet.dts if packet.dts is not None else packet.pts
            if stamp is not None:
                arrived = started + timedelta(seconds=float(stamp * packet.time_base))
                sink.packet(packet, arrived)
        if end:
            sink.end()
    return arrived

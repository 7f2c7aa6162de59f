"""Live streams that come in pieces of several seconds, as HLS does: each packet is handed on at its time."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import av

_LEAP_SECONDS = 1.0
"""A stamp so far from the one before is of another clock, or pieces between were missed: time is counted from it."""
_PUSH_SECONDS = 0.001
"""By so much each late packet delays those to come: clocks differ by less, and who was kept waiting catches up."""


def at_their_time(packets: Iterable[av.Packet[Any]], index: int) -> Iterator[av.Packet[Any]]:
    """Yield packets as far apart as the stamps of stream `index` are, and those that are late at once.

    Else the newest picture of each piece would win over all others in it, and most of them seem to be late.
    """
    before, zero = -math.inf, 0.0
    for packet in packets:
        if packet.stream_index == index and packet.dts is not None:
            stamp, now = float(packet.dts * packet.time_base), time.monotonic()
            if abs(stamp - before) > _LEAP_SECONDS:
                zero = now - stamp
            wait = zero + stamp - now
            zero += min(max(-wait, 0.0), _PUSH_SECONDS)
            before = stamp
            time.sleep(max(wait, 0.0))
        yield packet

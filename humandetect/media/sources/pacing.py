"""Live streams that come in pieces of several seconds, as HLS does: each packet is handed on at its time."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import av

_LEAP_SECONDS = 10.0
"""A stamp so far from the one before is of another clock."""


def at_their_time(packets: Iterable[av.Packet[Any]]) -> Iterator[av.Packet[Any]]:
    """Yield packets as far apart as their stamps are, and those that are late at once.

    Else the newest picture of each piece would win over all others in it, and most of them seem to be late.
    """
    before, zero = -math.inf, 0.0
    for packet in packets:
        if packet.dts is not None:
            stamp = float(packet.dts * packet.time_base)
            if abs(stamp - before) > _LEAP_SECONDS:
                zero = time.monotonic() - stamp
            before = stamp
            time.sleep(max(0.0, zero + stamp - time.monotonic()))
        yield packet

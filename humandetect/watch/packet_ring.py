"""The packets of the last seconds, for who wants to know what came before."""

from __future__ import annotations

from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime

    import av

    from humandetect.watch.layout import Layout


_SET_BACK = timedelta(seconds=1)
"""By so much a clock was set; sound and pictures come in an order that differs by less."""


class ArrivedPacket(NamedTuple):
    packet: av.Packet[Any]
    arrived: datetime
    layout: Layout
    """Of the connection it came from."""
    is_key: bool
    """Whether pictures can be decoded from here on."""


class PacketRing:
    """Keeps whole groups of pictures, so that what it returns begins with a key frame."""

    def __init__(self, *, kept: timedelta, max_bytes: int) -> None:
        self._kept, self._max_bytes = kept, max_bytes
        self._groups: deque[list[ArrivedPacket]] = deque()
        self._bytes = 0

    def add(self, one: ArrivedPacket) -> None:
        self._follow_clock(one)
        if one.is_key:
            self._groups.append([])
        elif not self._groups:
            return
        self._groups[-1].append(one)
        self._bytes += one.packet.size
        while len(self._groups) > 1 and self._groups[1][0].arrived <= one.arrived - self._kept:
            self._drop_oldest()
        while self._bytes > self._max_bytes:
            self._drop_oldest()

    def _follow_clock(self, one: ArrivedPacket) -> None:
        """Count by the new time what came before this machine's clock was set back: else it would stay for so long."""
        by = self._groups[-1][-1].arrived - one.arrived if self._groups else timedelta(0)
        if by > _SET_BACK:
            self._groups = deque([old._replace(arrived=old.arrived - by) for old in group] for group in self._groups)

    def take(self, since: datetime) -> list[ArrivedPacket]:
        """Return what came from the last key frame before a moment on, or all if it is not so old; empties the ring."""
        while len(self._groups) > 1 and self._groups[1][0].arrived <= since:
            self._drop_oldest()
        taken = [one for group in self._groups for one in group]
        self.clear()
        return taken

    def clear(self) -> None:
        self._groups.clear()
        self._bytes = 0

    def _drop_oldest(self) -> None:
        self._bytes -= sum(one.packet.size for one in self._groups.popleft())

"""Which packets gave no picture, told by the stamps of those that did."""

from __future__ import annotations

from heapq import heappop, heappush


class LostPackets:
    """Counts what was lost before each picture: packets come before their pictures, in the order of decoding."""

    def __init__(self) -> None:
        self._waiting: list[int] = []
        self._first: int | None = None
        self._lost = 0

    def came(self, stamp: int) -> None:
        heappush(self._waiting, stamp)

    def shown(self, stamp: int) -> int | None:
        """Return how many were lost between a picture and the one before it; None for one that comes late or twice.

        Before the first one nothing is lost: what builds on packets before the begin was never there.
        """
        while self._waiting and self._waiting[0] < stamp:
            passed = heappop(self._waiting)
            self._lost += self._first is not None and passed > self._first
        if not self._waiting or self._waiting[0] != stamp:
            return None
        heappop(self._waiting)
        self._first = stamp if self._first is None else self._first
        lost, self._lost = self._lost, 0
        return lost

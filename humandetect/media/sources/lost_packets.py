"""Which packets gave no picture, told by the stamps of those that did."""

from __future__ import annotations

from heapq import heappop, heappush


class LostPackets:
    """Counts what was lost before each picture: packets come before their pictures, in the order of decoding."""

    def __init__(self) -> None:
        self._waiting: list[int] = []
        self._shown: int | None = None
        self._again = 0
        """Pictures that took a number once more: they came late or twice, as from a decoder that finds its way."""

    def came(self, stamp: int) -> None:
        heappush(self._waiting, stamp)

    def before(self, stamp: int) -> int:
        """Return how many there are between the picture of this stamp and the one before it.

        Before the first one nothing is lost: what builds on packets before the begin was never there.
        """
        lost = 0
        while self._waiting and self._waiting[0] < stamp:
            passed = heappop(self._waiting)
            lost += self._shown is not None and passed >= self._shown
        if self._waiting and self._waiting[0] == stamp:
            heappop(self._waiting)
        self._again += self._shown is not None and stamp <= self._shown
        taken = min(lost, self._again)
        self._again -= taken
        self._shown = stamp
        return lost - taken

"""How fast each machine is, for people to look at: the slow one is found by its figure."""

from __future__ import annotations

import time
from collections import deque

SECONDS = 20.0
"""The time that is looked at."""
MOST_SHOWN = 4


class Pace:
    """Frames a second, by machine."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._told: deque[tuple[float, str, int]] = deque()

    def add(self, frames: int, node: str) -> None:
        self._told.append((time.monotonic(), node, frames))

    def by_node(self) -> dict[str, float]:
        """Return frames a second of the machines that said anything lately."""
        now = time.monotonic()
        while self._told and self._told[0][0] < now - SECONDS:
            self._told.popleft()
        frames: dict[str, int] = {}
        for _, node, number in self._told:
            frames[node] = frames.get(node, 0) + number
        seconds = max(1.0, min(SECONDS, now - self._began))
        return {node: number / seconds for node, number in frames.items()}

    def described(self) -> str:
        """Name the machines, of many the slowest; nothing of a single one, whose pace is that of all."""
        paces = sorted(self.by_node().items(), key=lambda pair: pair[1])
        if len(paces) < 2:
            return ""
        told = ", ".join(f"{node} {pace:.1f}/s" for node, pace in paces[:MOST_SHOWN])
        return told if len(paces) <= MOST_SHOWN else f"{len(paces)} machines, slowest {told}"

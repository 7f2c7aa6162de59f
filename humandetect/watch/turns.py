"""Whose turn it is: each camera is looked at at its own rate, and pictures are as new as they can be."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from dataclasses import dataclass

NEW_SHARE = 0.4
"""Of the time between two pictures: for how long one is new. When all are older, waiting for the next one, which takes
not much longer, tells of people sooner after they were to be seen."""
OVERDUE_SHARE = 2.0
"""Of the time between two pictures, after which no next one is waited for."""


@dataclass(slots=True)
class _Slot:
    period_seconds: float
    due_at: float
    newest_at: float
    between_seconds: float = 0.0
    """From one picture to the next, on average."""
    decode_seconds: float = 0.0
    """From when a picture arrives to when it is decoded, on average."""
    fresh_since: float | None = None
    """Since when there are pictures of which nobody looked at one."""
    under_way: bool = False

    def arrived(self, at: float, now: float) -> None:
        """Take that there is a picture; one that comes long before the turn is left to those after it."""
        self.between_seconds += (min(at - self.newest_at, self.period_seconds) - self.between_seconds) / 8
        self.decode_seconds += (min(now - at, self.period_seconds) - self.decode_seconds) / 8
        self.newest_at = at
        if self.fresh_since is None and now >= self.due_at - self.period_seconds / 2:
            self.fresh_since = now

    def overdue_at(self) -> float:
        """Return from when on it has waited too long for others."""
        return (self.fresh_since or 0.0) + self.period_seconds / 2

    def ready_at(self, now: float) -> float:
        """Return when to take the newest picture, if no newer one comes before."""
        is_new = now - self.newest_at - self.decode_seconds <= NEW_SHARE * self.between_seconds
        if is_new or self.newest_at + self.between_seconds >= self.overdue_at():
            return now
        return max(now, min(self.newest_at + OVERDUE_SHARE * self.between_seconds, self.overdue_at()))


class Turns:
    """Hands out the names of cameras that are due, have a new picture, and none under way; from any thread."""

    def __init__(self) -> None:
        self.at_once: float = math.inf
        """Turns under way from which on none is handed out: a picture that waits for the engine gets old."""
        self.missed: Counter[str] = Counter()
        """Turns that a camera had a picture for and did not get in time, because the machine was busy."""
        self._slots: dict[str, _Slot] = {}
        self._changed = threading.Condition()
        self._closed = False

    def add(self, name: str, *, rate: float) -> None:
        with self._changed:
            now = time.monotonic()
            self._slots[name] = _Slot(1 / rate, now, now)

    def remove(self, name: str) -> None:
        with self._changed:
            self._slots.pop(name, None)
            self.missed.pop(name, None)
            self._changed.notify()  # it may have been under way

    def arrived(self, name: str, at: float) -> None:
        """A camera has a new picture, which arrived at that time and is decoded now."""
        with self._changed:
            if slot := self._slots.get(name):
                slot.arrived(at, time.monotonic())
                if slot.fresh_since and not slot.under_way:
                    self._changed.notify()

    def ended(self, name: str) -> None:
        """What was under way of a camera is done."""
        with self._changed:
            if slot := self._slots.get(name):
                slot.under_way = False
                self._changed.notify()

    def next(self) -> str | None:
        """Wait for whose turn it is, and take it; None once closed."""
        with self._changed:
            while not self._closed:
                now, ready_at = time.monotonic(), math.inf
                if sum(slot.under_way for slot in self._slots.values()) < self.at_once:
                    name, ready_at = self._first(now)
                    if ready_at <= now:
                        return self._taken(name, now)
                self._changed.wait(None if ready_at == math.inf else ready_at - now)
        return None

    def _first(self, now: float) -> tuple[str, float]:
        """Return who goes next, and when: who waits too long, by their turns; then whose picture is the newest."""

        def order(name: str) -> tuple[float, float, float]:
            slot = self._slots[name]
            age = now - slot.newest_at if now < slot.overdue_at() else -1
            return slot.ready_at(now), age, slot.due_at

        names = [name for name, slot in self._slots.items() if slot.fresh_since and not slot.under_way]
        name = min(names, key=order, default="")
        return name, self._slots[name].ready_at(now) if name else math.inf

    def _taken(self, name: str, now: float) -> str:
        slot = self._slots[name]
        self.missed[name] += int((now - (slot.fresh_since or now)) / slot.period_seconds)
        # By the clock, and not from now: a turn that comes a little late must not make all others later.
        slot.due_at = max(slot.due_at + slot.period_seconds, now + slot.period_seconds / 2)
        slot.fresh_since, slot.under_way = None, True
        return name

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

"""Whose turn it is: each camera is looked at at its own rate, and those that wait longest go first."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from dataclasses import dataclass


@dataclass(slots=True)
class _Slot:
    period_seconds: float
    due_at: float
    fresh_since: float | None = None
    """Since when there is a picture that nobody looked at."""
    under_way: bool = False


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
            self._slots[name] = _Slot(1 / rate, time.monotonic())

    def remove(self, name: str) -> None:
        with self._changed:
            self._slots.pop(name, None)
            self.missed.pop(name, None)

    def arrived(self, name: str) -> None:
        """A camera has a new picture; one that comes long before its camera's turn is left to those after it."""
        with self._changed:
            slot, now = self._slots.get(name), time.monotonic()
            if slot and slot.fresh_since is None and now >= slot.due_at - slot.period_seconds / 2:
                slot.fresh_since = now
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
                waiting = [
                    (slot.due_at, name) for name, slot in self._slots.items() if slot.fresh_since and not slot.under_way
                ]
                if waiting and sum(slot.under_way for slot in self._slots.values()) < self.at_once:
                    return self._taken(min(waiting)[1])
                self._changed.wait()
        return None

    def _taken(self, name: str) -> str:
        slot, now = self._slots[name], time.monotonic()
        self.missed[name] += int((now - (slot.fresh_since or now)) / slot.period_seconds)
        # By the clock, and not from now: a turn that comes a little late must not make all others later.
        slot.due_at = max(slot.due_at + slot.period_seconds, now + slot.period_seconds / 2)
        slot.fresh_since, slot.under_way = None, True
        return name

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

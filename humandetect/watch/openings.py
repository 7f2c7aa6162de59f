"""Turns to connect: few cameras at once, and those that answer do not wait for those that are dead."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OPENINGS_AT_ONCE = 4
"""More of them make each other slow, and a recorder with many cameras slower still."""
STOP_SECONDS = 0.2
"""How long who waits for a turn may not hear that it shall end."""


class _Ticket(NamedTuple):
    """Compared, the one that goes first is the least."""

    is_dead: bool
    number: int


class Openings:
    """Shared by all cameras. One that did not answer the last time goes after others, and leaves them a place."""

    def __init__(self, at_once: int = OPENINGS_AT_ONCE) -> None:
        self._at_once = at_once
        self._numbers = count()
        self._waiting: list[_Ticket] = []
        self._open: list[_Ticket] = []
        self._changed = threading.Condition()

    @contextmanager
    def turn(self, *, is_dead: bool, is_stopped: Callable[[], bool]) -> Iterator[bool]:
        """Wait for a turn and hold it; yield whether there is one, for who is stopped gets none."""
        ticket = _Ticket(is_dead, next(self._numbers))
        with self._changed:
            self._waiting.append(ticket)
            while not (stopped := is_stopped()) and not self._may_open(ticket):
                self._changed.wait(STOP_SECONDS)
            self._waiting.remove(ticket)
            if not stopped:
                self._open.append(ticket)
        try:
            yield not stopped
        finally:
            with self._changed:
                if not stopped:
                    self._open.remove(ticket)
                self._changed.notify_all()

    def _may_open(self, ticket: _Ticket) -> bool:
        dead = sum(one.is_dead for one in self._open)
        has_place = len(self._open) < self._at_once and (not ticket.is_dead or dead < self._at_once - 1)
        return has_place and ticket == min(self._waiting)

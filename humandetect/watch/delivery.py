"""Sending what the store queued: in order, again until it arrived, and never at a camera's expense."""

from __future__ import annotations

import logging
import random
import threading
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from humandetect.watch.store import Queued, Store

logger = logging.getLogger(__name__)

MOST_REFUSALS = 5
"""Of one event; it is then given up, because the next one may be taken."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0
LONGEST_WISH_SECONDS = 600.0
"""How long a receiver may ask to be left alone."""
CLOSE_SECONDS = 0.3
"""How long an event under way is waited for; if it arrives later, it is sent again after the restart."""


class Undelivered(Exception):
    """The receiver is away or busy: the event is sent again, as often as it takes."""

    def __init__(self, reason: str, *, after_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.after_seconds = after_seconds
        """When to send it again; None: longer from time to time."""


class Refused(Undelivered):
    """The receiver is there, and does not take this event."""


class Receiver(Protocol):
    """Somebody whom events are sent to."""

    name: str

    def send(self, queued: Queued) -> None:
        """Return once the event arrived. Raises Undelivered or Refused."""
        ...

    def close(self) -> None: ...


class Delivery:
    """The thread that sends one receiver its events, oldest first."""

    def __init__(
        self, store: Store, receiver: Receiver, *, first_pause_seconds: float = FIRST_PAUSE_SECONDS
    ) -> None:  # fmt: skip
        self._store = store
        self._receiver = receiver
        self._first_pause_seconds = first_pause_seconds
        self._more = threading.Event()
        self._stop = threading.Event()
        self._more.set()  # of an earlier process
        store.on_queued(self._more.set)
        self._thread = threading.Thread(target=self._work, name=f"to {receiver.name}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop; what was not sent stays in the queue. May be called twice."""
        self._stop.set()
        self._more.set()
        self._thread.join(CLOSE_SECONDS)
        self._receiver.close()

    def _work(self) -> None:
        while not self._stop.is_set():
            self._more.wait()
            self._more.clear()
            while not self._stop.is_set() and (queued := self._store.first_queued(self._receiver.name)):
                result = self._deliver(queued)
                # While its disk is full it cannot be taken from the queue: sent again and again it must not be.
                while result and not self._store.take(queued, self._receiver.name, result=result):
                    if self._stop.wait(self._first_pause_seconds):
                        return

    def _deliver(self, queued: Queued) -> Literal["sent", "refused"] | None:
        """Send one event until it arrived, was refused too often, or the end."""
        name = self._receiver.name
        failures = refusals = 0
        while not self._stop.is_set():
            try:
                self._receiver.send(queued)
            except Undelivered as trouble:
                refusals += isinstance(trouble, Refused)
                if not failures:
                    logger.warning("%s: %s; events wait", name, trouble)
                if refusals == MOST_REFUSALS:
                    logger.warning("%s: event %s is given up: %s", name, queued.event.id, trouble)
                    return "refused"
                self._stop.wait(self._pause_seconds(trouble, failures))
                failures += 1
            else:
                if failures:
                    logger.warning("%s takes events again", name)
                return "sent"
        return None

    def _pause_seconds(self, trouble: Undelivered, failures: int) -> float:
        if trouble.after_seconds is not None:
            return min(trouble.after_seconds, LONGEST_WISH_SECONDS)
        longest = min(LONGEST_PAUSE_SECONDS, self._first_pause_seconds * 2 ** min(failures, 10))
        return random.uniform(longest / 2, longest)  # noqa: S311  so that many do not come back at once

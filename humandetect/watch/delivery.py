"""Sending what the store queued: in order, again until it arrived, and never at a camera's expense."""

from __future__ import annotations

import logging
import random
import threading
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from humandetect.watch.store import Queued, Store

logger = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0
LONGEST_WISH_SECONDS = 600.0
"""How long a receiver may ask to be left alone."""
FAULT_TRIES = 5
"""Of an event at which the sending itself fails: it may be the event, and the next ones must not wait for weeks."""
CLOSE_SECONDS = 0.3
"""How long an event under way is waited for; if it arrives later, it is sent again after the restart."""


class Undelivered(Exception):
    """The receiver is away or busy: the event is sent again, as often as it takes."""

    def __init__(self, reason: str, *, after_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.after_seconds = after_seconds
        """When to send it again; None: longer from time to time."""


class EventRefused(Undelivered):
    """The receiver is there, and does not take this event: it is given up, because the next one may be taken."""

    def __init__(self, reason: str, *, most_tries: int = 1, after_seconds: float | None = None) -> None:
        super().__init__(reason, after_seconds=after_seconds)
        self.most_tries = most_tries


class Receiver(Protocol):
    """Somebody whom events are sent to."""

    name: str

    def send(self, queued: Queued) -> None:
        """Return once the event arrived. Raises Undelivered or EventRefused."""
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
        self._tried: int | None = None
        """The event under way, by its number in the queue."""
        self._failures = self._refusals = 0
        """Of that event: all, and those for which it may be to blame."""
        self._said: set[str] = set()
        """What was warned of since an event was taken, so that an outage is one line."""
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
            # Asked anew before each try: while the receiver was away, the oldest event may have been dropped.
            while not self._stop.is_set() and (queued := self._store.first_queued(self._receiver.name)):
                self._try(queued)

    def _try(self, queued: Queued) -> None:
        if self._tried != queued.number:
            self._tried, self._failures, self._refusals = queued.number, 0, 0
        try:
            self._send(queued)
        except Undelivered as trouble:
            self._failures += 1
            if isinstance(trouble, EventRefused):
                self._refusals += 1
                if self._refusals >= trouble.most_tries:
                    self._warn(f"{trouble}; event {queued.event.id} is given up", once=str(trouble))
                    return self._take(queued, "failed")
            self._warn(f"{trouble}; events wait", once="waits")
            self._stop.wait(self._pause_seconds(trouble))
        else:
            if self._said:
                logger.warning("%s takes events again", self._receiver.name)
            self._said.clear()
            self._take(queued, "sent")

    def _send(self, queued: Queued) -> None:
        """Send it once. Raises Undelivered, whatever happens: nobody would begin this thread again."""
        try:
            self._receiver.send(queued)
        except Undelivered:
            raise
        except Exception as error:
            logger.debug("%s: event %s", self._receiver.name, queued.event.id, exc_info=True)
            raise EventRefused(f"cannot be sent ({type(error).__name__})", most_tries=FAULT_TRIES) from error

    def _take(self, queued: Queued, result: Literal["sent", "failed"]) -> None:
        """Take it from the queue: while its disk is full that waits, because sent again and again it must not be."""
        while not self._store.take(queued, self._receiver.name, result=result):
            if self._stop.wait(self._first_pause_seconds):
                return

    def _warn(self, what: str, *, once: str) -> None:
        if once not in self._said:
            logger.warning("%s: %s", self._receiver.name, what)
        self._said.add(once)

    def _pause_seconds(self, trouble: Undelivered) -> float:
        if trouble.after_seconds is not None:
            return min(trouble.after_seconds, LONGEST_WISH_SECONDS)
        longest = min(LONGEST_PAUSE_SECONDS, self._first_pause_seconds * 2 ** min(self._failures - 1, 10))
        return random.uniform(longest / 2, longest)  # noqa: S311  so that many do not come back at once

"""The states of a camera, as pure rules: times come in as seconds of one clock, and what is to be done comes out."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from humandetect.watch.base import State

BACK_OFF_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
REFUSED_SECONDS, REFUSED_OFTEN_SECONDS = 30.0, 300.0
"""A wrong password does not become right by asking often; cameras lock out who tries."""
MANY_REFUSALS = 5
SOLID_SECONDS = 10.0
"""Only a camera that was live for so long has recovered: back-off begins anew."""
LATE_AFTER_SECONDS, PUNCTUAL_AFTER_SECONDS = 3.0, 10.0
PUNCTUAL_SHARE = 0.5
"""Of the longest delay; below it a camera is on its way back."""


class Change(NamedTuple):
    """A camera has come into a state."""

    state: State
    reason: str | None


def jitter() -> float:
    """Return a factor that keeps many cameras behind one switch from coming back at the same moment."""
    return random.uniform(0.5, 1.5)  # noqa: S311  no secret depends on it


@dataclass(slots=True)
class CameraStates:
    """What a camera is, from what happens to it; each method returns the states that it went through."""

    max_delay_seconds: float
    jitter: Callable[[], float] = jitter
    state: State = "connecting"
    retry_at: float = 0.0
    """When to connect again; only while waiting or refused."""
    _failures: int = field(default=0, init=False)
    """Losses in a row without a solid time between them."""
    _refusals: int = field(default=0, init=False)
    _live_since: float | None = field(default=None, init=False)
    _over_since: float | None = field(default=None, init=False)
    """Since when the delay is over the longest; while late, since when it is under the half."""

    def connect(self) -> list[Change]:
        return self._to("connecting", None)

    def picture(self, now: float, delay_seconds: float | None) -> list[Change]:
        """Take a picture; the delay is the 95th percentile of the last seconds, None where nobody knows."""
        changes: list[Change] = []
        if self._live_since is None:
            self._live_since = now
            self._over_since = None
            changes = self._to("live", None)
        elif now - self._live_since >= SOLID_SECONDS:
            self._failures = self._refusals = 0
        return changes + self._judge(now, delay_seconds)

    def _judge(self, now: float, delay_seconds: float | None) -> list[Change]:
        late = self.state == "late"
        limit = self.max_delay_seconds * (PUNCTUAL_SHARE if late else 1)
        crossed = delay_seconds is not None and (delay_seconds < limit if late else delay_seconds > limit)
        if not crossed:
            self._over_since = None
            return []
        if self._over_since is None:
            self._over_since = now
        if now - self._over_since < (PUNCTUAL_AFTER_SECONDS if late else LATE_AFTER_SECONDS):
            return []
        self._over_since = None
        return self._to("live", None) if late else self._to("late", f"{delay_seconds:.1f} s behind")

    def lose(self, reason: str, now: float) -> list[Change]:
        """The connection failed or ended; wait, longer each time, and connect again."""
        self._settle(now)
        seconds = BACK_OFF_SECONDS[min(self._failures, len(BACK_OFF_SECONDS) - 1)] * self.jitter()
        self._failures += 1
        self.retry_at = now + seconds
        return [*self._to("lost", reason), *self._to("waiting", reason)]

    def refuse(self, reason: str, now: float) -> list[Change]:
        """The camera answers, but not to us."""
        self._settle(now)
        self._refusals += 1
        self.retry_at = now + (REFUSED_OFTEN_SECONDS if self._refusals > MANY_REFUSALS else REFUSED_SECONDS)
        return self._to("refused", reason)

    def stop(self) -> list[Change]:
        self._live_since = None
        return self._to("stopped", None)

    def _settle(self, now: float) -> None:
        if self._live_since is not None and now - self._live_since >= SOLID_SECONDS:
            self._failures = self._refusals = 0
        self._live_since = None

    def _to(self, state: State, reason: str | None) -> list[Change]:
        if state == self.state and reason is None:
            return []
        self.state = state
        return [Change(state, reason)]

"""Timestamps one can trust, from containers one cannot."""

from __future__ import annotations

import time
from collections import deque
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import av

FALLBACK_FPS = Fraction(25)
_SLOWEST, _FASTEST = Fraction(1, 60), Fraction(240)
"""Rates outside are a timer's resolution or nonsense, not frames a second."""
_SMALL_STEP_BACK_SECONDS = 1.0
_SHORTEST_GAP_SECONDS, _LONGEST_GAP_SECONDS = 1e-6, 24 * 3600.0

_SHORTEST_SHOWN_SECONDS = 0.002
"""Of a picture; one tick of a fine clock is what demuxers say that do not know."""
_MOST_KEYS = 1000
_LEAP_SECONDS = 10.0
"""By so much more than has passed no camera's pictures come late: its clock was set."""


def believable_rate(stream: av.VideoStream, first: av.VideoFrame) -> Fraction | None:
    """Return the stream's average rate in frames a second, or None where its tags are absurd.

    A bare stream has none but what its demuxer makes up; its pictures say how long they last.
    """
    lasts = first.duration * stream.time_base if first.pts is None and stream.time_base else 0
    stated = 1 / lasts if lasts else None
    for rate in (stated, stream.average_rate, stream.guessed_rate):
        if rate is not None and _SLOWEST <= rate <= _FASTEST:
            return Fraction(rate)
    return None


class Clock:
    """Turns timestamps into seconds that start near zero and always grow, and counts what it had to repair."""

    def __init__(
        self,
        *,
        time_base: Fraction,
        origin: Fraction | None,
        rate: Fraction | None,
        live_since: float | None = None,
        invented: bool = False,
    ) -> None:
        """Of a live source give the monotonic time at which its first picture came.

        Its frames without a timestamp, or with `invented` ones, get the time of their arrival.
        """
        self.repaired = 0
        self.missing = 0
        self._time_base = time_base
        self._origin = origin
        self._step = float(1 / (rate or FALLBACK_FPS))
        self._last: float | None = None
        self._repaired_last = False
        self._live_since = live_since
        self._came = live_since
        self._invented = invented

    def seconds(self, picture: av.VideoFrame) -> float:
        """Return the time of the next picture."""
        stamp = None if self._invented else stamp_seconds(picture, self._time_base)
        if stamp is None:
            now = self._without_stamp()
        else:
            if self._origin is None:  # a stream's first pictures may have none, and those take their time, too
                self._origin = stamp if self._last is None else stamp - Fraction(self._last + self._step)
            self._follow_leap(stamp)
            now = self._growing(float(stamp - self._origin), stamp)
        self._last = round(now, 9)
        return self._last

    def _follow_leap(self, stamp: Fraction) -> None:
        """Go on with the time that has passed where a live source's stamps leap ahead: they would stay there."""
        if self._came is None or self._origin is None:
            return
        before, self._came = self._came, time.monotonic()
        passed = self._came - before
        if self._last is not None and float(stamp - self._origin) - self._last - passed > _LEAP_SECONDS:
            self.repaired += 1
            self._origin = stamp - Fraction(self._last + max(passed, self._step))

    def _without_stamp(self) -> float:
        self.missing += 1
        if self._live_since is not None:
            return 0.0 if self._last is None else max(time.monotonic() - self._live_since, self._last + 1e-3)
        return 0.0 if self._last is None else self._last + self._step

    def _growing(self, now: float, stamp: Fraction) -> float:
        if self._last is None:
            return max(now, 0.0)
        gap = now - self._last
        if is_believable_gap(gap):
            self._repaired_last = False
            return now
        self.repaired += 1
        # One stray stamp goes between its neighbours; a row of them moves on by whole frames.
        repaired = self._last + (self._step if self._repaired_last else self._step / 2)
        if not -_SMALL_STEP_BACK_SECONDS <= gap <= 0:
            self._origin = stamp - Fraction(repaired)
        self._repaired_last = True
        return repaired


class PacketTurns:
    """Gives pictures their stamps where a container tells only when packets come: each has that of its turn.

    Pictures may be coded in another order than that in which they are shown.
    """

    def __init__(self) -> None:
        self._due: deque[int] = deque()
        """Stamps of packets whose pictures are still to come."""
        self._keys: deque[int] = deque(maxlen=_MOST_KEYS)
        """Those of key frames: none is shown before its own."""
        self._begun = False

    def came(self, packet: av.Packet[av.VideoStream]) -> None:
        if packet.dts is None:
            return
        if packet.is_keyframe:
            if not self._begun:
                self._due.clear()  # what comes before the first cannot be decoded
            self._begun = True
            self._keys.append(packet.dts)
        self._due.append(packet.dts)

    def drop_latest(self) -> None:
        """Give no turn to a packet that was damaged."""
        if self._due and self._keys and self._due[-1] == self._keys[-1]:
            self._keys.pop()
        if self._due:
            self._due.pop()

    def next(self, picture: av.VideoFrame) -> int | None:
        """Return the stamp of the next picture."""
        if picture.key_frame and self._keys:
            key = self._keys.popleft()
            while self._due and self._due[0] < key:  # of packets that gave no picture, and no error
                self._due.popleft()
        return self._due.popleft() if self._due else None


def is_believable_gap(seconds: float) -> bool:
    """Whether a frame may come so long after the one before; a clock repairs all other stamps."""
    return _SHORTEST_GAP_SECONDS < seconds < _LONGEST_GAP_SECONDS


def stamp_seconds(picture: av.VideoFrame, time_base: Fraction) -> Fraction | None:
    """Return the moment on the container's own clock, exactly: a rounded one would miss the start it is compared to."""
    stamp = picture.pts if picture.pts is not None else picture.dts
    return None if stamp is None else stamp * time_base


def shown_seconds(picture: av.VideoFrame, time_base: Fraction, *, packets: int = 1) -> float | None:
    """Return how long a picture of so many packets says that it is shown; None where it says nothing."""
    seconds = float(packets * (picture.duration or 0) * time_base)
    return seconds if seconds >= _SHORTEST_SHOWN_SECONDS else None

"""Sound on its way from a source to the video sink, as untouched packets."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import av

MAX_WAITING_BYTES = 64 * 1024 * 1024
RUN_UP_SECONDS = 0.1
"""Sound before a later start that its decoder needs to come in clean; the longest, that of Opus, is 80 ms."""


class AudioTrack:
    """One audio stream of a source. The reader pushes packets, the sink takes them; thread-safe and bounded."""

    def __init__(self, stream: av.AudioStream, *, origin_seconds: float = 0.0) -> None:
        self.stream = stream
        self.origin_seconds = origin_seconds
        """The moment on the stream's clock that becomes zero in the output."""
        self.lost_packets = 0
        """Packets dropped because nobody took them in time (a file whose sound lies far ahead of its pictures)."""
        self._waiting: deque[tuple[float, av.Packet[av.AudioStream]]] = deque()
        self._bytes = 0
        self._lock = threading.Lock()

    def push(self, packet: av.Packet[av.AudioStream]) -> None:
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is None:
            return
        with self._lock:
            time_seconds = float(stamp * packet.time_base) - self.origin_seconds
            if self._bytes + packet.size > MAX_WAITING_BYTES:
                self.lost_packets += 1
                return
            self._waiting.append((time_seconds, packet))
            self._bytes += packet.size

    def begin_later(self, seconds: float) -> None:
        """Let the output begin so much later, without the sound from before."""
        with self._lock:
            self.origin_seconds += seconds
            moved = ((at - seconds, packet) for at, packet in self._waiting)
            self._waiting = deque((at, packet) for at, packet in moved if at >= -RUN_UP_SECONDS)
            self._bytes = sum(packet.size for _, packet in self._waiting)

    def take(self, until_seconds: float | None = None) -> list[av.Packet[av.AudioStream]]:
        """Return the packets that start before `until_seconds` of the output; None: all that are left."""
        taken = []
        with self._lock:
            while self._waiting and (until_seconds is None or self._waiting[0][0] < until_seconds):
                packet = self._waiting.popleft()[1]
                self._bytes -= packet.size
                taken.append(packet)
        return taken

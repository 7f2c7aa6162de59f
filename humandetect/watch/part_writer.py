"""Writes the packets of one camera to files, on a thread that may wait for the disk."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from humandetect.media.sinks.atomic_files import reason_of
from humandetect.watch.segments import SegmentFile, segment_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from humandetect.config.recording import RecordConfig
    from humandetect.watch.packet_ring import ArrivedPacket
    from humandetect.watch.retention import Retention

RETRY_SECONDS = 30.0
_TRUSTED = timedelta(seconds=5)
"""A full disk takes the start of a file, and fails when the first second is flushed."""
_MOST_REFUSED = 3
"""Packets in a row that ended a file of less than that: each key frame would begin another such file, for weeks."""
_WAITING_BYTES = 16 * 1024 * 1024
"""Between reader and disk: half a minute of 4 Mbit/s."""

logger = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class Part:
    """A file, as it is planned."""

    started: datetime
    path: str | None
    """Relative to the folder of recordings; None: it could not be written."""
    ended: datetime | None = None


class PartWriter:
    """Takes packets in memory and writes them when the disk does; what goes wrong is told of, counted and tried again.

    `take`, `end` and `close` are called with `lock` held, which guards the parts, too.
    """

    def __init__(
        self, camera: str, config: RecordConfig, *, retention: Retention, lock: threading.Condition,
        open_file: Callable[..., SegmentFile] = SegmentFile, clock: Callable[[], float] = time.monotonic,
        max_waiting_bytes: int = _WAITING_BYTES,
    ) -> None:  # fmt: skip
        self.bytes_written = 0
        self.files = 0
        """That are complete."""
        self.dropped = 0
        """Packets that should have been written: the disk was too slow, or failed."""
        self.waiting_bytes = 0
        """Of packets that come faster than the disk takes them."""
        self.closed = False
        self._camera, self._config, self._retention = camera, config, retention
        self._open_file, self._clock, self._max_waiting_bytes = open_file, clock, max_waiting_bytes
        self._lock = lock
        self._waiting: deque[tuple[Part, ArrivedPacket | None]] = deque()
        """None ends a part."""
        self._is_dropping = False
        self._file: SegmentFile | None = None
        self._file_part: Part | None = None
        self._retry_at: float | None = None
        """Since the disk failed; None again once it is trusted."""
        self._works_since: datetime | None = None
        self._refused = 0
        """Packets that no file could hold since one was trusted."""
        self._thread = threading.Thread(target=self._write_all, name=f"recorder {camera}", daemon=True)
        self._thread.start()

    @property
    def writing(self) -> bool:
        """Whether a file is open now."""
        return self._file is not None

    def take(self, part: Part, one: ArrivedPacket) -> None:
        """Have a packet written, or dropped where there is no room."""
        if self._has_room(one):
            self._hand_over(part, one)

    def end(self, part: Part) -> None:
        """Let a part have no more packets."""
        self._hand_over(part, None)

    def close(self) -> None:
        """Take nothing more, and end once all is written."""
        self.closed = True
        self._lock.notify()

    def join(self, timeout_seconds: float) -> None:
        self._thread.join(timeout_seconds)

    def _has_room(self, one: ArrivedPacket) -> bool:
        """Drop from where the disk cannot follow to a key frame, which finds half of the room free."""
        room = self._max_waiting_bytes - self.waiting_bytes
        if self._is_dropping:
            self._is_dropping = not (one.is_key and one.packet.size <= room and room >= self._max_waiting_bytes / 2)
        else:
            self._is_dropping = one.packet.size > room
        self.dropped += self._is_dropping
        return not self._is_dropping

    def _hand_over(self, part: Part, one: ArrivedPacket | None) -> None:
        self._waiting.append((part, one))
        self.waiting_bytes += one.packet.size if one else 0
        self._lock.notify()

    def _write_all(self) -> None:
        self._retention.make_room()
        while (item := self._next()) is not None:
            part, one = item
            try:
                if one is None:
                    self._close_file()
                else:
                    self._write(part, one)
            except Exception as error:  # whatever it is, the camera goes on, and so must its recording
                self._fail(part, error)

    def _next(self) -> tuple[Part, ArrivedPacket | None] | None:
        with self._lock:
            self._lock.wait_for(lambda: self._waiting or self.closed)
            if not self._waiting:
                return None
            part, one = self._waiting.popleft()
            self.waiting_bytes -= one.packet.size if one else 0
            return part, one

    def _write(self, part: Part, one: ArrivedPacket) -> None:
        if self._file_part is not part:
            self._close_file()
        file = self._file or self._open(part, one)
        if file is None:
            with self._lock:
                if self._retry_at is not None:  # else a packet ended its file, which is there
                    part.path = None
                self.dropped += 1
            return
        before = file.bytes
        file.write(one.packet, one.arrived)
        self.bytes_written += file.bytes - before
        if one.arrived - part.started >= _TRUSTED:
            self._refused = 0
        if self._retry_at is not None and self._works_since and one.arrived - self._works_since >= _TRUSTED:
            logger.warning("%s is recorded again", self._camera)
            self._retry_at = None

    def _open(self, part: Part, one: ArrivedPacket) -> SegmentFile | None:
        """Begin a file, unless it is too early to try again."""
        if not one.is_key or (self._retry_at is not None and self._clock() < self._retry_at):
            return None
        self._retention.make_room()
        name = segment_name(self._camera, one.arrived, one.layout.ending)
        self._file = self._open_file(self._config.folder, name, layout=one.layout, started=one.arrived)
        self._file_part = part
        with self._lock:
            part.started, part.path = one.arrived, self._file.path.relative_to(self._config.folder).as_posix()
        self._works_since = self._works_since or one.arrived
        return self._file

    def _close_file(self) -> None:
        file, self._file, self._file_part = self._file, None, None
        if file is not None and (path := file.close()) is not None:
            self._retention.add(path)
            self.files += 1

    def _fail(self, part: Part, error: Exception) -> None:
        """Keep what there is, and go on: at the next key frame where a packet is to blame, and else later."""
        is_packet = not isinstance(error, OSError) and self._file is not None and self._file.bytes > 0
        self._refused += is_packet
        if is_packet and self._refused < _MOST_REFUSED:
            logger.debug("%s: a packet is left out: %s", self._camera, error)
        else:
            self._wait(error)
        with self._lock:
            part.path = part.path if is_packet else None
            self.dropped += 1
        try:
            self._close_file()
        except OSError as again:
            logger.debug("%s: %s", self._camera, again)

    def _wait(self, error: Exception) -> None:
        """Say once what is wrong, and try again later."""
        if self._retry_at is None:
            logger.warning(
                "%s is watched, and not recorded: %s; it is tried again every %g s",
                self._camera, reason_of(error), RETRY_SECONDS,
            )  # fmt: skip
        self._retry_at = self._clock() + RETRY_SECONDS
        self._works_since = None

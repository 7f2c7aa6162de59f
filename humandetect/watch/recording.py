"""Records cameras: decides where files begin while packets come, and writes them in a thread for each camera."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import av

from humandetect.media.sinks.atomic_files import make_folder, reason_of
from humandetect.watch.base import Recorded
from humandetect.watch.layout import Layout, parameter_sets
from humandetect.watch.packet_ring import ArrivedPacket, PacketRing
from humandetect.watch.retention import Retention
from humandetect.watch.segments import SegmentFile, segment_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from humandetect.config.recording import RecordConfig, RecordMode
    from humandetect.media.frames import Event

BEFORE = timedelta(seconds=5)
AFTER = timedelta(seconds=10)
RETRY_SECONDS = 30.0
_TRUSTED = timedelta(seconds=5)
"""A full disk takes the start of a file, and fails when the first second is flushed."""
_CERTAIN = timedelta(seconds=3)
"""How long it may take until it is known that something happened."""
_RING_BYTES = 32 * 1024 * 1024
_WAITING_BYTES = 16 * 1024 * 1024
"""Between reader and disk: half a minute of 4 Mbit/s."""
_KNOWN_PARTS = 256
"""Files whose times `where` knows."""

logger = logging.getLogger(__name__)


class Recordings:
    """The folder of all recordings. Raises UsageError without one, SinkError where it cannot be made."""

    def __init__(self, config: RecordConfig) -> None:
        self.folder = config.folder
        self.config = config
        make_folder(self.folder)
        self.retention = Retention(self.folder, config)

    def recorder(self, camera: str, mode: RecordMode | None = None) -> Recorder:
        """Begin to record a camera, in a mode of its own or as all."""
        config = self.config if mode is None else replace(self.config, record_mode=mode)
        return Recorder(camera, config, retention=self.retention)


@dataclass(slots=True, eq=False)
class _Part:
    """A file, as it is planned."""

    layout: Layout
    started: datetime
    path: str | None
    """Relative to the folder of recordings; None: it could not be written."""
    ended: datetime | None = None


class Recorder:
    """Writes the packets of one camera to files; what goes wrong costs the recording, and never the camera."""

    def __init__(
        self,
        camera: str,
        config: RecordConfig,
        *,
        retention: Retention,
        open_file: Callable[..., SegmentFile] = SegmentFile,
        clock: Callable[[], float] = time.monotonic,
        max_waiting_bytes: int = _WAITING_BYTES,
    ) -> None:
        self.bytes_written = 0
        self.files = 0
        """That are complete."""
        self.dropped = 0
        """Packets that should have been written: the disk was too slow, or failed."""
        self.waiting_bytes = 0
        """Of packets that come faster than the disk takes them."""
        self._camera, self._config, self._retention = camera, config, retention
        self._open_file, self._clock, self._max_waiting_bytes = open_file, clock, max_waiting_bytes
        self._lock = threading.Condition()
        self._layout: Layout | None = None
        self._parameters = b""
        self._parts: deque[_Part] = deque(maxlen=_KNOWN_PARTS)
        self._part: _Part | None = None
        self._ring = PacketRing(kept=BEFORE + _CERTAIN, max_bytes=_RING_BYTES)
        self._until: datetime | None = None
        """In `events` mode, when recording ends."""
        self._waiting: deque[tuple[_Part, ArrivedPacket | None]] = deque()
        """For the writer; None ends a part."""
        self._is_dropping = False
        self._closed = False
        self._file: SegmentFile | None = None
        self._file_part: _Part | None = None
        self._retry_at: float | None = None
        """Since the disk failed; None again once it is trusted."""
        self._works_since: datetime | None = None
        self._thread = threading.Thread(target=self._write_all, name=f"recorder {camera}", daemon=True)
        self._thread.start()

    @property
    def recording(self) -> bool:
        """Whether something is being written now."""
        return self._file is not None

    def begin(self, streams: Sequence[av.VideoStream | av.AudioStream]) -> None:
        with self._lock:
            if self._parameters:  # the same connection, whose key frames themselves tell what changes
                return
            self._forget()
            try:
                self._layout = Layout({stream.index: stream for stream in streams})
            except (ValueError, av.error.FFmpegError) as error:
                logger.warning("%s is not recorded: %s", self._camera, error)
                return
            if self._layout.left_out:
                names = ", ".join(self._layout.left_out)
                logger.warning("%s is recorded without sound: no kind of file can hold %s", self._camera, names)

    def packet(self, packet: av.Packet[av.VideoStream] | av.Packet[av.AudioStream], arrived: datetime) -> None:
        with self._lock:
            if self._layout is None or self._closed or not packet.size:
                return
            is_key = packet.stream_index == self._layout.video_index and packet.is_keyframe
            if is_key:
                self._adopt_parameters(packet)
            one = ArrivedPacket(packet, arrived, self._layout, is_key)
            if self._config.record_mode == "always" or self._is_wanted(one):
                self._record(one)
            else:
                self._end_part(arrived)
                self._ring.add(one)

    def end(self) -> None:
        with self._lock:
            self._forget()

    def note(self, event: Event) -> None:
        if event.event in ("camera", "gap"):
            return
        now = datetime.now().astimezone()
        moment = datetime.fromisoformat(event.wall_time).astimezone() if event.wall_time else now
        with self._lock:
            self._until = max(self._until or moment, moment + AFTER)
            if self._part is None:
                for one in self._ring.take(moment - BEFORE):
                    self._record(one)

    def where(self, moment: datetime) -> Recorded | None:
        with self._lock:
            for part in reversed(self._parts):
                if part.path and part.started <= moment and (part.ended is None or moment <= part.ended):
                    return Recorded(part.path, (moment - part.started).total_seconds())
        return None

    def close(self, *, timeout_seconds: float = 2.0) -> None:
        """Finish the open file; one on a disk that does not answer is finished at the next start."""
        with self._lock:
            self._forget()
            self._closed = True
            self._lock.notify()
        self._thread.join(timeout_seconds)

    def _forget(self) -> None:
        self._end_part(datetime.now().astimezone())
        self._ring.clear()
        self._layout, self._parameters = None, b""

    def _adopt_parameters(self, packet: av.Packet[Any]) -> None:
        """Learn from a key frame whether size or profile are others than before."""
        parameters = parameter_sets(packet)
        if self._layout is None or parameters in (b"", self._parameters):
            return
        self._parameters = parameters
        try:
            self._layout = self._layout.of_key_frame(packet)
        except (ValueError, IndexError, av.error.FFmpegError) as error:
            logger.debug("%s: a key frame says nothing of itself: %s", self._camera, error)

    def _is_wanted(self, one: ArrivedPacket) -> bool:
        """Whether it is near an event; a group of pictures is recorded to its end, so that none is lost."""
        if self._until is None or one.arrived > self._until:
            return self._part is not None and not one.is_key
        return self._part is not None or one.is_key

    def _record(self, one: ArrivedPacket) -> None:
        if one.is_key and (self._part is None or self._is_over(self._part, one)):
            self._end_part(one.arrived)
            name = segment_name(self._camera, one.arrived, one.layout.ending)
            self._part = _Part(one.layout, one.arrived, name)
            self._parts.append(self._part)
        if self._part is not None and self._has_room(one):
            self._hand_over(self._part, one)

    def _is_over(self, part: _Part, one: ArrivedPacket) -> bool:
        length = self._config.segment_seconds
        is_next = one.arrived.timestamp() // length != part.started.timestamp() // length
        return is_next or one.layout is not part.layout or one.arrived < part.started

    def _has_room(self, one: ArrivedPacket) -> bool:
        """Drop from where the disk cannot follow to a key frame, which finds half of the room free."""
        room = self._max_waiting_bytes - self.waiting_bytes
        if self._is_dropping:
            self._is_dropping = not (one.is_key and one.packet.size <= room and room >= self._max_waiting_bytes / 2)
        else:
            self._is_dropping = one.packet.size > room
        self.dropped += self._is_dropping
        return not self._is_dropping

    def _end_part(self, at: datetime) -> None:
        if self._part is not None:
            self._part.ended = at
            self._hand_over(self._part, None)
        self._part = None

    def _hand_over(self, part: _Part, one: ArrivedPacket | None) -> None:
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

    def _next(self) -> tuple[_Part, ArrivedPacket | None] | None:
        with self._lock:
            self._lock.wait_for(lambda: self._waiting or self._closed)
            if not self._waiting:
                return None
            part, one = self._waiting.popleft()
            self.waiting_bytes -= one.packet.size if one else 0
            return part, one

    def _write(self, part: _Part, one: ArrivedPacket) -> None:
        if self._file_part is not part:
            self._close_file()
        file = self._file or self._open(part, one)
        if file is None:
            with self._lock:
                part.path = None
                self.dropped += 1
            return
        before = file.bytes
        file.write(one.packet, one.arrived)
        self.bytes_written += file.bytes - before
        if self._retry_at is not None and self._works_since and one.arrived - self._works_since >= _TRUSTED:
            logger.warning("%s is recorded again", self._camera)
            self._retry_at = None

    def _open(self, part: _Part, one: ArrivedPacket) -> SegmentFile | None:
        """Begin a file, unless it is too early to try again."""
        if not one.is_key or (self._retry_at is not None and self._clock() < self._retry_at):
            return None
        self._retention.make_room()
        name = segment_name(self._camera, one.arrived, part.layout.ending)
        self._file = self._open_file(self._config.folder, name, layout=part.layout, started=one.arrived)
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

    def _fail(self, part: _Part, error: Exception) -> None:
        """Say it once, keep what there is, and try again later."""
        if self._retry_at is None:
            logger.warning(
                "%s is watched, and not recorded: %s; it is tried again every %g s",
                self._camera, reason_of(error), RETRY_SECONDS,
            )  # fmt: skip
        self._retry_at = self._clock() + RETRY_SECONDS
        self._works_since = None
        with self._lock:
            part.path = None
            self.dropped += 1
        try:
            self._close_file()
        except OSError as again:
            logger.debug("%s: %s", self._camera, again)

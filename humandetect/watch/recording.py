"""Records cameras: decides where files begin while packets come, and has them written."""

from __future__ import annotations

import logging
import threading
from collections import deque
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import av

from humandetect.media.sinks.atomic_files import make_folder
from humandetect.watch.base import Recorded
from humandetect.watch.layout import Layout, parameter_sets
from humandetect.watch.packet_ring import ArrivedPacket, PacketRing
from humandetect.watch.part_writer import Part, PartWriter
from humandetect.watch.retention import Retention
from humandetect.watch.segments import segment_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from humandetect.config.recording import RecordConfig, RecordMode
    from humandetect.media.frames import Event

BEFORE = timedelta(seconds=5)
AFTER = timedelta(seconds=10)
_CERTAIN = timedelta(seconds=3)
"""How long it may take until it is known that something happened."""
_RING_BYTES = 32 * 1024 * 1024
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


class Recorder:
    """Writes the packets of one camera to files; what goes wrong costs the recording, and never the camera."""

    def __init__(
        self, camera: str, config: RecordConfig, *, retention: Retention,
        make_writer: Callable[..., PartWriter] = PartWriter,
    ) -> None:  # fmt: skip
        self._camera, self._config = camera, config
        self._lock = threading.Condition()
        self._layout: Layout | None = None
        self._parameters = b""
        self._parts: deque[Part] = deque(maxlen=_KNOWN_PARTS)
        self._part: Part | None = None
        self._part_layout: Layout | None = None
        """Beside the part, which is remembered for hours: each has some 20 kB."""
        self._ring = PacketRing(kept=BEFORE + _CERTAIN, max_bytes=_RING_BYTES)
        self._until: datetime | None = None
        """In `events` mode, when recording ends."""
        self.writer = make_writer(camera, config, retention=retention, lock=self._lock)

    @property
    def recording(self) -> bool:
        """Whether something is being written now."""
        return self.writer.writing

    @property
    def unrecorded(self) -> int:
        """Packets that should have been written, and were not."""
        return self.writer.dropped

    def begin(self, streams: Sequence[av.VideoStream | av.AudioStream]) -> None:
        with self._lock:
            if self._parameters:  # the same connection, whose key frames themselves tell what changes
                return
            self._forget()
            try:
                self._use(Layout({stream.index: stream for stream in streams}))
            except (ValueError, av.error.FFmpegError) as error:
                logger.warning("%s is not recorded: %s", self._camera, error)

    def packet(self, packet: av.Packet[av.VideoStream] | av.Packet[av.AudioStream], arrived: datetime) -> None:
        with self._lock:
            if self._layout is None or self.writer.closed or not packet.size:
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
            self.writer.close()
        self.writer.join(timeout_seconds)

    def _forget(self) -> None:
        self._end_part(datetime.now().astimezone())
        self._ring.clear()
        self._layout, self._parameters = None, b""

    def _use(self, layout: Layout) -> None:
        self._layout = layout
        if layout.left_out:
            names = ", ".join(layout.left_out)
            logger.warning("%s is recorded without sound: no kind of file can hold %s", self._camera, names)

    def _adopt_parameters(self, packet: av.Packet[Any]) -> None:
        """Learn from a key frame whether size or profile are others than before."""
        parameters = parameter_sets(packet)
        if self._layout is None or parameters in (b"", self._parameters):
            return
        self._parameters = parameters
        try:
            self._use(self._layout.of_key_frame(packet))
        except (ValueError, IndexError, av.error.FFmpegError) as error:
            logger.debug("%s: a key frame says nothing of itself: %s", self._camera, error)

    def _is_wanted(self, one: ArrivedPacket) -> bool:
        """Whether it is near an event; a group of pictures is recorded to its end, so that none is lost."""
        if self._until and self._until - one.arrived > AFTER + _CERTAIN:  # the clock was set back
            self._until = None
        if self._until is None or one.arrived > self._until:
            return self._part is not None and not one.is_key
        return self._part is not None or one.is_key

    def _record(self, one: ArrivedPacket) -> None:
        if one.is_key and one.layout.has_size and (self._part is None or self._is_over(self._part, one)):
            self._end_part(one.arrived)
            name = segment_name(self._camera, one.arrived, one.layout.ending)
            self._part, self._part_layout = Part(one.arrived, name), one.layout
            self._parts.append(self._part)
        if self._part is not None:
            self.writer.take(self._part, one)

    def _is_over(self, part: Part, one: ArrivedPacket) -> bool:
        length = self._config.segment_seconds
        is_next = one.arrived.timestamp() // length != part.started.timestamp() // length
        return is_next or one.layout is not self._part_layout or one.arrived < part.started

    def _end_part(self, at: datetime) -> None:
        if self._part is not None:
            self._part.ended = at
            self.writer.end(self._part)
        self._part = self._part_layout = None

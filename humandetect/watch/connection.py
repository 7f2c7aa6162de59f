"""One time that a camera answers: packets come in, the pictures that somebody may look at come out."""

from __future__ import annotations

import time
from collections import Counter, deque
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self

import av

from humandetect.config import SourceConfig
from humandetect.errors import SourceError
from humandetect.media.delay import DelayMeter
from humandetect.media.image_headers import check_size
from humandetect.media.sources import device_number
from humandetect.media.sources.container import NothingSent, PictureTooLong, reason
from humandetect.media.sources.decoding import orientation_of, to_bgr
from humandetect.media.sources.http_camera import open_camera_url
from humandetect.media.sources.snapshots import open_device, open_snapshots
from humandetect.media.sources.streams import pixel_aspect, video_streams
from humandetect.media.sources.url import AccessRefused, NoVideoThere
from humandetect.watch.layout import codec_in_band

if TYPE_CHECKING:
    from collections.abc import Iterator
    from fractions import Fraction

    import numpy as np
    from numpy.typing import NDArray

    from humandetect.config.detect import RtspTransport
    from humandetect.config.watch import Decode
    from humandetect.media.sources.container import Media
    from humandetect.watch.base import PacketSink

LossKind = Literal["unreachable", "refused", "closed", "silent", "frozen", "unreadable"]

_KINDS: dict[type[SourceError], LossKind] = {
    AccessRefused: "refused",
    NothingSent: "silent",
    PictureTooLong: "unreadable",
}
_DEVICE_PICTURES = 2
"""Pictures of a camera of this machine for each look, so that the look finds a fresh one."""
_KEYS_SEEN = 5
"""Key frames after whose distance `auto` judges."""


@dataclass(frozen=True, slots=True)
class ReaderSettings:
    """How a camera is read."""

    rate: float = 2.0
    """Pictures a second that will be looked at."""
    decode: Decode = "auto"
    """`key`: key frames only; `auto`: so, where they come as often as pictures are looked at."""
    max_delay_seconds: float = 1.0
    watchdog_seconds: float = 20.0
    open_seconds: float = 10.0
    transport: RtspTransport = "auto"
    max_megapixels: float = 50.0

    @property
    def source(self) -> SourceConfig:
        return SourceConfig(
            max_megapixels=self.max_megapixels, open_timeout_seconds=self.open_seconds,
            read_timeout_seconds=self.watchdog_seconds, rtsp_transport=self.transport,
        )  # fmt: skip


class Lost(Exception):
    """A camera does not answer, or does no more."""

    def __init__(self, kind: LossKind, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class CameraPicture(NamedTuple):
    """What a camera showed, not converted yet."""

    decoded: av.VideoFrame
    arrived_seconds: float
    """On the monotonic clock."""
    arrived_at: datetime
    delay_seconds: float | None
    """How late it came; None where its stamp says nothing."""
    pixel_aspect: Fraction

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as it was sent."""
        return self.decoded.width, self.decoded.height

    def image(self) -> NDArray[np.uint8]:
        """Convert it to upright (H, W, 3) BGR. Raises SourceError."""
        return to_bgr(self.decoded, orientation_of(self.decoded))


class Connection:
    """The packets of a camera, decoded as far as anybody will look."""

    def __init__(
        self, url: str, settings: ReaderSettings, packets: PacketSink | None = None, *,
        open_seconds: float | None = None,
    ) -> None:  # fmt: skip
        """Connect, within `open_seconds` rather than those of the settings. Raises Lost."""
        self.shedding = False
        """Whether to decode key frames only, to catch up."""
        self.skipped: Counter[str] = Counter()
        """Packets that were not decoded although their pictures were wanted, by reason."""
        self.delay = DelayMeter()
        self._settings = settings
        self._sink = packets
        settings = replace(settings, open_seconds=open_seconds or settings.open_seconds)
        self._media = _opened(url, settings, takes_all=packets is not None or settings.decode == "all")
        try:
            self._stream = video_streams(self._media)[0]
            check_size(self._stream.width, self._stream.height, max_megapixels=settings.max_megapixels)
        except SourceError as error:
            self._media.close()
            raise Lost("unreadable", str(error)) from None
        self._stream.codec_context.thread_count = 1  # many cameras fill the machine's cores themselves
        self._size = (self._stream.width, self._stream.height)
        self._needs_key = True
        """Whether what is left out so far makes the next pictures worthless."""
        self._keys: deque[float] = deque(maxlen=_KEYS_SEEN)
        """When key frames came."""
        self._begin()

    @property
    def codec_name(self) -> str:
        return self._stream.codec_context.name

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._sink:
            self._sink.end()
        self._media.close()

    def pictures(self) -> Iterator[CameraPicture | None]:
        """Yield each picture as it is decoded, and None for packets without one. Raises Lost at the end."""
        seen, patience = time.monotonic(), self._settings.open_seconds
        for packet in self._packets():
            now, at = time.monotonic(), datetime.now().astimezone()
            decoded = self._decode(packet, now) if packet.stream_index == self._stream.index else []
            if any((picture.width, picture.height) != self._size for picture in decoded):
                self._size = decoded[-1].width, decoded[-1].height
                self._begin()
            if self._sink and packet.size:
                self._sink.packet(packet, at)
            for picture in decoded:
                seen, patience = now, self._settings.watchdog_seconds
                yield CameraPicture(picture, now, at, self.delay.add(self._stamp(picture), now), self._aspect)
            if now - seen > patience:  # though sound may go on
                raise Lost("frozen", f"no picture for {patience:g} s")
            if not decoded:
                yield None

    def _begin(self) -> None:
        self._aspect = pixel_aspect(self._stream, lying=False)
        if self._sink:
            sound = [one for one in self._media.container.streams.audio if one.codec_context is not None]
            self._sink.begin([self._stream, *sound])

    def _packets(self) -> Iterator[av.Packet[Any]]:
        # Sound tells that a camera goes on without its pictures, and is recorded.
        patience = self._settings.watchdog_seconds
        silent = Lost("silent", f"nothing came for {patience:g} s")
        before = time.monotonic()
        try:
            for packet in self._media.packets(self._stream, *self._media.container.streams.audio):
                now = time.monotonic()
                if now - before >= patience:  # what libav still had, after it waited in vain
                    self._check_bytes()
                    raise silent
                before = now
                yield packet
        except av.ExitError:
            raise silent from None
        except (av.FFmpegError, OSError, IndexError) as error:
            self._check_bytes()
            raise Lost("closed", f"the connection broke: {reason(error)}") from None
        self._check_bytes()
        raise Lost("closed", "the camera ended the stream")

    def _check_bytes(self) -> None:
        try:
            self._media.check()
        except SourceError as error:
            raise _lost(error, "closed") from None

    def _decode(self, packet: av.Packet[av.VideoStream], now: float) -> list[av.VideoFrame]:
        if not packet.size:
            return []
        if packet.is_keyframe:
            self._check_codec(packet)
            self._keys.append(now)
            self._needs_key = False
        elif self._needs_key or self._wants_keys_only():
            self._needs_key = True
            self.skipped["late"] += self.shedding
            return []
        try:
            pictures = self._stream.codec_context.decode(packet)
        except EOFError:
            return []
        except (av.FFmpegError, OSError):
            self.skipped["damaged"] += 1
            return []
        # Pictures with holes show people who are not there.
        self.skipped["damaged"] += sum(picture.is_corrupt for picture in pictures)
        return [picture for picture in pictures if not picture.is_corrupt]

    def _check_codec(self, packet: av.Packet[av.VideoStream]) -> None:
        """Raise Lost where a camera changed its codec in band: decoder and recorder know only the one before."""
        said, sent = self._stream.codec_context.codec.canonical_name, codec_in_band(packet)
        if sent and said in ("h264", "hevc") and sent != said:
            raise Lost("closed", f"the camera sends {sent} now, and no more {said}")

    def _wants_keys_only(self) -> bool:
        if self.shedding or self._settings.decode == "key":
            return True
        if self._settings.decode == "all" or len(self._keys) < _KEYS_SEEN:
            return False
        return (len(self._keys) - 1) / (self._keys[-1] - self._keys[0] + 1e-9) >= self._settings.rate

    def _stamp(self, picture: av.VideoFrame) -> float | None:
        if picture.pts is None or self._stream.time_base is None or self._media.invents_stamps:
            return None
        return float(picture.pts * self._stream.time_base)


def _opened(url: str, settings: ReaderSettings, *, takes_all: bool) -> Media:
    config = settings.source
    try:
        if (number := device_number(url)) is not None:
            # Those that nobody looks at or keeps would be encoded and decoded for nothing.
            period_seconds = 0.0 if takes_all else 1 / (_DEVICE_PICTURES * settings.rate)
            return open_device(number, config, period_seconds=period_seconds)
        try:
            return open_camera_url(url, config, at_once=True)
        except NoVideoThere:
            if media := open_snapshots(url, config, period_seconds=1 / settings.rate):
                return media
            raise
    except SourceError as error:
        raise _lost(error, "unreachable") from None


def _lost(error: SourceError, otherwise: LossKind) -> Lost:
    return Lost(_KINDS.get(type(error), otherwise), str(error))

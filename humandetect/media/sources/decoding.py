"""Packets to pictures, past everything that is damaged."""

from __future__ import annotations

import errno
import math
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import av
import numpy as np
from av.sidedata.sidedata import SideDataContainer
from av.video.reformatter import Colorspace

from humandetect.cpus import usable_cpus
from humandetect.errors import SourceError
from humandetect.media.audio import RUN_UP_SECONDS, AudioTrack
from humandetect.media.images import upright
from humandetect.media.sources.clock import PacketTurns
from humandetect.media.sources.container import reason
from humandetect.media.sources.lost_packets import LostPackets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from humandetect.media.sources.container import Media

_ERRORS_IN_A_ROW = 50
"""A demuxer that gives nothing but errors will not recover."""
_MOST_THREADS = 8
_HD_LINES = 720
_NOT_SAID = 2
"""AVCOL_SPC_UNSPECIFIED."""
_HUNG_UP = "the connection ended"
_INTERLEAVED_SECONDS = 1.0
"""Containers keep sound and pictures of one moment this close together."""
_EARLY_SOUND_PACKETS = 2000
"""Sound that may come before the first picture: 40 s of AAC."""
_MOST_REORDERED = 16
"""Pictures that codecs let wait for others to be shown before."""


class Decoder:
    """The pictures of one video stream, in order; sound read on the way goes to its tracks."""

    def __init__(
        self,
        media: Media,
        stream: av.VideoStream,
        sound: Sequence[av.AudioStream] = (),
        *,
        silence_seconds: float | None = None,
    ) -> None:
        """`silence_seconds` is how long a live source may go without a picture."""
        self.damaged = 0
        """Packets that gave no picture, or one with holes."""
        self.packets = 0
        """Video packets read so far."""
        self.unseen = 0
        """Packets at the beginning that gave no picture, as they build on some from before it."""
        self.lost_before: dict[int | None, int] = {}
        """How many damaged packets gave no picture, by the stamp of the picture after them; where packets tell."""
        self._lost = LostPackets() if media.tells_pictures else None
        self._held: deque[av.VideoFrame] = deque()
        self._media = media
        self._stream = stream
        self._sound = sound
        self._turns = PacketTurns() if media.times_packets else None
        # Sound tells that a live source goes on without its pictures, so it is read there though nobody wants it.
        self._beside = media.container.streams.audio if silence_seconds is not None else sound
        self._early: deque[av.Packet[av.AudioStream]] = deque(maxlen=_EARLY_SOUND_PACKETS)
        self._keep: Callable[[av.Packet[av.AudioStream]], None] = self._early.append
        self._read = self._packets()
        self._silence_seconds = silence_seconds
        self._seen = time.monotonic()
        """When the last picture came, or reading began."""
        _use_threads(stream.codec_context, live=media.live)

    def __iter__(self) -> Iterator[av.VideoFrame]:
        leading: list[tuple[int | None, bool]] | None = []
        for packet in self._read:
            if leading is not None and not packet.is_discard:  # what an edit list hides gives no picture either
                leading.append((packet.dts if self._turns else packet.pts, packet.is_keyframe))
            if self._lost and packet.pts is not None and not packet.is_discard:
                self._lost.came(packet.pts)
            pictures = self._in_turn(self._decode(packet), packet.dts)
            if pictures:
                if leading is not None:
                    self.unseen, leading = _shown_before(pictures[0], leading), None
                    self.damaged *= not self._media.live  # that it is joined in its midst is no damage
                yield from pictures
                self._seen = time.monotonic()
        yield from self._in_turn(self._decode(None), None)

    def _in_turn(self, pictures: list[av.VideoFrame], read_until: int | None) -> list[av.VideoFrame]:
        """Note which packets were lost, and leave out what a decoder that finds its way shows late or twice.

        Only where something is damaged: some codecs have packets without a picture of their own.
        """
        if self._lost is None:
            return pictures
        self._held += pictures
        kept = []
        while self._held and not self._is_early(self._held[0], read_until):
            picture = self._held.popleft()
            lost = 0 if picture.pts is None else self._lost.shown(picture.pts)
            if lost is None and self.damaged:
                self.damaged += 1
                continue
            if lost and self.damaged:
                self.lost_before[picture.pts] = lost
            kept.append(picture)
        return kept

    def _is_early(self, picture: av.VideoFrame, read_until: int | None) -> bool:
        """Whether packets of earlier pictures may still come: a decoder that lost some does not wait for them."""
        if not self.damaged or len(self._held) > _MOST_REORDERED:
            return False
        return read_until is not None and picture.pts is not None and picture.pts > read_until

    def keep_sound(self, *, origin_seconds: float, ends: Callable[[], float], from_beginning: bool) -> list[AudioTrack]:
        """Return a track for each audio stream, with the sound from `origin_seconds` on, also what was read already.

        `ends` tells how many seconds after that it ends, and is asked at each packet: of a live source it moves.

        Before `origin_seconds` lies the run-up that players need: all there is from the beginning on, else a moment.
        """
        tracks = {stream.index: AudioTrack(stream, origin_seconds=origin_seconds) for stream in self._sound}
        begin = -math.inf if from_beginning else -RUN_UP_SECONDS

        def keep(packet: av.Packet[av.AudioStream]) -> None:
            stamp = packet.pts if packet.pts is not None else packet.dts
            if stamp is None or packet.stream_index not in tracks:
                return
            if begin <= float(stamp * packet.time_base) - origin_seconds < ends():
                tracks[packet.stream_index].push(packet)

        for packet in self._early:
            keep(packet)
        self._early.clear()
        self._keep = keep
        return list(tracks.values())

    def finish_sound(self, until_seconds: float) -> None:
        """Read on, without decoding, until the sound beside the last picture is there too."""
        for packet in self._read if self._sound else ():
            stamp = packet.dts if packet.dts is not None else packet.pts
            if stamp is None or float(stamp * packet.time_base) > until_seconds + _INTERLEAVED_SECONDS:
                break

    def _packets(self) -> Iterator[av.Packet[av.VideoStream]]:
        self._seen = time.monotonic()
        for packet in self._all_packets(self._stream, *self._beside):
            if self._silence_seconds is not None and time.monotonic() - self._seen > self._silence_seconds:
                self._media.check()  # may know better
                raise SourceError(f"no picture for {self._silence_seconds:g} s")  # though sound may go on
            video = packet.stream_index == self._stream.index
            self.packets += video and (packet.size > 0 or packet.dts is not None)  # the last one only says "end"
            # Empty packets stand for "as before" in AVI; a decoder would take them for the end.
            if packet.size and video:
                yield packet
            elif packet.size:
                self._keep(packet)

    def _all_packets(self, *streams: av.VideoStream | av.AudioStream) -> Iterator[av.Packet[Any]]:
        errors = 0
        while errors < _ERRORS_IN_A_ROW:
            try:
                for packet in self._media.packets(*streams):
                    errors = 0
                    yield packet
                break
            except IndexError:  # PyAV's way to end a file in which a stream appeared half way
                break
            except (av.FFmpegError, OSError) as error:
                self._media.check()
                if self._media.live or isinstance(error, av.ExitError):
                    raise SourceError(self._why_silent(error)) from None
                self.damaged += 1
                errors += 1
        self._media.check()
        if self._media.live:  # libav calls it an end if a server hangs up on RTSP, but a camera has none
            raise SourceError(_HUNG_UP)

    def _why_silent(self, error: av.FFmpegError | OSError) -> str:
        if isinstance(error, av.ExitError) and self._silence_seconds is not None:
            return f"nothing came for {self._silence_seconds:g} s"
        return _HUNG_UP if error.errno == errno.EIO else reason(error)

    def _decode(self, packet: av.Packet[av.VideoStream] | None) -> list[av.VideoFrame]:
        if self._turns and packet is not None:
            self._turns.came(packet)
        try:
            pictures = self._stream.codec_context.decode(packet)
        except EOFError:
            return []
        except (av.FFmpegError, OSError):
            self.damaged += 1
            if self._turns:
                self._turns.drop_latest()
            return []
        if self._turns:
            for picture in pictures:
                picture.pts = self._turns.next(picture)
        self.damaged += sum(picture.is_corrupt for picture in pictures)
        return pictures


def _shown_before(picture: av.VideoFrame, packets: Sequence[tuple[int | None, bool]]) -> int:
    """Count packets that belong before a picture: by their stamps, or where they have none up to a key frame."""
    stamps = [stamp for stamp, _ in packets if stamp is not None]
    if stamps and picture.pts is not None:
        return sum(stamp < picture.pts for stamp in stamps)
    keys = [is_key for _, is_key in packets]
    return keys.index(True) if True in keys else 0


def to_bgr(picture: av.VideoFrame, orientation: int) -> NDArray[np.uint8]:
    """Convert to upright (H, W, 3) BGR that belongs to the caller."""
    if picture.colorspace == _NOT_SAID and picture.height >= _HD_LINES:
        picture.colorspace = Colorspace.ITU709  # as players do; what says nothing is taken for SD otherwise
    # One thread: swscale's own threads double the CPU time of this conversion.
    try:
        pixels = picture.to_ndarray(format="bgr24", threads=1)
    except av.FFmpegError as error:
        raise SourceError(f"its pixels ({picture.format.name}) cannot be converted: {reason(error)}") from error
    if picture.format.name == "bgr24":
        pixels = pixels.copy()  # nothing was converted: these are the decoder's own pixels, which it may still need
    return upright(np.ascontiguousarray(pixels, np.uint8), orientation)


def orientation_of(picture: av.VideoFrame) -> int:
    """Return the picture's display matrix as an EXIF orientation (1 is upright)."""
    # `picture.side_data` would be kept by the picture and keep it, until the garbage collector comes.
    data = SideDataContainer(picture).get("DISPLAYMATRIX")  # type: ignore[call-arg]
    if data is None:
        return 1
    a, b, _, c, d = np.sign(np.frombuffer(bytes(data), np.int32)[:5])
    turned = {(-1, 0, 0, 1): 2, (-1, 0, 0, -1): 3, (1, 0, 0, -1): 4, (0, 1, 1, 0): 5}
    turned |= {(0, 1, -1, 0): 6, (0, -1, -1, 0): 7, (0, -1, 1, 0): 8}
    return turned.get((a, b, c, d), 1)


def _use_threads(codec: av.VideoCodecContext, *, live: bool) -> None:
    # Frame threads cost half as much CPU again (720p, 2 cores), so small machines decode on the reader's thread alone.
    # Each of them also holds a picture back, which a live source should not.
    codec.thread_count = max(1, min(_MOST_THREADS, usable_cpus() // 2))
    codec.thread_type = "SLICE" if live else "AUTO"

"""Sound in the output: packets copied untouched, or encoded to AAC where the container cannot hold them."""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING, Protocol

import av
from av.error import ArgumentError, InvalidDataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from av.container import OutputContainer
    from av.packet import Packet

    from humandetect.media.audio import AudioTrack

    AudioPacket = Packet[av.AudioStream]

logger = logging.getLogger(__name__)

_MP4_CODECS = {"aac", "mp3", "ac3", "eac3", "alac", "opus"}
"""What players expect in MP4. FFmpeg would also put PCM, FLAC, Vorbis and DTS there, and browsers stay silent."""
_MOV_CODECS = _MP4_CODECS | {"pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be"}
_COPIED = {"mp4": _MP4_CODECS, "mov": _MOV_CODECS}
"""Codecs copied, by format; any that can be written where the format is missing here."""

_TAGS = {"language": "language", "title": "title", "name": "title"}
"""What goes along of a track; titles are called otherwise in an MP4 that is read."""

_PRIMING_SECONDS = 0.2
"""Encoders put their run-up before time zero, and players cut it off; what ends earlier than this is no run-up."""

_DAMAGED = (ArgumentError, InvalidDataError)


class _Codec(Protocol):
    stream: av.AudioStream

    def convert(self, packet: AudioPacket | None) -> Iterator[AudioPacket]: ...


class Soundtrack:
    """One audio stream of an output. Bad sound costs its own packets, never the video.

    The source of `track` must still be open when this is made.
    """

    def __init__(self, out: OutputContainer, track: AudioTrack, *, tagged: bool = True) -> None:
        self._out = out
        self._track = track
        name = track.stream.codec_context.codec.canonical_name
        self._copied = _can_copy(out.format.name, track.stream)
        self._codec: _Codec = _Copy(out, track.stream) if self._copied else _Encode(out, track.stream)
        if tagged:
            said = track.stream.metadata
            self._codec.stream.metadata.update({tag: said[name] for name, tag in _TAGS.items() if said.get(name)})
        self._what = f"audio stream {track.stream.index} ({name})"
        self._damaged = 0
        self._before = 0
        self._last_dts: int | None = None

    def mux(self, until_seconds: float | None) -> None:
        """Write the packets that start before `until_seconds` of the output; None: all that are left."""
        for packet in self._track.take(until_seconds):
            self._mux(packet)

    def finish(self) -> list[str]:
        """Write what the encoder still holds; return what was lost or changed, as lines for people."""
        self._mux(None)
        counts = {
            "damaged packets were skipped": self._damaged,
            "packets came too early and were dropped": self._track.lost_packets,
            "packets before the first picture were left out": self._before,
        }
        warnings = [f"{self._what}: {count} {what}" for what, count in counts.items() if count]
        if not self._copied:
            warnings.append(f"{self._what} was encoded to AAC, as this kind of file cannot hold it")
        return warnings

    def _mux(self, packet: AudioPacket | None) -> None:
        if packet is not None and not self._shift(packet):
            return
        try:
            for ready in self._codec.convert(packet):
                self._out.mux(ready)
        except _DAMAGED as error:
            logger.debug("%s: %s", self._what, error)
            self._damaged += packet is not None

    def _shift(self, packet: AudioPacket) -> bool:
        """Move `packet` to the output's clock; False: it does not belong there."""
        origin = round(self._track.origin_seconds / packet.time_base)
        pts = packet.pts if packet.pts is not None else packet.dts
        dts = packet.dts if packet.dts is not None else packet.pts
        late = self._last_dts is not None and dts is not None and dts <= self._last_dts
        if packet.is_discard and (
            late or pts is None or not -_PRIMING_SECONDS <= (pts - origin) * packet.time_base < 0
        ):
            return False  # what an edit list hides is no loss; right before time zero it is the run-up
        if pts is None or dts is None or packet.is_corrupt or late:
            self._damaged += 1
            return False
        self._last_dts = dts
        packet.pts, packet.dts = pts - origin, dts - origin
        belongs = float((packet.pts + (packet.duration or 0)) * packet.time_base) > -_PRIMING_SECONDS
        self._before += not belongs
        return belongs


class _Copy:
    """Pass packets on as they are."""

    def __init__(self, out: OutputContainer, template: av.AudioStream) -> None:
        self.stream = out.add_stream_from_template(template)

    def convert(self, packet: AudioPacket | None) -> Iterator[AudioPacket]:
        if packet is not None:
            packet.stream = self.stream
            yield packet


class _Encode:
    """Decode packets and encode them to AAC."""

    def __init__(self, out: OutputContainer, source: av.AudioStream) -> None:
        decoder = source.codec_context
        rates = av.Codec("aac", "w").audio_rates or []
        rate = decoder.sample_rate if decoder.sample_rate in rates else 48_000
        # By count: sources often do not say which channel is which, and AAC must be told.
        layout = {1: "mono", 2: "stereo", 6: "5.1"}.get(decoder.layout.nb_channels, "stereo")
        self.stream = out.add_stream("aac", rate=rate, layout=layout, bit_rate=64_000 * (1 if layout == "mono" else 2))
        self._decoder = decoder
        self._resampler = av.AudioResampler(format="fltp", layout=layout, rate=rate, frame_size=1024)

    def convert(self, packet: AudioPacket | None) -> Iterator[AudioPacket]:
        for frame in self._decoder.decode(packet):
            yield from self._encode(frame)
        if packet is None:
            yield from self._encode(None)
            yield from self.stream.encode(None)

    def _encode(self, frame: av.AudioFrame | None) -> Iterator[AudioPacket]:
        for piece in self._resampler.resample(frame):
            yield from self.stream.encode(piece)


def soundtracks(
    out: OutputContainer, audio: Sequence[AudioTrack], *, tagged: bool
) -> tuple[list[Soundtrack], list[str]]:
    """Return a stream of `out` for each track that can be written, and what was left out, as lines for people."""
    usable = [Soundtrack(out, track, tagged=tagged) for track in audio if _is_usable(track)]
    lost = len(audio) - len(usable)
    return usable, [f"{lost} audio streams of an unknown kind were left out"] if lost else []


def _is_usable(track: AudioTrack) -> bool:
    """Tell whether enough is known of the sound to write it: exotic streams may have no decoder or no rate."""
    context = track.stream.codec_context
    return context is not None and context.sample_rate > 0 and context.layout.nb_channels > 0


def _can_copy(format_name: str, stream: av.AudioStream) -> bool:
    """Tell whether the format takes the stream, by writing a header in memory: FFmpeg's own list is too hopeful."""
    name = stream.codec_context.codec.canonical_name
    if name not in _COPIED.get(format_name, {name}):
        return False
    try:
        with av.open(io.BytesIO(), "w", format=format_name) as trial:
            trial.add_stream_from_template(stream)
            trial.start_encoding()
    except (ValueError, av.error.FFmpegError) as error:
        logger.debug("cannot copy %s into %s: %s", name, format_name, error)
        return False
    return True

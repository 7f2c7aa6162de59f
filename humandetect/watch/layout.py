"""Which streams a camera sends, and the kind of file that can hold them as they are."""

from __future__ import annotations

import io
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from av.container import OutputContainer

    AnyPacket = av.Packet[Any]
    AnyStream = av.VideoStream | av.AudioStream

TICK = Fraction(1, 90_000)
"""Of pictures in a file."""
_PIECES = {"movflags": "+hybrid_fragmented", "use_editlist": "0", "frag_duration": "1000000"}
_FORMATS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "mp4": (".mp4", _PIECES),
    "mov": (".mov", _PIECES),
    "matroska": (".mkv", {"cluster_time_limit": "1000"}),
}
"""Endings and options by format, in the order they are tried. MP4 plays everywhere, but cannot hold the telephone
sound (G.711) of many cameras; MOV can. Each second goes to the disk as it comes, so that what is killed plays. An edit
list would end before the last picture where pictures are stored in another order than shown."""

_AT_ONCE = {"flush_packets": "1", "max_interleave_delta": "1000000"}
"""Without a limit, sound that stops would hold the pictures back for 10 s."""

_PARAMETER_SETS = {"h264": (0x1F, 0, {7, 8}), "hevc": (0x3F, 1, {32, 33, 34})}
"""Mask, shift and kinds of the units of a stream that say its size and profile."""
_HEVC_HEADS = {b"\x40\1", b"\x42\1"}
_H264_HEADS = {0x27, 0x47, 0x67}
"""Of sets of a video and of its sequences."""
_HEAD_BYTES = 4096
"""They come before the picture."""


class Layout:
    """The streams of a connection, copied: they last when it is gone."""

    def __init__(self, streams: Mapping[int, AnyStream]) -> None:
        """Take the streams by their index, the picture's first. Raises ValueError where no kind of file can hold it.

        Of a stream that was joined in its midst the size is not known before a key frame, and no file can be begun.
        """
        self._store = av.open(io.BytesIO(), "w", format="nut")  # takes all codecs, and is never written
        self.video_index = next(iter(streams))
        copies = {index: self._store.add_stream_from_template(stream) for index, stream in streams.items()}
        video = {self.video_index: copies[self.video_index]}
        picture = streams[self.video_index]
        self.has_size = not isinstance(picture, av.VideoStream) or picture.width > 0
        self.streams = copies if not self.has_size or _formats_of(copies) else video
        self.left_out = [stream.codec_context.name for index, stream in copies.items() if index not in self.streams]
        """Codecs of sound that no kind of file can hold."""
        formats = _formats_of(self.streams) if self.has_size else [*_FORMATS]
        if not formats:
            raise ValueError(f"no kind of file can hold {copies[self.video_index].codec_context.name}")
        self._format = formats[0]

    @property
    def ending(self) -> str:
        return _FORMATS[self._format][0]

    def of_key_frame(self, packet: AnyPacket) -> Layout:
        """Return the same with what a key frame itself says of size and profile."""
        name = self.streams[self.video_index].codec_context.codec.canonical_name
        with av.open(io.BytesIO(bytes(packet)), format=name) as raw:
            return Layout({**self.streams, self.video_index: raw.streams.video[0]})

    def open(self, path: Path) -> tuple[OutputContainer, dict[int, AnyStream]]:
        """Begin a file."""
        options = {**_FORMATS[self._format][1], **_AT_ONCE}
        out = av.open(str(path), "w", format=self._format, container_options=options)
        streams = {index: out.add_stream_from_template(template) for index, template in self.streams.items()}
        video = streams[self.video_index]
        video.time_base = TICK
        if video.codec_context.codec.canonical_name == "hevc" and self.ending != ".mkv":
            video.codec_context.codec_tag = "hvc1"  # what Apple's players ask for
        return out, streams


def _formats_of(streams: Mapping[int, AnyStream]) -> list[str]:
    return [name for name in _FORMATS if _holds(name, streams)]


def _holds(format_name: str, streams: Mapping[int, AnyStream]) -> bool:
    """Try it in memory: FFmpeg's own list is too hopeful."""
    try:
        with av.open(io.BytesIO(), "w", format=format_name) as trial:
            for stream in streams.values():
                trial.add_stream_from_template(stream)
            trial.start_encoding()
    except (ValueError, av.error.FFmpegError):
        return False
    return True


def parameter_sets(packet: AnyPacket) -> bytes:
    """Return what a key frame of H.264 or H.265 says in band of size and profile; empty where it says nothing."""
    kinds = _PARAMETER_SETS.get(packet.stream.codec_context.codec.canonical_name)
    if kinds is None:
        return b""
    mask, shift, wanted = kinds
    return b"".join(unit.rstrip(b"\0") for unit in _units(packet) if unit[0] >> shift & mask in wanted)


def codec_in_band(packet: AnyPacket) -> str | None:
    """Return `h264` or `hevc` if a key frame has parameter sets of it, whatever its stream is said to be.

    No unit of the one codec begins as those that are looked for of the other.
    """
    heads = {unit[:2] for unit in _units(packet)}
    if heads >= _HEVC_HEADS:
        return "hevc"
    return "h264" if any(head[0] in _H264_HEADS for head in heads) else None


def _units(packet: AnyPacket) -> list[bytes]:
    """Return the first units of a packet, which start codes part; none where lengths do."""
    head = bytes(memoryview(packet)[:_HEAD_BYTES])
    if not head.startswith((b"\0\0\1", b"\0\0\0\1")):
        return []
    return [unit for unit in head.split(b"\0\0\1")[1:] if unit]

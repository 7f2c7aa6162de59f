"""A video made of parts that were encoded alike, without encoding them again."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Self, cast

import av

from humandetect.errors import SinkError
from humandetect.media.sinks.h264 import exact_start
from humandetect.media.sinks.sound import Soundtrack, soundtracks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from fractions import Fraction
    from pathlib import Path
    from types import TracebackType
    from typing import BinaryIO

    from av.container import InputContainer, OutputContainer

    from humandetect.media.audio import AudioTrack


class JoinedVideo:
    """An MP4 being written: the pictures of one part after the other at the times they have there, and the sound.

    In a `with` block; it is complete once that ends without an error.
    """

    def __init__(
        self,
        path: Path,
        *,
        audio: Sequence[AudioTrack],
        read_sound: Callable[[float], object],
        tags: Mapping[str, str],
    ) -> None:
        """`read_sound` brings the sound up to a time, in seconds, to its tracks; their source must stay open."""
        self.warnings: list[str] = []
        """What was lost or changed, for people; complete after the block."""
        self._path = path
        self._audio, self._read_sound, self._tags = audio, read_sound, tags
        self._out: OutputContainer | None = None
        self._stream: av.VideoStream
        self._sound: list[Soundtrack] = []

    def add(self, part: BinaryIO) -> None:
        """Append a part; an empty file has no pictures. Raises SinkError where it was encoded otherwise."""
        if not part.seek(0, os.SEEK_END):
            return
        part.seek(0)
        with av.open(part, "r") as given:
            if self._out is None:
                self._out = self._begun(given)
            pictures = given.streams.video[0]
            if pictures.codec_context.extradata != self._stream.codec_context.extradata:
                raise SinkError("its parts were encoded by different encoders and cannot be joined")
            for packet in given.demux(pictures):
                if not packet.size or packet.pts is None:
                    continue
                self._write_sound(until_seconds=float(packet.pts * packet.time_base))
                packet.stream = self._stream
                self._out.mux(packet)

    def _begun(self, first: InputContainer) -> OutputContainer:
        template = first.streams.video[0]
        tick = cast("Fraction", template.time_base)
        options = {**exact_start(tick), "movflags": "+faststart"}
        out = av.open(str(self._path), "w", format="mp4", container_options=options)
        out.metadata.update(self._tags)
        self._stream = out.add_stream_from_template(template)
        self._stream.time_base = tick
        self._sound, self.warnings = soundtracks(out, self._audio, tagged=True)
        return out

    def _write_sound(self, *, until_seconds: float) -> None:
        self._read_sound(until_seconds)
        for track in self._sound:
            track.mux(until_seconds=until_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            with suppress(av.FFmpegError):
                if self._out is not None:
                    self._out.close()

    def _finish(self) -> None:
        if self._out is None:
            raise SinkError("none of its parts has a picture")
        self._write_sound(until_seconds=math.inf)
        for track in self._sound:
            self.warnings += track.finish()
        self._out.close()

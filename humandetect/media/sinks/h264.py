"""A video file being written: H.264 with the times of its frames, and the sound beside it."""

from __future__ import annotations

import logging
from contextlib import suppress
from fractions import Fraction
from typing import TYPE_CHECKING, cast

import av
import cv2
from av.video.reformatter import ColorPrimaries, ColorRange, ColorTrc

from humandetect.errors import SinkError
from humandetect.media.frames import SQUARE
from humandetect.media.sinks.sound import soundtracks
from humandetect.plural import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from av.packet import Packet
    from numpy.typing import NDArray

    from humandetect.config import Preset
    from humandetect.media.audio import AudioTrack
    from humandetect.media.frames import Frame, VideoInfo

    VideoPacket = Packet[av.VideoStream]

logger = logging.getLogger(__name__)

ENCODERS = ("libx264", "libopenh264", "h264_videotoolbox", "h264_nvenc", "mpeg4")
"""The first that opens is used."""

_FINEST_TICK = {"mpeg4": Fraction(1, 65_535)}
"""The shortest tick an encoder takes; a microsecond where it is missing here."""

X264_OPTIONS = {"crf": "23", "bf": "0"}
"""Measured on the plaza clip at 720p with veryfast: 44 dB at 0.65 Mbit/s; a lower CRF only makes larger files.

Without B-frames pictures are stored in the order and with the durations they are shown in: players that ignore edit
lists keep them in step with the sound, and uneven times stay exact. That costs a fifth in size and saves 1 ms a frame.
"""

_BT601 = 6
"""AVCOL_SPC_SMPTE170M, the matrix of cv2's YUV: untagged, players would take HD video for BT.709 and shift colours."""


class PresentationTimes:
    """Turns seconds into strictly increasing ticks, the source's own where they are known."""

    def __init__(self, info: VideoInfo, *, origin_seconds: float, finest: Fraction) -> None:
        base = info.time_base or Fraction(0)
        if not finest <= base <= 1:
            base = max(Fraction(1, 90_000), finest)
        while base > Fraction(1, 10_000):  # as MP4 does: room between coarse ticks for frames that claim the same time
            base /= 2
        self.time_base = base
        self.ticks = -1
        """Of the latest frame."""
        self._origin_seconds = origin_seconds
        self._usual = round(1 / (info.fps * base)) if info.fps else None
        self._gap = round(1 / (25 * base))

    def advance(self, time_seconds: float) -> int:
        """Return the ticks of the next frame."""
        ticks = max(round((time_seconds - self._origin_seconds) / float(self.time_base)), self.ticks + 1)
        if self.ticks >= 0:
            self._gap = ticks - self.ticks
        self.ticks = ticks
        return ticks

    @property
    def duration(self) -> int:
        """How long the latest frame is shown, should it be the last: without a known rate as long as the one before."""
        return max(self._usual or self._gap, 1)

    def duration_of_last(self, seconds: float | None) -> int:
        """Return how long the latest frame is shown, as long as the source says where it says so."""
        return self.duration if seconds is None else max(round(seconds / float(self.time_base)), 1)

    @property
    def seconds(self) -> float:
        """When the latest frame begins."""
        return float(self.ticks * self.time_base)

    @property
    def end_seconds(self) -> float:
        return float((self.ticks + self.duration) * self.time_base)


class VideoFile:
    """The file being written: one video stream and its sound."""

    def __init__(
        self,
        path: Path,
        format_name: str,
        *,
        hw: tuple[int, ...],
        info: VideoInfo,
        origin_seconds: float,
        preset: Preset,
        audio: Sequence[AudioTrack],
        pixel_aspect: Fraction = SQUARE,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        self.warnings: list[str] = []
        self._hw = (hw[0], hw[1])
        self._scaled = 0
        self._held: VideoPacket | None = None
        self._last_seconds: float | None = None
        """How long the latest frame is shown, if the source says so."""
        encoder = self._choose_encoder()
        finest = _FINEST_TICK.get(encoder, Fraction(1, 1_000_000))
        self._times = PresentationTimes(info, origin_seconds=origin_seconds, finest=finest)
        # Each second goes to the disk as it comes: a power cut or `kill -9` leaves what plays. The end brings an index.
        pieces = (
            {"cluster_time_limit": "1000"}
            if format_name == "matroska"
            else {
                **exact_start(self._times.time_base),
                "movflags": "+hybrid_fragmented", "use_editlist": "1", "frag_duration": "1000000",
            }
        )  # fmt: skip
        self._out = av.open(str(path), "w", format=format_name, container_options={**pieces, "flush_packets": "1"})
        self._out.metadata.update(tags or {})
        self._stream = self._add_video(encoder, info.fps or Fraction(25), preset)
        self._stream.codec_context.sample_aspect_ratio = pixel_aspect
        self._sound, left_out = soundtracks(self._out, audio, tagged=tags is not None)
        self.warnings += left_out

    def encode(self, frame: Frame) -> None:
        picture = av.VideoFrame.from_ndarray(self._to_yuv(frame.image), format="yuv420p")
        picture.pts = self._times.advance(frame.time_seconds)
        picture.time_base = self._times.time_base
        self._last_seconds = frame.duration_seconds
        for track in self._sound:
            track.mux(until_seconds=self._times.seconds)
        self._mux(self._stream.encode(picture))

    def finish(self, *, complete: bool) -> None:
        self._mux(self._stream.encode(None))
        if self._held is not None:
            self._held.duration = self._times.duration_of_last(self._last_seconds)
            self._out.mux(self._held)
        for track in self._sound:
            track.mux(until_seconds=None if complete else self._times.end_seconds)
            self.warnings += track.finish()
        if self._scaled:
            height, width = self._hw
            self.warnings.append(f"{counted(self._scaled, 'frame')} of another size scaled to {width} x {height}")
        self._out.close()

    def close(self) -> None:
        """Let go of the file; what is wrong with it was said before."""
        with suppress(av.error.FFmpegError):
            self._out.close()

    def _mux(self, packets: list[VideoPacket]) -> None:
        """Hold the latest packet back until the next one tells how long its picture is shown."""
        for packet in packets:
            if self._held is not None and packet.pts is not None and self._held.pts is not None:
                self._held.duration = packet.pts - self._held.pts
                self._out.mux(self._held)
            self._held = packet

    def _choose_encoder(self) -> str:
        name = choose_encoder(*self._even_hw)
        if name != ENCODERS[0]:
            self.warnings.append(f"this build of FFmpeg has no {ENCODERS[0]}: the video was encoded by {name}")
        return name

    @property
    def _even_hw(self) -> tuple[int, int]:
        height, width = self._hw
        return height + height % 2, width + width % 2

    def _add_video(self, name: str, fps: Fraction, preset: Preset) -> av.VideoStream:
        height, width = self._even_hw
        x264 = {"preset": preset, **X264_OPTIONS}
        options = x264 if name == "libx264" else {"b": str(int(width * height * fps / 8)), "bf": "0"}
        stream = cast("av.VideoStream", self._out.add_stream(name, rate=fps, options=options))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        context.time_base = self._times.time_base
        # PyAV's default, threads within a frame, costs compression and more CPU than threads over frames.
        context.thread_type = "FRAME"
        context.colorspace, context.color_range = _BT601, ColorRange.MPEG
        context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        return stream

    def _to_yuv(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        height, width = self._hw
        if image.shape[:2] != self._hw:
            image = cast("NDArray[np.uint8]", cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA))
            self._scaled += 1
        if height % 2 or width % 2:
            border = cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
            image = cast("NDArray[np.uint8]", border)
        # A fifth of swscale's time. VideoFrame.from_numpy_buffer would save one more copy, but cuts heights that are
        # not a multiple of 4.
        return cast("NDArray[np.uint8]", cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420))


def exact_start(tick: Fraction) -> dict[str, str]:
    """Return the option of MP4 and MOV by which the first picture is shown when it should be, not up to 1 ms beside."""
    return {"movie_timescale": str(tick.denominator)}


def choose_encoder(height: int, width: int) -> str:
    """Return the first encoder that opens: hardware ones are listed in builds for machines without the hardware."""
    for name in ENCODERS:
        try:
            context = cast("av.VideoCodecContext", av.CodecContext.create(name, "w"))
            context.width, context.height, context.pix_fmt = width, height, "yuv420p"
            context.time_base = Fraction(1, 25)
            context.open()
        except (ValueError, av.error.FFmpegError) as error:
            logger.debug("%s does not open: %s", name, error)
        else:
            return name
    raise SinkError(f"cannot encode {width} x {height} video: no working encoder among {', '.join(ENCODERS)}")

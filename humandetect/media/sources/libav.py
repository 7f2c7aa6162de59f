"""Video from files, pipes and addresses."""

from __future__ import annotations

import math
import time
from contextlib import closing
from fractions import Fraction
from itertools import chain, islice
from typing import TYPE_CHECKING

from humandetect.errors import SourceError
from humandetect.media.frames import Frame, VideoInfo
from humandetect.media.image_headers import check_size
from humandetect.media.sources.base import Source
from humandetect.media.sources.clock import FALLBACK_FPS, Clock, believable_rate, shown_seconds, stamp_seconds
from humandetect.media.sources.container import decoder_limits
from humandetect.media.sources.decoding import Decoder, orientation_of, to_bgr
from humandetect.media.sources.filtering import PictureFilter, told_parity
from humandetect.media.sources.h264_fields import may_have_fields
from humandetect.media.sources.seeking import StartPlan, plan_start, seek, shortest_step
from humandetect.media.sources.streams import (
    claimed_frames,
    count_if_cut,
    cut_off,
    pixel_aspect,
    start_of,
    tags_of,
    video_streams,
)
from humandetect.plural import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import av

    from humandetect.config import SourceConfig
    from humandetect.media.sources.container import Media

_NO_TIME_BASE = Fraction(1, 1000)
_FIELD_SAMPLE = 3
"""Pictures beyond the first that tell how far pictures are apart: packets of which two are one are closer."""
_ONE_AND_A_HALF, _ALL_IN_FIELDS, _MOST_PACKETS = Fraction(3, 2), Fraction(39, 20), Fraction(5, 2)
"""Packets to a picture; between the first two most pictures come in two, and more than the last are no fields."""


class VideoSource(Source):
    """One video stream and, if wanted, the sound beside it."""

    def __init__(
        self, name: str, open_media: Callable[[], Media], config: SourceConfig, *, audio: bool = False
    ) -> None:
        """`open_media` is called again where the start lies later. Raises SourceError, without the name."""
        super().__init__(name, VideoInfo(0, 0))
        self.is_progressive = True
        """Whether each of its frames is one packet and one picture, as far as the first tells."""
        self.limit = config.limit
        self._config = config
        self._wants_sound = audio
        self._plan: StartPlan | None = None
        self._read = 0
        self._open_media = open_media
        self._media = open_media()
        self._pictures: Iterator[av.VideoFrame]
        try:
            self._use(self._media)
            self._look_at_first_picture()
            if config.start_seconds > 0:
                self._jump()
            self.tags = {} if self._media.live else tags_of(self._media)
            self.audio = self._decoder.keep_sound(
                origin_seconds=float(self._origin or 0) + config.start_seconds,
                ends=lambda: self._end_seconds - config.start_seconds,
                from_beginning=config.start_seconds == 0 and not self._media.live,
            )
        except BaseException:
            self._media.close()
            raise

    def _next(self, frames: Iterator[Frame]) -> Frame | None:
        try:
            return super()._next(frames)
        except SourceError as error:
            raise SourceError(f"{self.name!r} ended after {counted(self._read, 'frame')}: {error}") from error.__cause__

    def _release(self) -> None:
        self._media.close()

    def read_sound(self, until_seconds: float) -> None:
        self._decoder.finish_sound(float(self._origin or 0) + until_seconds)

    def _look_at_first_picture(self) -> None:
        """Only the first picture tells size, rotation and whether there is anything to see."""
        first = next(self._pictures, None)
        self._first_came = time.monotonic()
        self._media.check()
        if first is None:
            raise SourceError(self._media.why_no_picture())
        self._check_size(first)
        self._rate = believable_rate(self._stream, first)
        in_fields = self._filter.interlaced or self._may_have_fields()
        more = _FIELD_SAMPLE if in_fields and not self._media.live else 0
        seen = [first, *islice(self._pictures, more)]
        self._pictures = chain(seen, self._pictures)
        self._orientation = orientation_of(first)
        self._step = shortest_step(seen) or 0
        packets = self._step * self._time_base * (self._rate or 0)
        self._in_fields = _ONE_AND_A_HALF < packets < _MOST_PACKETS
        if self._rate and 1 < packets < _MOST_PACKETS:
            self._rate /= 2 if packets > _ALL_IN_FIELDS else packets
        self.is_progressive = not in_fields
        self._first_stamp = first.pts
        stamp = stamp_seconds(first, self._time_base)
        self._origin = stamp if self._media.live else start_of(self._media, self._stream, stamp)
        if (unseen := self._decoder.unseen) and not (self._media.live or self._config.start_seconds):
            frames = counted(unseen // 2 if self._in_fields else unseen, "frame")
            self.warnings.append(f"it begins inside a group of pictures: its first {frames} cannot be decoded")
        self._claimed = claimed_frames(self._stream, self._rate, self._media.size)
        lying = self._orientation >= 5
        self._pixel_aspect = pixel_aspect(self._stream, lying=lying)
        self.info = VideoInfo(
            width=first.height if lying else first.width,
            height=first.width if lying else first.height,
            kind="live" if self._media.live else "video",
            fps=self._rate,
            time_base=self._time_base,
            frame_count=None if self._media.live else self._expected(),
        )

    def _may_have_fields(self) -> bool:
        codec = self._stream.codec_context
        return codec.name == "h264" and may_have_fields(codec.extradata)

    def _use(self, media: Media) -> None:
        self._media = media
        streams = video_streams(media)
        self._stream = streams[0]
        self._time_base = self._stream.time_base or _NO_TIME_BASE
        check_size(self._stream.width, self._stream.height, max_megapixels=self._config.max_megapixels)
        silence = self._config.read_timeout_seconds if media.live else None
        sound = (
            [track for track in media.container.streams.audio if track.codec_context is not None]
            if self._wants_sound
            else []
        )
        self._stream.codec_context.options = decoder_limits(self._config)
        self._decoder = Decoder(media, self._stream, sound, silence_seconds=silence)
        self._filter = PictureFilter(self.name, parity=told_parity(self._stream.codec_context))
        self._pictures = self._filter.apply(self._decoder)
        self.warnings = [media.warning] if media.warning else []
        if len(streams) > 1:
            size = f"{self._stream.width} x {self._stream.height}"
            self.warnings.append(f"{len(streams)} video streams; stream {self._stream.index} ({size}) was read")

    def _jump(self) -> None:
        """Go on from the last key frame before the start; without a way to it, frames up to the start are dropped."""
        if not self._media.seekable or self._origin is None:
            return
        start = self._origin + Fraction(self._config.start_seconds).limit_denominator(1_000_000)
        with closing(self._open_media()) as media:
            stream = video_streams(media)[0]
            plan = plan_start(media, stream, start, step=self._step, first_stamp=self._first_stamp)
        if plan is not None and self._go_to_key(plan.key_stamp, plan.key_place):
            self._plan = plan

    def _go_to_key(self, key_stamp: int, key_place: int | None = None) -> bool:
        """Go on from a key frame, or from one before it; False, and at the beginning, where there is no way to it.

        With intra refresh, whose key frames are no pictures of their own, decoding takes until the next to get there.
        """
        for stamp in (key_stamp, key_stamp - 1):
            self._media.close()
            self._use(self._open_media())
            if not seek(self._media, self._stream, stamp, key_place):
                self._media.close()
                self._use(self._open_media())
                return False
            first = next(self._pictures, None)
            self._pictures = chain([first] if first else [], self._pictures)
            if first and first.pts is not None and first.pts <= key_stamp:
                break
        return True

    def _expected(self) -> int | None:
        """Return the frames that the configured part of the source holds."""
        config, count = self._config, self._claimed
        if count is not None:
            rate = float(self._rate or FALLBACK_FPS)
            count = max(0, count - round(config.start_seconds * rate))
            if config.duration_seconds is not None:
                count = min(count, round(config.duration_seconds * rate))
        if config.limit is not None:
            count = config.limit if count is None else min(count, config.limit)
        return count

    def _frames(self) -> Iterator[Frame]:
        media = self._media
        clock = Clock(
            time_base=self._time_base, origin=self._origin, rate=self._rate,
            live_since=self._first_came if media.live else None,
            invented=media.invents_stamps,
        )  # fmt: skip
        try:
            yield from self._timed(clock)
        finally:  # a live source mostly ends because nobody wants more of it
            self._warn_of_repairs(clock)

    @property
    def _end_seconds(self) -> float:
        begin, duration = self._config.start_seconds, self._config.duration_seconds
        return math.inf if duration is None else round(begin + self.unseen_seconds + duration, 9)

    def _timed(self, clock: Clock) -> Iterator[Frame]:
        config = self._config
        index, seconds, shown_for = -1, 0.0, None
        for index, picture in self._numbered():
            seconds = clock.seconds(picture)
            if seconds < config.start_seconds:
                continue
            if seconds >= self._end_seconds:
                break
            self._check_size(picture)
            packets = 2 if self._in_fields and (picture.duration or 0) < self._step else 1
            shown_for = shown_seconds(picture, self._time_base, packets=packets)
            yield Frame(
                to_bgr(picture, self._orientation), index=index, time_seconds=seconds, source=self.name,
                duration_seconds=shown_for, pixel_aspect=self._pixel_aspect,
            )  # fmt: skip
            self._read += 1
            if self._read == self.limit:
                break
        else:
            self._warn_of_missing(index + 1, seconds + (shown_for or 0))
        if self._read and self._origin is not None and not self._media.live:
            self._decoder.finish_sound(float(self._origin) + seconds)

    def _numbered(self) -> Iterator[tuple[int, av.VideoFrame]]:
        """Pair pictures with their index from the source's start; those that cannot be decoded keep theirs."""
        index = -1
        for picture in self._pictures:
            known = self._plan.index_of(picture) if self._plan else None
            lost = self._decoder.lost_before.pop(picture.pts, 0) if self.is_progressive else 0
            index = index + 1 + lost if known is None else known
            yield index, picture

    def _warn_of_missing(self, count: int, end_seconds: float) -> None:
        end = end_seconds + float(self._origin or 0)
        whole = count_if_cut(self._stream, self._rate, packets=self._decoder.packets, end=end)
        if whole and not self._plan:  # after a jump the packets before it were not counted
            self.warnings.append(cut_off(count, whole))
        if not self._read:
            start, has = self._config.start_seconds, counted(count, "frame")
            self.warnings.append(f"no frame at or after {start:g} s: the video has {has}")

    def _warn_of_repairs(self, clock: Clock) -> None:
        if self._decoder.damaged:
            self.warnings.append(f"{counted(self._decoder.damaged, 'damaged packet')} skipped or repaired")
        if clock.repaired:
            self.warnings.append(f"{counted(clock.repaired, 'timestamp')} went backwards or stood still; repaired")
        if clock.missing and not self._media.live:
            rate = float(self._rate or FALLBACK_FPS)
            self.warnings.append(f"{counted(clock.missing, 'frame')} without a timestamp; placed at {rate:g} a second")
        lost = sum(track.lost_packets for track in self.audio)
        if lost:
            self.warnings.append(f"{counted(lost, 'sound packet')} dropped: too far ahead of the pictures")

    def _check_size(self, picture: av.VideoFrame) -> None:
        check_size(picture.width, picture.height, max_megapixels=self._config.max_megapixels)

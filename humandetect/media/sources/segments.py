"""Parts of long videos, read without what comes before: where they begin, and their frames as the whole has them."""

from __future__ import annotations

import threading
from bisect import bisect_left
from dataclasses import dataclass
from fractions import Fraction
from io import BufferedReader
from itertools import count, islice, pairwise
from typing import TYPE_CHECKING, NamedTuple

import av

from humandetect.errors import SourceError
from humandetect.media.frames import Frame
from humandetect.media.sources.clock import is_believable_gap, shown_seconds
from humandetect.media.sources.container import open_bytes
from humandetect.media.sources.decoding import to_bgr
from humandetect.media.sources.files import open_file
from humandetect.media.sources.index_only import IndexOnly
from humandetect.media.sources.libav import VideoSource
from humandetect.media.sources.seeking import UNCOUNTABLE, seek
from humandetect.media.sources.streams import count_if_cut, cut_off, video_streams

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from humandetect.config import SourceConfig
    from humandetect.media.sources.container import Media

_TOLD_BY_INDEX = {"h264", "hevc", "mpeg4", "av1", "libdav1d"}
"""Codecs whose packets in an MP4 are what its index says, without a look into them."""
_ORDER_SAMPLE = 12
"""Pictures, of which some would come in another order than their packets, where any do."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Frames of a video from one key frame to another; stamps are ticks of its stream."""

    number: int
    first_frame: int
    """Counts from the source's start."""
    frames: int
    key_stamp: int
    """Of the key frame to decode from, the first that is shown of the segment."""
    end_stamp: int | None
    """Frames before it belong to this segment; None: all that come."""


def cut(
    path: str, config: SourceConfig, *, seconds: float, stop: threading.Event | None = None,
    warnings: list[str] | None = None,
) -> tuple[Segment, ...]:  # fmt: skip
    """Cut a video at key frames, each segment at least so long, by reading packets only.

    There are none where its numbers or its stamps cannot be told from packets; `warnings` takes what the file lacks.
    Raises SourceError, also once `stop` is set.
    """
    with _Beginning(path, lambda: open_bytes(open_file(path), config), config) as source:
        stamps = (
            _stamps(_opened_for_packets(path, config), stop or threading.Event(), [] if warnings is None else warnings)
            if source.is_progressive
            else None
        )
        if not stamps or not (stamps.reordered or source.is_in_order()):
            return ()
    return tuple(_segments(stamps, seconds=seconds))


class _Beginning(VideoSource):
    """The first pictures of a video, which tell what packets do not."""

    def is_in_order(self) -> bool:
        """Whether stamps rise from picture to picture: some files have those of decoding, which say less."""
        few = islice(self._pictures, _ORDER_SAMPLE) if self._stream.codec_context.has_b_frames else ()
        return all(before < after for before, after in pairwise(picture.pts or 0 for picture in few))


def _opened_for_packets(path: str, config: SourceConfig) -> Media:
    """Open a video of which no picture will be decoded, without reading them where its index tells enough."""
    file = IndexOnly(open_file(path))
    if file.has_index:
        media = open_bytes(BufferedReader(file), config, parses=False)
        if video_streams(media)[0].codec_context.name in _TOLD_BY_INDEX:
            file.skips = True
            return media
        media.close()
    file.close()
    return open_bytes(open_file(path), config)


class _Stamps(NamedTuple):
    """Of all frames that are shown and of key frames, in order, and their tick."""

    shown: list[int]
    keys: list[int]
    tick: Fraction
    reordered: bool
    """Whether packets come in another order."""


def _stamps(media: Media, stop: threading.Event, warnings: list[str]) -> _Stamps | None:
    """Return what packets tell; None: that is too little. Raises SourceError where reading fails, which is no end."""
    stream = video_streams(media)[0]
    shown: list[int] = []
    keys: list[int] = []
    packets = 0
    try:
        if not media.tells_pictures or stream.codec_context.name in UNCOUNTABLE or stream.time_base is None:
            return None
        for packet in _until(stop, media.container.demux(stream)):
            if packet.pts is None:
                return None
            packets += 1
            if not packet.is_discard:  # what an edit list hides is decoded, but never counted
                shown.append(packet.pts)
                if packet.is_keyframe:
                    keys.append(packet.pts)
        media.check()
        reordered = any(after < before for before, after in pairwise(shown))
        shown.sort()
        tick = stream.time_base
        # What a clock repairs it repairs by the frames before, which a segment has not seen.
        gaps = {after - before for before, after in pairwise(shown)}  # a few, of how many frames there may be
        believable = all(is_believable_gap(float(gap * tick)) for gap in gaps)
        begins_whole = bool(keys) and min(keys) == shown[0]
        if not (begins_whole and believable):
            return None
        if whole := count_if_cut(stream, stream.average_rate, packets=packets, end=float(shown[-1] * tick)):
            warnings.append(cut_off(packets, whole))
        return _Stamps(shown, sorted(keys), tick, reordered)
    except (av.FFmpegError, OSError):
        media.check()
        return None
    finally:
        media.close()


def _until(stop: threading.Event, packets: Iterable[av.Packet[av.VideoStream]]) -> Iterator[av.Packet[av.VideoStream]]:
    for packet in packets:
        if stop.is_set():
            raise SourceError("reading was stopped")
        if packet.size:
            yield packet


def _segments(stamps: _Stamps, *, seconds: float) -> Iterator[Segment]:
    shown, keys, tick, _ = stamps
    starts = [keys[0]]
    for key in keys[1:]:
        if (key - starts[-1]) * tick >= seconds:
            starts.append(key)
    firsts = [0, *(bisect_left(shown, start) for start in starts[1:])]
    for number, (start, first, end) in enumerate(zip(starts, firsts, [*starts[1:], None], strict=True)):
        last = len(shown) if end is None else firsts[number + 1]
        yield Segment(number, first, last - first, start, end)


class SegmentSource(VideoSource):
    """The frames of one segment, as reading the whole video gives them."""

    def __init__(self, name: str, path: str, config: SourceConfig, segment: Segment) -> None:
        """Raises SourceError where the segment is not there any more."""
        self.missing = 0
        """Frames that the segment should have and that could not be decoded; complete after the last frame."""
        self._segment = segment
        self._path = path
        super().__init__(name, lambda: open_bytes(open_file(path), config), config)
        try:
            self._stamps = self._planned()
            if segment.number:
                self._go_to_key(segment.key_stamp)
        except BaseException:
            self.close()
            raise

    def _planned(self) -> list[int]:
        """Return the stamps of the segment's frames, from its packets."""
        media = _opened_for_packets(self._path, self._config)
        if self._segment.number and not seek(media, video_streams(media)[0], self._segment.key_stamp):
            media.close()  # it is read from the beginning instead, which is slow, and right
            media = _opened_for_packets(self._path, self._config)
        stream, stamps = video_streams(media)[0], []
        try:
            for packet in media.container.demux(stream):
                if self._is_beyond(packet.dts):
                    break
                if packet.size and packet.pts is not None and not packet.is_discard and self._has(packet.pts):
                    stamps.append(packet.pts)
            media.check()
        except (av.FFmpegError, OSError) as error:
            media.check()
            raise SourceError(f"segment {self._segment.number} cannot be read") from error
        finally:
            media.close()
        if len(stamps) != self._segment.frames:
            have = f"{len(stamps)} frames and not {self._segment.frames}"
            raise SourceError(f"it changed since it was planned: segment {self._segment.number} has {have}")
        return sorted(stamps)

    def _has(self, stamp: int) -> bool:
        after_start = stamp >= self._segment.key_stamp or not self._segment.number
        return after_start and (self._segment.end_stamp is None or stamp < self._segment.end_stamp)

    def _is_beyond(self, decoded_stamp: int | None) -> bool:
        """Whether no later packet is shown before the end."""
        end = self._segment.end_stamp
        return end is not None and decoded_stamp is not None and decoded_stamp >= end

    def _frames(self) -> Iterator[Frame]:
        origin, first = self._origin or Fraction(0), self._segment.first_frame
        read = 0
        for picture in self._pictures:
            if picture.pts is None or not self._has(picture.pts):
                if picture.pts is not None and self._is_beyond(picture.pts):
                    break
                continue
            self._check_size(picture)
            index = bisect_left(self._stamps, picture.pts)
            read += 1
            yield Frame(
                to_bgr(picture, self._orientation), index=first + index,
                time_seconds=max(0.0, round(float(picture.pts * self._time_base - origin), 9)),
                duration_seconds=shown_seconds(picture, self._time_base),
                source=self.name, pixel_aspect=self._pixel_aspect,
            )  # fmt: skip
        self.missing = self._segment.frames - read

    def absent(self, seen: set[int]) -> Iterator[tuple[int, float]]:
        """Yield number and time of each frame of the segment that is not among those that were seen."""
        origin = self._origin or Fraction(0)
        for index, stamp in zip(count(self._segment.first_frame), self._stamps, strict=False):
            if index not in seen:
                yield index, max(0.0, round(float(stamp * self._time_base - origin), 9))

"""Finds the place to start decoding without decoding what comes before."""

from __future__ import annotations

import math
from bisect import bisect_left
from itertools import pairwise
from typing import TYPE_CHECKING

import av

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from fractions import Fraction

    from humandetect.media.sources.container import Media

_MUCH_CLOSER = 0.75
UNCOUNTABLE = {"vp8"}
"""Codecs whose packets may hold no picture to show: counting packets would not count frames."""


class StartPlan:
    """The key frame to start from, and the number of each frame after it."""

    def __init__(self, key_stamp: int, key_place: int | None, *, target: int, stamps: list[int]) -> None:
        self.key_stamp = key_stamp
        self.key_place = key_place
        """Where it lies in the file, if that is told."""
        self._target = target
        self._stamps = sorted(stamps)
        self._looked = self._begun = False

    def index_of(self, picture: av.VideoFrame) -> int | None:
        """Return the index of the next picture from the source's start; None: it is told by that of the one before."""
        # Up to the start every stamp is known, so a picture that a decoder leaves out after a seek costs no count.
        # Beyond it stamps may begin anew, in a file of several joined.
        stamp = picture.pts
        self._begun = self._begun or (stamp is not None and stamp > self._target)
        is_first, self._looked = not self._looked, True
        return None if stamp is None or (self._begun and not is_first) else bisect_left(self._stamps, stamp)


def shortest_step(pictures: Sequence[av.VideoFrame]) -> int | None:
    """Return the ticks between the two pictures that are shown closest to each other."""
    stamps = sorted(picture.pts for picture in pictures if picture.pts is not None)
    return min((after - before for before, after in pairwise(stamps)), default=None)


def plan_start(
    media: Media, stream: av.VideoStream, start: Fraction, *, step: int = 0, first_stamp: int | None = None
) -> StartPlan | None:
    """Read packets up to `start`, in seconds of the container's clock; None where they cannot be counted.

    The picture of `first_stamp` has number 0: what lies before it cannot be decoded. Packets much closer than `step`
    ticks are the fields of one picture.
    """
    if not _is_countable(media, stream) or stream.time_base is None:
        return None
    target = math.floor(start / stream.time_base)
    stamps: list[int] = []
    key_stamp = key_place = before = None
    try:
        for stamp, packet in _frames(media, stream, step):
            if stamp is None:
                return None
            if packet.dts is not None and packet.dts > target:  # no later packet is shown before the start
                break
            if before is not None and packet.dts is not None and packet.dts < before:  # several files joined
                return None
            before = packet.dts
            if packet.is_keyframe and stamp <= target:
                key_stamp, key_place = stamp, packet.pos
            seen = first_stamp is None or stamp >= first_stamp
            if seen and not packet.is_discard:  # what an edit list hides is decoded, but never counted
                stamps.append(stamp)
    except (av.FFmpegError, OSError):
        return None
    return None if key_stamp is None else StartPlan(key_stamp, key_place, target=target, stamps=stamps)


def _is_countable(media: Media, stream: av.VideoStream) -> bool:
    """Tell whether packets say which frames they hold, and can be gone back to."""
    if not media.seekable or media.guesses_stamps or stream.codec_context.name in UNCOUNTABLE:
        return False
    return not (media.times_packets and stream.codec_context.has_b_frames)


def _frames(media: Media, stream: av.VideoStream, step: int) -> Iterator[tuple[int | None, av.Packet[av.VideoStream]]]:
    """Yield a packet for each frame, of two fields the first, with its stamp."""
    first_field = None
    for packet in media.container.demux(stream):
        stamp = packet.dts if media.times_packets else packet.pts
        if not packet.size:
            continue
        if stamp is not None and first_field is not None and 0 < stamp - first_field < step * _MUCH_CLOSER:
            first_field = None
            continue
        first_field = stamp
        yield stamp, packet


def seek(media: Media, stream: av.VideoStream, key_stamp: int, key_place: int | None = None) -> bool:
    """Move to a key frame, or to one before it; False where the container cannot.

    Where recordings were joined several frames have its stamp; `key_place` tells which one is meant.
    """
    try:
        media.container.seek(key_stamp, stream=stream)
        first = next(packet for packet in media.container.demux(stream) if packet.is_keyframe)
        stamp = first.dts if media.times_packets else first.pts
        beyond = key_place is not None and first.pos is not None and first.pos > key_place
        landed = stamp is not None and stamp <= key_stamp and not beyond
        # That look took a packet away.
        media.container.seek(key_stamp, stream=stream)
    except (av.FFmpegError, OSError, StopIteration):
        return False
    return landed

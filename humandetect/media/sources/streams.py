"""What a container says about its streams, as far as it can be believed."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from av.stream import Disposition

from humandetect.errors import SourceError
from humandetect.media.frames import SQUARE
from humandetect.plural import counted

if TYPE_CHECKING:
    import av

    from humandetect.media.sources.container import Media

_NOT_VIDEO = Disposition.attached_pic | Disposition.timed_thumbnails
_TOLERATED_LOSS = 0.005
_TOLERATED_SECONDS = 1.0
"""Containers round, and not all say how long the last frame stands."""
_RUN_UP_SECONDS, _LONGEST_INTRODUCTION_SECONDS = 0.25, 3600
"""How much earlier than the pictures sound begins that belongs to them, and that is not damage."""
_TAGS_OF_THE_FILE = {
    "major_brand",
    "minor_version",
    "compatible_brands",
    "encoder",
    "software",
    "duration",
    "handler_name",
    "vendor_id",
}
_APPLES_TAGS = {
    "creation_time": "com.apple.quicktime.creationdate",
    "location": "com.apple.quicktime.location.iso6709",
    "title": "com.apple.quicktime.title",
}
"""By the names under which other files hold the same."""
_NARROWEST = Fraction(1, 8)
"""Of a pixel's width in heights; what claims more is damaged."""
_LATE_START_SECONDS = 10
"""A first picture this long after the stream's start still counts from there: what lies between was damaged."""


def video_streams(media: Media) -> list[av.VideoStream]:
    """Return the streams that hold moving pictures, best first. Raises SourceError if there is none."""
    streams = [stream for stream in media.container.streams.video if not stream.disposition & _NOT_VIDEO]
    if not streams and media.container.streams.audio:
        raise SourceError("it holds sound but no video")
    if not streams:
        raise SourceError("it holds no video")
    known = [stream for stream in streams if stream.codec_context is not None]
    if not known:
        raise SourceError("its video codec is not known to this build of PyAV")
    return sorted(known, key=_rank, reverse=True)


def _rank(stream: av.VideoStream) -> tuple[bool, bool, int]:
    is_film = stream.frames != 1  # 0: nobody counted them
    return bool(stream.disposition & Disposition.default), is_film, stream.width * stream.height


def start_of(media: Media, stream: av.VideoStream, first_stamp: Fraction | None) -> Fraction | None:
    """Return the moment on the container's clock that is time zero of the source: the start of what begins first.

    Sound that begins a few packets before the pictures, as encoders make it, begins with them.
    """
    if stream.start_time is None or stream.time_base is None or first_stamp is None:
        return first_stamp
    start = stream.start_time * stream.time_base
    if not 0 <= first_stamp - start <= _LATE_START_SECONDS:
        start = first_stamp
    sound = [_start(track) for track in media.container.streams.audio]
    earliest = min((begin for begin in sound if begin is not None), default=start)
    return earliest if _RUN_UP_SECONDS < start - earliest <= _LONGEST_INTRODUCTION_SECONDS else start


def _start(track: av.AudioStream) -> Fraction | None:
    return None if track.start_time is None or track.time_base is None else track.start_time * track.time_base


def pixel_aspect(stream: av.VideoStream, *, lying: bool) -> Fraction:
    """Return the width of an upright picture's pixels in their heights; absurd claims are none."""
    aspect = stream.sample_aspect_ratio
    if aspect is None or not _NARROWEST <= aspect <= 1 / _NARROWEST:
        return SQUARE
    return 1 / Fraction(aspect) if lying else Fraction(aspect)


def tags_of(media: Media) -> dict[str, str]:
    """Return what a file says of what it shows; what it says of itself as a file would be wrong of another."""
    said = {name.lower(): value for name, value in media.container.metadata.items()}
    usual = {name: said[apples] for name, apples in _APPLES_TAGS.items() if apples in said and name not in said}
    kept = {name: value for name, value in media.container.metadata.items() if name.lower() not in _TAGS_OF_THE_FILE}
    return kept | usual


def claimed_frames(stream: av.VideoStream, rate: Fraction | None, size: int | None) -> int | None:
    """Return how many frames the container claims to hold, None where it says nothing or something impossible."""
    by_time = round(_duration_seconds(stream) * rate) if rate else 0
    counts = [count for count in (stream.frames, by_time) if count]
    if not counts or (size is not None and min(counts) > size):
        return None
    # A file that was trimmed holds more frames than it shows; only its duration knows.
    return min(counts)


def count_if_cut(stream: av.VideoStream, rate: Fraction | None, *, packets: int, end: float) -> int | None:
    """Return the frames of the whole file if only a part of it was read: `packets`, up to `end` seconds."""
    container = stream.container.format.name
    is_avi = container == "avi"  # it counts empty chunks too, which nobody gets to see
    if stream.frames and not is_avi:
        # An edit list hides frames, which the index of an MP4 is without by now.
        whole = len(stream.index_entries) if container.startswith("mov") else stream.frames
        return whole if whole - packets > max(1, whole * _TOLERATED_LOSS) else None
    seconds = _duration_seconds(stream) if is_avi or "DURATION" in stream.metadata else 0
    if is_avi and stream.time_base:  # the duration is by now that of what is left, the count still that of the head
        seconds = max(seconds, float(stream.frames * stream.time_base))
    return round(seconds * (rate or 0)) if seconds - end > _TOLERATED_SECONDS else None


def cut_off(count: int, whole: int) -> str:
    """Say that a file holds fewer frames than it should."""
    return f"only {count:,} of {counted(whole, 'frame')} could be read: the file is cut off or damaged"


def _duration_seconds(stream: av.VideoStream) -> float:
    hours, _, rest = stream.metadata.get("DURATION", "").partition(":")  # Matroska: 00:00:14.040000000
    minutes, _, seconds = rest.partition(":")
    try:
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    except ValueError:
        pass
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    duration = stream.container.duration  # type: ignore[attr-defined]  # the stub knows only the base class
    return (duration or 0) / 1e6

"""Pictures that are asked for one by one, as the stream that cameras make of theirs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from humandetect.errors import SourceError
from humandetect.media.images import decode_image, encode_jpeg
from humandetect.media.sources.container import NothingSent, PictureTooLong
from humandetect.media.sources.http_camera import fetch_picture
from humandetect.media.sources.motion_jpeg import JPEG, MOST_PART_BYTES, open_pictures

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from humandetect.config import SourceConfig
    from humandetect.media.frames import Frame
    from humandetect.media.sources.container import Media


def open_snapshots(url: str, config: SourceConfig, *, period_seconds: float) -> Media | None:
    """Ask an HTTP(S) address for its picture again and again; None: it has none. Raises SourceError."""
    if not url.lower().startswith("http") or (first := _fetch(url, config)) is None:
        return None
    pictures = _fetched(url, config, first=first, period_seconds=period_seconds)
    return open_pictures(pictures, config, close=lambda: None)


def open_device(number: int, config: SourceConfig, *, period_seconds: float) -> Media:
    """Open a camera of this machine, for a picture each period, or all where that is 0. Raises SourceError."""
    from humandetect.media.sources.camera import CameraSource

    source = CameraSource(str(number), number, config)
    return open_pictures(_encoded(source, period_seconds=period_seconds), config, close=source.close)


def _encoded(source: Iterable[Frame], *, period_seconds: float) -> Iterator[bytes]:
    due_seconds = 0.0
    for frame in source:  # all of them: what is not taken waits there, and gets old
        if frame.time_seconds >= due_seconds:
            due_seconds = frame.time_seconds + period_seconds
            yield encode_jpeg(frame.image)


def _fetched(url: str, config: SourceConfig, *, first: bytes, period_seconds: float) -> Iterator[bytes]:
    """Yield a picture each period."""
    picture, due_at = first, time.monotonic() + period_seconds
    while True:
        yield picture
        time.sleep(max(0.0, due_at - time.monotonic()))
        due_at = time.monotonic() + period_seconds
        picture = _fetched_at_last(url, config, pause_seconds=period_seconds)


def _fetched_at_last(url: str, config: SourceConfig, *, pause_seconds: float) -> bytes:
    """Return a picture; what fails is tried again until the watchdog's time is over. Raises SourceError."""
    until = time.monotonic() + config.read_timeout_seconds
    while True:
        try:
            if picture := _fetch(url, config):
                return picture
            why = "what is there is no picture any more"
        except PictureTooLong:
            raise
        except SourceError as error:
            why = str(error)
        if time.monotonic() >= until:
            raise NothingSent(f"no picture for {config.read_timeout_seconds:g} s: {why}")
        time.sleep(pause_seconds)


def _fetch(url: str, config: SourceConfig) -> bytes | None:
    """Return a picture as a JPEG; None: there is none."""
    picture = fetch_picture(url, config, most=MOST_PART_BYTES)
    if picture is None or picture.startswith(JPEG):
        return picture
    return encode_jpeg(decode_image(picture, max_megapixels=config.max_megapixels))

"""Pictures that are asked for one by one, as the stream that cameras make of theirs."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, cast

from humandetect.errors import SourceError
from humandetect.media.images import encode_jpeg
from humandetect.media.sources.container import MOST_PART_BYTES, open_motion_jpeg
from humandetect.media.sources.http_camera import JPEG, fetch_picture

if TYPE_CHECKING:
    from collections.abc import Callable
    from io import BufferedReader

    from humandetect.config import SourceConfig
    from humandetect.media.sources.container import Media


def open_snapshots(url: str, config: SourceConfig, *, period_seconds: float) -> Media | None:
    """Ask an HTTP(S) address for its picture again and again; None: it has none. Raises SourceError."""
    if not url.lower().startswith("http") or not _fetch(url, config):
        return None
    return _open(partial(_fetch, url, config), config, period_seconds=period_seconds)


def open_device(number: int, config: SourceConfig) -> Media:
    """Open a camera of this machine. Raises SourceError."""
    from humandetect.media.sources.camera import CameraSource

    source = CameraSource(str(number), number, config)
    frames = iter(source)  # all of them: what is not taken waits there, and gets old
    return _open(lambda: encode_jpeg(next(frames).image), config, period_seconds=0, close=source.close)


def _fetch(url: str, config: SourceConfig) -> bytes:
    """Return a picture; empty where there is none."""
    picture = fetch_picture(url, config, most=MOST_PART_BYTES) or b""
    if picture and not picture.startswith(JPEG):
        raise SourceError("its picture is no JPEG")
    return picture


def _open(
    take: Callable[[], bytes], config: SourceConfig, *, period_seconds: float, close: Callable[[], None] = lambda: None
) -> Media:
    return open_motion_jpeg(cast("BufferedReader", _Snapshots(take, period_seconds, close)), config)


class _Snapshots:
    """The bytes of a stream that has a picture each period."""

    def __init__(self, take: Callable[[], bytes], period_seconds: float, close: Callable[[], None]) -> None:
        self.close = close
        self._take, self._period_seconds = take, period_seconds
        self._due_at = time.monotonic()
        self._part = b""

    def read1(self, size: int) -> bytes:
        if not self._part:
            time.sleep(max(0.0, self._due_at - time.monotonic()))
            self._due_at = time.monotonic() + self._period_seconds
            picture = self._take()
            head = b"--\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(picture)
            self._part = head + picture + b"\r\n"
        taken, self._part = self._part[:size], self._part[size:]
        return taken

    def seekable(self) -> bool:
        return False

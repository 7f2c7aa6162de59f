"""The contract of every source."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from datetime import datetime
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator

    from humandetect.errors import HumanDetectError
    from humandetect.media.audio import AudioTrack
    from humandetect.media.frames import Frame, VideoInfo


class Source(ABC):
    """Frames in order, once. Opening has already shown that there is something to read.

    A new source writes `_frames` and `_release`.
    """

    def __init__(self, name: str, info: VideoInfo) -> None:
        self.name = name
        """As the user gave it; of an address only what may be shown."""
        self.info = info
        self.limit: int | None = None
        """Frames after which a video or a live source ends."""
        self.unseen_seconds = 0.0
        """Of a live source, how much came while nobody could take it: no part of the duration or of the video."""
        self.audio: list[AudioTrack] = []
        self.tags: dict[str, str] = {}
        """What the file says of itself by libav's names: title, creation_time, location ..."""
        self.warnings: list[str] = []
        """What was repaired or left out, with numbers; complete after the last frame."""
        self.failures: list[HumanDetectError] = []
        """Parts that are lost, such as the bad images of a folder; complete after the last frame."""
        self.opened_at = datetime.now().astimezone()
        """What the clock of a live source counts from: its first picture has come by now."""
        self._closed = False
        self._busy = threading.Lock()

    def __iter__(self) -> Iterator[Frame]:
        """Yield each frame; its image belongs to the caller. Raises SourceError when the rest cannot be read."""
        frames = self._frames()
        while (frame := self._next(frames)) is not None:
            yield frame

    def read_sound(self, until_seconds: float) -> None:  # noqa: B027 - most sources have none
        """Read on to the sound beside a moment, without decoding; no frames can be read then."""

    def close(self) -> None:
        """Let go of files and devices; may be called twice, and while another thread is reading."""
        self._closed = True
        self._release_when_idle()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @abstractmethod
    def _frames(self) -> Iterator[Frame]:
        """Yield the frames; once closed, the next one is not asked for any more."""

    @abstractmethod
    def _release(self) -> None:
        """Close what is open; may be called twice, but never while `_frames` runs."""

    def _next(self, frames: Iterator[Frame]) -> Frame | None:
        try:
            with self._busy:
                return None if self._closed else next(frames, None)
        finally:
            if self._closed:
                self._release_when_idle()

    def _release_when_idle(self) -> None:
        # Closing a container while another thread reads from it would crash: that thread does it when it comes back.
        if self._busy.acquire(blocking=False):
            try:
                self._release()
            finally:
                self._busy.release()

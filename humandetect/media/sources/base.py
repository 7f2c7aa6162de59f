"""The contract of every source."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator

    from humandetect.errors import HumanDetectError
    from humandetect.media.audio import AudioTrack
    from humandetect.media.frames import Frame, VideoInfo


class Source(ABC):
    """Frames in order, once. Opening has already shown that there is something to read."""

    def __init__(self, name: str, info: VideoInfo) -> None:
        self.name = name
        """As the user gave it, without passwords."""
        self.info = info
        self.audio: list[AudioTrack] = []
        self.warnings: list[str] = []
        """What was repaired or left out, with numbers; complete after the last frame."""
        self.failures: list[HumanDetectError] = []
        """Parts that are lost, such as the bad images of a folder; complete after the last frame."""

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """Yield each frame; its image belongs to the caller. Raises SourceError when the rest cannot be read."""

    @abstractmethod
    def close(self) -> None:
        """Let go of files and devices; may be called twice, and while another thread is reading."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

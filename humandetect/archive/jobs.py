"""What workers are given, and what they say: videos, their segments, and where the parts made of them lie."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from humandetect.media.sources.segments import Segment

if TYPE_CHECKING:
    from humandetect.media.sources import Kind

WARNED = "warned/"
"""Folder of what workers found wrong with sources that they read in one go."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """Some of the pictures of a folder, as a segment is some of the frames of a video."""

    number: int
    first_frame: int
    """Counts from the folder's first picture."""
    frames: int
    stamp: str
    """As of Video, of these alone."""


Segments = tuple[Segment, ...] | tuple[Pictures, ...]
"""Empty: a source is read in one go, as one part."""


@dataclass(frozen=True, slots=True)
class Video:
    """One source and its segments."""

    source: str
    """As the user gave it."""
    files: tuple[str, ...]
    """Absolute; several pictures of a folder are one source."""
    kind: Kind
    """As of SourceRef."""
    folder: str
    """Where its parts lie."""
    stamp: str
    """Of the files: whoever finds another one has another file before him. Pictures have one for each part."""
    segments: Segments
    base: str = ""
    """Folder from which relative names were given, with its `/`: results have those of pictures as they were."""

    @property
    def jobs(self) -> list[Job]:
        return [Job(self._of(segment), segment) for segment in self.segments or (None,)]

    def _of(self, segment: Segment | Pictures | None) -> Video:
        """Return what a worker must know of it, which is not told of all pictures for each of their parts."""
        if not isinstance(segment, Pictures):
            return self
        files = self.files[segment.first_frame : segment.first_frame + segment.frames]
        return replace(self, files=files, stamp=segment.stamp, segments=())

    @property
    def is_moving(self) -> bool:
        return self.kind != "images"

    @property
    def annotated_name(self) -> str:
        """Of the annotated video, beside the parts."""
        return f"{self.folder}/annotated.mp4"


@dataclass(frozen=True, slots=True)
class Job:
    """One segment of a video, or all of it."""

    video: Video
    segment: Segment | Pictures | None

    @property
    def name(self) -> str:
        """Of its part."""
        return f"{self.video.folder}/{self.segment.number if self.segment else 0:06d}.parquet"

    @property
    def video_name(self) -> str:
        """Of its part of the annotated video."""
        return f"{self.name.removesuffix('.parquet')}.mp4"

    @property
    def failure_name(self) -> str:
        return f"failed/{self._flat_name}.json"

    @property
    def warning_name(self) -> str:
        return f"{WARNED}{self._flat_name}.json"

    @property
    def _flat_name(self) -> str:
        return self.name.removesuffix(".parquet").replace("/", "_")


class Told(NamedTuple):
    """What a worker says of its job, while it works and at the end."""

    frames: int
    """Since it last said something."""
    done: bool = False
    missing: int = 0
    """Frames that could not be decoded; at the end."""

"""The values that flow from sources to sinks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from humandetect.plural import people

if TYPE_CHECKING:
    from collections.abc import Iterator
    from fractions import Fraction

    import supervision as sv
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, repr=False)
class Frame:
    """One picture of a source."""

    image: NDArray[np.uint8]
    """(H, W, 3), BGR. Owned by this frame: the last sink may draw on it."""
    index: int
    """Counts from the source's start, also when reading began later."""
    time_seconds: float
    """From the start of the source; 0 for images."""
    source: str
    """As the user gave it; of an address only what may be shown."""

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8:
            raise ValueError(f"a frame is (H, W, 3) uint8, got {self.image.shape} {self.image.dtype}")

    def __repr__(self) -> str:
        height, width = self.image.shape[:2]
        return f"Frame({self.where}, {width} x {height})"

    @property
    def where(self) -> str:
        """`'clip.mp4', frame 3 at 0.12 s`."""
        return f"{self.source!r}, frame {self.index} at {self.time_seconds:.2f} s"

    def without_pixels(self) -> Frame:
        """Return it with a black, read-only image of the same shape that takes no memory."""
        return replace(self, image=np.broadcast_to(np.uint8(0), self.image.shape))


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What is known of a source before its first frame is read."""

    width: int
    height: int
    """Upright, after rotation."""
    kind: str = "video"
    """`image`, `video` or `live`."""
    fps: Fraction | None = None
    """Average rate, if the container's claim is believable."""
    time_base: Fraction | None = None
    """Tick of the source's own timestamps."""
    frame_count: int | None = None
    """Frames that will be read, as far as the container knows; for progress only."""


@dataclass(frozen=True, slots=True, repr=False)
class DetectedFrame:
    """A frame and the people in it."""

    frame: Frame
    detections: sv.Detections
    """Pixels of the original image."""
    detected: bool = True
    """False where the boxes were kept from an earlier frame (`--every`)."""
    failure: str | None = None
    """Why there is no answer for this frame, which then goes on as it is."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.frame.where}, {people(len(self.detections))})"

    def rows(self) -> list[dict[str, Any]]:
        """Return a person a row under the names of the CSV results: what `pandas.DataFrame` makes a table of."""
        where = {
            "source": self.frame.source,
            "frame": self.frame.index,
            "time_seconds": round(self.frame.time_seconds, 6),
        }
        return [
            {
                **where,
                "track_id": person.track_id,
                **dict(zip(("x1", "y1", "x2", "y2"), person.box, strict=True)),
                "score": person.score,
            }
            for person in people_in(self.detections)
        ]


@dataclass(frozen=True, slots=True)
class FoundPerson:
    """One person of a result, as plain numbers."""

    box: tuple[float, float, float, float]
    score: float
    track_id: int | None


def people_in(detections: sv.Detections) -> Iterator[FoundPerson]:
    """Yield the people as plain numbers, rounded to what a detector can mean: 0.01 pixel, 0.0001 of score."""
    count = len(detections)
    scores = detections.confidence if detections.confidence is not None else [1.0] * count
    ids = detections.tracker_id if detections.tracker_id is not None else [None] * count
    for (x1, y1, x2, y2), score, track_id in zip(detections.xyxy.tolist(), scores, ids, strict=True):
        yield FoundPerson(
            box=(round(x1, 2), round(y1, 2), round(x2, 2), round(y2, 2)),
            score=round(float(score), 4),
            track_id=None if track_id is None else int(track_id),
        )

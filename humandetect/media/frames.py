"""The values that flow from sources to sinks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from fractions import Fraction

    import supervision as sv
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class DetectedFrame:
    """A frame and the people in it."""

    frame: Frame
    detections: sv.Detections
    """Pixels of the original image."""
    detected: bool = True
    """False where the boxes were kept from an earlier frame (`--every`)."""
    failure: str | None = None
    """Why there is no answer for this frame, which then goes on as it is."""
    counts: dict[str, int] = field(default_factory=dict)
    """What counters found so far, by name."""

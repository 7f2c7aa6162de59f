"""The values that flow from sources to sinks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from humandetect.plural import people

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import supervision as sv
    from numpy.typing import NDArray


SQUARE = Fraction(1)


@dataclass(frozen=True, slots=True)
class PhotoTags:
    """What a photo says of itself, cut down to what stays true of a copy; empty: nothing."""

    exif: bytes = b""
    """When, where and by what it was taken."""
    xmp: bytes = b""
    """The same in the words of editors and agencies, with titles and descriptions."""
    icc: bytes = b""
    """What its colours mean: without it they are those of sRGB."""

    def __bool__(self) -> bool:
        return bool(self.exif or self.xmp or self.icc)

    def colours_only(self) -> PhotoTags:
        return PhotoTags(icc=self.icc)


NO_TAGS = PhotoTags()


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
    duration_seconds: float | None = None
    """How long the source says that it is shown; None where it says nothing."""
    pixel_aspect: Fraction = SQUARE
    """Width of a pixel in its heights, as it is shown: DVDs and recorders do not have square ones."""
    tags: PhotoTags = NO_TAGS
    """What a photo says of itself."""

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

    @property
    def written_seconds(self) -> float:
        """`time_seconds` as results have it, in microseconds: stages see it so too, and a saved file repeats a run."""
        return round(self.time_seconds, 6)

    @property
    def has_pixels(self) -> bool:
        """Whether the image shows anything; see `without_pixels`."""
        return any(self.image.strides)

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
class Provenance:
    """How the results of one source were made: what it takes to ask them again, and what a report tells."""

    source: str
    kind: str
    """As of VideoInfo."""
    size: tuple[int, int]
    """Width and height in pixels."""
    every: int
    score: float | None
    """From which on a box is a person; None: a server decided."""
    results_score: float | None
    """From which on weaker boxes were kept; None: there are none."""
    track_scores: tuple[float, float]
    """As of Detector."""
    settings: Mapping[str, str]
    """The model and what ran it, in words by their names."""
    started: str | None
    """Wall clock at 0 s, ISO 8601 with its zone; None: nobody knows."""
    humandetect: str
    """Its version."""


def _nobody() -> sv.Detections:
    import supervision as sv  # slow to import, and there is somebody to detect with it by now

    return sv.Detections.empty()


EventKind = Literal["crossing", "enter", "exit", "loiter", "crowd", "gap", "camera"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, as one line of the events file; what does not fit its kind is None."""

    event: EventKind
    id: str
    """The same on every rerun."""
    source: str
    time_seconds: float
    """When it happened; it may have become certain later."""
    wall_time: str | None = None
    """ISO 8601."""
    frame: int | None = None
    line: str | None = None
    zone: str | None = None
    direction: Literal["in", "out"] | None = None
    track_id: int | None = None
    score: float | None = None
    """Mean of the track's last second."""
    box: tuple[float, float, float, float] | None = None
    point: tuple[float, float] | None = None
    """Where the foot was, or crossed the line."""
    dwell_seconds: float | None = None
    track_age_seconds: float | None = None
    crop: str | None = None
    reliability: Literal["ok", "low_rate", "short_track", "after_gap"] = "ok"
    state: str | None = None
    reason: str | None = None
    recording: str | None = None
    recording_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Shape:
    """A line of two points or a zone of more, in pixels, and what is to be read at it: `in 15  out 18`.

    The way `in` over a line leads to the left-hand side of a walker from its first point to its second.
    """

    points: tuple[tuple[float, float], ...]
    text: str


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
    weak: sv.Detections = field(default_factory=_nobody)
    """Boxes under the score, for trackers; no people."""
    held: sv.Detections = field(default_factory=_nobody)
    """Where tracked people should be who were not found here; `data["held_seconds"]` says for how long."""
    trails: Mapping[int, NDArray[np.float64]] = field(default_factory=dict)
    """Where the feet of each track were lately: (n, 2) pixels, oldest first, by its id."""
    first_seen: DetectedFrame | None = None
    """An earlier frame with those of whom it is certain only now that they are people: who has a new id here."""
    occupancy: Mapping[str, int] = field(default_factory=dict)
    """People inside each zone, by its name."""
    events: tuple[Event, ...] = ()
    """What became certain with this frame."""
    shapes: tuple[Shape, ...] = ()
    """Lines and zones, to be drawn."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.frame.where}, {people(len(self.detections))})"

    def rows(self) -> list[dict[str, Any]]:
        """Return a person a row under the names of the CSV results: what `pandas.DataFrame` makes a table of."""
        where = {
            "source": self.frame.source,
            "frame": self.frame.index,
            "time_seconds": self.frame.written_seconds,
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


def rounded(detections: sv.Detections) -> sv.Detections:
    """Round to what a detector can mean, 0.01 pixel and 0.0001 of score: the one rounding of files and stages."""
    scores = detections.confidence
    return replace(
        detections,
        xyxy=rounded_boxes(detections.xyxy),
        confidence=None if scores is None else rounded_scores(scores),
    )


def rounded_boxes(xyxy: NDArray[np.number[Any]]) -> NDArray[np.float64]:
    return xyxy.astype(np.float64).round(2)


def rounded_scores(scores: NDArray[np.number[Any]]) -> NDArray[np.float64]:
    # Exact: a float32 times 10,000 fits a float64, so what is rounded is the number and not its neighbour.
    return scores.astype(np.float64).round(4)


def people_in(detections: sv.Detections) -> Iterator[FoundPerson]:
    """Yield the people as plain numbers, rounded; who has no id yet has None."""
    detections, count = rounded(detections), len(detections)
    scores = [1.0] * count if detections.confidence is None else detections.confidence.tolist()
    ids = [-1] * count if detections.tracker_id is None else detections.tracker_id.tolist()
    for (x1, y1, x2, y2), score, track_id in zip(detections.xyxy.tolist(), scores, ids, strict=True):
        yield FoundPerson(box=(x1, y1, x2, y2), score=score, track_id=None if track_id < 0 else track_id)

"""The pictures that are sent, and who is in them: the reference that every answer is held against."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from humandetect.config import SAMPLE, EngineConfig, SourceConfig
from humandetect.detection.agreement import SCORE_DRIFT, compare
from humandetect.detection.detector import Detector
from humandetect.engines import load_engine
from humandetect.errors import SourceError
from humandetect.media.frames import people_in
from humandetect.media.images import decode_image, encode_jpeg
from humandetect.media.sources import open_source
from humandetect.models.find import bundled
from humandetect.wire import Person

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_PICTURES = 64
JPEG_QUALITY = 92
MAX_MEGAPIXELS = 50


@dataclass(frozen=True, slots=True)
class Workload:
    """What is sent, as JPEGs."""

    name: str
    """What the user called them."""
    data: tuple[bytes, ...]

    @property
    def digest(self) -> str:
        """Two runs with the same digest sent the same pictures."""
        together = hashlib.sha256()
        for one in self.data:
            together.update(hashlib.sha256(one).digest())
        return together.hexdigest()[:16]

    @property
    def mean_kb(self) -> float:
        return sum(map(len, self.data)) / max(1, len(self.data)) / 1000


def read_pictures(name: str) -> Workload:
    """Read up to 64 pictures from a folder, a video or the sample. Raises SourceError."""
    path = str(bundled("examples/plaza.mp4")) if name == SAMPLE else name
    with open_source(path, SourceConfig(limit=MOST_PICTURES)) as source:
        shown = name if name == SAMPLE else source.name
        data = [encode_jpeg(frame.image, quality=JPEG_QUALITY) for frame in source][:MOST_PICTURES]
    if not data:
        raise SourceError(f"{shown!r} holds no picture that could be sent")
    return Workload(shown, tuple(data))


@dataclass
class ReferencePeople:
    """Who is in each picture, by a model in float32 on this machine."""

    model: str
    version: str
    score: float
    people: list[list[Person]]
    _judged: dict[tuple[int, str], bool] = field(default_factory=dict)

    def agrees(self, image: int, people: Sequence[dict[str, Any]]) -> bool:
        """Tell whether these are the people of that image; those within 0.1 of the threshold prove nothing."""
        key = image, repr(people)
        if key not in self._judged:
            self._judged[key] = self._compare(image, people)
        return self._judged[key]

    def _compare(self, image: int, people: Sequence[dict[str, Any]]) -> bool:
        try:
            said = [Person.model_validate(person) for person in people]
        except (ValueError, TypeError):
            return False
        found, expected, unexpected = compare(said, self.people[image], certain=self.score + SCORE_DRIFT)
        return found == expected and not unexpected


def find_reference(pictures: Workload, config: EngineConfig, *, score: float | None) -> ReferencePeople:
    """Find the people of each picture with OpenVINO in float32, whatever else is measured."""
    engine = load_engine(replace(config, engine="openvino", device="cpu", precision="f32"))
    with Detector(engine, score=score) as detector:
        images = [decode_image(data, max_megapixels=MAX_MEGAPIXELS) for data in pictures.data]
        people = [
            [Person(box=one.box, score=one.score) for one in people_in(detector.detect(image))] for image in images
        ]
        return ReferencePeople(detector.info.name, detector.info.version, detector.score, people)

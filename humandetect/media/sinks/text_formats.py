"""How results become text: JSON lines, CSV, COCO and MOTChallenge.

Boxes are x1, y1, x2, y2 in pixels of the original image, scores 0..1, times in seconds from the start of the source.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Protocol

from humandetect.media.frames import people_in
from humandetect.media.sinks.numbering import FrameNumbers, ImageIds, is_picture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from humandetect.media.frames import DetectedFrame, FoundPerson, Frame, Provenance


class Format(Protocol):
    """How results become text."""

    head: str

    @property
    def tail(self) -> str: ...

    def text(self, result: DetectedFrame) -> str:
        """Return what stands in the file for one frame."""
        ...


class JsonLines:
    """One object a line: one that says how they were made before each source, then one a frame, also without people."""

    head = tail = ""

    def __init__(self, *, weakest_score: float | None = None) -> None:
        self._weakest_score = weakest_score
        self._begun = ""

    def begin(self, provenance: Provenance) -> None:
        """Let a line about its results come before the first frame of a source."""
        self._begun = _json(provenance_record(provenance)) + "\n"

    def text(self, result: DetectedFrame) -> str:
        begun, self._begun = self._begun, ""
        return begun + _json(frame_record(result, self._weakest_score)) + "\n"


def provenance_record(provenance: Provenance) -> dict[str, Any]:
    """Return what a line of JSON says of how results were made."""
    return asdict(replace(provenance, source=readable(provenance.source)))


def frame_record(result: DetectedFrame, weakest_score: float | None) -> dict[str, Any]:
    """Return what a line of JSON says of a frame; with a `weakest_score` also its weak boxes."""
    frame = result.frame
    record: dict[str, Any] = {"source": readable(frame.source), "frame": frame.index}
    record["time_seconds"] = frame.written_seconds
    if not result.detected:
        record["detected"] = False
    if result.failure is not None:
        record["error"] = readable(result.failure)
    record["people"] = [
        {"box": person.box, "score": person.score, "track_id": person.track_id}
        for person in people_in(result.detections)
    ] + [{"box": box.box, "score": box.score, "track_id": None, "weak": True} for box in _weak(result, weakest_score)]
    if len(result.held):  # nobody saw them: whoever counts people must not find them there
        record["held"] = [
            {"box": person.box, "track_id": person.track_id, "held": True} for person in people_in(result.held)
        ]
    return record


class Csv:
    """One row a person; with `empty_rows` also one, of empty cells, for a frame without people.

    Without them a mean over the rows' frames leaves out those where nobody was. With a `weakest_score` a last column
    tells people from weak boxes.
    """

    tail = ""

    def __init__(self, *, empty_rows: bool = False, weakest_score: float | None = None) -> None:
        self._empty_rows = empty_rows
        self._weakest_score = weakest_score
        self.head = f"source,frame,time_seconds,track_id,x1,y1,x2,y2,score{'' if weakest_score is None else ',weak'}\n"

    def text(self, result: DetectedFrame) -> str:
        frame = result.frame
        lines = io.StringIO()
        rows = csv.writer(lines, lineterminator="\n")
        where = (readable(frame.source), frame.index, frame.written_seconds)
        person, weak = ([], []) if self._weakest_score is None else (["false"], ["true"])
        rows.writerows((*where, one.track_id, *one.box, one.score, *person) for one in people_in(result.detections))
        rows.writerows((*where, None, *one.box, one.score, *weak) for one in _weak(result, self._weakest_score))
        if self._empty_rows and not len(result.detections):
            rows.writerow((*where, *[""] * 6, *person))
        return lines.getvalue()


class Coco:
    """A COCO results array, as `pycocotools` `loadRes` takes it; `source` and `frame` are extras that it ignores.

    `image_id` is the number in an image's name where it is nothing but a number, as in COCO's own sets
    (`000000000139.jpg` is 139); else it counts frames from 0: the frame's index in the first source, and on from there
    in each further one. No two pictures of a run share one.
    """

    head = "["
    tail = "\n]\n"

    def __init__(self) -> None:
        self._ids = ImageIds()
        self._separator = "\n"

    def text(self, result: DetectedFrame) -> str:
        return "".join(self._entries(result))

    def _entries(self, result: DetectedFrame) -> Iterator[str]:
        frame = result.frame
        image_id = self._ids.of(frame)
        for person in people_in(result.detections):
            entry = {
                "image_id": image_id,
                "category_id": 1,
                "bbox": _xywh(person),
                "score": person.score,
                "source": readable(frame.source),
                "frame": frame.index,
            }
            yield self._separator + _json(entry)
            self._separator = ",\n"


class CocoDataset:
    """A COCO dataset, as `pycocotools` `COCO` and annotation tools take it: images, annotations, the category `person`.

    Of a video each frame is an image, named `clip.mp4#12`; `image_id` is that of `Coco`.
    """

    head = '{"categories": [{"id": 1, "name": "person"}],\n"annotations": ['

    def __init__(self) -> None:
        self._ids = ImageIds()
        self._annotations = 0
        self._separator = "\n"
        self._images: list[_Images] = []

    @property
    def tail(self) -> str:
        images = ",".join(f"\n{_json(image)}" for images in self._images for image in images.entries())
        return f'\n],\n"images": [{images}\n]}}\n'

    def text(self, result: DetectedFrame) -> str:
        image_id = self._ids.of(result.frame)
        if not (self._images and self._images[-1].take(result.frame, image_id)):
            self._images.append(_Images(result.frame, image_id))
        return "".join(self._entries(result, image_id))

    def _entries(self, result: DetectedFrame, image_id: int) -> Iterator[str]:
        for person in people_in(result.detections):
            self._annotations += 1
            x, y, width, height = _xywh(person)
            entry = {
                "id": self._annotations,
                "image_id": image_id,
                "category_id": 1,
                "bbox": (x, y, width, height),
                "area": round(width * height, 2),
                "iscrowd": 0,
                "score": person.score,
            }
            yield self._separator + _json(entry)
            self._separator = ",\n"


class Mot:
    """MOTChallenge rows `frame,id,x,y,width,height,score,-1,-1,-1`; frames count from 1.

    Who has no id has -1. Without tracking that is everybody: what MOTChallenge calls a file of detections (det.txt),
    not of tracks. A row has no room for the source: frames and ids of further sources count on from the first one's.
    """

    head = tail = ""

    def __init__(self) -> None:
        self._numbers = FrameNumbers()
        self._source: tuple[str, int] | None = None
        self._ids_before = self._highest_id = 0

    def text(self, result: DetectedFrame) -> str:
        frame = result.frame
        number = self._numbers.of(frame) + 1
        if (source := (frame.source, number - frame.index)) != self._source:
            self._source, self._ids_before = source, self._highest_id
        return "".join(
            f"{number},{self._id(person)},{','.join(map(str, _xywh(person)))},{person.score},-1,-1,-1\n"
            for person in people_in(result.detections)
        )

    def _id(self, person: FoundPerson) -> int:
        if person.track_id is None:
            return -1
        self._highest_id = max(self._highest_id, self._ids_before + person.track_id)
        return self._ids_before + person.track_id


FORMATS: dict[str, type[Format]] = {
    ".jsonl": JsonLines,
    ".ndjson": JsonLines,
    ".csv": Csv,
    ".coco.json": Coco,
    ".coco-dataset.json": CocoDataset,
    ".mot.txt": Mot,
}
"""By the ending of the file's name."""


class _Images:
    """Images of a dataset that follow one another: of a long video one entry, so that memory does not grow with it."""

    def __init__(self, first: Frame, image_id: int) -> None:
        self._source, self._index, self._id = readable(first.source), first.index, image_id
        self._is_picture = is_picture(first)
        self._shape = first.image.shape
        self._count = 1

    def take(self, frame: Frame, image_id: int) -> bool:
        """Take the next image, if it is the next frame of the same video."""
        follows = (frame.index - self._index, image_id - self._id) == (self._count, self._count)
        same = readable(frame.source) == self._source and frame.image.shape == self._shape and not self._is_picture
        self._count += follows and same
        return follows and same

    def entries(self) -> Iterator[dict[str, object]]:
        height, width = self._shape[:2]
        for number in range(self._count):
            name = self._source if self._is_picture else f"{self._source}#{self._index + number}"
            yield {"id": self._id + number, "file_name": name, "width": width, "height": height}


def _xywh(person: FoundPerson) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = person.box
    return x1, y1, round(x2 - x1, 2), round(y2 - y1, 2)


def _weak(result: DetectedFrame, weakest_score: float | None) -> Iterator[FoundPerson]:
    """Yield the boxes under the score that somebody asked to keep."""
    if weakest_score is not None:
        yield from (box for box in people_in(result.weak) if box.score >= weakest_score)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def readable(name: str) -> str:
    """Replace the bytes of a file name that are not UTF-8: no text format may hold them."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")

"""How results become text: JSON lines, CSV, COCO and MOTChallenge.

Boxes are x1, y1, x2, y2 in pixels of the original image, scores 0..1, times in seconds from the start of the source.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from humandetect.media.frames import people_in
from humandetect.media.images import IMAGE_ENDINGS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from humandetect.media.frames import DetectedFrame, FoundPerson, Frame


class Format(Protocol):
    """How results become text."""

    head: str
    tail: str

    def text(self, result: DetectedFrame) -> str:
        """Return what stands in the file for one frame."""
        ...


class JsonLines:
    """One object a line and a line a frame, also for frames without people."""

    head = tail = ""

    def text(self, result: DetectedFrame) -> str:
        frame = result.frame
        line = {"source": _readable(frame.source), "frame": frame.index, "time_seconds": round(frame.time_seconds, 6)}
        if not result.detected:
            line["detected"] = False
        if result.failure is not None:
            line["error"] = _readable(result.failure)
        line["people"] = [
            {"box": person.box, "score": person.score, "track_id": person.track_id}
            for person in people_in(result.detections)
        ]
        return _json(line) + "\n"


class Csv:
    """One row a person."""

    head = "source,frame,time_seconds,track_id,x1,y1,x2,y2,score\n"
    tail = ""

    def text(self, result: DetectedFrame) -> str:
        frame = result.frame
        lines = io.StringIO()
        rows = csv.writer(lines, lineterminator="\n")
        where = (_readable(frame.source), frame.index, round(frame.time_seconds, 6))
        rows.writerows((*where, person.track_id, *person.box, person.score) for person in people_in(result.detections))
        return lines.getvalue()


class Coco:
    """A COCO results array, as `pycocotools` `loadRes` takes it; `source` and `frame` are extras that it ignores.

    `image_id` is the number in an image's name where it is nothing but a number, as in COCO's own sets
    (`000000000139.jpg` is 139); else it counts frames from 0: the frame's index in the first source, and on from there
    in each further one.
    """

    head = "["
    tail = "\n]\n"

    def __init__(self) -> None:
        self._numbers = _Numbers()
        self._separator = "\n"

    def text(self, result: DetectedFrame) -> str:
        return "".join(self._entries(result))

    def _entries(self, result: DetectedFrame) -> Iterator[str]:
        frame = result.frame
        number = self._numbers.of(frame)
        name = Path(frame.source)
        if name.suffix.lower() in IMAGE_ENDINGS and name.stem.isascii() and name.stem.isdigit():
            number = int(name.stem)
        for person in people_in(result.detections):
            entry = {
                "image_id": number,
                "category_id": 1,
                "bbox": _xywh(person),
                "score": person.score,
                "source": _readable(frame.source),
                "frame": frame.index,
            }
            yield self._separator + _json(entry)
            self._separator = ",\n"


class Mot:
    """MOTChallenge rows `frame,id,x,y,width,height,score,-1,-1,-1`; frames count from 1, id is -1 without tracking.

    A row has no room for the source: frames of further sources count on from the first one's.
    """

    head = tail = ""

    def __init__(self) -> None:
        self._numbers = _Numbers()

    def text(self, result: DetectedFrame) -> str:
        number = self._numbers.of(result.frame) + 1
        return "".join(
            f"{number},{-1 if person.track_id is None else person.track_id},"
            f"{','.join(map(str, _xywh(person)))},{person.score},-1,-1,-1\n"
            for person in people_in(result.detections)
        )


FORMATS: dict[str, type[Format]] = {
    ".jsonl": JsonLines,
    ".ndjson": JsonLines,
    ".csv": Csv,
    ".coco.json": Coco,
    ".mot.txt": Mot,
}
"""By the ending of the file's name."""


class _Numbers:
    """Numbers the frames of a run: the index in the first source, and on from there in each further one."""

    def __init__(self) -> None:
        self._source: str | None = None
        self._index = -1
        self._offset = 0

    def of(self, frame: Frame) -> int:
        # An index that does not rise is the same source given once more.
        if frame.source != self._source or frame.index <= self._index:
            self._offset = 0 if self._source is None else self._index + self._offset + 1 - frame.index
        self._source, self._index = frame.source, frame.index
        return frame.index + self._offset


def _xywh(person: FoundPerson) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = person.box
    return x1, y1, round(x2 - x1, 2), round(y2 - y1, 2)


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _readable(name: str) -> str:
    """Replace the bytes of a file name that are not UTF-8: no text format may hold them."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")

"""People as files have them: results that `detect` wrote, and what annotators say is true."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from humandetect.errors import SourceError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

MOST_FRAMES = 1_000_000  # of a truth: all up to its last are judged


@dataclass(frozen=True, slots=True)
class RecordedPerson:
    """One box of a file."""

    box: tuple[float, float, float, float]
    """x1, y1, x2, y2 in pixels."""
    score: float = 1.0
    track_id: int | None = None
    ignored: bool = False
    """In truth only: neither a hit nor a miss, such as a crowd."""


PeopleByPicture = Mapping[int, Sequence[RecordedPerson]]
"""By the number of the picture; of a video, by the frame."""


@dataclass(frozen=True, slots=True)
class Row:
    """What one row of a results file says of a picture; several rows may be of the same."""

    place: str
    """`people.csv:12`."""
    source: str
    frame: int | None
    """From 0; None in COCO results of other programs."""
    people: tuple[RecordedPerson, ...]
    image_id: int | None = None


@dataclass(frozen=True, slots=True)
class Truth:
    """The people who are really there, by frame from 0 or by COCO's image id, also of pictures where nobody is."""

    path: Path
    people: dict[int, list[RecordedPerson]]
    image_ids: dict[str, int] | None = None
    """By the last part of the file's name; None: the pictures are the frames of one video."""

    def find(self, row: Row) -> int | None:
        """Return the picture that the row is of, None if there is no truth for it.

        Raises UsageError where the row does not say what the truth goes by.
        """
        if self.image_ids is None:
            if row.frame is None:
                raise UsageError(
                    f"{row.place} has no `frame`, by which {self.path} goes: give the .jsonl of the same run"
                )
            key: int | None = row.frame
        elif row.image_id is not None:
            key = row.image_id
        elif not row.source:
            raise UsageError(f"{row.place} names no picture of {self.path}: give the .jsonl or .coco.json of this run")
        else:
            name = PurePath(row.source).name
            key = self.image_ids.get(name, self.image_ids.get(f"{name}#{row.frame}"))
        return key if key in self.people else None


def read_results(path: Path) -> Iterator[Row]:
    """Read results by the ending of their name.

    Raises SourceError, and UsageError that names the line of a row that cannot be read.
    """
    if path.suffix.lower() == ".parquet":
        return _parquet(path)
    for ending, read in _RESULTS.items():
        if path.name.lower().endswith(ending):
            return read(path, text_of(path))
    endings = ", ".join((*_RESULTS, ".parquet"))
    raise UsageError(f"cannot read results from {str(path)!r}: the name must end in {endings}")


def read_truth(path: Path) -> Truth:
    """Read MOTChallenge's gt.txt, or a COCO dataset from .json. Raises as `read_results` does."""
    truth = _coco_truth(path) if path.suffix.lower() == ".json" else _mot_truth(path)
    if not any(truth.people.values()):
        raise UsageError(f"{path} has no people: there is nothing to compare with")
    return truth


def rows_of(path: Path, text: str, read: Callable[[str], Any], *, kind: str) -> Iterator[tuple[str, Any]]:
    """Yield the place and what is read of each line. Raises UsageError that names the line that is no `kind`."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            place = f"{path}:{number}"
            yield place, _read(place, read, line, kind=kind)


def _read(place: str, read: Callable[[Any], Any], value: Any, *, kind: str) -> Any:
    try:
        return read(value)
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        reason = f"there is no {error}" if isinstance(error, KeyError) else error
        raise UsageError(f"{place} is no {kind}: {reason}") from error


def text_of(path: Path) -> str:
    """Return the text of a file. Raises SourceError, and UsageError where it is none."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SourceError(f"cannot read {str(path)!r}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is no text in UTF-8") from error


def _person(box: Iterable[Any], score: Any = 1.0, track_id: Any = None, *, ignored: bool = False) -> RecordedPerson:
    x1, y1, x2, y2 = map(float, box)
    if not (all(map(math.isfinite, (x1, y1, x2, y2, float(score)))) and x1 <= x2 and y1 <= y2):
        raise ValueError(f"box {x1:g}, {y1:g}, {x2:g}, {y2:g} with score {score}")
    return RecordedPerson((x1, y1, x2, y2), float(score), None if track_id is None else _whole(track_id), ignored)


def _xyxy(box: Iterable[Any]) -> tuple[float, float, float, float]:
    x, y, width, height = map(float, box)
    return x, y, x + width, y + height


def _whole(value: Any) -> int:
    if float(value) != int(float(value)):
        raise ValueError(f"{value} is no whole number")
    return int(float(value))


def _frame(value: Any, *, first: int = 0) -> int:
    """Return a frame as counted from 0 in a file whose first frame is `first`."""
    if _whole(value) < first:
        raise ValueError(f"frame {value}, and frames count from {first}")
    if _whole(value) > MOST_FRAMES:
        raise ValueError(f"frame {value}, and {MOST_FRAMES} are the most")
    return _whole(value) - first


def _json_lines(path: Path, text: str) -> Iterator[Row]:
    return _rows(rows_of(path, text, lambda line: _record(json.loads(line)), kind="line of results"))


def _parquet(path: Path) -> Iterator[Row]:
    from humandetect.media.parquet_columns import read_records

    places = ((f"{path}, record {number}", record) for number, record in enumerate(read_records(path), 1))
    return _rows((place, _read(place, _record, record, kind="record of results")) for place, record in places)


def _record(entry: dict[str, Any]) -> tuple[str, int, tuple[RecordedPerson, ...]] | None:
    if "frame" not in entry and "people" not in entry:
        return None  # about the run, not about a frame
    people = (_person(one["box"], one["score"], one.get("track_id")) for one in entry["people"])
    return entry["source"], _frame(entry["frame"]), tuple(people)


def _rows(read: Iterable[tuple[str, tuple[str, int, tuple[RecordedPerson, ...]] | None]]) -> Iterator[Row]:
    seen = set()
    for place, row in read:
        if row is None:
            continue
        if row[:2] in seen:
            raise UsageError(f"{place}: frame {row[1]} of {row[0]!r} is there twice: give the results of one run")
        seen.add(row[:2])
        yield Row(place, *row)


def _csv(path: Path, text: str) -> Iterator[Row]:
    rows = csv.DictReader(text.splitlines())

    def read(row: dict[str, str]) -> tuple[str, int, tuple[RecordedPerson, ...]]:
        box = [row[side] for side in ("x1", "y1", "x2", "y2")]
        people = (_person(box, row["score"], row["track_id"] or None),) if any(box) else ()
        return row["source"], _frame(row["frame"]), people

    for row in rows:
        place = f"{path}:{rows.line_num}"
        yield Row(place, *_read(place, read, row, kind="row of results"))


def _mot(path: Path, text: str) -> Iterator[Row]:
    for place, (frame, track_id, box, score) in rows_of(path, text, _mot_row, kind="MOTChallenge row"):
        yield Row(place, "", frame, (RecordedPerson(box, score, track_id),))


def _mot_row(line: str) -> tuple[int, int | None, tuple[float, float, float, float], float]:
    """Return frame, id, box, and the seventh column, which is the score of a result and the flag of a truth.

    What follows is never read: in the eighth some files have a class, others where a person stands.
    """
    frame, track_id, *numbers = line.replace(",", " ").split()[:7]
    person = _person(_xyxy(numbers[:4]), numbers[4] if len(numbers) > 4 else 1.0, track_id)
    known = person.track_id is not None and person.track_id >= 0
    return _frame(frame, first=1), person.track_id if known else None, person.box, person.score


def _mot_truth(path: Path) -> Truth:
    people: dict[int, list[RecordedPerson]] = {}
    rows = rows_of(path, text_of(path), _mot_row, kind="MOTChallenge row (frame,id,x,y,width,height,flag)")
    for place, (frame, track_id, box, flag) in rows:
        beside = people.setdefault(frame, [])
        refuse_twice(beside, track_id, place)
        beside.append(RecordedPerson(box, track_id=track_id, ignored=flag == 0))
    return Truth(path, {frame: people.get(frame, []) for frame in range(max(people, default=-1) + 1)})


def refuse_twice(beside: Iterable[RecordedPerson], track_id: int | None, place: str) -> None:
    """Raise UsageError if somebody in the same picture has this id already."""
    if track_id is not None and any(person.track_id == track_id for person in beside):
        raise UsageError(f"{place}: the id {track_id} is there twice in one frame: an id is one person")


def _coco_results(path: Path, text: str) -> Iterator[Row]:
    def read(entry: dict[str, Any]) -> tuple[str, int | None, tuple[RecordedPerson, ...], int]:
        person = _person(_xyxy(entry["bbox"]), entry["score"])
        frame = _frame(entry["frame"]) if "frame" in entry else None
        return entry.get("source", ""), frame, (person,), _whole(entry["image_id"])

    for number, entry in enumerate(_coco_json(path, text, list)):
        place = f"{path}, entry {number}"
        yield Row(place, *_read(place, read, entry, kind="COCO result"))


def _coco_truth(path: Path) -> Truth:
    dataset = _coco_json(path, text_of(path), dict)
    images, categories, entries = _read(str(path), _coco_tables, dataset, kind="COCO dataset")
    persons = {key for key, name in categories.items() if name in ("person", "people", "pedestrian")}
    if not persons:
        raise UsageError(f"{path} has no category `person`, but {', '.join(categories.values()) or 'none'}")
    people: dict[int, list[RecordedPerson]] = {key: [] for key in images.values()}

    def read(entry: dict[str, Any]) -> tuple[int, RecordedPerson] | None:
        if _whole(entry["category_id"]) not in persons:
            return None
        crowd = bool(entry.get("iscrowd"))
        return _whole(entry["image_id"]), _person(_xyxy(entry["bbox"]), 1.0, entry.get("track_id"), ignored=crowd)

    for number, entry in enumerate(entries):
        place = f"{path}, annotation {number}"
        found = _read(place, read, entry, kind="COCO annotation")
        if found is None:
            continue
        if found[0] not in people:
            raise UsageError(f"{place} is of image {found[0]}, which is not among the images")
        refuse_twice(people[found[0]], found[1].track_id, place)
        people[found[0]].append(found[1])
    return Truth(path, people, images)


def _coco_tables(dataset: dict[str, Any]) -> tuple[dict[str, int], dict[int, str], list[Any]]:
    """Return the ids of images by names without folders, the names of categories, and the annotations.

    Raises ValueError where two images would have the same name.
    """
    images = {PurePath(image["file_name"]).name: _whole(image["id"]) for image in dataset["images"]}
    if len(images) < len(dataset["images"]):
        raise ValueError("images in several folders have the same name: names tell pictures apart here")
    categories = {_whole(one["id"]): str(one.get("name")).lower() for one in dataset.get("categories", [])}
    return images, categories, list(dataset.get("annotations", []))


def _coco_json(path: Path, text: str, kind: type) -> Any:
    try:
        data = json.loads(text)
    except (RecursionError, ValueError) as error:
        raise UsageError(f"{path} is no JSON: {error}") from error
    if not isinstance(data, kind):
        wanted = "a COCO dataset, an object with `images`" if kind is dict else "COCO results, an array"
        raise UsageError(f"{path} is not {wanted}")
    return data


_RESULTS: dict[str, Callable[[Path, str], Iterator[Row]]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".csv": _csv,
    ".coco.json": _coco_results,
    ".mot.txt": _mot,
}

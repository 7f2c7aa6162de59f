"""Results held against what is true: average precision of boxes, and how well tracks follow people."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from humandetect.analytics.event_matching import match_events, read_events
from humandetect.analytics.known_tracks import events_at, frames_of
from humandetect.analytics.recorded import read_results, read_truth, refuse_twice
from humandetect.analytics.scene import read_scene
from humandetect.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from humandetect.analytics.event_matching import EventScore
    from humandetect.analytics.recorded import PeopleByPicture, RecordedPerson, Row, Truth
    from humandetect.config import EvalConfig


@dataclass(frozen=True, slots=True)
class BoxScore:
    """COCO's average precision of person boxes, 0..1."""

    ap: float
    """Mean over IoU 0.5 to 0.95."""
    ap50: float


@dataclass(frozen=True, slots=True)
class TrackScore:
    """How well tracks follow people; all but the counts 0..1, MOTA also below."""

    mota: float
    idf1: float
    hota: float
    id_switches: int
    people: int
    tracks: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What came of holding results against the truth."""

    frames: int
    """That were judged: all that the truth covers."""
    frames_without_people: int
    """Of these, where the truth has nobody."""
    frames_without_truth: int
    """Of the results, which were left out."""
    boxes: BoxScore
    tracks: TrackScore | None
    """None where truth or results have no ids."""
    events: EventScore | None = None


def evaluate(config: EvalConfig) -> Evaluation:
    """Judge a results file, and its events where there are some.

    Raises SourceError for a file that cannot be read, UsageError for one that makes no sense, and MissingExtra.
    """
    truth = read_truth(config.truth)
    if config.every > 1 and truth.image_ids is not None:
        raise UsageError(f"--every is for the frames of a video, and {config.truth} is of pictures")
    found, outside = _by_picture(truth, read_results(config.results))
    judged = [picture for picture in truth.people if picture % config.every == 0 or truth.image_ids is not None]
    there = {picture: truth.people[picture] for picture in judged}
    seen = {picture: found[picture] for picture in judged}
    return Evaluation(
        frames=len(judged),
        frames_without_people=sum(not people for people in there.values()),
        frames_without_truth=outside,
        boxes=score_boxes(there, seen),
        tracks=score_tracks(there, seen),
        events=_events(config, truth.people, found),
    )


def _events(config: EvalConfig, there: PeopleByPicture, seen: PeopleByPicture) -> EventScore | None:
    """Match events as files have them, or as people with ids make them at the scene."""
    if config.scene is None and config.events is None:
        return None
    scene = read_scene(config.scene) if config.scene is not None else None
    frames = frames_of(config.results) if scene is not None and not (config.events and config.truth_events) else []
    true, counted = (
        read_events(path) if path is not None else events_at(scene, frames, people) if scene is not None else []
        for path, people in ((config.truth_events, there), (config.events, seen))
    )
    return match_events(true, counted, within_seconds=config.within_seconds)


def _by_picture(truth: Truth, rows: Iterable[Row]) -> tuple[defaultdict[int, list[RecordedPerson]], int]:
    """Return who was found in each picture that the truth has, and the number of the pictures that it has not."""
    found: defaultdict[int, list[RecordedPerson]] = defaultdict(list)
    sources: set[str] = set()
    outside: set[object] = set()
    for row in rows:
        sources.add(row.source)
        if truth.image_ids is None and len(sources) > 1:
            names = " and ".join(map(repr, sorted(sources)))
            raise UsageError(f"{row.place}: results of {names}, and {truth.path} is of one video: give those of one")
        picture = truth.find(row)
        if picture is None:
            outside.add((row.source, row.frame, row.image_id))
            continue
        for person in row.people:
            refuse_twice(found[picture], person.track_id, row.place)
            found[picture].append(person)
    if outside and not found:
        raise UsageError(f"no picture of the results is among the {len(truth.people)} of {truth.path}: is it of these?")
    return found, len(outside)


def score_boxes(truth: PeopleByPicture, found: PeopleByPicture) -> BoxScore:
    """Return the average precision of at most 100 boxes a picture; ignored people count for nothing."""
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ModuleNotFoundError as error:
        raise MissingExtra("average precision needs more: pip install 'humandetect[eval]'") from error
    results = _entries(found)
    if not results:
        return BoxScore(ap=0.0, ap50=0.0)
    images = [{"id": picture} for picture in truth]
    dataset = COCO({"images": images, "categories": [{"id": 1}], "annotations": _entries(truth)})
    judged = COCOeval_faster(dataset, dataset.loadRes(results), iouType="bbox", print_function=lambda *_: None)
    judged.evaluate()
    judged.accumulate()
    judged.summarize()
    return BoxScore(ap=float(judged.stats_as_dict["AP_all"]), ap50=float(judged.stats_as_dict["AP_50"]))


def _entries(pictures: PeopleByPicture) -> list[dict[str, Any]]:
    return [
        {
            "id": number,
            "image_id": picture,
            "category_id": 1,
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "area": (x2 - x1) * (y2 - y1),
            "iscrowd": int(person.ignored),
            "score": person.score,
        }
        for number, (picture, person) in enumerate(
            ((picture, person) for picture, people in pictures.items() for person in people), 1
        )
        for x1, y1, x2, y2 in [person.box]
    ]


def score_tracks(truth: PeopleByPicture, found: PeopleByPicture) -> TrackScore | None:
    """Return the score of those who have an id, None where nobody has.

    Ignored people are not there, as in MOTChallenge's own figures: a track on one of them is a false one.
    """
    from trackers.eval import box_iou, compute_clear_metrics, compute_hota_metrics, compute_identity_metrics

    true_ids, true_boxes = _with_ids(truth)
    ids, boxes = _with_ids(found)
    people, tracks = (len(np.unique(np.concatenate(each))) if each else 0 for each in (true_ids, ids))
    if not (people and tracks):
        return None
    overlaps = [box_iou(there, here) for there, here in zip(true_boxes, boxes, strict=True)]
    clear = compute_clear_metrics(true_ids, ids, overlaps)
    return TrackScore(
        mota=clear["MOTA"],
        idf1=compute_identity_metrics(true_ids, ids, overlaps)["IDF1"],
        hota=compute_hota_metrics(true_ids, ids, overlaps)["HOTA"],
        id_switches=clear["IDSW"],
        people=people,
        tracks=tracks,
    )


def _with_ids(pictures: PeopleByPicture) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the ids and the boxes, (N, 4), of each picture."""
    known = [
        [person for person in people if person.track_id is not None and not person.ignored]
        for _, people in sorted(pictures.items())
    ]
    ids = [np.array([person.track_id for person in people], int) for people in known]
    return ids, [np.array([person.box for person in people], float).reshape(-1, 4) for people in known]

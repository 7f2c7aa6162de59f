"""Answers that mean something else than the contract says: without a word they would become "no people found"."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from humandetect.models.dialects.coco import COCO_91
from humandetect.plural import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    import supervision as sv
    from numpy.typing import NDArray

    from humandetect.engines.base import ModelInfo, RawDetections

FEWEST_COVERED = 0.2
"""Of the boxes that are found: less are there by chance."""
FAR_OUTSIDE = 2.0
"""Boxes of people at the edge reach over it a little; pixels reach far."""
LIKELY_LOGIT = 40.0
"""Above are percents or bytes."""
NOTHING_THERE = -1
"""A score with which some, such as KerasCV's suppression, fill up rows."""
CORNERS_WANTED = "write them as two corners, not as centre and size"


def breach_of(answer: RawDetections, info: ModelInfo, threshold: float) -> str | None:
    """Say what is odd in an answer, and the fix; None if nothing is."""
    scores = answer.scores[answer.scores != NOTHING_THERE]
    highest, lowest = scores.max(initial=0), scores.min(initial=0)
    if np.isnan(highest) or np.isnan(answer.xyxy[answer.scores >= max(threshold, 1e-6)]).any():
        return _told(
            info, "scores or boxes are no numbers (NaN), or what says how many there are is none",
            "try --precision f32, or export it in float32",
        )  # fmt: skip
    if not -0.01 <= lowest <= highest <= 1.01:
        return _told(info, f"scores reach from {lowest:g} to {highest:g}: not in 0..1", _score_fix(lowest, highest))
    strong = (answer.scores >= threshold) & (answer.scores > 0)
    if not strong.any():
        return None
    farthest = np.abs(answer.xyxy[strong]).max()
    if not farthest <= FAR_OUTSIDE:
        return _told(info, f"boxes reach {farthest:.0f}: not in 0..1", "divide them by the input's width and height")
    left, top, right, bottom = answer.xyxy[strong].T
    if (right < left).any() or (bottom < top).any():
        return _told(info, "boxes end before they begin", CORNERS_WANTED)
    if ((right == left) | (bottom == top)).all():  # of some it is chance, as of those clipped at an edge
        return _told(info, "boxes have no area", CORNERS_WANTED)
    return _classes_breach(answer.class_ids[strong], info)


def _classes_breach(class_ids: NDArray[np.int32], info: ModelInfo) -> str | None:
    """Say which classes nobody knows: beside people that is the model's own affair, but for 0, which is no class."""
    labels, people = info.metadata.labels, info.metadata.person_classes
    known = COCO_91.keys() if labels == {1: "person"} else labels.keys()  # that is what is said of any model
    numbers = set(class_ids.tolist())
    unknown = numbers - known - people
    if 0 in unknown and numbers & people:
        named = " and ".join(map(str, sorted(people)))
        return _told(
            info, f"detections are of class 0, which there is not, and people are class {named}",
            "if its classes count from 0, say --person-class 0, or person_classes in humandetect.json",
        )  # fmt: skip
    if unknown and not numbers & people:
        return _classes_told(info, sorted(numbers), class_ids.size)
    return None


def contract_told(info: ModelInfo, answers: Sequence[RawDetections]) -> str:
    """Describe a model that keeps the contract: what goes in, what comes out."""
    size = f"{info.size} {'padded' if info.size.keep_aspect else 'stretched'}" if info.size else "any size"
    labels = info.metadata.labels
    people = ", ".join(f"{one} ({labels.get(one, 'person')})" for one in sorted(info.metadata.person_classes))
    boxes = np.concatenate([answer.xyxy[answer.scores > 0] for answer in answers])
    return (
        f"dialect {info.dialect}, input {size}, people are class {people} of {len(labels)}, "
        f"boxes {boxes.min(initial=1):.2f} to {boxes.max(initial=0):.2f}"
    )


def nobody_told(info: ModelInfo, answers: Sequence[RawDetections], threshold: float) -> str:
    """Say why pictures with people may show none: another class, or scores too low, as a wrong input gives."""
    strong = np.concatenate([answer.class_ids[answer.scores >= max(threshold, 1e-6)] for answer in answers])
    if strong.size:
        return _classes_told(info, sorted(set(strong.tolist())), strong.size)
    best = max(answer.scores.max(initial=0) for answer in answers)
    seen = f"the best score is {best:.2f}, {threshold:g} is asked for"
    fix = "if it finds people elsewhere, say scaling, channels, layout or keep_aspect in humandetect.json"
    if best == 0:
        seen = "all scores are 0, or what says how many rows there are is"
        fix = f"see that its labels name all classes: now {len(info.metadata.labels)}; {fix}"
    return _told(info, f"nobody in pictures that have people; {seen}", fix)


def elsewhere_told(info: ModelInfo, found: Sequence[sv.Detections], known: Sequence[sv.Detections]) -> str:
    """Say of boxes that lie where no people are, in pictures whose people are known; empty if enough lie well."""
    well = sum(int(_covered(one.xyxy, other.xyxy).sum()) for one, other in zip(found, known, strict=True))
    total = sum(map(len, found))
    if well >= FEWEST_COVERED * total:
        return ""
    return (
        f"{well} of {counted(total, 'box', 'boxes')} lie where the sample has people: look at them with detect -o; "
        f"if they are wrong, say keep_aspect or another dialect than {info.dialect} in humandetect.json"
    )


def _covered(found: NDArray[np.number], known: NDArray[np.number]) -> NDArray[np.bool_]:
    """Say of which boxes one person has half or more: of those of heads all, of those that are too large few."""
    if not len(known):
        return np.zeros(len(found), bool)
    begin = np.maximum(found[:, None, :2], known[None, :, :2])
    end = np.minimum(found[:, None, 2:], known[None, :, 2:])
    shared = (end - begin).clip(0).prod(axis=2).max(axis=1)
    covered: NDArray[np.bool_] = shared >= (found[:, 2:] - found[:, :2]).prod(axis=1) / 2
    return covered


def _classes_told(info: ModelInfo, numbers: list[int], count: int) -> str:
    seen = " and ".join(f"{number} {info.metadata.labels.get(number, '')}".strip() for number in numbers)
    people = " and ".join(map(str, sorted(info.metadata.person_classes)))
    if numbers[-1] < 0:
        return _told(info, f"detections are of class {seen}, which is none", "export it with classes from 0 or 1 on")
    first = next(number for number in numbers if number >= 0)
    every = "the only detection is" if count == 1 else f"all {count} detections are"
    return _told(
        info, f"{every} of class {seen}, people are class {people}",
        f"if they are people, say --person-class {first}, or person_classes in humandetect.json",
    )  # fmt: skip


def _score_fix(lowest: float, highest: float) -> str:
    if lowest >= 0 and highest > LIKELY_LOGIT:
        return f"divide them by {100 if highest <= 100 else 255}"
    return "export it with its sigmoid"


def _told(info: ModelInfo, what: str, fix: str) -> str:
    return f"model {info.name}: {what}; {fix}"

"""What every dialect says of itself: which picture it wants and how its outputs become boxes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from humandetect.models.metadata import Channels, Scaling

LOWEST_SCORE = 0.01
"""What scores less never reaches anybody, and would make suppression slow."""
SUPPRESSION_IOU = 0.6
MOST_CANDIDATES = 1000
MOST_BOXES = 300
MOST_QUERIES = 1000
"""Models with so few rows choose among queries, as DETR does, and were trained on stretched pictures."""
LARGEST_FRACTION = 2.0
"""Boxes that stay below this are fractions of the picture, not pixels: an edge may lie outside, half a picture not."""


@dataclass(frozen=True, slots=True)
class Output:
    """One output of a graph; None is a size left open."""

    name: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class WantedPicture:
    """How a model wants its picture."""

    keep_aspect: bool = True
    """Padded, not stretched."""
    channels: Channels = "rgb"
    scaling: Scaling = "0..1"


@dataclass(frozen=True, slots=True)
class Boxes:
    """What was found in one picture."""

    xyxy: NDArray[np.float32]
    """(N, 4), in 0..1 or in pixels of the model's input."""
    scores: NDArray[np.float32]
    """(N,)."""
    class_ids: NDArray[np.int32]
    """(N,)."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One way of writing detections."""

    name: str
    outputs: tuple[int, ...]
    """Which of the graph's outputs it reads, in the order of `boxes`."""
    boxes: Callable[[Sequence[NDArray[np.float32]], tuple[int, int]], Boxes]
    """Reads the answer to one picture of that (height, width)."""
    picture: WantedPicture = WantedPicture()
    """What models of this dialect were trained on."""
    labels: Mapping[int, str] = field(default_factory=dict)
    """Names of the classes where the model itself says none; empty where nobody can tell."""

    def decode(self, answers: Sequence[NDArray[np.float32]], input_hw: tuple[int, int]) -> Boxes:
        """Read the answer to one picture, and scale boxes to 0..1 where the exporter did not."""
        with np.errstate(all="ignore"):  # what is no number comes out as that, and is told as a breach
            boxes = self.boxes(answers, input_hw)
        if not in_pixels(boxes):
            return boxes
        height, width = input_hw
        scale: NDArray[np.float32] = np.array([width, height, width, height], np.float32)
        return replace(boxes, xyxy=boxes.xyxy / scale)


def corners(cxcywh: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn centre, width and height into two corners."""
    half = cxcywh[:, 2:] / 2
    return np.concatenate([cxcywh[:, :2] - half, cxcywh[:, :2] + half], axis=1)


def in_pixels(boxes: Boxes) -> bool:
    """Tell pixels from fractions, which no graph says, by the likeliest box: unlikely ones may reach anywhere."""
    if not boxes.scores.size:
        return False
    likeliest = np.nan_to_num(boxes.scores, nan=-1).argmax()
    return bool(np.abs(boxes.xyxy[likeliest]).max() > LARGEST_FRACTION)


def whole(numbers: NDArray[np.generic]) -> NDArray[np.int32]:
    """Round numbers of classes, of which few bits may have made 0.99; those that are none become negative."""
    rounded = np.rint(numbers, dtype=np.float64)
    return np.where(np.abs(rounded) <= np.iinfo(np.int32).max, rounded, -1).astype(np.int32)


def best_class(class_scores: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Return score and number of each row's likeliest class."""
    class_ids = class_scores.argmax(axis=1)
    return class_scores[np.arange(len(class_scores)), class_ids], class_ids.astype(np.int32)


def suppress(boxes: Boxes) -> Boxes:
    """Keep of boxes of one class that cover the same thing the likeliest; and where scores are NaN one of these."""
    import cv2  # 30 MB that the engine of remote servers does without

    candidates = np.argsort(-boxes.scores, kind="stable")[:MOST_CANDIDATES]
    candidates = candidates[boxes.scores[candidates] >= LOWEST_SCORE]
    xyxy, scores, class_ids = boxes.xyxy[candidates], boxes.scores[candidates], boxes.class_ids[candidates]
    xywh = np.concatenate([xyxy[:, :2], xyxy[:, 2:] - xyxy[:, :2]], axis=1).astype(float)
    kept = cv2.dnn.NMSBoxesBatched(xywh, scores, class_ids, LOWEST_SCORE, SUPPRESSION_IOU)  # type: ignore[arg-type]
    best = candidates[np.array(kept, int).reshape(-1)[:MOST_BOXES]]
    best = np.append(best, np.flatnonzero(np.isnan(boxes.scores))[:1])
    return Boxes(boxes.xyxy[best], boxes.scores[best], boxes.class_ids[best])

"""Graphs that end in their own suppression: what is left is to name their columns."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from humandetect.models.dialects.base import MOST_QUERIES, Boxes, Picture, as_fractions, in_pixels, suppress
from humandetect.models.dialects.coco import COCO_80, COCO_90, COCO_91

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Rows:
    """End to end: rows of x1, y1, x2, y2, score, class, as YOLOv10 and exports with suppression write them.

    More may follow, of masks or joints. Seven columns without a batch begin with the image's number, as YOLOv7 does.
    """

    outputs: tuple[int, ...]
    picture: Picture = field(default_factory=Picture)
    labels: dict[int, str] = field(default_factory=lambda: COCO_80)
    name: ClassVar[str] = "rows"

    def decode(self, answers: Sequence[NDArray[np.float32]], input_hw: tuple[int, int]) -> Boxes:
        """Split the columns."""
        rows = answers[0].reshape(-1, answers[0].shape[-1])
        rows = rows[:, 1:] if answers[0].shape[1:] == (7,) else rows
        class_ids, scores = _classes_and_scores(rows[:, 5], rows[:, 4])
        return as_fractions(Boxes(rows[:, :4], scores, class_ids), input_hw)


@dataclass(frozen=True, slots=True)
class LabelledRows:
    """MMDetection's and OpenVINO Training Extensions': rows of x1, y1, x2, y2, score, and the classes beside them."""

    outputs: tuple[int, ...]
    picture: Picture = field(default_factory=lambda: Picture(scaling="imagenet"))
    labels: dict[int, str] = field(default_factory=lambda: COCO_80)
    name: ClassVar[str] = "labelled-rows"

    def decode(self, answers: Sequence[NDArray[np.float32]], input_hw: tuple[int, int]) -> Boxes:
        """Split the columns."""
        rows, class_ids = answers[0].reshape(-1, 5), answers[1].reshape(-1).astype(np.int32)
        return as_fractions(Boxes(rows[:, :4], rows[:, 4], class_ids), input_hw)


@dataclass(frozen=True, slots=True)
class CountedRows:
    """PaddleDetection's: rows of class, score, x1, y1, x2, y2, and their number beside them."""

    outputs: tuple[int, ...]
    picture: Picture = field(default_factory=lambda: Picture(keep_aspect=False))
    labels: dict[int, str] = field(default_factory=lambda: COCO_80)
    name: ClassVar[str] = "counted-rows"

    def decode(self, answers: Sequence[NDArray[np.float32]], input_hw: tuple[int, int]) -> Boxes:
        """Split the columns of as many as there are."""
        rows = answers[0][: int(answers[1].reshape(-1)[0])]
        return as_fractions(Boxes(rows[:, 2:], rows[:, 1], rows[:, 0].astype(np.int32)), input_hw)


@dataclass(frozen=True, slots=True)
class DetectionOutput:
    """OpenVINO's and Caffe's SSD layer: rows of image, class, score, x1, y1, x2, y2 in 0..1."""

    outputs: tuple[int, ...]
    picture: Picture = field(default_factory=lambda: Picture(keep_aspect=False, channels="bgr", scaling="0..255"))
    labels: dict[int, str] = field(default_factory=lambda: {1: "person"})
    name: ClassVar[str] = "detection-output"

    def decode(self, answers: Sequence[NDArray[np.float32]], input_hw: tuple[int, int]) -> Boxes:
        """Take the rows up to the first of image -1, which ends the list."""
        rows = answers[0].reshape(-1, 7)
        rows = rows[: int(np.argmax(rows[:, 0] < 0)) if (rows[:, 0] < 0).any() else len(rows)]
        return as_fractions(Boxes(rows[:, 3:], rows[:, 2], rows[:, 1].astype(np.int32)), input_hw)


@dataclass(frozen=True, slots=True)
class Lists:
    """Boxes, classes and scores as three outputs; with a fourth, their number.

    With that TFLite writes fractions, y before x, and YOLO-NAS pixels, x before y.
    """

    outputs: tuple[int, ...]
    """Boxes, then the two lists as they come, then the number, if there is one."""
    batched: bool = True
    name: ClassVar[str] = "lists"

    @property
    def _counted(self) -> bool:
        return len(self.outputs) == 4

    @property
    def picture(self) -> Picture:
        """TFLite's SSDs take -1..1 (or bytes), torchvision's models 0..1."""
        return Picture(keep_aspect=False, scaling="-1..1" if self._counted else "0..1")

    @property
    def labels(self) -> dict[int, str]:
        """COCO's: counted from 0 with gaps by TFLite, without by RT-DETR; torchvision has COCO's own numbers."""
        return COCO_90 if self._counted else COCO_80 if self.batched else COCO_91

    def decode(self, answers: Sequence[NDArray[np.float32]], input_hw: tuple[int, int]) -> Boxes:
        """Take as many as there are; TFLite's and very many may not be suppressed yet."""
        class_ids, scores = _classes_and_scores(answers[1].reshape(-1), answers[2].reshape(-1))
        count = int(answers[3].reshape(-1)[0]) if self._counted else len(scores)
        boxes = Boxes(answers[0].reshape(-1, 4)[:count], scores[:count], class_ids[:count])
        if self._counted and not in_pixels(boxes):
            boxes = replace(boxes, xyxy=boxes.xyxy[:, [1, 0, 3, 2]])
        return as_fractions(suppress(boxes) if self._counted or count > MOST_QUERIES else boxes, input_hw)


def _classes_and_scores(
    first: NDArray[np.float32], second: NDArray[np.float32]
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Tell classes from scores by their being whole numbers: exporters disagree on the order."""
    if not _whole(first) and _whole(second):
        first, second = second, first
    return first.astype(np.int32), second.astype(np.float32)


def _whole(numbers: NDArray[np.float32]) -> bool:
    return bool((numbers == np.floor(numbers)).all())

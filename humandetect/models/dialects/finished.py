"""Graphs that end in their own suppression: what is left is to name their columns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from humandetect.models.dialects.base import Boxes, Picture, as_fractions
from humandetect.models.dialects.coco import COCO_80, COCO_90, COCO_91

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Rows:
    """End to end: rows of x1, y1, x2, y2, score, class, as YOLOv10 and exports with suppression write them."""

    outputs: tuple[int, ...]
    picture: Picture = field(default_factory=Picture)
    labels: dict[int, str] = field(default_factory=lambda: COCO_80)
    name: ClassVar[str] = "rows"

    def decode(self, answers: Sequence[NDArray[np.float32]], input_hw: tuple[int, int]) -> Boxes:
        """Split the columns."""
        rows = answers[0].reshape(-1, 6)
        return as_fractions(Boxes(rows[:, :4], rows[:, 4], rows[:, 5].astype(np.int32)), input_hw)


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
    """Boxes, classes and scores as three outputs; with a fourth, their number, as TFLite writes them: y before x."""

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
        """Tell classes from scores by their being whole numbers: exporters disagree on the order."""
        xyxy = answers[0].reshape(-1, 4)
        class_ids, scores = answers[1].reshape(-1), answers[2].reshape(-1)
        if not (class_ids == np.floor(class_ids)).all():
            class_ids, scores = scores, class_ids
        if self._counted:
            count = int(answers[3].reshape(-1)[0])
            xyxy, class_ids, scores = xyxy[:count, [1, 0, 3, 2]], class_ids[:count], scores[:count]
        return as_fractions(Boxes(xyxy, scores.astype(np.float32), class_ids.astype(np.int32)), input_hw)

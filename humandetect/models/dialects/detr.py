"""DETR and its kin: a set of queries, boxes and class logits as two outputs, no suppression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from humandetect.models.dialects.base import Boxes, Picture, as_fractions, best_class, corners
from humandetect.models.dialects.coco import labels_by_count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Detr:
    """Boxes as centre and size in 0..1; logits for sigmoid, or for softmax with a last class that is no object."""

    outputs: tuple[int, ...]
    columns: int
    softmax: bool
    name: ClassVar[str] = "detr"

    @property
    def picture(self) -> Picture:
        """RT-DETR's for sigmoid over 80 classes; those with COCO's gaps keep the original's normalised input."""
        return Picture(keep_aspect=False, scaling="imagenet" if self.softmax or self.columns == 91 else "0..1")

    @property
    def labels(self) -> dict[int, str]:
        """COCO's, where the number of classes fits."""
        return labels_by_count(self.columns - self.softmax)

    def decode(self, answers: Sequence[NDArray[np.float32]], input_hw: tuple[int, int]) -> Boxes:
        """Turn logits into scores."""
        cxcywh, logits = answers[0][0], answers[1][0].astype(np.float32)
        if self.softmax:
            powers = np.exp(logits - logits.max(axis=1, keepdims=True))
            class_scores = (powers / powers.sum(axis=1, keepdims=True))[:, :-1]
        else:
            class_scores = 1 / (1 + np.exp(-logits.clip(-80, 80)))
        return as_fractions(Boxes(corners(cxcywh), *best_class(class_scores)), input_hw)


def recognise_detr(boxes: int, logits: int, columns: int, *, classes: int | None) -> Detr:
    """Tell the two kinds apart by the class that is no object."""
    no_object = columns == classes + 1 if classes else columns in (81, 92)
    return Detr((boxes, logits), columns, no_object)

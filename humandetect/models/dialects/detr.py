"""DETR and its kin: a set of queries, boxes and class logits as two outputs, no suppression."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from humandetect.models.dialects.base import Boxes, Dialect, WantedPicture, best_class, corners
from humandetect.models.dialects.coco import labels_by_count

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def detr(boxes: int, logits: int, columns: int, *, classes: int | None) -> Dialect:
    """Tell logits for softmax, with a last class that is no object, from those for sigmoid.

    Models with COCO's gaps in their classes keep the original's normalised input; RT-DETR has neither.
    """
    softmax = columns == classes + 1 if classes else columns in (81, 92)
    picture = WantedPicture(keep_aspect=False, scaling="imagenet" if softmax or columns == 91 else "0..1")
    labels = labels_by_count(columns - softmax)
    return Dialect("detr", (boxes, logits), partial(_detr, softmax=softmax), picture, labels)


def _detr(answers: Sequence[NDArray[np.float32]], _: tuple[int, int], *, softmax: bool) -> Boxes:
    """Turn centres and sizes into corners, logits into scores; the last class of softmax is no object."""
    cxcywh, logits = answers[0][0], answers[1][0].astype(np.float32)
    if softmax:
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        class_scores = (powers / powers.sum(axis=1, keepdims=True))[:, :-1]
    else:
        class_scores = 1 / (1 + np.exp(-logits.clip(-80, 80)))
    return Boxes(corners(cxcywh), *best_class(class_scores))

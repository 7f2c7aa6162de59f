"""A second look at close-ups, at half the size: people larger than a model was trained for are found in it.

What is too large is so in pixels of the input, whatever the preset and however the picture stands. The limits were
chosen on windows of a real clip in which people fill 50 to 130 % of the height; `models/README.md` has the figures.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from humandetect.engines.base import RawDetections

if TYPE_CHECKING:
    from numpy.typing import NDArray

TRIGGER_SCORE, TRIGGER_HEIGHT = 0.2, 230
"""A box so sure and so tall, in pixels of the input, asks for a second look."""
OWN_HEIGHT = 192
"""From here on people belong to the second look; smaller ones the first one saw better."""
SAME_IOU = 0.6
"""Boxes that overlap by more are one person."""
SURE_SCORE, SAME_SHARE = 0.5, 0.5
"""Of a person whom the second look is so sure of, the first may have seen parts: they share so much of the smaller."""


def wants_second_look(row: RawDetections, height: int) -> bool:
    """Tell whether somebody is so close that others as close may have been missed.

    `row` is the answer to one input of so many pixels' height.
    """
    return bool(((row.scores >= TRIGGER_SCORE) & (_heights(row.xyxy) * height >= TRIGGER_HEIGHT)).any())


def merged(first: RawDetections, second: RawDetections, height: int) -> RawDetections:
    """Join what two looks at one input saw: nobody twice, neither whole nor in parts. `height` is the first one's."""
    import supervision as sv  # whole: where another thread does so too, an import of a part of it is a deadlock

    many, few = _table(first), _table(second)
    tall = _heights(many) * height >= OWN_HEIGHT
    few = few[_heights(few) * height >= OWN_HEIGHT]
    sure = few[few[:, 4] >= SURE_SCORE]
    shares = sv.box_iou_batch(many[tall, :4], sure[:, :4], sv.OverlapMetric.IOS).max(axis=1, initial=0)
    joined = np.concatenate([many[~tall], many[tall][shares < SAME_SHARE], few])
    joined = joined[sv.box_non_max_suppression(joined, SAME_IOU)]
    return RawDetections(
        joined[None, :, :4].astype(np.float32), joined[None, :, 4].astype(np.float32),
        joined[None, :, 5].astype(np.int32),
    )  # fmt: skip


def _table(row: RawDetections) -> NDArray[np.float64]:
    """Return (N, 6): corners, score, class."""
    return np.column_stack([row.xyxy[0], row.scores[0], row.class_ids[0]])


def _heights(xyxy: NDArray[np.floating]) -> NDArray[np.floating]:
    return xyxy[..., 3] - xyxy[..., 1]

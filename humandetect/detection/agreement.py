"""Are these the people of a picture whose people are known, whatever engine and precision found them?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from humandetect.wire import Person

SAME_IOU = 0.5
SCORE_DRIFT = 0.1
"""How far scores may move between precisions: people this close to the threshold prove nothing."""


def compare(found: Sequence[Person], known: Sequence[Person], *, certain: float) -> tuple[int, int, int]:
    """Count people matched by their boxes: found, expected, and found where none is known. Only certain ones count."""
    import supervision as sv  # whole: where another thread does so too, an import of a part of it is a deadlock

    overlap: NDArray[np.floating] = np.zeros((len(known), len(found)))
    if overlap.size:
        overlap = sv.box_iou_batch(np.array([one.box for one in known]), np.array([one.box for one in found]))
    missed, extra = set(range(len(known))), set(range(len(found)))
    for place in np.argsort(-overlap, axis=None):
        row, column = divmod(int(place), len(found))
        if overlap[row, column] < SAME_IOU:
            break
        if row in missed and column in extra:
            missed.remove(row)
            extra.remove(column)
    expected = {row for row, one in enumerate(known) if one.score >= certain}
    unexpected = sum(found[column].score >= certain for column in extra)
    return len(expected - missed), len(expected), unexpected

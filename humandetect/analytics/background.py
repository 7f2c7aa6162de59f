"""The place without its people, as far as they move."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LONG_SIDE = 960
MOST_PICTURES = 9
"""Small ones, 14 MB of 16:9 in all."""


class Background:
    """Makes one picture of a source: the median of a few from all over it, where nobody is who walks on.

    A given picture stays as it is.
    """

    def __init__(self, given: NDArray[np.uint8] | None = None) -> None:
        self._given = given
        self._pictures: list[NDArray[np.uint8]] = []
        self._every = 1
        """Pictures from one that is kept to the next; doubles as a source grows."""
        self._count = 0

    def add(self, image: NDArray[np.uint8]) -> None:
        """Take the next picture (H, W, 3) of the source; those of another shape than the first are left out."""
        number, self._count = self._count, self._count + 1
        if self._given is not None or number % self._every:
            return
        small = _small(image)
        if self._pictures and small.shape != self._pictures[0].shape:
            return
        self._pictures.append(small)
        if len(self._pictures) > MOST_PICTURES:
            del self._pictures[1::2]
            self._every *= 2

    def picture(self) -> NDArray[np.uint8] | None:
        """Return it, its long side at most LONG_SIDE where it was not given; None: there was no picture."""
        if self._given is not None or not self._pictures:
            return self._given
        middle = len(self._pictures) // 2
        # Not np.median, which would make floating point numbers of all of them: eight times the memory.
        return np.ascontiguousarray(np.partition(np.stack(self._pictures), middle, axis=0)[middle])


def _small(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = image.shape[:2]
    scale = min(1.0, LONG_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    # A copy in any case: the last sink may draw on the frame.
    return np.array(cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1 else image, np.uint8)

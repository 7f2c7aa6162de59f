"""Whether a picture is worth a look: somebody can only come where something moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

WIDTH = 300
CHANGED_LEVELS = 20
"""Of 255; noise and compression change less."""
MOVING_SHARE = 0.001
"""Of the picture: a person a tenth as high as it."""
LONGEST_REST_SECONDS = 10.0


class MotionGate:
    """Compares each picture with the last one that was looked at."""

    def __init__(self) -> None:
        self.spared = 0
        """Looks that it saved."""
        self._before: NDArray[np.uint8] | None = None
        self._looked_seconds = 0.0

    def opens(self, image: NDArray[np.uint8], seconds: float, *, somebody: bool) -> bool:
        """Tell whether to look at a BGR picture; `somebody` was there at the last look."""
        small = _small(image)
        rested = seconds - self._looked_seconds >= LONGEST_REST_SECONDS
        if not (somebody or rested or self._before is None or _moved(self._before, small)):
            self.spared += 1
            return False
        self._before, self._looked_seconds = small, seconds
        return True


def _small(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height = max(1, round(image.shape[0] * WIDTH / image.shape[1]))
    grey = cv2.cvtColor(cv2.resize(image, (WIDTH, height), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.GaussianBlur(grey, (5, 5), 0), np.uint8)


def _moved(before: NDArray[np.uint8], now: NDArray[np.uint8]) -> bool:
    if before.shape != now.shape:
        return True
    return float(np.mean(cv2.absdiff(before, now) > CHANGED_LEVELS)) > MOVING_SHARE

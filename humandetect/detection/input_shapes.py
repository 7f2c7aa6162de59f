"""Which shapes of input are in use: few, because an engine keeps each of them ready."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from humandetect.engines.base import MAX_SHAPES

if TYPE_CHECKING:
    from humandetect.models.sizes import InputSize

IDLE_SECONDS = 60.0
"""A shape that no picture had for so long makes room for another."""


class InputShapes:
    """Gives each picture the shape that fits it, as long as there are few; then that in use which shows it as large."""

    def __init__(self, *, most: int = MAX_SHAPES) -> None:
        self._most = most
        self._used: dict[tuple[int, int], float] = {}
        """Monotonic time of the last picture, by shape."""
        self._lock = threading.Lock()

    def choose(self, size: InputSize, picture_hw: tuple[int, int]) -> tuple[int, int]:
        """Return the (height, width) of the input for a picture."""
        wanted = size.for_picture(picture_hw)
        now = time.monotonic()
        with self._lock:
            if wanted not in self._used and len(self._used) >= self._most:
                oldest = min(self._used, key=lambda hw: self._used[hw])
                if now - self._used[oldest] < IDLE_SECONDS:
                    best = _scale(picture_hw, wanted)
                    wanted = min(self._used, key=lambda hw: (abs(_scale(picture_hw, hw) - best), hw[0] * hw[1]))
                else:
                    del self._used[oldest]
            self._used[wanted] = now
        return wanted


def _scale(picture_hw: tuple[int, int], input_hw: tuple[int, int]) -> float:
    """How large a picture becomes in a shape."""
    return min(input_hw[0] / picture_hw[0], input_hw[1] / picture_hw[1])

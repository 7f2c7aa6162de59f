"""Where people stand and for how long: the places of their feet, weighted by seconds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import cv2
import numpy as np

from humandetect.analytics.background import Background
from humandetect.analytics.base import is_gap
from humandetect.media.frames import SQUARE, rounded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from humandetect.media.frames import DetectedFrame, Event

LONG_SIDE_CELLS = 480
BLUR_OF_HEIGHT = 0.25
_STEPS_AN_OCTAVE = 2
"""Feet are gathered by how far they are blurred, each step 41 % farther, and each gathering is blurred once."""


class Heatmap:
    """Adds up, on a grid over the picture of one source, how long people stood where.

    Memory depends on the grid alone. As in counts, who is in a frame is there until the next, gaps aside.
    """

    def __init__(self, background: NDArray[np.uint8] | None = None) -> None:
        self.background = Background(background)
        self.pixel_aspect = SQUARE
        self.covered_seconds = 0.0
        self.person_seconds = 0.0
        self._layers: dict[int, NDArray[np.float64]] = {}
        self._grid_hw = (1, 1)
        """Rows and columns, of the first picture's shape."""
        self._seconds: float | None = None
        self._seen: list[tuple[int, int, int]] | None = None
        """Layer, row and column of everybody in the last frame; None while nobody watches."""

    def update(self, result: DetectedFrame) -> DetectedFrame:
        seconds, before = result.frame.written_seconds, self._seconds
        if before is None:
            height, width = result.frame.image.shape[:2]
            scale = LONG_SIDE_CELLS / max(height, width)
            self.pixel_aspect = result.frame.pixel_aspect
            self._grid_hw = max(1, round(height * scale)), max(1, round(width * scale))
        elif self._seen is not None and not is_gap(before, seconds):
            self._stay(self._seen, seconds - before)
        if result.frame.has_pixels:
            self.background.add(result.frame.image)
        self._seconds = seconds
        self._seen = None if result.failure is not None else self._feet(result)
        return result

    def finish(self, events: Sequence[Event] = ()) -> Sequence[Event]:
        return events

    def stays(self) -> NDArray[np.float64]:
        """Return person-seconds at each place of the grid (rows, columns).

        Who stood there counts whole; who stood beside it counts less, by a bell curve of a quarter of their height.
        """
        total = np.zeros(self._grid_hw)
        for number, layer in sorted(self._layers.items()):
            bell = _bell(2 ** (number / _STEPS_AN_OCTAVE))
            total += cv2.sepFilter2D(layer, -1, bell, bell, borderType=cv2.BORDER_CONSTANT)
        return total

    def _stay(self, seen: Sequence[tuple[int, int, int]], seconds: float) -> None:
        self.covered_seconds += seconds
        self.person_seconds += seconds * len(seen)
        for number, row, column in seen:
            if number not in self._layers:
                self._layers[number] = np.zeros(self._grid_hw)
            self._layers[number][row, column] += seconds

    def _feet(self, result: DetectedFrame) -> list[tuple[int, int, int]]:
        height, width = result.frame.image.shape[:2]
        rows, columns = self._grid_hw
        x1, y1, x2, y2 = rounded(result.detections).xyxy.T
        blurred_cells = np.maximum(1, (y2 - y1) * BLUR_OF_HEIGHT * rows / height)
        layers = np.rint(np.log2(blurred_cells) * _STEPS_AN_OCTAVE)
        down = np.clip(y2 * rows / height, 0, rows - 1)
        right = np.clip((x1 + x2) / 2 * columns / width, 0, columns - 1)
        return list(zip(*(values.astype(int).tolist() for values in (layers, down, right)), strict=True))


def _bell(spread: float) -> NDArray[np.float64]:
    """Return a bell curve that is 1 in its middle."""
    reach = math.ceil(3 * spread)
    return np.asarray(np.exp(-0.5 * (np.arange(-reach, reach + 1) / spread) ** 2))

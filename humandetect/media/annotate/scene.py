"""Draws lines and zones under the boxes: a line with an arrow that shows `in`, a tinted polygon."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Point = tuple[float, float]

ACCENT = (255, 200, 60)
"""BGR. A blue that boxes do not have."""
DARK = (24, 24, 24)
TINT = 0.25


def draw_shape(image: NDArray[np.uint8], points: Sequence[Point], *, line: int) -> None:
    """Draw a line of two points, or a zone of more, in place; `line` is the width of boxes' lines in pixels."""
    (_draw_line if len(points) == 2 else _draw_zone)(image, points, line)


def arrow(points: Sequence[Point], *, line: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return from where to where a line's arrow goes: from its middle to the side that `in` leads to."""
    start, end = (np.array(point, dtype=float) for point in points)
    along = end - start
    to_left = np.array([along[1], -along[0]]) / max(1.0, float(np.hypot(*along)))  # y grows downwards
    middle = (start + end) / 2
    return middle, middle + to_left * 24 * (line + 1)


def _draw_line(image: NDArray[np.uint8], points: Sequence[Point], line: int) -> None:
    """Draw a line and its arrow."""
    start, end = (_pixel(np.array(point)) for point in points)
    middle, tip = arrow(points, line=line)
    for color, width in ((DARK, 2 * line + 2), (ACCENT, 2 * line)):
        cv2.line(image, start, end, color, width, cv2.LINE_AA)
        cv2.arrowedLine(image, _pixel(middle), _pixel(tip), color, width, cv2.LINE_AA, tipLength=0.3)


def _draw_zone(image: NDArray[np.uint8], points: Sequence[Point], line: int) -> None:
    """Tint a polygon and draw its border."""
    corners = np.array(points).round().astype(np.int32)
    left, top, width, height = cv2.boundingRect(corners)
    right, bottom, left, top = left + width, top + height, max(0, left), max(0, top)
    part = image[top:bottom, left:right]
    if part.size:
        mask = np.zeros(part.shape[:2], np.uint8)
        cv2.fillPoly(mask, [corners - [left, top]], (255,))
        tinted = cv2.addWeighted(part, 1 - TINT, np.full_like(part, ACCENT), TINT, 0)
        cv2.copyTo(tinted, mask, part)
    cv2.polylines(image, [corners], isClosed=True, color=ACCENT, thickness=line, lineType=cv2.LINE_AA)


def _pixel(point: NDArray[np.float64]) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))

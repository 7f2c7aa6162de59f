"""Draws what was found into the picture: boxes, scores, the number of people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from humandetect.plural import people

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from humandetect.media.frames import DetectedFrame

ACCENT = (70, 230, 130)
"""BGR. A green that neither clothes nor streets have."""
DARK = (24, 24, 24)
WHITE = (245, 245, 245)

_FONT = cv2.FONT_HERSHEY_DUPLEX
_PLATE_LIGHT = 0.35
"""How much of the picture shines through the counter's plate."""


@dataclass(frozen=True, slots=True)
class Annotator:
    """Draws boxes with their scores and a count of the people, sized to suit the picture, in place."""

    labels: bool = True
    count: bool = True
    line_width: int | None = None
    """In pixels; None: to suit the picture."""

    def draw(self, result: DetectedFrame) -> None:
        """Draw on the frame's own image. Boxes kept from an earlier frame look the same."""
        image, detections = result.frame.image, result.detections
        style = _Style.of(image, line_width=self.line_width)
        boxes = [_Box(*box) for box in detections.xyxy.round().astype(int).tolist()]
        for box in boxes:
            _draw_box(image, box, style)
        # After all boxes, so that no line crosses a label.
        if self.labels and detections.confidence is not None:
            _draw_labels(image, boxes, [f"{score:.0%}" for score in detections.confidence], style)
        if self.count:
            _draw_counter(image, people(len(boxes)), style)


class _Style(NamedTuple):
    """Sizes that look alike from 360p to 4K."""

    line: int
    font: float
    stroke: int
    pad: int

    @classmethod
    def of(cls, image: NDArray[np.uint8], *, line_width: int | None) -> _Style:
        size = min(image.shape[:2])  # upright videos have the text of lying ones
        return cls(
            line=line_width or max(1, round(size / 400)),
            font=max(0.3, size / 1500),
            stroke=max(1, round(size / 900)),
            pad=max(2, size // 200),
        )


class _Box(NamedTuple):
    left: int
    top: int
    right: int
    bottom: int


def _draw_box(image: NDArray[np.uint8], box: _Box, style: _Style) -> None:
    # As fast as supervision's annotators, and with the outline they lack: light lines vanish on light ground.
    corners = (box.left, box.top), (box.right, box.bottom)
    cv2.rectangle(image, *corners, DARK, style.line + 2 * max(1, style.line // 2))
    cv2.rectangle(image, *corners, ACCENT, style.line)


def _draw_labels(image: NDArray[np.uint8], boxes: list[_Box], texts: list[str], style: _Style) -> None:
    """Put each label where it hides least: above its box or below it, on either side, or inside at the top."""
    hidden = np.array(boxes, dtype=np.int64).reshape(-1, 4)
    for box, text in zip(boxes, texts, strict=True):
        (width, height), _ = cv2.getTextSize(text, _FONT, style.font, style.stroke)
        width, height = width + 2 * style.pad, height + 2 * style.pad
        places = _places(box, width, height, image.shape)
        place = min(places, key=lambda place: _overlap(place, hidden))
        hidden = np.vstack([hidden, place])  # labels do not hide each other either
        cv2.rectangle(image, place[:2], (place.right - 1, place.bottom - 1), ACCENT, cv2.FILLED)
        _write(image, text, (place.left + style.pad, place.bottom - style.pad - 1), DARK, style.font, style.stroke)


def _places(box: _Box, width: int, height: int, shape: tuple[int, ...]) -> list[_Box]:
    """Return where a label of that size may stand, the preferred place first, all inside the picture."""
    rows = [box.top - height, box.bottom, box.top]
    columns = [box.left, box.right - width]
    places = []
    for wanted in rows:
        for start in columns:
            left = max(0, min(start, shape[1] - width))
            top = max(0, min(wanted, shape[0] - height))
            places.append(_Box(left, top, left + width, top + height))
    return places


def _overlap(place: _Box, hidden: NDArray[np.int64]) -> int:
    """Return how many pixels of boxes and labels a place would hide."""
    width = np.minimum(place.right, hidden[:, 2]) - np.maximum(place.left, hidden[:, 0])
    height = np.minimum(place.bottom, hidden[:, 3]) - np.maximum(place.top, hidden[:, 1])
    return int((width.clip(0) * height.clip(0)).sum())


def _draw_counter(image: NDArray[np.uint8], text: str, style: _Style) -> None:
    font, pad = style.font * 1.5, style.pad * 2
    (width, height), descent = cv2.getTextSize(text, _FONT, font, style.stroke)
    plate = image[pad : height + descent + 3 * pad, pad : width + 3 * pad]
    cv2.convertScaleAbs(plate, plate, _PLATE_LIGHT)
    _write(image, text, (2 * pad, 2 * pad + height), WHITE, font, style.stroke)


def _write(
    image: NDArray[np.uint8], text: str, at: tuple[int, int], color: tuple[int, int, int], font: float, stroke: int
) -> None:
    cv2.putText(image, text, at, _FONT, font, color, stroke, cv2.LINE_AA)

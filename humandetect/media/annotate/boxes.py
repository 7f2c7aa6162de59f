"""Draws what was found into the picture: boxes, scores, the number of people."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from humandetect.media.frames import DetectedFrame

ACCENT = (70, 230, 130)
"""BGR. A green that neither clothes nor streets have."""
DARK = (24, 24, 24)
WHITE = (245, 245, 245)

_FONT = cv2.FONT_HERSHEY_DUPLEX
_PLATE_LIGHT = 0.35
"""How much of the picture shines through the counter's plate."""


class Annotator:
    """Draws boxes with their scores and a count of the people, sized to suit the picture, in place."""

    def draw(self, result: DetectedFrame) -> None:
        """Draw on the frame's own image. Boxes kept from an earlier frame look the same."""
        image, detections = result.frame.image, result.detections
        style = _Style.of(image)
        boxes = [_Box(*box) for box in detections.xyxy.round().astype(int).tolist()]
        for box in boxes:
            _draw_box(image, box, style)
        # After all boxes, so that no line crosses a label.
        if detections.confidence is not None:
            for box, score in zip(boxes, detections.confidence, strict=True):
                _draw_label(image, box, f"{score:.0%}", style)
        _draw_counter(image, f"{len(boxes)} {'person' if len(boxes) == 1 else 'people'}", style)


class _Style(NamedTuple):
    """Sizes that look alike from 360p to 4K."""

    line: int
    font: float
    stroke: int
    pad: int

    @classmethod
    def of(cls, image: NDArray[np.uint8]) -> _Style:
        size = min(image.shape[:2])  # upright videos have the text of lying ones
        return cls(
            line=max(2, round(size / 400)),
            font=max(0.35, size / 1500),
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


def _draw_label(image: NDArray[np.uint8], box: _Box, text: str, style: _Style) -> None:
    """Put the score on the box's top edge, or inside where there is no room above."""
    (width, height), _ = cv2.getTextSize(text, _FONT, style.font, style.stroke)
    width, height = width + 2 * style.pad, height + 2 * style.pad
    left = max(0, min(box.left, image.shape[1] - width))
    top = box.top - height if box.top >= height else max(0, box.top)
    cv2.rectangle(image, (left, top), (left + width - 1, top + height - 1), ACCENT, cv2.FILLED)
    _write(image, text, (left + style.pad, top + height - style.pad - 1), DARK, style.font, style.stroke)


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

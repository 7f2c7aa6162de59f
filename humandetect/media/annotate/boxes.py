"""Draws what was found into the picture: boxes, scores, the number of people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from humandetect.media.annotate.scene import arrow, draw_shape
from humandetect.plural import people

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import supervision as sv
    from numpy.typing import NDArray

    from humandetect.media.frames import DetectedFrame, Shape

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
        boxes, held = _boxes(detections), _boxes(result.held)
        for shape in result.shapes:
            draw_shape(image, shape.points, line=style.line)
        for way in result.trails.values():
            _draw_trail(image, way, style)
        for box in held:
            _draw_dashed_box(image, box, style)
        for box in boxes:
            _draw_box(image, box, style)
        # After all boxes, so that no line crosses a label.
        if self.labels:
            _draw_labels(image, boxes + held, [*_texts(detections), *_texts(result.held)], style)
        for shape in result.shapes:
            _draw_plate(image, shape, style)
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


class _Rectangle(NamedTuple):
    left: int
    top: int
    right: int
    bottom: int


def _boxes(detections: sv.Detections) -> list[_Rectangle]:
    return [_Rectangle(*box) for box in detections.xyxy.round().astype(int).tolist()]


def _texts(detections: sv.Detections) -> Iterator[str]:
    """Yield what is known of each box: `#7  93%`."""
    for row in range(len(detections)):
        ids, scores = detections.tracker_id, detections.confidence
        known = [f"#{ids[row]}"] if ids is not None and ids[row] > 0 else []
        known += [f"{scores[row]:.0%}"] if scores is not None else []
        yield "  ".join(known)  # the letters' own space is hardly seen


def _draw_trail(image: NDArray[np.uint8], way: NDArray[np.float64], style: _Style) -> None:
    points = [way.round().astype(np.int32)]
    cv2.polylines(image, points, isClosed=False, color=DARK, thickness=style.line + 2, lineType=cv2.LINE_AA)
    cv2.polylines(image, points, isClosed=False, color=ACCENT, thickness=style.line, lineType=cv2.LINE_AA)


def _draw_dashed_box(image: NDArray[np.uint8], box: _Rectangle, style: _Style) -> None:
    """Draw a box that nobody was found in: a guess must not look like a finding."""
    dash = 8 * style.line + 6
    corners = np.array([(box.left, box.top), (box.right, box.top), (box.right, box.bottom), (box.left, box.bottom)])
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        # An odd number of dashes and gaps, so that the corners are there.
        count = max(1, round(np.abs(end - start).sum() / dash)) // 2 * 2 + 1
        stops = np.linspace(start, end, count + 1).round().astype(int).tolist()
        for one, other in zip(stops[::2], stops[1::2], strict=True):
            cv2.line(image, one, other, DARK, style.line + 2 * max(1, style.line // 2))
            cv2.line(image, one, other, ACCENT, style.line)


def _draw_box(image: NDArray[np.uint8], box: _Rectangle, style: _Style) -> None:
    # As fast as supervision's annotators, and with the outline they lack: light lines vanish on light ground.
    corners = (box.left, box.top), (box.right, box.bottom)
    cv2.rectangle(image, *corners, DARK, style.line + 2 * max(1, style.line // 2))
    cv2.rectangle(image, *corners, ACCENT, style.line)


def _draw_labels(image: NDArray[np.uint8], boxes: list[_Rectangle], texts: list[str], style: _Style) -> None:
    """Put each label where it hides least: above its box or below it, on either side, or inside at the top."""
    taken = list(boxes)
    for box, text in zip(boxes, texts, strict=True):
        if not text:
            continue
        (width, height), _ = cv2.getTextSize(text, _FONT, style.font, style.stroke)
        width, height = width + 2 * style.pad, height + 2 * style.pad
        place = _best_place(_places(box, width, height, image.shape), taken)
        taken.append(place)  # labels do not hide each other either
        cv2.rectangle(image, place[:2], (place.right - 1, place.bottom - 1), ACCENT, cv2.FILLED)
        _write(image, text, (place.left + style.pad, place.bottom - style.pad - 1), DARK, style.font, style.stroke)


def _best_place(places: Iterator[_Rectangle], taken: list[_Rectangle]) -> _Rectangle:
    """Return the first place that hides nothing, else the one that hides the fewest pixels."""
    hidden_by: dict[_Rectangle, int] = {}
    for place in places:
        hidden_by[place] = sum(_overlap(place, other) for other in taken)
        if not hidden_by[place]:
            return place
    return min(hidden_by, key=lambda place: hidden_by[place])


def _places(box: _Rectangle, width: int, height: int, shape: tuple[int, ...]) -> Iterator[_Rectangle]:
    """Yield where a label of that size may stand, the preferred place first, all inside the picture."""
    for wanted in (box.top - height, box.bottom, box.top):
        for start in (box.left, box.right - width):
            left = max(0, min(start, shape[1] - width))
            top = max(0, min(wanted, shape[0] - height))
            yield _Rectangle(left, top, left + width, top + height)


def _overlap(one: _Rectangle, other: _Rectangle) -> int:
    """Return how many pixels two share. A few boxes are faster compared one by one than by numpy."""
    width = min(one.right, other.right) - max(one.left, other.left)
    height = min(one.bottom, other.bottom) - max(one.top, other.top)
    return width * height if width > 0 and height > 0 else 0


def _draw_counter(image: NDArray[np.uint8], text: str, style: _Style) -> None:
    font, pad = style.font * 1.5, style.pad * 2
    (width, height), descent = cv2.getTextSize(text, _FONT, font, style.stroke)
    plate = image[pad : height + descent + 3 * pad, pad : width + 3 * pad]
    cv2.convertScaleAbs(plate, plate, _PLATE_LIGHT)
    _write(image, text, (2 * pad, 2 * pad + height), WHITE, font, style.stroke)


def _draw_plate(image: NDArray[np.uint8], shape: Shape, style: _Style) -> None:
    """Write what is to be read at a line or zone on a dark plate, all of it inside the picture."""
    font = style.font * 1.2
    (width, height), descent = cv2.getTextSize(shape.text, _FONT, font, style.stroke)
    width, height = width + 2 * style.pad, height + descent + 2 * style.pad
    place = _plate_place(shape.points, width, height, image.shape, style)
    cv2.rectangle(image, place[:2], (place.right, place.bottom), DARK, cv2.FILLED)
    _write(image, shape.text, (place.left + style.pad, place.bottom - style.pad - descent), WHITE, font, style.stroke)


def _plate_place(
    points: Sequence[tuple[float, float]], width: int, height: int, shape: tuple[int, ...], style: _Style
) -> _Rectangle:
    """Return where a plate of that size stands: in a zone's middle; beside a line, where its arrow stays to be seen."""
    if len(points) > 2:
        return _inside(np.mean(points, axis=0), width, height, shape)
    foot, tip = arrow(points, line=style.line)
    ahead = (tip - foot) / max(1.0, float(np.hypot(*(tip - foot))))
    away = ahead * (np.abs(ahead) @ (width, height) / 2 + 2 * style.line + style.pad)
    head = np.array([-ahead[1], ahead[0]]) * 6 * (style.line + 1)
    corners = np.array([foot, tip, tip - head, tip + head])
    hidden = _Rectangle(*np.concatenate([corners.min(axis=0), corners.max(axis=0)]).round().astype(int).tolist())
    return _best_place((_inside(middle, width, height, shape) for middle in (foot - away, tip + away)), [hidden])


def _inside(middle: NDArray[np.float64], width: int, height: int, shape: tuple[int, ...]) -> _Rectangle:
    """Return a place of that size around a point, or as near to it as the picture goes."""
    left = int(max(0, min(middle[0] - width / 2, shape[1] - width)))
    top = int(max(0, min(middle[1] - height / 2, shape[0] - height)))
    return _Rectangle(left, top, left + width, top + height)


def _write(
    image: NDArray[np.uint8], text: str, at: tuple[int, int], color: tuple[int, int, int], font: float, stroke: int
) -> None:
    cv2.putText(image, text, at, _FONT, font, color, stroke, cv2.LINE_AA)

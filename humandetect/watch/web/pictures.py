"""A result as a small JPEG with its people, lines and zones."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from humandetect.media.annotate.boxes import Annotator
from humandetect.media.images import encode_jpeg

if TYPE_CHECKING:
    import supervision as sv

    from humandetect.media.frames import DetectedFrame

WIDTH = 640
QUALITY = 70
_DRAWN = Annotator(labels=False, count=False)
"""Scores and counts stand beside the picture."""


def picture_of(result: DetectedFrame) -> bytes:
    """Draw a result on a copy of its picture, at most WIDTH pixels wide, and encode it."""
    shown = _shrunken(result)
    _DRAWN.draw(shown)
    return encode_jpeg(shown.frame.image, quality=QUALITY)


def plain_picture_of(result: DetectedFrame) -> bytes:
    """Encode a result's picture as it is, to draw lines and zones on."""
    return encode_jpeg(result.frame.image)


def _shrunken(result: DetectedFrame) -> DetectedFrame:
    """Return a copy at the size of the page, with all coordinates in its pixels."""
    frame = result.frame
    height, width = frame.image.shape[:2]
    wide = width * float(frame.pixel_aspect)
    scale = min(1.0, WIDTH / wide)
    size = max(1, round(wide * scale)), max(1, round(height * scale))
    image = np.asarray(cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA), np.uint8)
    by = np.array([size[0] / width, size[1] / height])
    return replace(
        result,
        frame=replace(frame, image=image),
        detections=_scaled(result.detections, by),
        held=_scaled(result.held, by),
        trails={track: way * by for track, way in result.trails.items()},
        shapes=tuple(
            replace(shape, points=tuple((x * by[0], y * by[1]) for x, y in shape.points)) for shape in result.shapes
        ),
    )


def _scaled(detections: sv.Detections, by: np.ndarray) -> sv.Detections:
    scaled = copy(detections)  # what is copied was checked
    scaled.xyxy = detections.xyxy * np.tile(by, 2)
    return scaled

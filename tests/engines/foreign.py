"""One picture in which models of other frameworks find one person, and what they are asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from humandetect.detection.detector import Detector, open_detector

if TYPE_CHECKING:
    from pathlib import Path

HEIGHT, WIDTH = 64, 96
SHADE = (0, 51, 204)
"""Of the test's picture, in BGR order: RGB is .8, .2, 0."""
PICTURE = np.full((HEIGHT, WIDTH, 3), SHADE, np.uint8)
BOX = (24.0, 16.0, 48.0, 48.0)
FRACTIONS = (0.25, 0.25, 0.5, 0.75)


def detector_of(path: Path, **options: Any) -> Detector:
    return open_detector(path, engine="openvino", precision="f32", **options)


def assert_sees(path: Path, score: float, box: tuple[float, ...] = BOX, **options: Any) -> None:
    with detector_of(path, **options) as detector:
        people = detector.detect(PICTURE)
    assert people.xyxy.tolist() == pytest.approx(np.array([box]), abs=1e-3)
    assert people.confidence == pytest.approx([score], abs=1e-3)

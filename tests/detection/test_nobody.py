"""Pictures of nothing have nobody in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from humandetect.detection.detector import Detector, open_detector

if TYPE_CHECKING:
    from collections.abc import Iterator

HEIGHT, WIDTH = 480, 640


def bars() -> np.ndarray:
    """The colour bars of a camera without a signal."""
    colours = [(a, b, c) for a in (191, 0) for b in (191, 0) for c in (191, 0)]
    return np.tile(np.repeat(np.array(colours, np.uint8), WIDTH // 8, axis=0), (HEIGHT, 1, 1))


def lens_cap() -> np.ndarray:
    """Almost black, with the noise of a sensor and light at one edge."""
    noise = np.random.default_rng(2).normal(6, 3, (HEIGHT, WIDTH, 3))
    return (noise + np.linspace(0, 25, WIDTH)[None, :, None]).clip(0, 255).astype(np.uint8)


PICTURES = {
    "black": np.zeros((HEIGHT, WIDTH, 3), np.uint8),
    "white": np.full((HEIGHT, WIDTH, 3), 255, np.uint8),
    "grey": np.full((HEIGHT, WIDTH, 3), 128, np.uint8),
    "noise": np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8),
    "bars": bars(),
    "lens cap": lens_cap(),
}


@pytest.fixture(scope="module", params=["human_detection", "movenet_multipose"])
def detector(request: pytest.FixtureRequest) -> Iterator[Detector]:
    with open_detector(request.param, engine="openvino") as opened:
        yield opened


@pytest.mark.parametrize("picture", PICTURES)
def test_nobody_is_found_where_nothing_is(picture: str, detector: Detector) -> None:
    assert len(detector.detect(PICTURES[picture])) == 0

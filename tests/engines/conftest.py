"""Engines on the default model, started once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
import numpy as np
import pytest

from humandetect.config import EngineConfig
from humandetect.detector import Detector
from humandetect.engines import load_engine
from humandetect.models import bundled

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = ("openvino", "tensorflow")


@pytest.fixture(scope="session")
def detectors() -> Iterator[dict[str, Detector]]:
    found = {name: Detector(load_engine(EngineConfig(engine=name, precision="f32", device="cpu"))) for name in NAMES}  # type: ignore[arg-type]
    yield found
    for detector in found.values():
        detector.close()


@pytest.fixture(params=NAMES)
def detector(request: pytest.FixtureRequest, detectors: dict[str, Detector]) -> Detector:
    return detectors[request.param]


@pytest.fixture(scope="session")
def street() -> list[np.ndarray]:
    """Real BGR frames, two seconds apart."""
    with av.open(str(bundled("examples/plaza.mp4"))) as clip:
        return [frame.to_ndarray(format="bgr24") for i, frame in enumerate(clip.decode(video=0)) if i % 50 == 0][:4]


@pytest.fixture(scope="session")
def prepared(street: list[np.ndarray], detectors: dict[str, Detector]) -> np.ndarray:
    """The same frames as the default model takes them."""
    return np.stack([detectors["openvino"].prepare(image) for image in street])

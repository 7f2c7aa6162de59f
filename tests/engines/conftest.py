"""Engines on the default model, started once, and the server that one of them asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
import numpy as np
import pytest

from humandetect.config import EngineConfig, ServingConfig
from humandetect.detection.detector import Detector
from humandetect.engines import load_engine
from humandetect.models.find import bundled
from tests.engines.tfserving.server_process import model_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from humandetect.config import EngineName

NAMES: tuple[EngineName, ...] = ("openvino", "tensorflow", "tf-serving")


@pytest.fixture(scope="session")
def serving_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """HOST:PORT of a model server that has the default model, and one of every kind."""
    from tests.engines.tfserving.served import write_models

    folder = tmp_path_factory.mktemp("serving")
    models = {"human_detection": bundled("models/human_detection"), **write_models(folder)}
    with model_server(folder, models) as served:
        yield served.address


@pytest.fixture(scope="session")
def config_for(request: pytest.FixtureRequest) -> Callable[[EngineName], EngineConfig]:
    """Tell how an engine is started so that all give the same answers; one gets a server."""

    def config(name: EngineName) -> EngineConfig:
        targets = (request.getfixturevalue("serving_address"),) if name == "tf-serving" else ()
        return EngineConfig(engine=name, precision="f32", device="cpu", serving=ServingConfig(targets=targets))

    return config


@pytest.fixture(scope="session")
def detectors(config_for: Callable[[EngineName], EngineConfig]) -> Iterator[dict[str, Detector]]:
    found: dict[str, Detector] = {name: Detector(load_engine(config_for(name))) for name in NAMES}
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
    return np.stack([detectors["openvino"].prepare(image).pixels for image in street])

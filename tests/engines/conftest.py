"""Engines on the models of the package, started once, and the server that one of them asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import av
import numpy as np
import pytest

from humandetect.config import EngineConfig, ServingConfig
from humandetect.detection.detector import Detector
from humandetect.detection.preprocess import sample
from humandetect.engines import load_engine
from humandetect.models.find import bundled
from tests.engines.tfserving.server_process import model_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from humandetect.config import EngineName

    ConfigFor = Callable[..., EngineConfig]

MODELS = {"human_detection": ("2", (384, 512)), "movenet_multipose": ("1", (288, 384))}
"""Version and input size of the models in the package, by name."""
NAMES: tuple[EngineName, ...] = ("openvino", "tensorflow", "tf-serving")


@pytest.fixture(scope="session")
def serving_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """HOST:PORT of a model server that has the package's models, and one of every kind."""
    from tests.engines.tfserving.served import write_models

    folder = tmp_path_factory.mktemp("serving")
    models = {**{name: bundled(f"models/{name}") for name in MODELS}, **write_models(folder)}
    with model_server(folder, models) as served:
        yield served.address


@pytest.fixture(scope="session", params=MODELS)
def model(request: pytest.FixtureRequest) -> str:
    """The name of each model in the package."""
    return str(request.param)


@pytest.fixture(scope="session")
def config_for(request: pytest.FixtureRequest) -> ConfigFor:
    """Tell how an engine is started so that all give the same answers; one gets a server."""

    def config(name: EngineName, model: str = "human_detection", size: str = "default") -> EngineConfig:
        targets = (request.getfixturevalue("serving_address"),) if name == "tf-serving" else ()
        serving = ServingConfig(targets=targets)
        return EngineConfig(engine=name, model=model, size=size, precision="f32", device="cpu", serving=serving)

    return config


@pytest.fixture(scope="session")
def detectors(config_for: ConfigFor, model: str) -> Iterator[dict[str, Detector]]:
    """Each engine on each model, with pictures as large as usual."""
    found: dict[str, Detector] = {name: Detector(load_engine(config_for(name, model))) for name in NAMES}
    yield found
    for detector in found.values():
        detector.close()


@pytest.fixture(scope="session", params=NAMES)
def detector(request: pytest.FixtureRequest, config_for: ConfigFor) -> Iterator[Detector]:
    """Each engine on one model, with small pictures: for what does not depend on either."""
    with Detector(load_engine(config_for(request.param, size="192x256"))) as opened:
        yield opened


@pytest.fixture(scope="session")
def street() -> list[np.ndarray]:
    """Real BGR frames, two seconds apart."""
    with av.open(str(bundled("examples/plaza.mp4"))) as clip:
        return [frame.to_ndarray(format="bgr24") for i, frame in enumerate(clip.decode(video=0)) if i % 50 == 0][:3]


@pytest.fixture(scope="session")
def prepared(street: list[np.ndarray]) -> np.ndarray:
    """The same frames as `detector` takes them."""
    return np.stack([sample(image, (192, 256), "linear") for image in street])

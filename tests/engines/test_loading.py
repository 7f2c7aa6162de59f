"""Engines are chosen by name, imported when chosen, and explained when missing."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any, get_args

import pytest

from humandetect import engines
from humandetect.config import EngineConfig, EngineName, ServingConfig
from humandetect.engines import ENGINES, EngineEntry, has_nvidia_device, load_engine
from humandetect.engines import tensorflow as savedmodel
from humandetect.errors import MissingExtra, ModelError, UsageError
from tests.engines.tfserving.fake_server import FakeServing
from tests.models.model_folders import make_model

if TYPE_CHECKING:
    from pathlib import Path


def run(script: str) -> str:
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def test_every_engine_can_be_chosen_by_name() -> None:
    assert set(ENGINES) | {"auto"} == set(get_args(EngineName))


def test_an_unknown_engine_lists_what_there_is() -> None:
    with pytest.raises(UsageError, match="must be one of auto, openvino, tensorflow, tf-serving, got 'magic'"):
        load_engine(EngineConfig(engine="magic"))  # type: ignore[arg-type]


def test_everything_but_tensorflow_works_without_tensorflow_which_auto_does_not_import() -> None:
    script = """
import sys
import numpy as np
from humandetect import engines
from humandetect.detection.detector import open_detector
from humandetect.errors import MissingExtra
engines.has_nvidia_device = lambda: False
with open_detector(score=0.9) as detector:
    print(len(detector.detect(np.zeros((48, 64, 3), np.uint8))), detector.info.engine, 'tensorflow' in sys.modules)
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in ('tensorflow', 'tensorflow_serving', 'keras'):
            raise ModuleNotFoundError(f'No module named {name!r}', name=name.partition('.')[0])
sys.meta_path.insert(0, Blocked())
try:
    open_detector(engine='tensorflow')
except MissingExtra as error:
    print(error)
"""
    found, message = run(script).splitlines()
    assert found.startswith("0 openvino")
    assert found.endswith("False")
    assert message == "the tensorflow engine needs more: pip install 'humandetect[tensorflow]'"


def test_tensorflow_serving_is_asked_with_nothing_but_grpc_protobuf_and_numpy() -> None:
    script = """
import sys
import numpy as np
from humandetect.config import EngineConfig, ServingConfig
from humandetect.engines import load_engine
serving = ServingConfig(targets=({target!r},), model='people')
engine = load_engine(EngineConfig('tf-serving', serving=serving))
engine.infer(np.zeros((1, 24, 32, 3), np.uint8))
engine.close()
heavy = ('tensorflow', 'tensorflow_serving', 'openvino', 'cv2', 'supervision', 'av')
print([name for name in heavy if name in sys.modules])
"""
    with FakeServing() as server:
        assert run(script.format(target=server.target)) == "[]"


@pytest.mark.parametrize(
    ("options", "nvidia", "gpus", "chosen"),
    [
        ({}, True, ["GPU:0"], "tensorflow"),
        ({"device": "gpu"}, True, ["GPU:0"], "tensorflow"),
        ({}, True, [], "openvino"),
        ({}, False, ["GPU:0"], "openvino"),
        ({"device": "cpu"}, True, ["GPU:0"], "openvino"),
        ({"precision": "bf16"}, True, ["GPU:0"], "openvino"),
    ],
)
def test_auto_takes_tensorflow_only_for_a_gpu_that_it_sees(
    options: dict[str, Any], nvidia: bool, gpus: list[str], chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "has_nvidia_device", lambda: nvidia)
    monkeypatch.setattr(savedmodel, "visible_gpus", lambda: gpus)
    assert engines._auto(EngineConfig(**options)) == chosen


def test_auto_takes_the_servers_that_are_named() -> None:
    assert engines._auto(EngineConfig(serving=ServingConfig(targets=("127.0.0.1:8500",)))) == "tf-serving"


def test_auto_needs_no_tensorflow_beside_an_nvidia_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "has_nvidia_device", lambda: True)
    monkeypatch.setattr(engines, "is_installed", lambda package: package != "tensorflow")
    assert engines._auto(EngineConfig()) == "openvino"


def test_an_nvidia_device_is_looked_for_without_its_libraries() -> None:
    assert has_nvidia_device() in (True, False)
    assert "tensorflow" not in run("import sys, humandetect.engines as e; e.has_nvidia_device(); print(*sys.modules)")


def _plug_in(monkeypatch: pytest.MonkeyPatch, folder: Path, source: str) -> EngineConfig:
    """Put an engine in the place of one there is."""
    (folder / "plugged_engine.py").write_text(source)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "plugged_engine", raising=False)
    entry = EngineEntry(where="plugged_engine:Engine", package="absent_package")
    monkeypatch.setitem(ENGINES, "openvino", entry)
    return EngineConfig(engine="openvino")


def test_a_missing_package_of_the_base_install_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = _plug_in(monkeypatch, tmp_path, "import absent_package")
    with pytest.raises(MissingExtra, match="pip install 'absent_package'"):
        load_engine(config)


def test_a_fault_inside_an_engine_is_not_hidden(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = _plug_in(monkeypatch, tmp_path, "import misspelt_package")
    with pytest.raises(ModuleNotFoundError, match="misspelt_package"):
        load_engine(config)


def test_a_damaged_model_is_found_before_an_engine_starts(tmp_path: Path) -> None:
    path = make_model(tmp_path / "model", {"sha256": "0" * 64})
    with pytest.raises(ModelError, match="is damaged"):
        load_engine(EngineConfig(model=str(path)))

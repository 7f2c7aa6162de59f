"""The tensorflow engine's own promises: devices, precision, silence."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from humandetect.engines import tensorflow as savedmodel
from humandetect.engines.tensorflow import TensorFlowEngine, visible_gpus
from humandetect.errors import DeviceError, EngineError, ModelError, UsageError
from humandetect.models.find import find_model
from humandetect.models.metadata import ModelFolder, ModelMetadata
from tests.engines.models import Kind, saved_model

if TYPE_CHECKING:
    from pathlib import Path

    from humandetect.config import Precision


@pytest.fixture
def model(tmp_path: Path) -> ModelFolder:
    return saved_model(tmp_path / "model", Kind(hw=(40, 60)))


def test_bf16_is_refused_with_the_engine_that_has_it(model: ModelFolder) -> None:
    with pytest.raises(UsageError, match="bf16 is for --engine openvino"):
        TensorFlowEngine(model, precision="bf16")


def test_other_detectors_are_refused_with_the_engine_that_takes_them(tmp_path: Path) -> None:
    import tensorflow as tf

    module = tf.Module()
    rows = tf.function(
        lambda images: {"rows": tf.reduce_mean(images) * tf.ones((1, 100, 6))},
        input_signature=[tf.TensorSpec((1, 40, 60, 3), tf.float32, name="images")],
    )
    tf.saved_model.save(module, str(tmp_path / "rows"), signatures=rows)
    with pytest.raises(ModelError, match=r"has the outputs rows: use --engine openvino"):
        TensorFlowEngine(ModelFolder("rows", "", tmp_path / "rows", ModelMetadata()))


def test_a_batch_that_is_fixed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="takes 4 pictures at a time and no single one"):
        TensorFlowEngine(saved_model(tmp_path / "model", Kind(batch=4)))


def test_a_gpu_that_is_not_there_is_an_error_with_the_fix(model: ModelFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(savedmodel, "visible_gpus", list)
    with pytest.raises(DeviceError, match=r"sees only the CPU.*humandetect\[gpu\]"):
        TensorFlowEngine(model, device="gpu")


def test_the_cpu_is_used_where_there_is_no_gpu(model: ModelFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(savedmodel, "visible_gpus", list)
    assert TensorFlowEngine(model).info.engine.endswith("CPU, f32")


@pytest.mark.parametrize(
    ("capability", "precision", "runs_in"),
    [((8, 0), "auto", "tf32"), ((9, 0), "auto", "tf32"), ((7, 5), "auto", "f32"), ((8, 0), "f32", "f32")],
)
def test_the_info_says_what_a_gpu_calculates_in(
    model: ModelFolder,
    monkeypatch: pytest.MonkeyPatch,
    capability: tuple[int, int],
    precision: Precision,
    runs_in: str,
) -> None:
    import tensorflow as tf

    monkeypatch.setattr(savedmodel, "visible_gpus", lambda: ["GPU:0"])
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda _: ["GPU:0"])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda _: {"compute_capability": capability})
    assert TensorFlowEngine(model, precision=precision).info.engine.endswith(f"GPU, {runs_in}")


@pytest.mark.gpu
def test_a_gpu_is_used_and_hidden_on_request(model: ModelFolder) -> None:
    if not visible_gpus():
        if os.environ.get("HUMANDETECT_REQUIRE_GPU") == "1":
            pytest.fail("HUMANDETECT_REQUIRE_GPU=1, but TensorFlow sees no GPU")
        pytest.skip("TensorFlow sees no GPU")
    images = np.full((3, 40, 60, 3), 204, np.uint8)
    on_gpu, on_cpu = (TensorFlowEngine(model, device=device, precision="f32") for device in ("gpu", "cpu"))
    assert on_gpu.info.engine.endswith("GPU, f32")
    assert "CPU" in on_cpu.info.engine
    np.testing.assert_allclose(on_gpu.infer(images).scores, on_cpu.infer(images).scores, atol=1e-3)


def test_a_failing_call_is_an_engine_error(model: ModelFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = TensorFlowEngine(model, device="cpu")

    def fail(_: object) -> list[np.ndarray]:
        raise RuntimeError("out of luck\nand more")

    monkeypatch.setattr(engine, "_call", fail)
    with pytest.raises(EngineError, match=r"TensorFlow failed on 1 pictures: out of luck$"):
        engine.infer(np.zeros((1, 40, 60, 3), np.uint8))


def test_a_size_too_small_for_the_graph_is_told_with_the_reason() -> None:
    with pytest.raises(EngineError, match="must have at least k columns"):
        TensorFlowEngine(find_model("movenet_multipose"), device="cpu", size="32x32")


def test_tensorflow_starts_in_silence(model: ModelFolder) -> None:
    script = (
        "import sys; from humandetect.detection.detector import open_detector\n"
        "open_detector(sys.argv[1], engine='tensorflow', device='cpu').close()\n"
        "print('still heard', file=sys.stderr)"
    )
    ended = subprocess.run([sys.executable, "-c", script, str(model.path)], capture_output=True, text=True, check=True)
    assert ended.stderr.strip() == "still heard"
    assert ended.stdout == ""

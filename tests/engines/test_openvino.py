"""The openvino engine's own promises: the cache, devices, precision."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import openvino as ov
import pytest
from onnx import helper, numpy_helper
from openvino import opset13 as opset

from humandetect.detection.detector import open_detector
from humandetect.engines import openvino as engine_module
from humandetect.engines import openvino_graph as module
from humandetect.engines.compiled_cache import CompiledCache
from humandetect.engines.detection_api import OUTPUT_KEYS
from humandetect.engines.openvino import OpenVinoEngine
from humandetect.engines.openvino_graph import reason
from humandetect.errors import DeviceError, EngineError, UsageError
from humandetect.models.find import find_model
from humandetect.models.metadata import ModelFolder, ModelMetadata
from humandetect.models.sizes import Preset

if TYPE_CHECKING:
    from pathlib import Path

BRIGHT = np.full((1, 40, 60, 3), 204, np.uint8)


def saved_model(folder: Path, *, hw: tuple[int, int] = (-1, -1), share: float = 1.0) -> ModelFolder:
    """Write a model of the Object Detection API that finds a person, whose score is a share of the light."""
    image = opset.parameter([-1, *hw, 3], np.uint8, name="inputs")
    light = opset.reduce_mean(opset.convert(image, "f32"), opset.constant([1, 2, 3]), keep_dims=False)
    score = opset.multiply(light, opset.constant(np.array([share / 255], np.float32)))
    outputs = {
        "detection_boxes": opset.constant(np.array([[[0.1, 0.2, 0.5, 0.6]]], np.float32)),
        "detection_scores": opset.unsqueeze(score, opset.constant([1])),
        "detection_classes": opset.constant(np.ones((1, 1), np.float32)),
        "num_detections": opset.constant(np.ones(1, np.float32)),
    }
    for name, node in [("inputs", image), *outputs.items()]:
        node.output(0).set_names({name})
    folder.mkdir(exist_ok=True)
    graph = ov.Model([opset.result(one) for one in outputs.values()], [image], "tiny")
    ov.save_model(graph, folder / "tiny.xml", compress_to_fp16=False)
    return ModelFolder("tiny", "1", folder / "tiny.xml", ModelMetadata())


@pytest.fixture
def model(tmp_path: Path) -> ModelFolder:
    return saved_model(tmp_path / "model", hw=(40, 60))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "humandetect" / "compiled"


@pytest.fixture
def readings(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Count how often a model is read and compiled."""
    calls: list[Any] = []
    read = module._read

    def count(*arguments: Any) -> Any:
        calls.append(arguments)
        return read(*arguments)

    monkeypatch.setattr(module, "_read", count)
    return calls


def answers(model: ModelFolder, **options: Any) -> list[float]:
    engine = OpenVinoEngine(model, **options)
    scores: list[float] = engine.infer(BRIGHT).scores[0].round(2).tolist()
    assert engine.info.input_hw == (40, 60)
    return scores


@pytest.mark.usefixtures("cache")
def test_the_second_start_reads_no_model(model: ModelFolder, readings: list[Any]) -> None:
    assert answers(model, precision="f32") == answers(model, precision="f32")
    assert len(readings) == 1


@pytest.mark.usefixtures("cache")
def test_another_precision_or_model_is_compiled_anew(model: ModelFolder, readings: list[Any], tmp_path: Path) -> None:
    answers(model)
    answers(model, precision="f32")
    answers(saved_model(tmp_path / "other", hw=(40, 60), share=0.5))
    assert len(readings) == 3


@pytest.mark.usefixtures("cache")
def test_the_same_graph_with_other_weights_is_another_model(model: ModelFolder) -> None:
    assert answers(model, precision="f32") == pytest.approx([0.8])
    weights = model.path.with_suffix(".bin")
    whole, half = (np.array([share / 255], np.float32).tobytes() for share in (1, 0.5))
    weights.write_bytes(weights.read_bytes().replace(whole, half))
    assert answers(model, precision="f32") == pytest.approx([0.4])


def test_a_damaged_cache_is_survived(model: ModelFolder, readings: list[Any], cache: Path) -> None:
    expected = answers(model)
    for path in cache.iterdir():
        path.write_bytes(b"damage")
    assert answers(model) == expected
    assert len(readings) == 2


@pytest.mark.usefixtures("cache")
def test_a_kept_model_that_openvino_refuses_is_compiled_anew(
    model: ModelFolder, readings: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CompiledCache, "load", lambda *_: b"of another version")
    assert answers(model)[0] == pytest.approx(0.8, abs=0.02)
    assert len(readings) == 1


def test_a_cache_that_cannot_be_written_is_no_error(
    model: ModelFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert answers(model)[0] == pytest.approx(0.8, abs=0.02)


def test_bf16_runs_where_the_cpu_has_it_and_is_refused_elsewhere(model: ModelFolder) -> None:
    if "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        assert OpenVinoEngine(model, precision="bf16").info.engine.endswith("CPU, bf16")
    else:
        with pytest.raises(DeviceError, match="no bf16 instructions"):
            OpenVinoEngine(model, precision="bf16")


def test_bf16_is_refused_by_a_cpu_without_it() -> None:
    class OldCore:
        def get_property(self, device: str, name: str) -> list[str]:
            return ["FP32", "INT8"]

    with pytest.raises(DeviceError, match=r"CPU has no bf16 instructions \(it has FP32, INT8\); use --precision"):
        engine_module._settings(OldCore(), "CPU", "bf16")


def test_a_gpu_that_is_not_there_is_an_error_with_what_was_found(model: ModelFolder) -> None:
    if any(name.startswith("GPU") for name in ov.Core().available_devices):
        assert "GPU" in OpenVinoEngine(model, device="gpu").info.engine
    else:
        with pytest.raises(DeviceError, match=r"drives Intel GPUs; it found: .*CPU.*--device cpu"):
            OpenVinoEngine(model, device="gpu")


def test_a_gpu_is_chosen_only_when_asked_for() -> None:
    class TwoDevices:
        available_devices = ("CPU", "GPU.0")

    assert engine_module._choose_device(TwoDevices(), "gpu") == "GPU.0"
    assert (
        engine_module._choose_device(TwoDevices(), "auto") == engine_module._choose_device(TwoDevices(), "cpu") == "CPU"
    )


def test_a_failing_picture_leaves_the_engine_whole(model: ModelFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = OpenVinoEngine(model)
    fetch = engine_module._answer

    def fail(request: Any) -> Any:
        fetch(request)
        raise RuntimeError("Exception from somewhere\nout of luck")

    for _ in range(2 * engine.info.parallel):
        monkeypatch.setattr(engine_module, "_answer", fail)
        with pytest.raises(EngineError, match="out of luck"):
            engine.infer(np.repeat(BRIGHT, 5, axis=0))
    monkeypatch.setattr(engine_module, "_answer", fetch)
    assert len(engine.infer(np.repeat(BRIGHT, 5, axis=0)).scores) == 5


@pytest.fixture
def open_model(tmp_path: Path) -> ModelFolder:
    """A model for pictures of any size, of which the metadata says that they follow the picture's aspect."""
    model = saved_model(tmp_path / "open")
    return replace(model, metadata=ModelMetadata(Preset((32, 64), step=32), multiple=1))


def test_each_shape_is_compiled_once(
    open_model: ModelFolder, readings: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = OpenVinoEngine(open_model)
    shaped: list[Any] = []
    compiled = engine._compiler.compiled

    def count(size: Any, hw: Any) -> Any:
        shaped.append(hw)
        return compiled(size, hw)

    monkeypatch.setattr(engine._compiler, "compiled", count)
    for hw in [(32, 64), (32, 32), (64, 32), (32, 32), (32, 64)]:
        assert engine.infer(np.full((2, *hw, 3), 204, np.uint8)).scores[:, 0].tolist() == pytest.approx([0.8, 0.8])
    assert shaped == [(32, 32), (64, 32)], "beside the first, which it was opened with"
    assert len(readings) == 1


def test_the_shape_unused_for_longest_makes_room(open_model: ModelFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "MOST_COMPILED", 2)
    engine = OpenVinoEngine(open_model)
    for width in (32, 64, 96, 64, 128):
        engine.infer(np.zeros((1, 32, width, 3), np.uint8))
    assert sorted(engine._shapes, key=str) == [(32, 128), (32, 64)]


def test_images_that_the_model_cannot_take_are_refused(open_model: ModelFolder, model: ModelFolder) -> None:
    with pytest.raises(EngineError, match=r"expected RGB images \(B, 40, 60, 3\)"):
        OpenVinoEngine(model).infer(np.zeros((1, 32, 64, 3), np.uint8))
    with pytest.raises(EngineError, match="expected RGB images"):
        OpenVinoEngine(open_model).infer(np.zeros((1, 0, 64, 3), np.uint8))


def test_a_model_of_one_size_refuses_another(model: ModelFolder) -> None:
    with pytest.raises(UsageError, match="takes pictures of 40x60 only"):
        OpenVinoEngine(model, size="64x64")


@pytest.mark.parametrize("name", ["human_detection", "movenet_multipose"])
def test_a_size_too_small_for_the_graph_is_refused_as_that(name: str) -> None:
    with pytest.raises(UsageError, match=rf"{name} takes no pictures of 32x32 \(TopK .*\): give a larger size"):
        OpenVinoEngine(find_model(name), size="32x32")


def save_onnx(path: Path, score: float, *, name: str = "tiny", **weights: Any) -> None:
    rows = np.zeros((1, 300, 4), np.float32)
    rows[0, 0] = [0.1, 0.1, 0.9, 0.4]
    scores = np.full((1, 300), score, np.float32)
    outputs = (rows, scores, np.ones((1, 300), np.float32), np.ones(1, np.float32))
    nodes = [helper.make_node("Identity", [f"{key}_is"], [key]) for key in OUTPUT_KEYS]
    graph = helper.make_graph(
        nodes, name, [helper.make_tensor_value_info("input_tensor", onnx.TensorProto.UINT8, [1, 32, 32, 3])],
        [helper.make_tensor_value_info(key, onnx.TensorProto.FLOAT, one.shape)
         for key, one in zip(OUTPUT_KEYS, outputs, strict=True)],
        [numpy_helper.from_array(one, f"{key}_is") for key, one in zip(OUTPUT_KEYS, outputs, strict=True)],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path, **weights)


def test_onnx_that_was_trained_again_in_a_file_of_its_own_is_compiled_anew(tmp_path: Path, cache: Path) -> None:
    outside: dict[str, Any] = {"save_as_external_data": True, "location": "weights", "size_threshold": 100}
    for score in (0.9, 0.7):
        (tmp_path / "weights").unlink(missing_ok=True)
        save_onnx(tmp_path / "tiny.onnx", score, **outside)
        with open_detector(tmp_path / "tiny.onnx", engine="openvino", precision="f32") as detector:
            assert detector.detect(np.zeros((32, 32, 3), np.uint8)).confidence == pytest.approx([score])
    assert not list(cache.rglob("*.blob"))


def test_onnx_with_a_name_that_has_location_in_it_is_kept(tmp_path: Path, cache: Path) -> None:
    save_onnx(tmp_path / "tiny.onnx", 0.9, name="locations")
    OpenVinoEngine(find_model(str(tmp_path / "tiny.onnx"))).close()
    assert list(cache.rglob("*.blob"))


@pytest.mark.parametrize(("scale", "first"), [([[[2 / 255]]], "Convert"), ([[[1]], [[2]], [[3]]], "Transpose")])
def test_pictures_are_turned_to_planes_behind_what_is_the_same_for_all_of_them(scale: Any, first: str) -> None:
    def graph() -> ov.Model:
        image = opset.parameter([1, 6, 8, 3], np.uint8)
        numbers = opset.convert(opset.transpose(image, opset.constant([0, 3, 1, 2])), "f32")
        shifted = opset.subtract(
            opset.multiply(numbers, opset.constant(np.array(scale, np.float32))), opset.constant(np.float32(1))
        )
        filters = opset.constant(np.random.default_rng(0).random((4, 3, 3, 3), np.float32))
        seen = opset.convolution(shifted, filters, [1, 1], [1, 1], [1, 1], [1, 1])
        return ov.Model([opset.result(seen)], [image], "tiny")

    plain, late = graph(), graph()
    module._turn_late(late.input(0))
    late.validate_nodes_and_infer_types()
    assert [port.get_node().get_type_name() for port in late.input(0).get_target_inputs()] == [first]
    picture = np.random.default_rng(1).integers(0, 255, (1, 6, 8, 3), np.uint8)
    wanted, got = (ov.Core().compile_model(one, "CPU")(picture)[0] for one in (plain, late))
    np.testing.assert_array_equal(got, wanted)


def test_the_pictures_of_the_default_model_are_not_turned_first() -> None:
    graph = module._read(ov.Core(), find_model("human_detection"), None)
    assert isinstance(graph, ov.Model)
    assert "Transpose" not in {port.get_node().get_type_name() for port in graph.input(0).get_target_inputs()}


@pytest.mark.parametrize(
    ("lines", "telling"),
    [
        (["-- Loop-11 with a message:", "Check '(a == b)' failed at loop.cpp:310:", "sizes differ"], "sizes differ"),
        (["-- Pad-11 with a message:", "odd", "-- No conversion rule found for operations: A"], "No conversion rule "),
        (
            ["Caught exception: Exception from graph.cpp:1", "Node A_1 of type Add", "dim mismatch"],
            "dim mismatch",
        ),
        (["Exception from core.cpp:84:"], "Exception from core.cpp"),
    ],
)
def test_the_line_that_tells_most_is_shown(lines: list[str], telling: str) -> None:
    assert reason(RuntimeError("\n".join(["Exception from core.cpp:84:", *lines]))).startswith(telling)

"""Models of other frameworks find the same person, whatever they want of the picture and however they say it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import openvino as ov
import pytest
import supervision as sv
from onnx import helper
from openvino import opset13 as opset

from humandetect.detection.detector import open_detector
from humandetect.detection.preprocess import PADDING
from humandetect.errors import HumanDetectError, ModelError, UsageError
from tests.command_line import invoke
from tests.engines.foreign import BOX, FRACTIONS, HEIGHT, SHADE, WIDTH, assert_sees, detector_of

if TYPE_CHECKING:
    from pathlib import Path


def graph(
    shape: list[int],
    output: list[float],
    output_shape: list[int],
    *,
    score_at: int,
    gain: float = 1,
    dtype: Any = np.float32,
) -> ov.Model:
    """Build a model that writes what it saw of the first channel as the score, and constants otherwise."""
    image = opset.parameter(shape, dtype, name="images")
    first = opset.gather(image, opset.constant([0]), opset.constant(1 if shape[1] == 3 else len(shape) - 1))
    seen = opset.reduce_mean(opset.convert(first, "f32"), opset.constant(list(range(len(shape)))), keep_dims=False)
    mask = np.zeros(len(output), np.float32)
    mask[score_at] = gain
    flat = opset.add(opset.constant(np.array(output, np.float32)), opset.multiply(seen, opset.constant(mask)))
    answer = opset.reshape(flat, opset.constant(output_shape), special_zero=False)
    return ov.Model([opset.result(answer)], [image], "tiny")


def yolo_graph(shape: list[int], **options: Any) -> ov.Model:
    """One person of 2 classes among 1200 places, as columns."""
    columns = np.zeros((1, 6, 1200), np.float32)
    columns[0, :4, 0] = [36, 32, 24, 32]
    return graph(shape, columns.ravel().tolist(), [1, 6, 1200], score_at=4 * 1200, **options)


def rows_graph(shape: list[int], class_id: int = 0, score: float = 0, **options: Any) -> ov.Model:
    return graph(shape, [*BOX, score, class_id], [1, 1, 6], score_at=4, **options)


def saved(model: ov.Model, folder: Path, metadata: dict[str, Any] | None = None) -> Path:
    ov.save_model(model, folder / "tiny.xml", compress_to_fp16=False)
    if metadata is not None:
        (folder / "tiny.json").write_text(json.dumps(metadata), encoding="utf-8")
    return folder / "tiny.xml"


@pytest.mark.parametrize("shape", [[1, 3, HEIGHT, WIDTH], [1, HEIGHT, WIDTH, 3], [-1, 3, HEIGHT, WIDTH]])
def test_either_layout_and_an_open_batch(shape: list[int], tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("person\nhelmet\n", encoding="utf-8")
    assert_sees(saved(yolo_graph(shape), tmp_path), 0.8)


def test_humandetect_json_overrules_channels_and_scaling(tmp_path: Path) -> None:
    said = {"channels": "bgr", "scaling": "0..1", "labels": {"0": "person"}, "default_score": 0.0}
    model = graph([1, 3, HEIGHT, WIDTH], [*BOX, 0.5, 0], [1, 6], score_at=4)
    assert_sees(saved(model, tmp_path, said), 0.5)


def test_the_mean_of_each_colour_is_its_own_in_either_order(tmp_path: Path) -> None:
    said = {"channels": "bgr", "scaling": "imagenet", "labels": {"0": "person"}, "default_score": 0.0}
    blue = (SHADE[0] - 103.53) / 57.375
    model = graph([1, 3, HEIGHT, WIDTH], [*BOX, 0.5 - blue, 0], [1, 6], score_at=4)
    assert_sees(saved(model, tmp_path, said), 0.5)


def test_paddledetection_gets_the_size_of_the_input_as_the_pictures_own(tmp_path: Path) -> None:
    image = opset.parameter([-1, 3, HEIGHT, WIDTH], np.float32, name="image")
    scale, shape = (opset.parameter([-1, 2], np.float32, name=name) for name in ("scale_factor", "im_shape"))
    for port in (image, scale, shape):
        port.output(0).set_names({port.friendly_name})
    seen = opset.reshape(opset.reduce_mean(opset.convert(image, "f32"), opset.constant([2, 3])), [-1], False)
    score = opset.gather(seen, opset.constant([0]), opset.constant(0))
    hw = opset.reshape(opset.divide(shape, scale), [-1], special_zero=False)
    wh = opset.gather(hw, opset.constant([1, 0, 1, 0]), opset.constant(0))
    box = opset.multiply(wh, opset.constant(np.array(FRACTIONS, np.float32)))
    row = opset.reshape(opset.concat([opset.constant(np.zeros(1, np.float32)), score, box], 0), [1, 6], False)
    number = opset.constant(np.array([1], np.int32))
    model = ov.Model([opset.result(one) for one in (row, number)], [image, scale, shape], "tiny")
    assert_sees(saved(model, tmp_path), 0.8)


@pytest.mark.parametrize(("dtype", "red"), [(np.uint8, 204), (np.int32, 204), (np.int8, 76)])
def test_bytes_stay_bytes(dtype: Any, red: int, tmp_path: Path) -> None:
    model = graph([1, HEIGHT, WIDTH, 3], [*BOX, 0.8 - red, 0], [1, 6], score_at=4, dtype=dtype)
    assert_sees(saved(model, tmp_path), 0.8)


def test_an_image_without_a_batch(tmp_path: Path) -> None:
    image = opset.parameter([3, HEIGHT, WIDTH], np.float32, name="images")
    seen = opset.reduce_mean(image, opset.constant([1, 2]), keep_dims=False)
    scores = opset.gather(seen, opset.constant([0]), opset.constant(0))
    boxes = opset.constant(np.array([BOX], np.float32))
    classes = opset.constant(np.array([1], np.int64))
    model = ov.Model([opset.result(one) for one in (boxes, classes, scores)], [image], "tiny")
    assert_sees(saved(model, tmp_path), 0.8)


def test_the_pictures_size_as_a_second_input(tmp_path: Path) -> None:
    image = opset.parameter([1, 3, HEIGHT, WIDTH], np.float32, name="images")
    size = opset.parameter([-1, 2], np.int64, name="orig_target_sizes")
    wh = opset.convert(opset.concat([size, size], axis=1), "f32")
    fractions = opset.constant(np.array([[[0.25, 0.25, 0.5, 0.75]]], np.float32))
    boxes = opset.multiply(fractions, opset.unsqueeze(wh, opset.constant([1])))
    scores = opset.reduce_mean(image, opset.constant([2, 3]), keep_dims=False)
    scores = opset.gather(scores, opset.constant([0]), opset.constant(1))
    labels = opset.constant(np.array([[0]], np.int64))
    model = ov.Model([opset.result(one) for one in (labels, boxes, scores)], [image, size], "tiny")
    assert_sees(saved(model, tmp_path), 0.8)


def test_detr_with_a_mask_and_outputs_of_its_inside(tmp_path: Path) -> None:
    image = opset.parameter([1, 3, HEIGHT, WIDTH], np.float32, name="pixel_values")
    mask = opset.parameter([-1, 8, 8], np.int64, name="pixel_mask")
    share = opset.reduce_mean(opset.convert(mask, "f32"), opset.constant([0, 1, 2]), keep_dims=False)
    logits = np.zeros((1, 100, 92), np.float32)
    logits[..., 91] = 50
    logits[0, 0, 91], logits[0, 0, 1] = 0, 50
    boxes = np.full((1, 100, 4), 0.1, np.float32)
    boxes[0, 0] = [0.375, 0.5, 0.25, 0.5]
    still = opset.multiply(opset.reduce_mean(image, opset.constant([0, 1, 2, 3]), keep_dims=False), np.float32(0))
    named = {"logits": logits, "pred_boxes": boxes, "last_hidden_state": np.zeros((1, 100, 256), np.float32)}
    results = []
    for name, value in named.items():
        result = opset.add(opset.multiply(opset.constant(value), share), still)
        result.output(0).set_names({name})
        results.append(opset.result(result))
    assert_sees(saved(ov.Model(results, [image, mask], "tiny"), tmp_path), 1.0)


def test_a_letterbox_is_undone(tmp_path: Path) -> None:
    """The wide picture fills the upper part of a square: boxes are told in the picture's own pixels."""
    model = graph([1, 3, WIDTH, WIDTH], [*BOX, 0, 0], [1, 6], score_at=4)
    seen = 0.8 * HEIGHT / WIDTH + PADDING / 255 * (1 - HEIGHT / WIDTH)
    said = {"labels": {"0": "person"}, "person_classes": [0]}
    assert_sees(saved(model, tmp_path, said), seen)


def test_an_open_size_is_640_unless_it_is_said(tmp_path: Path) -> None:
    path = saved(rows_graph([-1, 3, -1, -1]), tmp_path)
    for size, hw in (("default", (640, 640)), ("64x96", (64, 96)), ("70x90", (70, 90))):
        with detector_of(path, size=size) as detector:
            assert detector.info.input_hw == hw
    assert_sees(path, 0.8, size="64x96")
    assert_sees(path, 0.8, size="64x96", person_class="0")
    with pytest.raises(UsageError, match="no size 'far'; it has default, and HxW"):
        detector_of(path, size="far")


def test_yolo_of_open_size_has_presets_in_its_stride(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("helmet\nperson\n", encoding="utf-8")
    path = saved(yolo_graph([-1, 3, -1, -1]), tmp_path)
    for size, hw in (("small", (416, 416)), ("far", (960, 960)), ("96x64", (96, 64))):
        with detector_of(path, size=size, person_class="helmet") as detector:
            assert detector.info.input_hw == hw
            assert detector.info.metadata.person_classes == {0}
    with pytest.raises(UsageError, match="multiples of 32, got 70x90; the nearest is 64x96"):
        detector_of(path, size="70x90")


@pytest.mark.parametrize("inner", [[4, 3 * HEIGHT * WIDTH], [4, -1]], ids=["refuses one", "takes a quarter of one"])
def test_a_batch_that_stands_inside_the_graph_is_refused(inner: list[int], tmp_path: Path) -> None:
    image = opset.parameter([4, 3, HEIGHT, WIDTH], np.float32, name="images")
    flat = opset.reshape(image, opset.constant(inner), special_zero=False)
    most = opset.unsqueeze(opset.reduce_max(flat, opset.constant([1]), keep_dims=True), opset.constant([1]))
    rows = opset.multiply(opset.constant(np.array([[[*BOX, 1, 0]]], np.float32)), most)
    path = saved(ov.Model([opset.result(rows)], [image], "tiny"), tmp_path)
    with pytest.raises(ModelError, match=r"takes 4 pictures at a time .* Export it for a batch of 1"):
        detector_of(path)


def test_a_fixed_size_is_the_only_one(tmp_path: Path) -> None:
    path = saved(rows_graph([1, 3, HEIGHT, WIDTH]), tmp_path)
    for size in ("small", "128x128"):
        with pytest.raises(UsageError, match="takes pictures of 64x96 only"):
            detector_of(path, size=size)


def test_a_graph_that_seems_open_says_which_size_it_cannot_take(tmp_path: Path) -> None:
    image = opset.parameter([1, 3, -1, -1], np.float32, name="images")
    bias = opset.add(image, opset.constant(np.zeros((1, 3, HEIGHT, WIDTH), np.float32)))
    most = opset.reduce_max(bias, opset.constant([0, 1, 2, 3]), keep_dims=False)
    rows = opset.multiply(opset.constant(np.array([[*BOX, 1, 0]], np.float32)), most)
    path = saved(ov.Model([opset.result(rows)], [image], "tiny"), tmp_path, {"input_hw": [HEIGHT, WIDTH]})
    with pytest.raises(UsageError, match=r"takes no pictures of 128x128 .*; leave out --size"):
        detector_of(path, size="128x128")


@pytest.mark.parametrize(
    ("said", "told"),
    [({"layout": "nhwc"}, "which are not nhwc: correct layout in"), ({"input_hw": [32, 32]}, "; correct input_hw in")],
    ids=str,
)
def test_humandetect_json_that_the_graph_cannot_keep_is_blamed(said: dict[str, Any], told: str, tmp_path: Path) -> None:
    image = opset.parameter([1, 3, HEIGHT, WIDTH], np.float32, name="images")
    bias = opset.add(image, opset.constant(np.zeros((1, 3, HEIGHT, WIDTH), np.float32)))
    most = opset.reduce_max(bias, opset.constant([0, 1, 2, 3]), keep_dims=False)
    rows = opset.multiply(opset.constant(np.array([[*BOX, 1, 0]], np.float32)), most)
    path = saved(ov.Model([opset.result(rows)], [image], "tiny"), tmp_path, said)
    with pytest.raises(HumanDetectError, match=told):
        detector_of(path)


def test_what_the_exporter_wrote_beside_a_model_names_classes_and_size(tmp_path: Path) -> None:
    said = "names:\n  0: helmet\n  1: person\nimgsz:\n- 96\n- 64\nstride: 32\n"
    (tmp_path / "metadata.yaml").write_text(said, encoding="utf-8")
    with detector_of(saved(rows_graph([-1, 3, -1, -1], class_id=1), tmp_path)) as detector:
        assert detector.info.input_hw == (96, 64)
        assert detector.info.metadata.labels == {0: "helmet", 1: "person"}


def test_a_model_of_turned_boxes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "metadata.yaml").write_text("task: obb\nnames:\n  0: person\n", encoding="utf-8")
    with pytest.raises(ModelError, match="finds turned boxes"):
        detector_of(saved(yolo_graph([1, 3, HEIGHT, WIDTH]), tmp_path))


def test_a_person_class_by_name_and_by_number(tmp_path: Path) -> None:
    path = saved(rows_graph([1, 3, HEIGHT, WIDTH], class_id=16), tmp_path)
    assert_sees(path, 0.8, person_class="dog")
    assert_sees(path, 0.8, person_class="16")
    with pytest.raises(UsageError, match="no class 'unicorn'"):
        detector_of(path, person_class="unicorn")


def test_names_in_an_onnx_file_are_its_labels(tmp_path: Path) -> None:
    value = np.array([[[*BOX, 0.9, 1]]], np.float32)
    constant = helper.make_tensor("rows", onnx.TensorProto.FLOAT, value.shape, value.ravel())
    nodes = [
        helper.make_node("Constant", [], ["rows"], value=constant),
        helper.make_node("ReduceMax", ["images"], ["most"], keepdims=0),
        helper.make_node("Mul", ["most", "nothing"], ["zero"]),
        helper.make_node("Add", ["rows", "zero"], ["output0"]),
    ]
    tensors = [helper.make_tensor_value_info("images", onnx.TensorProto.FLOAT, ["batch", 3, HEIGHT, WIDTH])]
    results = [helper.make_tensor_value_info("output0", onnx.TensorProto.FLOAT, [1, 1, 6])]
    nothing = helper.make_tensor("nothing", onnx.TensorProto.FLOAT, [], [0.0])
    model = helper.make_model(
        helper.make_graph(nodes, "tiny", tensors, results, [nothing]),
        opset_imports=[helper.make_opsetid("", 17)], ir_version=8,
    )  # fmt: skip
    helper.set_model_props(model, {"names": "{0: 'helmet', 1: 'person'}", "task": "detect"})
    onnx.save(model, tmp_path / "tiny.onnx")
    assert_sees(tmp_path / "tiny.onnx", 0.9)

    helper.set_model_props(model, {"names": str({number: f"class{number}" for number in range(80)})})
    onnx.save(model, tmp_path / "numbered.onnx")
    with detector_of(tmp_path / "numbered.onnx") as detector:
        assert detector.info.metadata.labels[1] == "bicycle"  # as COCO has it, where names are but numbers


def test_keras_lists_and_their_number_are_not_taken_for_the_object_detection_api(tmp_path: Path) -> None:
    image = opset.parameter([1, HEIGHT, WIDTH, 3], np.float32, name="image")
    zero = opset.multiply(opset.reduce_mean(image, opset.constant([0, 1, 2, 3])), opset.constant(np.float32(0)))
    written = {
        "boxes": [[BOX, (-1, -1, -1, -1)]], "classes": [[0, -1]], "confidence": [[0.9, -1]], "num_detections": [1]
    }  # fmt: skip
    outputs = {name: opset.add(opset.constant(np.array(value, np.float32)), zero) for name, value in written.items()}
    for name, node in outputs.items():
        node.output(0).set_names({name})
    assert_sees(saved(ov.Model(list(outputs.values()), [image], "tiny"), tmp_path), 0.9)


def test_other_graphs_are_refused_with_what_they_have(tmp_path: Path) -> None:
    path = saved(graph([1, 3, HEIGHT, WIDTH], [0.0, 0.0], [1, 2], score_at=0), tmp_path)
    with pytest.raises(ModelError, match=r"no detector is known by these outputs: .*\(1, 2\).*`dialect`"):
        detector_of(path)


def test_other_engines_say_who_takes_the_file(tmp_path: Path) -> None:
    path = saved(rows_graph([1, 3, HEIGHT, WIDTH]), tmp_path)
    with pytest.raises(UsageError, match=r"the tensorflow engine takes no \.xml: use --engine openvino"):
        open_detector(path, engine="tensorflow")


def test_models_check_tells_the_dialect_and_fails_where_nobody_is_found(tmp_path: Path) -> None:
    path = saved(rows_graph([1, 3, HEIGHT, WIDTH], score=0.5), tmp_path, {"scaling": "0..1"})
    well = invoke("models", "check", path, "--person-class", "0")
    assert "5 people in 5 frames" in well.stdout, well.stdout + well.stderr
    assert "dialect rows, input 64x96 padded" in well.stdout
    assert "0 of 5 boxes lie where the sample has people" in well.stdout
    odd = invoke("models", "check", path, "--person-class", "7")
    assert odd.returncode == 1
    assert "all 5 detections are of class 0 person, people are class 7" in odd.stdout


def test_models_check_tells_which_other_pixels_show_people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    everywhere = sv.Detections(np.array([[0, 0, 10_000, 10_000]], np.float32))
    monkeypatch.setattr("humandetect.doctor._people_in", lambda frames: [everywhere] * len(frames))
    path = saved(rows_graph([1, 3, HEIGHT, WIDTH], gain=1 / 200), tmp_path)
    told = invoke("models", "check", path)
    assert told.returncode == 1
    assert 'in humandetect.json: with {"scaling": "0..255", "channels": "rgb"} it finds 5 here' in told.stdout
    monkeypatch.setattr("humandetect.doctor.TRIALS_SECONDS", 0)
    assert "it finds" not in invoke("models", "check", path).stdout.partition(" in humandetect.json")[2]
    (tmp_path / "tiny.json").write_text('{"scaling": "0..255", "channels": "rgb"}', encoding="utf-8")
    assert "5 people in 5 frames" in invoke("models", "check", path).stdout

"""How served models of every kind are asked for people, and what is said of those that cannot be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from humandetect.engines.tfserving.messages import Signature, TensorInfo, model_spec
from humandetect.engines.tfserving.request_plan import make_plan
from humandetect.engines.tfserving.tensors import read_tensor, write_tensor
from humandetect.errors import EngineError, ModelError
from humandetect.protos.serving_pb2 import PredictRequest, PredictResponse

if TYPE_CHECKING:
    from humandetect.engines.tfserving.request_plan import RequestPlan

SPEC = model_spec("people")
OUTPUTS = {
    "detection_boxes": TensorInfo("float32", (None, 3, 4)),
    "detection_scores": TensorInfo("float32", (None, 3)),
    "detection_classes": TensorInfo("float32", (None, 3)),
    "num_detections": TensorInfo("float32", (None,)),
}
IMAGES = TensorInfo("uint8", (None, None, None, 3))
FILES = TensorInfo("string", (None,))


def plan_for(**inputs: TensorInfo) -> RequestPlan:
    return make_plan("people at here:8500", {"serving_default": Signature(inputs, OUTPUTS)})


def sent(request: bytes) -> tuple[str, np.ndarray, list[str]]:
    """Input name, its tensor and the outputs asked for."""
    message = PredictRequest.FromString(request)
    ((name, tensor),) = message.inputs.items()
    return name, read_tensor(tensor), list(message.output_filter)


def response(**outputs: np.ndarray) -> bytes:
    message = PredictResponse(model_spec={"version": {"value": 5}})
    for name, values in outputs.items():
        write_tensor(message.outputs[name], values)
    return message.SerializeToString()


def outputs_for(scores: list[list[float]]) -> dict[str, np.ndarray]:
    likely = np.array(scores, np.float32)
    return {
        "detection_boxes": np.tile(np.array([0.1, 0.2, 0.5, 0.6], np.float32), (*likely.shape, 1)),
        "detection_scores": likely,
        "detection_classes": np.ones_like(likely),
        "num_detections": np.full(len(likely), likely.shape[1], np.float32),
    }


def pictures(count: int, hw: tuple[int, int] = (4, 6)) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 255, (count, *hw, 3), np.uint8)


@pytest.mark.parametrize("name", ["inputs", "input_tensor", "image_tensor", "keras_tensor"])
def test_images_go_into_the_input_for_them(name: str) -> None:
    images = pictures(2)
    plan = plan_for(**{name: IMAGES, "threshold": TensorInfo("float32", ())})
    (request,) = plan.requests(SPEC, images)
    key, values, wanted = sent(request)
    assert key == name
    np.testing.assert_array_equal(values, images)
    assert wanted == list(OUTPUTS)


def test_the_apis_own_name_comes_first_where_several_inputs_take_images() -> None:
    assert plan_for(background=IMAGES, inputs=IMAGES).input == "inputs"
    assert plan_for(encoded=FILES, pixels=IMAGES).input == "pixels"


def test_a_model_with_a_fixed_batch_gets_exactly_that() -> None:
    images = pictures(3)
    for size, expected in ((1, [[0], [1], [2]]), (2, [[0, 1], [2, 2]]), (4, [[0, 1, 2, 2]])):
        plan = plan_for(inputs=TensorInfo("uint8", (size, None, None, 3)))
        assert plan.batch == size
        groups = [sent(request)[1] for request in plan.requests(SPEC, images)]
        for group, rows in zip(groups, expected, strict=True):
            np.testing.assert_array_equal(group, images[rows])


def test_answers_to_padding_are_dropped() -> None:
    plan = plan_for(inputs=TensorInfo("uint8", (2, None, None, 3)))
    answers = [plan.read(response(**outputs_for(rows)))[0] for rows in ([[0.1], [0.2]], [[0.3], [0.3]])]
    raw = plan.detections(answers, 3)
    np.testing.assert_allclose(raw.scores, [[0.1], [0.2], [0.3]])
    np.testing.assert_allclose(raw.xyxy[0, 0], [0.2, 0.1, 0.6, 0.5])


def test_many_and_large_images_are_spread_over_requests() -> None:
    plan = plan_for(inputs=IMAGES)
    assert [len(sent(request)[1]) for request in plan.requests(SPEC, pictures(35))] == [16, 16, 3]
    large = np.broadcast_to(np.uint8(7), (3, 4000, 5000, 3))
    assert [len(sent(request)[1]) for request in plan.requests(SPEC, large)] == [1, 1, 1]


@pytest.mark.parametrize(
    ("shape", "sizes"), [((None,), [(3,)]), (None, [(3,)]), ((), [(), (), ()]), ((1,), [(1,), (1,), (1,)])]
)
def test_models_of_encoded_pictures_get_jpeg_of_full_frames(shape: Any, sizes: list[tuple[int, ...]]) -> None:
    images = cv2.resize(pictures(1)[0], (96, 64), interpolation=cv2.INTER_CUBIC)[None].repeat(3, axis=0)
    plan = plan_for(image_bytes=TensorInfo("string", shape))
    assert plan.sides == (None, None)
    found = [sent(request)[1] for request in plan.requests(SPEC, images)]
    assert [values.shape for values in found] == sizes
    jpeg = found[0].reshape(-1)[0]
    again = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert again is not None
    assert np.abs(again.astype(int) - images[0]).mean() < 3  # also: the colours are not swapped


def test_a_fixed_size_is_told() -> None:
    assert plan_for(inputs=TensorInfo("uint8", (None, 300, 200, 3))).sides == (300, 200)
    assert plan_for(inputs=TensorInfo("uint8", None)).sides == (None, None)


def test_answers_for_one_picture_without_a_batch_are_taken() -> None:
    plan = plan_for(image=TensorInfo("string", ()))
    single = {name: values[0] for name, values in outputs_for([[0.9, 0.8]]).items()}
    outputs, version = plan.read(response(**single))
    assert version == 5
    np.testing.assert_allclose(plan.detections([outputs], 1).scores, [[0.9, 0.8]])


def test_the_only_signature_is_taken_and_others_by_name() -> None:
    detect, other = Signature({"inputs": IMAGES}, OUTPUTS), Signature({"x": IMAGES}, OUTPUTS)
    init = Signature({}, {})
    assert make_plan("m", {"detect": detect, "__saved_model_init_op": init}).signature == "detect"
    assert make_plan("m", {"detect": detect, "serving_default": other}).input == "x"
    assert make_plan("m", {"detect": detect, "serving_default": other}, "detect").input == "inputs"
    with pytest.raises(ModelError, match=r"m: no signature 'nonsense'; it has detect, x\. .*--serving-signature"):
        make_plan("m", {"detect": detect, "x": other, "__saved_model_init_op": init}, "nonsense")
    with pytest.raises(ModelError, match="no signature 'serving_default'; it has detect, x"):
        make_plan("m", {"detect": detect, "x": other})


def test_plans_that_ask_alike_are_equal() -> None:
    assert plan_for(inputs=IMAGES) == plan_for(inputs=IMAGES)
    assert plan_for(inputs=IMAGES) != plan_for(input_tensor=IMAGES)


@pytest.mark.parametrize(
    ("inputs", "given"),
    [
        ({"inputs": TensorInfo("float32", (None, 300, 300, 3))}, r"inputs: float32 \(\?, 300, 300, 3\)"),
        ({"inputs": TensorInfo("uint8", (None, 3, 300, 300))}, r"inputs: uint8 \(\?, 3, 300, 300\)"),
        ({"tf_example": FILES}, r"tf_example: string \(\?\)"),
        ({"a": IMAGES, "b": IMAGES}, r"a: uint8 \(.*\), b: uint8"),
        ({"inputs": TensorInfo("float32", None)}, "inputs: float32 any shape"),
        ({}, "the model has none"),
    ],
)
def test_models_that_take_no_images_are_refused(inputs: dict[str, TensorInfo], given: str) -> None:
    with pytest.raises(ModelError, match=rf"people at here:8500: no image input; .*{given}"):
        plan_for(**inputs)


def test_models_that_are_no_detectors_are_refused() -> None:
    few = {name: info for name, info in OUTPUTS.items() if name not in ("num_detections", "detection_boxes")}
    with pytest.raises(
        ModelError, match=r"lacks the outputs detection_boxes, num_detections; it has detection_classes"
    ):
        make_plan("m", {"serving_default": Signature({"inputs": IMAGES}, few)})
    texts = {**OUTPUTS, "detection_classes": TensorInfo("string", (None, 3))}
    with pytest.raises(ModelError, match="its detection_classes are strings"):
        make_plan("m", {"serving_default": Signature({"inputs": IMAGES}, texts)})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"detection_boxes": np.zeros((1, 2), np.float32)}, r"detection_boxes \(1, 2\) float32"),
        ({"detection_scores": np.zeros((1, 3), np.float32)}, r"detection_scores \(1, 3\) float32"),
        ({"detection_scores": np.zeros((1, 2), bool)}, r"detection_scores \(1, 2\) bool"),
        ({"num_detections": np.zeros(7, np.float32)}, r"num_detections \(7,\) float32"),
    ],
)
def test_odd_outputs_are_explained(change: dict[str, np.ndarray], said: str) -> None:
    plan = plan_for(inputs=IMAGES)
    with pytest.raises(ModelError, match=said):
        plan.read(response(**{**outputs_for([[0.5, 0.5]]), **change}))


def test_answers_that_lack_something_are_explained() -> None:
    plan = plan_for(inputs=IMAGES)
    outputs = outputs_for([[0.5]])
    del outputs["num_detections"]
    with pytest.raises(
        ModelError, match="people at here:8500: the answer lacks num_detections; it has detection_boxes"
    ):
        plan.read(response(**outputs))
    with pytest.raises(ModelError, match="1 answers for 2 images"):
        plan.detections([plan.read(response(**outputs_for([[0.5]])))[0]], 2)
    with pytest.raises(EngineError, match="the answer is damaged, or not TensorFlow Serving's"):
        plan.read(b"<html>hello</html>")

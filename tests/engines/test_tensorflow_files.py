"""What TensorFlow writes and no detector of the Object Detection API is: SavedModels, TFLite and how its SSDs end."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tensorflow as tf

from humandetect.detection.detector import open_detector
from tests.engines.foreign import BOX, FRACTIONS, HEIGHT, PICTURE, WIDTH, assert_sees, detector_of

if TYPE_CHECKING:
    from pathlib import Path

PLACES, CLASSES = 6, 90
ATTRIBUTES = {
    "max_detections": "i: 10", "max_classes_per_detection": "i: 1", "use_regular_nms": "b: false",
    "nms_score_threshold": "f: 0.0", "nms_iou_threshold": "f: 0.5", "num_classes": f"i: {CLASSES}",
    "y_scale": "f: 10.0", "x_scale": "f: 10.0", "h_scale": "f: 5.0", "w_scale": "f: 5.0",
}  # fmt: skip
ANCHORS = np.tile(np.array([0.5, 0.5, 0.5, 0.5], np.float32), (PLACES, 1))


@tf.function(
    experimental_implements='name: "TFLite_Detection_PostProcess" '
    + " ".join(f'attr {{ key: "{name}" value {{ {value} }} }}' for name, value in ATTRIBUTES.items())
)
def post_process(_codes: Any, _scores: Any, _anchors: Any) -> Any:
    """Stand where the converter puts the operation, as the Object Detection API's exporter does."""
    return tuple(tf.constant(0.0, name=name) for name in ("boxes", "classes", "scores", "number"))


class Model(tf.Module):  # type: ignore[misc]  # without types
    @tf.function(input_signature=[tf.TensorSpec([1, 64, 96, 3], tf.float32)])
    def run(self, image: Any) -> Any:
        codes, scores = np.zeros((1, PLACES, 4), np.float32), np.zeros((1, PLACES, 1 + CLASSES), np.float32)
        codes[0, 2:4] = 0, -2.5, 0, 5 * np.log(0.5)  # twice the same
        scores[0, 2, 1], scores[0, 3, 1] = 1, 0.9
        scores[0, :2, 0] = 1  # the background
        seen = tf.reduce_mean(image[..., 0])
        return post_process(codes + 0 * seen, scores * seen, tf.constant(ANCHORS))


def test_boxes_are_decoded_and_suppressed_without_the_background(tmp_path: Path) -> None:
    model = Model()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([model.run.get_concrete_function()], model)
    converter.allow_custom_ops = True
    (tmp_path / "ssd.tflite").write_bytes(converter.convert())
    with open_detector(tmp_path / "ssd.tflite", engine="openvino", precision="f32", score=0.3) as detector:
        people = detector.detect(PICTURE)
    assert people.xyxy.tolist() == pytest.approx(np.array([[24, 16, 48, 48]]), abs=1e-3)
    assert people.confidence == pytest.approx([0.6], abs=1e-3)  # 204 of -1..1
    assert list(people.data["class_name"]) == ["person"]


@pytest.mark.parametrize("bits", [32, 8])
def test_a_tflite_file(bits: int, tmp_path: Path) -> None:
    class Model(tf.Module):  # type: ignore[misc]  # without types
        @tf.function(input_signature=[tf.TensorSpec([1, HEIGHT, WIDTH, 3], tf.float32)])
        def run(self, image: Any) -> Any:
            seen = tf.reduce_mean(tf.nn.relu6(image)[..., 0])
            return tf.constant([[[*FRACTIONS, 0, 0]]]) + seen * tf.constant([0.0, 0, 0, 0, 1, 0])

    model = Model()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([model.run.get_concrete_function()], model)
    if bits == 8:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        ramp = np.linspace(0, 1, HEIGHT * WIDTH * 3, dtype=np.float32).reshape(1, HEIGHT, WIDTH, 3)
        converter.representative_dataset = lambda: [[ramp], [np.ones_like(ramp)]]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    (tmp_path / "tiny.tflite").write_bytes(converter.convert())
    with detector_of(tmp_path / "tiny.tflite") as detector:
        people = detector.detect(PICTURE)
    assert people.xyxy.tolist() == pytest.approx(np.array([BOX]), abs=0 if bits == 32 else 1)
    assert people.confidence == pytest.approx([0.8], abs=0.01)


@pytest.mark.parametrize("said", [{}, {"input_hw": [WIDTH, WIDTH]}, {"keep_aspect": False}], ids=str)
def test_a_saved_model_is_letterboxed_unless_it_says_otherwise(said: dict[str, Any], tmp_path: Path) -> None:
    def call(images: Any) -> dict[str, Any]:
        return {"rows": tf.constant([[*BOX, 0.9, 0]]) + 0 * tf.reduce_mean(images)}

    module = tf.Module()
    module.call = tf.function(call, input_signature=[tf.TensorSpec([1, WIDTH, WIDTH, 3], tf.float32, "images")])
    tf.saved_model.save(module, str(tmp_path / "tiny"), signatures=module.call)
    (tmp_path / "tiny" / "assets.extra").mkdir()
    said = {**said, "labels": {"0": "person"}, "person_classes": [0]}
    (tmp_path / "tiny" / "assets.extra" / "humandetect.json").write_text(json.dumps(said), encoding="utf-8")
    stretched = (BOX[0], BOX[1] * HEIGHT / WIDTH, BOX[2], BOX[3] * HEIGHT / WIDTH)
    assert_sees(tmp_path / "tiny", 0.9, stretched if "keep_aspect" in said else BOX)

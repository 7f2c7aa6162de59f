"""The operation that ends TFLite's SSDs and EfficientDets is read to the pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tensorflow as tf

from humandetect.detection.detector import open_detector

if TYPE_CHECKING:
    from pathlib import Path

PLACES, CLASSES = 6, 90
ATTRIBUTES = {
    "max_detections": "i: 10", "max_classes_per_detection": "i: 1", "use_regular_nms": "b: false",
    "nms_score_threshold": "f: 0.0", "nms_iou_threshold": "f: 0.5", "num_classes": f"i: {CLASSES}",
    "y_scale": "f: 10.0", "x_scale": "f: 10.0", "h_scale": "f: 5.0", "w_scale": "f: 5.0",
}  # fmt: skip
ANCHORS = np.tile(np.array([0.5, 0.5, 0.5, 0.5], np.float32), (PLACES, 1))
PICTURE = np.full((64, 96, 3), (0, 51, 204), np.uint8)


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

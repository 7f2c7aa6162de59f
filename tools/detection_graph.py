"""What the exported detectors share: suppression over whole batches, the detection API's outputs, the SavedModel.

Operations on whole batches that TensorFlow, TensorFlow Serving and OpenVINO all have: loops and ready-made suppression
operations are slow in one of them and missing in another.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ROUNDS = 12
"""Longest chain of suppressions that is followed exactly: the longest seen on real frames was 10."""
IOU_THRESHOLD = 0.6
SCORE_THRESHOLD = 1e-8


def images_placeholder() -> Any:
    """Return the input of every exported graph: uint8 RGB images, (N, H, W, 3), of any size."""
    return tf.compat.v1.placeholder(tf.uint8, (None, None, None, 3), name="inputs")


def best(boxes: Any, scores: Any, count: int) -> tuple[Any, Any]:
    """Keep the best of each image, in any order: OpenVINO takes 2 ms to sort them and 0.03 ms to find them."""
    scores, chosen = tf.math.top_k(scores, count, sorted=False)
    return take(boxes, chosen), scores


def take(boxes: Any, order: Any) -> Any:
    """Pick boxes by index in each image.

    Not with `tf.gather`: OpenVINO 2026.4 writes past its buffers there, for single images on several threads.
    """
    return tf.gather_nd(boxes, order[:, :, None], batch_dims=1)


def survivors(boxes: Any, scores: Any, count: int) -> Any:
    """Return 1 for boxes that greedy suppression keeps, 0 for those that overlap a better kept one, (N, count).

    A box is kept if no better kept box overlaps it. Starting from "all are kept", each round of that rule settles one
    more link of the chains "a suppresses b, which then cannot suppress c ...".
    """
    rivals = overlapping(boxes) * better(scores, count)
    kept = tf.ones_like(scores)
    for _ in range(ROUNDS):
        kept = 1.0 - tf.reduce_max(rivals * kept[:, None, :], axis=2)
    return kept


def better(scores: Any, count: int) -> Any:
    """Return 1 at (i, j) where candidate j goes before candidate i, else 0, (N, count, count)."""
    mine, other = scores[:, :, None], scores[:, None, :]
    earlier = np.tri(count, k=-1, dtype=bool)
    return tf.cast((other > mine) | (tf.equal(other, mine) & earlier), tf.float32)


def overlapping(boxes: Any) -> Any:
    """Return 1 where two boxes of an image have an IoU above the threshold, else 0, (N, count, count)."""
    ymin, xmin, ymax, xmax = (boxes[:, :, side] for side in range(4))
    area = (ymax - ymin) * (xmax - xmin)
    height = tf.minimum(ymax[:, :, None], ymax[:, None, :]) - tf.maximum(ymin[:, :, None], ymin[:, None, :])
    width = tf.minimum(xmax[:, :, None], xmax[:, None, :]) - tf.maximum(xmin[:, :, None], xmin[:, None, :])
    shared = tf.maximum(height, 0.0) * tf.maximum(width, 0.0)
    either = area[:, :, None] + area[:, None, :] - shared
    return tf.cast(shared > either * IOU_THRESHOLD, tf.float32)


def answer(boxes: Any, scores: Any, kept: Any, count: int) -> None:
    """Name the outputs: the `count` best surviving boxes inside the image, empty rows behind them."""
    boxes = tf.clip_by_value(boxes, 0.0, 1.0)
    area = (boxes[:, :, 2] - boxes[:, :, 0]) * (boxes[:, :, 3] - boxes[:, :, 1])
    valid = tf.cast((scores > SCORE_THRESHOLD) & (area > 0.0), tf.float32)
    scores, order = tf.math.top_k(scores * kept * valid, count)
    found = tf.cast(scores > 0.0, tf.float32)
    tf.multiply(take(boxes, order), found[:, :, None], name="detection_boxes")
    tf.identity(scores, name="detection_scores")
    tf.ones_like(scores, name="detection_classes")
    tf.reduce_sum(found, axis=1, name="num_detections")


def saved_model(graph: Any, count: int) -> bytes:
    """Wrap a graph of constants as a SavedModel with the detection API's signature."""
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel(saved_model_schema_version=1)
    meta = model.meta_graphs.add(graph_def=graph)
    meta.meta_info_def.tags.append("serve")
    signature = meta.signature_def["serving_default"]
    signature.method_name = "tensorflow/serving/predict"
    shapes = {"detection_boxes": [-1, count, 4], "detection_scores": [-1, count],
              "detection_classes": [-1, count], "num_detections": [-1]}  # fmt: skip
    describe(signature.inputs["inputs"], "inputs", tf.uint8, [-1, -1, -1, 3])
    for name, shape in shapes.items():
        describe(signature.outputs[name], name, tf.float32, shape)
    return bytes(model.SerializeToString(deterministic=True))


def describe(info: Any, name: str, dtype: Any, shape: list[int]) -> None:
    info.name = f"{name}:0"
    info.dtype = dtype.as_datatype_enum
    for size in shape:
        info.tensor_shape.dim.add(size=size)


def write_model(folder: Path, model: bytes, *, metadata: Mapping[str, Any], texts: Mapping[str, str]) -> None:
    """Write the version folder as the engines and TensorFlow Serving read it, with licence `texts` by file name."""
    assets = folder / "assets.extra"
    assets.mkdir(parents=True, exist_ok=True)
    (folder / "saved_model.pb").write_bytes(model)
    known = {**metadata, "sha256": hashlib.sha256(model).hexdigest()}
    (assets / "humandetect.json").write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
    for name, content in texts.items():
        (assets / name).write_text(content, encoding="utf-8")

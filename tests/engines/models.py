"""Tiny models with the signature of the TensorFlow Object Detection API, whose answers can be told in advance.

Three detections for each picture: a person as likely as the picture is bright, class 18 half as likely, and a third
row that `num_detections` does not count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from humandetect.models.metadata import ModelFolder, ModelMetadata

if TYPE_CHECKING:
    from pathlib import Path

tf1 = tf.compat.v1
PERSON_BOX = (0.1, 0.2, 0.5, 0.6)
"""ymin, xmin, ymax, xmax."""


@dataclass(frozen=True)
class Kind:
    """What exporters do differently."""

    key: str = "inputs"
    batch: int | None = None
    hw: tuple[int | None, int | None] = (None, None)
    integers: bool = False
    scalar_count: bool = False
    more_outputs: bool = False
    variable: bool = False
    input_type: Any = tf.uint8
    without: str | None = None
    flat_boxes: bool = False
    unknown_operation: bool = False


def saved_model(path: Path, kind: Kind) -> ModelFolder:
    """Write a SavedModel as TF1 exporters do."""
    with tf.Graph().as_default(), tf1.Session() as session:
        image, outputs = _detections(kind)
        session.run(tf1.global_variables_initializer())
        builder = tf1.saved_model.Builder(str(path))
        signature = tf1.saved_model.predict_signature_def({kind.key: image}, outputs)
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature})
        builder.save()
    return ModelFolder("synthetic", "1", path, ModelMetadata())


def modern_saved_model(path: Path) -> ModelFolder:
    """Write a SavedModel as TF2 exporters do: a function with batch fixed at 1, and a variable."""
    module = tf.Module()
    module.weight = tf.Variable(1.0)

    def call(input_tensor: Any) -> dict[str, Any]:
        return answer(input_tensor, module.weight, Kind())

    signature = tf.TensorSpec((1, None, None, 3), tf.uint8, name="input_tensor")
    tf.saved_model.save(module, str(path), signatures=tf.function(call, input_signature=[signature]))
    return ModelFolder("synthetic", "1", path, ModelMetadata())


def frozen_graph(path: Path, kind: Kind, *, consumed: bool = False) -> ModelFolder:
    """Write a frozen graph; `consumed`: something else feeds on its outputs."""
    with tf.Graph().as_default() as graph:
        _, outputs = _detections(kind)
        for name, tensor in outputs.items():
            named = tf.identity(tensor, name=name)
            if consumed:
                tf.identity(named, name=f"{name}_again")
        path.write_bytes(graph.as_graph_def().SerializeToString())
    return ModelFolder("synthetic", "", path, ModelMetadata())


def _detections(kind: Kind) -> tuple[Any, dict[str, Any]]:
    image = tf1.placeholder(kind.input_type, (kind.batch, *kind.hw, 3), name=kind.key)
    weight = tf1.get_variable("weight", initializer=1.0) if kind.variable else tf.constant(1.0)
    return image, answer(image, weight, kind)


def answer(image: Any, weight: Any, kind: Kind) -> dict[str, Any]:
    """Build what the model answers to a batch of images."""
    count = tf.shape(image)[0]
    light = weight * tf.reduce_mean(tf.cast(image, tf.float32), axis=[1, 2, 3]) / 255
    if kind.unknown_operation:
        light *= tf.cast(tf.strings.length(tf.strings.as_string(light)) > 0, tf.float32)
    whole = tf.int64 if kind.integers else tf.float32
    counted = tf.cast(tf.fill([count], 2), whole)
    boxes = tf.tile(tf.constant([[PERSON_BOX, (0, 0, 1, 1), (0.3, 0.3, 0.4, 0.4)]]), (count, 1, 1))
    found = {
        "detection_boxes": boxes[..., 0] if kind.flat_boxes else boxes,
        "detection_scores": tf.stack([light, light / 2, light / 4], axis=1),
        "detection_classes": tf.cast(tf.tile([[1, 18, 1]], (count, 1)), whole),
        "num_detections": tf.reduce_max(counted) if kind.scalar_count else counted,
    }
    if kind.more_outputs:
        found["raw_detection_boxes"] = tf.tile(tf.zeros((1, 7, 4)), (count, 1, 1))
    found.pop(kind.without or "", None)
    return found

"""One model of every kind that exporters write, each in its folder of versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf

from tests.engines.models import Kind, answer, modern_saved_model, saved_model

if TYPE_CHECKING:
    from pathlib import Path

tf1 = tf.compat.v1
KINDS = {
    "open": Kind(),
    "integers": Kind(key="input_tensor", integers=True),
    "more": Kind(key="image_tensor", more_outputs=True),
    "single": Kind(batch=1),
    "single_scalar_count": Kind(batch=1, scalar_count=True),
    "pairs": Kind(batch=2),
    "sized": Kind(hw=(40, 60)),
    "variable": Kind(variable=True),
    "own_name": Kind(key="picture"),
}
REFUSED = {
    "no_scores": Kind(without="detection_scores"),
    "floats": Kind(input_type=tf.float32),
    "flat_boxes": Kind(flat_boxes=True),
}


def encoded(path: Path, *, scalar: bool) -> None:
    """Write a model that takes JPEG files, one or many a request."""
    with tf.Graph().as_default(), tf1.Session() as session:
        files = tf1.placeholder(tf.string, () if scalar else (None,), name="image_bytes")
        pixels = _decoded(files)[None] if scalar else tf.map_fn(_decoded, files, tf.uint8)
        builder = tf1.saved_model.Builder(str(path))
        signature = tf1.saved_model.predict_signature_def({"image_bytes": files}, answer(pixels, 1.0, Kind()))
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature})
        builder.save()


def _decoded(file: Any) -> Any:
    return tf.ensure_shape(tf.io.decode_jpeg(file, channels=3), (None, None, 3))


def write_models(folder: Path) -> dict[str, Path]:
    """Write them all; return their folders by name."""
    for name, kind in {**KINDS, **REFUSED}.items():
        saved_model(folder / name / "1", kind)
    modern_saved_model(folder / "modern" / "1")
    encoded(folder / "jpeg" / "3", scalar=False)
    encoded(folder / "one_jpeg" / "1", scalar=True)
    return {name: folder / name for name in (*KINDS, *REFUSED, "modern", "jpeg", "one_jpeg")}

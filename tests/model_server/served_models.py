"""Tiny SavedModels whose answers anybody can compute."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

tf1 = tf.compat.v1
Signature = tuple[dict[str, Any], dict[str, Any]]
"""Inputs and outputs by name."""


def save(path: Path, build: Callable[[], dict[str, Signature]]) -> Path:
    """Write a SavedModel with the signatures that `build` returns."""
    with tf.Graph().as_default(), tf1.Session() as session:
        signatures = {name: tf1.saved_model.predict_signature_def(*ends) for name, ends in build().items()}
        session.run(tf1.global_variables_initializer())
        builder = tf1.saved_model.Builder(str(path))
        builder.add_meta_graph_and_variables(session, ["serve"], signatures)
        builder.save()
    return path


def half_plus(path: Path, addend: float) -> Path:
    """y = x / 2 + addend, for floats of any number; the addend tells versions apart."""

    def build() -> dict[str, Signature]:
        x = tf1.placeholder(tf.float32, None, name="x")
        ends = {"x": x}, {"y": x * tf1.get_variable("half", initializer=0.5) + addend}
        return {"serving_default": ends, "again": ends}

    return save(path, build)


def echo(path: Path) -> Path:
    """Give back what comes; a signature for each type that a tensor can have, by its name."""

    def build() -> dict[str, Signature]:
        inputs = {kind.name: tf1.placeholder(kind, None) for kind in KINDS}
        signatures = {name: ({"x": tensor}, {"y": tf.identity(tensor)}) for name, tensor in inputs.items()}
        return {**signatures, "bytes": ({"x": inputs["string"]}, {"y_bytes": tf.identity(inputs["string"])})}

    return save(path, build)


KINDS = [
    tf.float32, tf.float64, tf.int32, tf.int16, tf.int8, tf.uint16, tf.uint8, tf.int64, tf.uint32, tf.uint64,
    tf.bool, tf.float16, tf.bfloat16, tf.string,
]  # fmt: skip


def weighted(path: Path) -> Path:
    """y = x @ w for rows of 4 floats, and the rows' sums; two inputs, two outputs."""

    def build() -> dict[str, Signature]:
        x = tf1.placeholder(tf.float32, (None, 4), name="x")
        scale = tf1.placeholder(tf.float32, (None, 1), name="scale")
        outputs = {"product": tf.matmul(x, tf.ones((4, 2))) * scale, "sum": tf.reduce_sum(x, 1)}
        return {"serving_default": ({"x": x, "scale": scale}, outputs)}

    return save(path, build)


def slow(path: Path, rounds: int = 40_000_000) -> Path:
    """Count for seconds before it answers; a deadline stops it between two counts."""

    def build() -> dict[str, Signature]:
        x = tf1.placeholder(tf.float32, None, name="x")
        count = tf.while_loop(lambda i: i < rounds, lambda i: i + 1, [tf.constant(0)])
        return {"serving_default": ({"x": x}, {"y": x + tf.cast(count[0], tf.float32) * 0})}

    return save(path, build)

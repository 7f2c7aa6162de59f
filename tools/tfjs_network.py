"""A network published for TensorFlow.js, built again from plain TensorFlow operations.

Such a graph is a JSON file of nodes and a binary file of weights. It was optimised for a browser: batch normalisations
stand half folded behind their convolutions, and convolutions are fused with what follows. Every engine optimises for
itself, and best from the plain form: each normalisation is multiplied into its convolution here, and nothing is fused.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    Node = Mapping[str, Any]


class TfjsNetwork:
    """Nodes and weights of a published graph; `build` makes tensors of the current TensorFlow graph from them."""

    def __init__(self, model: bytes, weights: bytes) -> None:
        published = json.loads(model)
        self._nodes: dict[str, Node] = {node["name"]: node for node in published["modelTopology"]["node"]}
        self.weights = read_weights(published["weightsManifest"], weights)
        self._built: dict[str, Any] = {}

    def build(self, heads: Sequence[str], feeds: Mapping[str, Any]) -> list[Any]:
        """Return the outputs `heads`, computed from the tensors that stand for the nodes of `feeds`."""
        self._built = dict(feeds)
        return [self._tensor(name) for name in heads]

    def _tensor(self, name: str) -> Any:
        if name not in self._built:
            self._built[name] = self._make(self._nodes[name])
        return self._built[name]

    def _make(self, node: Node) -> Any:
        match node["op"]:
            case "Conv2D" | "DepthwiseConv2dNative":
                return self._convolution(node)
            case "_FusedConv2D" | "FusedDepthwiseConv2dNative":
                return self._fused(node)
            case "FusedBatchNorm":
                return self._normalised(node)
            case "Mul" if self._follows_convolution(node):
                convolution, factor = self._inputs(node)
                return self._convolution(self._nodes[convolution], scale=self.weights[factor])
            case "BiasAdd" | "Add" | "AddV2" | "AddN":
                return self._sum(node)
            case "Relu6":
                return tf.nn.relu6(self._tensor(self._inputs(node)[0]))
            case "ResizeBilinear":  # the only ones there are: upsampling by 2
                return doubled(self._tensor(self._inputs(node)[0]))
            case other:
                raise SystemExit(f"{node['name']}: no rule for {other}")

    def _inputs(self, node: Node) -> list[str]:
        return [name.split(":")[0] for name in node["input"]]

    def _follows_convolution(self, node: Node) -> bool:
        first, second = self._inputs(node)
        return self._nodes[first]["op"] in {"Conv2D", "DepthwiseConv2dNative"} and second in self.weights

    def _convolution(self, node: Node, *, scale: NDArray[np.float32] | None = None) -> Any:
        """Return a convolution, its output channels multiplied by `scale`."""
        pixels, name = self._inputs(node)[:2]
        weights = self.weights[name]
        depthwise = "Depthwise" in node["op"]
        if scale is not None:
            weights = weights * (scale.reshape(weights.shape[2:]) if depthwise else scale)
        strides, padding = integers(node, "strides"), text(node["attr"]["padding"]["s"])
        convolve = tf.compat.v1.nn.depthwise_conv2d_native if depthwise else tf.compat.v1.nn.conv2d
        return convolve(self._tensor(pixels), constant(weights), strides=strides, padding=padding)

    def _fused(self, node: Node) -> Any:
        operations = [text(name) for name in node["attr"]["fused_ops"]["list"]["s"]]
        result = tf.nn.bias_add(self._convolution(node), self.weights[self._inputs(node)[2]])
        for name in operations[1:]:
            result = {"Relu": tf.nn.relu, "Relu6": tf.nn.relu6}[name](result)
        return result

    def _normalised(self, node: Node) -> Any:
        convolution, *names = self._inputs(node)
        gamma, beta, mean, variance = (self.weights[name] for name in names)
        scale = gamma / np.sqrt(variance + node["attr"]["epsilon"]["f"])
        return tf.nn.bias_add(self._convolution(self._nodes[convolution], scale=scale), beta - mean * scale)

    def _sum(self, node: Node) -> Any:
        """Add two tensors, or a bias to one; the bias of a sum goes to its first part, where engines can fuse it."""
        tensors = [name for name in self._inputs(node) if name not in self.weights]
        biases = [self.weights[name] for name in self._inputs(node) if name in self.weights]
        if biases and self._nodes[tensors[0]]["op"] == "AddN":
            tensors = self._inputs(self._nodes[tensors[0]])
        parts = [self._tensor(name) for name in tensors]
        if biases:
            parts[0] = tf.nn.bias_add(parts[0], biases[0])
        return parts[0] if len(parts) == 1 else tf.add(*parts)


def read_weights(manifest: Sequence[Mapping[str, Any]], content: bytes) -> dict[str, NDArray[np.float32]]:
    """Cut the weights apart; those stored as float16 become float32 again."""
    arrays, offset = {}, 0
    for entry in manifest[0]["weights"]:
        stored = np.dtype(entry.get("quantization", entry)["dtype"])
        size = int(np.prod(entry["shape"], dtype=int)) * stored.itemsize
        array = np.frombuffer(content[offset : offset + size], stored).reshape(entry["shape"])
        arrays[entry["name"]] = array.astype(entry["dtype"])
        offset += size
    if offset != len(content):
        raise SystemExit(f"the weights have {len(content)} bytes, their list names {offset}")
    return arrays


def constant(weights: NDArray[np.float32]) -> Any:
    """Store weights as float16, half the size; every engine casts them once, when it loads the model."""
    return tf.cast(tf.constant(weights.astype(np.float16)), tf.float32)


def doubled(pixels: Any) -> Any:
    """Return feature maps of twice the height and width, as Keras' UpSampling2D makes them."""
    return tf.raw_ops.ResizeBilinear(images=pixels, size=tf.shape(pixels)[1:3] * 2, half_pixel_centers=True)


def integers(node: Node, name: str) -> list[int]:
    return [int(value) for value in node["attr"][name]["list"]["i"]]


def text(value: str | Sequence[int]) -> str:
    """Decode a string of an attribute: base64, or in older files a list of bytes."""
    return (base64.b64decode(value) if isinstance(value, str) else bytes(value)).decode()

"""The operation in which TFLite's SSDs and EfficientDets end, and which OpenVINO does not know."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from openvino import opset13 as opset
from openvino.frontend import ConversionExtension

if TYPE_CHECKING:
    import openvino as ov
    from openvino.frontend import NodeContext


def detections_of_tflite() -> ConversionExtension:
    """Return what teaches it to OpenVINO."""
    return ConversionExtension("TFLite_Detection_PostProcess", _detections)


def _detections(node: NodeContext) -> list[ov.Output]:
    """Write boxes (y before x), classes, scores and number of all anchors; suppression is left to the dialect."""
    codes, scores, anchors = (node.get_input(index) for index in range(3))
    scales = np.array([node.get_attribute(f"{side}_scale") for side in "yxhw"], np.float32)
    shifts, growths = opset.split(opset.divide(codes, opset.constant(scales)), opset.constant(2), 2).outputs()
    centres, sizes = opset.split(anchors, opset.constant(1), 2).outputs()
    middles = opset.add(opset.multiply(shifts, sizes), centres)
    halves = opset.multiply(opset.exp(growths), opset.divide(sizes, np.float32(2)))
    boxes = opset.concat([opset.subtract(middles, halves), opset.add(middles, halves)], axis=2)
    places, columns = scores.get_shape()[1:]
    numbers = opset.constant(np.arange(columns - node.get_attribute("num_classes"), columns))  # no background
    best = opset.topk(opset.gather(scores, numbers, opset.constant(2)), opset.constant(1), 2, "max", "none")
    likeliest, classes = (opset.squeeze(output, opset.constant([2])) for output in best.outputs())
    outputs = (boxes, opset.convert(classes, "f32"), likeliest, opset.constant(np.array([places], np.float32)))
    return [one.output(0) for one in outputs]

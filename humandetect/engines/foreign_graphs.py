"""Graphs of other frameworks for OpenVINO: what they want and what they write, found in the graph and its metadata."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino as ov
from openvino import opset13 as opset
from openvino.preprocess import ColorFormat, PrePostProcessor

from humandetect.errors import ModelError, UsageError
from humandetect.models.dialects import DIALECTS, Output, recognise
from humandetect.models.dialects.coco import labels_by_count
from humandetect.models.dialects.yolo import STRIDES
from humandetect.models.exported import labels_of, picture_of, read_exported, size_of, stride_of
from humandetect.models.labels import labels_beside, person_classes_of, tell_nothing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from humandetect.models.dialects import Dialect, WantedPicture
    from humandetect.models.metadata import Layout, ModelFolder, ModelMetadata, Scaling

OPEN_SIZE_HW = (640, 640)
"""For graphs that take any size: what most of them were trained on."""
MEAN_AND_DEVIATION: dict[Scaling, tuple[list[float], list[float]]] = {
    "0..1": ([0.0] * 3, [255.0] * 3),
    "-1..1": ([127.5] * 3, [127.5] * 3),
    "imagenet": ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375]),
}
OTHER_SIZES = {"small": 0.65, "far": 1.5}
"""Sides of the other presets of a graph of open size, by its default: 416 and 960 for 640."""
MULTIPLES = {"yolo": STRIDES[-1], "yolox": STRIDES[-1]}
"""Of sides, by dialect, where the model itself says none."""
PLACES = {
    "names": (("framework", "names"), ("names",)),
    "imgsz": (("framework", "imgsz"),),
    "stride": (("framework", "stride"),),
    "task": (("framework", "task"),),
    "description": (("framework", "description"),),
    "labels": (("model_info", "labels"),),
}
"""Where OpenVINO keeps what ONNX files say of themselves, and what exporters of its own format write."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """A graph made to take uint8 RGB images (1, H, W, 3), with the dialect of its answer."""

    graph: ov.Model
    dialect: Dialect
    model: ModelFolder
    """With what was found in the graph in its metadata."""
    is_open: bool
    """Whether the graph takes pictures of other sizes, too."""


def adopt(graph: ov.Model, model: ModelFolder, hw: tuple[int, int] | None) -> Foreign:
    """Make a graph take our images. Raises ModelError where it is no detector that is known, or takes no images."""
    metadata = model.metadata
    port = _image_port(graph, model)
    shape = _shape(port)
    layout = _layout(shape, model)
    said = {**read_exported(model.path), **_said(graph)}
    if said.get("task") == "obb":
        raise ModelError(f"{model.path} finds turned boxes (its task is obb): export a detector of upright ones.")
    own_hw = _size(shape, layout)
    default_hw = metadata.preset.input_hw or own_hw or size_of(said) or OPEN_SIZE_HW
    input_hw = hw or default_hw
    try:
        _close_sizes(graph, port, layout, input_hw)
    except RuntimeError as error:
        if _batch(shape) > 1:
            raise ModelError(_not_one_by_one(model, _batch(shape))) from error
        fix = "leave out --size, or say the size that it was exported for as" if hw or own_hw is None else "correct"
        raise UsageError(_not_of_this_size(model, input_hw, error, fix)) from error
    labels = dict(metadata.labels) if "labels" in metadata.said else labels_beside(model.path) or labels_of(said)
    outputs = [Output(output.any_name if output.names else "", _shape(output)) for output in graph.outputs]
    if _batch(shape) > 1 and any(len(one.shape) > 2 and one.shape[0] == shape[0] for one in outputs):
        raise ModelError(_not_one_by_one(model, _batch(shape)))
    dialect = recognise(outputs, input_hw, classes=len(labels) or None, wanted=metadata.dialect)
    if dialect is None:
        raise ModelError(_unknown(outputs, metadata, model))
    picture = _picture(dialect, said, metadata)
    if graph.input(0).element_type.is_integral():
        picture = replace(picture, scaling="0..255")
    adopted = _preprocessed(_pruned(graph, dialect), picture, layout)
    if tell_nothing(labels) and "labels" not in metadata.said:
        labels = labels_by_count(len(labels)) or labels
    labels = labels or dict(dialect.labels)
    people = metadata.person_classes
    if metadata.person_class is not None or "person_classes" not in metadata.said:
        people = person_classes_of(labels, metadata.person_class, model=model.path)
    known = replace(
        metadata, labels=labels or dict.fromkeys(people, "person"), person_classes=people,
        keep_aspect=picture.keep_aspect, dialect=dialect.name, person_class=None,
    )  # fmt: skip
    if own_hw is None:
        known = _with_sizes(known, default_hw, stride_of(said) or MULTIPLES.get(dialect.name))
    return Foreign(adopted, dialect, replace(model, metadata=known), is_open=own_hw is None)


def _with_sizes(metadata: ModelMetadata, default_hw: tuple[int, int], multiple: int | None) -> ModelMetadata:
    """Say at which sizes a graph of open size runs; other presets need a known multiple, or humandetect.json."""
    preset, others = replace(metadata.preset, input_hw=default_hw), dict(metadata.sizes)
    if multiple and not others:
        for name, scale in OTHER_SIZES.items():
            height, width = (max(1, round(side * scale / multiple)) * multiple for side in default_hw)
            others[name] = replace(preset, input_hw=(height, width))
    return replace(metadata, preset=preset, sizes=others, multiple=multiple or metadata.multiple)


def _image_port(graph: ov.Model, model: ModelFolder) -> ov.Output:
    """Find the input for the image; others may only be its size or mask, as DETR's exporters add: constants here."""
    shapes = [_shape(port) for port in graph.inputs]
    rank = 4 if any(len(shape) == 4 for shape in shapes) else 3
    images = [port for port, shape in zip(graph.inputs, shapes, strict=True) if len(shape) == rank]
    others = [shape for shape in shapes if len(shape) != rank]
    if len(images) == 1 and all(len(shape) == 3 or shape[1:] == (2,) for shape in others):
        return images[0]
    listed = ", ".join(f"{port.any_name} {port.partial_shape}" for port in graph.inputs)
    raise ModelError(
        f"{model.path}: expected one input of images, (N, 3, H, W) or (N, H, W, 3); the model has {listed}. "
        "Export it with the image as its only input."
    )


def _layout(shape: tuple[int | None, ...], model: ModelFolder) -> Layout:
    """Tell it from where the 3 channels are, unless humandetect.json says it."""
    channels_first, channels_last = shape[-3], shape[-1]
    said = model.metadata.layout
    if said and (channels_first if said == "nchw" else channels_last) in (3, None):
        return said
    if said:
        raise ModelError(f"{model.path} takes images {shape}, which are not {said}: correct layout in humandetect.json")
    if channels_last == 3 and channels_first != 3:
        return "nhwc"
    if channels_first in (3, None):
        return "nchw"
    raise ModelError(
        f"{model.path}: expected images of 3 channels, (N, 3, H, W) or (N, H, W, 3); the model takes {shape}"
    )


def _batch(shape: tuple[int | None, ...]) -> int:
    """Return for how many pictures a graph was exported; 1 where it leaves that open."""
    return (shape[0] if len(shape) == 4 else None) or 1


def _size(shape: tuple[int | None, ...], layout: Layout) -> tuple[int, int] | None:
    height, width = shape[-2:] if layout == "nchw" else shape[-3:-1]
    return (height or OPEN_SIZE_HW[0], width or OPEN_SIZE_HW[1]) if height or width else None


def _close_sizes(graph: ov.Model, port: ov.Output, layout: Layout, input_hw: tuple[int, int]) -> None:
    """Fix every size, for one image: it makes the fastest code, and the outputs' shapes tell the dialect."""
    height, width = input_hw
    image = [3, height, width] if layout == "nchw" else [height, width, 3]
    for other in [other for other in graph.inputs if other.node.friendly_name != port.node.friendly_name]:
        value = _of_the_picture(other, input_hw)
        _replace_parameter(graph, other, opset.constant(value, other.element_type.to_dtype()))
    if port.partial_shape.rank == ov.Dimension(4):
        graph.reshape({graph.input(0): ov.PartialShape([1, *image])})
        return
    batch = opset.parameter([1, *image], port.element_type, name="image")
    graph.reshape({graph.input(0): ov.PartialShape(image)})
    graph.add_parameters([batch])
    _replace_parameter(graph, port, opset.squeeze(batch, opset.constant([0])))
    graph.validate_nodes_and_infer_types()


def _of_the_picture(port: ov.Output, input_hw: tuple[int, int]) -> NDArray[np.int_]:
    """Return what an input beside the image gets, so that boxes come out in pixels of the input."""
    height, width = input_hw
    sizes = _shape(port)
    if len(sizes) == 3:  # a mask of what is picture and what is padding
        return np.ones((1, sizes[1] or height, sizes[2] or width), int)
    paddle = {"scale_factor": [[1, 1]], "im_shape": [[height, width]]}
    return np.array(next((value for name, value in paddle.items() if name in port.names), [[width, height]]))


def _replace_parameter(graph: ov.Model, port: ov.Output, node: ov.Node) -> None:
    for target in port.get_target_inputs():
        target.replace_source_output(node.output(0))
    parameter = next(one for one in graph.get_parameters() if one.friendly_name == port.node.friendly_name)
    graph.remove_parameter(parameter)


def _shape(output: ov.Output) -> tuple[int | None, ...]:
    return tuple(size.get_length() if size.is_static else None for size in output.partial_shape)


def _said(graph: ov.Model) -> dict[str, str]:
    """Read what exporters store in the model."""
    said: dict[str, str] = {}
    for name, places in PLACES.items():
        for place in places:
            with suppress(RuntimeError):
                if graph.has_rt_info(list(place)):
                    said.setdefault(name, str(graph.get_rt_info(list(place)).astype(str)))
    return said


def _picture(dialect: Dialect, said: Mapping[str, str], metadata: ModelMetadata) -> WantedPicture:
    """Join what the dialect's models were trained on with what the exporter and humandetect.json say."""
    picture = replace(dialect.picture, **picture_of(said))
    return replace(
        picture,
        keep_aspect=metadata.keep_aspect if "keep_aspect" in metadata.said else picture.keep_aspect,
        channels=metadata.channels or picture.channels,
        scaling=metadata.scaling or picture.scaling,
    )


def _pruned(graph: ov.Model, dialect: Dialect) -> ov.Model:
    """Keep the outputs that the dialect reads, in its order."""
    nodes = [opset.result(_as_floats(graph.output(index).node.input_value(0))) for index in dialect.outputs]
    return ov.Model(nodes, graph.get_parameters(), graph.friendly_name)


def _as_floats(value: ov.Output) -> ov.Output:
    """Take what TFLite writes as numbers of 8 bits before it is made so: their scale stands nowhere behind."""
    node = value.get_node()
    rounded = node.input_value(0).get_node() if node.get_type_name() == "Convert" else node
    return rounded.input_value(0) if rounded.get_type_name() == "FakeQuantize" else value


def _preprocessed(graph: ov.Model, picture: WantedPicture, layout: Layout) -> ov.Model:
    """Build the steps from our images to the model's into the graph, where they cost least."""
    builder = PrePostProcessor(graph)
    image = builder.input()
    image.tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC")).set_color_format(ColorFormat.RGB)
    image.model().set_layout(ov.Layout(layout.upper()))
    steps: Any = image.preprocess()
    if graph.input().element_type == ov.Type.i8:
        steps.convert_element_type(ov.Type.f32).mean(128.0)
    elif picture.scaling != "0..255":
        mean, deviation = MEAN_AND_DEVIATION[picture.scaling]
        steps.convert_element_type(ov.Type.f32).mean(mean).scale(deviation)
    if picture.channels == "bgr":  # behind the mean, which each colour has its own of
        steps.convert_color(ColorFormat.BGR)
    return builder.build()


def _not_of_this_size(model: ModelFolder, hw: tuple[int, int], error: RuntimeError, fix: str) -> str:
    reason = str(error).strip().splitlines()[-1]
    return f"{model.path} takes no pictures of {hw[0]}x{hw[1]} ({reason}); {fix} input_hw in humandetect.json"


def _not_one_by_one(model: ModelFolder, batch: int) -> str:
    return (
        f"{model.path} takes {batch} pictures at a time and no single one: that number stands inside its graph. "
        "Export it for a batch of 1."
    )


def _unknown(outputs: list[Output], metadata: ModelMetadata, model: ModelFolder) -> str:
    found = ", ".join(f"{output.name} {output.shape}".replace("None", "?") for output in outputs)
    wanted = f" that fits the dialect {metadata.dialect!r} of humandetect.json" if metadata.dialect else ""
    return (
        f"{model.path}: no detector{wanted} is known by these outputs: {found}. Dialects are detection-api, "
        f"{', '.join(DIALECTS)}; export the model with its boxes decoded, or name one as `dialect` in humandetect.json."
    )

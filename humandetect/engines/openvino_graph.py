"""The graph that OpenVINO runs: read, cut to one input and four outputs, compiled for a shape, kept between runs."""

from __future__ import annotations

import logging
import re
from contextlib import suppress
from typing import TYPE_CHECKING

import openvino as ov
from openvino import opset13 as opset

from humandetect.engines.compiled_cache import CompiledCache
from humandetect.engines.detection_api import OUTPUT_KEYS, OWN_KEYS, check_input, check_outputs, choose_input
from humandetect.engines.foreign_graphs import Foreign, adopt
from humandetect.engines.tflite_detections import detections_of_tflite
from humandetect.errors import ModelError, UsageError
from humandetect.models.metadata import checksum, takes
from humandetect.stderr import quiet

if TYPE_CHECKING:
    from humandetect.models.dialects import Dialect
    from humandetect.models.metadata import ModelFolder
    from humandetect.models.sizes import InputSize, Sides

logger = logging.getLogger(__name__)

_LINE_THAT_TELLS_NOTHING = re.compile(
    r"(Caught exception: )?Exception from |Check '|FrontEnd API failed|Model wasn't fully converted|Summary:"
    r"|Loading input model|While validating |Node \S+ of type |\S+ with a message:"
)
PLACE_OF_WEIGHTS = b"\n\x08location\x12"
"""Key and begin of the value that name a file where ONNX keeps weights outside, as it must those of over 2 GB."""
CACHE_FORMAT = 3
"""Part of every cache key: raise it when the way a model is prepared for compiling changes."""


class Compiler:
    """Compiles one model for the shapes of its pictures, on one device with one set of properties."""

    def __init__(self, core: ov.Core, model: ModelFolder, target: str, settings: dict[str, str]) -> None:
        self._core, self._target, self._settings = core, target, settings
        self._given = self.model = model
        """Once it is compiled, with what was found in a graph of another dialect."""
        self.dialect: Dialect | None = None
        """None: the Object Detection API's."""
        self._as_it_is: ov.CompiledModel | None = None
        self._is_open = False
        """Whether a graph of another dialect takes more than one size."""
        self._graph: ov.Model | None = None
        """Read once for all shapes."""

    def fixed_hw(self, size: str) -> Sides:
        """Return the only sides that the model takes, where its metadata leaves a doubt."""
        metadata = self.model.metadata
        in_folder = self.model.path.is_dir()  # a file may be of a dialect, whose way with pictures stands in it
        if in_folder and (metadata.sizes or (metadata.preset.input_hw and size == "default")):
            return None, None
        self._as_it_is = self._compile(None)
        return (None, None) if self._is_open else _sides(self._as_it_is)

    def compiled(self, size: InputSize | None, hw: tuple[int, int] | None) -> ov.CompiledModel:
        """Return the model for pictures of `hw`, which makes the fastest code; a graph without a choice as it is."""
        if self._as_it_is and (size is None or size.multiple is None or hw == _sides(self._as_it_is)):
            return self._as_it_is
        return self._compile(hw)

    def _compile(self, hw: tuple[int, int] | None) -> ov.CompiledModel:
        """Fetch the model from the cache, or compile and keep it: reading and compiling cost over a second."""
        cache, key = CompiledCache(), self._cache_key(hw)
        if key is not None and (blob := cache.load(key)):
            try:
                return self._core.import_model(blob, self._target, self._settings)
            except RuntimeError as error:
                logger.info("compiling again, the kept model does not load: %s", reason(error))
        try:
            compiled = self._core.compile_model(self._shaped(hw), self._target, self._settings)
        except RuntimeError as error:
            if hw is not None and hw not in [preset.input_hw for preset in self.model.metadata.presets.values()]:
                told = f"{self.model.name} takes no pictures of {hw[0]}x{hw[1]} ({reason(error)})"
                raise UsageError(f"{told}: give a larger size, or none") from error
            raise ModelError(
                f"{self.model.path}: OpenVINO cannot take this model ({reason(error)}). "
                + (
                    "If the file is sound and of TensorFlow's Object Detection API, --engine tensorflow can."
                    if takes("tensorflow", self.model)
                    else "Export it anew."
                )
            ) from error
        if key is not None and self.dialect is None:  # the kept model would not say what other outputs mean
            with suppress(RuntimeError):  # a device that cannot export compiles every time
                cache.save(key, compiled.export_model().getvalue())
        return compiled

    def _shaped(self, hw: tuple[int, int] | None) -> ov.Model:
        """Return the graph for one picture of `hw`; None: of the size that the graph says, if it says one."""
        graph = self._graph or _read(self._core, self._given, hw)
        if isinstance(graph, Foreign):
            self.dialect, self.model, self._is_open = graph.dialect, graph.model, graph.is_open
            return graph.graph
        self._graph = graph
        shaped = graph.clone()
        _, height, width, _ = shaped.input(0).partial_shape
        shaped.reshape([1, *(hw or (height, width)), 3])
        return shaped

    def _cache_key(self, hw: tuple[int, int] | None) -> str | None:
        """Name everything that the compiled model depends on, the hardware's instructions among it.

        None for a graph whose weights may lie in files of any name: it is compiled every time.
        """
        path = self.model.path
        weights = path.with_suffix(".bin")  # of an .xml, in which a model that was trained again looks the same
        if path.suffix == ".onnx" and PLACE_OF_WEIGHTS in path.read_bytes():
            return None
        content = [checksum(file) for file in (path, weights) if file == path or file.is_file()]
        properties = ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")
        hardware = [self._core.get_property(self._target, name) for name in properties]
        return repr((CACHE_FORMAT, ov.__version__, content, hw, self._settings, self._target, hardware))


def _sides(compiled: ov.CompiledModel) -> Sides:
    """Return the only sides that a compiled model takes."""
    _, height, width, _ = (size.get_length() if size.is_static else None for size in compiled.input(0).partial_shape)
    return height, width


def _read(core: ov.Core, model: ModelFolder, hw: tuple[int, int] | None) -> ov.Model | Foreign:
    """Read the graph and keep of it one input and the four outputs, in the order of OUTPUT_KEYS."""
    if model.path.suffix == ".tflite":
        core.add_extension(detections_of_tflite())
    with quiet("OpenVINO while reading"):  # its TensorFlow parser says on stderr what the error says again
        graph = core.read_model(model.path)
    outputs = _outputs(graph)
    if not outputs.keys() & OWN_KEYS:
        return adopt(graph, model, hw)
    inputs = _by_name(graph.inputs)
    port = inputs[choose_input(model.path, inputs)]
    shape = [size.get_length() if size.is_static else None for size in port.partial_shape]
    check_input(model.path, dtype=port.element_type.to_dtype().name, shape=shape)
    check_outputs(model.path, outputs)
    _turn_late(port)
    return ov.Model([outputs[key].get_node() for key in OUTPUT_KEYS], [port.get_node()], model.name)


def _turn_late(image: ov.Output) -> None:
    """Move the change from rows of pixels to planes behind the arithmetic that is the same for all of them.

    OpenVINO's reader has it right behind the input, and then pictures are turned to and back for their first
    convolution: 4 % of the time. Before that convolution it costs nothing, and the answers are the same bits.
    """
    turns = [port.get_node() for port in image.get_target_inputs() if port.get_node().get_type_name() == "Transpose"]
    if len(turns) != 1:
        return
    value = turns[0].output(0)
    begin = ports = list(value.get_target_inputs())
    while len(ports) == 1 and _is_same_everywhere(ports[0].get_node()):
        value = ports[0].get_node().output(0)
        ports = list(value.get_target_inputs())
    if ports != begin and all(port.get_node().get_type_name() == "Convolution" for port in ports):
        late = opset.transpose(value, turns[0].input_value(1)).output(0)
        for target, source in (*((port, image) for port in begin), *((port, late) for port in ports)):
            target.replace_source_output(source)


def _is_same_everywhere(node: ov.Node) -> bool:
    """Tell whether a node does to each number the same, with numbers of its own."""
    own = [value for value in node.input_values() if value.get_node().get_type_name() == "Constant"]
    known = node.get_type_name() in ("Convert", "Add", "Subtract", "Multiply", "Divide")
    return known and len(own) == node.get_input_size() - 1 and all(set(value.get_shape()) <= {1} for value in own)


def _outputs(graph: ov.Model) -> dict[str, ov.Output]:
    """Name the model's outputs; in a frozen graph they may also be nodes that something else feeds on."""
    named = _by_name(graph.outputs)
    for key in OUTPUT_KEYS:
        if key not in named:
            with suppress(RuntimeError):
                named[key] = graph.add_outputs(f"{key}:0")[0]
    return named


def _by_name(ports: list[ov.Output]) -> dict[str, ov.Output]:
    """Index ports by signature key (SavedModel) or node name (frozen graph, where tensors end in `:0`)."""
    return {name.removesuffix(":0"): port for port in ports for name in port.names}


def reason(error: RuntimeError) -> str:
    """Pick the line that tells people most out of OpenVINO's stack of checks."""
    lines = [line.strip(" -") for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not _LINE_THAT_TELLS_NOTHING.match(line)]
    unknown = [line for line in telling if line.startswith("No conversion rule")]
    return (unknown or telling or lines or ["no reason given"])[0]

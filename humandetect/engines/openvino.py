"""Engine "openvino": the SavedModel compiled by OpenVINO; every image travels alone, several are in flight."""

from __future__ import annotations

import logging
import queue
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino as ov

from humandetect.engines.compiled_cache import CompiledCache
from humandetect.engines.detection_api import (
    OUTPUT_KEYS,
    check_images,
    check_input,
    check_outputs,
    choose_input,
    model_info,
    raw_detections,
    warm_up,
)
from humandetect.errors import Closed, DeviceError, EngineError, ModelError
from humandetect.models.metadata import checksum
from humandetect.stderr import quiet

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from humandetect.config import Device, Precision
    from humandetect.engines.base import RawDetections
    from humandetect.models.metadata import ModelFolder

logger = logging.getLogger(__name__)

CACHE_FORMAT = 1
"""Part of every cache key: raise it when the way a model is prepared for compiling changes."""
WAITING_REQUESTS = 1
"""Requests beyond those that compute, so that no stream idles while Python fetches an answer."""


class OpenVinoEngine:
    """Runs a model on the CPU, or on an Intel GPU where asked to."""

    def __init__(self, model: ModelFolder, *, device: Device = "auto", precision: Precision = "auto") -> None:
        core = ov.Core()
        target = _choose_device(core, device)
        compiled = _compiled(core, model, target, _settings(core, target, precision))
        size = compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS") + WAITING_REQUESTS
        ran = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        self._requests: queue.SimpleQueue[ov.InferRequest] | None = queue.SimpleQueue()
        for _ in range(size):
            self._requests.put(compiled.create_infer_request())
        self.info = model_info(
            model, engine=f"openvino {ov.__version__.partition('-')[0]}, {target}, {ran}",
            input_hw=_static_hw(compiled.input(0)), parallel=size, best_batch=1,
        )  # fmt: skip
        warm_up(self, model.path)

    def infer(self, images: NDArray[np.uint8]) -> RawDetections:
        """Find objects in (B, H, W, 3) RGB images. Thread-safe; blocks."""
        requests = self._requests  # close() may forget them meanwhile; what runs here still ends well
        if requests is None:
            raise Closed("the openvino engine is closed")
        check_images(images, self.info.input_hw)
        images = np.ascontiguousarray(images)
        answers: list[dict[str, NDArray[Any]]] = []
        running: deque[ov.InferRequest] = deque()
        try:
            for index in range(len(images)):
                running.append(_next_request(requests, running, answers))
                running[-1].start_async([images[index : index + 1]], share_inputs=True)
            while running:
                answers.append(_answer(running[0]))
                requests.put(running.popleft())
        except RuntimeError as error:
            raise EngineError(f"OpenVINO failed on a picture: {_reason(error)}") from error
        finally:
            for request in running:  # an error left them; others need them
                with suppress(RuntimeError):
                    request.wait()
                requests.put(request)
        return raw_detections(answers)

    def close(self) -> None:
        """Free the model once running calls have ended; may be called twice."""
        self._requests = None


def _next_request(
    requests: queue.SimpleQueue[ov.InferRequest],
    running: deque[ov.InferRequest],
    answers: list[dict[str, NDArray[Any]]],
) -> ov.InferRequest:
    """Take a free request, else the oldest of this call's own, whose answer it fetches.

    Only a call that holds none waits for other calls, so calls cannot wait for one another in a circle.
    """
    try:
        return requests.get(block=not running)
    except queue.Empty:
        answers.append(_answer(running[0]))
        return running.popleft()


def _answer(request: ov.InferRequest) -> dict[str, NDArray[Any]]:
    """Wait for a request and copy its outputs, which its next run overwrites."""
    request.wait()
    return {key: request.get_output_tensor(index).data.copy() for index, key in enumerate(OUTPUT_KEYS)}


def _choose_device(core: ov.Core, device: Device) -> str:
    """Name OpenVINO's device. `auto` is the CPU: the path that is measured and tested on every machine."""
    if device != "gpu":
        return "CPU"
    found = core.available_devices
    for name in found:
        if name.startswith("GPU"):
            return str(name)
    raise DeviceError(
        f"no GPU for the openvino engine, which drives Intel GPUs; it found: {', '.join(found)}. "
        "Use --device cpu, or --engine tensorflow for an NVIDIA GPU."
    )


def _settings(core: ov.Core, target: str, precision: Precision) -> dict[str, str]:
    """Ask for throughput, and for the precision unless the hardware may choose."""
    if precision == "auto":
        return {"PERFORMANCE_HINT": "THROUGHPUT"}
    capabilities = core.get_property(target, "OPTIMIZATION_CAPABILITIES")
    if precision == "bf16" and "BF16" not in capabilities:
        raise DeviceError(
            f"{target} has no bf16 instructions (it has {', '.join(capabilities)}); use --precision auto or f32"
        )
    return {"PERFORMANCE_HINT": "THROUGHPUT", "INFERENCE_PRECISION_HINT": precision}


def _compiled(core: ov.Core, model: ModelFolder, target: str, settings: dict[str, str]) -> ov.CompiledModel:
    """Fetch the compiled model from the cache, or compile and keep it: reading and compiling cost over a second."""
    cache, key = CompiledCache(), _cache_key(core, model, target, settings)
    if blob := cache.load(key):
        try:
            return core.import_model(blob, target, settings)
        except RuntimeError as error:
            logger.info("compiling again, the kept model does not load: %s", _reason(error))
    try:
        compiled = core.compile_model(_read(core, model), target, settings)
    except RuntimeError as error:
        raise ModelError(
            f"{model.path}: OpenVINO cannot take this model ({_reason(error)}). "
            "If the file is sound, --engine tensorflow can."
        ) from error
    with suppress(RuntimeError):  # a device that cannot export compiles every time
        cache.save(key, compiled.export_model().getvalue())
    return compiled


def _cache_key(core: ov.Core, model: ModelFolder, target: str, settings: dict[str, str]) -> str:
    """Name everything that the compiled model depends on, the hardware's instructions among it."""
    try:
        content = checksum(model.path)
    except OSError as error:
        raise ModelError(f"{model.path}: cannot read the model: {error.strerror}") from error
    hardware = [core.get_property(target, name) for name in ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")]
    return repr((CACHE_FORMAT, ov.__version__, content, model.metadata.input_hw, settings, target, hardware))


def _read(core: ov.Core, model: ModelFolder) -> ov.Model:
    """Read the graph and keep of it one input and the four outputs, in the order of OUTPUT_KEYS.

    A fixed size for one image makes the fastest code; where models want full frames, height and width stay open.
    """
    with quiet("OpenVINO while reading"):  # its TensorFlow parser says on stderr what the error says again
        graph = core.read_model(model.path)
    inputs = _by_name(graph.inputs)
    port = inputs[choose_input(model.path, inputs)]
    shape = [size.get_length() if size.is_static else None for size in port.partial_shape]
    check_input(model.path, dtype=port.element_type.to_dtype().name, shape=shape)
    outputs = _outputs(graph)
    check_outputs(model.path, outputs)
    pruned = ov.Model([outputs[key].get_node() for key in OUTPUT_KEYS], [port.get_node()], model.name)
    height, width = model.metadata.input_hw or (shape[1] or -1, shape[2] or -1)
    pruned.reshape([1, height, width, 3])
    return pruned


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


def _static_hw(port: ov.ConstOutput) -> tuple[int, int] | None:
    _, height, width, _ = port.partial_shape
    return (height.get_length(), width.get_length()) if height.is_static and width.is_static else None


def _reason(error: RuntimeError) -> str:
    """Pick the line that tells people most out of OpenVINO's stack of checks."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("Exception from", "Check '", "FrontEnd API failed"))]
    return (telling or lines or ["no reason given"])[0]

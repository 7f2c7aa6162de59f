"""Engine "openvino": the model compiled by OpenVINO; every image travels alone, several are in flight."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino as ov

from humandetect.engines.base import MAX_SHAPES, ModelInfo
from humandetect.engines.detection_api import OUTPUT_KEYS, check_images, decoded, raw_detections, warm_up, with_people
from humandetect.engines.openvino_graph import Compiler, reason
from humandetect.errors import Closed, DeviceError, EngineError
from humandetect.models.sizes import choose_size

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from humandetect.config import Device, Precision
    from humandetect.engines.base import RawDetections
    from humandetect.models.metadata import ModelFolder

MOST_COMPILED = 2 * MAX_SHAPES
"""Each shape may have one of half its size, for second looks."""
WAITING_REQUESTS = 2
"""Requests beyond those that compute, so that no stream idles while Python fetches an answer: of two streams both may
end meanwhile. In turns with one that was 5 % more images/s in the middle of five comparisons.
"""


@dataclass(slots=True)
class _CompiledShape:
    """The model compiled for one shape of pictures."""

    requests: queue.SimpleQueue[ov.InferRequest]
    used: float
    """Monotonic time of the last call."""


class OpenVinoEngine:
    """Runs a model on the CPU, or on an Intel GPU where asked to; it is compiled for each shape of pictures."""

    def __init__(
        self, model: ModelFolder, *, device: Device = "auto", precision: Precision = "auto", size: str = "default"
    ) -> None:
        core = ov.Core()
        target = _choose_device(core, device)
        self._compiler = Compiler(core, model, target, _settings(core, target, precision))
        fixed_hw = self._compiler.fixed_hw(size)
        input_size, _ = choose_size(model.name, self._compiler.model.metadata, size, fixed_hw=fixed_hw)
        compiled = self._compiler.compiled(input_size, input_size.input_hw if input_size else None)
        # Once more: a graph of another dialect is read by now, and says whether its pictures are padded.
        metadata = with_people(self._compiler.model.metadata, model=model.name, path=model.path)
        input_size, preset = choose_size(model.name, metadata, size, fixed_hw=fixed_hw)
        self._parallel = compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS") + WAITING_REQUESTS
        ran = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        self.info = ModelInfo(
            model.name, model.version, f"openvino {ov.__version__.partition('-')[0]}, {target}, {ran}", input_size,
            parallel=self._parallel, best_batch=1, preset=preset, metadata=metadata,
        )  # fmt: skip
        self._closed = False
        self._compiling = threading.Lock()
        self._shapes = {self.info.input_hw: self._shape(compiled)}
        warm_up(self, model.path)

    def infer(self, images: NDArray[np.uint8]) -> RawDetections:
        """Find objects in (B, H, W, 3) RGB images. Thread-safe; blocks."""
        if self._closed:
            raise Closed("the openvino engine is closed")
        check_images(images, self.info.size)
        requests = self._requests(images.shape[1:3] if self.info.size else None)
        images = np.ascontiguousarray(images)
        answers: list[list[NDArray[Any]]] = []
        running: deque[ov.InferRequest] = deque()
        try:
            for index in range(len(images)):
                running.append(_next_request(requests, running, answers))
                running[-1].start_async([images[index : index + 1]], share_inputs=True)
            while running:
                answers.append(_answer(running[0]))
                requests.put(running.popleft())
        except RuntimeError as error:
            raise EngineError(f"OpenVINO failed on a picture: {reason(error)}") from error
        finally:
            for request in running:  # an error left them; others need them
                with suppress(RuntimeError):
                    request.wait()
                requests.put(request)
        if self._compiler.dialect is not None:
            return decoded(answers, self._compiler.dialect, images.shape[1:3])
        return raw_detections([dict(zip(OUTPUT_KEYS, answer, strict=True)) for answer in answers])

    def close(self) -> None:
        """Free the model once running calls have ended; may be called twice."""
        self._closed = True
        self._shapes.clear()  # what runs still ends well: each call holds what it needs

    def _requests(self, hw: tuple[int, int] | None) -> queue.SimpleQueue[ov.InferRequest]:
        """Return the requests of a shape, compiling for it where it is new; the shape unused for longest goes."""
        shape = self._shapes.get(hw)
        if shape is None:
            with self._compiling:
                shape = self._shapes.get(hw) or self._shape(self._compiler.compiled(self.info.size, hw))
                while len(self._shapes) >= MOST_COMPILED and hw not in self._shapes:
                    del self._shapes[min(self._shapes, key=lambda hw: self._shapes[hw].used)]
                self._shapes[hw] = shape
        shape.used = time.monotonic()
        return shape.requests

    def _shape(self, compiled: ov.CompiledModel) -> _CompiledShape:
        requests: queue.SimpleQueue[ov.InferRequest] = queue.SimpleQueue()
        for _ in range(self._parallel):
            requests.put(compiled.create_infer_request())
        return _CompiledShape(requests, used=time.monotonic())


def _next_request(
    requests: queue.SimpleQueue[ov.InferRequest],
    running: deque[ov.InferRequest],
    answers: list[list[NDArray[Any]]],
) -> ov.InferRequest:
    """Take a free request, else the oldest of this call's own, whose answer it fetches.

    Only a call that holds none waits for other calls, so calls cannot wait for one another in a circle.
    """
    try:
        return requests.get(block=not running)
    except queue.Empty:
        answers.append(_answer(running[0]))
        return running.popleft()


def _answer(request: ov.InferRequest) -> list[NDArray[Any]]:
    """Wait for a request and copy its outputs, which its next run overwrites."""
    request.wait()
    return [tensor.data.copy() for tensor in request.output_tensors]


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

"""Engine "tensorflow": the SavedModel, or a frozen graph, in this process.

It uses sessions, the way TensorFlow Serving runs the same files: they load three times as fast as
`tf.saved_model.load`, need 90 MB less, and take frozen graphs too.
"""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from humandetect.engines.base import ModelInfo
from humandetect.engines.detection_api import (
    OUTPUT_KEYS,
    OWN_KEYS,
    check_images,
    check_input,
    check_outputs,
    choose_input,
    raw_detections,
    warm_up,
    with_people,
)
from humandetect.errors import Closed, DeviceError, EngineError, ModelError, UsageError
from humandetect.models.sizes import choose_size
from humandetect.stderr import quiet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from humandetect.config import Device, Precision
    from humandetect.engines.base import RawDetections
    from humandetect.models.metadata import ModelFolder

logger = logging.getLogger(__name__)

BEST_BATCH = 4
"""Larger batches cost the same CPU time an image and 40 MB more for every 4 images in flight."""
CALLS_THAT_HELP = 2
"""One call leaves a core idle between its operations."""


class TensorFlowEngine:
    """Runs a model on the CPU or on an NVIDIA GPU, whose memory it takes only as needed."""

    def __init__(
        self, model: ModelFolder, *, device: Device = "auto", precision: Precision = "auto", size: str = "default"
    ) -> None:
        if precision == "bf16":
            raise UsageError(
                "the tensorflow engine has no bf16: use --precision auto or f32; bf16 is for --engine openvino"
            )
        with _quiet_start():
            import tensorflow as tf

            on_gpu = _use_gpu(device)
            tf.get_logger().setLevel(logging.ERROR)  # it calls the session loader deprecated, three lines long
            tf.config.experimental.enable_tensor_float_32_execution(precision != "f32")
            session = tf.compat.v1.Session(graph=tf.Graph(), config=_session_config(tf, on_gpu=on_gpu))
            image, outputs = _load(tf, session, model.path)
            numbers = "tf32" if on_gpu and precision != "f32" and _has_tf32(tf) else "f32"
        self._call: Callable[[NDArray[np.uint8]], list[NDArray[Any]]] | None
        self._call = session.make_callable([outputs[key] for key in OUTPUT_KEYS], feed_list=[image])
        self._run_errors = (tf.errors.OpError, RuntimeError)
        shape = _shape(image) or [None] * 4
        self._max_call = shape[0]
        if shape[0] not in (1, None):
            raise ModelError(
                f"{model.path} takes {shape[0]} pictures at a time and no single one. Export it for any number."
            )
        metadata = with_people(model.metadata, model=model.name, path=model.path)
        input_size, preset = choose_size(model.name, metadata, size, fixed_hw=(shape[1], shape[2]))
        self.info = ModelInfo(
            model.name, model.version, f"tensorflow {tf.__version__}, {'GPU' if on_gpu else 'CPU'}, {numbers}",
            input_size, parallel=CALLS_THAT_HELP, best_batch=BEST_BATCH if self._max_call is None else 1,
            preset=preset, metadata=metadata,
        )  # fmt: skip
        with _quiet_start():
            warm_up(self, model.path)

    def infer(self, images: NDArray[np.uint8]) -> RawDetections:
        """Find objects in (B, H, W, 3) RGB images. Thread-safe; blocks."""
        call = self._call  # close() may forget it meanwhile; what runs here still ends well
        if call is None:
            raise Closed("the tensorflow engine is closed")
        check_images(images, self.info.size)
        size = self._max_call or len(images)
        try:
            answers = [call(images[start : start + size]) for start in range(0, len(images), size)]
        except self._run_errors as error:
            raise EngineError(f"TensorFlow failed on {len(images)} pictures: {_reason(error)}") from error
        return raw_detections([dict(zip(OUTPUT_KEYS, answer, strict=True)) for answer in answers])

    def close(self) -> None:
        """Free the model once running calls have ended; may be called twice."""
        self._call = None


def visible_gpus() -> list[str]:
    """Name the GPUs that TensorFlow can use. Imports TensorFlow: seconds."""
    with _quiet_start():
        import tensorflow as tf

        return [device.name for device in tf.config.list_physical_devices("GPU")]


def _use_gpu(device: Device) -> bool:
    if device == "cpu":
        return False
    gpus = visible_gpus()
    if device == "gpu" and not gpus:
        raise DeviceError(
            "no GPU for the tensorflow engine: TensorFlow sees only the CPU. It needs an NVIDIA GPU with its driver "
            "and pip install 'humandetect[gpu]'; else use --device cpu."
        )
    return bool(gpus)


def _has_tf32(tf: Any) -> bool:
    """Say whether the first GPU, the one a session uses, multiplies in TF32 where it may: NVIDIA's do since Ampere."""
    details = tf.config.experimental.get_device_details(tf.config.list_physical_devices("GPU")[0])
    return bool(details.get("compute_capability", (0, 0)) >= (8, 0))


def _session_config(tf: Any, *, on_gpu: bool) -> Any:
    """Take GPU memory as needed, or leave the GPUs alone, for this session only."""
    options = tf.compat.v1.GPUOptions(allow_growth=True)
    return tf.compat.v1.ConfigProto(gpu_options=options, device_count={} if on_gpu else {"GPU": 0})


def _load(tf: Any, session: Any, path: Path) -> tuple[Any, dict[str, Any]]:
    """Load the model into the session; return its image input and its outputs by name."""
    from google.protobuf.message import DecodeError  # comes with TensorFlow, whose absence is reported first

    try:
        inputs, outputs = (_load_frozen if path.is_file() else _load_saved_model)(tf, session, path)
    except (tf.errors.OpError, OSError, RuntimeError, ValueError, KeyError, DecodeError) as error:
        raise ModelError(f"{path}: TensorFlow cannot load this model ({_reason(error)})") from error
    if not outputs.keys() & OWN_KEYS:
        raise ModelError(
            f"{path}: the tensorflow engine takes only detectors of TensorFlow's Object Detection API, and this one "
            f"has the outputs {', '.join(sorted(outputs))}: use --engine openvino, which knows others, too"
        )
    image = inputs[choose_input(path, inputs)]
    check_input(path, dtype=image.dtype.name, shape=_shape(image))
    check_outputs(path, outputs)
    return image, outputs


def _load_saved_model(tf: Any, session: Any, path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    signatures = tf.compat.v1.saved_model.load(session, ["serve"], str(path)).signature_def
    signature = signatures["serving_default"]
    graph = session.graph
    return (
        {key: graph.get_tensor_by_name(tensor.name) for key, tensor in signature.inputs.items()},
        {key: graph.get_tensor_by_name(tensor.name) for key, tensor in signature.outputs.items()},
    )


def _load_frozen(tf: Any, session: Any, path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    definition = tf.compat.v1.GraphDef.FromString(path.read_bytes())
    with session.graph.as_default():
        tf.import_graph_def(definition, name="")
    operations = [operation for operation in session.graph.get_operations() if operation.outputs]
    return (
        {operation.name: operation.outputs[0] for operation in operations if operation.type == "Placeholder"},
        {operation.name: operation.outputs[0] for operation in operations if _is_output(operation)},
    )


def _is_output(operation: Any) -> bool:
    return operation.name in OUTPUT_KEYS or not any(tensor.consumers() for tensor in operation.outputs)


def _shape(image: Any) -> list[int | None] | None:
    """Sizes of the input, None for those left open; None for a model that does not say how many there are."""
    sizes: list[int | None] | None = None if image.shape.rank is None else image.shape.as_list()
    return sizes


def _reason(error: Exception) -> str:
    """Pick the line before the one that names the operation, which says what is wrong with it, else the first."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    operation = next((index for index, line in enumerate(lines) if "[[{{node" in line), 0)
    return lines[max(0, operation - 1)]


@contextmanager
def _quiet_start() -> Iterator[None]:
    """Send what TensorFlow's libraries print while they start to the debug log.

    Before their own logging is set up they write to file descriptor 2, whatever the level asked for.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with quiet("TensorFlow while starting"):
        yield

"""How a served model is asked: which signature, which input, how many images a request. Knows bytes, no network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from google.protobuf.message import DecodeError

from humandetect.engines.base import RawDetections
from humandetect.engines.detection_api import BOXES, CLASSES, COUNT, INPUT_KEYS, OUTPUT_KEYS, SCORES, raw_detections
from humandetect.engines.tfserving.messages import predict_request, read_prediction
from humandetect.errors import EngineError, ModelError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from humandetect.engines.tfserving.messages import Signature, TensorInfo
    from humandetect.models.sizes import Sides
    from humandetect.protos.serving_pb2 import ModelSpec

DEFAULT_SIGNATURE = "serving_default"
INIT_SIGNATURE = "__saved_model_init_op"
"""Every TF2 model lists it; it takes no image."""
MAX_IMAGES, MAX_BYTES = 16, 32_000_000
"""Of one request: larger ones gain nothing and hold memory here and there."""
KEPT_BYTES = 13_000_000
"""A request of 16 images of 384 x 672 pixels."""
JPEG_QUALITY = 97
"""For models that take encoded pictures: small losses here cost people there."""


@dataclass(frozen=True, slots=True)
class RequestPlan:
    """What a served model takes and gives."""

    model: str
    """For messages: name and address."""
    signature: str
    input: str
    encoded: bool
    """It takes JPEG files as strings, not pixels."""
    rank: int
    """Of the input; 0: a single string."""
    batch: int | None
    """Images that every request must have; None: any number."""
    sides: Sides

    def requests(self, spec: ModelSpec, images: NDArray[np.uint8]) -> Iterator[bytes]:
        """Encode the PredictRequests for (B, H, W, 3) RGB images, each when it is asked for."""
        size = self.batch or max(1, min(MAX_IMAGES, MAX_BYTES // images[0].nbytes))
        for start in range(0, len(images), size):
            group = images[start : start + size]
            if self.batch is not None and len(group) < size:
                group = np.concatenate([group, np.repeat(group[-1:], size - len(group), axis=0)])
            yield self.request(spec, group)

    def request(self, spec: ModelSpec, images: NDArray[np.uint8]) -> bytes:
        """Encode a PredictRequest for images that travel together."""
        return predict_request(spec, self.signature, self.input, self._values(images), OUTPUT_KEYS)

    def read(self, response: bytes) -> tuple[dict[str, NDArray[Any]], int | None]:
        """Read a PredictResponse: the outputs with one row an image, and the version that gave them.

        Raises EngineError for a damaged answer, ModelError for one that is no detector's.
        """
        try:
            outputs, version = read_prediction(response)
        except DecodeError as error:
            raise EngineError(
                f"{self.model}: the answer is damaged, or not TensorFlow Serving's ({error}); "
                "what else listens at this address?"
            ) from error
        return self._checked(outputs), version

    def detections(self, answers: Sequence[Mapping[str, NDArray[Any]]], count: int) -> RawDetections:
        """Join the outputs of all requests for `count` images; raises ModelError where some are not answered."""
        raw = raw_detections(answers)
        if len(raw.scores) < count:
            raise ModelError(f"{self.model}: {len(raw.scores)} answers for {count} images; it is no detection model")
        return RawDetections(raw.xyxy[:count], raw.scores[:count], raw.class_ids[:count])

    def _values(self, images: NDArray[np.uint8]) -> NDArray[Any]:
        if not self.encoded:
            return images
        return np.array([_jpeg(image) for image in images], object).reshape([len(images)][: self.rank])

    def _checked(self, outputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return the outputs with one row an image; raise ModelError unless they are those of a detector."""
        missing = [key for key in OUTPUT_KEYS if key not in outputs]
        if missing:
            raise ModelError(f"{self.model}: the answer lacks {', '.join(missing)}; it has {_listed(outputs)}")
        if outputs[SCORES].ndim == 1 and outputs[BOXES].ndim == 2:  # a model for single pictures
            outputs = {key: outputs[key][None] for key in OUTPUT_KEYS}
        boxes, scores, classes, counts = (outputs[key] for key in (BOXES, SCORES, CLASSES, COUNT))
        numeric = all(one.dtype.kind in "fiu" for one in (boxes, scores, classes, counts))
        fits = scores.ndim == 2 and boxes.shape == (*scores.shape, 4) and classes.shape == scores.shape
        if not numeric or not fits or counts.size not in (1, len(scores)):
            given = ", ".join(f"{key} {outputs[key].shape} {outputs[key].dtype}" for key in OUTPUT_KEYS)
            raise ModelError(
                f"{self.model}: the outputs do not have the shapes of the TensorFlow Object Detection API: {given}"
            )
        return dict(outputs)


def keep_request_memory() -> None:
    """Make the C library keep what a request used for the next one, which halves the CPU time of large requests.

    glibc gives blocks of the largest size freed so far back to the system at once, and taking them again costs more
    than copying into them. A larger block, freed once and never touched, costs nothing and ends that.
    """
    bytes(4 * KEPT_BYTES)


def make_plan(model: str, signatures: Mapping[str, Signature], wanted: str | None = None) -> RequestPlan:
    """Choose how to ask `model`; raise ModelError, saying what it has, where it cannot be asked for people."""
    name, signature = _choose_signature(model, signatures, wanted)
    missing = [key for key in OUTPUT_KEYS if key not in signature.outputs]
    if missing:
        raise ModelError(
            f"{model}: not a detection model: the signature {name!r} lacks the outputs {', '.join(missing)}; "
            f"it has {_listed(signature.outputs)}. Export it with the TensorFlow Object Detection API's exporter; "
            "--engine openvino takes other detectors from files."
        )
    texts = [key for key in OUTPUT_KEYS if signature.outputs[key].dtype == "string"]
    if texts:
        raise ModelError(f"{model}: not a detection model: its {', '.join(texts)} are strings, numbers were expected")
    key = _choose_input(model, signature.inputs)
    info = signature.inputs[key]
    encoded = info.dtype == "string"
    shape = info.shape if info.shape is not None else (None,) * (1 if encoded else 4)
    batch = shape[0] if shape else 1
    height, width = shape[1:3] if len(shape) == 4 else (None, None)
    return RequestPlan(
        model=model, signature=name, input=key, encoded=encoded, rank=len(shape), batch=batch,
        sides=(height, width),
    )  # fmt: skip


def _choose_signature(model: str, signatures: Mapping[str, Signature], wanted: str | None) -> tuple[str, Signature]:
    usable = {name: signature for name, signature in signatures.items() if name != INIT_SIGNATURE}
    name = wanted or DEFAULT_SIGNATURE
    if name not in usable and wanted is None and len(usable) == 1:
        name = next(iter(usable))
    if name not in usable:
        raise ModelError(
            f"{model}: no signature {name!r}; it has {_listed(usable)}. Choose one with --serving-signature."
        )
    return name, usable[name]


def _choose_input(model: str, inputs: Mapping[str, TensorInfo]) -> str:
    """Prefer the API's own names, then an input of images, then one of encoded images."""
    images = [name for name, info in inputs.items() if _takes_images(info)]
    files = [name for name, info in inputs.items() if _takes_files(name, info)]
    known = [name for name in INPUT_KEYS if name in images or name in files]
    for candidates in (known[:1], images, files):
        if len(candidates) == 1:
            return candidates[0]
    given = ", ".join(f"{name}: {info.dtype} {_shape_text(info)}" for name, info in sorted(inputs.items())) or "none"
    raise ModelError(
        f"{model}: no image input; expected one of uint8 images (N, H, W, 3) or of encoded images (strings), the model "
        f"has {given}. Export it with the input type image_tensor."
    )


def _takes_images(info: TensorInfo) -> bool:
    return info.dtype == "uint8" and (info.shape is None or (len(info.shape) == 4 and info.shape[3] in (3, None)))


def _takes_files(name: str, info: TensorInfo) -> bool:
    """Say whether it takes encoded pictures; strings called examples are records of another kind."""
    return info.dtype == "string" and "example" not in name and (info.shape is None or len(info.shape) <= 1)


def _jpeg(image: NDArray[np.uint8]) -> bytes:
    import cv2  # as slow to import as all the rest here, and most models take pixels

    settings = [
        cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    ]  # fmt: skip
    done, encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), settings)
    if not done:
        raise EngineError(f"a picture of {image.shape[1]} x {image.shape[0]} pixels cannot be sent as JPEG")
    return encoded.tobytes()


def _shape_text(info: TensorInfo) -> str:
    if info.shape is None:
        return "any shape"
    return f"({', '.join('?' if size is None else str(size) for size in info.shape)})"


def _listed(names: Collection[str]) -> str:
    return ", ".join(sorted(names)) or "none"

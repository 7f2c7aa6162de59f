"""The messages of TensorFlow Serving's Predict, GetModelMetadata and GetModelStatus, as bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from humandetect.engines.tfserving.tensors import DATA_TYPES, decode_tensor, read_shape
from humandetect.engines.tfserving.wire_format import (
    Parts,
    fields,
    message_field,
    number_field,
    signed,
    submessage,
    text,
    text_field,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

PREDICT = "/tensorflow.serving.PredictionService/Predict"
METADATA = "/tensorflow.serving.PredictionService/GetModelMetadata"
STATUS = "/tensorflow.serving.ModelService/GetModelStatus"

AVAILABLE = 30
STATES = {0: "unknown", 10: "starting", 20: "loading", AVAILABLE: "available", 40: "unloading", 50: "ended"}


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Which model is meant."""

    name: str
    version: int | None = None
    label: str | None = None
    signature: str = ""

    def encode(self) -> bytes:
        """Encode a ModelSpec message."""
        encoded = text_field(1, self.name)
        if self.version is not None:
            encoded += b"".join(message_field(2, [number_field(1, self.version)]))
        if self.signature:
            encoded += text_field(3, self.signature)
        if self.label is not None:
            encoded += text_field(4, self.label)
        return encoded


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """What a signature says of an input or output."""

    dtype: str
    """numpy's name for it, or `string`."""
    shape: tuple[int | None, ...] | None
    """None is a size, or their number, left open."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What goes into a model and what comes out."""

    inputs: dict[str, TensorInfo]
    outputs: dict[str, TensorInfo]


@dataclass(frozen=True, slots=True)
class VersionStatus:
    """What a server says of one version of a model."""

    version: int
    state: int
    error: str = ""


def prediction_log(request: bytes) -> bytes:
    """Wrap a PredictRequest as the PredictionLog that warm-up files hold."""
    return b"".join(message_field(6, message_field(1, [request])))


def predict_request(spec: ModelSpec, inputs: Mapping[str, Parts], outputs: Collection[str]) -> bytes:
    """Encode a PredictRequest that asks for `outputs` only."""
    parts = message_field(1, [spec.encode()])
    for name, tensor in inputs.items():
        parts += message_field(2, [text_field(1, name), *message_field(2, tensor)])
    return b"".join([*parts, *(text_field(3, name) for name in outputs)])


def metadata_request(spec: ModelSpec) -> bytes:
    """Encode a GetModelMetadataRequest for the signatures."""
    return b"".join([*message_field(1, [spec.encode()]), text_field(2, "signature_def")])


def status_request(spec: ModelSpec) -> bytes:
    """Encode a GetModelStatusRequest."""
    return b"".join(message_field(1, [spec.encode()]))


def read_prediction(response: bytes) -> tuple[dict[str, NDArray[Any]], int | None]:
    """Read a PredictResponse: outputs by name, and the version that gave them. Raises WireError."""
    outputs: dict[str, NDArray[Any]] = {}
    version = None
    for field, _, value in fields(memoryview(response)):
        if field == 1:
            name, tensor = _entry(value)
            outputs[name] = decode_tensor(tensor)
        elif field == 2:
            version = _version(submessage(value))
    return outputs, version


def read_metadata(response: bytes) -> tuple[dict[str, Signature], int | None]:
    """Read a GetModelMetadataResponse: signatures by name, and the version they belong to. Raises WireError."""
    signatures: dict[str, Signature] = {}
    version = None
    for field, _, value in fields(memoryview(response)):
        if field == 1:
            version = _version(submessage(value))
        elif field == 2:
            name, wrapped = _entry(value)
            if name == "signature_def":
                signatures = _signatures(wrapped)
    return signatures, version


def read_statuses(response: bytes) -> list[VersionStatus]:
    """Read a GetModelStatusResponse. Raises WireError."""
    return [_status(submessage(value)) for field, _, value in fields(memoryview(response)) if field == 1]


def read_saved_model(content: bytes, tag: str = "serve") -> dict[str, Signature] | None:
    """Read the signatures of a saved_model.pb's graph with that tag; None where there is none. Raises WireError."""
    for field, _, graph in fields(memoryview(content)):
        if field == 2 and tag in _tags(submessage(graph)):
            return _read_signatures(_map(submessage(graph), 5))
    return None


def _tags(graph: memoryview) -> list[str]:
    """Return what a MetaGraphDef says that it is for."""
    about = [submessage(value) for field, _, value in fields(graph) if field == 1]
    return [text(value) for one in about for field, _, value in fields(one) if field == 4]


def _entry(value: Any) -> tuple[str, memoryview]:
    """Read an entry of a map from text to messages."""
    name, message = "", memoryview(b"")
    for field, _, inner in fields(submessage(value)):
        if field == 1:
            name = text(inner)
        elif field == 2:
            message = submessage(inner)
    return name, message


def _map(message: memoryview, field: int) -> dict[str, memoryview]:
    return dict(_entry(value) for number, _, value in fields(message) if number == field)


def _version(spec: memoryview) -> int | None:
    for field, _, value in fields(spec):
        if field == 2:
            return next((signed(inner) for number, _, inner in fields(submessage(value)) if number == 1), 0)
    return None


def _signatures(wrapped: memoryview) -> dict[str, Signature]:
    """Read a SignatureDefMap inside an Any."""
    content = memoryview(b"")
    for field, _, value in fields(wrapped):
        if field == 2:
            content = submessage(value)
    return _read_signatures(_map(content, 1))


def _read_signatures(encoded: Mapping[str, memoryview]) -> dict[str, Signature]:
    return {name: Signature(_tensors(one, 1), _tensors(one, 2)) for name, one in encoded.items()}


def _tensors(signature: memoryview, field: int) -> dict[str, TensorInfo]:
    return {name: _tensor_info(message) for name, message in _map(signature, field).items()}


def _tensor_info(message: memoryview) -> TensorInfo:
    number, shape = 0, None
    for field, _, value in fields(message):
        if field == 2:
            number = signed(value)
        elif field == 3:
            shape = read_shape(submessage(value))
    known = DATA_TYPES.get(number)
    dtype = known.name if known else f"data type {number}"
    return TensorInfo(dtype, shape and tuple(None if size < 0 else size for size in shape))


def _status(message: memoryview) -> VersionStatus:
    version = state = 0
    error = ""
    for field, _, value in fields(message):
        if field == 1:
            version = signed(value)
        elif field == 2:
            state = signed(value)
        elif field == 3:
            error = next((text(inner) for number, _, inner in fields(submessage(value)) if number == 2), "")
    return VersionStatus(version, state, error)

"""The messages of TensorFlow Serving's Predict, GetModelMetadata and GetModelStatus, to and from bytes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from humandetect.engines.tfserving.tensors import KINDS, read_shape, read_tensor, write_tensor
from humandetect.protos.serving_pb2 import (
    GetModelMetadataRequest,
    GetModelMetadataResponse,
    GetModelStatusRequest,
    GetModelStatusResponse,
    ModelSpec,
    ModelVersionStatus,
    PredictionLog,
    PredictRequest,
    PredictResponse,
)
from humandetect.protos.tensors_pb2 import SavedModel, SignatureDef, SignatureDefMap
from humandetect.protos.tensors_pb2 import TensorInfo as TensorInfoProto

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from numpy.typing import NDArray

PREDICT = "/tensorflow.serving.PredictionService/Predict"
METADATA = "/tensorflow.serving.PredictionService/GetModelMetadata"
STATUS = "/tensorflow.serving.ModelService/GetModelStatus"
SIGNATURES = "signature_def"
"""The only part of a model's metadata that there is."""


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


def model_spec(name: str, *, version: int | None = None, label: str | None = None) -> ModelSpec:
    """Say which model is meant: a version, what a label stands for, or the newest."""
    return ModelSpec(name=name, version=None if version is None else {"value": version}, version_label=label)


def predict_request(
    spec: ModelSpec, signature: str, name: str, values: NDArray[Any], outputs: Collection[str]
) -> bytes:
    """Encode a PredictRequest with one input, numbers or strings, that asks for `outputs` only.

    Numbers are copied once, behind the message's beginning: by way of the message it would be three times, which for
    16 pictures is a millisecond.
    """
    request = PredictRequest(model_spec=spec, output_filter=outputs)
    request.model_spec.signature_name = signature
    if values.dtype == object:
        write_tensor(request.inputs[name], values)
        return request.SerializeToString()
    beginning = request.SerializeToString() + _beginning_of_input(name, values.shape, values.dtype)
    return b"".join([beginning, np.ascontiguousarray(values).data])


@lru_cache(maxsize=64)
def _beginning_of_input(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
    """Return what stands before the content of an input; the content is the last that is written."""
    values = np.zeros(shape, dtype)
    request = PredictRequest()
    write_tensor(request.inputs[name], values)
    encoded = request.SerializeToString()
    return encoded[: len(encoded) - values.nbytes]


def prediction_log(request: bytes) -> bytes:
    """Wrap a PredictRequest as the PredictionLog that warm-up files hold."""
    return PredictionLog(predict_log={"request": PredictRequest.FromString(request)}).SerializeToString()


def metadata_request(spec: ModelSpec) -> bytes:
    """Encode a GetModelMetadataRequest for the signatures."""
    return GetModelMetadataRequest(model_spec=spec, metadata_field=[SIGNATURES]).SerializeToString()


def status_request(spec: ModelSpec) -> bytes:
    """Encode a GetModelStatusRequest."""
    return GetModelStatusRequest(model_spec=spec).SerializeToString()


def read_prediction(response: bytes) -> tuple[dict[str, NDArray[Any]], int | None]:
    """Read a PredictResponse: outputs by name, and the version that gave them. Raises DecodeError."""
    message = PredictResponse.FromString(response)
    return {name: read_tensor(tensor) for name, tensor in message.outputs.items()}, _version(message.model_spec)


def read_metadata(response: bytes) -> tuple[dict[str, Signature], int | None]:
    """Read a GetModelMetadataResponse: signatures by name, and the version they belong to. Raises DecodeError."""
    message = GetModelMetadataResponse.FromString(response)
    signatures = SignatureDefMap.FromString(message.metadata[SIGNATURES].value)
    return _signatures(signatures.signature_def), _version(message.model_spec)


def read_statuses(response: bytes) -> list[ModelVersionStatus]:
    """Read a GetModelStatusResponse. Raises DecodeError."""
    return list(GetModelStatusResponse.FromString(response).model_version_status)


def read_saved_model(content: bytes, tag: str = "serve") -> dict[str, Signature] | None:
    """Read the signatures of a saved_model.pb's graph with that tag; None where there is none. Raises DecodeError."""
    for graph in SavedModel.FromString(content).meta_graphs:
        if tag in graph.meta_info_def.tags:
            return _signatures(graph.signature_def)
    return None


def _version(spec: ModelSpec) -> int | None:
    return spec.version.value if spec.HasField("version") else None


def _signatures(messages: Mapping[str, SignatureDef]) -> dict[str, Signature]:
    return {name: Signature(_tensors(one.inputs), _tensors(one.outputs)) for name, one in messages.items()}


def _tensors(messages: Mapping[str, TensorInfoProto]) -> dict[str, TensorInfo]:
    return {name: _tensor_info(message) for name, message in messages.items()}


def _tensor_info(message: TensorInfoProto) -> TensorInfo:
    kind = KINDS.get(message.dtype)
    shape = read_shape(message.tensor_shape) if message.HasField("tensor_shape") else None
    return TensorInfo(
        kind.name if kind else f"data type {message.dtype}",
        shape and tuple(None if size < 0 else size for size in shape),
    )

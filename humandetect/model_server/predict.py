"""Predict and GetModelMetadata: what both transports and warm-up records ask of a servable."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from google.protobuf.message import DecodeError, EncodeError

from humandetect.engines.tfserving.messages import SIGNATURES
from humandetect.engines.tfserving.tensors import read_tensor, write_tensor
from humandetect.model_server.status import deadline_exceeded, failed_precondition, invalid, unimplemented
from humandetect.protos.serving_pb2 import GetModelMetadataResponse, PredictResponse
from humandetect.protos.tensors_pb2 import SignatureDefMap

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from humandetect.model_server.servable import Servable
    from humandetect.protos.serving_pb2 import GetModelMetadataRequest, PredictRequest
    from humandetect.protos.tensors_pb2 import SignatureDef, TensorProto

DEFAULT_SIGNATURE = "serving_default"
SIGNATURES_TYPE = "type.googleapis.com/tensorflow.serving.SignatureDefMap"
"""What clients know the message as."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """When the caller stops waiting, in time.monotonic()'s seconds; None: never."""

    at: float | None = None

    @classmethod
    def after(cls, seconds: float | None) -> Deadline:
        """Count from now; gRPC gives 292 billion years where a caller set nothing, and no lock waits that long."""
        if seconds is None or seconds > threading.TIMEOUT_MAX:
            return cls()
        return cls(time.monotonic() + seconds)

    def remaining(self) -> float | None:
        """Return the seconds left; raises ServingError when there are none."""
        if self.at is None:
            return None
        seconds = self.at - time.monotonic()
        if seconds <= 0:
            raise deadline_exceeded()
        return seconds


def predict(
    servable: Servable, request: PredictRequest, *, version: int, deadline: Deadline, as_content: bool
) -> PredictResponse:
    """Answer a PredictRequest; raises ServingError."""
    name = request.model_spec.signature_name or DEFAULT_SIGNATURE
    signature = find_signature(servable, name)
    feeds = _feeds(signature, request.inputs)
    outputs = choose_outputs(signature, request.output_filter)
    arrays = servable.runner.run(feeds, [signature.outputs[alias].name for alias in outputs], deadline.remaining())
    response = PredictResponse()
    try:
        for alias, array in zip(outputs, arrays, strict=True):
            write_tensor(response.outputs[alias], np.asarray(array), as_content=as_content)
    except EncodeError as error:
        raise unimplemented(f"the output {alias} cannot be sent: {error}") from error
    spec = response.model_spec
    spec.name, spec.signature_name, spec.version.value = request.model_spec.name, name, version
    return response


def metadata(servable: Servable, request: GetModelMetadataRequest, *, version: int) -> GetModelMetadataResponse:
    """Answer a GetModelMetadataRequest; raises ServingError."""
    if not request.metadata_field:
        raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
    for field in request.metadata_field:
        if field != SIGNATURES:
            raise invalid(f"Metadata field {field} is not supported")
    signatures = SignatureDefMap(signature_def=servable.signatures)
    response = GetModelMetadataResponse()
    response.model_spec.name, response.model_spec.version.value = request.model_spec.name, version
    wrapped = response.metadata[SIGNATURES]
    wrapped.type_url, wrapped.value = SIGNATURES_TYPE, signatures.SerializeToString()
    return response


def find_signature(servable: Servable, name: str) -> SignatureDef:
    if name not in servable.signatures:
        raise failed_precondition(f'Serving signature key "{name}" not found.')
    return servable.signatures[name]


def choose_outputs(signature: SignatureDef, wanted: Sequence[str]) -> list[str]:
    """Return the outputs' names; all of them if none are asked for."""
    chosen: list[str] = []
    for alias in wanted:
        if alias not in signature.outputs:
            raise invalid(
                f"output tensor alias not found in signature: {alias} "
                f"Outputs expected to be in the set {_names(signature.outputs)}."
            )
        if alias in chosen:
            raise invalid(f"duplicate output tensor alias: {alias}")
        chosen.append(alias)
    return chosen or list(signature.outputs)


def check_inputs(signature: SignatureDef, given: Mapping[str, TensorProto]) -> None:
    """Raise ServingError unless the inputs are those of the signature; a default stands for one that is left out."""
    expected, defaults = signature.inputs, signature.defaults
    extra = [alias for alias in given if alias not in expected]
    missing = [alias for alias in expected if alias not in given and alias not in defaults]
    if extra and len(given) == len(expected) and missing:
        alias = missing[0]
        raise invalid(
            f"Signature input alias: {alias}(feed name: {expected[alias].name}) not found in request and no default "
            f"provided in signature. Inputs expected to be in the set {_names(expected)}."
        )
    if extra or missing:
        raise invalid(
            f"input size does not match signature: {len(given)}!={len(expected)} "
            f"len({_names(given)}) != len({_names(expected)}). "
            f"Sent extra: {_names(extra)}. Missing but required: {_names(missing)}."
        )


def _feeds(signature: SignatureDef, inputs: Mapping[str, TensorProto]) -> dict[str, NDArray[Any]]:
    check_inputs(signature, inputs)
    given = {alias: inputs[alias] if alias in inputs else signature.defaults[alias] for alias in signature.inputs}
    return {signature.inputs[alias].name: _read(tensor, alias) for alias, tensor in given.items()}


def _read(tensor: TensorProto, alias: str) -> NDArray[Any]:
    try:
        return read_tensor(tensor)
    except DecodeError as error:
        raise invalid(f"tensor parsing error: {alias}") from error


def _names(names: Mapping[str, Any] | Sequence[str]) -> str:
    return f"{{{','.join(sorted(names))}}}"

"""TensorFlow Serving's JSON: rows (`instances`, `predictions`) and columns (`inputs`, `outputs`)."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from google.protobuf.json_format import MessageToDict

from humandetect.engines.tfserving.messages import SIGNATURES
from humandetect.engines.tfserving.tensors import KINDS, STRING, read_tensor, write_tensor
from humandetect.model_server.predict import DEFAULT_SIGNATURE
from humandetect.model_server.status import failed_precondition, invalid
from humandetect.protos.tensors_pb2 import SignatureDefMap

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from google.protobuf.message import Message
    from numpy.typing import NDArray

    from humandetect.model_server.servable import Servable
    from humandetect.protos.serving_pb2 import (
        GetModelMetadataResponse,
        GetModelStatusResponse,
        PredictRequest,
        PredictResponse,
    )
    from humandetect.protos.tensors_pb2 import DataType, TensorInfo

B64 = "b64"
BYTES_ENDING = "_bytes"
"""Outputs named so hold bytes, not text."""


@dataclass(frozen=True, slots=True)
class PredictBody:
    """What a predict request says."""

    values: Any
    by_row: bool
    signature: str


def parse_body(body: bytes) -> PredictBody:
    """Read a predict request; raises ServingError."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise invalid(f"JSON Parse error: {error}") from error
    if not isinstance(content, dict) or ("instances" in content) == ("inputs" in content):
        raise invalid("Request must be a JSON object with either 'instances' or 'inputs'")
    signature = content.get("signature_name", "")
    if not isinstance(signature, str):
        raise invalid("'signature_name' key must be a string value.")
    by_row = "instances" in content
    values = content["instances" if by_row else "inputs"]
    if by_row and (not isinstance(values, list) or not values):
        raise invalid("'instances' must be a list with at least one element")
    return PredictBody(values, by_row, signature)


def fill_request(request: PredictRequest, servable: Servable, body: PredictBody) -> None:
    """Turn values into tensors of the types that the signature has."""
    name = body.signature or DEFAULT_SIGNATURE
    if name not in servable.signatures:
        raise failed_precondition(f'Serving signature name: "{name}" not found in signature def')
    infos = servable.signatures[name].inputs
    for alias, value in (_columns(body.values, infos) if body.by_row else _named(body.values, infos)).items():
        if alias not in infos:
            raise invalid(f"unknown input {alias!r}, expected {', '.join(sorted(infos))}")
        write_tensor(request.inputs[alias], _array(alias, value, infos[alias].dtype))


def response_json(response: PredictResponse, *, by_row: bool) -> dict[str, Any]:
    arrays = {name: read_tensor(tensor) for name, tensor in response.outputs.items()}
    values = {name: _values(name, array) for name, array in arrays.items()}
    if not by_row:
        return {"outputs": next(iter(values.values())) if len(values) == 1 else values}
    for name, array in arrays.items():
        if array.ndim == 0:
            raise invalid(f"Tensor name: {name} has no shape information (expected a dimension for rows)")
    if len({len(array) for array in arrays.values()}) > 1:
        sizes = ", ".join(f"{name}: {len(array)}" for name, array in sorted(arrays.items()))
        raise invalid(f"Tensors have inconsistent batch sizes ({sizes}): use 'inputs' instead of 'instances'")
    if len(values) == 1:
        return {"predictions": next(iter(values.values()))}
    rows = zip(*values.values(), strict=True)
    return {"predictions": [dict(zip(values, row, strict=True)) for row in rows]}


def status_json(response: GetModelStatusResponse) -> Any:
    return _message(response)


def metadata_json(response: GetModelMetadataResponse) -> Any:
    signatures = SignatureDefMap.FromString(response.metadata[SIGNATURES].value)
    return {"model_spec": _message(response.model_spec), "metadata": {SIGNATURES: _message(signatures)}}


def _message(message: Message) -> Any:
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def _named(values: Any, infos: Mapping[str, TensorInfo]) -> dict[str, Any]:
    """Return inputs by name; a model's only input needs none."""
    if isinstance(values, dict) and set(values) != {B64}:
        return values
    if len(infos) != 1:
        raise invalid(f"the inputs need their names: expected an object with {', '.join(sorted(infos))}")
    return {next(iter(infos)): values}


def _columns(rows: list[Any], infos: Mapping[str, TensorInfo]) -> dict[str, Any]:
    named = [_named(row, infos) for row in rows]
    if any(row.keys() != named[0].keys() for row in named):
        raise invalid("all instances must have the same inputs")
    return {alias: [row[alias] for row in named] for alias in named[0]}


def _array(alias: str, value: Any, dtype: DataType) -> NDArray[Any]:
    if dtype not in KINDS:
        raise invalid(f"inputs of type {dtype} cannot be given as JSON")
    kind = KINDS[dtype]
    if kind.name == STRING:
        return _strings(alias, value)
    try:
        found = np.asarray(value)
    except ValueError as error:  # lists of different lengths
        raise invalid(f"{alias}: the lists do not make a tensor, they differ in length") from error
    fits = {"b": "b", "i": "i", "u": "iu"}.get(kind.dtype.kind, "iuf")
    if found.size and found.dtype.kind not in fits:
        raise invalid(f"{alias}: JSON values are not of expected type: {kind.name}")
    if found.size and kind.dtype.kind in "iu":
        limits = np.iinfo(kind.dtype)
        if found.min() < limits.min or found.max() > limits.max:
            raise invalid(f"{alias}: JSON values are out of range for {kind.name}")
    return found.astype(kind.dtype)


def _strings(alias: str, value: Any) -> NDArray[Any]:
    shape, first = [], value
    while isinstance(first, list):
        shape.append(len(first))
        if not first:
            break
        first = first[0]
    flat = list(_flat(alias, value, tuple(shape)))
    array = np.empty(len(flat), object)
    array[:] = flat
    return array.reshape(shape)


def _flat(alias: str, value: Any, shape: tuple[int, ...]) -> Iterator[bytes]:
    if not shape:
        yield _bytes(alias, value)
    elif not isinstance(value, list) or len(value) != shape[0]:
        raise invalid(f"{alias}: the lists do not make a tensor, they differ in length")
    else:
        for element in value:
            yield from _flat(alias, element, shape[1:])


def _bytes(alias: str, value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if isinstance(value, dict) and set(value) == {B64} and isinstance(value[B64], str):
        try:
            return base64.b64decode(value[B64], validate=True)
        except (binascii.Error, ValueError) as error:
            raise invalid(f"{alias}: unable to base64 decode ({error})") from error
    raise invalid(f"{alias}: JSON values are not of expected type: string")


def _values(name: str, array: NDArray[Any]) -> Any:
    if array.dtype == object:
        convert = _encoded if name.endswith(BYTES_ENDING) else _text
        flat = np.empty(array.size, object)
        flat[:] = [convert(value) for value in array.ravel()]
        return flat.reshape(array.shape).tolist()
    if array.dtype.kind in "biu" or array.dtype == np.float64:
        return array.tolist()
    # By way of text: 0.1 in 32 bits is to be 0.1 in the answer, not 0.10000000149011612.
    return array.astype(np.float32).astype(str).astype(np.float64).tolist()


def _encoded(value: bytes) -> dict[str, str]:
    return {B64: base64.b64encode(value).decode()}


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")

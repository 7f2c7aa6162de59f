"""Tensors between the wire and numpy, by the rules of TensorFlow's own C++ reader and writer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow.core.framework.types_pb2 import DataType

from humandetect.model_server.status import ServingError, invalid

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_BYTES = 2**31
"""No message is larger; a few bytes of dimensions must not ask for more memory than that."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How the numbers of one type travel."""

    dtype: np.dtype[Any]
    field: str
    """The typed field of TensorProto."""
    wire: np.dtype[Any]
    """What that field holds; bits in the case of half."""


def _kind(dtype: Any, field: str, wire: Any = None) -> Kind:
    return Kind(np.dtype(dtype), field, np.dtype(wire or dtype))


KINDS = {
    "DT_FLOAT": _kind(np.float32, "float_val"),
    "DT_DOUBLE": _kind(np.float64, "double_val"),
    "DT_INT32": _kind(np.int32, "int_val"),
    "DT_INT16": _kind(np.int16, "int_val", np.int32),
    "DT_INT8": _kind(np.int8, "int_val", np.int32),
    "DT_UINT16": _kind(np.uint16, "int_val", np.int32),
    "DT_UINT8": _kind(np.uint8, "int_val", np.int32),
    "DT_INT64": _kind(np.int64, "int64_val"),
    "DT_UINT32": _kind(np.uint32, "uint32_val"),
    "DT_UINT64": _kind(np.uint64, "uint64_val"),
    "DT_BOOL": _kind(np.bool_, "bool_val"),
    "DT_HALF": _kind(np.float16, "half_val", np.int32),
    "DT_BFLOAT16": _kind(ml_dtypes.bfloat16, "half_val", np.int32),
    "DT_STRING": _kind(np.object_, "string_val"),
}
BY_NUMBER = {DataType.Value(name): kind for name, kind in KINDS.items()}
BY_DTYPE = {kind.dtype: DataType.Value(name) for name, kind in KINDS.items()}
PACKED_AS_BYTES = {"float_val": 5, "double_val": 6, "bool_val": 11}
"""Field numbers of those whose packed form is the array's own memory (on little-endian machines)."""


def to_array(proto: Any, name: str) -> NDArray[Any]:
    """Read a tensor; raises ServingError if it contradicts itself."""
    try:
        return _read(proto)
    except (KeyError, ValueError, IndexError) as error:
        raise invalid(f"tensor parsing error: {name}") from error


def to_proto(array: NDArray[Any], *, as_content: bool) -> Any:
    """Write a tensor into the typed field of its type, or as raw bytes; strings are always typed."""
    array = np.asarray(array)
    if array.dtype.kind in "SU":
        array = array.astype(object)
    if array.dtype not in BY_DTYPE:
        raise ServingError(_unimplemented(), f"outputs of type {array.dtype} are not supported")
    number = BY_DTYPE[array.dtype]
    proto = TensorProto(dtype=number)
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    kind = BY_NUMBER[number]
    if as_content and kind.field != "string_val":
        proto.tensor_content = array.tobytes()
    else:
        _write_typed(proto, kind, array)
    return proto


def _unimplemented() -> Any:
    import grpc

    return grpc.StatusCode.UNIMPLEMENTED


def _read(proto: Any) -> NDArray[Any]:
    kind = BY_NUMBER[proto.dtype]
    shape = tuple(dim.size for dim in proto.tensor_shape.dim)
    count = math.prod(shape)
    if proto.tensor_shape.unknown_rank or any(size < 0 for size in shape) or count * kind.dtype.itemsize > MAX_BYTES:
        raise ValueError(f"impossible shape {shape}")
    content = proto.tensor_content
    if content and kind.field == "string_val":
        return _strings_of(content, count).reshape(shape)
    if content:
        # A copy would cost little here, but frombuffer also checks the size: reshape refuses what does not fit.
        return np.frombuffer(content, kind.dtype).reshape(shape)
    return _read_typed(getattr(proto, kind.field), kind, count).reshape(shape)


def _read_typed(values: Any, kind: Kind, count: int) -> NDArray[Any]:
    """Take `count` values: too many are ignored, the last one stands for those that lack, zeros for none at all."""
    if kind.field == "string_val":
        strings = list(values[:count])
        strings += [strings[-1] if strings else b""] * (count - len(strings))
        return _objects(strings)
    found = np.array(values, kind.wire)[:count]
    if kind.field == "half_val":
        found = found.astype(np.uint16).view(kind.dtype)
    numbers = np.zeros(count, kind.dtype)
    numbers[: len(found)] = found.astype(kind.dtype)
    if 0 < len(found) < count:
        numbers[len(found) :] = numbers[len(found) - 1]
    return numbers


def _strings_of(content: bytes, count: int) -> NDArray[Any]:
    """Read strings as TensorFlow packs them: all lengths first, as varints, then all bytes."""
    lengths, position = [], 0
    for _ in range(count):
        length = shift = 0
        while True:
            byte = content[position]
            position += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        lengths.append(length)
    if position + sum(lengths) != len(content):
        raise ValueError("the strings' lengths do not add up")
    strings = []
    for length in lengths:
        strings.append(content[position : position + length])
        position += length
    return _objects(strings)


def _objects(strings: list[bytes]) -> NDArray[Any]:
    array = np.empty(len(strings), object)
    array[:] = strings
    return array


def _write_typed(proto: Any, kind: Kind, array: NDArray[Any]) -> None:
    if kind.field == "string_val":
        proto.string_val.extend(_as_bytes(value) for value in array.ravel())
    elif kind.field in PACKED_AS_BYTES:
        # Merging the packed field's bytes is a hundred times faster than handing over a million Python floats.
        data = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        if data:
            proto.MergeFromString(_varint(PACKED_AS_BYTES[kind.field] << 3 | 2) + _varint(len(data)) + data)
    else:
        numbers = array.view(np.uint16) if kind.field == "half_val" else array
        getattr(proto, kind.field).extend(numbers.ravel().tolist())


def _as_bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)

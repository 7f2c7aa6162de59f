"""Tensors between messages and numpy, by the rules of TensorFlow's own reader and writer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from google.protobuf.message import DecodeError, EncodeError

from humandetect.protos import tensors_pb2 as protos

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

MAX_TENSOR_BYTES = 2**31 - 1
"""What a message can carry. A shape that claims more is damaged and must not be allocated."""
MAX_DIMENSIONS = 32
STRING = "string"


@dataclass(frozen=True, slots=True)
class Kind:
    """How the values of one type travel."""

    name: str
    """numpy's for it, or `string`."""
    field: str
    """Of the values where they travel typed, not as raw bytes."""
    bits: str | None = None
    """The field holds the values' bits as numbers of this type."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Raises TypeError for bfloat16 where ml_dtypes, which TensorFlow brings along, is not imported."""
        return np.dtype(object if self.name == STRING else self.name)


KINDS: dict[protos.DataType, Kind] = {
    protos.DT_FLOAT: Kind("float32", "float_val"),
    protos.DT_DOUBLE: Kind("float64", "double_val"),
    protos.DT_INT32: Kind("int32", "int_val"),
    protos.DT_UINT8: Kind("uint8", "int_val"),
    protos.DT_INT16: Kind("int16", "int_val"),
    protos.DT_INT8: Kind("int8", "int_val"),
    protos.DT_STRING: Kind(STRING, "string_val"),
    protos.DT_INT64: Kind("int64", "int64_val"),
    protos.DT_BOOL: Kind("bool", "bool_val"),
    protos.DT_BFLOAT16: Kind("bfloat16", "half_val", bits="uint16"),
    protos.DT_UINT16: Kind("uint16", "int_val"),
    protos.DT_HALF: Kind("float16", "half_val", bits="uint16"),
    protos.DT_UINT32: Kind("uint32", "uint32_val"),
    protos.DT_UINT64: Kind("uint64", "uint64_val"),
}
"""By DataType. Complex numbers and quantised ones have no use here."""
_NUMBERS = {kind.name: number for number, kind in KINDS.items()}
_PACKED_AS_BYTES = {"float_val": 5, "double_val": 6, "bool_val": 11}
"""Field numbers of those whose packed form is the array's own memory (on little-endian machines)."""


def write_tensor(tensor: protos.TensorProto, values: NDArray[Any], *, as_content: bool = True) -> None:
    """Fill an empty message: raw bytes, which are read fastest, or the field of the type; strings are always typed.

    Raises EncodeError for a type that no tensor has.
    """
    name = STRING if values.dtype.kind in "OSU" else values.dtype.name
    if name not in _NUMBERS:
        raise EncodeError(f"no tensor holds {values.dtype}")
    tensor.dtype = _NUMBERS[name]
    tensor.tensor_shape.SetInParent()
    for size in values.shape:
        tensor.tensor_shape.dim.add(size=size)
    kind = KINDS[tensor.dtype]
    if name == STRING:
        tensor.string_val.extend(_as_bytes(value) for value in values.flat)
    elif as_content:
        tensor.tensor_content = values.tobytes()
    elif kind.field in _PACKED_AS_BYTES:
        tensor.MergeFromString(_packed(_PACKED_AS_BYTES[kind.field], values.tobytes()))
    else:
        getattr(tensor, kind.field).extend(values.reshape(-1).view(kind.bits or kind.dtype).tolist())


def read_tensor(tensor: protos.TensorProto) -> NDArray[Any]:
    """Return the values in whatever way they travel; raises DecodeError where they contradict themselves.

    As in TensorFlow, `tensor_content` comes first, the last of too few values is repeated, and no value means zero.
    """
    try:
        kind = KINDS[tensor.dtype]
        dtype = kind.dtype
    except (KeyError, TypeError) as error:
        raise DecodeError(f"a tensor has the data type {tensor.dtype}, which numpy has not") from error
    shape = read_shape(tensor.tensor_shape)
    if shape is None or min(shape, default=0) < 0:
        raise DecodeError(f"a tensor's shape is {shape}")
    if math.prod(size or 1 for size in shape) * dtype.itemsize > MAX_TENSOR_BYTES or len(shape) > MAX_DIMENSIONS:
        raise DecodeError(f"a tensor's shape is {shape}, more than a message can carry")
    count = math.prod(shape)
    content = tensor.tensor_content
    if content and kind.name == STRING:
        return _objects(_unpacked_strings(content, count) if count else []).reshape(shape)
    if content:
        if len(content) != count * dtype.itemsize:
            raise DecodeError(f"{len(content)} bytes for {count} values of {kind.name}")
        return np.frombuffer(content, dtype).reshape(shape)
    return _filled(_typed_values(tensor, kind), count).reshape(shape)


def read_shape(shape: protos.TensorShape) -> tuple[int, ...] | None:
    """Return the sizes; -1 is one left open, None a number of dimensions left open."""
    return None if shape.unknown_rank else tuple(dim.size for dim in shape.dim)


def _typed_values(tensor: protos.TensorProto, kind: Kind) -> NDArray[Any]:
    values = getattr(tensor, kind.field)
    if kind.name == STRING:
        return _objects(values)
    wire = "int32" if kind.field in ("int_val", "half_val") else kind.name
    return np.array(values, wire).astype(kind.bits or kind.dtype, copy=False).view(kind.dtype)


def _filled(values: NDArray[Any], count: int) -> NDArray[Any]:
    """Cut what is too much, repeat the last value of what is too little."""
    if len(values) >= count:
        return values[:count]
    nothing = b"" if values.dtype == object else 0
    filled = np.full(count, values[-1] if len(values) else nothing, values.dtype)
    filled[: len(values)] = values
    return filled


def _unpacked_strings(content: bytes, count: int) -> list[bytes]:
    """Read strings as TensorFlow packs them: all lengths first, as varints, then all bytes."""
    ends = np.flatnonzero(np.frombuffer(content, np.uint8) < 0x80)[:count]
    start = int(ends[-1]) + 1 if len(ends) else len(content)
    lengths = protos.TensorProto.FromString(_packed(10, content[:start])).int64_val
    bounds = list(accumulate(lengths, initial=start))
    if len(lengths) != count or min(lengths, default=0) < 0 or bounds[-1] != len(content):
        raise DecodeError("the strings' lengths do not add up")
    return [content[begin:end] for begin, end in pairwise(bounds)]


def _packed(field: int, content: bytes) -> bytes:
    """Return a TensorProto whose packed field, of a number up to 15, is `content`.

    It is written as `tensor_content`, and then has another tag: handing over a million Python floats takes 40 ms.
    """
    written = protos.TensorProto(tensor_content=content).SerializeToString()
    return bytes([field << 3 | 2]) + written[1:] if content else b""


def _objects(strings: Iterable[bytes]) -> NDArray[Any]:
    found = list(strings)
    array = np.empty(len(found), object)
    array[:] = found
    return array


def _as_bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)

"""Tensors as TensorFlow Serving sends them: TensorProto from and to numpy arrays, in every encoding."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from humandetect.engines.tfserving.wire_format import (
    DELIMITED,
    FIXED32,
    FIXED64,
    VARINT,
    Parts,
    WireError,
    fields,
    message_field,
    number_field,
    read_varints,
    signed,
    submessage,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MAX_TENSOR_BYTES = 2**31 - 1
"""What a message can carry. A shape that claims more is damaged and must not be allocated."""
STRING = 7


@dataclass(frozen=True, slots=True)
class _DataType:
    name: str
    dtype: Any
    """Of the values in `tensor_content` and after reading."""
    field: int
    """Of the values where they travel typed."""
    wire: int
    bits: Any = None
    """The field holds the values' bits as integers of this type."""


DATA_TYPES = {
    1: _DataType("float32", np.dtype("<f4"), 5, FIXED32),
    2: _DataType("float64", np.dtype("<f8"), 6, FIXED64),
    3: _DataType("int32", np.dtype("<i4"), 7, VARINT),
    4: _DataType("uint8", np.dtype("u1"), 7, VARINT),
    5: _DataType("int16", np.dtype("<i2"), 7, VARINT),
    6: _DataType("int8", np.dtype("i1"), 7, VARINT),
    STRING: _DataType("string", np.dtype(object), 8, DELIMITED),
    8: _DataType("complex64", np.dtype("<c8"), 9, FIXED32),
    9: _DataType("int64", np.dtype("<i8"), 10, VARINT),
    10: _DataType("bool", np.dtype("?"), 11, VARINT),
    17: _DataType("uint16", np.dtype("<u2"), 7, VARINT),
    18: _DataType("complex128", np.dtype("<c16"), 12, FIXED64),
    19: _DataType("float16", np.dtype("<f2"), 13, VARINT, bits=np.dtype("<u2")),
    22: _DataType("uint32", np.dtype("<u4"), 16, VARINT),
    23: _DataType("uint64", np.dtype("<u8"), 17, VARINT),
}
"""By DataType, TensorFlow's number for it. numpy has no bfloat16."""
_FIRST_VALUES = 5
"""From this field on a TensorProto holds values."""
_NUMBERS = {entry.name: number for number, entry in DATA_TYPES.items() if number != STRING}


def encode_tensor(values: NDArray[Any]) -> Parts:
    """Encode an array of numbers as a TensorProto with `tensor_content`, which servers read fastest."""
    number = _NUMBERS.get(values.dtype.name)
    if number is None:
        raise WireError(f"no tensor holds {values.dtype}")
    values = np.asarray(values, DATA_TYPES[number].dtype, order="C")  # ascontiguousarray would give a scalar a rank
    content = message_field(4, [values.reshape(-1).view(np.uint8).data]) if values.size else []
    return [number_field(1, number), *_shape(values.shape), *content]


def encode_strings(values: Sequence[bytes], shape: Sequence[int]) -> Parts:
    """Encode byte strings as a TensorProto."""
    encoded = [number_field(1, STRING), *_shape(shape)]
    for value in values:
        encoded += message_field(8, [value])
    return encoded


def decode_tensor(message: memoryview) -> NDArray[Any]:
    """Decode a TensorProto in whatever way its values travel; numbers may share memory with `message`.

    As in TensorFlow, `tensor_content` comes first, the last of too few values is repeated, and no value means zero.
    """
    number = 0
    shape: tuple[int, ...] = ()
    content: memoryview | None = None
    typed: list[tuple[int, int, Any]] = []
    for field, wire, value in fields(message, rows_from=_FIRST_VALUES):
        if field == 1:
            number = signed(value)
        elif field == 2:
            shape = _read_known_shape(submessage(value))
        elif field == 4:
            content = submessage(value)
        else:
            typed.append((field, wire, value))
    kind = DATA_TYPES.get(number)
    if kind is None:
        raise WireError(f"a tensor has the data type {number}, which numpy has not")
    count = _count(shape, kind)
    if content is not None and len(content) and number != STRING:
        return _from_content(content, kind, count).reshape(shape)
    return _filled(_values(typed, kind), kind, count).reshape(shape)


def read_shape(message: memoryview) -> tuple[int, ...] | None:
    """Read a TensorShapeProto; -1 is a size left open, None a number of dimensions left open."""
    sizes = []
    for field, _, value in fields(message):
        if field == 3 and value:
            return None
        if field == 2:
            dimension = {inner: number for inner, _, number in fields(submessage(value))}
            sizes.append(signed(dimension.get(1, 0)))
    return tuple(sizes)


def _shape(sizes: Sequence[int]) -> Parts:
    dimensions = b"".join(b"".join(message_field(2, [number_field(1, size)])) for size in sizes)
    return message_field(2, [dimensions])


def _read_known_shape(message: memoryview) -> tuple[int, ...]:
    shape = read_shape(message)
    if shape is None or min(shape, default=0) < 0:
        raise WireError(f"a tensor's shape is {shape}")
    return shape


def _count(shape: tuple[int, ...], kind: _DataType) -> int:
    count = 1
    for size in shape:
        count *= size
    if count * kind.dtype.itemsize > MAX_TENSOR_BYTES or len(shape) > 32:
        raise WireError(f"a tensor's shape is {shape}, more than a message can carry")
    return count


def _from_content(content: memoryview, kind: _DataType, count: int) -> NDArray[Any]:
    if len(content) != count * kind.dtype.itemsize:
        raise WireError(f"{len(content)} bytes for {count} values of {kind.name}")
    return np.frombuffer(content, kind.dtype)


def _values(typed: list[tuple[int, int, Any]], kind: _DataType) -> NDArray[Any]:
    """Join the values of the field that belongs to the type; they may come packed, one by one, and in several runs."""
    found = [(wire, value) for field, wire, value in typed if field == kind.field]
    if any(wire not in (kind.wire, DELIMITED) for wire, _ in found):
        raise WireError(f"the values of a {kind.name} tensor have the wrong wire type")
    if kind.wire == DELIMITED:
        strings = np.empty(len(found), object)
        strings[:] = [bytes(value) for _, value in found]
        return strings
    if kind.wire != VARINT:
        joined = found[0][1] if len(found) == 1 else b"".join(value for _, value in found)
        if len(joined) % kind.dtype.itemsize:
            raise WireError(f"{len(joined)} bytes for values of {kind.name}")
        return np.frombuffer(joined, kind.dtype)
    runs = [read_varints(value) for _, value in found]
    numbers = runs[0] if len(runs) == 1 else np.concatenate([np.empty(0, np.uint64), *runs])
    return numbers.astype(kind.bits).view(kind.dtype) if kind.bits else numbers.astype(kind.dtype)


def _filled(values: NDArray[Any], kind: _DataType, count: int) -> NDArray[Any]:
    """Cut what is too much, repeat the last value of what is too little."""
    if len(values) >= count:
        return values[:count]
    nothing = b"" if kind.wire == DELIMITED else 0
    filled = np.full(count, values[-1] if len(values) else nothing, kind.dtype)
    filled[: len(values)] = values
    return filled

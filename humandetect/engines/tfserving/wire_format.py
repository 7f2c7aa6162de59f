"""Protobuf's wire format, read and written by hand: TensorFlow Serving's official package needs TensorFlow.

Knows fields, not messages. Rows of numbers are handled by numpy, not one by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

Parts: TypeAlias = "list[bytes | memoryview]"
"""A message in pieces, joined once, so that pictures are copied once."""

VARINT, FIXED64, DELIMITED, FIXED32 = 0, 1, 2, 5
MAX_VARINT_BYTES = 10
ROW_BYTES = 8192
"""Where numbers come one by one, this much is looked at together."""


class WireError(ValueError):
    """The bytes are not the message they should be."""


def varint(value: int) -> bytes:
    """Encode an integer; negative ones in ten bytes, as 64-bit two's complement."""
    value &= 0xFFFF_FFFF_FFFF_FFFF
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def number_field(field: int, value: int) -> bytes:
    """Encode an integer field."""
    return varint(field << 3 | VARINT) + varint(value)


def text_field(field: int, text: str) -> bytes:
    """Encode a string field."""
    return b"".join(message_field(field, [text.encode()]))


def message_field(field: int, parts: Parts) -> Parts:
    """Wrap a message, or bytes, as a field of another message."""
    return [varint(field << 3 | DELIMITED) + varint(sum(len(part) for part in parts)), *parts]


def fields(message: memoryview, *, rows_from: int | None = None) -> Iterator[tuple[int, int, Any]]:
    """Yield (field, wire type, value): an int for varints, else the value's bytes. Raises WireError.

    Numbers of the fields from `rows_from` on, which repeat, come as rows of them, packed as bytes.
    """
    position = 0
    while position < len(message):
        start = position
        tag, position = _read_varint(message, position)
        field, wire = tag >> 3, tag & 7
        if not field:
            raise WireError("a field has the number 0")
        if rows_from is not None and field >= rows_from and wire in _PACK:
            row, size = _PACK[wire](message[start : start + ROW_BYTES], message[start:position])
            if not size:
                raise WireError(f"field {field} has no end")
            yield field, wire, row
            position = start + size
            continue
        if wire == VARINT:
            value, position = _read_varint(message, position)
            yield field, wire, value
            continue
        if wire == DELIMITED:
            size, position = _read_varint(message, position)
        elif wire in (FIXED32, FIXED64):
            size = 4 if wire == FIXED32 else 8
        else:
            raise WireError(f"field {field} has the wire type {wire}")
        if position + size > len(message):
            raise WireError(f"field {field} ends {position + size - len(message)} bytes after its message")
        yield field, wire, message[position : position + size]
        position += size


def submessage(value: Any) -> memoryview:
    """Return the bytes of a field that must hold a message or text; raises WireError where it holds a number."""
    if not isinstance(value, memoryview):
        raise WireError("a number stands where a message should")
    return value


def text(value: Any) -> str:
    """Return the text of a string field."""
    return str(submessage(value), "utf-8", "replace")


def signed(value: Any) -> int:
    """Return an integer field as a signed 64-bit number; raises WireError where it holds something else."""
    if not isinstance(value, int):
        raise WireError("a message stands where a number should")
    return value - (1 << 64) if value >> 63 else value


def read_varints(packed: memoryview) -> NDArray[np.uint64]:
    """Decode a row of varints."""
    octets = np.frombuffer(packed, np.uint8)
    ends = np.flatnonzero(octets < 0x80)
    if len(ends) == len(octets):
        return octets.astype(np.uint64)
    if not len(ends) or ends[-1] != len(octets) - 1:
        raise WireError("a packed field ends within a number")
    starts = np.concatenate(([0], ends[:-1] + 1))
    sizes = ends - starts + 1
    longest = int(sizes.max())
    if longest > MAX_VARINT_BYTES:
        raise WireError(f"a packed number has {longest} bytes")
    values = np.zeros(len(ends), np.uint64)
    for place in range(longest):
        there = sizes > place
        values[there] |= (octets[starts[there] + place] & 0x7F).astype(np.uint64) << np.uint64(7 * place)
    return values


def _read_varint(message: memoryview, position: int) -> tuple[int, int]:
    """Return a number and where it ends."""
    value = 0
    for place, octet in enumerate(message[position : position + MAX_VARINT_BYTES]):
        value |= (octet & 0x7F) << 7 * place
        if octet < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, position + place + 1
    raise WireError("a number has no end")


def _pack_fixed(message: memoryview, tag: memoryview, width: int) -> tuple[memoryview, int]:
    """Take the tags out of a row of fixed-width fields; return the values, and the bytes that the row takes."""
    stride = len(tag) + width
    count = len(message) // stride
    rows = np.frombuffer(message, np.uint8, count * stride).reshape(count, stride)
    ours = (rows[:, : len(tag)] == np.frombuffer(tag, np.uint8)).all(axis=1)
    count = count if ours.all() else int(ours.argmin())
    return np.ascontiguousarray(rows[:count, len(tag) :]).reshape(-1).data, count * stride


def _pack_varints(message: memoryview, tag: memoryview) -> tuple[memoryview, int]:
    """Take the tags out of a row of varint fields; return the values, and the bytes that the row takes."""
    octets = np.frombuffer(message, np.uint8)
    ends = np.flatnonzero(octets < 0x80)
    ends = ends[: len(ends) // 2 * 2]
    starts = np.concatenate(([0], ends[:-1] + 1))[: len(ends)]
    tags = starts[::2]
    ours = ends[::2] - tags + 1 == len(tag)
    for place, octet in enumerate(tag):
        ours &= octets[np.minimum(tags + place, len(octets) - 1)] == octet
    count = len(tags) if ours.all() else int(ours.argmin())
    size = int(ends[2 * count - 1]) + 1 if count else 0
    values = np.ones(size, bool)
    for place in range(len(tag)):
        values[tags[:count] + place] = False
    return octets[:size][values].data, size


_PACK: dict[int, Callable[[memoryview, memoryview], tuple[memoryview, int]]] = {
    VARINT: _pack_varints,
    FIXED32: lambda message, tag: _pack_fixed(message, tag, 4),
    FIXED64: lambda message, tag: _pack_fixed(message, tag, 8),
}

"""TFRecord, TensorFlow's file of length-prefixed records: written here without TensorFlow."""

from __future__ import annotations

import struct
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import BinaryIO

_POLYNOMIAL = 0x82F63B78
"""CRC-32C (Castagnoli), with its bits in reverse. zlib's CRC-32 is another one."""
_MASK_DELTA = 0xA282EAD8


def write_records(file: BinaryIO, records: Iterable[bytes]) -> None:
    """Write records, each with the checksums of its length and content."""
    for record in records:
        length = struct.pack("<Q", len(record))
        file.write(length + _checksum(length))
        file.write(record)
        file.write(_checksum(record))


def crc32c(content: bytes) -> int:
    """Return the CRC-32C of some bytes; about 10 MB take a second."""
    table, value = _table(), 0xFFFF_FFFF
    for octet in content:
        value = table[(value ^ octet) & 0xFF] ^ value >> 8
    return value ^ 0xFFFF_FFFF


def _checksum(content: bytes) -> bytes:
    """Mask the checksum as TFRecord does, as a checksum of data that holds checksums is weak."""
    crc = crc32c(content)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFF_FFFF)


@cache
def _table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table

"""TFRecord, TensorFlow's file of length-prefixed records: written here without TensorFlow."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import google_crc32c

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import BinaryIO

_MASK_DELTA = 0xA282EAD8


def write_records(file: BinaryIO, records: Iterable[bytes]) -> None:
    """Write records, each with the checksums of its length and content."""
    for record in records:
        length = struct.pack("<Q", len(record))
        file.write(length + _checksum(length))
        file.write(record)
        file.write(_checksum(record))


def _checksum(content: bytes) -> bytes:
    """Mask the checksum as TFRecord does, as a checksum of data that holds checksums is weak."""
    crc = google_crc32c.value(content)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFF_FFFF)

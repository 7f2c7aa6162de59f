"""The boxes that MP4, HEIC, AVIF and JPEG 2000 consist of."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEADER = struct.Struct(">I4s")


@dataclass(frozen=True, slots=True)
class Box:
    """A box of ISO 14496-12 and where it lies."""

    kind: bytes
    start: int
    size: int
    header: int
    """Bytes before its content."""

    @property
    def content(self) -> int:
        return self.start + self.header

    @property
    def end(self) -> int:
        return self.start + self.size


def boxes(file: BinaryIO, start: int, end: int) -> Iterator[Box]:
    """Yield the boxes side by side between two places. Raises OSError where they do not fit in."""
    while start < end:
        file.seek(start)
        head = file.read(16)
        size, kind = _HEADER.unpack_from(head.ljust(_HEADER.size, b"\0"))
        header = _HEADER.size
        if size == 1:
            header, size = 16, struct.unpack(">Q", head[8:].ljust(8, b"\0"))[0]
        elif size == 0:
            size = end - start
        if not header <= size <= end - start:
            raise OSError(f"no MP4: a box of {size} bytes at {start}")
        yield Box(kind, start, size, header)
        start += size

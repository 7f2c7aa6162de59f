"""What the boxes of a HEIC or AVIF photo tell of the picture that is shown: its size, and its codes' curve."""

from __future__ import annotations

import io
import struct
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO

from humandetect.media.hdr import hdr_of_numbers
from humandetect.media.iso_boxes import Box, boxes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from humandetect.media.hdr import Hdr

_MOST_BOXES, _MOST_BYTES = 1000, 1 << 20
_BEGIN_BYTES = 12
"""Of a property: enough for a size, or for the numbers of colours."""
_NUMBERED = struct.Struct(">4sHH")
"""The begin of a `colr` that names primaries and curve by their numbers."""


def hdr_of(file: BinaryIO) -> Hdr | None:
    """Tell whether the picture that is shown has HDR or wide colours, whose codes decoders hand on as they are."""
    for kind, content in _properties(file):
        if kind == b"colr" and content[:4] == b"nclx":
            _, primaries, curve = _NUMBERED.unpack_from(content.ljust(_NUMBERED.size, b"\0"))
            return hdr_of_numbers(primaries, curve)
    return None


def told_sizes(file: BinaryIO) -> list[tuple[int, int]]:
    """Return width and height of the picture that is shown, if told, before it is turned."""
    extents = [content[4:12] for kind, content in _properties(file) if kind == b"ispe"]
    return [(int.from_bytes(sides[:4]), int.from_bytes(sides[4:])) for sides in extents]


def _properties(file: BinaryIO) -> list[tuple[bytes, bytes]]:
    """Return the kind of each property, and how it begins, of the picture that is shown; damaged boxes say nothing."""
    at = file.tell()
    found: list[tuple[bytes, bytes]] = []
    with suppress(OSError, LookupError):
        top = _by_kind(file, 0, file.seek(0, io.SEEK_END))
        meta = _by_kind(file, top[b"meta"].content + 4, top[b"meta"].end)
        about = _by_kind(file, meta[b"iprp"].content, meta[b"iprp"].end)
        properties = list(islice(boxes(file, about[b"ipco"].content, about[b"ipco"].end), _MOST_BOXES))
        shown = _read(file, meta[b"pitm"])
        number = int.from_bytes(shown[4 : 8 if shown[0] else 6])
        places = islice(_properties_of(io.BytesIO(_read(file, about[b"ipma"])), number), _MOST_BOXES)
        found += [(properties[place].kind, _read(file, properties[place], most=_BEGIN_BYTES)) for place in places]
    file.seek(at)
    return found


def _by_kind(file: BinaryIO, start: int, end: int) -> dict[bytes, Box]:
    found: dict[bytes, Box] = {}
    with suppress(OSError):  # what stands before a damaged one counts
        for box in islice(boxes(file, start, end), _MOST_BOXES):
            found.setdefault(box.kind, box)
    return found


def _read(file: BinaryIO, box: Box, *, most: int = _MOST_BYTES) -> bytes:
    file.seek(box.content)
    return file.read(min(box.size - box.header, most))


def _properties_of(table: io.BytesIO, item: int) -> Iterator[int]:
    """Yield the places of an item's properties, from the table of ISO 23008-12, 9.3."""

    def number(count: int) -> int:
        return int.from_bytes(table.read(count))

    version, wide = number(1), number(3) & 1
    for _ in range(min(number(4), _MOST_BOXES)):
        said = number(4 if version else 2)
        places = [number(2) & 0x7FFF if wide else number(1) & 0x7F for _ in range(number(1))]
        if said == item:
            yield from (place - 1 for place in places if place)

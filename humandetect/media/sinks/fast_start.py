"""Puts the index of an MP4 in front of its pictures, so that a browser plays while it loads."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, BinaryIO

from humandetect.media.iso_boxes import boxes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from humandetect.media.iso_boxes import Box

_CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl"}
_WIDTHS = {b"stco": ">I", b"co64": ">Q"}
"""Tables of where in the file pictures and sound lie, and how each place is written."""
_PIECE_BYTES = 1 << 20


def put_index_first(path: Path, target: Path) -> bool:
    """Write the file at `path` to `target` with its index first; False: it is so already, or has no room.

    Raises OSError, and then `path` is what it was.
    """
    with path.open("rb") as source:
        parts = list(boxes(source, 0, path.stat().st_size))
        kinds = [box.kind for box in parts]
        if kinds[:1] != [b"ftyp"] or kinds.count(b"moov") != 1:
            raise OSError("no MP4 with one index")
        if kinds[1] == b"moov":
            return False
        index = parts[kinds.index(b"moov")]
        source.seek(index.start)
        moov = bytearray(source.read(index.size))
        try:
            _shift(moov, index)
        except OverflowError:
            return False
        with target.open("wb") as out:
            for box in (parts[0], index, *(box for box in parts[1:] if box is not index)):
                if box is index:
                    out.write(moov)
                    continue
                _copy(source, out, box)
    return True


def _shift(moov: bytearray, index: Box) -> None:
    """Move every place before the old index on by its size. Raises OverflowError where one has no room."""
    content = io.BytesIO(moov)
    for box in _tables(content, 0, len(moov)):
        width = struct.Struct(_WIDTHS[box.kind])
        (count,) = struct.unpack_from(">I", moov, box.content + 4)
        for number in range(count):
            at = box.content + 8 + number * width.size
            (place,) = width.unpack_from(moov, at)
            if place < index.start:
                place += index.size
            if place >= 1 << 8 * width.size:
                raise OverflowError(place)
            width.pack_into(moov, at, place)


def _tables(file: BinaryIO, start: int, end: int) -> Iterator[Box]:
    for box in boxes(file, start, end):
        if box.kind in _WIDTHS:
            yield box
        elif box.kind in _CONTAINERS:
            yield from _tables(file, box.content, box.end)


def _copy(source: BinaryIO, out: BinaryIO, box: Box) -> None:
    source.seek(box.start)
    left = box.size
    while left and (piece := source.read(min(left, _PIECE_BYTES))):
        out.write(piece)
        left -= len(piece)

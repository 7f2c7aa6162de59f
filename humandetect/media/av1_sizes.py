"""Which sizes the pictures of an AVIF really have: the boxes around them may say anything."""

from __future__ import annotations

import io
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from humandetect.errors import SourceError
from humandetect.media.decode_limits import CRUMBS
from humandetect.media.iso_boxes import Box, boxes

if TYPE_CHECKING:
    from collections.abc import Iterator

_HOLD_BOXES = {b"moov": 0, b"trak": 0, b"mdia": 0, b"minf": 0, b"stbl": 0, b"meta": 4}
"""And how many bytes of each stand before the first of them."""
_SEQUENCE_HEADER = 1
_MOST_READS = 3
"""Of each byte: the first picture of an animation is listed twice."""
_MOST_SIZE_BITS = 56
"""Of the length of a unit (leb128)."""
_BYTES_A_PART = 8
"""Of a small picture in an animation, of three parts, in which nothing moved."""
_MOST_BOXES, _MOST_EXTENTS, _MOST_HEADERS = 1000, 100, 100
Span = tuple[int, int]
"""Where something begins, and how many bytes it has."""


def coded_sizes(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """Yield each width and height that an AVIF's AV1 sequences tell their decoder to make room for.

    Raises SourceError for one of too many parts, and where a sequence cannot be read.
    """
    length = file.seek(0, io.SEEK_END)
    bytes_left, parts_left, boxes_left = _MOST_READS * length, 2000 + length // _BYTES_A_PART, _MOST_BOXES
    headers: set[bytes] = set()
    for spans in _pictures(file, 0, length):
        bytes_left -= sum(size for _, size in spans)
        boxes_left -= not spans
        parts_left -= len(spans)
        _require_left(min(bytes_left, boxes_left, parts_left))
        for kind, unit in _units(b"".join(_read(file, span) for span in spans)):
            parts_left -= 1
            _require_left(min(parts_left, _MOST_HEADERS - len(headers)))
            if kind == _SEQUENCE_HEADER and unit not in headers:
                headers.add(unit)
                yield _size_of(unit)


def _require_left(count: int) -> None:
    if count < 0:
        raise SourceError(CRUMBS)


def _read(file: BinaryIO, span: Span) -> bytes:
    file.seek(span[0])
    return file.read(span[1])


def _pictures(file: BinaryIO, start: int, end: int) -> Iterator[list[Span]]:
    """Yield where the pieces of each picture are, and of each box none. No decoder reads on behind a damaged one."""
    found: dict[bytes, Box] = {}
    with suppress(OSError):
        for box in boxes(file, start, end):
            found[box.kind] = box
            yield []
            if box.kind in _HOLD_BOXES:
                yield from _pictures(file, box.content + _HOLD_BOXES[box.kind], box.end)
    if b"iloc" in found:
        yield from _items(io.BytesIO(_content(file, found[b"iloc"])), found.get(b"idat"))
    chunks = found.get(b"co64") or found.get(b"stco")
    if chunks and b"stsz" in found and b"stsc" in found:
        yield from _samples(file, chunks, sizes=found[b"stsz"], groups=found[b"stsc"])


def _content(file: BinaryIO, box: Box) -> bytes:
    return _read(file, (box.content, box.size - box.header))


def _items(table: io.BytesIO, data: Box | None) -> Iterator[list[Span]]:
    """Yield the places of what is no animation, from the table of ISO 14496-12, 8.11.3."""

    def number(count: int) -> int:
        return int.from_bytes(table.read(count))

    version, widths = number(1), number(5) & 0xFFFF
    offset_bytes, length_bytes, base_bytes = widths >> 12, widths >> 8 & 15, widths >> 4 & 15
    index_bytes = widths & 15 if version else 0
    id_bytes = 4 if version == 2 else 2
    for _ in range(number(id_bytes)):
        number(id_bytes)
        begin = data.content if version and number(2) & 1 and data else 0
        number(2)
        begin += number(base_bytes)
        count = number(2)
        if count > _MOST_EXTENTS:
            raise SourceError(CRUMBS)
        spans = [(number(index_bytes), number(offset_bytes), number(length_bytes)) for _ in range(count)]
        yield [(begin + offset, length) for _, offset, length in spans]


def _samples(file: BinaryIO, chunks: Box, *, sizes: Box, groups: Box) -> Iterator[list[Span]]:
    """Yield the places of an animation's pictures, from the tables of ISO 14496-12, 8.7."""
    offsets = np.frombuffer(_content(file, chunks)[8:], ">u8" if chunks.kind == b"co64" else ">u4").astype(np.int64)
    of_all, count, *each = np.frombuffer(_content(file, sizes)[4:], ">u4").tolist()
    runs = np.frombuffer(_content(file, groups)[8:], ">u4").reshape(-1, 3).tolist()
    number = 0
    for (first, in_chunk, _), (following, *_) in zip(runs, [*runs[1:], (len(offsets) + 1,)], strict=True):
        for at in offsets[first - 1 : following - 1 if in_chunk else 0].tolist():
            for _ in range(in_chunk):
                if number == count:
                    return
                size = of_all or each[number]
                yield [(at, size)]
                at, number = at + size, number + 1


def _units(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the kind and the bytes of each OBU, from AV1's 5.3."""
    start = 0
    while start < len(data):
        at = start + 1 + (data[start] >> 2 & 1)
        size, shift = 0, 0
        if not data[start] & 2:
            size = len(data) - at
        else:
            while at < len(data) and shift < _MOST_SIZE_BITS:
                size |= (data[at] & 127) << shift
                at, shift = at + 1, shift + 7
                if not data[at - 1] & 128:
                    break
        yield data[start] >> 3 & 15, data[start : at + size]
        start = at + size


def _size_of(header: bytes) -> tuple[int, int]:
    import av

    decoder = av.CodecContext.create("av1", "r")
    decoder.extradata = header
    try:
        decoder.open()
    except av.FFmpegError as error:
        raise SourceError("a damaged image: the size of its pictures cannot be read") from error
    return decoder.width, decoder.height

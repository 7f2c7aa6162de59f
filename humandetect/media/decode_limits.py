"""What makes a small picture file cost seconds or gigabytes to read, refused before a decoder begins."""

from __future__ import annotations

import io
import re
from contextlib import suppress
from itertools import islice, repeat
from typing import TYPE_CHECKING, Any, BinaryIO

from humandetect.errors import SourceError
from humandetect.media.iso_boxes import boxes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from humandetect.media.iso_boxes import Box

MAX_SCANS = 50
"""Encoders write a progressive JPEG in about 10; each costs a pass over all pixels, and may be 20 bytes long."""
MAX_INFLATED_BYTES = 8_000_000
"""What the compressed texts and profiles of a PNG may inflate to; Pillow takes a megabyte of each."""
DEFLATE_AT_BEST, PILLOWS_MOST_BYTES = 1032, 1 << 20
MAX_EXIF_BYTES = 1 << 16
"""What one segment of a JPEG holds. Pillow joins the Exif of many, and walks through it in Python."""
MAX_SMALL_PICTURES = 10_000
"""Of an animated PNG, where all are wanted: each may be a dot that moved."""

_JPEG_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")
_START_OF_SCAN, _END_OF_IMAGE = b"\xda", b"\xd9"
CRUMBS = "an image of too many small parts"
_COLOUR_BYTES = 4
_INFLATED = (b"zTXt", b"iTXt", b"iCCP")
_PARTS_A_PICTURE = 10
"""Of a PNG: two chunks of head, number, content and sum, with room to spare."""


class BoundedReads:
    """A file that cannot be read in crumbs: Pillow walks through a JPEG's and a PNG's parts in Python, one by one.

    So many small pictures of an animated PNG have room for some more.
    """

    def __init__(self, file: BinaryIO, *, small_pictures: int) -> None:
        self._file = file
        self._exif_bytes = 0
        self._small_pictures = small_pictures
        self._left = most_parts(file.seek(0, io.SEEK_END))
        file.seek(0)

    def read(self, size: int = -1) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise SourceError(CRUMBS)
        data = self._file.read(size)
        if data[4:] == b"fcTL" and self._small_pictures:
            self._small_pictures -= 1
            self._left += _PARTS_A_PICTURE
        if data.startswith(b"Exif\0\0"):  # the beginning of a segment in a JPEG
            self._exif_bytes += len(data)
            _check_exif(self._exif_bytes)
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def check_texts(png: BinaryIO, *, until: bytes) -> None:
    """Raise SourceError for a PNG whose metadata, up to a kind of chunk, would take more time than its pixels."""
    inflated = 0
    png.seek(8)
    while len(head := png.read(8)) == 8 and head[4:] != until:
        length = int.from_bytes(head[:4], "big")
        if head[4:] in _INFLATED:
            inflated += min(length * DEFLATE_AT_BEST, PILLOWS_MOST_BYTES)
        if inflated > MAX_INFLATED_BYTES:
            raise SourceError("a PNG whose compressed texts are larger than those of any picture")
        _check_exif(length if head[4:] == b"eXIf" else 0)
        png.seek(length + 4, io.SEEK_CUR)
    png.seek(0)


def check_scans(jpeg: bytes) -> None:
    """Raise SourceError for a JPEG that asks for passes over its pixels without end."""
    if jpeg.count(b"\xff\xda") <= MAX_SCANS:
        return
    # From marker to marker, as a decoder goes: metadata, and what follows the picture, may hold anything.
    scans, at = 0, 2
    for _ in range(most_parts(len(jpeg))):
        marker = _JPEG_MARKER.search(jpeg, at)
        if marker is None or marker[1] == _END_OF_IMAGE:
            return
        scans += marker[1] == _START_OF_SCAN
        if scans > MAX_SCANS:
            raise SourceError(f"a JPEG of more than {MAX_SCANS} scans")
        at = marker.end() + int.from_bytes(jpeg[marker.end() : marker.end() + 2], "big")
    raise SourceError(CRUMBS)


def check_boxes(jpeg_2000: BinaryIO) -> None:
    """Raise SourceError for a JPEG 2000 of too many parts before its pixels: Pillow walks through them in Python."""
    most = most_parts(jpeg_2000.seek(0, io.SEEK_END))
    with suppress(OSError):  # a bare codestream has no boxes, and Pillow reads on behind no damaged one
        if sum(1 for _ in islice(_parts_before_pixels(jpeg_2000), most + 1)) > most:
            raise SourceError(CRUMBS)
    jpeg_2000.seek(0)


def _parts_before_pixels(jpeg_2000: BinaryIO) -> Iterator[Box]:
    """Yield each box about as often as Pillow reads in it: in a palette colour by colour."""
    for box in boxes(jpeg_2000, 0, jpeg_2000.seek(0, io.SEEK_END)):
        yield box
        if box.kind == b"jp2h":
            for inner in boxes(jpeg_2000, box.content, box.end):
                yield from repeat(inner, inner.size // _COLOUR_BYTES if inner.kind == b"pclr" else 1)
                if inner.kind == b"res ":
                    yield from boxes(jpeg_2000, inner.content, inner.end)
            return


def most_parts(count: int) -> int:
    """Encoders write parts of some thousand bytes."""
    return 2000 + count // 500


def _check_exif(count: int) -> None:
    if count > MAX_EXIF_BYTES:
        raise SourceError(f"an image with {count:,} bytes of Exif: at most {MAX_EXIF_BYTES:,} are taken")

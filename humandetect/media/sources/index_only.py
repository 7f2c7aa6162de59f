"""MP4 files read for their index alone, which tells all packets: a plan fetches no pictures over a network."""

from __future__ import annotations

import io
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

from humandetect.media.iso_boxes import boxes

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_MOST_BOXES = 100
"""Of those that a file consists of; fragments are many, and each has an index of its own."""


class IndexOnly(io.RawIOBase):
    """A file whose media data are zeros, and not read, once it `skips` them."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file
        self._start, self._end = _media_data(file)
        self.skips = False

    @property
    def has_index(self) -> bool:
        return self._end > 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer)
        at = self._file.tell()
        if not self.skips or at >= self._end:
            return self._file.readinto1(view)
        if at < self._start:
            return self._file.readinto1(view[: self._start - at])
        count = min(len(view), self._end - at)
        view[:count] = bytes(count)
        self._file.seek(at + count)
        return count

    def close(self) -> None:
        self._file.close()
        super().close()


def _media_data(file: io.BufferedReader) -> tuple[int, int]:
    """Return where the media data of an MP4 begin and end, (0, 0) where that is not told once for all of them."""
    spans = [(0, 0)]
    with suppress(OSError):  # what does not fit in is no box
        for box in islice(boxes(file, 0, file.seek(0, io.SEEK_END)), _MOST_BOXES):
            if box.kind == b"moof" or not (box.start or box.kind == b"ftyp"):
                spans = [(0, 0)]
                break
            if box.kind == b"mdat":
                spans.append((box.content, box.end))
    file.seek(0)
    return max(spans, key=lambda span: span[1] - span[0])

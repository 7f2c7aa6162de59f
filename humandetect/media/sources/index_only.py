"""MP4 files read for their index alone, which tells all packets: a plan fetches no pictures over a network."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

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
    size, at, longest = file.seek(0, io.SEEK_END), 0, (0, 0)
    for _ in range(_MOST_BOXES):
        file.seek(at)
        head = file.read(16)
        length, kind, begins = int.from_bytes(head[:4]), head[4:8], at + 8
        if length == 1:
            length, begins = int.from_bytes(head[8:]), at + 16
        if kind == b"moof" or length < 8 or not (at or kind == b"ftyp"):
            longest = (0, 0)
            break
        at = min(at + length, size)
        if kind == b"mdat":
            longest = max(longest, (begins, at), key=lambda span: span[1] - span[0])
        if at == size:
            break
    file.seek(0)
    return longest

"""Files of a share that goes away: what was read is right, and then a read fails."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path


class _Going(io.FileIO):
    def __init__(self, path: str) -> None:
        super().__init__(path)
        size = Path(path).stat().st_size
        self._begin, self._end = size * 5 // 10, size * 6 // 10

    def readinto(self, buffer: object) -> int:
        """Read up to the middle of the file; what lies behind that, as the index of an MP4, is there still."""
        view = memoryview(buffer)  # type: ignore[arg-type]
        place = self.tell()
        if self._begin <= place < self._end:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return super().readinto(view[: self._begin - place] if place < self._begin else view) or 0


def open_going(path: str) -> io.BufferedReader:
    return io.BufferedReader(_Going(path), buffer_size=512)

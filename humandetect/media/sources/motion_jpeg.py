"""JPEG after JPEG as one live stream, however a camera parts them."""

from __future__ import annotations

import re
import time
from http.client import HTTPException
from typing import TYPE_CHECKING, cast

from humandetect.errors import SourceError
from humandetect.media.sources.container import Media, NothingSent, PictureTooLong, open_motion_jpeg

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from http.client import HTTPResponse
    from io import BufferedReader

    from humandetect.config import SourceConfig

JPEG = b"\xff\xd8"
MOST_PART_BYTES = 32_000_000
"""A JPEG of 50 megapixels has fewer; one that never ends must not take the machine's memory."""
_JPEGS_END = b"\xff\xd9"
_PADDING, _MOST_PADDING_BYTES = b"\0\r\n", 1024
_PIECE_BYTES = 1 << 16
_BOUNDARY = re.compile(rb"^--[^\r\n]*\r?\n", re.MULTILINE)
_LENGTH = re.compile(rb"^Content-Length:\s*(\d{1,12})\s*$", re.MULTILINE | re.IGNORECASE)


def open_pictures(pictures: Iterator[bytes], config: SourceConfig, *, close: Callable[[], None]) -> Media:
    """Open JPEGs that come one after the other. Raises SourceError, and closes them when that fails."""
    return open_motion_jpeg(cast("BufferedReader", _Stream(pictures, close)), config)


class _Stream:
    """The bytes of a stream of pictures, as libav takes them."""

    def __init__(self, pictures: Iterator[bytes], close: Callable[[], None]) -> None:
        self.close = close
        self._pictures = pictures
        self._part = b""

    def read1(self, size: int) -> bytes:
        if not self._part and (picture := next(self._pictures, None)):
            head = b"--\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(picture)
            self._part = head + picture + b"\r\n"
        taken, self._part = self._part[:size], self._part[size:]
        return taken

    def seekable(self) -> bool:
        return False


class Parts:
    """The JPEGs of `multipart/x-mixed-replace`, one by one.

    Old firmware leaves out the first boundary, or has another one than it says, and says no or wrong lengths: a picture
    ends where it was said if it is whole there, and else at the next boundary.
    """

    def __init__(self, answer: HTTPResponse, *, timeout_seconds: float) -> None:
        self._answer, self._timeout_seconds = answer, timeout_seconds
        said = (answer.headers.get_boundary() or "").lstrip("-").encode()
        self._boundary = b"--" + said if said else b"\r\n--"
        self._came = bytearray()
        self._since = 0.0
        """When it began to wait for the next picture."""

    def __iter__(self) -> Iterator[bytes]:
        """Yield them as they come. Raises SourceError."""
        while True:
            self._since = time.monotonic()
            head = self._until(JPEG)
            if not self._came:
                return
            self._boundary = (_BOUNDARY.findall(head) or [self._boundary])[-1]
            yield self._until(self._boundary, said_bytes=int((_LENGTH.findall(head) or [0])[-1]))

    def _until(self, end: bytes, *, said_bytes: int = 0) -> bytes:
        """Take what comes before `end`, or as much as was said if that is a picture; all there is if neither comes."""
        searched = 0
        while not self._has_picture(said_bytes):
            if (found := self._came.find(end, searched)) >= 0:
                return self._take(found)
            searched = max(0, len(self._came) - len(end))
            if not self._has_more():
                return self._take(len(self._came))
        return self._take(said_bytes)

    def _has_picture(self, bytes_: int) -> bool:
        if not 0 < bytes_ <= len(self._came):
            return False
        return self._came[max(0, bytes_ - _MOST_PADDING_BYTES) : bytes_].rstrip(_PADDING).endswith(_JPEGS_END)

    def _take(self, bytes_: int) -> bytes:
        taken = bytes(self._came[:bytes_])
        del self._came[:bytes_]
        return taken

    def _has_more(self) -> bool:
        """Wait for more; False: that was all. Raises SourceError."""
        try:
            piece = self._answer.read1(_PIECE_BYTES)
        except TimeoutError:
            raise NothingSent(f"nothing came for {self._timeout_seconds:g} s") from None
        except (OSError, HTTPException):  # their texts may hold the address
            raise SourceError("the connection ended") from None
        self._came += piece
        if len(self._came) > MOST_PART_BYTES:
            raise PictureTooLong(f"a picture of more than {MOST_PART_BYTES / 1e6:g} MB, or one that never ends")
        if time.monotonic() - self._since > self._timeout_seconds:
            raise NothingSent(f"no picture for {self._timeout_seconds:g} s")
        return bool(piece)
